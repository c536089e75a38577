//! Questions in flight and the requests that wait for each: one introspection serves all requests with its token that arrive
//! before the answer, and one fetch of keys all that need them (R23, R63).
//!
//! A host drops the answer to a callout whose stream is gone, so those who waited along would wait forever. They are stranded, and
//! their question must be asked [again](InFlight::take_unasked).

use std::collections::BTreeMap;

use crate::authenticator::{Load, Pending};
use crate::callout::{Question, Subject};
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
    renewals: BTreeMap<Subject, Question>,
    /// When the answers are due for which nobody waits any more: the server is still at work.
    abandoned: Vec<(Subject, Timestamp)>,
}

/// One question and those who wait for its answer.
pub struct Flight<S> {
    /// The question, to be asked again if its answer is lost.
    pub question: Question,
    /// Who waits.
    pub waiting: Vec<Waiting<S>>,
}

/// A flight whose callout the host has dispatched.
pub struct Departed<S> {
    /// The flight.
    pub flight: Flight<S>,
    /// When that was.
    pub at: Timestamp,
}

impl<S> Default for InFlight<S> {
    fn default() -> Self {
        Self {
            flights: BTreeMap::new(),
            joinable: BTreeMap::new(),
            stranded: Vec::new(),
            renewals: BTreeMap::new(),
            abandoned: Vec::new(),
        }
    }
}

impl<S> InFlight<S> {
    /// How many questions like this one are open at its server, be it that nobody waits for some, and how many requests wait for
    /// their answers.
    pub fn load(&mut self, like: &Subject, now: Timestamp) -> Load {
        self.abandoned.retain(|(_, due)| now < *due);
        let abandoned = self.abandoned.iter().filter(|(subject, _)| subject.is_like(like)).count();
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

    /// Any stream that waits.
    pub fn anyone(&self) -> Option<&S> {
        let mut flights = self.flights.values().map(|departed| &departed.flight);
        flights.find_map(|flight| flight.waiting.first()).map(|waiting| &waiting.stream)
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

    /// The callout has come to an end. None for one that nobody waits for any more.
    pub fn land(&mut self, id: CalloutId) -> Option<Departed<S>> {
        let departed = self.flights.remove(&id)?;
        let subject = departed.flight.question.subject();
        if self.joinable.get(&subject) == Some(&id) {
            self.joinable.remove(&subject);
        }
        Some(departed)
    }

    /// The host will drop the answer to this callout: what it was about. Those who waited along are stranded by that; and a document
    /// is asked for again in any case, or clients that leave could keep it from everybody.
    pub fn strand(&mut self, id: CalloutId, now: Timestamp) -> Option<Subject> {
        let Departed { flight, .. } = self.land(id)?;
        let subject = flight.question.subject();
        self.abandoned.push((subject, now.plus(flight.question.timeout())));
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

    /// A question that is to be asked although nobody waits for its answer.
    pub fn renew(&mut self, question: Question) {
        if self.renewals.len() < MAX_RENEWALS {
            self.renewals.insert(question.subject(), question);
        }
    }

    /// What is to be asked by a context that outlives the answers: what those are stranded with who still wait, and renewals.
    pub fn take_unasked(&mut self) -> Vec<Flight<S>> {
        let mut stranded = std::mem::take(&mut self.stranded);
        stranded.retain(|flight| !flight.waiting.is_empty() || flight.question.subject().is_document());
        let renewals = std::mem::take(&mut self.renewals).into_values();
        let renewals = renewals.map(|question| Flight { question, waiting: Vec::new() });
        stranded.into_iter().chain(renewals).collect()
    }
}

/// As many as are asked at one time, by default.
const MAX_RENEWALS: usize = 256;

#[cfg(test)]
mod tests;
