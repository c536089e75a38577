//! Checks whether a token is valid for a request: the only place that applies the server's policy, the token's confirmation, the rule's
//! conditions and the proof of possession, in this order. Cheap checks come first, and those that need a signature last.

use super::request_context::RequestContext;
use crate::credentials::dpop::{DpopMode, ProofVerifier};
use crate::host::Host;
use crate::refusal::Reason;
use crate::settings::TokenSettings;
use crate::token::claims::Claims;
use crate::token_info::TokenInfo;

/// The check of one server's tokens for one request.
pub(super) struct TokenCheck<'c> {
    pub(super) settings: &'c TokenSettings,
    pub(super) context: &'c RequestContext,
    pub(super) host: Host<'c>,
}

impl TokenCheck<'_> {
    /// Checks all claims, before any signature is verified.
    ///
    /// # Errors
    /// Why the token is refused.
    pub(super) fn claims(&self, claims: &Claims) -> Result<(), Reason> {
        let Self { settings, context, host } = self;
        let RequestContext { requirement, presenter, .. } = context;
        settings.policy.validate(claims, host.now)?;
        let confirmation = claims.confirmation();
        if settings.dpop == DpopMode::Required && !confirmation.is_to_key() {
            return Err(Reason::BindingRequired);
        }
        requirement.validate_binding(confirmation)?;
        confirmation.validate(presenter)?;
        requirement.validate(claims)
    }

    /// Checks everything. Returns what an authentic request lacks nevertheless: the permission that the rule requires of its token.
    ///
    /// # Errors
    /// Why the token is refused.
    pub(super) fn all(
        &self,
        token_info: &TokenInfo,
        proofs: Option<&mut ProofVerifier>,
    ) -> Result<Option<Reason>, Reason> {
        let Self { settings, context, host } = self;
        let claims = token_info.claims();
        self.claims(claims)?;
        let unmet = context.requirement.authorize(claims, host.now, settings.policy.leeway).err();
        if let Some(proof) = &context.proof {
            let proofs = proofs.ok_or(Reason::Internal)?;
            proofs.take(proof, claims.confirmation(), host.now, host.shared_data)?;
        }
        Ok(unmet)
    }
}
