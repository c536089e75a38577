use super::*;
use crate::testing::test;

/// Every reason and its status.
const ALL: &[(Reason, u16)] = &[
    (Reason::MissingCredentials, 401),
    (Reason::UnsupportedScheme, 401),
    (Reason::MalformedCredentials, 400),
    (Reason::RepeatedCredentials, 400),
    (Reason::InvalidTokenSyntax, 401),
    (Reason::TokenTooLong, 431),
    (Reason::Inactive, 401),
    (Reason::Expired, 401),
    (Reason::NotYetValid, 401),
    (Reason::MissingExpiration, 401),
    (Reason::WrongIssuer, 401),
    (Reason::WrongAudience, 401),
    (Reason::WrongClient, 401),
    (Reason::NotAnAccessToken, 401),
    (Reason::ProofRequired, 401),
    (Reason::InsufficientScope, 403),
    (Reason::ClaimMismatch, 403),
    (Reason::InsufficientUserAuthentication, 401),
    (Reason::NoMatchingRule, 403),
    (Reason::AmbiguousTarget, 400),
    (Reason::AmbiguousField, 400),
    (Reason::GatewayCredentialsRefused, 502),
    (Reason::UnexpectedResponse, 502),
    (Reason::MissingPhantomToken, 502),
    (Reason::MissingSubject, 502),
    (Reason::PhantomTokenTooLong, 502),
    (Reason::Unavailable, 503),
    (Reason::ServerRateLimited, 503),
    (Reason::IntrospectionLimit, 503),
    (Reason::VerificationLimit, 503),
    (Reason::DpopProofLimit, 503),
    (Reason::CircuitOpen, 503),
    (Reason::IntrospectionTimeout, 504),
    (Reason::Internal, 500),
];

fn space() -> ProtectionSpace {
    ProtectionSpace { realm: "api".to_owned(), ..ProtectionSpace::default() }
}

fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    reply.headers.iter().find(|(header, _)| *header == name).map(|(_, value)| value.as_str())
}

/// If a failure of the server had a challenge, clients would discard valid tokens; a 401 without one breaks RFC 9110.
#[test]
fn r024_only_the_clients_fault_is_challenged() {
    for &(reason, status) in ALL {
        let reply = Rejection::from(reason).reply(&space());
        assert_eq!(reply.status, status, "{reason:?}");
        let has_challenge = header(&reply, "www-authenticate").is_some();
        assert_eq!(has_challenge, matches!(reply.status, 401) || challenged_otherwise(reason), "{reason:?}");
        assert_eq!(reason.fault() == Fault::Client, reply.status < 500, "{reason:?}");
        assert_eq!(header(&reply, "retry-after").is_some(), reply.status == 503, "{reason:?}");
    }
}

fn challenged_otherwise(reason: Reason) -> bool {
    use Reason::{ClaimMismatch, InsufficientScope, MalformedCredentials, RepeatedCredentials};
    matches!(reason, MalformedCredentials | RepeatedCredentials | InsufficientScope | ClaimMismatch)
}

