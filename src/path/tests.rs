use super::*;
use crate::testing::test;

#[test]
fn r084_equal_paths_have_one_form() {
    for (written, normalized) in [
        ("/", "/"),
        ("/orders/7?x=/../", "/orders/7"),
        ("/%6frders", "/orders"),
        ("/a%7Eb%2Dc", "/a~b-c"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/orders/", "/orders/"),
        ("/a%20b", "/a%20b"),
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
        "/a b",
        "/a\tb",
        "/\u{e9}",
    ] {
        assert_eq!(normalize(path.as_bytes()), Err(Ambiguous), "{path:?}");
    }
    assert_eq!(normalize(b"/\xff"), Err(Ambiguous));
}

#[test]
fn r084_a_prefix_ends_at_a_segment_boundary() {
    for (path, prefix, below) in [
        ("/public", "/public", true),
        ("/public/", "/public", true),
        ("/public/a/b", "/public", true),
        ("/publicity", "/public", false),
        ("/public-admin", "/public", false),
        ("/", "/public", false),
        ("/anything", "/", true),
        ("/Public", "/public", false),
    ] {
        assert_eq!(is_below(path, prefix), below, "{path} below {prefix}");
    }
}

#[cfg(not(target_arch = "wasm32"))]
proptest::proptest! {
    /// Whatever is sent, the outcome is a path that normalises to itself, or none.
    #[test]
    fn normalised_paths_are_fixed_points(path in proptest::collection::vec(proptest::num::u8::ANY, 0..40)) {
        if let Ok(once) = normalize(&path) {
            proptest::prop_assert_eq!(normalize(once.as_bytes()), Ok(once.clone()));
            proptest::prop_assert!(!once.split('/').any(|segment| matches!(segment, "." | "..")));
        }
    }
}
