//! The one place that touches a request: it forwards or answers it, as the core decided.

use std::cell::Cell;
use std::rc::Rc;

use log::Level;
use phantom_token_core::{
    AUTHORIZATION, Credentials, Passage, ProtectionSpace, Reason, Rejection, Reply, Verdict,
};
use proxy_wasm::types::{Action, MapType};

use crate::capabilities::capabilities;
use crate::field_map;
use crate::host::{self, Refused};
use crate::journal::Journal;
use crate::statistics::Statistics;

/// Who performs the verdicts of one configuration on one worker, counts what fails then, and tells the log.
pub(crate) struct Performer {
    pub(crate) space: ProtectionSpace,
    pub(crate) statistics: Statistics,
    pub(crate) journal: Rc<Journal>,
    /// Whether a reply that is made now may have a body.
    pub(crate) takes_bodies: Cell<bool>,
}

impl Performer {
    /// Performs a verdict on the request whose head is being read. The host then does what the action says.
    pub(crate) fn perform(&self, verdict: Verdict) -> Action {
        match self.forwardable(verdict) {
            Ok(()) => Action::Continue,
            Err(answer) => {
                self.reply(&answer);
                Action::Pause
            }
        }
    }

    /// Performs a verdict on a request that was paused. It goes on only when its credentials are in place; whether it does.
    pub(crate) fn perform_paused(&self, verdict: Verdict) -> bool {
        let resume = || host::resume_request().map_err(|refused| self.internal(refused));
        let forwarded = self.forwardable(verdict).and_then(|()| resume());
        let Err(answer) = forwarded else { return true };
        self.reply(&if self.takes_bodies.get() { answer } else { without_body(answer) });
        false
    }

    /// A request whose answer the host does not take stays paused: it is not forwarded.
    fn reply(&self, reply: &Reply) {
        if let Err(refused) = host::reply(reply) {
            self.journal.write(Level::Error, "the host did not take an answer", refused);
        }
    }

    /// Keeps a successful answer out of caches that others use (RFC 6750 §2.3).
    pub(crate) fn make_private(&self) {
        if let Err(refused) = make_private() {
            self.journal.write(Level::Error, "the host refused to change an answer", refused);
        }
    }

    /// What a request comes to that the gateway itself fails to look at.
    pub(crate) fn fail(&self, refused: Refused) -> Rejection {
        self.journal.write(Level::Error, "the host refused a call about a request", refused);
        self.statistics.note_refusal(Reason::Internal);
        Reason::Internal.into()
    }

    /// Puts the credentials of a request in place that may go on; or gives the answer to one that may not.
    fn forwardable(&self, verdict: Verdict) -> Result<(), Reply> {
        self.journal.note_verdict(&verdict);
        let credentials = match verdict {
            Verdict::Forward(credentials) | Verdict::Report(_, credentials) => credentials,
            Verdict::Answer(reply) => return Err(reply),
            Verdict::Reject(rejection) => return Err(rejection.reply(&self.space)),
        };
        let equipped = match credentials {
            Credentials::Untouched => Ok(()),
            Credentials::Removed => take_off(&[AUTHORIZATION]),
            Credentials::Granted(passage) => equip(&passage),
        };
        equipped.map_err(|refused| self.internal(refused))
    }

    fn internal(&self, refused: Refused) -> Reply {
        self.fail(refused).reply(&self.space)
    }
}

/// Takes the client's credentials off a request that has to wait: some hosts resume it on their own after a callout, and
/// then it must have nothing to show.
pub(crate) fn disarm() -> Result<(), Refused> {
    take_off(&[AUTHORIZATION])
}

/// Takes tokens out of the fields that they came in.
pub(crate) fn edit(edits: &[(String, Option<Vec<u8>>)]) -> Result<(), Refused> {
    edits.iter().try_for_each(|(name, value)| match value {
        Some(value) => host::replace_request_field(name, value),
        None => take_off(&[name]),
    })
}

/// Takes all fields of these names off. Some hosts only hide what is removed, and send it; there they are blanked, and stay where they
/// can be seen: what is set afterwards takes their place, and what is not blank has been overlooked.
fn take_off(names: &[&str]) -> Result<(), Refused> {
    if capabilities().takes_fields_off {
        return names.iter().try_for_each(|name| host::remove_request_field(name));
    }
    let is_there = |name: &str| match host::request_field(name) {
        Ok(value) => Ok(!value.is_empty()),
        Err(Refused::NOT_FOUND) => Ok(false),
        Err(refused) => Err(refused),
    };
    let mut has_blanked = false;
    for name in names {
        if is_there(name)? {
            host::replace_request_field(name, b"")?;
            has_blanked = true;
        }
    }
    if !has_blanked {
        return Ok(());
    }
    let fields = host::fields(MapType::HttpRequestHeaders)?;
    let is_left = |(name, value): (&[u8], &[u8])| {
        !value.is_empty() && names.iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes()))
    };
    if field_map::fields(&fields).any(is_left) { Err(Refused::INCOMPLETE) } else { Ok(()) }
}

/// What else an answer says to caches stays; one that nobody may store stays as it is.
fn make_private() -> Result<(), Refused> {
    let is_success = host::response_field(":status").is_ok_and(|status| status.first() == Some(&b'2'));
    let written = host::response_field(CACHE_CONTROL).unwrap_or_default();
    let directives: Vec<&[u8]> = written.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).collect();
    let is_one_of = |directive: &[u8], names: &[&str]| {
        names.iter().any(|name| directive.eq_ignore_ascii_case(name.as_bytes()))
    };
    if !is_success || directives.iter().any(|directive| is_one_of(directive, &["no-store"])) {
        return Ok(());
    }
    let kept = directives.into_iter().filter(|directive| !is_one_of(directive, &["", "public", "private"]));
    let private: Vec<&[u8]> = std::iter::once(&b"private"[..]).chain(kept).collect();
    host::replace_response_field(CACHE_CONTROL, &private.join(&b", "[..]))
}

/// Takes fields off that a service could take for the gateway's own.
pub(crate) fn remove_imitations(names: &[&str]) -> Result<(), Refused> {
    take_off(names)
}

/// Takes fields out of the trailer section.
pub(crate) fn remove_trailers(names: &[&str]) -> Result<(), Refused> {
    names.iter().try_for_each(|name| host::remove_request_trailer(name))
}

/// What services receive, and before it, while the request can still be refused, what the host keeps.
fn equip(passage: &Passage) -> Result<(), Refused> {
    for (name, value) in passage.filter_state() {
        host::set_property(name, value)?;
    }
    if !passage.replaces_authorization() {
        disarm()?;
    }
    passage.fields().try_for_each(|(name, value)| host::replace_request_field(name, value.as_bytes()))
}

/// The same without a body, and without what says of which kind that is.
fn without_body(reply: Reply) -> Reply {
    let headers = reply.headers.into_iter().filter(|(name, _)| *name != "content-type").collect();
    Reply { headers, body: String::new(), ..reply }
}

const CACHE_CONTROL: &str = "cache-control";
