//! The one table of refusals: who is at fault, and what the client hears (RFC 6750 §3, RFC 9110 §15).
//!
//! A client's fault is 400, 401, 403 or 431; a challenge comes with it where credentials could help. The authorization
//! server's fault is 502, 503 or 504, ours is 500, or 503 where a limit is reached, and neither is ever told to the client as a fault of its token.
//! Every text here is fixed: nothing of a token or of the server's answer can come out.

mod body;
mod challenge;

use std::sync::Arc;
use std::time::Duration;

pub use body::ErrorBody;
pub use challenge::{ProtectionSpace, Schemes};

use body::Particulars;
use challenge::Challenge;

use crate::http::callout::{Outcome, Withheld};
use crate::http::cors;
use crate::http::reply::Reply;
use crate::requirement::Requirement;
use crate::token_key::TokenKey;

/// Defines the reasons, and the list of them.
macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $reason:ident,)+) => {
        /// Why a request is refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])+ $reason,)+
        }

        impl Reason {
            /// All reasons, in the order of their discriminants.
            pub const ALL: &[Self] = &[$(Self::$reason,)+];
        }
    };
}

reasons! {
    /// No `Authorization` field (R1).
    MissingCredentials,
    /// Credentials of another scheme than Bearer (R5).
    UnsupportedScheme,
    /// A Bearer field without exactly one token (R4, R6).
    MalformedCredentials,
    /// More than one set of credentials (R8).
    RepeatedCredentials,
    /// More than one field of a name that the gateway sets or takes off, where the host reaches only one of them (R137).
    RepeatedField,
    /// More fields than the host shows (R138).
    TooManyFields,
    /// A token that RFC 6750 §2.1 does not allow (R7).
    InvalidTokenSyntax,
    /// A token over the configured length (R79).
    TokenTooLong,
    /// The authorization server says that the token is not active (R25).
    Inactive,
    /// `exp` has passed (R31).
    Expired,
    /// `nbf` has not come (R31).
    Premature,
    /// No `exp` where one is required (R32).
    MissingExpiration,
    /// `iss` is absent or not the configured one (R33).
    WrongIssuer,
    /// `aud` names none of the configured audiences (R34).
    WrongAudience,
    /// A refresh token, an ID token or the like (R36).
    NotAnAccessToken,
    /// The signature of a JWT that was presented is not its issuer's, or not acceptable (R59 to R63).
    InvalidSignature,
    /// A JWT that was presented lacks a claim that RFC 9068 requires (R68).
    MissingClaim,
    /// JWTs are not taken from clients here.
    JwtNotAccepted,
    /// Only JWTs can be taken here: their issuer introspects nothing.
    NotAJwt,
    /// The token is bound to a key of its sender, which a bearer does not prove to hold (R98).
    SenderConstrained,
    /// The token is bound to another key than the sender proved to hold, or to none (R89).
    WrongSender,
    /// The token has to be bound to its sender here.
    BindingRequired,
    /// The proof of possession is absent or not right (R85, R86).
    InvalidDpopProof,
    /// The proof of possession lacks the gateway's nonce (R92).
    UseDpopNonce,
    /// A scope token that the rule requires is missing (R35).
    InsufficientScope,
    /// A claim that the rule requires is missing or another.
    ClaimNotGranted,
    /// The user has to authenticate again, or by stronger means (R99, R100).
    InsufficientUserAuthentication,
    /// The caller is none of those that the rule names, by its certificate.
    PeerNotAllowed,
    /// No rule exposes this host, method and path (R84).
    NotExposed,
    /// A method, host or path that servers read in different ways, where the rules depend on it (R84).
    AmbiguousTarget,
    /// The authorization server refuses the gateway's own credentials (R28).
    GatewayCredentialsRefused,
    /// The authorization server's answer is not what RFC 7662 and the configuration promise (R27, R29, R30).
    UnexpectedResponse,
    /// What the authorization server signed has not its signature (R41, R43).
    UnverifiableResponse,
    /// An active token, but no JWT for it (R42).
    MissingPhantomToken,
    /// The JWT is longer than the services behind the gateway accept (R79).
    PhantomTokenTooLong,
    /// The authorization server cannot be reached or does not serve (R24).
    Unavailable,
    /// The gateway asks the authorization server no more for now (R111).
    Overloaded,
    /// Too many signatures were wrong lately, so that nothing new is verified for a while.
    VerificationLimit,
    /// More proofs of possession are in use than are remembered.
    DpopProofLimit,
    /// The authorization server is asked too much, it says (R24).
    Throttled,
    /// The authorization server failed again and again, and is left alone for a while (R24).
    CircuitOpen,
    /// No keys of the authorization server were ever loaded (R64).
    KeysUnavailable,
    /// The authorization server did not answer in time (R24).
    TimedOut,
    /// The gateway itself failed (R38).
    Internal,
}

