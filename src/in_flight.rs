//! Questions in flight and the requests that wait for each: one introspection serves all requests with its token that arrive
//! before the answer, and one fetch of keys all that need them (R23, R63).
//!
//! Where callouts belong to the root context, each is answered, whoever has left by then (R113). Other hosts drop the answer to a
//! callout whose stream is gone: that question is [stranded](InFlight::strand), and some must be asked
//! [again](InFlight::take_stranded).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::authenticator::{Load, Pending};
use crate::server::question::{Question, Subject};
use crate::time::Timestamp;

/// The host's number of a callout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CalloutId(pub u32);

/// A request that waits. `S` is what its host calls a stream.
pub struct Waiting<S> {
    /// Where the verdict goes.
    pub stream: S,
    /// What it waits for.
    pub pending: Pending,
}

/// All questions in flight of one worker.
pub struct InFlight<S> {
    flights: BTreeMap<CalloutId, Departed<S>>,
    joinable: BTreeMap<Subject, CalloutId>,
    stranded: Vec<Flight<S>>,
    refreshes: BTreeMap<Subject, Refresh>,
    /// Questions whose answers the host drops: the server may still be at work.
    abandoned: Vec<Abandoned>,
    /// How long the slowest answer took of late.
    slowest: Option<Duration>,
}

/// A question that nobody waits for, to be sent when there is room.
struct Refresh {
    question: Question,
    /// Since when it has been queued.
    since: Timestamp,
}

struct Abandoned {
    subject: Subject,
    /// When the server is expected to be done.
    due: Timestamp,
    /// The longest that this can be from now.
    timeout: Duration,
}

/// One question and those who wait for its answer.
pub struct Flight<S> {
    /// The question, to be asked again if its answer is lost.
    pub question: Question,
    /// Who waits.
    pub waiting: Vec<Waiting<S>>,
}

/// A flight whose callout the host has dispatched.
struct Departed<S> {
    flight: Flight<S>,
    /// When that was.
    at: Timestamp,
}

impl<S> Default for InFlight<S> {
    fn default() -> Self {
        Self {
            flights: BTreeMap::new(),
            joinable: BTreeMap::new(),
            stranded: Vec::new(),
            refreshes: BTreeMap::new(),
            abandoned: Vec::new(),
            slowest: None,
        }
    }
}

impl<S> InFlight<S> {
    /// How many questions like this one are open at its server, be it that nobody waits for some, and how many requests wait for
    /// their answers.
    pub fn load(&mut self, like: &Subject, now: Timestamp) -> Load {
        // What lies further ahead than it can, was noted before the clock went back.
        self.abandoned
            .retain(|abandoned| now < abandoned.due && abandoned.due <= now.plus(abandoned.timeout));
        let abandoned = self.abandoned.iter().filter(|abandoned| abandoned.subject.is_like(like)).count();
        let flights = self.flights.values().map(|departed| &departed.flight);
        let flights = flights.filter(|flight| flight.question.subject().is_like(like));
        flights.fold(Load { open: abandoned, waiting: 0 }, |load, flight| Load {
            open: load.open.saturating_add(1),
            waiting: load.waiting.saturating_add(flight.waiting.len()),
        })
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        let flights = self.flights.values().map(|departed| &departed.flight).chain(&self.stranded);
        flights.fold(0, |waiting, flight| waiting.saturating_add(flight.waiting.len()))
    }

    /// Waits along with those who wait for an answer about the same.
    ///
    /// # Errors
    /// Gives the request back if nobody does.
    pub fn join(&mut self, subject: &Subject, waiting: Waiting<S>) -> Result<(), Waiting<S>> {
        match self.joinable.get(subject).and_then(|id| self.flights.get_mut(id)) {
            Some(departed) => {
                departed.flight.waiting.push(waiting);
                Ok(())
            }
            None => Err(waiting),
        }
    }

