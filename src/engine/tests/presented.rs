//! Scenarios with the credentials that clients and browsers present, and with the form of refusals.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::host;
use crate::driver::{Driver, Outcome, Request, Response};
use crate::host::NoSharedData;
use crate::http::reply::Reply;
use crate::testing::{self, merge, settings, test};

/// The header fields of a request.
type Sent = &'static [(&'static str, &'static str)];

/// Sends a GET with these fields. The authorization server accepts the token `good`, and one with odd characters; it reports `dead` as
/// inactive, and fails for `down`.
fn send(configuration: Value, fields: &[(&str, &str)]) -> Outcome {
    let counted = super::Counted::default();
    let host = host(0, &NoSharedData, &counted);
    let mut all = BTreeMap::from([(":method", "GET"), (":authority", "api"), (":path", "/")]);
    all.extend(fields.iter().copied().filter(|(name, _)| name.starts_with(':')));
    let others = fields.iter().copied().filter(|(name, _)| !name.starts_with(':'));
    let fields = all.into_iter().chain(others);
    let fields = fields.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect();
    let request = Request { fields, ..Request::default() };
    Driver::new(settings(configuration), host).process(&request, host, &mut |call| {
        let body = String::from_utf8_lossy(call.request.body()).into_owned();
        let status = |status| Response::Complete { status, fields: Vec::new(), body: Vec::new() };
        Some(match body.split(['=', '&']).nth(1) {
            Some("dead") => status(204),
            Some("down") => status(500),
            _ => Response::of("application/jwt", testing::jwt(json!({}))),
        })
    })
}

/// Returns what services receive in a field, or the status and the reason of the refusal.
fn seen_in(outcome: &Outcome, field: &str) -> String {
    match outcome {
        Outcome::Forwarded { fields, .. } => {
            let values = fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(field));
            let values: Vec<_> = values.map(|(_, value)| String::from_utf8_lossy(value)).collect();
            values.join(" and ").replace(&testing::jwt(json!({})), "JWT")
        }
        Outcome::Answered(Reply { status, reason, .. }) => format!("{status} {}", reason.unwrap_or_default()),
        Outcome::Waiting => panic!("every call has a response"),
    }
}

fn reply(outcome: Outcome) -> Reply {
    match outcome {
        Outcome::Answered(reply) => reply,
        Outcome::Forwarded { .. } | Outcome::Waiting => panic!("{outcome:?}"),
    }
}

fn header<'r>(reply: &'r Reply, name: &str) -> &'r str {
    reply.headers.iter().find(|(own, _)| *own == name).map_or("", |(_, value)| value)
}

fn every_source(edits: Value) -> Value {
    let mut sources = json!({
        "query_parameter": "access_token", "cookie": "session",
        "header": "x-forwarded-authorization", "header_prefix": "Bearer ",
    });
    merge(&mut sources, edits);
    json!({"token_sources": sources})
}

fn optional() -> Value {
    let mut configuration = every_source(json!({}));
    merge(
        &mut configuration,
        json!({
            "claim_to_headers": [{"header": "x-user", "pointer": "/sub"}],
            "dpop": {"origins": ["https://api.example.com"], "shared": false},
            "token": {"dpop": "allowed"},
            "rules": [
                {"path": "/", "access": "optional", "scopes": ["orders:read"]},
                {"path": "/admin", "access": "optional", "scopes": ["admin"]},
            ],
        }),
    );
    configuration
}

