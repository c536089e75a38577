use super::*;
use crate::testing::test;

fn edited(fields: &[(&str, &str)], overrides: OverrideHeaders) -> Vec<(String, Option<String>)> {
    let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    // Fields that are not suspect are never looked at again.
    if !fields.clone().any(|(name, _)| is_suspect(name)) {
        return Vec::new();
    }
    let text = |value: Vec<u8>| String::from_utf8_lossy(&value).into_owned();
    edits(fields, overrides).into_iter().map(|(name, value)| (name, value.map(text))).collect()
}

/// If one of these reached a service that honors it, a client would be admitted by the rule of one path or method and served another:
/// `GET /health` with `X-Original-URL: /admin`.
#[test]
fn r131_fields_that_override_path_or_method_are_removed_in_any_spelling() {
    for name in [
        "x-original-url",
        "X-Original-URL",
        "x_original_url",
        "x-rewrite-url",
        "X-Rewrite_Url",
        "x-http-method-override",
        "X_HTTP_METHOD_OVERRIDE",
        "x-http-method",
        "x.http.method",
        "x-method-override",
        "X-Method-Override",
    ] {
        let fields = [("accept", "*/*"), (name, "/admin"), ("x-forwarded-proto", "https")];
        assert_eq!(edited(&fields, OverrideHeaders::Remove), [(name.to_owned(), None)], "{name}");
        assert_eq!(edited(&fields, OverrideHeaders::Keep), [], "{name}");
    }
    for name in
        ["authorization", "x-original-uri", "x-forwarded-proto", "content-length", "x-http-methods", ""]
    {
        assert_eq!(edited(&[(name, "/admin")], OverrideHeaders::Remove), [], "{name}");
    }
}

/// If a handshake could nominate fields of the gateway, the next hop would remove the JWT or the user's identity from the request. If a
/// field without `upgrade` became one with it, a request would become a handshake.
#[test]
fn r078_a_handshake_nominates_nothing_but_the_upgrade() {
    for values in [
        &["Upgrade, authorization, x-user-id"][..],
        &["authorization,UPGRADE"],
        &["keep-alive, Upgrade"],
        &["upgrade", "x-user-id"],
        &["x-user-id", " Upgrade "],
    ] {
        let fields: Vec<_> = values.iter().map(|value| ("Connection", *value)).collect();
        let expected = ("connection".to_owned(), Some("upgrade".to_owned()));
        for overrides in [OverrideHeaders::Remove, OverrideHeaders::Keep] {
            assert_eq!(edited(&fields, overrides), std::slice::from_ref(&expected), "{values:?}");
        }
    }
    for value in ["Upgrade", "upgrade", " upgrade ,", "", "keep-alive", "authorization", "upgraded, x"] {
        assert_eq!(edited(&[("connection", value)], OverrideHeaders::Remove), [], "{value}");
    }
}
