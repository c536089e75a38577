//! The one place that touches a request: it forwards or answers it, as the core decided.

use phantom_token_core::{
    AUTHORIZATION, Credentials, Grant, ProtectionSpace, Reason, Rejection, Reply, Verdict,
};
use proxy_wasm::types::Action;

use crate::host::{self, Refused};

/// Performs a verdict on the request whose head is being read. The host then does what the action says.
pub(crate) fn perform(verdict: Verdict, space: &ProtectionSpace) -> Action {
    match forwardable(verdict, space) {
        Ok(()) => Action::Continue,
        Err(answer) => {
            reply(&answer);
            Action::Pause
        }
    }
}

/// Performs a verdict on a request that was paused. It goes on only when its credentials are in place; whether it does.
pub(crate) fn perform_paused(verdict: Verdict, space: &ProtectionSpace) -> bool {
    let resume = || host::resume_request().map_err(|refused| internal(refused, space));
    let forwarded = forwardable(verdict, space).and_then(|()| resume());
    if let Err(answer) = &forwarded {
        reply(answer);
    }
    forwarded.is_ok()
}

/// Takes the client's credentials off a request that has to wait: some hosts resume it on their own after a callout, and
/// then it must have nothing to show.
pub(crate) fn disarm() -> Result<(), Refused> {
    host::remove_request_field(AUTHORIZATION)
}

/// Takes fields off that a service could take for the gateway's own.
pub(crate) fn remove_imitations(names: &[&str]) -> Result<(), Refused> {
    names.iter().try_for_each(|name| host::remove_request_field(name))
}

/// Puts the credentials of a request in place that may go on; or gives the answer to one that may not.
fn forwardable(verdict: Verdict, space: &ProtectionSpace) -> Result<(), Reply> {
    match verdict {
        Verdict::Forward(Credentials::Untouched) => Ok(()),
        Verdict::Forward(Credentials::Removed) => disarm().map_err(|refused| internal(refused, space)),
        Verdict::Forward(Credentials::Granted(grant)) => {
            grant_fields(&grant).map_err(|refused| internal(refused, space))
        }
        Verdict::Answer(reply) => Err(reply),
        Verdict::Reject(rejection) => {
            log::debug!("rejected: {}", rejection.reason.name());
            Err(rejection.reply(space))
        }
    }
}

/// What services receive, and before it, while the request can still be refused, what the host keeps.
fn grant_fields(grant: &Grant) -> Result<(), Refused> {
    for (name, value) in grant.filter_state() {
        host::set_property(name, value)?;
    }
    if !grant.replaces_authorization() {
        disarm()?;
    }
    grant.fields().try_for_each(|(name, value)| host::replace_request_field(name, value))
}

/// A request whose answer the host does not take stays paused: it is not forwarded.
fn reply(reply: &Reply) {
    if let Err(refused) = host::reply(reply) {
        log::error!("the host did not take an answer: {refused:?}");
    }
}

fn internal(refused: Refused, space: &ProtectionSpace) -> Reply {
    log::error!("the host refused to change or resume a request: {refused:?}");
    Rejection::from(Reason::Internal).reply(space)
}