/// Optional tokens: kgateway's `AllowMissing`, Envoy's `allow_missing`, a `RequestAuthentication` of Istio without an `AuthorizationPolicy`
/// (envoyproxy/gateway#3157, apache/apisix#10793). Each row has the fields of the request, and what services receive as `Authorization` and
/// as the user.
const OPTIONAL: &[(Sent, &str, &str)] = &[
    (&[], "", ""),
    (&[("authorization", "Bearer good")], "Bearer JWT", "alice"),
    (&[("cookie", "session=good")], "Bearer JWT", "alice"),
    // No token: credentials of other schemes, an absent cookie, a proof without a token, and fields that only resemble an identity.
    (&[("authorization", "Basic c3RhZ2luZzp4")], "", ""),
    (&[("authorization", "Negotiate abc")], "", ""),
    (&[("cookie", "theme=dark")], "", ""),
    (&[("cookie", "theme=dark; session=")], "", ""),
    (&[("x-forwarded-authorization", "Basic c3RhZ2luZzp4")], "", ""),
    (&[("dpop", "eyJhbGciOiJFUzI1NiJ9.e30.sig")], "", ""),
    (&[("x-user", "root"), ("X_User", "root")], "", ""),
    (&[("authorization", "Basic c3RhZ2luZzp4"), ("x-user", "root")], "", ""),
    // An invalid token never counts as an absent one.
    (&[("authorization", "Bearer dead")], "401 inactive", "401 inactive"),
    (&[("authorization", "Bearer a;b")], "401 invalid_token_syntax", "401 invalid_token_syntax"),
    (&[("authorization", "Bearer")], "400 malformed_credentials", "400 malformed_credentials"),
    (&[("authorization", "Bearer a b")], "400 malformed_credentials", "400 malformed_credentials"),
    (&[("authorization", "Basic a, Bearer b")], "400 repeated_credentials", "400 repeated_credentials"),
    // A token without its scheme, or after something that is not a scheme.
    (&[("authorization", "good")], "401 unsupported_scheme", "401 unsupported_scheme"),
    (&[("authorization", "Bearergood")], "401 unsupported_scheme", "401 unsupported_scheme"),
    (&[("authorization", "Bearer: good")], "401 unsupported_scheme", "401 unsupported_scheme"),
    (&[("authorization", "\"Bearer\" good")], "401 unsupported_scheme", "401 unsupported_scheme"),
    (&[("authorization", "Basic")], "401 unsupported_scheme", "401 unsupported_scheme"),
    (&[("authorization", "")], "400 malformed_credentials", "400 malformed_credentials"),
    (&[("authorization", "Bearer\tgood")], "400 malformed_credentials", "400 malformed_credentials"),
    (
        &[("authorization", "Basic a"), ("authorization", "Basic a")],
        "400 repeated_credentials",
        "400 repeated_credentials",
    ),
    (&[("cookie", "session =dead")], "401 inactive", "401 inactive"),
    (
        &[("x-forwarded-authorization", "Bearer: good")],
        "400 malformed_credentials",
        "400 malformed_credentials",
    ),
    (
        &[("x-forwarded-authorization", "Basic a, Bearer good")],
        "400 malformed_credentials",
        "400 malformed_credentials",
    ),
    (
        &[("authorization", "Bearer good"), ("cookie", "session=good")],
        "400 repeated_credentials",
        "400 repeated_credentials",
    ),
    (&[("authorization", "DPoP good")], "401 invalid_dpop_proof", "401 invalid_dpop_proof"),
    (&[("authorization", "Bearer down")], "503 unavailable", "503 unavailable"),
    // The requirements of the rule apply to tokens.
    (
        &[(":path", "/admin"), ("authorization", "Bearer good")],
        "403 insufficient_scope",
        "403 insufficient_scope",
    ),
    (&[(":path", "/admin")], "", ""),
];

/// If this failed, an anonymous visitor would pass as a user, or one whose session has ended would silently become anonymous.
#[test]
fn r170_an_optional_token_is_absent_or_good() {
    for (fields, authorization, user) in OPTIONAL {
        let outcome = send(optional(), fields);
        assert_eq!(seen_in(&outcome, "authorization"), *authorization, "{fields:?}");
        assert_eq!(seen_in(&outcome, "x-user"), *user, "{fields:?}");
        if let Outcome::Forwarded { fields: received, .. } = &outcome {
            let left = ["dpop", "x_user", "x-forwarded-authorization"];
            assert!(!received.iter().any(|(name, _)| left.contains(&name.to_ascii_lowercase().as_str())));
        }
    }
    let reported = json!({"rules": [{"path": "/", "access": "optional", "report_only": true}]});
    assert_eq!(seen_in(&send(reported, &[("authorization", "Bearer dead")]), "authorization"), "");
    // Without DPoP, a token of that scheme cannot be checked, but it does not count as absent.
    let plain = json!({"rules": [{"path": "/", "access": "optional"}]});
    let outcome = send(plain, &[("authorization", "DPoP good")]);
    assert_eq!(seen_in(&outcome, "authorization"), "401 unsupported_scheme");
}

