use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::config::HostKind;
use crate::fields::{ConfigErrors, Kind, Reader, SdsSecret, SecretDiscovery, SecretSources};
use crate::introspection::{ClientAuthentication, Method, Protocol};
use crate::testing::{configured, minimal, parse, settings, test};

fn errors(configuration: &Value) -> Vec<String> {
    match parse(configuration) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.iter().map(ConfigError::to_string).collect(),
    }
}

fn check(edits: Value, expected: &str) {
    let found = errors(&configured(edits.clone()));
    assert_eq!(found, [expected], "{edits}");
}

/// If a server with an error counted as one without introspection, a missing secret, which is the first error of most operators, would be
/// reported together with a nonsensical one.
#[test]
fn a_secret_that_is_not_there_is_the_only_error() {
    let found = errors(&json!({
        "introspection": {
            "endpoint": "https://login.example.com/introspect", "upstream": "login", "client_id": "gateway",
            "client_secret": {"env": "UNSET"},
        },
        "rules": [{"path": "/orders", "scopes": ["orders:read"]}],
    }));
    let [only] = found.as_slice() else { panic!("{found:?}") };
    assert!(only.starts_with("introspection.client_secret: names a variable"), "{only}");
}

/// The configuration of the README, as JSON.
#[test]
fn the_documented_configuration_is_read() {
    let settings = parse(&json!({
        "introspection": {
            "endpoint": "https://login.example.com/oauth/v2/introspect",
            "upstream": "authorization-server",
            "client_id": "gateway",
            "client_secret": {"env": "SECRET"},
            "response": {"accept": "application/jwt"},
            "timeout": "2s",
        },
        "token": {"issuer": "https://login.example.com", "audience": ["orders-api"], "leeway": "5s"},
        "cache": {"max_entries": 10000, "max_ttl": "5m"},
        "realm": "api",
        "rules": [
            {"path": "/health", "access": "public"},
            {"path": "/orders", "methods": ["GET"], "scopes": ["orders:read"]},
            {"path": "/"},
        ],
    }))
    .expect("no errors");
    let introspection = settings.servers[0].introspection.as_ref().expect("an endpoint");
    let Protocol::Introspection { authentication, .. } = &introspection.endpoint.protocol else { panic!() };
    match &**authentication {
        ClientAuthentication::Basic(client) => assert_eq!(client.secret.expose(), "from-the-environment"),
        other => panic!("{other:?}"),
    }
    assert_eq!(settings.protection.realm, "api");
}

#[test]
fn r038_all_errors_are_reported_at_once_with_their_paths() {
    let found = errors(&json!({
        "introspection": {
            "endpoint": "login.example.com", "upstream": "", "client_id": 5, "client_secret": {"env": "UNSET"},
            "timeout": "2h", "respond": {},
        },
        "token": {"leeway": "2m", "audience": []},
        "cache": {"max_entries": 0, "max_ttl": 300},
        "rules": [
            {"path": "orders"},
            {"path": "/a", "scopes": ["a b"], "methods": ["get"], "pathh": 1},
            {"path": "/b", "access": "public", "scopes": []},
            "rule",
            {"path": "/c"}, {"path": "/c"},
        ],
        "rule": [],
    }));
    assert_eq!(
        found,
        [
            "introspection.endpoint: must be an absolute URL of http or https",
            "introspection.upstream: must be visible ASCII",
            "introspection.client_id: must be a string",
            "introspection.client_secret: names a variable that is unset or empty in the environment of the proxy",
            "introspection.timeout: must be a duration between 1ms and 1m, like 2s",
            "introspection.respond: is not a field",
            "token.audience: must not be empty or have an empty element",
            "token.leeway: must be a duration between 0s and 1m, like 2s",
            "cache.max_entries: must be between 16 and 1000000, got 0",
            "cache.max_ttl: must be a string",
            r#"rules[0].path: must start with "/""#,
            "rules[1].methods: must be method names in upper case",
            "rules[1].scopes: must be scope tokens (RFC 6749 §3.3): visible ASCII, no space",
            "rules[1].pathh: is not a field",
            "rules[2].access: must not be public if the rule has requirements for the token",
            "rules[3]: must be an object",
            "rules[5]: matches the same requests as rules[4], but for letter case perhaps",
            "rule: is not a field",
        ]
    );
}

