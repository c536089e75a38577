//! Introspections in flight and the requests that wait for each: one introspection serves all requests with its token that
//! arrive before the answer (R23).
//!
//! A host drops the answer to a callout whose stream is gone, so those who waited along would wait forever. They are
//! [`stranded`](InFlight::take_stranded), and their introspection must be dispatched again.

use std::collections::BTreeMap;

use crate::authenticator::Pending;
use crate::cache::TokenKey;
use crate::introspection::Callout;

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

/// All introspections in flight of one worker.
pub struct InFlight<S> {
    flights: BTreeMap<CalloutId, Flight<S>>,
    joinable: BTreeMap<TokenKey, CalloutId>,
    stranded: Vec<Flight<S>>,
}

/// One introspection and those who wait for it.
pub struct Flight<S> {
    /// The question, to be asked again if its answer is lost.
    pub callout: Callout,
    /// The token that it is about.
    pub token: TokenKey,
    /// Who waits.
    pub waiting: Vec<Waiting<S>>,
}

impl<S> Default for InFlight<S> {
    fn default() -> Self {
        Self { flights: BTreeMap::new(), joinable: BTreeMap::new(), stranded: Vec::new() }
    }
}

impl<S> InFlight<S> {
    /// A stream that waits for this token already.
    pub fn companion(&self, token: &TokenKey) -> Option<&S> {
        let flight = self.flights.get(self.joinable.get(token)?)?;
        flight.waiting.first().map(|waiting| &waiting.stream)
    }

    /// Waits along with those who wait for the same token.
    ///
    /// # Errors
    /// Gives the request back if nobody does.
    pub fn join(&mut self, waiting: Waiting<S>) -> Result<(), Waiting<S>> {
        let token = waiting.pending.token();
        match self.joinable.get(&token).and_then(|id| self.flights.get_mut(id)) {
            Some(flight) => {
                flight.waiting.push(waiting);
                Ok(())
            }
            None => Err(waiting),
        }
    }

    /// The host has dispatched a flight's callout.
    pub fn depart(&mut self, id: CalloutId, flight: Flight<S>) {
        self.joinable.insert(flight.token, id);
        self.flights.insert(id, flight);
    }

    /// The callout has come to an end: its token, and who waits. None for a callout that nobody waits for any more.
    pub fn land(&mut self, id: CalloutId) -> Option<(TokenKey, Vec<Waiting<S>>)> {
        let flight = self.remove(id)?;
        Some((flight.token, flight.waiting))
    }

    /// The host will drop the answer to this callout. Whether anybody is stranded by that, beside the one that asked.
    pub fn strand(&mut self, id: CalloutId) -> bool {
        let flight = self.remove(id).filter(|flight| flight.waiting.len() > 1);
        let has_others = flight.is_some();
        self.stranded.extend(flight);
        has_others
    }

    /// The flights whose answers are lost.
    pub fn take_stranded(&mut self) -> Vec<Flight<S>> {
        std::mem::take(&mut self.stranded)
    }

    fn remove(&mut self, id: CalloutId) -> Option<Flight<S>> {
        let flight = self.flights.remove(&id)?;
        if self.joinable.get(&flight.token) == Some(&id) {
            self.joinable.remove(&flight.token);
        }
        Some(flight)
    }
}

#[cfg(test)]
mod tests;
