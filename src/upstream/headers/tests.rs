use super::*;
use crate::testing::test;

fn named(name: &str) -> NamedClaim {
    NamedClaim { name: name.to_owned(), pointer: "/c".to_owned(), encoding: Default::default() }
}

#[test]
fn r075_imitations_are_seen_in_any_case_and_with_other_marks() {
    for name in ["x-user-id", "X-User-Id", "x_user_id", "X_USER-ID", "x.user.id"] {
        assert!(resembles(name.as_bytes(), "x-user-id"), "{name}");
    }
    for name in ["x-user-i", "x-user-idx", "xuser-id", "", "\u{17f}-user-id"] {
        assert!(!resembles(name.as_bytes(), "x-user-id"), "{name}");
    }
}

/// If the client's own field stayed beside the gateway's, a service could take the wrong one for the JWT.
#[test]
fn r075_a_field_for_the_jwt_cannot_be_imitated_either() {
    let forwarding = Forwarding { jwt_field: "x-jwt".to_owned(), ..Forwarding::default() };
    let names: [&[u8]; 4] = [b"X_Jwt", b"authorization", b"x-jwt", b"x-jw"];
    assert_eq!(forwarding.spoofed_headers(names.into_iter()), ["X_Jwt", "x-jwt"]);
    let usual = Forwarding { claim_to_headers: vec![named("x-user")], ..Forwarding::default() };
    assert_eq!(usual.spoofed_headers([&b"authorization"[..], b"x.user"].into_iter()), ["x.user"]);
}
