//! Random configurations and requests, with few names, so that they collide, in all spellings.

use std::time::Duration;

use fastrand::Rng;
use integration_tests::keys;
use phantom_token_core::Settings;
use phantom_token_core::driver::Request;
use serde_json::{Map, Value, json};

/// Returns a valid configuration.
pub fn configuration(rng: &mut Rng) -> Value {
    loop {
        let configuration = attempt(rng);
        if Settings::parse(configuration.to_string().as_bytes(), &|_| None).is_ok() {
            return configuration;
        }
    }
}

/// Returns a request, and the server's claims for its token. `None` if the server does not respond with claims.
pub fn request(rng: &mut Rng, now: Duration) -> (Request, Option<Map<String, Value>>) {
    let number = rng.u64(..);
    let query = match rng.u8(..16) {
        0 => "?a=1".to_owned(),
        1 => format!("?access_token=query-{number:x}"),
        2 => format!("?a=1&access_token=query-{number:x}&b"),
        _ => String::new(),
    };
    let mut fields = vec![
        (":method", one(rng, "GET|GET|GET|HEAD|POST|DELETE|OPTIONS|get").to_owned()),
        (":scheme", "https".to_owned()),
        (":authority", one(rng, HOSTS).to_owned()),
        (":path", format!("{}{query}", path(rng))),
    ];
    let authorization = match rng.u8(..12) {
        0 => Some("Basic YWxpY2U6c2VjcmV0".to_owned()),
        1 => Some("Bearer".to_owned()),
        2 => Some("Bearer two words".to_owned()),
        3 => Some(format!("bearer opaque-{number:x}")),
        4..6 => None,
        6 => Some(format!("Bearer opaque|{number:x}")),
        _ => Some(format!("Bearer opaque-{number:x}")),
    };
    fields.extend(authorization.clone().map(|value| ("authorization", value)));
    for (name, value) in [
        ("authorization", authorization.as_deref().unwrap_or("Bearer again")),
        ("x-user", "mallory"),
        ("x_user", "mallory"),
        ("x-jwt", "e30.e30.e30"),
        ("cookie", &*format!("session=1; token=cookie-{number:x}; theme=dark")),
        ("cookie", "session=1"),
        ("origin", "https://app.example.com"),
        ("origin", "https://evil.example.com"),
        ("access-control-request-method", "GET"),
        ("user-agent", "curl/8.14.1"),
        ("content-type", "application/grpc-web-text;v=1"),
    ] {
        if rng.u8(..20) == 0 {
            fields.push((name, value.to_owned()));
        }
    }
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value.into_bytes())).collect();
    let claims = (rng.u8(..5) != 0).then(|| claims(rng, now.as_secs()));
    (Request { fields, ..Request::default() }, claims)
}

