use super::*;
use crate::testing::test;

/// Content types of requests, each with the type of the refusal and whether Envoy recognizes gRPC in it
/// (`Grpc::Common::hasGrpcContentType`).
const CONTENT_TYPES: &[(&str, Option<(&str, bool)>)] = &[
    ("application/grpc", Some(("application/grpc", true))),
    ("application/grpc+proto", Some(("application/grpc", true))),
    ("application/grpc+json", Some(("application/grpc", true))),
    ("application/grpc+proto;charset=utf-8", Some(("application/grpc", true))),
    // gRPC over HTTP/2: `Content-Type → "application/grpc" [("+proto" / "+json" / {custom})]`, of a media type.
    ("application/grpc;charset=utf-8", Some(("application/grpc", false))),
    ("application/grpc ; proto=orders.v1", Some(("application/grpc", false))),
    ("Application/gRPC", Some(("application/grpc", false))),
    // PROTOCOL-WEB.md.
    ("application/grpc-web", Some(("application/grpc-web", false))),
    ("application/grpc-web+proto", Some(("application/grpc-web", false))),
    ("application/grpc-web+thrift", Some(("application/grpc-web", false))),
    ("application/grpc-web-text", Some(("application/grpc-web-text", false))),
    ("application/grpc-web-text+proto; charset=utf-8", Some(("application/grpc-web-text", false))),
    ("application/grpcfoo", None),
    ("application/grpc-webx", None),
    ("application/grpc-web-textual+proto", None),
    // Connect reads the HTTP status.
    ("application/connect+proto", None),
    ("application/proto", None),
    ("application/json", None),
    ("text/plain, application/grpc", None),
    ("", None),
];

/// If a type were missed, its client would see a broken response instead of a status; if an ordinary one were taken for gRPC, a browser
/// would see a 200.
#[test]
fn r083_the_media_type_tells_who_speaks_grpc() {
    for (written, expected) in CONTENT_TYPES {
        let fields = [(&b"Content-Type"[..], written.as_bytes())];
        let call = GrpcCall::of(fields.into_iter()).map(|call| (call.media_type(), call.is_plain));
        assert_eq!(call, *expected, "{written}");
    }
    assert_eq!(GrpcCall::of(std::iter::empty()), None);
}

#[test]
fn r083_a_message_is_percent_encoded() {
    assert_eq!(message("{\"a\":\"100% \u{fc}\n\"}"), "{\"a\":\"100%25 %C3%BC%0A\"}");
}

/// If a timeout were misread, a client could keep a stream open past its token.
#[test]
fn r179_a_timeout_is_read_as_envoy_reads_it() {
    for (written, expected) in [
        ("1H", Some(3_600_000)),
        ("2M", Some(120_000)),
        ("3S", Some(3_000)),
        ("99999999m", Some(99_999_999)),
        ("5000u", Some(5)),
        ("5000000n", Some(5)),
        ("1n", Some(1)),
        ("0S", None),
        ("00000000m", None),
        ("999999999m", None),
        ("1", None),
        ("S", None),
        ("1s", None),
        ("-1S", None),
        ("+1S", None),
        (" 1S", None),
        ("1S,2S", None),
        ("", None),
    ] {
        assert_eq!(timeout(written.as_bytes()).map(NonZeroU64::get), expected, "{written}");
    }
    for (millis, expected) in [
        (0, "1m"),
        (2500, "2500m"),
        (99_999_999, "99999999m"),
        (100_000_900, "100000S"),
        (u64::MAX, "99999999S"),
    ] {
        assert_eq!(timeout_value(millis), expected);
    }
}
