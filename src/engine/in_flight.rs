//! Calls in flight and the requests that wait for each: one introspection serves all requests with its token that arrive before the
//! response, and one fetch of keys serves all that need them (R23, R63).
//!
//! Some hosts drop the response to a call whose stream is gone (R113): that call is an [orphan](InFlight::orphan), which may have to be sent
//! [again](InFlight::take_orphans).

use std::collections::BTreeMap;
use std::time::Duration;

use super::call::{CallId, StreamId};
use super::decision::Pending;
use crate::authorization_server::Permit;
use crate::server::query::{Query, QueryKey};
use crate::time::Timestamp;

/// A request that waits for a call.
pub(super) struct Waiting {
    pub(super) stream: StreamId,
    pub(super) pending: Pending,
}

/// All calls in flight of one worker.
#[derive(Default)]
pub(super) struct InFlight {
    next_id: u64,
    flights: BTreeMap<CallId, Started>,
    joinable: BTreeMap<QueryKey, CallId>,
    orphans: Vec<Flight>,
    refreshes: BTreeMap<QueryKey, Refresh>,
    /// Calls whose responses the host drops: the server may still be processing them.
    abandoned: Vec<Abandoned>,
    /// The recent maximum response time.
    slowest: Option<Duration>,
}

/// A query for which no request waits, to be sent when the limits allow it.
struct Refresh {
    query: Query,
    /// When the query was queued.
    since: Timestamp,
}

struct Abandoned {
    /// When the server is expected to have finished.
    due: Timestamp,
    /// How far ahead `due` can be at most.
    timeout: Duration,
    /// Held until `due`.
    _permit: Option<Permit>,
}

/// A call and the requests that wait for its end.
pub(super) struct Flight {
    /// Kept, since an orphan may be sent again.
    pub(super) query: Query,
    pub(super) waiting: Vec<Waiting>,
    /// The stream in whose name the call is sent.
    pub(super) sender: Option<StreamId>,
}

/// A flight, when it started, and its place among the open introspections of its server.
struct Started {
    flight: Flight,
    at: Timestamp,
    permit: Option<Permit>,
}

impl InFlight {
    /// Frees the places of calls whose responses the host drops, once the server is expected to have finished.
    pub(super) fn free_abandoned(&mut self, now: Timestamp) {
        // An end further ahead than possible was recorded before the clock was set back.
        self.abandoned
            .retain(|abandoned| now < abandoned.due && abandoned.due <= now.plus(abandoned.timeout));
    }

    /// Returns the number of requests that wait for calls of this kind to the server.
    pub(super) fn waiting_like(&self, like: &QueryKey) -> usize {
        let flights = self.flights.values().map(|started| &started.flight);
        let flights = flights.filter(|flight| flight.query.key().is_like(like));
        flights.fold(0, |waiting, flight| waiting.saturating_add(flight.waiting.len()))
    }

    /// Returns the number of waiting requests.
    pub(super) fn waiting(&self) -> usize {
        let flights = self.flights.values().map(|started| &started.flight).chain(&self.orphans);
        flights.fold(0, |waiting, flight| waiting.saturating_add(flight.waiting.len()))
    }

    /// Returns the requests that wait for a call in flight with this key, so that another can join. A call that can be lost with its stream
    /// may only be joined if it `is_resent` then.
    pub(super) fn joinable(&mut self, key: &QueryKey, is_resent: bool) -> Option<&mut Vec<Waiting>> {
        let started = self.joinable.get(key).and_then(|id| self.flights.get_mut(id))?;
        (is_resent || started.flight.sender.is_none()).then_some(&mut started.flight.waiting)
    }

    /// Starts a flight. Its call still has to be sent.
    pub(super) fn start(&mut self, flight: Flight, permit: Option<Permit>, at: Timestamp) -> CallId {
        let id = CallId(self.next_id);
        self.next_id = self.next_id.wrapping_add(1);
        self.joinable.insert(flight.query.key(), id);
        self.flights.insert(id, Started { flight, at, permit });
        id
    }

    /// Takes the permit of a call, for its host to keep.
    pub(super) fn take_permit(&mut self, id: CallId) -> Option<Permit> {
        self.flights.get_mut(&id)?.permit.take()
    }

    /// Returns the flight of a call that has not ended.
    pub(super) fn get(&self, id: CallId) -> Option<&Flight> {
        self.flights.get(&id).map(|started| &started.flight)
    }

