use serde_json::{Value, json};

use crate::http::request_head::{McpCall, RequestHead};
use crate::policy::{Access, Rules};
use crate::refusal::Reason;
use crate::testing::{settings, test};

const RULES_PATH: &str = "/mcp";

/// The scopes of the rule that decides, or why none does.
fn decide(
    rules: &Rules,
    method: &str,
    fields: &[(&str, &str)],
    call: Option<(&str, Option<&str>)>,
) -> String {
    let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let named = rules.named_fields(fields.clone());
    let head = RequestHead {
        method: method.as_bytes(),
        path: RULES_PATH.as_bytes(),
        named: &named,
        mcp_call: call
            .map(|(method, name)| McpCall { method: method.as_bytes(), name: name.map(str::as_bytes) }),
        ..RequestHead::read(fields)
    };
    let head = RequestHead { method: method.as_bytes(), path: RULES_PATH.as_bytes(), ..head };
    match rules.find(&head) {
        Ok(Access::Public) => "public".to_owned(),
        Ok(Access::Protected(requirement)) => {
            let parameters = requirement.challenge_parameters(Reason::InsufficientScope, None);
            parameters.into_iter().map(|(_, scope)| scope).collect()
        }
        Err(reason) => reason.name().to_owned(),
    }
}

fn rules(rules: Value) -> Rules {
    settings(json!({"rules": rules})).rules
}

fn per_tool(source: &str) -> Rules {
    let mcp = json!({"source": source, "methods": ["tools/list", "ping"], "tools": ["whoami"]});
    rules(json!([
        {"path": "/", "scopes": ["wide"]},
        {"path": "/mcp", "methods": ["GET", "DELETE"], "scopes": ["read"]},
        {"path": "/mcp", "methods": ["POST"], "scopes": ["write"]},
        {"path": "/mcp", "methods": ["POST"], "mcp": mcp, "scopes": ["read"]},
    ]))
}

/// Ways around rules per tool that are known from routes by header. All but the first few must need the scope of the rule for all other
/// calls, or be refused: otherwise a tool with another name than the gateway reads could be called with too small a scope.
#[test]
fn r235_a_call_by_header_fields_counts_in_a_revision_that_has_servers_check_them() {
    let rules = per_tool("header_fields");
    const NOW: (&str, &str) = ("mcp-protocol-version", "2026-07-28");
    let list = ("mcp-method", "tools/list");
    let call = ("mcp-method", "tools/call");
    for (fields, expected) in [
        (&[NOW, list][..], "read"),
        (&[NOW, ("Mcp-Method", "ping")], "read"),
        (&[NOW, call, ("mcp-name", "whoami")], "read"),
        (&[NOW, call, ("mcp-name", "write_note")], "write"),
        (&[NOW, call], "write"),
        (&[NOW, ("mcp-name", "whoami")], "write"),
        (&[NOW], "write"),
        (&[], "write"),
        // The revision: older ones, none, one that is not known, lists and other spellings.
        (&[list], "write"),
        (&[("mcp-protocol-version", "2025-11-25"), list], "write"),
        (&[("mcp-protocol-version", "2027-01-01"), list], "write"),
        (&[("mcp-protocol-version", "2026-07-28, 2025-11-25"), list], "write"),
        (
            &[("mcp-protocol-version", "2026-07-28"), ("mcp-protocol-version", "2025-11-25"), list],
            "ambiguous_field",
        ),
        (&[NOW, ("mcp_protocol_version", "2025-11-25"), list], "ambiguous_field"),
        // The name: encoded, repeated, a list, another case, by a name that servers take for the field's.
        (&[NOW, call, ("mcp-name", "=?base64?d2hvYW1p?=")], "write"),
        (&[NOW, call, ("mcp-name", "WHOAMI")], "write"),
        (&[NOW, call, ("mcp-name", "whoami, write_note")], "write"),
        (&[NOW, call, ("mcp-name", "whoami"), ("mcp-name", "write_note")], "ambiguous_field"),
        (&[NOW, call, ("mcp-name", "whoami"), ("Mcp-Name", "whoami")], "ambiguous_field"),
        (&[NOW, call, ("mcp-name", "whoami"), ("mcp_name", "write_note")], "ambiguous_field"),
        (&[NOW, call, ("mcp.name", "write_note"), ("mcp-name", "whoami")], "ambiguous_field"),
        (&[NOW, call, ("mcp-name", "whoami\t")], "ambiguous_field"),
        (&[NOW, call, ("mcp-name", "who\u{e4}mi")], "ambiguous_field"),
        (&[NOW, list, ("mcp-method", "tools/call"), ("mcp-name", "write_note")], "ambiguous_field"),
        (&[NOW, ("mcp-method", "tools/list,tools/call"), ("mcp-name", "write_note")], "write"),
        (&[NOW, ("mcp-method", "TOOLS/LIST")], "write"),
    ] {
        assert_eq!(decide(&rules, "POST", fields, None), expected, "{fields:?}");
    }
    // Fields mean nothing with another method, and what Envoy's filter says does not count where servers are to check the fields.
    assert_eq!(decide(&rules, "GET", &[NOW, call, ("mcp-name", "write_note")], None), "read");
    assert_eq!(decide(&rules, "PUT", &[NOW, list], None), "wide");
    assert_eq!(decide(&rules, "POST", &[], Some(("tools/list", None))), "write");
}

