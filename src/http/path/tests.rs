use super::*;
use crate::testing::test;

/// If two spellings of a path had two normalized forms, a rule for one could be bypassed by the other.
#[test]
fn r084_equal_paths_have_one_form() {
    for (written, normalized) in [
        ("/", "/"),
        ("/orders/7?x=/../", "/orders/7"),
        ("/%6frders", "/orders"),
        ("/a%7Eb%2Dc", "/a~b-c"),
        ("/users/%40me", "/users/@me"),
        ("/odata/Orders%281%29", "/odata/Orders(1)"),
        ("/v1/orders%3acancel", "/v1/orders:cancel"),
        ("/a%7cb", "/a|b"),
        ("/caf%c3%a9", "/caf\u{e9}"),
        ("/orders/", "/orders/"),
        ("/a%20b", "/a b"),
        ("/a.b/..c/.d", "/a.b/..c/.d"),
    ] {
        assert_eq!(normalize(written.as_bytes()).as_deref(), Ok(normalized), "{written}");
    }
}

/// Each of these reaches another resource on some server: as it is, decoded once, or decoded twice.
#[test]
fn r084_paths_that_servers_read_differently_are_ambiguous() {
    for path in [
        "",
        "orders",
        "*",
        "?x",
        "//",
        "/a//b",
        "/.",
        "/..",
        "/a/../b",
        "/a/./b",
        "/a/..",
        "/%2e%2e/b",
        "/a/%2E./b",
        "/a/.%2e",
        "/a%2fb",
        "/a%2Fb",
        "/a;b",
        "/a/..;/b",
        "/a%3bb",
        "/a\\b",
        "/a%5cb",
        "/a#b",
        "/a%23b",
        "/a%00b",
        "/a%0ab",
        "/a%7fb",
        "/a%",
        "/a%2",
        "/a%zz",
        "/a%+1",
        "/a%252e",
        "/a%25",
        "/a%3fb",
        "/..%20/b",
        "/a/%20",
        "/%20a",
        "/%c0%ae%c0%ae/b",
        "/a%ff",
        "/a%c2%85",
        "/a b",
        "/a\tb",
        "/\u{e9}",
    ] {
        assert_eq!(normalize(path.as_bytes()), Err(Ambiguous), "{path:?}");
    }
    assert_eq!(normalize(b"/\xff"), Err(Ambiguous));
}

#[cfg(not(target_arch = "wasm32"))]
proptest::proptest! {
    /// Whatever the input, no normalized path climbs or has an empty segment other than the last.
    #[test]
    fn no_form_climbs(path in "/[a-c./%25eEfF;\\\\ ?#2-9]{0,24}") {
        if let Ok(form) = normalize(path.as_bytes()) {
            proptest::prop_assert!(!form.split('/').any(|segment| matches!(segment, "." | "..")));
            proptest::prop_assert!(!form.contains("//"));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(path in proptest::collection::vec(proptest::num::u8::ANY, 0..40)) {
        let _ = normalize(&path);
    }
}

/// If the quick check took a path for plain that full normalization finds ambiguous, or reads otherwise, rules could be bypassed.
#[cfg(not(target_arch = "wasm32"))]
mod glance {
    use super::*;

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(4096))]
        #[test]
        fn r084_what_is_plain_is_what_the_careful_look_finds(path in "[/.a-zA-Z0-9~_%;:@é \\\\-]{0,12}") {
            if is_plain(path.as_bytes()) {
                proptest::prop_assert_eq!(normalize_odd(path.as_bytes()), Ok(Cow::Borrowed(path.as_str())));
            }
        }
    }
}

/// All characters that some folding of letter case, or canonical equivalence (NFC, NFD), makes ASCII, found by asking Unicode about each
/// one. If one were missing, a path with it would be a way around a rule for services that fold as Unicode does.
#[test]
fn r126_all_characters_that_may_be_read_as_ascii_are_folded() {
    let cases =
        |text: &str| [text.to_lowercase(), text.to_uppercase(), text.to_lowercase().replace('\u{307}', "")];
    for character in '\u{80}'..=char::MAX {
        let own = character.to_string();
        // One mapping up and one down reach every case; only the full mapping of U+0130 adds the dot above.
        let has_case =
            !character.to_lowercase().chain(character.to_uppercase()).all(|other| other == character);
        let cases = |text: &str| if has_case { cases(text).to_vec() } else { Vec::new() };
        let folded = cases(&own).into_iter().flat_map(|text| cases(&text)).find(|text| text.is_ascii());
        let canonical = match character {
            '\u{1fef}' => Some("`".to_owned()),
            _ => None,
        };
        let expected =
            folded.map(|text| text.to_ascii_lowercase()).filter(|text| !text.is_empty()).or(canonical);
        assert_eq!(fold(&own), expected.unwrap_or(own.clone()), "U+{:04X}", u32::from(character));
    }
    for (written, folded) in
        [("/", "/"), ("/a-z/0", "/a-z/0"), ("/A\u{e9}Z\u{df}", "/a\u{e9}zss"), ("/\u{c9}", "/\u{c9}")]
    {
        assert_eq!(fold(written), folded);
    }
    // The Greek question mark is a semicolon by NFC.
    assert_eq!(normalize("/a%CD%BEb".as_bytes()), Err(Ambiguous));
}