/// The number of tokens in a request matters (R9), wherever they are; other credentials do not count.
#[test]
fn r171_other_credentials_beside_a_token_are_none() {
    let basic = ("authorization", "Basic c3RhZ2luZzp4");
    for (fields, expected) in [
        // jonathan-dejong/simple-jwt-authentication#13, envoyproxy/envoy#31468: the password of a staging site.
        (&[basic, ("cookie", "session=good")][..], "Bearer JWT"),
        (&[basic, ("x-forwarded-authorization", "Bearer good")], "Bearer JWT"),
        (&[basic, (":path", "/?access_token=good")], "Bearer JWT"),
        (
            &[("authorization", "Digest username=\"a\", realm=\"b\""), ("cookie", "session=good")],
            "Bearer JWT",
        ),
        (&[("authorization", ""), ("cookie", "session=good")], "Bearer JWT"),
        (&[basic, ("cookie", "session=dead")], "401 inactive"),
        (&[basic], "401 unsupported_scheme"),
        (&[("authorization", "Bearer good"), ("cookie", "session=good")], "400 repeated_credentials"),
        (&[("authorization", "DPoP good"), ("cookie", "session=good")], "400 repeated_credentials"),
        (
            &[("authorization", "Basic a, Bearer good"), ("cookie", "session=good")],
            "400 repeated_credentials",
        ),
        (&[basic, basic, ("cookie", "session=good")], "400 repeated_credentials"),
        (&[basic, ("cookie", "session=good; session=good")], "400 repeated_credentials"),
    ] {
        assert_eq!(seen_in(&send(every_source(json!({})), fields), "authorization"), expected, "{fields:?}");
    }
    // If the JWT is forwarded in another field, that password is not forwarded.
    let mut elsewhere = every_source(json!({}));
    merge(&mut elsewhere, json!({"jwt_header": "x-jwt"}));
    let outcome = send(elsewhere, &[basic, ("cookie", "session=good")]);
    assert_eq!(
        (seen_in(&outcome, "authorization"), seen_in(&outcome, "x-jwt")),
        (String::new(), "JWT".to_owned())
    );
}

/// A token in another field follows a prefix, as with Envoy's `value_prefix` and Istio's `prefix`. Each row has the configured prefix, the
/// value, and the outcome; the field is removed in any case.
#[test]
fn r172_a_token_in_another_field_may_stand_behind_a_prefix() {
    for (prefix, value, expected) in [
        // X-Serverless-Authorization, X-Forwarded-Authorization (smallrye/smallrye-jwt#286, esp-v2#594).
        (Some("Bearer "), "Bearer good", "Bearer JWT"),
        (Some("Bearer "), "bearer   good ", "Bearer JWT"),
        (Some("Bearer"), "BEARER good", "Bearer JWT"),
        (Some("Token "), "Token good", "Bearer JWT"),
        (Some("jwt="), "jwt=good", "Bearer JWT"),
        (Some("Bearer "), "Basic c3RhZ2luZzp4", "401 missing_credentials"),
        (Some("Bearer "), "Token good", "401 missing_credentials"),
        (Some("Bearer "), "good", "400 malformed_credentials"),
        (Some("Bearer "), "Bearergood", "400 malformed_credentials"),
        (Some("Bearer "), "Bearer", "400 malformed_credentials"),
        (Some("Bearer "), "Bearer a b", "400 malformed_credentials"),
        (Some("Bearer "), "Bearer\ta b", "400 malformed_credentials"),
        (Some("Bearer "), "Basic a, Bearer good", "400 malformed_credentials"),
        (Some("Bearer "), "Bearer good, Bearer good", "400 malformed_credentials"),
        (Some("Bearer "), "", "400 malformed_credentials"),
        (None, "good", "Bearer JWT"),
        (None, "Bearer good", "400 malformed_credentials"),
    ] {
        let sources = json!({"token_sources": {"header": "x-token", "header_prefix": prefix}});
        let outcome = send(sources.clone(), &[("x-token", value)]);
        assert_eq!(seen_in(&outcome, "authorization"), expected, "{prefix:?} {value}");
        let beside = send(sources, &[("x-token", value), ("authorization", "Bearer good")]);
        let is_none = expected == "401 missing_credentials";
        let expected = if is_none { "Bearer JWT" } else { "400 repeated_credentials" };
        assert_eq!(seen_in(&beside, "authorization"), expected, "{prefix:?} {value}");
        if is_none {
            assert_eq!(seen_in(&beside, "x-token"), "", "the field is gone");
        }
    }
}

