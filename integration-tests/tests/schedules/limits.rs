//! What each worker of each configuration may ask, and whether it kept to that.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use integration_tests::deterministic_host::{CalloutId, ContextKey, Host};

use crate::bounds::{Bounds, UPSTREAM};
use crate::server::Server;

/// All workers of all configurations.
#[derive(Default)]
pub struct Limits {
    askers: BTreeMap<ContextKey, Asker>,
    seen: usize,
}

/// One configuration on one worker.
struct Asker {
    bounds: Rc<Bounds>,
    most: Bucket,
    /// With what the filter took off for questions that the host did not send then.
    least: Bucket,
    /// Those that are open, or of which it may think so, and since when nobody waits for them.
    open: Vec<(CalloutId, Option<Duration>)>,
    was_reached: bool,
}

#[derive(Clone, Copy)]
struct Bucket {
    /// In thousandths of a question.
    budget: u64,
    filled_at: Duration,
}

impl Limits {
    /// A stream of this root context has come.
    pub fn know(&mut self, root: ContextKey, bounds: &Rc<Bounds>, host: &Host) {
        let full = Bucket { budget: bounds.max_per_second * ONE, filled_at: host.now() };
        self.askers.entry(root).or_insert_with(|| Asker {
            bounds: Rc::clone(bounds),
            most: full,
            least: full,
            open: Vec::new(),
            was_reached: false,
        });
    }

    /// A step begins: who is at a limit now?
    pub fn look(&mut self, host: &Host) {
        for asker in self.askers.values_mut() {
            asker.note_left(host);
            asker.was_reached = asker.is_reached(host);
        }
    }

    /// The questions that were asked in a step.
    pub fn judge_questions(
        &mut self,
        host: &Host,
        server: &Server,
        is_awaited: impl Fn(usize) -> bool,
        tally: &mut BTreeMap<&'static str, u32>,
    ) -> Result<()> {
        for id in host.callouts().skip(self.seen) {
            self.seen += 1;
            let callout = host.callout(id);
            ensure!(callout.upstream == UPSTREAM, "a question to {}", callout.upstream);
            let token = server.find(&callout.parameter("token"));
            let token = token.context("a question about what nobody presented")?;
            let Some(asker) = self.askers.get_mut(&callout.root()) else { continue };
            ensure!(callout.timeout == asker.bounds.timeout, "an answer may take {:?}", callout.timeout);
            let per_second = asker.bounds.max_per_second;
            ensure!(asker.most.take(per_second, host.now()), "more questions in a second than {per_second}");
            asker.least.take(per_second, host.now());
            asker.open.push((id, None));
            if !is_awaited(token) {
                *tally.entry("refreshed in the background").or_default() += 1;
            }
        }
        for asker in self.askers.values_mut() {
            asker.note_left(host);
            let is_due = |id: CalloutId| host.callout(id).is_open() && host.now() < host.callout(id).due();
            let open = asker.open.iter().filter(|(id, _)| is_due(*id)).count();
            ensure!(open <= asker.bounds.max_concurrent, "{open} questions at one time");
            asker.was_reached |= asker.is_reached(host);
        }
        Ok(())
    }

    /// Whether one is at a limit in this step.
    pub fn is_reached(&self, root: ContextKey) -> bool {
        self.askers.get(&root).is_some_and(|asker| asker.was_reached)
    }

    /// The host may have refused a question.
    pub fn doubt(&mut self, root: ContextKey) {
        if let Some(asker) = self.askers.get_mut(&root) {
            asker.least.budget = asker.least.budget.saturating_sub(ONE);
        }
    }
}

impl Asker {
    /// Of an answer that is dropped, the filter cannot know when it came: it allows for as long as one may take, counted from
    /// when its asker left.
    fn note_left(&mut self, host: &Host) {
        let Self { open, bounds, .. } = self;
        for (id, left) in open.iter_mut() {
            if !host.is_alive(host.callout(*id).owner()) {
                left.get_or_insert(host.now());
            }
        }
        open.retain(|(id, left)| match left {
            Some(left) => host.callout(*id).is_open() || host.now() < *left + bounds.timeout,
            None => host.callout(*id).is_open(),
        });
    }

    fn is_reached(&mut self, host: &Host) -> bool {
        self.open.len() >= self.bounds.max_concurrent
            || self.least.fill(self.bounds.max_per_second, host.now()) < ONE
    }
}

impl Bucket {
    fn fill(&mut self, per_second: u64, now: Duration) -> u64 {
        let elapsed = u64::try_from((now - self.filled_at).as_millis()).unwrap_or(u64::MAX);
        let gained = elapsed.saturating_mul(per_second);
        self.budget = self.budget.saturating_add(gained).min(per_second * ONE);
        self.filled_at = now;
        self.budget
    }

    /// Takes one question off, if it is there.
    fn take(&mut self, per_second: u64, now: Duration) -> bool {
        let is_there = self.fill(per_second, now) >= ONE;
        self.budget = self.budget.saturating_sub(ONE);
        is_there
    }
}

const ONE: u64 = 1000;
