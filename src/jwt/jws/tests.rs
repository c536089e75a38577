use super::*;
use crate::testing::{self, jws, test};

/// If dots made a JWT, opaque tokens with dots would be refused where JWTs are verified; if a JWT with unknown critical extensions were
/// taken for an opaque token, it would be introspected instead of refused.
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
    for (header, error) in [
        (r#"{"alg":"none"}"#, NoJws::Unsigned),
        (r#"{"alg":"NONE"}"#, NoJws::Unsigned),
        (r#"{"alg":" none"}"#, NoJws::Malformed("alg")),
        (r#"{"alg":""}"#, NoJws::Malformed("alg")),
        (r#"{"alg":null}"#, NoJws::Malformed("alg")),
        (r#"{"alg":["ES256"]}"#, NoJws::Malformed("alg")),
        (r#"{"typ":"at+jwt"}"#, NoJws::Malformed("alg")),
        (r#"{"alg":"ES256","crit":["exp"],"exp":1}"#, NoJws::Malformed("crit")),
        (r#"{"alg":"ES256","crit":[]}"#, NoJws::Malformed("crit")),
        (r#"{"alg":"ES256","crit":null}"#, NoJws::Malformed("crit")),
        (r#"{"alg":"ES256","crit":"b64"}"#, NoJws::Malformed("crit")),
        (r#"{"alg":"ES256","b64":false}"#, NoJws::Malformed("b64")),
        (r#"{"alg":"ES256","b64":"true"}"#, NoJws::Malformed("b64")),
        (r#"{"alg":"ES256","kid":"a","kid":"b"}"#, NoJws::Malformed("header")),
        (r#"{"alg":"ES256","x5t":"a","x5t":"b"}"#, NoJws::Malformed("header")),
        (r#"{"alg":"ES256","jwk":{"kty":"EC","kty":"RSA"}}"#, NoJws::Malformed("header")),
        ("[1]", NoJws::Malformed("header")),
    ] {
        assert_eq!(Jws::parse(&jws(header, &payload)).err(), Some(error), "{header}");
    }
    for payload in ["[]", "1", r#"{"a":1,"a":2}"#, "{"] {
        assert_eq!(
            Jws::parse(&jws(r#"{"alg":"ES256"}"#, payload)).err(),
            Some(NoJws::Malformed("claims")),
            "{payload}"
        );
    }
}