/// Servers whose tokens go beyond RFC 6750 §2.1, and characters that no token may contain: they would end it in a field, a cookie or a
/// query.
#[test]
fn r173_characters_beyond_bearer_tokens_are_taken_where_that_is_asked_for() {
    let visible = json!({"token_sources": {"alphabet": "visible"}});
    for token in [
        "00D50000000IZ3Z!AQ0AQDpEDKYsn7ioKug2aSmgCjgrPjG9eRLza8jXWoW7uA", // Salesforce
        "1|laravel10token",                                               // Laravel Sanctum
        "AQIC5wM2LY4Sfcw.*AAJTSQACMDE.*",                                 // OpenAM
        "{a:b}@c$d'e(f)^g`h<i>[j]%k#l=m",
    ] {
        let fields = [("authorization", &*format!("Bearer {token}"))];
        assert_eq!(seen_in(&send(visible.clone(), &fields), "authorization"), "Bearer JWT", "{token}");
        assert_eq!(
            seen_in(&send(json!({}), &fields), "authorization"),
            "401 invalid_token_syntax",
            "{token}"
        );
        let query = format!("/?a=1&b={}", token.replace('%', "%25").replace('#', "%23"));
        let twice = [fields[0], (":path", query.as_str())];
        assert_eq!(seen_in(&send(visible.clone(), &twice), "authorization"), "400 repeated_credentials");
    }
    for (token, expected) in [
        ("a\"b", "401 invalid_token_syntax"),
        ("a\\b", "401 invalid_token_syntax"),
        ("a;b", "401 invalid_token_syntax"),
        ("a&b", "401 invalid_token_syntax"),
        ("a?b", "401 invalid_token_syntax"),
        ("a\u{e9}", "401 invalid_token_syntax"),
        ("a\u{7f}", "401 invalid_token_syntax"),
        ("a\u{1}", "401 invalid_token_syntax"),
        ("a,b", "400 malformed_credentials"),
        ("a b", "400 malformed_credentials"),
        ("a\tb", "400 malformed_credentials"),
    ] {
        let fields = [("authorization", &*format!("Bearer {token}"))];
        assert_eq!(seen_in(&send(visible.clone(), &fields), "authorization"), expected, "{token:?}");
    }
}