fn attempt(rng: &mut Rng) -> Value {
    let mut configuration = json!({
        "introspection": {
            "endpoint": "https://login.example.com/introspect",
            "upstream": "login", "client_id": "gateway", "client_secret": "the-secret-of-the-gateway",
        },
        "token": {},
        "realm": "api",
        "cache": {"max_ttl": "0s", "inactive_ttl": "0s"},
        "rules": (0..rng.usize(2..9)).map(|_| rule(rng)).collect::<Vec<_>>(),
    });
    let claim_to_headers =
        json!([{"header": "x-user", "pointer": "/sub"}, {"header": "x-groups", "pointer": "/groups"}]);
    match rng.u8(..4) {
        0 => {
            configuration["introspection"]["response"] = json!({"accept": "application/json"});
            configuration["claim_to_headers"] = claim_to_headers.clone();
        }
        1 => {
            configuration["introspection"]["response"] =
                json!({"accept": "application/json", "jwt_field": JWT_FIELD});
        }
        2 if rng.u8(..4) == 0 => {
            configuration["introspection"]["response"] = json!({"accept": "application/json"});
            configuration["mint"] = json!({
                "client_as_subject": rng.bool(),
                "issuer": "https://gateway.example.com", "audience": "orders-api",
                "keys": [{"private_key": keys::p256_pem()}],
            });
        }
        _ => {}
    }
    let mut set = |section: &str, name: &str, one_in: u8, value: Value| {
        if rng.u8(..one_in) == 0 {
            configuration[section][name] = value;
        }
    };
    set("token", "issuer", 2, json!("https://login.example.com"));
    set("token", "audience", 3, json!(["orders-api"]));
    set("token", "require_exp", 4, json!(true));
    set("token", "allow_missing_iss", 4, json!(true));
    set("token", "allow_scope_list", 4, json!(true));
    set("token", "allow_missing_aud", 6, json!(true));
    set("token", "issuer_aliases", 6, json!(["https://other.example.com"]));
    set("token", "require_token_type", 8, json!(true));
    set("token", "kinds", 8, json!({"token_class": ["api"]}));
    set("token_sources", "query_parameter", 4, json!("access_token"));
    set("token_sources", "alphabet", 6, json!("visible"));
    set("token_sources", "cookie", 4, json!("token"));
    set("error_body", "template", 2, json!(r#"{"error":"{error}","reason":"{reason}"}"#));
    set("cors", "allow_origins", 4, json!(["https://app.example.com"]));
    set("keys", "jwks", 40, json!({"keys": [keys::public(&keys::p256())]}));
    for (name, value) in [
        ("claim_to_headers", claim_to_headers),
        ("jwt_header", json!("x-jwt")),
        ("filter_state", json!([{"name": "user", "pointer": "/sub"}])),
        ("ignore_port_in_host_matching", json!(true)),
    ] {
        if rng.u8(..4) == 0 {
            configuration[name] = value;
        }
    }
    configuration
}

fn rule(rng: &mut Rng) -> Value {
    let segments: Vec<&str> = (0..rng.usize(..3))
        .map(|_| one(rng, "orders|orders|orders|orders|Orders|{id}|invoices|public"))
        .collect();
    let mut rule = json!({"path": format!("/{}", segments.join("/"))});
    let mut set = |name: &str, one_in: u8, value: Value| {
        if rng.u8(..one_in) == 0 {
            rule[name] = value;
        }
    };
    set("path_match", 4, json!("exact"));
    set("path_match", 6, json!("prefix"));
    set("methods", 3, json!(["GET"]));
    set("methods", 4, json!(["POST", "DELETE"]));
    set("methods", 12, json!(["OPTIONS"]));
    set("hosts", 3, json!(["api.example.com"]));
    set("hosts", 6, json!(["*.example.com"]));
    set("hosts", 8, json!(["[::1]", "shop.example.org"]));
    if rng.u8(..3) == 0 {
        rule["access"] = json!("public");
        return rule;
    }
    if rng.u8(..6) == 0 {
        rule["access"] = json!("optional");
    }
    let mut set = |name: &str, one_in: u8, value: Value| {
        if rng.u8(..one_in) == 0 {
            rule[name] = value;
        }
    };
    set("scopes", 3, json!(["orders:read"]));
    set("scopes_any_of", 5, json!(["orders:write", "admin"]));
    set("audience", 6, json!(["orders-api", "billing-api"]));
    set("claims", 6, json!([{"pointer": "/groups", "contains": "staff"}]));
    set("claims", 8, json!([{"pointer": "/sub", "one_of": ["alice", "bob"]}]));
    set(
        "any_of",
        8,
        json!([{"scopes": ["admin"]}, {"claims": [{"pointer": "/groups", "contains": "staff"}]}]),
    );
    set("acr_values", 8, json!(["gold"]));
    set("max_age", 8, json!("10m"));
    rule
}

fn path(rng: &mut Rng) -> String {
    let segment = |rng: &mut Rng| match rng.u8(..24) {
        0 => one(rng, "..|.||x;y|%2f|\u{e9}|%zz|orders%2f7|Orders|a b|%6frders|a%20b"),
        _ => one(rng, "orders|orders|public|7|invoices"),
    };
    let segments = (0..rng.usize(..4)).map(|_| segment(rng));
    let path = format!("/{}", segments.collect::<Vec<_>>().join("/"));
    if rng.u8(..8) == 0 { path + "/" } else { path }
}

fn claims(rng: &mut Rng, now: u64) -> Map<String, Value> {
    let mut claims = Map::new();
    let mut set = |name: &str, values: Value| {
        let values = values.as_array().map(Vec::as_slice).unwrap_or_default();
        let value = values[if rng.bool() { 0 } else { rng.usize(..values.len()) }].clone();
        if !value.is_null() {
            claims.insert(name.to_owned(), value);
        }
    };
    let issuer = "https://login.example.com";
    set("iss", json!([issuer, issuer, issuer, "https://other.example.com", null]));
    set("aud", json!(["orders-api", ["orders-api", "x"], "orders-api", "x", null]));
    set("sub", json!(["alice", "bob", "carol \u{2603}", "alice", null]));
    let read = "orders:read";
    set("scope", json!([read, "orders:read orders:write", read, "admin", "", null, [read], 7]));
    set("exp", json!([now + 300, now + 300, now + 300, now - 300, now - 3, null]));
    set("nbf", json!([null, null, null, now - 5, now + 300]));
    set("groups", json!([null, ["staff"], ["guests"], "staff"]));
    set("acr", json!([null, "gold", "silver"]));
    set("auth_time", json!([null, now - 60, now - 3600]));
    set("client_id", json!(["app", null]));
    set("typ", json!([null, null, null, null, null, null, "Refresh"]));
    set("token_class", json!([null, null, null, null, "api", "renewal"]));
    let jkt = json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"});
    set("cnf", json!([null, null, null, null, null, jkt]));
    set("active", json!([null, null, null, null, null, null, true, false]));
    claims
}

/// Returns one of these choices, which are separated by bars.
fn one(rng: &mut Rng, choices: &'static str) -> &'static str {
    let choices: Vec<&str> = choices.split('|').collect();
    choices[rng.usize(..choices.len())]
}

/// The member of a JSON response that contains the JWT, where there is one.
pub const JWT_FIELD: &str = "jwt";

/// Most requests are for the first host.
const HOSTS: &str = "api.example.com|api.example.com|api.example.com|api.example.com|api.example.com|api.example.com|\
    api.example.com|api.example.com|API.example.com|shop.example.com|shop.example.org|api.example.com:8443|\
    api.example.com.|[::1]|a b";
