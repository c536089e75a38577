//! What each worker of each configuration may ask, and whether it kept to that.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use integration_tests::deterministic_host::{Behaviour, CalloutId, ContextKey, Host};

use crate::bounds::{Bounds, UPSTREAM};
use crate::moment::Moment;
use crate::published_keys::KEYS_PATH;
use crate::server::Server;

/// All workers of all configurations.
pub struct Limits {
    behaviour: Behaviour,
    askers: BTreeMap<ContextKey, Asker>,
    seen: usize,
    /// Whether the host may refuse in this step what the filter asks of it.
    is_refusing: bool,
}

/// One configuration on one worker.
struct Asker {
    bounds: Rc<Bounds>,
    /// What may be asked at most, by the time that has passed.
    most: Bucket,
    /// What may be asked at least, by the host's clock; with what the filter took off for questions that the host did not send then.
    least: Bucket,
    open: Vec<Open>,
    reached: Reached,
}

/// Whether a worker was at its limits in this step.
#[derive(Clone, Copy, Default)]
struct Reached {
    by_unknown: bool,
    by_known: bool,
}

/// A question about a token that is open, or of which the filter may think so.
struct Open {
    id: CalloutId,
    token: usize,
    /// Since when no request waits for it.
    left: Option<Moment>,
}

struct Bucket {
    /// In thousandths of a question.
    budget: u64,
    filled_at: Duration,
}

impl Limits {
    pub fn new(behaviour: Behaviour) -> Self {
        Self { behaviour, askers: BTreeMap::new(), seen: 0, is_refusing: false }
    }

    /// A stream of this root context has come.
    pub fn know(&mut self, root: ContextKey, bounds: &Rc<Bounds>, now: Moment) {
        self.askers.entry(root).or_insert_with(|| Asker {
            bounds: Rc::clone(bounds),
            most: Bucket::full(bounds.max_per_second, now.elapsed),
            least: Bucket::full(bounds.max_per_second, now.clock),
            open: Vec::new(),
            reached: Reached::default(),
        });
    }

    /// What the configuration of this root context promises, if a stream of it has come.
    pub fn bounds(&self, root: ContextKey) -> Option<&Rc<Bounds>> {
        self.askers.get(&root).map(|asker| &asker.bounds)
    }

    /// A step begins: who is at a limit now?
    pub fn look(&mut self, host: &Host, now: Moment) {
        self.is_refusing = host.is_refusing();
        for asker in self.askers.values_mut() {
            asker.note_left(host, now);
            asker.reached = asker.reached(host, now);
        }
    }

    /// The questions that were asked in a step: no more at one time and in a second than is configured, and none about a token while
    /// the answer to another about it is to come to this worker.
    pub fn judge_queries(
        &mut self,
        host: &Host,
        server: &Server,
        now: Moment,
        is_awaited: impl Fn(usize) -> bool,
        tally: &mut BTreeMap<&'static str, u32>,
    ) -> Result<()> {
        for id in host.callouts().skip(self.seen) {
            self.seen += 1;
            let callout = host.callout(id);
            ensure!(callout.upstream == UPSTREAM, "a question to {}", callout.upstream);
            let Some(asker) = self.askers.get_mut(&callout.root()) else { continue };
            ensure!(callout.timeout == asker.bounds.timeout, "an answer may take {:?}", callout.timeout);
            if callout.headers.text(":path") == KEYS_PATH {
                let keys = asker.bounds.keys.as_ref().context("a question for keys that nobody needs")?;
                // Where answers are lost with the streams that asked, the lost request is sent again, whatever was answered
                // since.
                if callout.owner() != callout.root() || self.behaviour == Behaviour::Envoy {
                    server.keys.judge_query(callout.root(), keys, now)?;
                }
                *tally.entry("asked for keys").or_default() += 1;
                continue;
            }
            let token = server.find(&callout.parameter("token"));
            let token = token.context("a question about what nobody presented")?;
            let per_second = asker.bounds.max_per_second;
            ensure!(asker.most.take(per_second, now.elapsed), "more questions in a second than {per_second}");
            asker.least.take(per_second, now.clock);
            let will_be_answered = |open: &Open| {
                let callout = host.callout(open.id);
                callout.is_open() && host.is_alive(callout.owner())
            };
            let is_asked = asker.open.iter().any(|open| open.token == token && will_be_answered(open));
            let coalesces = self.behaviour == Behaviour::Envoy && !self.is_refusing;
            ensure!(!is_asked || !coalesces, "it is asked already");
            asker.open.push(Open { id, token, left: None });
            if !is_awaited(token) {
                *tally.entry("refreshed in the background").or_default() += 1;
            }
        }
        for asker in self.askers.values_mut() {
            asker.note_left(host, now);
            let is_due = |id: CalloutId| host.callout(id).is_open() && now.clock < host.callout(id).due();
            let open = asker.open.iter().filter(|open| is_due(open.id)).count();
            ensure!(open <= asker.bounds.max_concurrent, "{open} questions at one time");
            asker.reached = asker.reached.or(asker.reached(host, now));
        }
        Ok(())
    }