/// If the text blamed `Authorization` for a cookie, its reader would look in the wrong place. The text is fixed, except for names that the
/// operator chose.
#[test]
fn r174_the_text_names_the_place_of_wrong_credentials() {
    let authorization = "the Authorization header field";
    let long = "a".repeat(9000);
    for (fields, reason, places) in [
        (&[("authorization", "Bearer")][..], "malformed_credentials", authorization.to_owned()),
        (&[("authorization", "Bearer a;b")], "invalid_token_syntax", authorization.to_owned()),
        (&[("authorization", &*format!("Bearer {long}"))], "token_too_long", authorization.to_owned()),
        (&[("cookie", "session=a b")], "malformed_credentials", "the cookie 'session'".to_owned()),
        (&[("cookie", "session=a*b")], "invalid_token_syntax", "the cookie 'session'".to_owned()),
        (&[("cookie", &*format!("session={long}"))], "token_too_long", "the cookie 'session'".to_owned()),
        (
            &[("authorization", "Basic x"), ("cookie", "session=a*b")],
            "invalid_token_syntax",
            "the cookie 'session'".to_owned(),
        ),
        (
            &[(":path", "/?access_token")],
            "malformed_credentials",
            "the query parameter 'access_token'".to_owned(),
        ),
        (
            &[("x-forwarded-authorization", "good")],
            "malformed_credentials",
            "the header field 'x-forwarded-authorization'".to_owned(),
        ),
        (
            &[("x-forwarded-authorization", "Bearer \"good\"")],
            "invalid_token_syntax",
            "the header field 'x-forwarded-authorization'".to_owned(),
        ),
        (
            &[("authorization", "Bearer a"), ("cookie", "session=b")],
            "repeated_credentials",
            format!("{authorization} and the cookie 'session'"),
        ),
        (&[("cookie", "session=a; session=b")], "repeated_credentials", "the cookie 'session'".to_owned()),
        (
            &[("authorization", "Bearer good"), (":path", "/?jwt=good")],
            "repeated_credentials",
            format!("{authorization} and the query"),
        ),
    ] {
        let reply = reply(send(every_source(json!({})), fields));
        assert_eq!(reply.reason, Some(reason), "{fields:?}");
        let body: Value = serde_json::from_str(&reply.body).expect("JSON");
        let text = body["error_description"].as_str().expect("a text");
        assert!(text.ends_with(&format!(", in {places}")), "{fields:?}: {text}");
        if reply.status != 431 {
            assert!(header(&reply, "www-authenticate").contains(text), "{text}");
        }
    }
}

/// If a page could not read the reply to a request with its dead cookie, it could not log in again (openlink/virtuoso#389,
/// gaul/s3proxy#415, apache/apisix#8791); a page of another origin must not read it.
#[test]
fn r081_pages_that_send_cookies_may_read_refusals() {
    let origin = "https://app.example.com";
    let cookie = json!({"cookie": "session"});
    for (sources, allow_credentials, expected) in [
        (cookie.clone(), Value::Null, "true"),
        (json!({}), Value::Null, ""),
        (json!({}), json!(true), "true"),
        (cookie, json!(false), ""),
    ] {
        let configuration = json!({
            "cors": {"allow_origins": [origin], "allow_credentials": allow_credentials},
            "token_sources": sources,
        });
        let refused = |fields: &[(&str, &str)]| reply(send(configuration.clone(), fields));
        for fields in [&[("origin", origin)][..], &[("origin", origin), ("authorization", "Bearer dead")]] {
            let reply = refused(fields);
            assert_eq!(header(&reply, "access-control-allow-credentials"), expected, "{configuration}");
            assert_eq!(header(&reply, "access-control-allow-origin"), origin);
            assert!(header(&reply, "access-control-expose-headers").contains("grpc-status, grpc-message"));
        }
        let other = refused(&[("origin", "https://evil.example.com")]);
        assert!(!other.headers.iter().any(|(name, _)| name.starts_with("access-control-")), "{other:?}");
    }
}

/// If rules decided about the preflight for one of the gateway's own documents, no page of an MCP client could read it
/// (routecraftjs/routecraft#320, doobidoo/mcp-memory-service#877). No service is called, and preflights for other paths are treated as
/// usual.
#[test]
fn r175_preflights_for_documents_of_the_gateway_are_answered_for_every_origin() {
    let resource =
        json!({"resource": "https://api/mcp", "authorization_servers": ["https://login.example.com"]});
    let configuration = json!({
        "resource_metadata": [resource],
        "cors": {"allow_origins": ["https://app.example.com"]},
        "rules": [{"path": "/mcp"}],
    });
    let path = "/.well-known/oauth-protected-resource/mcp";
    let preflight = |path, method, origin| {
        send(
            configuration.clone(),
            &[
                (":method", "OPTIONS"),
                (":path", path),
                ("origin", origin),
                ("access-control-request-method", method),
            ],
        )
    };
    for origin in ["https://app.example.com", "https://inspector.example.org", "null"] {
        for method in ["GET", "HEAD"] {
            let reply = reply(preflight(path, method, origin));
            assert_eq!((reply.status, reply.reason, reply.body.as_str()), (204, None, ""));
            assert_eq!(header(&reply, "access-control-allow-origin"), "*");
            assert!(header(&reply, "access-control-allow-headers").contains("mcp-protocol-version"));
            assert_eq!(header(&reply, "access-control-allow-credentials"), "", "never with *");
        }
        for (path, method) in [(path, "POST"), (path, "get"), ("/other", "GET")] {
            // The preflight of an allowed origin passes, and the reply to the request itself tells the page why it is refused.
            let expected = if origin == "https://app.example.com" { "204 " } else { "403 no_matching_rule" };
            let outcome = seen_in(&preflight(path, method, origin), "");
            assert_eq!(outcome, expected, "{path} {method} {origin}");
        }
    }
}

