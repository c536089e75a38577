use serde_json::{Value, json};

use crate::config::configuration_fields;
use crate::testing::{configured, merge, parse, test};

/// If a field that requires something of a token were forgotten, a rule with it could be public, and the requirement would have no effect.
#[test]
fn r084_a_public_rule_has_no_field_but_those_that_select_requests() {
    let fields = configuration_fields();
    let fields = fields.iter().filter_map(|field| field.path.strip_prefix("rules[]."));
    let mut asking = 0;
    for field in fields.filter(|field| !field.contains(['.', '['])) {
        let mut rule = json!({"path": "/", "access": "public"});
        rule[field] = sample(field);
        let is_public = errors(&rule).is_empty();
        assert_eq!(is_public, SELECTING.contains(&field), "{field}: {}", errors(&rule));
        if !is_public {
            asking += 1;
            let error = errors(&rule);
            assert!(error.starts_with("rules[0].access: must not be public"), "{field}: {error}");
            rule["access"] = json!("protected");
            assert_eq!(errors(&rule), "", "{field}: the sample is to be right");
        }
    }
    assert!(asking > 10, "hardly a field was found: {asking}");
}

/// The fields that select requests. Add a new one only if it requires nothing of the sender.
const SELECTING: [&str; 6] = ["hosts", "path", "path_match", "allow_in_path", "methods", "access"];

/// Returns a valid value of each field. A new field needs one, since null is valid for none.
fn sample(field: &str) -> Value {
    match field {
        "authorization_server" => json!("main"),
        "authorization_servers" => json!(["main"]),
        "hosts" => json!(["api.example.com"]),
        "path" => json!("/"),
        "path_match" => json!("exact"),
        "allow_in_path" => json!(["%2F"]),
        "routes" => json!(["orders"]),
        "methods" => json!(["GET"]),
        "headers" => json!([{"name": "x-tier", "exact": "gold"}]),
        "mcp" => json!({"source": "envoy_filter", "methods": ["tools/list"]}),
        "access" => json!("public"),
        "report_only" => json!(false),
        "peers" => json!(["spiffe://cluster.local/ns/shop/sa/cart"]),
        "dpop" => json!("required"),
        "mint" => json!({}),
        "resource" => json!("https://api.example.com"),
        "bind_session" => json!(true),
        "audience" | "scopes_any_of" | "acr_values" => json!(["a"]),
        "scopes" | "claims" => json!([]),
        "any_of" => json!([{"scopes": ["a"]}]),
        "max_age" => json!("5m"),
        _ => Value::Null,
    }
}

fn errors(rule: &Value) -> String {
    let server = json!({
        "name": "main",
        "introspection": {
            "endpoint": "https://login.example.com/introspect",
            "upstream": "authorization-server",
            "client_id": "gateway",
            "client_secret": "s3cr3t",
            "response": {"accept": "application/json"},
        },
    });
    let key = crate::testing::signer::p256().to_string();
    let configuration = json!({
        "authorization_servers": [server],
        "dpop": {"origins": ["https://api.example.com"]},
        "mint": {"issuer": "https://api.example.com", "keys": [{"private_key": key}], "audience": "services"},
        "resource_metadata": {"resource": "https://api.example.com", "authorization_servers": ["https://login.example.com"]},
        "session_binding": {"secret": "a secret of at least thirty-two bytes"},
        "rules": [rule],
    });
    parse(&configuration).map(|_| String::new()).unwrap_or_else(|errors| errors.to_string())
}

/// If a field that clients control could open a path, every client would send it; and a condition that every request, or every tool, meets
/// would be no condition.
#[test]
fn r236_r235_conditions_on_requests_open_nothing() {
    let headers = json!([{"name": "x-tier", "exact": "gold"}]);
    for (edits, expected) in [
        (json!({"headers": headers}), ""),
        (
            json!({"headers": headers, "access": "optional"}),
            "rules[0].access: must not be public or optional where the rule has headers or mcp",
        ),
        (
            json!({"headers": headers, "report_only": true}),
            "rules[0].report_only: must not be true where the rule has headers or mcp",
        ),
        (
            json!({"headers": headers, "routes": ["a"]}),
            "rules[0].routes: must be left out where the rule has headers or mcp",
        ),
        (
            json!({"headers": [{"name": "x-tier"}]}),
            "rules[0].headers[0].name: needs exactly one of exact, one_of and prefix beside it",
        ),
        (
            json!({"headers": [{"name": "x-tier", "exact": "a", "prefix": "b"}]}),
            "rules[0].headers[0].name: needs exactly one of exact, one_of and prefix beside it",
        ),
        (
            json!({"headers": [{"name": "cookie", "prefix": "b"}]}),
            "rules[0].headers[0].name: must be a field name in lower case, of none that holds credentials",
        ),
        (json!({"mcp": {"source": "header_fields"}}), "rules[0].mcp: needs methods or tools"),
        (
            json!({"mcp": {"source": "header_fields", "methods": ["tools/call"]}}),
            "rules[0].mcp.methods: must not have tools/call, which is any tool: name them in tools",
        ),
    ] {
        let mut rule = json!({"path": "/"});
        crate::testing::merge(&mut rule, edits.clone());
        assert_eq!(errors(&rule), expected, "{edits}");
    }
}

