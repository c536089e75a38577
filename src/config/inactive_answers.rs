//! Reads the errors by which a server reports that a token is inactive.

use crate::fields::{Bounded, ConfigErrors, FieldPath, Visible, section};
use crate::introspection::{self, InactiveAnswers, Method, OF_GATEWAY};

section! {
    /// An error by which the server says that a token is inactive.
    pub(super) struct InactiveAnswer {
        /// The status of the response.
        status: Bounded<400, 499> = required,
        /// The `error` in its JSON. Without it, any JSON and an empty body count.
        error: Visible,
    }
}

/// Reads the list. A response that refuses the gateway's credentials must not count as one about the token.
pub(super) fn inactive_answers(
    written: Vec<InactiveAnswer>,
    at: FieldPath<'_>,
    auth_method: Method,
    errors: &mut ConfigErrors,
) -> InactiveAnswers {
    for (index, InactiveAnswer { status, error }) in written.iter().enumerate() {
        let mistake = match (status, error.as_deref()) {
            (429, _) => "must not have the status of a limit on requests",
            (401 | 403, None) if auth_method != Method::Unauthenticated => {
                "needs error: without it, wrong credentials of the gateway would count as an inactive token"
            }
            (401, Some("invalid_token")) if auth_method == Method::BearerToken => {
                "is about the gateway's own token (RFC 6750 §3.1)"
            }
            (_, Some(error)) if OF_GATEWAY.contains(&error) => "is about the gateway's own credentials",
            _ => continue,
        };
        errors.note(at.element(index), mistake);
    }
    let own = written.into_iter().filter_map(|InactiveAnswer { status, error }| {
        Some(introspection::InactiveAnswer { status: status.try_into().ok()?, error })
    });
    InactiveAnswers::new(auth_method == Method::BearerToken, own.collect())
}
