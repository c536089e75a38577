use super::*;
use crate::testing::test;

/// If a reading were missing, a path could lead to a place whose rule was not consulted.
#[test]
fn r184_a_path_has_every_reading_that_servers_are_known_for() {
    for (path, as_written, readings) in [
        ("/a%2Fb", "/a\u{e000}b", &["/a/b"][..]),
        ("/a%2fb/c?x=%2F", "/a\u{e000}b/c", &["/a/b/c"]),
        ("/%2F/c", "/\u{e000}/c", &["/c"]),
        ("/a%2F%2Fb%2F", "/a\u{e000}\u{e000}b\u{e000}", &["/a/b"]),
        ("/a;v=1/b", "/a\u{e000}v=1/b", &["/a;v=1/b", "/a/b"]),
        ("/a%3bv/;x/b", "/a\u{e000}v/\u{e000}x/b", &["/a;v/;x/b", "/a;v/b", "/a/b"]),
        ("/100%25", "/100\u{e000}", &["/100%"]),
        ("/a%252Fb", "/a\u{e000}2Fb", &["/a%2Fb", "/a/b"]),
        ("/%2561%2Fb", "/\u{e000}61\u{e000}b", &["/%61/b", "/a/b"]),
        ("/C%23/x", "/C\u{e000}/x", &["/C#/x", "/C"]),
        ("/why%3F%2Fx", "/why\u{e000}\u{e000}x", &["/why?/x", "/why"]),
        ("/%6f%2Fb", "/o\u{e000}b", &["/o/b"]),
        // Tomcat removes parameters, up to the next literal slash, before it decodes.
        ("/a;%2Fb/c", "/a\u{e000}\u{e000}b/c", &["/a;/b/c", "/a/b/c", "/a/c"]),
        ("/a%3b%2Fb", "/a\u{e000}\u{e000}b", &["/a;/b", "/a/b"]),
        ("/a%253b%252Fb", "/a\u{e000}3b\u{e000}2Fb", &["/a%3b%2Fb", "/a;/b", "/a/b"]),
        ("/a%3B%252Fb", "/a\u{e000}\u{e000}2Fb", &["/a;%2Fb", "/a;/b", "/a/b", "/a"]),
        // One server ends the path at `#`, another does not know parameters.
        ("/a;v%23/b", "/a\u{e000}v\u{e000}/b", &["/a;v#/b", "/a;v", "/a/b", "/a"]),
    ] {
        let read = OpaquePath::read(path.as_bytes()).expect(path);
        assert_eq!(read.as_written, as_written, "{path}");
        let mut found: Vec<&str> = read.readings.iter().map(String::as_str).collect();
        found.sort_unstable();
        found.dedup();
        let mut expected = readings.to_vec();
        expected.sort_unstable();
        assert_eq!(found, expected, "{path}");
    }
}

/// Whatever is allowed, no path climbs, at any level of decoding.
#[test]
fn r184_what_climbs_or_is_cut_short_by_accident_is_ambiguous_all_the_same() {
    for path in [
        "/public%2F..%2Fadmin",
        "/public%2F../admin",
        "/public/..%2Fadmin",
        "/public/%2e%2e%2Fadmin",
        "/public%2F.%2Fadmin",
        "/public/..;/admin",
        "/public/..;v=1/admin",
        "/public/.;/admin",
        "/public/%2e%2e%3b/admin",
        "/public/..%23/admin",
        "/public/..%3Fadmin",
        "/public/..%253b/admin",
        "/public%252F..%252Fadmin",
        "/public/%252e%252e/admin",
        "/public/%252e%252e%252fadmin",
        "/public/%25252e%25252e/admin",
        "/public%2F%5Cadmin",
        "/public%2F..%5Cadmin",
        "/public%255Cadmin",
        "/public\\admin%2F",
        "/a%2F%20/b",
        "/a%20;x/b",
        "/a%2500%2Fb",
        "/a%00%2Fb",
        "/a%250ab",
        "/a%2F%c0%ae%c0%ae%2Fb",
        "/a%25c0%25ae%2Fb",
        "/a%252525252525252Fb",
        "/a//b%2Fc",
        "//a%2Fb",
        "/a%2Fb%",
        "/a%2Fb%zz",
        "/a%CD%BEb%2F",
        "/a%2Fb#c",
        "a%2Fb",
        "%2Fa",
        "*",
        "",
    ] {
        assert!(OpaquePath::read(path.as_bytes()).is_err(), "{path}");
    }
}

#[cfg(not(target_arch = "wasm32"))]
proptest::proptest! {
    #[test]
    fn r184_no_reading_climbs(path in "/[a-c./%25eEfF;\\\\ ?#2-9]{0,24}") {
        if let Ok(path) = OpaquePath::read(path.as_bytes()) {
            for reading in path.readings.iter().chain([&path.as_written]) {
                proptest::prop_assert!(!reading.split('/').any(|segment| matches!(segment, "." | "..")));
            }
        }
    }
}
