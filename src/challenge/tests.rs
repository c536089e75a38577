use super::*;
use crate::testing::test;

/// If a quote were not escaped, a realm could end its own parameter and begin another.
#[test]
fn r013_parameters_are_quoted_strings() {
    assert_eq!(quote(r#"a "b" \c"#), r#""a \"b\" \\c""#);
    assert_eq!(quote("a\r\nset-cookie: x\0\u{7f}é"), r#""aset-cookie: x""#);
}

#[test]
fn r002_each_parameter_stands_once_and_the_realm_always() {
    assert_eq!(render(Challenge::Absent, "api", "e", "d", None), None);
    assert_eq!(
        render(Challenge::Plain, "api", "e", "d", Some("a")).as_deref(),
        Some(r#"Bearer realm="api""#)
    );
    assert_eq!(
        render(Challenge::WithError, "api", "insufficient_scope", "d", Some("a b")).as_deref(),
        Some(r#"Bearer realm="api", error="insufficient_scope", error_description="d", scope="a b""#)
    );
}
