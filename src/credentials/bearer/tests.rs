use super::*;
use crate::testing::test;

const SYNTAX: TokenSyntax = TokenSyntax { max_length: 64, alphabet: Alphabet::B64token };

fn parse(value: &[u8]) -> Result<&str, Reason> {
    AccessToken::parse(Presented::Once(value), SYNTAX, false).map(|(_, token)| token.expose())
}

#[test]
fn r003_the_scheme_is_the_first_word_in_any_case() {
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        assert_eq!(parse(format!("{scheme} abc").as_bytes()), Ok("abc"));
    }
    for other in ["BearerX abc", "XBearer abc", "Bearer2 abc", "abc Bearer", "Basic QmVhcmVyIGFiYw=="] {
        assert_eq!(parse(other.as_bytes()), Err(Reason::UnsupportedScheme), "{other}");
    }
}

#[test]
fn r004_spaces_may_follow_the_scheme_and_a_tab_may_not() {
    assert_eq!(parse(b"Bearer    abc"), Ok("abc"));
    assert_eq!(parse(b"Bearer abc  "), Ok("abc"));
    assert_eq!(parse(b"Bearer\tabc"), Err(Reason::MalformedCredentials));
    assert_eq!(parse(b"Bearer \tabc"), Err(Reason::MalformedCredentials));
}

#[test]
fn r001_r005_other_credentials_are_none_of_ours() {
    assert_eq!(
        AccessToken::parse(Presented::Absent, SYNTAX, false).map(|(_, token)| token.expose()),
        Err(Reason::MissingCredentials)
    );
    for other in ["Basic dXNlcjpwYXNz", "Negotiate abc", r#"Digest username="a", realm="b""#, "DPoP abc"] {
        assert_eq!(parse(other.as_bytes()), Err(Reason::UnsupportedScheme), "{other}");
    }
}

#[test]
fn r006_a_bearer_field_has_exactly_one_token() {
    for malformed in ["Bearer", "Bearer ", "Bearer a b", "Bearer a,b", "Bearer a, Bearer b", "", " "] {
        assert_eq!(parse(malformed.as_bytes()), Err(Reason::MalformedCredentials), "{malformed:?}");
    }
}

#[test]
fn r007_a_token_is_a_b64token() {
    for token in ["a", "a+b/c~d.e-f_==", "0", "a=", "eyJ.eyJ.sig"] {
        assert_eq!(parse(format!("Bearer {token}").as_bytes()), Ok(token));
    }
    for odd in [
        &b"=a"[..],
        b"a=b",
        b"=",
        b"a\"b",
        b"a;b",
        b"a\x80b",
        b"a\xff",
        b"a%20b",
        b"a\x00b",
        "a\u{e9}".as_bytes(),
    ] {
        assert_eq!(parse(&[b"Bearer ", odd].concat()), Err(Reason::InvalidTokenSyntax), "{odd:?}");
    }
}

/// Hosts deliver two fields as two, or as one joined by a comma. If the first counted, the gateway and a proxy in front of it could
/// disagree on the token.
#[test]
fn r008_two_fields_are_refused_even_if_equal() {
    assert_eq!(
        AccessToken::parse(Presented::Repeated, SYNTAX, false).map(|(_, token)| token.expose()),
        Err(Reason::RepeatedCredentials)
    );
    for joined in ["Bearer a,Bearer a", "Bearer a, Bearer a"] {
        assert_eq!(parse(joined.as_bytes()), Err(Reason::MalformedCredentials), "{joined}");
    }
    for joined in ["Basic a,Bearer b", "Negotiate x, bearer b"] {
        assert_eq!(parse(joined.as_bytes()), Err(Reason::RepeatedCredentials), "{joined}");
    }
}

#[test]
fn r079_a_token_has_a_limit() {
    assert!(parse(format!("Bearer {}", "a".repeat(64)).as_bytes()).is_ok());
    assert_eq!(parse(format!("Bearer {}", "a".repeat(65)).as_bytes()), Err(Reason::TokenTooLong));
}

/// A public route must not forward these. If one of them were missed, the opaque token would reach a service.
#[test]
fn r074_bearer_credentials_are_seen_wherever_they_stand() {
    let is_presented = |value: &str| super::is_presented(Presented::Once(value.as_bytes()));
    for bearer in ["Bearer a", "bearer\ta", "Bearer", "Bearer a b", "Basic a, Bearer b", " BEARER x"] {
        assert!(is_presented(bearer), "{bearer}");
    }
    for other in ["Basic a", "BearerX a", "Negotiate Bearer", ""] {
        assert!(!is_presented(other), "{other}");
    }
    assert!(super::is_presented(Presented::Repeated));
    assert!(!super::is_presented(Presented::Absent));
}

#[test]
fn r110_a_token_has_no_debug_print() {
    let field = Presented::Once(b"Bearer opaque");
    let token = AccessToken::parse(field, SYNTAX, false).expect("a token");
    assert!(!format!("{token:?} {field:?}").contains("opaque"));
}