    /// The host has dispatched a flight's callout.
    pub fn depart(&mut self, id: CalloutId, flight: Flight<S>, at: Timestamp) {
        self.joinable.insert(flight.question.subject(), id);
        self.flights.insert(id, Departed { flight, at });
    }

    /// The callout has come to an end, and how long that took. None for one that is not in flight.
    pub fn land(&mut self, id: CalloutId, now: Timestamp) -> Option<(Flight<S>, Duration)> {
        let Departed { flight, at } = self.remove(id)?;
        let took = now.since(at);
        let fading = self.slowest.unwrap_or_default().mul_f64(FADING);
        self.slowest = Some(took.max(fading).min(flight.question.timeout()));
        Some((flight, took))
    }

    /// The host will drop the answer to this callout: what it was about.
    ///
    /// The server is taken to be at work for twice as long as its slowest answer took of late, at most until the time-out: a client
    /// that leaves must neither make room for more than the server bears, nor keep a place longer than the server is busy (R113).
    pub fn strand(&mut self, id: CalloutId) -> Option<Subject> {
        let Departed { flight, at } = self.remove(id)?;
        let (subject, timeout) = (flight.question.subject(), flight.question.timeout());
        let expected = self.slowest.map_or(timeout, |slowest| timeout.min(slowest.saturating_mul(2)));
        self.abandoned.push(Abandoned { subject, due: at.plus(expected), timeout });
        self.stranded.push(flight);
        Some(subject)
    }

    /// Whoever this is waits no more, since its client is gone.
    pub fn leave(&mut self, is_gone: impl Fn(&S) -> bool) {
        let flights = self.flights.values_mut().map(|departed| &mut departed.flight);
        for flight in flights.chain(&mut self.stranded) {
            flight.waiting.retain(|waiting| !is_gone(&waiting.stream));
        }
    }

    /// Queues a question that nobody waits for. One about the same subject may be queued already, and stays.
    pub fn refresh(&mut self, question: Question, now: Timestamp) {
        if self.refreshes.len() < MAX_REFRESHES {
            self.refreshes.entry(question.subject()).or_insert(Refresh { question, since: now });
        }
    }

    /// Takes the questions that nobody waits for and that are not in flight. Each is to be [sent](Self::depart), or
    /// [put back](Self::put_back).
    pub fn take_refreshes(&mut self) -> Vec<(Question, Timestamp)> {
        let refreshes = std::mem::take(&mut self.refreshes).into_iter();
        // A request may have asked since, which found nothing fresh any more: its answer is a refresh as well.
        let unasked = refreshes.filter(|(subject, _)| !self.joinable.contains_key(subject));
        unasked.map(|(_, Refresh { question, since })| (question, since)).collect()
    }

    /// Keeps a question for another try, which there was no room for. Whoever needs it after its time-out queues it anew.
    pub fn put_back(&mut self, question: Question, since: Timestamp, now: Timestamp) {
        if since <= now && now < since.plus(question.timeout()) {
            self.refreshes.insert(question.subject(), Refresh { question, since });
        }
    }

    /// Takes what is to be asked again by a context that outlives the answers: what somebody still waits for, and what
    /// `is_needed_anyway`.
    pub fn take_stranded(&mut self, is_needed_anyway: impl Fn(&Question) -> bool) -> Vec<Flight<S>> {
        let mut stranded = std::mem::take(&mut self.stranded);
        stranded.retain(|flight| !flight.waiting.is_empty() || is_needed_anyway(&flight.question));
        stranded
    }

    fn remove(&mut self, id: CalloutId) -> Option<Departed<S>> {
        let departed = self.flights.remove(&id)?;
        let subject = departed.flight.question.subject();
        if self.joinable.get(&subject) == Some(&id) {
            self.joinable.remove(&subject);
        }
        Some(departed)
    }
}

/// As many as are asked at one time, by default.
const MAX_REFRESHES: usize = 256;

/// How much of the slowest answer's time counts after the next one.
const FADING: f64 = 0.875;

#[cfg(test)]
mod tests;