/// Envoy's CORS filter replaces `*` with the origin of a page. If a browser reused that response for a page of another origin, that page
/// could not read where to log in, for as long as the document may be cached.
#[test]
fn r285_documents_vary_by_origin() {
    let resource =
        json!({"resource": "https://api/mcp", "authorization_servers": ["https://login.example.com"]});
    let path = "/.well-known/oauth-protected-resource/mcp";
    let reply = reply(send(json!({"resource_metadata": resource}), &[(":path", path)]));
    assert_eq!((header(&reply, "vary"), header(&reply, "access-control-allow-origin")), ("origin", "*"));
}

/// A preflight names a method, which is a token (RFC 9110 §9.1). If anything else were accepted as a method, the request would reach the
/// API without a token.
#[test]
fn r080_what_names_no_method_is_no_preflight() {
    let configuration = json!({"cors": {"allow_origins": ["https://app.example.com"]}});
    for (method, expected) in [
        ("GET", ""),
        ("M-SEARCH", ""),
        ("", "401 missing_credentials"),
        ("G E,T", "401 missing_credentials"),
        (" ", "401 missing_credentials"),
        ("GET, POST", "401 missing_credentials"),
        ("GET/", "401 missing_credentials"),
        ("\u{e9}", "401 missing_credentials"),
    ] {
        let origin = ("origin", "https://app.example.com");
        let asked = ("access-control-request-method", method);
        let outcome = send(configuration.clone(), &[(":method", "OPTIONS"), origin, asked]);
        assert_eq!(seen_in(&outcome, "authorization"), expected, "{method:?}");
    }
}

/// A response to TRACE shows the request to the client (RFC 9110 §9.3.8), which must never see the JWT; CONNECT has no path to match.
#[test]
fn r177_nothing_is_added_to_a_request_that_is_reflected() {
    let rules = json!({"rules": [
        {"path": "/orders"},
        {"path": "/optional", "access": "optional"},
        {"path": "/public", "access": "public"},
        {"path": "/tunnel", "methods": ["CONNECT"]},
    ]});
    for (method, path, expected) in [
        ("TRACE", "/orders", "403 no_matching_rule"),
        ("trace", "/orders", "403 no_matching_rule"),
        ("TRACK", "/orders", "403 no_matching_rule"),
        ("TRACE", "/optional", "403 no_matching_rule"),
        ("TRACE", "/tunnel", "403 no_matching_rule"),
        ("TRACE", "/public", ""),
        ("CONNECT", "/orders", "403 no_matching_rule"),
        ("CONNECT", "/public", "403 no_matching_rule"),
        ("CONNECT", "/tunnel", "Bearer JWT"),
        ("PATCH", "/orders", "Bearer JWT"),
        ("DEBUG", "/orders", "Bearer JWT"),
        ("OPTIONS", "/orders", "Bearer JWT"),
    ] {
        let outcome =
            send(rules.clone(), &[(":method", method), (":path", path), ("authorization", "Bearer good")]);
        assert_eq!(seen_in(&outcome, "authorization"), expected, "{method} {path}");
    }
    // Nor does such a request fall through from a protected path to a public rule.
    let wide = json!({"rules": [{"path": "/orders"}, {"path": "/", "access": "public"}]});
    let outcome = send(wide, &[(":method", "TRACE"), (":path", "/orders")]);
    assert_eq!(seen_in(&outcome, "authorization"), "403 no_matching_rule");
}

