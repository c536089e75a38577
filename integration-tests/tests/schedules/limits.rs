//! The limits on the introspections of each worker of each configuration, and whether the worker keeps to them.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use integration_tests::deterministic_host::{Behaviour, CalloutId, ContextKey, Host};

use crate::bounds::{Bounds, UPSTREAM};
use crate::moment::Moment;
use crate::published_keys::KEYS_PATH;
use crate::server::Server;

/// The limits of all workers of all configurations.
pub struct Limits {
    behaviour: Behaviour,
    askers: BTreeMap<ContextKey, Asker>,
    seen: usize,
    /// Whether the host may refuse calls of the filter in this step.
    is_refusing: bool,
}

/// One configuration on one worker.
struct Asker {
    bounds: Rc<Bounds>,
    /// The upper bound of the rate budget, by the time that has passed.
    most: Bucket,
    /// The lower bound of the rate budget, by the host's clock; it includes introspections that the filter counted but the host did not
    /// send.
    least: Bucket,
    open: Vec<Open>,
    reached: Reached,
}

/// Whether a worker reached its limits in this step, for tokens that it does not know and for those that it knows.
#[derive(Clone, Copy, Default)]
struct Reached {
    by_unknown: bool,
    by_known: bool,
}

/// An introspection that is open, or that the filter may still count as open.
struct Open {
    id: CalloutId,
    token: usize,
    /// When the context that sent the introspection ended. `None` if it exists.
    left: Option<Moment>,
}

struct Bucket {
    /// In thousandths of an introspection.
    budget: u64,
    filled_at: Duration,
}

impl Limits {
    pub fn new(behaviour: Behaviour) -> Self {
        Self { behaviour, askers: BTreeMap::new(), seen: 0, is_refusing: false }
    }

    /// Records that a stream of this root context exists.
    pub fn know(&mut self, root: ContextKey, bounds: &Rc<Bounds>, now: Moment) {
        self.askers.entry(root).or_insert_with(|| Asker {
            bounds: Rc::clone(bounds),
            most: Bucket::full(bounds.max_per_second, now.elapsed),
            least: Bucket::full(bounds.max_per_second, now.clock),
            open: Vec::new(),
            reached: Reached::default(),
        });
    }

    /// The promises of the configuration of this root context. `None` if no stream of it was seen.
    pub fn bounds(&self, root: ContextKey) -> Option<&Rc<Bounds>> {
        self.askers.get(&root).map(|asker| &asker.bounds)
    }

    /// Records at the beginning of a step which limits are reached.
    pub fn look(&mut self, host: &Host, now: Moment) {
        self.is_refusing = host.is_refusing();
        for asker in self.askers.values_mut() {
            asker.note_left(host, now);
            asker.reached = asker.reached(host, now);
        }
    }

    /// Judges the introspections of a step: no more concurrently and per second than configured, and none about a token while the response
    /// to another about it will still reach this worker.
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
                // Where responses are lost with the streams that sent the callouts, the root context repeats the lost fetch, whatever was
                // received since.
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

    /// Whether a limit is reached in this step. A part of each is reserved for tokens that the worker knows to be active (R114).
    pub fn is_reached(&self, root: ContextKey, is_known: bool) -> bool {
        let reached = self.askers.get(&root).map(|asker| asker.reached).unwrap_or_default();
        if is_known { reached.by_known } else { reached.by_unknown }
    }

    /// Records that the host may have refused an introspection.
    pub fn doubt(&mut self, root: ContextKey, now: Moment) {
        if let Some(asker) = self.askers.get_mut(&root) {
            // If the filter did not introspect at all, the bucket was not refilled either.
            let filled_at = asker.least.filled_at.max(now.clock);
            asker.least.take(asker.bounds.max_per_second, now.clock);
            asker.least.filled_at = filled_at;
        }
    }
}

impl Asker {
    /// The filter cannot know when a dropped response arrived: it counts the introspection as open until its timeout, measured from when
    /// the context that sent it ended.
    fn note_left(&mut self, host: &Host, now: Moment) {
        for open in &mut self.open {
            if !host.is_alive(host.callout(open.id).owner()) {
                open.left.get_or_insert(now);
            }
        }
        self.open.retain(|open| open.left.is_some() || host.callout(open.id).is_open());
    }

    /// Returns which limits are reached, for tokens that the worker does not know, and for those that it knows.
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

    /// The budget at this time. A clock that was set back refills nothing until it has caught up, or an introspection was sent.
    fn level(&self, per_second: u64, now: Duration) -> u64 {
        let elapsed = u64::try_from(now.saturating_sub(self.filled_at).as_millis()).unwrap_or(u64::MAX);
        let gained = elapsed.saturating_mul(per_second);
        self.budget.saturating_add(gained).min(per_second * ONE)
    }

    /// Takes one introspection from the budget. Returns whether there was one.
    fn take(&mut self, per_second: u64, now: Duration) -> bool {
        let level = self.level(per_second, now);
        *self = Self { budget: level.saturating_sub(ONE), filled_at: now };
        level >= ONE
    }
}

const ONE: u64 = 1000;

/// One in this many concurrent introspections, and of those per second, is reserved for known tokens.
const RESERVED: usize = 8;
