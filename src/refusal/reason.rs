//! The table of reasons: one row each. It defines the enum, the names and everything else about a reason.
//!
//! Every text here is fixed: nothing of a token or of the server's response can leak. The error codes are those of RFC 6750
//! §3.1, RFC 9449 §7.1 and RFC 9470 §3 and, where these have none, of RFC 6749 §4.1.2.1. `unauthorized` is no registered code:
//! it stands in bodies alone, since the challenge of a request without credentials has no error (RFC 6750 §3.1); so does
//! `access_denied`, which is none of RFC 6750's codes.

use super::challenge::Challenge;
use crate::http::callout::{CallResult, NotSent};

/// The party that has to act to end the refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The client: its request or its token.
    Client,
    /// The authorization server, or its configuration here.
    AuthorizationServer,
    /// The gateway, or a limit that it has.
    Gateway,
}

/// A row of the table.
pub(super) struct Row {
    name: &'static str,
    pub(super) status: u16,
    /// The error code, in the body and in a challenge that has one.
    pub(super) error: &'static str,
    pub(super) challenge: Challenge,
    fault: Fault,
    pub(super) description: &'static str,
    is_outage: bool,
    is_about_proof: bool,
    is_about_absence: bool,
    is_about_place: bool,
}

/// Defines the reasons. A row: the meaning, the variant, status, error code, challenge, who is at fault, further columns that are true, and
/// the text for clients. The name is the variant's in snake case, with a chapter in docs/troubleshooting.md.
macro_rules! reasons {
    ($(
        $(#[doc = $doc:literal])+
        $reason:ident: $status:literal $error:literal $challenge:ident $fault:ident $([$($column:ident),+])?
            $description:literal,
    )+) => {
        /// Why a request is refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])+ $reason,)+
        }

        impl Reason {
            /// All reasons, in the order of their discriminants.
            pub const ALL: &[Self] = &[$(Self::$reason,)+];

            pub(super) fn row(self) -> &'static Row {
                match self {
                    $(Self::$reason => {
                        const NAME: [u8; snake_case_length(stringify!($reason))] =
                            snake_case(stringify!($reason));
                        const ROW: Row = Row {
                            name: text(&NAME),
                            status: $status,
                            error: $error,
                            challenge: Challenge::$challenge,
                            fault: Fault::$fault,
                            description: $description,
                            $($($column: true,)+)?
                            ..DEFAULTS
                        };
                        &ROW
                    })+
                }
            }
        }
    };
}