/// RFC 6750 §3: if the token is insufficient, there MUST be a challenge. `insufficient_scope` is for what a scope would fix: clients that
/// receive it ask for more scopes again and again (typescript-sdk#2255). Where no token would help, a challenge would mislead.
#[test]
fn r182_a_403_has_a_challenge_where_another_token_would_do() {
    let cases = [
        (
            Reason::InsufficientScope,
            Some(
                r#"realm="api", error="insufficient_scope", error_description="The access token lacks a required scope""#,
            ),
        ),
        (Reason::ClaimMismatch, Some(r#"realm="api""#)),
        (Reason::PeerNotAllowed, None),
        (Reason::NoMatchingRule, None),
    ];
    let all = Reason::ALL.iter().filter(|reason| Rejection::from(**reason).reply(&space()).status == 403);
    assert_eq!(all.count(), cases.len(), "each 403 has its row");
    for (reason, challenge) in cases {
        let reply = Rejection::from(reason).reply(&space());
        assert_eq!((reply.status, reply.grpc_status), (403, 7), "{reason:?}");
        let expected = challenge.map(|challenge| format!("Bearer {challenge}"));
        assert_eq!(header(&reply, "www-authenticate"), expected.as_deref(), "{reason:?}");
        let with_proof = Rejection { schemes: Schemes::Dpop, ..reason.into() }.reply(&space());
        let expected = challenge.map(|challenge| format!(r#"DPoP {challenge}, algs="""#));
        assert_eq!(header(&with_proof, "www-authenticate"), expected.as_deref(), "{reason:?}");
    }
}

#[test]
fn r001_without_credentials_the_challenge_has_no_error() {
    for reason in [Reason::MissingCredentials, Reason::UnsupportedScheme] {
        let reply = Rejection::from(reason).reply(&space());
        assert_eq!(header(&reply, "www-authenticate"), Some(r#"Bearer realm="api""#));
    }
}

#[test]
fn r015_every_answer_is_json_that_is_not_stored() {
    for &(reason, _) in ALL {
        let reply = Rejection::from(reason).reply(&space());
        let body: serde_json::Value = serde_json::from_str(&reply.body).expect("JSON");
        assert!(body["error"].is_string() && body["error_description"].is_string(), "{reason:?}");
        assert_eq!(header(&reply, "content-type"), Some("application/json"));
        assert_eq!(header(&reply, "cache-control"), Some("no-store"), "{reason:?}");
    }
}

#[test]
fn r083_grpc_clients_receive_grpc_codes() {
    for (reason, status) in [
        (Reason::MalformedCredentials, 16),
        (Reason::Inactive, 16),
        (Reason::TokenTooLong, 8),
        (Reason::InsufficientScope, 7),
        (Reason::NoMatchingRule, 7),
        (Reason::UnexpectedResponse, 14),
        (Reason::Unavailable, 14),
        (Reason::IntrospectionTimeout, 14),
        (Reason::Internal, 13),
    ] {
        assert_eq!(Rejection::from(reason).reply(&space()).grpc_status, status, "{reason:?}");
    }
}

#[test]
fn names_are_unique() {
    let mut names: Vec<_> = ALL.iter().map(|(reason, _)| reason.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ALL.len());
}

/// If a page could not read the reply, it could not tell an expired token from a network failure.
#[test]
fn r081_a_page_of_an_allowed_origin_may_read_the_answer() {
    let origin = "https://app.example.com";
    let reply = Rejection { allowed_origin: Some(origin.into()), ..Reason::Expired.into() }.reply(&space());
    assert_eq!(header(&reply, "access-control-allow-origin"), Some(origin));
    assert_eq!(header(&reply, "vary"), Some("origin"));
    assert!(
        header(&reply, "access-control-expose-headers")
            .is_some_and(|names| names.contains("www-authenticate"))
    );
    assert_eq!(
        header(&Rejection::from(Reason::Expired).reply(&space()), "access-control-allow-origin"),
        None
    );
}

/// If a host converted the reply again, the client would see each field twice.
#[test]
fn r083_a_refusal_is_trailers_only_unless_the_host_makes_it_that() {
    for (written, knows_grpc, media_type) in [
        ("application/grpc", true, None),
        ("application/grpc", false, Some("application/grpc")),
        ("application/grpc;charset=utf-8", true, Some("application/grpc")),
        ("application/grpc-web+proto", true, Some("application/grpc-web")),
        ("application/grpc-web+proto", false, Some("application/grpc-web")),
    ] {
        let grpc_call = GrpcCall::of(std::iter::once((&b"content-type"[..], written.as_bytes())));
        let rejection = Rejection { grpc_call, ..Reason::Expired.into() };
        let reply = rejection.reply(&space()).for_host(knows_grpc);
        let count = |name| reply.headers.iter().filter(|(own, _)| *own == name).count();
        assert_eq!(count("www-authenticate"), 1);
        if media_type.is_some() {
            assert_eq!((reply.status, reply.body.as_str(), count("content-type")), (200, "", 1));
            assert_eq!(header(&reply, "content-type"), media_type, "{written}");
            assert_eq!(header(&reply, "grpc-status"), Some("16"));
            assert!(header(&reply, "grpc-message").is_some_and(|text| text.contains("invalid_token")));
        } else {
            assert_eq!(reply.status, 401);
            assert_eq!((count("content-type"), count("grpc-status")), (0, 0));
        }
    }
    let http = Rejection::from(Reason::Expired).reply(&space());
    assert_eq!(http.clone().for_host(false), http);
}
