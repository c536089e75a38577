//! A protected request, with all facts that are established once, at the start: what its rule requires, what it presents, and how a refusal
//! is presented to its client.

use std::num::NonZeroU64;
use std::sync::Arc;

use crate::credentials::bearer::{self, AccessToken, Scheme, TokenSyntax};
use crate::credentials::client_certificate;
use crate::credentials::dpop::{DpopMode, UnverifiedProof};
use crate::http::grpc::{self, GrpcCall};
use crate::http::request_head::{Presented, RequestHead};
use crate::policy::Requirement;
use crate::refusal::{Reason, Rejection, Schemes};
use crate::session::PresentedSession;
use crate::settings::Settings;
use crate::time::Timestamp;
use crate::token::claims::Claims;
use crate::token::confirmation::Presenter;

/// A request that a rule protects.
pub(super) struct RequestContext {
    /// The requirement of its rule.
    pub(super) requirement: Arc<Requirement>,
    /// The sender, as far as the request identifies it.
    pub(super) presenter: Presenter,
    /// The proof of possession, valid for this request except for its signature. That is verified later, once the token is known to be
    /// valid and bound to the proof's key: no other proof is worth verifying or remembering.
    pub(super) proof: Option<Box<UnverifiedProof>>,
    /// The gRPC call, if the request is one. Set only for requests that wait.
    pub(super) grpc_call: Option<GrpcCall>,
    /// The client's own timeout in milliseconds, if streams end with their token.
    pub(super) timeout: Option<NonZeroU64>,
    /// The URL of the metadata for challenges, if the rule does not name one. Set only for requests that wait.
    pub(super) resource_metadata: Option<Arc<str>>,
    /// The session that the request presents, if its rule binds sessions.
    pub(super) session: Option<Box<PresentedSession>>,
    schemes: Schemes,
    allowed_origin: Option<Arc<str>>,
}

impl RequestContext {
    /// Reads the credentials of a request. `mode` says whether proofs are considered.
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
        let (scheme, token) = token(head, settings.credentials.syntax, mode != DpopMode::Off)?;
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
        let session = match &requirement.session {
            Some(_) => Some(PresentedSession::read(head)?),
            None => None,
        };
        let (requirement, allowed_origin) = (Arc::clone(requirement), allowed_origin.cloned());
        let timeout = head.grpc_timeout.and_then(grpc::timeout);
        let context = Self {
            requirement,
            presenter,
            proof,
            grpc_call: None,
            timeout,
            resource_metadata: None,
            session,
            schemes,
            allowed_origin,
        };
        Ok((context, token))
    }

    /// Returns the refusal of this request, whose credentials were read, and possibly the claims of its token.
    pub(super) fn refusal(self, reason: Reason, claims: Option<&Claims>) -> Rejection {
        let Self { requirement, grpc_call, resource_metadata, schemes, allowed_origin, .. } = self;
        let schemes = if reason.is_about_proof() { Schemes::Dpop } else { schemes };
        let parameters = requirement.challenge_parameters(reason.challenged(), claims);
        let resource_metadata = requirement.resource_metadata.clone().or(resource_metadata);
        Rejection { parameters, grpc_call, allowed_origin, resource_metadata, schemes, ..reason.into() }
    }
}

/// Returns the schemes to challenge when credentials are refused at the start: all that are accepted if the request has no token, otherwise
/// the one that was used, if it is accepted (R14).
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

/// Whether a request that is refused for this reason has no token: no credentials, or credentials of a scheme that is not for tokens.
pub(super) fn is_anonymous(head: &RequestHead<'_>, reason: Reason) -> bool {
    let has_none = matches!(head.authorization, Presented::Absent);
    reason.is_about_absence() && (has_none || bearer::is_of_other_scheme(head.authorization))
}

/// Describes to the client where the refused credentials are. Returns `None` if their place is not what is wrong.
pub(super) fn places(head: &RequestHead<'_>, settings: &Settings, reason: Reason) -> Option<String> {
    if !reason.is_about_place() {
        return None;
    }
    let mut places = settings.credentials.sources.places(head);
    if reason == Reason::RepeatedCredentials
        && token(head, settings.credentials.syntax, true).is_ok_and(|(_, token)| token.is_in_query(head.path))
    {
        places.push("the query".to_owned());
    }
    Some(places.join(" and "))
}

/// Returns the only token, from `Authorization` or from elsewhere (R9). Credentials of another scheme beside it do not count as a token.
fn token<'h>(
    head: &RequestHead<'h>,
    syntax: TokenSyntax,
    takes_dpop: bool,
) -> Result<(Scheme, AccessToken<'h>), Reason> {
    match head.elsewhere {
        [] => AccessToken::parse(head.authorization, syntax, takes_dpop),
        [found] if !bearer::is_presented(head.authorization) => {
            AccessToken::alone(&found.value, syntax).map(|token| (Scheme::Bearer, token))
        }
        _ => Err(Reason::RepeatedCredentials),
    }
}
