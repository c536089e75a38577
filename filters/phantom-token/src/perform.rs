//! The one place that touches a request: it forwards or answers it, as the core decided.

use phantom_token_core::{
    AUTHORIZATION, Credentials, Passage, ProtectionSpace, Reason, Rejection, Reply, Verdict,
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

/// Takes tokens out of the fields that they came in.
pub(crate) fn edit(edits: &[(String, Option<String>)]) -> Result<(), Refused> {
    edits.iter().try_for_each(|(name, value)| match value {
        Some(value) => host::replace_request_field(name, value),
        None => host::remove_request_field(name),
    })
}

/// Keeps a successful answer out of caches that others use (RFC 6750 §2.3). One that nobody may store stays as it is.
pub(crate) fn make_private() {
    let is_success = host::response_field(":status").is_ok_and(|status| status.first() == Some(&b'2'));
    let directives = host::response_field(CACHE_CONTROL).unwrap_or_default();
    let is_kept = !directives.to_ascii_lowercase().windows(NO_STORE.len()).any(|window| window == NO_STORE);
    if is_success
        && is_kept
        && let Err(refused) = host::replace_response_field(CACHE_CONTROL, "private")
    {
        log::error!("the host refused to change an answer: {refused:?}");
    }
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
        Verdict::Forward(Credentials::Granted(passage)) => {
            equip(&passage).map_err(|refused| internal(refused, space))
        }
        Verdict::Answer(reply) => Err(reply),
        Verdict::Reject(rejection) => {
            log::debug!("rejected: {}", rejection.reason.name());
            Err(rejection.reply(space))
        }
    }
}

/// What services receive, and before it, while the request can still be refused, what the host keeps.
fn equip(passage: &Passage) -> Result<(), Refused> {
    for (name, value) in passage.filter_state() {
        host::set_property(name, value)?;
    }
    if !passage.replaces_authorization() {
        disarm()?;
    }
    passage.fields().try_for_each(|(name, value)| host::replace_request_field(name, value))
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

const CACHE_CONTROL: &str = "cache-control";
const NO_STORE: &[u8] = b"no-store";
