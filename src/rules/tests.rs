use serde_json::json;

use super::*;
use crate::testing::{settings, test};

/// The scope that the matching rule requires, "public", or why there is none.
fn find(rules: &Rules, method: &str, authority: &str, path: &str) -> String {
    let head = RequestHead {
        method: method.as_bytes(),
        authority: authority.as_bytes(),
        path: path.as_bytes(),
        ..RequestHead::default()
    };
    match rules.find(&head) {
        Ok(Access::Public) => "public".to_owned(),
        Ok(Access::Protected(requirement)) => requirement.scope().to_string(),
        Err(reason) => reason.name().to_owned(),
    }
}

fn check(rules: serde_json::Value, cases: &[(&str, &str, &str, &str)]) {
    let rules = settings(json!({"rules": rules})).rules;
    for (method, authority, path, expected) in cases {
        assert_eq!(find(&rules, method, authority, path), *expected, "{method} {authority} {path}");
    }
}

#[test]
fn r084_the_most_specific_rule_decides_whatever_the_order() {
    let rules = [
        json!({"path": "/", "scopes": ["any"]}),
        json!({"path": "/orders", "scopes": ["orders"]}),
        json!({"path": "/orders", "methods": ["POST"], "scopes": ["orders:write"]}),
        json!({"path": "/orders/public", "access": "public"}),
        json!({"path": "/", "hosts": ["admin.example.com"], "scopes": ["admin"]}),
        json!({"path": "/", "hosts": ["*.example.com"], "scopes": ["sub"]}),
    ];
    let cases = [
        ("GET", "api", "/", "any"),
        ("GET", "api", "/orders/7", "orders"),
        ("POST", "api", "/orders/7", "orders:write"),
        ("GET", "api", "/ordersx", "any"),
        ("GET", "api", "/orders/public/a", "public"),
        ("GET", "admin.example.com", "/orders", "admin"),
        ("GET", "www.example.com", "/orders", "sub"),
        ("GET", "example.com", "/orders", "orders"),
    ];
    check(json!(rules), &cases);
    check(json!(rules.iter().rev().collect::<Vec<_>>()), &cases);
}

#[test]
fn r084_what_no_rule_matches_is_not_exposed() {
    check(
        json!([{"path": "/orders", "methods": ["GET"]}, {"path": "/health", "access": "public"}]),
        &[
            ("GET", "a", "/", "not_exposed"),
            ("POST", "a", "/orders", "not_exposed"),
            ("get", "a", "/orders", "not_exposed"),
            ("GET", "a", "/healthy", "not_exposed"),
            ("", "", "", "ambiguous_target"),
        ],
    );
}

/// If a port, a dot or a capital letter changed the host, a stricter rule for it could be walked around.
#[test]
fn r084_a_host_has_one_form() {
    let cases = [
        ("GET", "admin.example.com", "/", "admin"),
        ("GET", "ADMIN.Example.com:8443", "/", "admin"),
        ("GET", "admin.example.com.", "/", "admin"),
        ("GET", "admin.example.com.:443", "/", "admin"),
        ("GET", "admin.example.com.evil.org", "/", "public"),
        ("GET", "user@admin.example.com", "/", "ambiguous_target"),
        ("GET", "admin.example.com/", "/", "ambiguous_target"),
        ("GET", "admin.example.com,x", "/", "ambiguous_target"),
        ("GET", "admin.ex%61mple.com", "/", "ambiguous_target"),
        ("GET", "[::1]:80", "/", "public"),
    ];
    let admin = json!({"path": "/", "hosts": ["admin.example.com"], "scopes": ["admin"]});
    check(json!([admin, {"path": "/", "access": "public"}]), &cases);
}

#[test]
fn r084_an_ambiguous_path_passes_only_where_the_path_cannot_matter() {
    let ambiguous = ["/a/../b", "/public/..%2fadmin", "/public/..;/admin", "//admin", "/public%2f..%2fadmin"];
    for path in ambiguous {
        check(json!([{"path": "/", "scopes": ["any"]}]), &[("GET", "a", path, "any")]);
        let split = json!([{"path": "/", "scopes": ["any"]}, {"path": "/public", "access": "public"}]);
        check(split, &[("GET", "a", path, "ambiguous_target")]);
        check(json!([{"path": "/public", "access": "public"}]), &[("GET", "a", path, "ambiguous_target")]);
        // A rule for other methods does not matter to this one.
        let others = json!([{"path": "/", "scopes": ["any"]}, {"path": "/a", "methods": ["PUT"]}]);
        check(others, &[("GET", "a", path, "any"), ("PUT", "a", path, "ambiguous_target")]);
    }
}