/// If a public rule were allowed beside one with conditions, a client would leave out the field, and pass without a token.
#[test]
fn r236_what_conditions_do_not_select_needs_a_token_as_well() {
    let headers = json!([{"name": "x-tier", "exact": "gold"}]);
    let beside = |other: Value| {
        let rules = json!([{"path": "/a", "methods": ["POST"], "headers": headers}, other]);
        let configuration = crate::testing::configured(json!({"rules": rules}));
        parse(&configuration).map(|_| String::new()).unwrap_or_else(|errors| errors.to_string())
    };
    let error = "rules[1]: must need a token as rules[0] does, whose headers or mcp a client can avoid";
    for (other, expected) in [
        (json!({"path": "/a"}), ""),
        (json!({"path": "/a", "access": "public"}), error),
        (json!({"path": "/a", "access": "optional"}), error),
        (json!({"path": "/a", "report_only": true}), error),
        (json!({"path": "/A", "methods": ["POST"], "access": "public"}), error),
        (json!({"path": "/a", "methods": ["GET"], "access": "public"}), ""),
        (json!({"path": "/a", "methods": ["OPTIONS"], "access": "public"}), ""),
        // A request that is not selected at its own path does not fall through to a wider one.
        (json!({"path": "/", "access": "public"}), ""),
    ] {
        assert_eq!(beside(other.clone()), expected, "{other}");
    }
}

/// If a misspelled resource were accepted, challenges would name the metadata of another.
#[test]
fn r274_a_rule_names_a_resource_that_has_metadata() {
    assert_eq!(errors(&json!({"path": "/", "resource": "https://api.example.com"})), "");
    let misspelt = errors(&json!({"path": "/", "resource": "https://api.example.com/"}));
    assert_eq!(misspelt, "rules[0].resource: must be a resource of resource_metadata");
    let routed = errors(&json!({"path": "/", "resource": "https://api.example.com", "routes": ["orders"]}));
    assert!(routed.starts_with("rules[0].routes: must be left out"), "{routed}");
}

/// If a rule that binds session ids let requests through without a token, another user's id would be accepted there.
#[test]
fn r276_ids_are_bound_where_every_request_needs_a_token() {
    let of = |edits: Value| {
        let mut rule = json!({"path": "/mcp", "bind_session": true});
        merge(&mut rule, edits);
        errors(&rule)
    };
    assert_eq!(of(json!({})), "");
    for edits in [json!({"access": "optional"}), json!({"report_only": true}), json!({"routes": ["orders"]})]
    {
        assert!(of(edits.clone()).starts_with("rules[0].bind_session: must be left out"), "{edits}");
    }
    let beside = |edits: Value| {
        let mut other = json!({"path": "/mcp", "methods": ["GET"]});
        merge(&mut other, edits);
        let rules = json!([{"path": "/mcp", "methods": ["POST"], "bind_session": true}, other]);
        let section = json!({"secret": "a secret of at least thirty-two bytes"});
        let configuration = configured(json!({"rules": rules, "session_binding": section}));
        parse(&configuration).err().map(|errors| errors.to_string()).unwrap_or_default()
    };
    let unbound = "rules[1]: must have bind_session as rules[0] does, at the same place";
    assert_eq!(beside(json!({})), unbound);
    assert_eq!(beside(json!({"access": "public"})), unbound);
    assert_eq!(beside(json!({"path": "/MCP"})), unbound);
    assert_eq!(beside(json!({"bind_session": true})), "");
    assert_eq!(beside(json!({"path": "/"})), "");
    assert_eq!(beside(json!({"methods": ["OPTIONS"], "access": "public"})), "");

    let without = configured(json!({"rules": [{"path": "/mcp", "bind_session": true}]}));
    let without = parse(&without).map(|_| ()).expect_err("an error").to_string();
    assert_eq!(without, "rules[0].bind_session: needs the section session_binding");
}
