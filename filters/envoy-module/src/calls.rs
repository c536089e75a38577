//! The calls to authorization servers of one configuration, for all workers of the process: a call that another worker has in
//! flight is not sent again but shares its response.
//!
//! Workers hand calls over; Envoy's main thread sends them on behalf of the configuration, so that each one completes even if
//! its client has disconnected. Each response is put into the mailboxes of the workers that wait for it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use phantom_token_core::{
    Call, CallId, CallResult, Callout, Engine, Host, Permit, QueryKey, StreamId, Timestamp,
};

use crate::config::Revision;
use crate::host::{ConfigHandle, ConfigScheduler, StreamScheduler, guarded};
use crate::services;

/// The result of a call.
pub(crate) enum Answer {
    /// A response, from the server or from Envoy in place of the server.
    Response {
        /// All header fields, `:status` included.
        headers: Vec<(Vec<u8>, Vec<u8>)>,
        body: Vec<u8>,
    },
    /// The response body exceeds the limit.
    Oversized,
    /// No response.
    Lost,
    /// Envoy did not send the call, for this reason.
    NotSent(String),
}

impl Answer {
    /// Panics if a response has the field `x-planted-panic`, for tests.
    #[cfg(feature = "planted-panic")]
    #[allow(clippy::panic, reason = "it is planted")]
    fn plant_panic(&self) {
        if let Self::Response { headers, .. } = self
            && headers.iter().any(|(name, _)| name == b"x-planted-panic")
        {
            panic!("planted in an answer");
        }
    }

    #[cfg(not(feature = "planted-panic"))]
    fn plant_panic(&self) {}
}

/// Identifies an engine among those that a worker has had, since calls of two engines can have the same number.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct EngineId(pub(crate) u64);

/// The result of a call, as delivered to one worker.
pub(crate) struct Mail {
    pub(crate) engine: EngineId,
    pub(crate) call: CallId,
    pub(crate) answer: Arc<Answer>,
    /// When the result arrived: a worker without requests reads it later.
    pub(crate) at: Timestamp,
    /// Whether another worker sent the call, and counts its result.
    pub(crate) is_shared: bool,
}

impl Mail {
    /// Delivers the result to the engine that it is for.
    pub(crate) fn deliver(&self, engine: &mut Engine, host: Host<'_>) {
        match &*self.answer {
            Answer::Response { headers, body } => {
                let headers: Vec<(&[u8], &[u8])> =
                    headers.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect();
                engine.on_call_done(self.call, CallResult::Response { headers: &headers, body }, host);
            }
            Answer::Oversized => engine.on_call_done(self.call, CallResult::Oversized, host),
            Answer::Lost => engine.on_call_done(self.call, CallResult::Lost, host),
            Answer::NotSent(reason) => engine.on_call_not_sent(self.call, reason, host),
        }
    }
}

/// The call results that have arrived for one engine.
#[derive(Default)]
pub(crate) struct Mailbox {
    has_mail: AtomicBool,
    state: Mutex<MailboxState>,
}

#[derive(Default)]
struct MailboxState {
    mail: Vec<Mail>,
    /// The waiting streams. While there is mail, one of them is woken, since no other hook may follow.
    waiting: BTreeMap<StreamId, StreamScheduler>,
}

/// The calls of one configuration.
pub(crate) struct Calls {
    scheduler: ConfigScheduler,
    state: Mutex<CallsState>,
}

#[derive(Default)]
struct CallsState {
    next: u64,
    /// Calls that wait to be sent, by event number.
    queued: BTreeMap<u64, Flight>,
    /// Calls in flight, by Envoy's numbers.
    sent: BTreeMap<u64, Flight>,
    /// The recipients that wait for the result of another recipient's call.
    joinable: BTreeMap<QueryKey, Vec<Recipient>>,
}

struct Flight {
    callout: Option<Callout>,
    limit: usize,
    /// `None` if the result is for one worker only.
    key: Option<QueryKey>,
    recipients: Vec<Recipient>,
    /// The call's place among those that its server may have open. It is freed when the call ends, even if the worker has no request and so
    /// reads no mail.
    permit: Option<Permit>,
}

struct Recipient {
    mailbox: Arc<Mailbox>,
    engine: EngineId,
    call: CallId,
}

