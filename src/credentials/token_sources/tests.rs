use super::*;
use crate::testing::test;

fn sources() -> Sources {
    Sources {
        query_parameter: Some("access_token".to_owned()),
        cookie: Some("token".to_owned()),
        header: Some("x-token".to_owned()),
        header_prefix: None,
        websocket_protocol: Some("bearer.".to_owned()),
    }
}

/// Returns the tokens found, and the edits.
fn extract(sources: &Sources, fields: &[(&str, &str)]) -> (Vec<String>, Vec<(String, Option<String>)>) {
    let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let Extracted { tokens, edits, .. } = sources.extract(fields);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    let edits = edits.into_iter().map(|(name, value)| (name, value.map(text))).collect();
    (tokens.iter().map(|token| String::from_utf8_lossy(&token.value).into_owned()).collect(), edits)
}

fn check(field: (&str, &str), tokens: &[&str], rest: Option<Option<&str>>) {
    let (found, edits) = extract(&sources(), &[field]);
    assert_eq!(found, tokens, "{field:?}");
    let expected: Vec<_> =
        rest.map(|rest| (field.0.to_ascii_lowercase(), rest.map(str::to_owned))).into_iter().collect();
    assert_eq!(edits, expected, "{field:?}");
}

/// If the parameter stayed, the token would be in the logs of every service behind the gateway.
#[test]
fn r010_a_token_is_taken_out_of_the_query() {
    check((":path", "/a?access_token=t"), &["t"], Some(Some("/a")));
    check((":path", "/a?x=1&access_token=t&y=2"), &["t"], Some(Some("/a?x=1&y=2")));
    check((":path", "/a?access%5Ftoken=a%2Bb%3D"), &["a+b="], Some(Some("/a")));
    check((":path", "/a?access_token=a+b"), &["a b"], Some(Some("/a")));
    check((":path", "/a?access_token=t&access_token=t"), &["t", "t"], Some(Some("/a")));
    check((":path", "/a?access_token"), &[""], Some(Some("/a")));
    check((":path", "/a?Access_Token=t&access_tokens=u"), &[], None);
    check((":path", "/a;access_token=t"), &[], None);
    check((":path", "/access_token=t"), &[], None);
}

#[test]
fn r011_a_token_is_taken_out_of_the_cookies_or_a_field() {
    check(("cookie", "token=t"), &["t"], Some(None));
    check(("Cookie", "a=1; token=t; b=2"), &["t"], Some(Some("a=1; b=2")));
    check(("cookie", "a=1;token=t;token=u"), &["t", "u"], Some(Some("a=1")));
    // RFC 6265 §4.1.1 allows quotes; an empty cookie counts as absent.
    check(("cookie", r#"a=1; token="t""#), &["t"], Some(Some("a=1")));
    check(("cookie", r#"token="t; b=2"#), &["\"t"], Some(Some("b=2")));
    check(("cookie", "a=1; token="), &[], Some(Some("a=1")));
    check(("cookie", "token=\"\""), &[], Some(None));
    // Servers trim names and values.
    check(("cookie", "a=1; token = t"), &["t"], Some(Some("a=1")));
    check(("cookie", "token; token"), &[], None);
    check(("cookie", "mytoken=t; Token=u; a=token=v"), &[], None);
    check(("x-token", " t "), &["t"], Some(None));
    let (found, edits) = extract(&sources(), &[("cookie", "a=1"), ("cookie", "token=t; b=2")]);
    assert_eq!(
        (found, edits),
        (vec!["t".to_owned()], vec![("cookie".to_owned(), Some("a=1; b=2".to_owned()))])
    );
    let (found, _) = extract(&sources(), &[("X-Token", "t"), ("x-token", "u")]);
    assert_eq!(found.len(), 2);
}

/// A field may hold bytes that are not UTF-8 (RFC 9110 §5.5).
#[test]
fn r011_what_stays_is_not_changed() {
    let fields = [(&b"cookie"[..], &b"name=Caf\xe9; token=t; b=\x80"[..])];
    let sources = sources();
    let extracted = sources.extract(fields.into_iter());
    assert_eq!(extracted.edits, [("cookie".to_owned(), Some(b"name=Caf\xe9; b=\x80".to_vec()))]);
}

#[test]
fn r082_a_token_is_taken_out_of_the_subprotocols() {
    check(("sec-websocket-protocol", "chat, bearer.t"), &["t"], Some(Some("chat")));
    check(("Sec-WebSocket-Protocol", "bearer.t"), &["t"], Some(None));
    check(("sec-websocket-protocol", "chat, bearer"), &[], None);
}

#[test]
fn r010_r011_r082_no_other_place_is_looked_at_unless_it_is_configured() {
    let fields = [
        (":path", "/a?access_token=t"),
        ("cookie", "token=t"),
        ("x-token", "t"),
        ("sec-websocket-protocol", "bearer.t"),
        ("proxy-authorization", "Bearer t"),
    ];
    assert_eq!(extract(&Sources::default(), &fields), (vec![], vec![]));
}

#[cfg(not(target_arch = "wasm32"))]
proptest::proptest! {
    /// A token that is found never remains in the rewritten field, whatever surrounds it.
    #[test]
    fn what_is_found_does_not_stay(before in "[a-z=&;, .%+]{0,12}", after in "[&;,][a-z=&;, .%+]{0,12}") {
        for (name, value) in [
            (":path", format!("/?{before}&access_token=TOKEN{after}")),
            ("cookie", format!("{before};token=TOKEN{after}")),
            ("sec-websocket-protocol", format!("{before},bearer.TOKEN{after}")),
        ] {
            let (found, edits) = extract(&sources(), &[(name, &value)]);
            if found.iter().any(|token| token.starts_with("TOKEN")) {
                proptest::prop_assert!(!edits.is_empty());
                for (_, rest) in edits {
                    proptest::prop_assert!(!rest.unwrap_or_default().contains("TOKEN"), "{value}");
                }
            }
        }
    }
}