#[test]
fn r038_each_field_refuses_what_it_cannot_mean() {
    check(json!({"introspection": null}), "introspection: is required");
    check(json!({"rules": null}), "rules: must not be empty: without a rule, nothing is exposed");
    check(
        json!({"token_sources": {"header_prefix": "Bearer "}}),
        "token_sources.header_prefix: needs a header",
    );
    check(
        json!({"rules": [{"path": "/", "access": "optional", "routes": ["a"]}]}),
        "rules[0].access: must not be optional in a rule for routes: it exposes nothing",
    );
    for access in ["protected", "optional"] {
        check(
            json!({"rules": [{"path": "/", "access": access, "methods": ["GET", "TRACE"]}]}),
            "rules[0].methods: must not include TRACE or TRACK where a token is accepted: services respond by echoing the request",
        );
    }
    check(json!({"rules": []}), "rules: must not be empty: without a rule, nothing is exposed");
    check(json!({"realm": "a\nb"}), "realm: must be visible ASCII");
    check(json!({"log_level": "loud"}), "log_level: must be off, error, warn, info, debug or trace");
    check(
        json!({"introspection": {"response": {"accept": "application/jwt, application/json"}}}),
        "introspection.response.accept: must be application/jwt, application/json or application/token-introspection+jwt",
    );
    check(
        json!({"introspection": {"response": {"accept": "application/json"}}}),
        "introspection.response.accept: leaves services without a JWT: configure mint or claim_to_headers, or jwt_field if the JSON has one",
    );
    check(
        json!({"introspection": {"response": {"jwt_field": "active"}}}),
        "introspection.response.jwt_field: must be the name of a member that holds a JWT",
    );
    for url in ["https://:80/x", "https://a:99999/x", "https://a:0/", "https://a:/x", "https://user:pass@a/"]
    {
        let found = errors(&configured(json!({"introspection": {"endpoint": url}})));
        assert!(
            found.len() == 1 && found[0].starts_with("introspection.endpoint: must "),
            "{url}: {found:?}"
        );
    }
    check(
        json!({"introspection": {"endpoint": "https://login.example.com/#x"}}),
        "introspection.endpoint: must be ASCII without a fragment",
    );
    let host = "rules[0].hosts[0]: must be a name in lower case without port, or *. and a domain; left out, it is for all hosts";
    for name in [
        "Example.com",
        "example.com:80",
        "*",
        "*.",
        "a b",
        "exa*mple.com",
        ".example.com",
        "a.",
        "*.a.",
        "*.*.example.com",
        "*example.com",
        "example.*",
        "https://example.com",
        "ex\u{e4}mple.com",
        "::1",
        "[::1]:80",
        "[::FFFF]",
        "a..b",
        "a[b",
    ] {
        check(json!({"rules": [{"path": "/", "hosts": [name]}]}), host);
    }
    check(
        json!({"rules": [{"path": "/", "hosts": ["a", "[::1]", "a"]}]}),
        "rules[0].hosts[2]: is a duplicate",
    );
    let path = "rules[0].path: must be a plain path: no query, no dot segments, no escapes";
    for written in ["/a?b", "/a/../b", "/a//b", "/%61", "/a%40", "/a;b", "/a%2fb"] {
        check(json!({"rules": [{"path": written}]}), path);
    }
    check(
        json!({"rules": [{"path": "/a/"}]}),
        r#"rules[0].path: must not end with "/": it is for that anyway"#,
    );
    check(
        json!({"rules": [{"path": "/admin", "access": "public"}, {"path": "/Admin"}]}),
        "rules[1]: matches the same requests as rules[0], but for letter case perhaps",
    );
    // Patterns of other routers: Istio, Express, regular expressions, Next.js, Flask, gRPC gateways.
    for pattern in
        ["/a/*", "/a/**", "/*/b", "/a*", "/a/.*", "/a/:id", "/a/[0-9]+", "/a/[id]", "/a/<id>", "/a/^b"]
    {
        let found = errors(&configured(json!({"rules": [{"path": pattern}]})));
        assert!(
            found.len() == 1 && found[0].starts_with("rules[0].path: must not have *"),
            "{pattern}: {found:?}"
        );
    }
    for path in ["api", "~/a", "^/a", "", "*", "{id}"] {
        check(json!({"rules": [{"path": path}]}), r#"rules[0].path: must start with "/""#);
    }
    for (method, expected) in [
        ("get", "rules[0].methods: must be method names in upper case"),
        ("Get", "rules[0].methods: must be method names in upper case"),
        ("GET,POST", "rules[0].methods: must be method names in upper case"),
        ("GET ", "rules[0].methods: must be method names in upper case"),
        ("*", "rules[0].methods: must be left out if the rule is for all methods"),
        ("ANY", "rules[0].methods: must be left out if the rule is for all methods"),
        ("ALL", "rules[0].methods: must be left out if the rule is for all methods"),
    ] {
        check(json!({"rules": [{"path": "/", "methods": [method]}]}), expected);
    }
    for (alternative, expected) in [
        (json!({}), "rules[0].any_of[1]: must require something: every token meets it"),
        (
            json!({"scopes": [], "claims": []}),
            "rules[0].any_of[1]: must require something: every token meets it",
        ),
        (
            json!({"scopes": ["a b"]}),
            "rules[0].any_of[1].scopes: must be scope tokens (RFC 6749 §3.3): visible ASCII, no space",
        ),
        (json!({"scopes": ["a"], "access": "public"}), "rules[0].any_of[1].access: is not a field"),
        (json!({"scopes": ["a"], "dpop": "required"}), "rules[0].any_of[1].dpop: is not a field"),
        (json!({"any_of": []}), "rules[0].any_of[1].any_of: is not a field"),
        (json!("a"), "rules[0].any_of[1]: must be an object"),
    ] {
        check(json!({"rules": [{"path": "/", "any_of": [{"scopes": ["a"]}, alternative]}]}), expected);
    }
    check(
        json!({"rules": [{"path": "/", "any_of": []}]}),
        "rules[0].any_of: must not be empty or have an empty element",
    );
    for template in [
        "/a{id}",
        "/{id:[0-9]+}",
        "/{path=**}",
        "/{*rest}",
        "/{id}.json",
        "/{}",
        "/{a/b}",
        "/a/{i d}",
        "/{a}{b}",
    ] {
        let found = errors(&configured(json!({"rules": [{"path": template}]})));
        assert!(found.len() == 1 && found[0].starts_with("rules[0].path: must "), "{template}: {found:?}");
    }
    check(
        json!({"rules": [{"path": "/a/{id}"}, {"path": "/a/{name}"}]}),
        "rules[1]: matches the same requests as rules[0], but for letter case perhaps",
    );
    check(
        json!({"rules": [{"path": "/", "path_match": "regex"}]}),
        "rules[0].path_match: must be prefix or exact",
    );
    check(
        json!({"rules": [{"path": "/", "peers": ["cart"]}]}),
        "rules[0].peers: must be URIs of certificates, like spiffe://cluster.local/ns/shop/sa/cart",
    );
    check(
        json!({"rules": [{"path": "/", "access": "open"}]}),
        "rules[0].access: must be public, optional or protected",
    );
    check(json!({"realm": "  "}), "realm: must be visible ASCII");
    check(
        json!({"cache": {"max_entries": 1000, "max_bytes": 65536}}),
        "cache.max_bytes: must be at least 256 for each of cache.max_entries",
    );
    check(
        json!({"cache": {"max_ttl": "1m", "no_store_ttl": "2m"}}),
        "cache.no_store_ttl: must not be longer than cache.max_ttl",
    );
    let get_and_head = json!([{"path": "/", "methods": ["GET"]}, {"path": "/", "methods": ["HEAD"]}]);
    check(
        json!({"rules": get_and_head}),
        "rules[1]: matches the same requests as rules[0], but for letter case perhaps",
    );
    for (condition, expected) in [
        (json!({"present": true}), "rules[0].claims[0].pointer: is required"),
        (
            json!({"pointer": "/a"}),
            "rules[0].claims[0].pointer: needs exactly one of present, one_of and contains beside it",
        ),
        (json!({"pointer": "/a", "present": false}), "rules[0].claims[0].present: must be true"),
        (json!({"pointer": "/a", "one_of": []}), "rules[0].claims[0].one_of: must not be empty"),
        (
            json!({"pointer": "/a", "contains": "x", "one_of": ["x"]}),
            "rules[0].claims[0].pointer: needs exactly one of present, one_of and contains beside it",
        ),
        (
            json!({"pointer": "/a", "contains": ["x", "y"]}),
            "rules[0].claims[0].contains: must be one value: use one_of for alternatives",
        ),
        (
            json!({"pointer": "/a", "present": true, "separated_by": "comma"}),
            "rules[0].claims[0].separated_by: must be left out with present",
        ),
        (
            json!({"pointer": "/a", "one_of": ["x"], "separated_by": ","}),
            "rules[0].claims[0].separated_by: must be comma or space",
        ),
        (json!({"pointer": "/a", "one_of": [1], "is": 1}), "rules[0].claims[0].is: is not a field"),
    ] {
        check(json!({"rules": [{"path": "/", "claims": [condition]}]}), expected);
    }
    for pointer in ["a", "/", "/a~2", "/exp"] {
        let condition = json!({"pointer": pointer, "present": true});
        let expected = "rules[0].claims[0].pointer: must be a JSON Pointer (RFC 6901), like /department, to no registered date";
        check(json!({"rules": [{"path": "/", "claims": [condition]}]}), expected);
    }
    for (header, expected) in [
        (
            json!({"header": "X-User", "pointer": "/sub"}),
            "claim_to_headers[0].header: must be a field name in lower case without a meaning in HTTP itself",
        ),
        (
            json!({"header": "authorization", "pointer": "/sub"}),
            "claim_to_headers[0].header: must be a field name in lower case without a meaning in HTTP itself",
        ),
        (
            json!({"header": "x-user", "pointer": "sub"}),
            "claim_to_headers[0].pointer: must be a JSON Pointer (RFC 6901), like /sub, to no registered date",
        ),
        (
            json!({"header": "x-user", "pointer": "/sub", "encoding": "hex"}),
            "claim_to_headers[0].encoding: must be plain, base64url, comma_separated or space_separated",
        ),
    ] {
        check(json!({"claim_to_headers": [header]}), expected);
    }
    for origin in [
        "*",
        "https://app.example.com/",
        "app.example.com",
        "https://App.example.com",
        "https://a.example.com/x",
    ] {
        let expected =
            "cors.allow_origins[0]: must be an origin as browsers write it, like https://app.example.com";
        check(json!({"cors": {"allow_origins": [origin]}}), expected);
    }
    let twice = json!([{"header": "x-user", "pointer": "/sub"}, {"header": "x_user", "pointer": "/sub"}]);
    check(json!({"claim_to_headers": twice}), "claim_to_headers[1].header: is a duplicate");
    check(
        json!({"rules": [{"path": "/", "methods": [""]}]}),
        "rules[0].methods: must not be empty or have an empty element",
    );
    for list in ["hosts", "methods", "audience", "scopes_any_of", "acr_values", "routes", "peers"] {
        let expected = format!("rules[0].{list}: must not be empty or have an empty element");
        check(json!({"rules": [{"path": "/", list: []}]}), &expected);
    }
}

#[test]
fn r019_a_method_of_authentication_has_its_own_fields_and_no_others() {
    let method = |method: &str, edits: Value| {
        let mut introspection = json!({"auth_method": method});
        for (name, value) in edits.as_object().into_iter().flatten() {
            introspection[name] = value.clone();
        }
        errors(&configured(json!({"introspection": introspection})))
    };
    let no_secret = json!({"client_secret": null});
    let no_client = json!({"client_id": null, "client_secret": null, "bearer_token": {"env": "SECRET"}});
    for (name, edits) in [
        ("client_secret_basic", json!({})),
        ("client_secret_basic_raw", json!({})),
        ("client_secret_post", json!({})),
        ("none", no_secret.clone()),
        ("bearer_token", no_client.clone()),
    ] {
        assert_eq!(method(name, edits), [""; 0], "{name}");
    }
    let unknown = format!("introspection.auth_method: {}", Method::MUST_BE);
    for (name, edits, expected) in [
        ("tls", json!({}), unknown.as_str()),
        ("none", json!({}), "introspection.client_secret: must be left out where auth_method is none"),
        ("client_secret_post", no_secret, "introspection.client_secret: is required"),
        (
            "client_secret_post",
            json!({"bearer_token": "t"}),
            "introspection.bearer_token: must be left out where auth_method is client_secret_post",
        ),
    ] {
        assert_eq!(method(name, edits), [expected], "{name}");
    }
    check(
        json!({"introspection": {"parameters": {"token": "x"}}}),
        "introspection.parameters.token: is reserved",
    );
    for name in ["authorization", "X-Api-Key", ":path", "a b", "host"] {
        let expected = format!(
            "introspection.headers.{name}: must be a field name in lower case that neither the filter nor the host sends itself"
        );
        check(json!({"introspection": {"headers": {name: "x"}}}), &expected);
    }
    check(
        json!({"introspection": {"headers": {"x-api-key": "a\nb"}}}),
        "introspection.headers.x-api-key: must be visible ASCII",
    );
}

/// A host may pass protobuf bytes, nothing, or other text instead of JSON. If the filter started with that, nothing would be checked.
#[test]
fn r038_what_is_no_json_object_never_starts() {
    let minimal = minimal().to_string();
    for text in [
        "",
        "[]",
        "null",
        "introspection:\n",
        "\u{a}\u{5}rules",
        minimal.trim_start_matches('{'),
        &format!("{minimal}x"),
    ] {
        let errors = Settings::parse(text.as_bytes(), &|_| None).err().map(|errors| errors.to_string());
        assert!(
            errors.is_some_and(|text| text.starts_with("the configuration must be a JSON object")),
            "{text}"
        );
    }
    let twice = minimal.replacen('{', r#"{"rules":[{"path":"/","access":"public"}],"#, 1);
    assert!(Settings::parse(twice.as_bytes(), &|_| None).is_err(), "a member twice");
}

/// If a value were repeated in an error, a secret in the wrong place would be in the log.
#[test]
fn r110_no_message_and_no_print_shows_a_secret() {
    let secret = "hunter2-hunter2";
    let found = errors(&json!({
        "introspection": {"client_secret": {"env": secret, "x": secret}, "client_id": [secret], "endpoint": secret},
        "rules": [{"path": secret}],
        "realm": {"secret": secret},
    }));
    assert!(found.len() > 3 && !found.join("\n").contains(secret), "{found:?}");
    let endpoint = format!("https://login.example.com/introspect?key={secret}");
    assert!(!settings(json!({"introspection": {"endpoint": endpoint}})).to_string().contains(secret));
    let settings = settings(json!({"introspection": {"client_secret": secret}}));
    assert!(!format!("{settings:?} {settings}").contains(secret));
}

#[test]
fn a_secret_from_the_environment_has_to_be_there() {
    let secret = json!({"introspection": {"client_secret": null}});
    check(secret, "introspection.client_secret: is required");
    check(json!({"introspection": {"client_secret": ""}}), "introspection.client_secret: must not be empty");
    for secret in
        [json!(5), json!(["SECRET"]), json!({}), json!({"env": 5}), json!({"env": "SECRET", "x": "y"})]
    {
        check(
            json!({"introspection": {"client_secret": secret}}),
            r#"introspection.client_secret: must be a string, {"env": NAME} or {"sds": {"name": NAME}}"#,
        );
    }
}

fn sds() -> Value {
    json!({"sds": {"name": "a-secret", "sds_config": {"ads": {}}}})
}

fn delivered(text: &str, discovery: SecretDiscovery<'_>) -> Result<Settings, ConfigErrors> {
    let sources = SecretSources { environment: &|_| None, discovery };
    Settings::parse_for(HostKind::EnvoyModule, text.as_bytes(), sources)
}

/// If this failed, other mistakes would go unreported until the secret arrives, or the filter would run without a secret that it can never
/// get.
#[test]
fn r281_a_secret_by_sds_is_an_error_awaited_or_there() {
    let with = |reference: Value| configured(json!({"introspection": {"client_secret": reference}}));
    let errors = |configuration: &Value, discovery: SecretDiscovery<'_>| {
        delivered(&configuration.to_string(), discovery).map(|_| ()).map_err(|errors| errors.to_string())
    };
    let asked = |secret: &SdsSecret| {
        assert_eq!((secret.name.as_str(), secret.sds_config.as_deref()), ("a-secret", Some(r#"{"ads":{}}"#)));
        Ok(Some("delivered".to_owned()))
    };
    assert_eq!(errors(&with(sds()), &asked), Ok(()));
    let refused = errors(&with(sds()), &|_| Err("is refused"));
    assert_eq!(refused, Err("introspection.client_secret: is refused".to_owned()));
    let empty = delivered(&with(sds()).to_string(), &|_| Ok(Some(String::new()))).expect_err("no secret");
    assert_eq!(empty.without_awaited(), None);
    let mut mistaken = with(sds());
    mistaken["realm"] = json!(5);
    let awaited = delivered(&mistaken.to_string(), &|_| Ok(None)).expect_err("two errors");
    let rest = awaited.without_awaited().expect("one error").to_string();
    assert_eq!(rest, "realm: must be a string");
    for reference in [
        json!({"sds": "a-secret"}),
        json!({"sds": {}}),
        json!({"sds": {"name": ""}}),
        json!({"sds": {"name": 5}}),
        json!({"sds": {"name": "a", "sds_config": {}}}),
        json!({"sds": {"name": "a", "sds_config": "ads"}}),
        json!({"sds": {"name": "a", "other": {}}}),
        json!({"sds": {"name": "a"}, "env": "A"}),
    ] {
        let message =
            r#"introspection.client_secret: must be a string, {"env": NAME} or {"sds": {"name": NAME}}"#;
        check(json!({"introspection": {"client_secret": reference}}), message);
    }
    let elsewhere = json!({"introspection": {"client_secret": sds()}});
    assert_eq!(
        parse(&configured(elsewhere)).map(|_| ()).map_err(|errors| errors.to_string()),
        Err("introspection.client_secret: must not be by SDS here: only the native module in Envoy 1.40 or newer has it".to_owned())
    );
}

/// If this failed, the credentials that Envoy presents to its control plane would be printed.
#[test]
fn r110_how_envoy_gets_a_secret_is_not_shown() {
    let source =
        json!({"api_config_source": {"grpc_services": [{"initial_metadata": [{"value": "hunter2"}]}]}});
    let reference = json!({"sds": {"name": "a-secret", "sds_config": source}});
    let configuration = configured(json!({"introspection": {"client_secret": reference}}));
    let effective = Settings::effective(configuration.to_string().as_bytes()).expect("an object");
    assert!(effective.contains("a-secret") && !effective.contains("hunter2"), "{effective}");
}

#[cfg(not(target_arch = "wasm32"))]
proptest::proptest! {
    /// humantime panics on some of these; a panic in the configuration is a refusal without any explanation.
    #[test]
    fn no_duration_makes_it_panic(text in "[0-9]{1,21} ?(ns|us|ms|s|m|h|d|w|M|y)? ?[0-9]{0,12}(ns|s)?") {
        let _ = parse(&configured(json!({"token": {"leeway": text}})));
    }

    #[test]
    fn no_bytes_make_it_panic(text in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        proptest::prop_assert!(Settings::parse(&text, &|_| None).is_err());
    }
}

/// If a profile overrode fields of the operator, no configuration could deviate from it; if a profile were unknown, its defaults would be
/// missing.
#[test]
fn a_profile_gives_defaults_and_nothing_more() {
    let response_of = |edits: Value| {
        let mut settings = settings(edits);
        settings.servers.remove(0).introspection.expect("an endpoint").response
    };
    let keycloak = response_of(json!({"profile": "keycloak"}));
    assert_eq!(
        (keycloak.format.media_type(), keycloak.jwt_field.as_deref()),
        ("application/jwt", Some("jwt"))
    );
    let other = json!({"profile": "keycloak", "introspection": {"response": {"jwt_field": "other"}}});
    assert_eq!(response_of(other).jwt_field.as_deref(), Some("other"));
    let found = errors(&configured(json!({"profile": "keyclock"})));
    assert!(
        found.len() == 1 && found[0].starts_with("profile: must be one of curity, keycloak,"),
        "{found:?}"
    );
    let server = json!({"name": "a", "profile": 5});
    let several = json!({"introspection": null, "authorization_servers": [server], "rules": [{"path": "/"}]});
    let found = errors(&configured(several));
    assert!(found[0].starts_with("authorization_servers[0].profile: must be one of"), "{found:?}");
}

/// If a profile contradicted the other fields, no configuration with it would start.
#[test]
fn every_profile_makes_a_configuration_that_works() {
    let names = errors(&configured(json!({"profile": ""})))[0].clone();
    let (_, names) = names.split_once("one of ").expect("names");
    for profile in names.split(", ") {
        let secret = if profile == "hydra" { Value::Null } else { json!("s3cr3t") };
        let configuration = configured(json!({
            "profile": profile,
            "introspection": {"client_secret": secret},
            "token": {"issuer": "https://login.example.com", "audience": ["orders-api"]},
            "keys": {"jwks_uri": "https://login.example.com/jwks"},
            "claim_to_headers": [{"header": "x-user", "pointer": "/sub"}],
        }));
        assert_eq!(parse(&configuration).err(), None, "{profile}");
    }
}

/// A value for every field of a type that may hold a secret, with `SECRET_TEXT` in it, and an unknown field in every section.
fn with_secrets(kind: &Kind, count: &mut usize) -> Value {
    *count += usize::from(matches!(kind, Kind::Secret | Kind::HiddenText | Kind::KeySet | Kind::Url));
    match kind {
        Kind::Section(fields) => {
            let members = fields.iter().map(|field| (field.name.to_owned(), with_secrets(field.kind, count)));
            let unknown = [("unknown".to_owned(), json!({"secret": [SECRET_TEXT]}))];
            Value::Object(members.chain(unknown).collect())
        }
        Kind::List { element, .. } => json!([with_secrets(element, count)]),
        Kind::OneOrMore(element) => with_secrets(element, count),
        Kind::Map(kind) => json!({"x-name": with_secrets(kind, count)}),
        Kind::Secret | Kind::HiddenText => json!(SECRET_TEXT),
        Kind::KeySet => json!({"keys": [{"kty": "EC", "d": SECRET_TEXT}], "private": SECRET_TEXT}),
        Kind::Url => json!(format!("https://u:{SECRET_TEXT}@login.example.com/x?key={SECRET_TEXT}")),
        Kind::Text => json!({"wrong type": SECRET_TEXT}),
        Kind::Words(_) | Kind::Boolean | Kind::Number { .. } => json!(SECRET_TEXT),
        Kind::Any | Kind::Duration { .. } => json!("1s"),
    }
}

const SECRET_TEXT: &str = "hunter2-hunter2-hunter2-hunter2-hunter2";

/// If this failed, a field of a secret type would be printed. Hiding follows from the type, so a new field needs no extra code.
#[test]
fn r110_no_field_of_a_secret_type_is_shown_or_printed() {
    let mut count = 0;
    let written = with_secrets(Configuration::KIND, &mut count);
    assert!(count >= 23, "only {count} fields that may hold a secret");
    let effective = Settings::effective(written.to_string().as_bytes()).expect("an object");
    assert!(!effective.contains("hunter2"), "{effective}");
    let (read, errors) = Reader::read::<Configuration>(&written, SecretSources::environment(&|_| None));
    assert!(!format!("{read:?}").contains("hunter2"), "{read:?}");
    assert!(!errors.to_string().contains("hunter2"), "{errors}");
    let introspection = read.introspection.expect("a section");
    assert_eq!(introspection.client_secret.expect("a secret").expose(), SECRET_TEXT);
}

/// Collects the paths of all secrets, without those that each of several servers repeats.
fn secret_paths(kind: &Kind, at: &str, paths: &mut BTreeSet<String>) {
    match kind {
        Kind::Secret => drop(paths.insert(at.to_owned())),
        Kind::Section(fields) => {
            for field in fields.iter().filter(|field| field.name != "authorization_servers") {
                secret_paths(field.kind, &format!("{at}/{}", field.name), paths);
            }
        }
        Kind::List { element, .. } => secret_paths(element, &format!("{at}/0"), paths),
        Kind::OneOrMore(element) => secret_paths(element, at, paths),
        Kind::Map(kind) => secret_paths(kind, &format!("{at}/x-name"), paths),
        _ => {}
    }
}

/// The characters that each secret may contain. Kubernetes Secrets created from a file end with a line break
/// (`kubernetes-sigs/aws-load-balancer-controller#3936`, `bitnami-labs/sealed-secrets#1122`, `oauth2-proxy/oauth2-proxy#2530`): if it were
/// accepted, the server would refuse the gateway, and with it every token, and neither configuration would show why.
#[test]
fn r194_each_secret_is_of_its_own_alphabet_and_has_no_line_end_behind_it() {
    const ANY: &[&str] = &["a b", "a\tb", "a\nb", "\u{e4}", "a%\"+/=", " a "];
    const PRINTABLE: &[&str] = &["a b", "a%\"+/=", " a "];
    const GRAPHIC: &[&str] = &["a%\"+/="];
    let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----";
    let keys =
        json!({"introspection": null, "token": {"issuer": "https://a", "audience": ["a"], "jwts": "verify"}});
    let dpop = json!({"dpop": {"origins": ["https://api.example.com"]}});
    let mint = json!({"mint": {"issuer": "https://api.example.com", "audience": "a"}});
    let jwt =
        json!({"introspection": {"client_secret": null, "auth_method": "private_key_jwt", "audience": "a"}});
    let token =
        json!({"introspection": {"client_id": null, "client_secret": null, "auth_method": "bearer_token"}});
    let userinfo = json!({
        "introspection": null, "claim_to_headers": [{"header": "x-user", "pointer": "/sub"}],
        "userinfo": {"endpoint": "https://a/userinfo", "upstream": "a", "allow_any_client": true},
    });
    let fields = [
        ("/introspection/client_secret", json!({}), Some(PRINTABLE)),
        ("/introspection/bearer_token", token, Some(GRAPHIC)),
        ("/introspection/headers/x-name", json!({}), Some(PRINTABLE)),
        ("/introspection/private_key", jwt, None),
        ("/userinfo/headers/x-name", userinfo, Some(PRINTABLE)),
        ("/keys/headers/x-name", json!({"keys": {"jwks_uri": "https://a/jwks"}}), Some(PRINTABLE)),
        ("/keys/hmac_secret", keys, Some(ANY)),
        ("/dpop/nonce_secret", dpop, Some(ANY)),
        ("/mint/keys/0/private_key", mint, None),
        ("/session_binding/secret", json!({}), Some(ANY)),
        ("/log_key", json!({}), Some(ANY)),
    ];
    let mut paths = BTreeSet::new();
    secret_paths(Configuration::KIND, "", &mut paths);
    assert_eq!(paths, fields.iter().map(|(path, ..)| (*path).to_owned()).collect());
    for (path, edits, alphabet) in fields {
        let configuration = configured(edits);
        let names: Vec<&str> = path.split('/').skip(1).collect();
        let written = |reference: Value| {
            let nested = |edit, name: &&str| if *name == "0" { json!([edit]) } else { json!({*name: edit}) };
            let mut configuration = configuration.clone();
            crate::testing::merge(&mut configuration, names.iter().rev().fold(reference, nested));
            configuration.to_string()
        };
        let (by_variable, by_sds) = (written(json!({"env": "SECRET"})), written(sds()));
        let error = |secret: &str| {
            let found = Settings::parse(by_variable.as_bytes(), &|_| Some(secret.to_owned())).err();
            assert_eq!(
                delivered(&by_sds, &|_| Ok(Some(secret.to_owned()))).err(),
                found,
                "{path}: {secret:?}"
            );
            found.map(|errors| errors.to_string()).unwrap_or_default()
        };
        let awaited = delivered(&by_sds, &|_| Ok(None)).expect_err("a secret that has not come");
        assert_eq!(awaited.without_awaited(), None, "{path}");
        let long = |part: &str| format!("{}{part}{}", "x".repeat(32), "x".repeat(32));
        let (accepted, line_ends): (Vec<String>, &[&str]) = match alphabet {
            Some(accepted) => {
                (accepted.iter().map(|part| long(part)).collect(), &["\n", "\r\n", "\r", "\n\n"])
            }
            None => {
                let lines = ["", "\n", "\r\n", "\n\n"].map(|end| format!("{pem}{end}"));
                (lines.into_iter().chain([pem.replace('\n', "\r\n")]).collect(), &[])
            }
        };
        for secret in &accepted {
            assert_eq!(error(secret), "", "{path}: {secret:?}");
        }
        for end in line_ends {
            let found = error(&format!("{}{end}", long("")));
            let found = found.lines().next().unwrap_or_default();
            assert!(
                found.ends_with(": ends with a line break, which is not part of it: remove it"),
                "{path}: {found}"
            );
        }
        for part in ANY.iter().map(|part| long(part)).filter(|part| !accepted.contains(part)) {
            let found = error(&part);
            assert!(!found.is_empty() && !found.contains("xxx"), "{path}: {part:?}: {found}");
        }
    }
}

#[test]
fn r110_the_effective_configuration_has_profiles_and_no_secrets() {
    let configuration = configured(json!({
        "profile": "hydra",
        "introspection": {
            "client_secret": "s3cr3t-1", "private_key": "s3cr3t-2", "bearer_token": {"env": "TOKEN"},
            "headers": {"x-key": "s3cr3t-3", "x-other": {"env": "OTHER"}},
        },
        "keys": {"hmac_secret": "s3cr3t-4", "jwks_uri": "https://u:s3cr3t-5@h/x?k=s3cr3t-6", "jwks": {"keys": [{"kty": "EC", "d": "s3cr3t-7"}]}},
        "dpop": {"nonce_secret": "s3cr3t-8"},
        "authorization_servers": [{"introspection": {"client_secret": ["s3cr3t-9"], "parameters": {"key": "s3cr3t-10"}}}],
    }));
    let effective = Settings::effective(configuration.to_string().as_bytes()).expect("an object");
    assert!(!effective.contains("s3cr3t"), "{effective}");
    let effective: Value = serde_json::from_str(&effective).expect("JSON");
    assert_eq!(effective["introspection"]["auth_method"], "none");
    assert_eq!(effective["introspection"]["bearer_token"]["env"], "TOKEN");
    assert_eq!(
        effective["introspection"]["headers"],
        json!({"x-key": "[hidden]", "x-other": {"env": "OTHER"}})
    );
    assert_eq!(effective["introspection"]["retries"], 1, "a default");
    assert_eq!(effective["cache"]["max_ttl"], "5m", "a default of a section that is not written");
    assert!(Settings::effective(b"[]").is_err());
}

/// If any of these were accepted, rotating the gateway's secret would log out all clients, and no alert would say why.
#[test]
fn r195_what_refuses_the_gateway_cannot_be_called_a_dead_token() {
    let refuses = |answer: Value, message: &str| {
        let expected = format!("introspection.response.inactive_answers[0]{message}");
        check(json!({"introspection": {"response": {"inactive_answers": [answer]}}}), &expected);
    };
    let bare = ": needs error: without it, wrong credentials of the gateway would count as an inactive token";
    refuses(json!({"status": 401}), bare);
    refuses(json!({"status": 403}), bare);
    refuses(json!({"status": 400, "error": "invalid_client"}), ": is about the gateway's own credentials");
    refuses(
        json!({"status": 401, "error": "unauthorized_client"}),
        ": is about the gateway's own credentials",
    );
    refuses(json!({"status": 429}), ": must not have the status of a limit on requests");
    refuses(json!({"status": 500}), ".status: must be between 400 and 499, got 500");
    refuses(json!({"error": "invalid_token"}), ".status: is required");
    check(
        json!({"introspection": {
            "auth_method": "bearer_token", "bearer_token": "b", "client_id": null, "client_secret": null,
            "response": {"inactive_answers": [{"status": 401, "error": "invalid_token"}]},
        }}),
        "introspection.response.inactive_answers[0]: is about the gateway's own token (RFC 6750 §3.1)",
    );
    // Where the gateway presents no credentials, none can be refused.
    let unauthenticated = json!({
        "auth_method": "none", "client_id": null, "client_secret": null,
        "response": {"inactive_answers": [{"status": 401}]},
    });
    assert_eq!(errors(&configured(json!({"introspection": unauthenticated}))), [""; 0]);
}

#[test]
fn r015_the_body_of_refusals_is_json_of_the_operators_own() {
    let problem = json!({
        "media_type": "application/problem+json",
        "template": r#"{"title": "{error_description}", "status": {status}, "code": "{reason}", "error": "{error}"}"#,
    });
    let space = settings(json!({"error_body": problem})).protection;
    let reply = crate::refusal::Rejection::from(crate::Reason::Expired).reply(&space);
    let body: Value = serde_json::from_str(&reply.body).expect("JSON");
    assert_eq!(
        body,
        json!({"title": "The access token has expired", "status": 401, "code": "expired", "error": "invalid_token"})
    );
    assert!(reply.headers.contains(&("content-type", "application/problem+json".to_owned())));
    check(json!({"error_body": {}}), "error_body.template: is required");
    let message = "error_body: must be JSON with no other placeholders than {status}, {error}, {error_description} and {reason}";
    for template in ["", "{error}", r#"{"a": "{token}"}"#, r#"{"a": {error}}"#] {
        check(json!({"error_body": {"template": template}}), message);
    }
    let message =
        "error_body: must be application/json, or another type of JSON like application/problem+json";
    for media_type in ["text/html", "application/json\r\nx: y+json"] {
        check(json!({"error_body": {"media_type": media_type, "template": "{}"}}), message);
    }
}

/// If this failed, the reference would describe the sections of a server twice, and people would look for a difference.
#[cfg(feature = "schema")]
#[test]
fn what_is_as_at_the_top_level_is_described_there_alone() {
    let paths: Vec<String> = configuration_fields().into_iter().map(|field| field.path).collect();
    for (section, of_server) in
        [("introspection.endpoint", true), ("keys.jwks_uri", true), ("mint.subject", false)]
    {
        assert!(paths.iter().any(|path| path == section), "{section}");
        assert_eq!(!paths.contains(&format!("authorization_servers[].{section}")), of_server, "{section}");
    }
}
