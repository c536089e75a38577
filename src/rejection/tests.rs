use super::*;
use crate::testing::test;

const ALL: &[Reason] = &[
    Reason::MissingCredentials,
    Reason::UnsupportedScheme,
    Reason::MalformedCredentials,
    Reason::RepeatedCredentials,
    Reason::InvalidTokenSyntax,
    Reason::TokenTooLong,
    Reason::Inactive,
    Reason::Expired,
    Reason::Premature,
    Reason::MissingExpiration,
    Reason::WrongIssuer,
    Reason::WrongAudience,
    Reason::NotAnAccessToken,
    Reason::SenderConstrained,
    Reason::InsufficientScope,
    Reason::ClaimNotGranted,
    Reason::InsufficientUserAuthentication,
    Reason::NotExposed,
    Reason::AmbiguousTarget,
    Reason::GatewayCredentialsRefused,
    Reason::UnexpectedResponse,
    Reason::MissingPhantomToken,
    Reason::PhantomTokenTooLong,
    Reason::Unavailable,
    Reason::TimedOut,
    Reason::Internal,
];

fn space() -> ProtectionSpace {
    ProtectionSpace { realm: "api".to_owned(), metadata: None }
}

fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
    reply.headers.iter().find(|(header, _)| *header == name).map(|(_, value)| value.as_str())
}

/// If a failure of the server had a challenge, clients would throw good tokens away; a 401 without one breaks RFC 9110.
#[test]
fn r024_only_the_clients_fault_is_challenged() {
    for &reason in ALL {
        let reply = Rejection::from(reason).reply(&space());
        let has_challenge = header(&reply, "www-authenticate").is_some();
        assert_eq!(has_challenge, matches!(reply.status, 401) || challenged_otherwise(reason), "{reason:?}");
        assert_eq!(reason.fault() == Fault::Client, reply.status < 500, "{reason:?}");
        assert_eq!(header(&reply, "retry-after").is_some(), reply.status == 503, "{reason:?}");
    }
}

fn challenged_otherwise(reason: Reason) -> bool {
    matches!(reason, Reason::MalformedCredentials | Reason::RepeatedCredentials | Reason::InsufficientScope)
}

#[test]
fn r001_without_credentials_no_error_is_told() {
    for reason in [Reason::MissingCredentials, Reason::UnsupportedScheme] {
        let reply = Rejection::from(reason).reply(&space());
        assert_eq!(header(&reply, "www-authenticate"), Some(r#"Bearer realm="api""#));
    }
}

#[test]
fn r015_every_answer_is_json_that_is_not_stored() {
    for &reason in ALL {
        let reply = Rejection::from(reason).reply(&space());
        let body: serde_json::Value = serde_json::from_str(&reply.body).expect("JSON");
        assert!(body["error"].is_string() && body["error_description"].is_string(), "{reason:?}");
        assert_eq!(header(&reply, "content-type"), Some("application/json"));
        assert_eq!(header(&reply, "cache-control"), Some("no-store"), "{reason:?}");
    }
}

#[test]
fn r083_grpc_clients_are_told_in_their_own_codes() {
    for (reason, status) in [
        (Reason::MalformedCredentials, 16),
        (Reason::Inactive, 16),
        (Reason::InsufficientScope, 7),
        (Reason::NotExposed, 7),
        (Reason::UnexpectedResponse, 14),
        (Reason::Unavailable, 14),
        (Reason::TimedOut, 14),
        (Reason::Internal, 13),
    ] {
        assert_eq!(Rejection::from(reason).reply(&space()).grpc_status, status, "{reason:?}");
    }
}

#[test]
fn names_are_unique() {
    let mut names: Vec<_> = ALL.iter().map(|reason| reason.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ALL.len());
}
