//! The one place that touches a request: it forwards or answers it, as the core decided.

use phantom_token_core::{Credentials, Reason, Rejection, Verdict};
use proxy_wasm::types::Action;

use crate::host::{self, Refused};

/// The field that carries the credentials, the client's and ours.
pub(crate) const AUTHORIZATION: &str = "authorization";

/// Performs a verdict on the request whose head is being read. The host then does what the action says.
pub(crate) fn perform(verdict: Verdict, realm: &str) -> Action {
    match forwardable(verdict) {
        Ok(()) => Action::Continue,
        Err(rejection) => {
            reject(&rejection, realm);
            Action::Pause
        }
    }
}

/// Performs a verdict on a request that was paused. It goes on only when its credentials are in place; whether it does.
pub(crate) fn perform_paused(verdict: Verdict, realm: &str) -> bool {
    let forwarded = forwardable(verdict).and_then(|()| host::resume_request().map_err(internal));
    if let Err(rejection) = &forwarded {
        reject(rejection, realm);
    }
    forwarded.is_ok()
}

/// Takes the client's credentials off a request that has to wait: some hosts resume it on their own after a callout, and
/// then it must have nothing to show.
pub(crate) fn disarm() -> Result<(), Refused> {
    host::remove_request_field(AUTHORIZATION)
}

fn forwardable(verdict: Verdict) -> Result<(), Rejection> {
    match verdict {
        Verdict::Forward(Credentials::Untouched) => Ok(()),
        Verdict::Forward(Credentials::Removed) => disarm().map_err(internal),
        Verdict::Forward(Credentials::Granted(grant)) => {
            host::replace_request_field(AUTHORIZATION, grant.authorization()).map_err(internal)
        }
        Verdict::Reject(rejection) => Err(rejection),
    }
}

/// A request whose answer the host does not take stays paused: it is not forwarded.
fn reject(rejection: &Rejection, realm: &str) {
    log::debug!("rejected: {}", rejection.reason.name());
    if let Err(refused) = host::reply(&rejection.reply(realm)) {
        log::error!("the host did not take an answer: {refused:?}");
    }
}

fn internal(refused: Refused) -> Rejection {
    log::error!("the host refused to change or resume a request: {refused:?}");
    Reason::Internal.into()
}
