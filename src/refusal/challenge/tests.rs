use serde_json::json;

use super::*;
use crate::testing::{settings, test};

/// If a quote were not escaped, a realm could end its own parameter and begin another.
#[test]
fn r013_parameters_are_quoted_strings() {
    for (value, expected) in
        [(r#"a "b" \c"#, r#""a \"b\" \\c""#), ("a\r\nset-cookie: x\0\u{7f}é", r#""aset-cookie: x""#)]
    {
        let mut text = String::new();
        quote(&mut text, value);
        assert_eq!(text, expected);
    }
}

#[test]
fn r002_each_parameter_stands_once_and_the_realm_always() {
    let api = ProtectionSpace { realm: "api".to_owned(), ..ProtectionSpace::default() };
    assert_eq!(render("Bearer", Challenge::Absent, &api, "e", "d", &[], None), None);
    assert_eq!(
        render("Bearer", Challenge::Plain, &api, "e", "d", &[("scope", "a".to_owned())], None).as_deref(),
        Some(r#"Bearer realm="api", scope="a""#)
    );
    assert_eq!(
        render(
            "Bearer",
            Challenge::WithError,
            &api,
            "insufficient_scope",
            "d",
            &[("scope", "a b".to_owned())],
            None
        )
        .as_deref(),
        Some(r#"Bearer realm="api", error="insufficient_scope", error_description="d", scope="a b""#)
    );
}

/// Clients that know nothing yet find the authorization server by this parameter, MCP clients among them.
#[test]
fn r103_challenges_point_to_the_metadata_of_the_configured_resource() {
    let described = json!({"resource": "https://api.example.com/mcp", "authorization_servers": ["https://login.example.com"]});
    let settings = settings(json!({"resource_metadata": [described]}));
    let url = settings.resource_metadata[0].url();
    let metadata = r#"resource_metadata="https://api.example.com/.well-known/oauth-protected-resource/mcp""#;
    for challenge in [Challenge::Plain, Challenge::WithError] {
        let text = render("Bearer", challenge, &settings.protection, "invalid_token", "d", &[], Some(url))
            .expect("a challenge");
        assert!(text.ends_with(metadata), "{text}");
    }
}