    /// Removes a call that ended. Returns its flight and duration, or `None` if it is not in flight.
    pub(super) fn complete(&mut self, id: CallId, now: Timestamp) -> Option<(Flight, Duration)> {
        let Started { flight, at, .. } = self.remove(id)?;
        let took = now.since(at);
        let decayed = self.slowest.unwrap_or_default().mul_f64(DECAY);
        self.slowest = Some(took.max(decayed).min(flight.query.timeout()));
        Some((flight, took))
    }

    /// Removes a call that was not sent.
    pub(super) fn withdraw(&mut self, id: CallId) -> Option<Flight> {
        self.remove(id).map(|started| started.flight)
    }

    /// Turns the calls in this stream's name into orphans: the host drops their responses. Returns their keys.
    ///
    /// The server is assumed to be busy for twice the recent maximum response time, but not beyond the timeout: a client that disconnects
    /// must neither exceed the server's limit, nor occupy a place for longer than the server is busy (R113).
    pub(super) fn orphan(&mut self, stream: StreamId) -> Vec<QueryKey> {
        let is_of_stream =
            |(id, started): (&CallId, &Started)| (started.flight.sender == Some(stream)).then_some(*id);
        let ids: Vec<CallId> = self.flights.iter().filter_map(is_of_stream).collect();
        ids.into_iter().filter_map(|id| self.orphan_call(id)).collect()
    }

    fn orphan_call(&mut self, id: CallId) -> Option<QueryKey> {
        let Started { flight, at, permit } = self.remove(id)?;
        let (key, timeout) = (flight.query.key(), flight.query.timeout());
        let expected = self.slowest.map_or(timeout, |slowest| timeout.min(slowest.saturating_mul(2)));
        self.abandoned.push(Abandoned { due: at.plus(expected), timeout, _permit: permit });
        self.orphans.push(flight);
        Some(key)
    }

    /// Removes the requests of a stream that no longer waits.
    pub(super) fn leave(&mut self, stream: StreamId) {
        let flights = self.flights.values_mut().map(|started| &mut started.flight);
        for flight in flights.chain(&mut self.orphans) {
            flight.waiting.retain(|waiting| waiting.stream != stream);
        }
    }

    /// Queues a query for which no request waits. A queued one with the same key stays.
    pub(super) fn refresh(&mut self, query: Query, now: Timestamp) {
        if self.refreshes.len() < MAX_REFRESHES {
            self.refreshes.entry(query.key()).or_insert(Refresh { query, since: now });
        }
    }

    /// Takes the queued queries that are not in flight. Each has to be [started](Self::start) or [put back](Self::put_back).
    pub(super) fn take_refreshes(&mut self) -> Vec<(Query, Timestamp)> {
        let refreshes = std::mem::take(&mut self.refreshes).into_iter();
        // A request that found no fresh entry may have sent the query since: its response is a refresh as well.
        let unsent = refreshes.filter(|(key, _)| !self.joinable.contains_key(key));
        unsent.map(|(_, Refresh { query, since })| (query, since)).collect()
    }

    /// Queues a query again that the limits did not allow, until its timeout.
    pub(super) fn put_back(&mut self, query: Query, since: Timestamp, now: Timestamp) {
        if since <= now && now < since.plus(query.timeout()) {
            self.refreshes.insert(query.key(), Refresh { query, since });
        }
    }

    /// Takes the orphans to send again: those for which requests wait, and those whose response `is_needed` anyway.
    pub(super) fn take_orphans(&mut self, is_needed: impl Fn(&Query) -> bool) -> Vec<Flight> {
        let mut orphans = std::mem::take(&mut self.orphans);
        orphans.retain(|flight| !flight.waiting.is_empty() || is_needed(&flight.query));
        orphans
    }

    /// Returns the number of queued queries.
    #[cfg(test)]
    pub(super) fn queued(&self) -> usize {
        self.refreshes.len()
    }

    fn remove(&mut self, id: CallId) -> Option<Started> {
        let started = self.flights.remove(&id)?;
        let key = started.flight.query.key();
        if self.joinable.get(&key) == Some(&id) {
            self.joinable.remove(&key);
        }
        Some(started)
    }
}

/// The maximum number of queued queries: the default of `max_concurrent`.
const MAX_REFRESHES: usize = 256;

/// The part of the recent maximum that remains with each response.
const DECAY: f64 = 0.875;

#[cfg(test)]
mod tests;