impl Mailbox {
    /// Registers a waiting stream. Its result may already be there, so a stream is woken if there is mail.
    pub(crate) fn wake(&self, stream: StreamId, scheduler: StreamScheduler) {
        let mut state = self.state();
        state.waiting.insert(stream, scheduler);
        state.ring();
    }

    /// Removes a stream that no longer waits. It may be the one that was woken, so another one is woken if there is mail.
    pub(crate) fn leave(&self, stream: StreamId) {
        let mut state = self.state();
        state.waiting.remove(&stream);
        state.ring();
    }

    /// Takes the results that have arrived.
    pub(crate) fn take(&self) -> Vec<Mail> {
        if !self.has_mail.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut state = self.state();
        self.has_mail.store(false, Ordering::Release);
        std::mem::take(&mut state.mail)
    }

    fn lay(&self, mail: Mail) {
        let mut state = self.state();
        state.mail.push(mail);
        self.has_mail.store(true, Ordering::Release);
        state.ring();
    }

    fn state(&self) -> MutexGuard<'_, MailboxState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MailboxState {
    /// Wakes a waiting stream if there is mail.
    fn ring(&self) {
        if let (false, Some(scheduler)) = (self.mail.is_empty(), self.waiting.values().next()) {
            scheduler.commit();
        }
    }
}

impl Calls {
    pub(crate) fn new(scheduler: ConfigScheduler) -> Self {
        Self { scheduler, state: Mutex::default() }
    }

    /// Queues a call of an engine, with its permit. Returns whether the call shares the result of another recipient's call instead.
    pub(crate) fn submit(
        &self,
        revision: &Revision,
        call: Call,
        permit: Option<Permit>,
        engine: EngineId,
        mailbox: &Arc<Mailbox>,
    ) -> bool {
        let Call { id, key, request, max_response_bytes, .. } = call;
        let recipient = Recipient { mailbox: Arc::clone(mailbox), engine, call: id };
        let shares_answers = revision.settings.single_flight;
        let mut state = self.state();
        if shares_answers && let Some(others) = state.joinable.get_mut(&key) {
            others.push(recipient);
            return true;
        }
        if shares_answers {
            state.joinable.insert(key, Vec::new());
        }
        let event = state.next;
        state.next = event.wrapping_add(1);
        let flight = Flight {
            callout: Some(request),
            limit: max_response_bytes,
            key: shares_answers.then_some(key),
            recipients: vec![recipient],
            permit: permit.or_else(|| revision.protections.permit(key)),
        };
        state.queued.insert(event, flight);
        drop(state);
        self.scheduler.commit(event);
        false
    }

    /// Sends the call of an event. Runs on the main thread.
    pub(crate) fn send(&self, handle: &ConfigHandle<'_>, event: u64) {
        let Some(mut flight) = self.state().queued.remove(&event) else { return };
        let Some(callout) = flight.callout.take() else { return };
        // The recipients receive a result even after a panic.
        match guarded(|| handle.send(&callout)) {
            Some(Ok(number)) => {
                self.state().sent.insert(number, flight);
            }
            Some(Err(refused)) => self.end(flight, Answer::NotSent(refused.to_string())),
            None => self.end(flight, Answer::Lost),
        }
    }

    /// Distributes the result of a call, which `read` reads up to a number of bytes. Runs on the main thread.
    pub(crate) fn on_done(&self, number: u64, read: impl FnOnce(usize) -> Answer) {
        let Some(flight) = self.state().sent.remove(&number) else { return };
        let answer = guarded(|| {
            let answer = read(flight.limit);
            answer.plant_panic();
            answer
        });
        self.end(flight, answer.unwrap_or(Answer::Lost));
    }

    fn end(&self, mut flight: Flight, answer: Answer) {
        drop(flight.permit.take());
        // From here on, the same query is sent anew.
        let joined = flight.key.and_then(|key| self.state().joinable.remove(&key));
        flight.recipients.extend(joined.into_iter().flatten());
        let (answer, at) = (Arc::new(answer), services::now());
        for (index, Recipient { mailbox, engine, call }) in flight.recipients.into_iter().enumerate() {
            mailbox.lay(Mail { engine, call, answer: Arc::clone(&answer), at, is_shared: index > 0 });
        }
    }

    fn state(&self) -> MutexGuard<'_, CallsState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