/// Who has to act so that a refusal goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The client: its request or its token.
    Client,
    /// The authorization server, or its configuration here.
    AuthorizationServer,
    /// The gateway.
    Gateway,
}

/// A request that is not forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Why.
    pub reason: Reason,
    /// The token that the client showed, where that was looked at.
    pub token: Option<TokenKey>,
    /// What the rule requires, where that was looked at.
    pub requirement: Option<Arc<Requirement>>,
    /// The origin whose pages may read the answer, if it came from one.
    pub allowed_origin: Option<Arc<str>>,
    /// The schemes that are challenged.
    pub schemes: Schemes,
    /// The nonce that a proof has to have, if that is what was missing.
    pub nonce: Option<String>,
    /// When to try again, where that is known.
    pub retry_after: Option<Duration>,
}

impl From<Reason> for Rejection {
    fn from(reason: Reason) -> Self {
        Self {
            reason,
            token: None,
            requirement: None,
            allowed_origin: None,
            schemes: Schemes::default(),
            nonce: None,
            retry_after: None,
        }
    }
}

impl Rejection {
    /// The answer, which tells of the protection space if it has a challenge.
    pub fn reply(&self, space: &ProtectionSpace) -> Reply {
        let Row { status, error, challenge, description, .. } = self.reason.row();
        let mut headers = vec![
            ("content-type", space.error_body.media_type().to_owned()),
            ("cache-control", "no-store".to_owned()),
        ];
        let parameters = self.parameters();
        for scheme in self.schemes.names() {
            let text = challenge::render(scheme, challenge, space, error, description, &parameters);
            headers.extend(text.map(|text| ("www-authenticate", text)));
        }
        headers.extend(self.nonce.iter().map(|nonce| ("dpop-nonce", nonce.clone())));
        if status == SERVICE_UNAVAILABLE {
            headers.push(("retry-after", self.retry_after_seconds().to_string()));
        }
        headers.extend(self.allowed_origin.iter().flat_map(|origin| cors::headers(origin)));
        let particulars =
            Particulars { status, error, error_description: description, reason: self.reason.name() };
        let body = space.error_body.render(&particulars);
        Reply { status, headers, body, grpc_status: grpc_status(status), reason: Some(self.reason.name()) }
    }
}