reasons! {
    /// No `Authorization` field (R1).
    MissingCredentials: 401 "unauthorized" Plain Client [is_about_absence]
        "An access token is required",
    /// Credentials of another scheme than Bearer (R5).
    UnsupportedScheme: 401 "unauthorized" Plain Client [is_about_absence]
        "A bearer token is required",
    /// A place for a token without exactly one (R4, R6).
    MalformedCredentials: 400 "invalid_request" WithError Client [is_about_place]
        "The credentials are malformed",
    /// More than one set of credentials (R8).
    RepeatedCredentials: 400 "invalid_request" WithError Client [is_about_place]
        "The request has more than one set of credentials",
    /// More than one field of a name that the gateway sets or removes, where the host gives access to only one of them (R137).
    RepeatedField: 400 "invalid_request" Absent Client
        "A header field is repeated",
    /// More fields than the host shows (R138).
    TooManyFields: 431 "invalid_request" Absent Client
        "The request has too many header fields",
    /// A token that RFC 6750 §2.1 does not allow (R7).
    InvalidTokenSyntax: 401 "invalid_token" WithError Client [is_about_place]
        "The access token is malformed",
    /// A token over the configured length (R79).
    TokenTooLong: 431 "invalid_request" Absent Client [is_about_place]
        "The access token is too long",
    /// The authorization server says that the token is not active (R25).
    Inactive: 401 "invalid_token" WithError Client
        "The access token is not active",
    /// `exp` has passed (R31).
    Expired: 401 "invalid_token" WithError Client
        "The access token has expired",
    /// `nbf` has not come (R31).
    NotYetValid: 401 "invalid_token" WithError Client
        "The access token is not valid yet",
    /// No `exp` where one is required (R32).
    MissingExpiration: 401 "invalid_token" WithError Client
        "The access token has no expiration time",
    /// `iss` is absent or not the configured one (R33).
    WrongIssuer: 401 "invalid_token" WithError Client
        "The access token is from another issuer",
    /// `aud` names none of the configured audiences (R34).
    WrongAudience: 401 "invalid_token" WithError Client
        "The access token is for another audience",
    /// The client is not one of those configured (R163).
    WrongClient: 401 "invalid_token" WithError Client
        "The access token was issued to another client",
    /// A refresh token, an ID token or the like (R36).
    NotAnAccessToken: 401 "invalid_token" WithError Client
        "The token is not an access token",
    /// A JWT that cannot be read, or that says what cannot be meant: the form of its parts, its header, the type of a claim (R156).
    MalformedJwt: 401 "invalid_token" WithError Client
        "The access token is a malformed JWT",
    /// The signature of a JWT that was presented is not its issuer's, or not acceptable (R59 to R63).
    InvalidSignature: 401 "invalid_token" WithError Client
        "The signature of the access token is invalid",
    /// A JWT that was presented lacks a claim that RFC 9068 requires (R68).
    MissingClaim: 401 "invalid_token" WithError Client
        "The access token lacks a mandatory claim",
    /// JWTs are not taken from clients here.
    JwtNotAccepted: 401 "invalid_token" WithError Client
        "JWTs are not accepted as access tokens here",
    /// Only JWTs can be taken here: their issuer introspects nothing.
    NotAJwt: 401 "invalid_token" WithError Client
        "The access token is not a JWT",
    /// The token is bound to a key of its sender, which a bearer does not prove to hold (R98).
    ProofRequired: 401 "invalid_token" WithError Client
        "The access token is bound to its sender",
    /// The token is bound to another key than the sender proved to hold, or to none (R89).
    ConfirmationMismatch: 401 "invalid_token" WithError Client [is_about_proof]
        "The access token is not bound to the key of the proof",
    /// The token has to be bound to its sender here.
    BindingRequired: 401 "invalid_token" WithError Client [is_about_proof]
        "The access token must be bound to its sender",
    /// The proof of possession is absent or not right (R85, R86).
    InvalidDpopProof: 401 "invalid_dpop_proof" WithError Client [is_about_proof]
        "The DPoP proof is missing or invalid",
    /// The proof of possession lacks the gateway's nonce (R92).
    UseDpopNonce: 401 "use_dpop_nonce" WithError Client [is_about_proof]
        "The DPoP proof must contain the nonce of this response",
    /// A scope token that the rule requires is missing (R35).
    InsufficientScope: 403 "insufficient_scope" WithError Client
        "The access token lacks a required scope",
    /// A claim that the rule requires is missing or another. Another token would do, which no scope can be asked for.
    ClaimMismatch: 403 "access_denied" Plain Client
        "The access token lacks a required claim",
    /// The user has to authenticate again, or by stronger means (R99, R100).
    InsufficientUserAuthentication: 401 "insufficient_user_authentication" WithError Client
        "The user must authenticate again or by stronger means",
    /// The rule does not name the caller's certificate.
    PeerNotAllowed: 403 "access_denied" Absent Client
        "This caller is not allowed here",
    /// No rule exposes this host, method and path (R84).
    NoMatchingRule: 403 "access_denied" Absent Client
        "This resource is not exposed",
    /// A method, host or path that servers read in different ways, where the rules depend on it (R84).
    AmbiguousTarget: 400 "invalid_request" Absent Client
        "The request target is ambiguous",
    /// A header field that a rule's condition looks at, and that servers read in different ways (R234, R235).
    AmbiguousField: 400 "invalid_request" Absent Client
        "A header field that decides about this request is ambiguous",
    /// The id of a session that was not handed out here to this user and client (R275). The transport of MCP has a status for it, behind
    /// which clients begin another.
    UnknownSession: 404 "invalid_request" Absent Client
        "There is no such session",
    /// The authorization server refuses the gateway's own credentials (R28).
    GatewayCredentialsRefused: 502 "server_error" Absent AuthorizationServer
        "The authorization server refused the gateway",
    /// The authorization server's answer is not what RFC 7662 and the configuration promise (R27, R29, R30).
    UnexpectedResponse: 502 "server_error" Absent AuthorizationServer
        "The authorization server sent an unexpected response",
    /// The response of the authorization server lacks its valid signature (R41, R43).
    ResponseSignatureInvalid: 502 "server_error" Absent AuthorizationServer
        "The response of the authorization server has no valid signature",
    /// An active token, but no JWT for it (R42).
    MissingPhantomToken: 502 "server_error" Absent AuthorizationServer
        "The authorization server returned no JWT",
    /// An active token whose answer does not say whose it is, or not where it should (R125).
    MissingSubject: 502 "server_error" Absent AuthorizationServer
        "The authorization server did not name the subject of the access token",
    /// The JWT is longer than the services behind the gateway accept (R79).
    PhantomTokenTooLong: 502 "server_error" Absent AuthorizationServer
        "The authorization server returned a JWT that is too long",
    /// The authorization server cannot be reached or does not serve (R24).
    Unavailable: 503 "temporarily_unavailable" Absent AuthorizationServer [is_outage]
        "The authorization server is unavailable",
    /// A limit on introspections is reached (R111).
    IntrospectionLimit: 503 "temporarily_unavailable" Absent AuthorizationServer
        "Too many access tokens are being introspected",
    /// Too many signatures were wrong lately, so that nothing new is verified for a while.
    VerificationLimit: 503 "temporarily_unavailable" Absent Gateway
        "Too many invalid signatures recently",
    /// More proofs of possession are in use than are remembered.
    DpopProofLimit: 503 "temporarily_unavailable" Absent Gateway
        "Too many DPoP proofs are in use at once",
    /// The authorization server limits the rate of requests (R24).
    ServerRateLimited: 503 "temporarily_unavailable" Absent AuthorizationServer
        "The authorization server is limiting its request rate",
    /// The circuit breaker of the authorization server is open (R24).
    CircuitOpen: 503 "temporarily_unavailable" Absent AuthorizationServer [is_outage]
        "The authorization server is unavailable",
    /// No keys of the authorization server were ever loaded (R64).
    JwksUnavailable: 503 "temporarily_unavailable" Absent AuthorizationServer
        "The keys of the authorization server are unavailable",
    /// The authorization server did not respond in time (R24).
    IntrospectionTimeout: 504 "temporarily_unavailable" Absent AuthorizationServer [is_outage]
        "The authorization server did not respond in time",
    /// The gateway itself failed (R38).
    Internal: 500 "server_error" Absent Gateway
        "The gateway failed",
}