#[test]
fn r235_a_call_by_envoys_filter_counts_whatever_the_fields_say() {
    let rules = per_tool("envoy_filter");
    assert!(rules.ask_envoy_filter() && rules.named_fields([].into_iter()).is_empty());
    const FIELDS: &[(&str, &str)] = &[("mcp-protocol-version", "2026-07-28"), ("mcp-method", "ping")];
    for (call, expected) in [
        (Some(("tools/list", None)), "read"),
        (Some(("tools/call", Some("whoami"))), "read"),
        (Some(("tools/call", Some("write_note"))), "write"),
        (Some(("tools/call", None)), "write"),
        (Some(("tools/list", Some("write_note"))), "read"),
        (Some(("resources/read", Some("whoami"))), "write"),
        (Some(("tools/call ", Some("whoami"))), "write"),
        (None, "write"),
    ] {
        assert_eq!(decide(&rules, "POST", FIELDS, call), expected, "{call:?}");
    }
    assert_eq!(decide(&rules, "DELETE", FIELDS, None), "read");
}

/// If requests that a rule does not select went to a rule for a wider path, a client could choose the rule by a field.
#[test]
fn r236_what_no_rule_of_the_path_selects_is_refused() {
    let rules = rules(json!([
        {"path": "/", "scopes": ["wide"]},
        {"path": "/mcp", "headers": [{"name": "x-tier", "exact": "gold"}, {"name": "x-area", "prefix": "eu-"}], "scopes": ["gold"]},
        {"path": "/mcp", "headers": [{"name": "x-tier", "one_of": ["gold", "silver"]}], "scopes": ["metal"]},
    ]));
    for (fields, expected) in [
        (&[("x-tier", "gold"), ("x-area", "eu-1")][..], "gold"),
        (&[("x-tier", "gold"), ("x-area", "us-1")], "metal"),
        (&[("x-tier", "silver")], "metal"),
        (&[("x-tier", "gold"), ("x-area", "eu-1, us-1")], "ambiguous_field"),
        (&[("x-tier", "gold, silver")], "no_matching_rule"),
        (&[("x-tier", "Gold")], "no_matching_rule"),
        (&[("x-tier", "")], "no_matching_rule"),
        (&[], "no_matching_rule"),
        (&[("x-tier", "gold"), ("X-TIER", "gold")], "ambiguous_field"),
        (&[("x-tier", "gold"), ("x_tier", "iron")], "ambiguous_field"),
        (&[("x_tier", "gold")], "ambiguous_field"),
    ] {
        assert_eq!(decide(&rules, "POST", fields, None), expected, "{fields:?}");
    }
}