impl Rejection {
    /// When to try again, in whole seconds; a server that wants to be left alone for long does not decide for all clients.
    fn retry_after_seconds(&self) -> u64 {
        let seconds = |pause: Duration| pause.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX);
        self.retry_after.map_or(RETRY_AFTER_SECONDS, seconds).clamp(1, MAX_RETRY_AFTER_SECONDS)
    }

    /// The parameters of the challenge that tell the client what would do.
    fn parameters(&self) -> Vec<(&'static str, String)> {
        let Some(requirement) = &self.requirement else { return Vec::new() };
        match self.reason {
            Reason::InsufficientScope => vec![("scope", requirement.scope())],
            Reason::InsufficientUserAuthentication => {
                let acr_values = Some(requirement.acr_values()).filter(|values| !values.is_empty());
                let max_age = requirement.max_age().map(|max_age| max_age.as_secs().to_string());
                let parameters = [("acr_values", acr_values), ("max_age", max_age)];
                parameters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Reason {
    /// Why a callout led to nothing that could be read.
    pub(crate) fn of_failure(outcome: &Outcome<'_>) -> Self {
        match outcome {
            Outcome::Response { .. } | Outcome::Oversized => Self::UnexpectedResponse,
            Outcome::Lost => Self::Unavailable,
            Outcome::Withheld(Withheld::Overloaded | Withheld::Claimed) => Self::Overloaded,
            Outcome::Withheld(Withheld::CircuitOpen(_)) => Self::CircuitOpen,
        }
    }

    /// Who is at fault.
    pub fn fault(self) -> Fault {
        match (self, self.row().status) {
            (Self::VerificationLimit | Self::DpopProofLimit, _) | (_, 500) => Fault::Gateway,
            (_, 501..) => Fault::AuthorizationServer,
            (_, ..500) => Fault::Client,
        }
    }

    /// Whether the authorization server did not serve. That it is asked too much is no outage: a client can bring that about, and would
    /// gain by it if old answers served then.
    pub(crate) fn is_outage(self) -> bool {
        matches!(self, Self::Unavailable | Self::TimedOut | Self::CircuitOpen)
    }

    /// Whether a proof of possession is what is wrong.
    pub(crate) fn is_about_proof(self) -> bool {
        matches!(
            self,
            Self::InvalidDpopProof | Self::UseDpopNonce | Self::BindingRequired | Self::WrongSender
        )
    }

    /// A short name for logs and metrics, in snake case.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// What clients are told of it.
    pub fn description(self) -> &'static str {
        self.row().description
    }

    fn row(self) -> Row {
        match self {
            Self::MissingCredentials => {
                Row::unauthorized("missing_credentials", "An access token is required")
            }
            Self::UnsupportedScheme => Row::unauthorized("unsupported_scheme", "A bearer token is required"),
            Self::MalformedCredentials => {
                Row::invalid_request("malformed_credentials", "The Authorization header field is malformed")
            }
            Self::RepeatedCredentials => Row::invalid_request(
                "repeated_credentials",
                "The request has more than one set of credentials",
            ),
            Self::RepeatedField => {
                Row::bare("repeated_field", 400, "invalid_request", "A header field is there more than once")
            }
            Self::TooManyFields => {
                Row::bare("too_many_fields", 431, "invalid_request", "The request has too many header fields")
            }
            Self::InvalidTokenSyntax => {
                Row::invalid_token("invalid_token_syntax", "The access token is malformed")
            }
            Self::TokenTooLong => {
                Row::bare("token_too_long", 431, "invalid_request", "The access token is too long")
            }
            Self::Inactive => Row::invalid_token("inactive", "The access token is not active"),
            Self::Expired => Row::invalid_token("expired", "The access token has expired"),
            Self::Premature => Row::invalid_token("premature", "The access token is not valid yet"),
            Self::MissingExpiration => {
                Row::invalid_token("missing_expiration", "The access token has no expiration time")
            }
            Self::WrongIssuer => Row::invalid_token("wrong_issuer", "The access token is of another issuer"),
            Self::WrongAudience => {
                Row::invalid_token("wrong_audience", "The access token is for another audience")
            }
            Self::NotAnAccessToken => {
                Row::invalid_token("not_an_access_token", "The token is not an access token")
            }
            Self::InvalidSignature => {
                Row::invalid_token("invalid_signature", "The signature of the access token is not valid")
            }
            Self::MissingClaim => {
                Row::invalid_token("missing_claim", "The access token lacks a claim that every one has")
            }
            Self::JwtNotAccepted => {
                Row::invalid_token("jwt_not_accepted", "JWTs are not accepted as access tokens here")
            }
            Self::NotAJwt => Row::invalid_token("not_a_jwt", "The access token is not a JWT"),
            Self::SenderConstrained => {
                Row::invalid_token("sender_constrained", "The access token is bound to its sender")
            }
            Self::WrongSender => {
                Row::invalid_token("wrong_sender", "The access token is not bound to the key of the proof")
            }
            Self::BindingRequired => {
                Row::invalid_token("binding_required", "The access token has to be bound to its sender")
            }
            Self::InvalidDpopProof => {
                Row::dpop("invalid_dpop_proof", "invalid_dpop_proof", "The DPoP proof is absent or not valid")
            }
            Self::UseDpopNonce => Row::dpop(
                "use_dpop_nonce",
                "use_dpop_nonce",
                "The DPoP proof has to have the nonce of this answer",
            ),
            Self::InsufficientScope => Row::insufficient_scope(
                "insufficient_scope",
                "The access token lacks a scope that is required here",
            ),
            Self::ClaimNotGranted => Row::bare(
                "claim_not_granted",
                403,
                "access_denied",
                "The access token lacks a claim that is required here",
            ),
            Self::InsufficientUserAuthentication => Row::insufficient_user_authentication(
                "insufficient_user_authentication",
                "The user has to authenticate again or by stronger means",
            ),
            Self::PeerNotAllowed => {
                Row::bare("peer_not_allowed", 403, "access_denied", "This caller is not allowed here")
            }
            Self::NotExposed => {
                Row::bare("not_exposed", 403, "access_denied", "This resource is not exposed")
            }
            Self::AmbiguousTarget => {
                Row::bare("ambiguous_target", 400, "invalid_request", "The request target is ambiguous")
            }
            Self::GatewayCredentialsRefused => Row::bad_gateway(
                "gateway_credentials_refused",
                "The authorization server refused the gateway",
            ),
            Self::UnexpectedResponse => {
                Row::bad_gateway("unexpected_response", "The authorization server answered unexpectedly")
            }
            Self::UnverifiableResponse => Row::bad_gateway(
                "unverifiable_response",
                "The authorization server answered without a valid signature",
            ),
            Self::MissingPhantomToken => {
                Row::bad_gateway("missing_phantom_token", "The authorization server answered without a JWT")
            }
            Self::PhantomTokenTooLong => Row::bad_gateway(
                "phantom_token_too_long",
                "The authorization server answered with too long a JWT",
            ),
            Self::Unavailable => Row::unavailable(
                "unavailable",
                SERVICE_UNAVAILABLE,
                "The authorization server is unavailable",
            ),
            Self::Overloaded => Row::unavailable(
                "overloaded",
                SERVICE_UNAVAILABLE,
                "Too many access tokens are looked up at once",
            ),
            Self::VerificationLimit => Row::unavailable(
                "verification_limit",
                SERVICE_UNAVAILABLE,
                "Too many signatures were not valid lately",
            ),
            Self::DpopProofLimit => Row::unavailable(
                "dpop_proof_limit",
                SERVICE_UNAVAILABLE,
                "Too many DPoP proofs are in use at once",
            ),
            Self::Throttled => Row::unavailable(
                "throttled",
                SERVICE_UNAVAILABLE,
                "The authorization server is asked too much",
            ),
            Self::CircuitOpen => Row::unavailable(
                "circuit_open",
                SERVICE_UNAVAILABLE,
                "The authorization server is unavailable",
            ),
            Self::KeysUnavailable => Row::unavailable(
                "keys_unavailable",
                SERVICE_UNAVAILABLE,
                "The keys of the authorization server are unavailable",
            ),
            Self::TimedOut => {
                Row::unavailable("timed_out", 504, "The authorization server did not answer in time")
            }
            Self::Internal => Row::bare("internal", 500, "server_error", "The gateway failed"),
        }
    }
}

/// What the table says of a reason.
struct Row {
    name: &'static str,
    status: u16,
    error: &'static str,
    challenge: Challenge,
    description: &'static str,
}

/// The error codes are those of RFC 6750 §3.1 and, where it has none, of RFC 6749 §4.1.2.1. Who sent no credentials is told
/// none of them in the challenge.
impl Row {
    fn unauthorized(name: &'static str, description: &'static str) -> Self {
        Self { name, status: 401, error: "unauthorized", challenge: Challenge::Plain, description }
    }

    fn invalid_request(name: &'static str, description: &'static str) -> Self {
        Self { name, status: 400, error: "invalid_request", challenge: Challenge::WithError, description }
    }

    fn invalid_token(name: &'static str, description: &'static str) -> Self {
        Self { name, status: 401, error: "invalid_token", challenge: Challenge::WithError, description }
    }

    /// RFC 9449 §7.1, §9.
    fn dpop(name: &'static str, error: &'static str, description: &'static str) -> Self {
        Self { name, status: 401, error, challenge: Challenge::WithError, description }
    }

    fn insufficient_scope(name: &'static str, description: &'static str) -> Self {
        Self { name, status: 403, error: "insufficient_scope", challenge: Challenge::WithError, description }
    }

    /// RFC 9470 §3.
    fn insufficient_user_authentication(name: &'static str, description: &'static str) -> Self {
        let error = "insufficient_user_authentication";
        Self { name, status: 401, error, challenge: Challenge::WithError, description }
    }

    fn bad_gateway(name: &'static str, description: &'static str) -> Self {
        Self::bare(name, 502, "server_error", description)
    }

    fn unavailable(name: &'static str, status: u16, description: &'static str) -> Self {
        Self::bare(name, status, "temporarily_unavailable", description)
    }

    /// Without a challenge.
    fn bare(name: &'static str, status: u16, error: &'static str, description: &'static str) -> Self {
        Self { name, status, error, challenge: Challenge::Absent, description }
    }
}

/// PERMISSION_DENIED, RESOURCE_EXHAUSTED, UNAVAILABLE, INTERNAL and UNAUTHENTICATED of the gRPC status codes (R83).
fn grpc_status(http_status: u16) -> u8 {
    match http_status {
        403 => 7,
        431 => 8,
        502..=504 => 14,
        500.. => 13,
        _ => 16,
    }
}

const SERVICE_UNAVAILABLE: u16 = 503;

/// How soon a client may try again when the authorization server does not serve (RFC 9110 §10.2.3).
const RETRY_AFTER_SECONDS: u64 = 5;
const MAX_RETRY_AFTER_SECONDS: u64 = 300;

#[cfg(test)]
mod tests;
