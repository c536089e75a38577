//! How a request shows that it may come in: its access token, and what proves that the token is its sender's.

use crate::challenge::Schemes;
use crate::config::Settings;
use crate::credentials::bearer::{self, AccessToken, Scheme};
use crate::credentials::client_certificate;
use crate::credentials::dpop::{DpopMode, UnverifiedProof};
use crate::http::request_head::{Presented, RequestHead};
use crate::rejection::Reason;
use crate::time::Timestamp;
use crate::token::confirmation::Sender;

/// What a request for a protected place presents.
pub(crate) struct Presentation<'h> {
    /// The access token.
    pub(crate) token: AccessToken<'h>,
    /// The scheme that it came by.
    pub(crate) schemes: Schemes,
    /// Who sends it.
    pub(crate) sender: Sender,
    /// The proof of possession, right for this request. Its signature is verified later, when its token is known to be good and
    /// bound to that key: nobody else's proofs are worth verifying or remembering.
    pub(crate) proof: Option<Box<UnverifiedProof>>,
}

impl<'h> Presentation<'h> {
    /// Reads the credentials of a request where proofs are looked at as `mode` says.
    ///
    /// # Errors
    /// The client's mistake.
    pub(crate) fn read(
        head: &RequestHead<'h>,
        settings: &Settings,
        mode: DpopMode,
        now: Timestamp,
    ) -> Result<Self, Reason> {
        let (scheme, token) = token(head, settings.credentials.max_length, mode != DpopMode::Off)?;
        if token.is_in_query(head.path) {
            return Err(Reason::RepeatedCredentials);
        }
        let (schemes, proof) = match scheme {
            Scheme::Bearer if mode == DpopMode::Required => return Err(Reason::BindingRequired),
            Scheme::Bearer => (Schemes::Bearer, None),
            Scheme::Dpop => {
                let dpop = settings.dpop.as_ref().ok_or(Reason::Internal)?;
                (Schemes::Dpop, Some(Box::new(UnverifiedProof::read(head, token, dpop, now)?)))
            }
        };
        let sender = Sender {
            key: proof.as_ref().map(|proof| proof.thumbprint().to_owned()),
            certificate: client_certificate::digest(settings.client_certificate, head),
        };
        Ok(Self { token, schemes, sender, proof })
    }
}

/// The schemes to challenge when these credentials are refused. Without credentials of ours, all that would do; with them, the
/// one that was used, if it does (R14).
pub(crate) fn schemes(head: &RequestHead<'_>, mode: DpopMode, reason: Reason) -> Schemes {
    let is_without = matches!(reason, Reason::MissingCredentials | Reason::UnsupportedScheme);
    match (mode, bearer::scheme(head.authorization)) {
        (DpopMode::Off, _) => Schemes::Bearer,
        (DpopMode::Required, _) => Schemes::Dpop,
        (DpopMode::Allowed, _) if reason.is_about_proof() => Schemes::Dpop,
        (DpopMode::Allowed, _) if is_without => Schemes::Both,
        (DpopMode::Allowed, Some(Scheme::Dpop)) => Schemes::Dpop,
        (DpopMode::Allowed, _) => Schemes::Bearer,
    }
}

/// One token, from `Authorization` or from elsewhere (R9).
fn token<'h>(
    head: &RequestHead<'h>,
    max_length: usize,
    takes_dpop: bool,
) -> Result<(Scheme, AccessToken<'h>), Reason> {
    match (head.authorization, head.elsewhere) {
        (authorization, Presented::Absent) => AccessToken::parse(authorization, max_length, takes_dpop),
        (Presented::Absent, Presented::Once(token)) => {
            AccessToken::alone(token, max_length).map(|token| (Scheme::Bearer, token))
        }
        _ => Err(Reason::RepeatedCredentials),
    }
}