/// A client that has no token yet learns which scopes to request (RFC 6750 §3; MCP's authorization, "Scope Selection Strategy";
/// pomerium/pomerium#6035). So does one whose token is dead: MCP clients forget the scopes that they had requested later together with the
/// token, and would have to log in twice: first for a token that lacks scopes, and once more.
#[test]
fn r001_the_challenge_of_a_request_without_a_good_token_names_the_scopes() {
    let rules = json!({"realm": "api", "rules": [{"path": "/", "scopes": ["orders:write", "profile"]}, {"path": "/any"}]});
    let challenge =
        |fields: &[(&str, &str)]| header(&reply(send(rules.clone(), fields)), "www-authenticate").to_owned();
    assert_eq!(challenge(&[]), r#"Bearer realm="api", scope="orders:write profile""#);
    assert_eq!(
        challenge(&[("authorization", "Basic x")]),
        r#"Bearer realm="api", scope="orders:write profile""#
    );
    assert_eq!(challenge(&[(":path", "/any")]), r#"Bearer realm="api""#);
    let dead = challenge(&[("authorization", "Bearer dead")]);
    assert!(
        dead.contains(r#"error="invalid_token""#) && dead.contains(r#"scope="orders:write profile""#),
        "{dead}"
    );
    assert!(!challenge(&[("authorization", "Bearer")]).contains("scope="), "a malformed request");
    assert!(challenge(&[("authorization", "Bearer good")]).contains(r#"scope="orders:write profile""#));
}

/// If a call were refused with an HTTP status alone, or with one about credentials that are valid, its client would report an unknown
/// error, or log in forever.
#[test]
fn r083_grpc_calls_are_refused_by_the_status_of_the_reason() {
    let rules = json!({"rules": [{"path": "/", "hosts": ["api.example.com"], "scopes": ["admin"]}]});
    for (fields, http, grpc) in [
        (&[][..], 401, 16),
        (&[("authorization", "Bearer dead")], 401, 16),
        (&[("authorization", "Bearer")], 400, 16),
        (&[("authorization", "Bearer good")], 403, 7),
        (&[("authorization", "Bearer down")], 503, 14),
        (&[(":authority", "other.example.com"), ("authorization", "Bearer good")], 403, 7),
        // grpc/grpc-web#569 and clients whose authority contains the port: the request is wrong, and the token is valid.
        (&[(":authority", "api.example.com:443"), ("authorization", "Bearer good")], 400, 3),
    ] {
        for media_type in
            ["application/grpc;charset=x", "application/grpc-web+proto", "application/grpc-web-text"]
        {
            let all = [&[(":authority", "api.example.com"), ("content-type", media_type)], fields].concat();
            let answered = reply(send(rules.clone(), &all));
            assert_eq!((answered.status, answered.grpc_status), (http, grpc), "{all:?}");
            let sent = answered.for_host(true);
            assert_eq!((sent.status, header(&sent, "grpc-status")), (200, &*grpc.to_string()), "{all:?}");
        }
    }
}

/// If this failed, a stream would outlive its token although the configuration forbids that, or a client's shorter timeout would be
/// extended.
#[test]
fn r179_the_host_receives_the_time_until_the_token_ends() {
    let ending = json!({"end_streams_with_token": true, "token": {"leeway": "0s"}});
    let good = ("authorization", "Bearer good");
    for (configuration, fields, expected) in [
        (ending.clone(), vec![good], "600000m"),
        (ending.clone(), vec![good, ("grpc-timeout", "1H")], "600000m"),
        (ending.clone(), vec![good, ("grpc-timeout", "5S")], "5000m"),
        (ending.clone(), vec![good, ("Grpc-Timeout", "x"), ("grpc-timeout", "1S")], "600000m"),
        (json!({"end_streams_with_token": true}), vec![good], "605000m"),
        (json!({}), vec![good, ("grpc-timeout", "1H")], "1H"),
        (json!({"end_streams_with_token": true, "rules": [{"path": "/", "access": "optional"}]}), vec![], ""),
    ] {
        assert_eq!(seen_in(&send(configuration, &fields), "grpc-timeout"), expected, "{fields:?}");
    }
}
