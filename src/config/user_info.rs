//! The section `userinfo`: the UserInfo endpoint of a server without introspection.

use super::calls::Calls;
use super::inactive_answers::{InactiveAnswer, inactive_answers};
use super::texts::Url;
use crate::fields::{ConfigErrors, FieldPath, Visible, section};
use crate::introspection::{Format, Method, Protocol, ResponseFormat};
use crate::settings::IntrospectionSettings;

section! {
    /// Where and how tokens are put to the UserInfo endpoint.
    pub(super) struct UserInfo {
        /// URL of the UserInfo endpoint, which receives the client's token as a bearer token.
        endpoint: Url = required,
        /// The host's name for that server, as `introspection.upstream`.
        upstream: Visible = required,
        /// Must be `true`, to acknowledge a limitation: UserInfo does not say which client a token was issued to, so a token that
        /// any application of this server received passes here, even from an application that you do not know.
        allow_any_client: bool = (required "is required: UserInfo does not show which client a token was issued to, so those of all clients pass"),
        /// As `introspection.response.inactive_answers`; a 401 that asks for a bearer token always counts.
        inactive_answers: Vec<InactiveAnswer> = [],
        ..calls: Calls,
    }
}

impl UserInfo {
    #[inline(never)]
    pub(super) fn settings(
        self,
        at: FieldPath<'_>,
        forwards_claims: bool,
        errors: &mut ConfigErrors,
    ) -> Option<IntrospectionSettings> {
        if !self.allow_any_client {
            errors.note(at.field("allow_any_client"), "must be true");
        }
        if !forwards_claims {
            errors.note(at, "leaves services without a JWT: configure mint or claim_to_headers");
        }
        // The gateway has no credentials here that a 401 without an error code could refer to.
        let inactive = self.inactive_answers;
        let inactive =
            inactive_answers(inactive, at.field("inactive_answers"), Method::Unauthenticated, errors);
        let response =
            ResponseFormat { format: Format::UserInfo, jwt_field: None, inactive, max_jwt_length: 0 };
        self.calls.settings(&self.endpoint, &self.upstream, Protocol::UserInfo, response, MAX_PER_SECOND)
    }
}

/// The same default as for introspections that need no signature.
const MAX_PER_SECOND: usize = 1000;