impl Reason {
    /// The reason for a callout without a readable response.
    pub(crate) fn of_failure(result: &CallResult<'_>) -> Self {
        match result {
            CallResult::Response { .. } | CallResult::Oversized => Self::UnexpectedResponse,
            CallResult::Lost => Self::Unavailable,
        }
    }

    /// A short name for logs and metrics, in snake case.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Who is at fault.
    pub fn fault(self) -> Fault {
        self.row().fault
    }

    /// The description for clients.
    pub fn description(self) -> &'static str {
        self.row().description
    }

    /// Whether the authorization server is down. Rate limiting is not an outage: a client can cause it, and would gain if
    /// expired entries were served then.
    pub(crate) fn is_outage(self) -> bool {
        self.row().is_outage
    }

    /// Whether the proof of possession is at fault.
    pub(crate) fn is_about_proof(self) -> bool {
        self.row().is_about_proof
    }

    /// Whether the client has to know in which of several places the credentials are wrong.
    pub(crate) fn is_about_place(self) -> bool {
        self.row().is_about_place
    }

    /// The reason whose conditions a challenge names: this one or, without a valid token, the lack of required scopes (RFC 6750 §3), so
    /// that a client requests them at once.
    pub(crate) fn challenged(self) -> Self {
        let lacks_token = self.is_about_absence() || self.row().error == INVALID_TOKEN;
        if lacks_token { Self::InsufficientScope } else { self }
    }

    /// Whether the request has no credentials of a kind that is accepted here.
    pub(crate) fn is_about_absence(self) -> bool {
        self.row().is_about_absence
    }
}

impl From<NotSent> for Reason {
    fn from(not_sent: NotSent) -> Self {
        match not_sent {
            NotSent::LimitReached | NotSent::Claimed => Self::IntrospectionLimit,
            NotSent::CircuitOpen(_) => Self::CircuitOpen,
        }
    }
}

const INVALID_TOKEN: &str = "invalid_token";

/// The defaults of a row.
const DEFAULTS: Row = Row {
    name: "",
    status: 500,
    error: "",
    challenge: Challenge::Absent,
    fault: Fault::Gateway,
    description: "",
    is_outage: false,
    is_about_proof: false,
    is_about_absence: false,
    is_about_place: false,
};

const fn snake_case_length(variant: &str) -> usize {
    let mut rest = variant.as_bytes();
    let mut length = 0_usize;
    while let [byte, more @ ..] = rest {
        let is_start_of_word = byte.is_ascii_uppercase() && length > 0;
        length = length.saturating_add(if is_start_of_word { 2 } else { 1 });
        rest = more;
    }
    length
}

/// The name of a variant as logs and metrics have it: `NotAJwt` is `not_a_jwt`.
const fn snake_case<const LENGTH: usize>(variant: &str) -> [u8; LENGTH] {
    let mut name = [b'_'; LENGTH];
    let mut free: &mut [u8] = &mut name;
    let mut rest = variant.as_bytes();
    while let [byte, more @ ..] = rest {
        let is_start_of_word = byte.is_ascii_uppercase() && rest.len() < variant.len();
        if is_start_of_word && let [_underscore, after @ ..] = free {
            free = after;
        }
        if let [place, after @ ..] = free {
            *place = byte.to_ascii_lowercase();
            free = after;
        }
        rest = more;
    }
    name
}

const fn text(name: &'static [u8]) -> &'static str {
    match str::from_utf8(name) {
        Ok(name) => name,
        Err(_) => "",
    }
}

#[cfg(test)]
mod tests;
