use super::*;
use crate::testing::{self, jws, test};

/// If dots made a JWT, opaque tokens with dots would be refused by those who verify JWTs; if a JWT that asks to be understood in
/// unknown ways were taken for an opaque token, it would be asked about instead of refused.
#[test]
fn r061_r070_r071_what_is_a_jws_and_what_only_looks_like_one() {
    let good = testing::jwt(serde_json::json!({}));
    assert!(Jws::parse(&good).is_ok());
    let payload = testing::claims().to_string();
    for opaque in ["opaque", "a.b", "a.b.c.d", "3.14.15", "a b.c.d", "", "..", "=.=.="] {
        assert_eq!(Jws::parse(opaque).err(), Some(NoJws::OtherForm), "{opaque}");
    }
    let padded = good.replacen('.', "=.", 1);
    for spoilt in [padded.as_str(), &format!("{good} "), &format!(" {good}"), &format!("{good}\n")] {
        assert_eq!(Jws::parse(spoilt).err(), Some(NoJws::OtherForm), "{spoilt:?}");
    }
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"NONE"}"#,
        r#"{"alg":"ES256","crit":["exp"],"exp":1}"#,
        r#"{"alg":"ES256","crit":[]}"#,
        r#"{"alg":"ES256","crit":"b64"}"#,
        r#"{"alg":"ES256","b64":false}"#,
        r#"{"alg":"ES256","kid":"a","kid":"b"}"#,
        "[1]",
    ] {
        assert_eq!(Jws::parse(&jws(header, &payload)).err(), Some(NoJws::Unacceptable), "{header}");
    }
    for payload in ["[]", "1", r#"{"a":1,"a":2}"#, "{"] {
        assert_eq!(
            Jws::parse(&jws(r#"{"alg":"ES256"}"#, payload)).err(),
            Some(NoJws::Unacceptable),
            "{payload}"
        );
    }
}
