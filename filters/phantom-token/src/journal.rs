//! The log of one configuration. Its level is kept here, since several configurations can share a VM. A line that could come with
//! each request is written now and then only, with how many like it were not.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use log::{Level, LevelFilter};
use phantom_token_core::{Credentials, Reason, Rejection, Timestamp, TokenKey, Verdict};

use crate::host;

/// The log of one configuration on one worker.
pub(crate) struct Journal {
    /// `log_level`.
    level: LevelFilter,
    /// With what tokens are named; empty, if they are not.
    tag_key: Vec<u8>,
    repeated: RefCell<BTreeMap<&'static str, Repetition>>,
}

/// A line that was written already.
struct Repetition {
    written_at: Timestamp,
    withheld: u64,
}

impl Journal {
    pub(crate) fn new(level: LevelFilter, tag_key: Vec<u8>) -> Self {
        Self { level, tag_key, repeated: RefCell::default() }
    }

    /// A line about something that happens rarely.
    pub(crate) fn say(&self, level: Level, text: impl Display) {
        if self.writes(level) {
            say(level, &text);
        }
    }

    /// One line for what becomes of a request, where that is asked for.
    pub(crate) fn note_verdict(&self, verdict: &Verdict) {
        if let Verdict::Report(rejection, _) = verdict {
            let text = "a request went on that would have been refused, since its rule only reports";
            self.write(Level::Warn, text, rejection.reason.name());
        }
        if !self.writes(Level::Debug) {
            return;
        }
        match verdict {
            Verdict::Forward(Credentials::Granted(passage)) => {
                self.note_decision("forwarded", None, Some(passage.token()));
            }
            Verdict::Forward(Credentials::Untouched | Credentials::Removed) => {
                self.note_decision("forwarded_public", None, None);
            }
            Verdict::Report(Rejection { reason, token, .. }, _) => {
                self.note_decision("reported", Some(*reason), token.as_ref());
            }
            Verdict::Answer(_) => self.note_decision("answered", None, None),
            Verdict::Reject(Rejection { reason, token, .. }) => {
                self.note_decision("refused", Some(*reason), token.as_ref());
            }
        }
    }

    /// A line about something that may come again and again.
    pub(crate) fn write(&self, level: Level, text: &'static str, detail: impl Display) {
        if !self.writes(level) {
            return;
        }
        let now = host::now().unwrap_or(Timestamp::from_millis(0));
        let mut repeated = self.repeated.borrow_mut();
        let withheld = match repeated.get_mut(text) {
            Some(one) if one.is_recent(now) => {
                one.withheld = one.withheld.saturating_add(1);
                return;
            }
            Some(one) => one.withheld,
            None => 0,
        };
        repeated.insert(text, Repetition { written_at: now, withheld: 0 });
        match withheld {
            0 => self.say(level, format_args!("{text}: {detail}")),
            _ => self
                .say(level, format_args!("{text}: {detail} ({withheld} more since the last line like this)")),
        }
    }

    fn note_decision(&self, decision: &str, reason: Option<Reason>, token: Option<&TokenKey>) {
        let mut line = format!("decision={decision}");
        let tag = token.filter(|_| !self.tag_key.is_empty()).map(|token| token.tag(&self.tag_key));
        let facts = [("reason", reason.map(|reason| reason.name().to_owned())), ("token", tag)];
        for (name, value) in facts {
            // Writing into a text does not fail.
            let _ = value.map(|value| write!(line, " {name}={value}"));
        }
        self.say(Level::Debug, line);
    }

    fn writes(&self, level: Level) -> bool {
        level <= self.level
    }
}

impl Repetition {
    /// Whether it was written a moment ago. One from the future was written before the clock was set back.
    fn is_recent(&self, now: Timestamp) -> bool {
        now >= self.written_at && now.since(self.written_at).as_secs() < PAUSE_SECONDS
    }
}

/// Once for all kinds of text.
#[inline(never)]
fn say(level: Level, text: &dyn Display) {
    host::log(level, &text.to_string());
}

const PAUSE_SECONDS: u64 = 10;