    /// Whether one is at a limit in this step. A part of each is for tokens that the worker knows to be active (R114).
    pub fn is_reached(&self, root: ContextKey, is_known: bool) -> bool {
        let reached = self.askers.get(&root).map(|asker| asker.reached).unwrap_or_default();
        if is_known { reached.by_known } else { reached.by_unknown }
    }

    /// The host may have refused a question.
    pub fn doubt(&mut self, root: ContextKey, now: Moment) {
        if let Some(asker) = self.askers.get_mut(&root) {
            // If it was not asked for, the bucket has not been filled either.
            let filled_at = asker.least.filled_at.max(now.clock);
            asker.least.take(asker.bounds.max_per_second, now.clock);
            asker.least.filled_at = filled_at;
        }
    }
}

impl Asker {
    /// Of an answer that is dropped, the filter cannot know when it came: it allows for as long as one may take, counted from
    /// when its asker left.
    fn note_left(&mut self, host: &Host, now: Moment) {
        for open in &mut self.open {
            if !host.is_alive(host.callout(open.id).owner()) {
                open.left.get_or_insert(now);
            }
        }
        self.open.retain(|open| open.left.is_some() || host.callout(open.id).is_open());
    }

    /// Which limits are reached, for tokens that the worker does not know, and for those that it does.
    fn reached(&self, host: &Host, now: Moment) -> Reached {
        let Bounds { max_concurrent, max_per_second, timeout, .. } = *self.bounds;
        let may_be_open = |open: &&Open| {
            let may_count =
                |left: Moment| now.clock < left.clock + timeout && left.clock <= now.clock + timeout;
            host.callout(open.id).is_open() || open.left.is_some_and(may_count)
        };
        let open = self.open.iter().filter(may_be_open).count();
        let level = self.least.level(max_per_second, now.clock);
        let (places, questions) = (max_concurrent / RESERVED, max_per_second / RESERVED as u64);
        Reached {
            by_unknown: open + places >= max_concurrent || level < ONE + questions * ONE,
            by_known: open >= max_concurrent || level < ONE,
        }
    }
}

impl Reached {
    fn or(self, other: Self) -> Self {
        Self { by_unknown: self.by_unknown || other.by_unknown, by_known: self.by_known || other.by_known }
    }
}

impl Bucket {
    fn full(per_second: u64, now: Duration) -> Self {
        Self { budget: per_second * ONE, filled_at: now }
    }

    /// What may be asked now. A clock that was set back fills nothing until it has come so far again, or a question was asked.
    fn level(&self, per_second: u64, now: Duration) -> u64 {
        let elapsed = u64::try_from(now.saturating_sub(self.filled_at).as_millis()).unwrap_or(u64::MAX);
        let gained = elapsed.saturating_mul(per_second);
        self.budget.saturating_add(gained).min(per_second * ONE)
    }

    /// Takes one question off, if it is there.
    fn take(&mut self, per_second: u64, now: Duration) -> bool {
        let level = self.level(per_second, now);
        *self = Self { budget: level.saturating_sub(ONE), filled_at: now };
        level >= ONE
    }
}

const ONE: u64 = 1000;

/// Of so many places and questions, one is for tokens that are known.
const RESERVED: usize = 8;
