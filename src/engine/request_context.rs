//! A request for a protected place, with all that is found out about it once, at the door: what its rule requires, what it presents, and
//! how a refusal is put to it.

use std::sync::Arc;

use crate::credentials::bearer::{self, AccessToken, Scheme};
use crate::credentials::client_certificate;
use crate::credentials::dpop::{DpopMode, UnverifiedProof};
use crate::http::request_head::{Presented, RequestHead};
use crate::policy::Requirement;
use crate::refusal::{Reason, Rejection, Schemes};
use crate::settings::Settings;
use crate::time::Timestamp;
use crate::token::claims::Claims;
use crate::token::confirmation::Presenter;

/// A request for a protected place.
pub(super) struct RequestContext {
    /// What its rule requires.
    pub(super) requirement: Arc<Requirement>,
    /// What it shows of its sender.
    pub(super) presenter: Presenter,
    /// The proof of possession, right for this request. Its signature is verified later, when its token is known to be good and bound to
    /// that key: no other proof is worth verifying or remembering.
    pub(super) proof: Option<Box<UnverifiedProof>>,
    schemes: Schemes,
    allowed_origin: Option<Arc<str>>,
}

impl RequestContext {
    /// Reads the credentials of a request, where proofs are looked at as `mode` says.
    ///
    /// # Errors
    /// The client's error.
    pub(super) fn read<'h>(
        head: &RequestHead<'h>,
        requirement: &Arc<Requirement>,
        allowed_origin: Option<&Arc<str>>,
        settings: &Settings,
        mode: DpopMode,
        now: Timestamp,
    ) -> Result<(Self, AccessToken<'h>), Reason> {
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
        let presenter = Presenter {
            key: proof.as_ref().map(|proof| proof.thumbprint().to_owned()),
            certificate: client_certificate::digest(settings.client_certificate, head),
        };
        let (requirement, allowed_origin) = (Arc::clone(requirement), allowed_origin.cloned());
        Ok((Self { requirement, presenter, proof, schemes, allowed_origin }, token))
    }

    /// The refusal of this request, whose credentials were looked at, and perhaps the claims of its token.
    pub(super) fn refusal(self, reason: Reason, claims: Option<&Claims>) -> Rejection {
        let Self { requirement, schemes, allowed_origin, .. } = self;
        let schemes = if reason.is_about_proof() { Schemes::Dpop } else { schemes };
        let parameters = requirement.challenge_parameters(reason, claims);
        Rejection { parameters, allowed_origin, schemes, ..reason.into() }
    }
}

/// The schemes to challenge when these credentials are refused at the door. Without credentials of ours, all that would do; with them, the
/// one that was used, if it does (R14).
pub(super) fn schemes(head: &RequestHead<'_>, mode: DpopMode, reason: Reason) -> Schemes {
    match (mode, bearer::scheme(head.authorization)) {
        (DpopMode::Off, _) => Schemes::Bearer,
        (DpopMode::Required, _) => Schemes::Dpop,
        (DpopMode::Allowed, _) if reason.is_about_proof() => Schemes::Dpop,
        (DpopMode::Allowed, _) if reason.is_about_absence() => Schemes::Both,
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
