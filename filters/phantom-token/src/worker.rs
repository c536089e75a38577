//! What the streams of one configuration on one worker share: the authenticator, and who waits for which callout.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use phantom_token_core::{
    Authenticator, Callout, CalloutId, Conclusion, Flight, Host, InFlight, Outcome, Pending, ProtectionSpace,
    Reason, RequestHead, Settings, Step, TokenKey, Verdict, Waiting,
};
use proxy_wasm::types::{BufferType, MapType};

use crate::host::{self, Refused};
use crate::lent::{Counters, HostSharedData};
use crate::{field_map, perform};

/// One configuration at work.
pub(crate) struct Worker {
    authenticator: RefCell<Authenticator>,
    in_flight: RefCell<InFlight<Rc<Paused>>>,
    counters: Counters,
    space: ProtectionSpace,
    body_limit: usize,
    single_flight: bool,
    host_switches: Cell<bool>,
}

/// A stream that waits, or did.
pub(crate) struct Paused {
    context: u32,
    fate: Cell<Fate>,
    /// The callout whose answer the host drops when this stream goes.
    asked: Cell<Option<CalloutId>>,
}

/// What became of a stream that waits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It still waits.
    Waiting,
    /// It was forwarded.
    Forwarded,
    /// It was answered here.
    Rejected,
    /// Its client went away.
    Gone,
}

/// What becomes of a request whose head is being read.
pub(crate) enum Next {
    /// It is decided.
    Perform(Verdict),
    /// It waits.
    Pause(Rc<Paused>),
}

impl Worker {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            counters: Counters::define(),
            space: settings.protection.clone(),
            body_limit: settings.introspection.response.body_limit(),
            single_flight: settings.introspection.single_flight,
            authenticator: RefCell::new(Authenticator::new(settings)),
            in_flight: RefCell::default(),
            host_switches: Cell::new(false),
        }
    }

    pub(crate) fn space(&self) -> &ProtectionSpace {
        &self.space
    }

    /// The head of a request is there, of `field_count` fields; `context` is its stream's.
    pub(crate) fn authenticate(&self, context: u32, field_count: usize) -> Next {
        self.examine(context, field_count).unwrap_or_else(|refused| {
            log::error!("the host refused a call about a request: {refused:?}");
            Next::Perform(Verdict::Reject(Reason::Internal.into()))
        })
    }

    /// The host has an answer to a callout, or none to give.
    pub(crate) fn on_answer(&self, id: CalloutId, has_headers: bool, body_size: usize) {
        let Some((token, waiting)) = self.in_flight.borrow_mut().land(id) else { return };
        let headers = if has_headers { host::fields(MapType::HttpCallResponseHeaders).ok() } else { None };
        let body = match body_size {
            0 => Some(Vec::new()),
            size if size > self.body_limit => None,
            size => host::buffer(BufferType::HttpCallResponseBody, size).ok(),
        };
        let headers = headers.as_ref().map(|headers| field_map::fields(headers).collect::<Vec<_>>());
        let outcome = match (&headers, &body) {
            (Some(headers), Some(body)) => Outcome::Response { headers, body },
            (Some(_), None) if body_size > self.body_limit => Outcome::Oversized,
            _ => Outcome::Lost,
        };
        self.settle(token, waiting, outcome);
    }

    /// The stream is gone. If it had asked, the host drops the answer; for those who waited along, the root context asks
    /// again at its next tick.
    pub(crate) fn on_gone(&self, stream: &Paused) {
        if stream.fate.replace(Fate::Gone) != Fate::Waiting {
            return;
        }
        if stream.asked.get().is_some_and(|id| self.in_flight.borrow_mut().strand(id)) {
            tick(SOON);
        }
    }

    /// Dispatches the callouts again whose answers are lost, for a context that outlives the answers.
    pub(crate) fn dispatch_stranded(&self) {
        tick(NEVER);
        let mut lost = Vec::new();
        let stranded = self.in_flight.borrow_mut().take_stranded();
        for mut flight in stranded {
            flight.waiting.retain(|waiting| waiting.stream.fate() == Fate::Waiting);
            if flight.waiting.is_empty() {
                continue;
            }
            match host::dispatch(&flight.callout) {
                Ok(id) => self.in_flight.borrow_mut().depart(id, flight),
                Err(refused) => {
                    report_dispatch(refused);
                    lost.push(flight);
                }
            }
        }
        for Flight { token, waiting, .. } in lost {
            self.settle(token, waiting, Outcome::Lost);
        }
    }

    fn examine(&self, context: u32, field_count: usize) -> Result<Next, Refused> {
        let fields = host::fields(MapType::HttpRequestHeaders)?;
        if field_map::fields(&fields).count() < field_count {
            // Some hosts cut a long list: what cannot be seen cannot be taken off.
            return Err(Refused::INCOMPLETE);
        }
        let head = RequestHead::read(field_map::fields(&fields));
        let mut authenticator = self.authenticator.borrow_mut();
        let names = field_map::fields(&fields).map(|(name, _)| name);
        perform::remove_imitations(&authenticator.imitations(names))?;
        let step = authenticator.authenticate(&head, self.lend()?);
        drop(authenticator);
        match step {
            Step::Settled(verdict) => Ok(Next::Perform(verdict)),
            Step::Introspect(callout, pending) => self.wait(context, callout, pending),
        }
    }

    /// Waits along with another request, or dispatches the callout. The request is disarmed before it waits.
    fn wait(&self, context: u32, callout: Callout, pending: Pending) -> Result<Next, Refused> {
        let joins = self.can_join(context, &pending.token())?;
        perform::disarm()?;
        let stream = Rc::new(Paused { context, fate: Cell::new(Fate::Waiting), asked: Cell::new(None) });
        let mut waiting = Waiting { stream: Rc::clone(&stream), pending };
        if joins {
            match self.in_flight.borrow_mut().join(waiting) {
                Ok(()) => return Ok(Next::Pause(stream)),
                Err(alone) => waiting = alone,
            }
        }
        match host::dispatch(&callout) {
            Ok(id) => {
                stream.asked.set(Some(id));
                let flight = Flight { callout, token: waiting.pending.token(), waiting: vec![waiting] };
                self.in_flight.borrow_mut().depart(id, flight);
                Ok(Next::Pause(stream))
            }
            Err(refused) => {
                report_dispatch(refused);
                let lent = self.lend()?;
                let mut authenticator = self.authenticator.borrow_mut();
                let conclusion = authenticator.conclude(waiting.pending.token(), Outcome::Lost, lent);
                Ok(Next::Perform(authenticator.settle(waiting.pending, &conclusion, lent)))
            }
        }
    }

    /// Whether this request may wait along with another: the answer must then be able to reach it from the other's
    /// callback. Where switching to a stream does nothing, the filter would forward the wrong request; so the switch
    /// has to prove itself. The other, disarmed, must be seen without credentials, and this one with them.
    fn can_join(&self, context: u32, token: &TokenKey) -> Result<bool, Refused> {
        let in_flight = self.in_flight.borrow();
        let Some(companion) = in_flight.companion(token).filter(|_| self.single_flight) else {
            return Ok(false);
        };
        if !self.host_switches.get() {
            let credentials = |()| host::request_field(perform::AUTHORIZATION);
            let theirs = host::set_effective_context(companion.context).and_then(credentials);
            host::set_effective_context(context)?;
            self.host_switches.set(theirs == Err(Refused::NOT_FOUND) && credentials(()).is_ok());
        }
        Ok(self.host_switches.get())
    }

    fn settle(&self, token: TokenKey, waiting: Vec<Waiting<Rc<Paused>>>, outcome: Outcome<'_>) {
        for (stream, verdict) in self.verdicts(token, waiting, outcome) {
            // A stream that is gone needs nothing, and cannot be switched to.
            if stream.fate() == Fate::Waiting && host::set_effective_context(stream.context).is_ok() {
                let forwarded = perform::perform_paused(verdict, &self.space);
                stream.fate.set(if forwarded { Fate::Forwarded } else { Fate::Rejected });
            }
        }
    }

    fn verdicts(
        &self,
        token: TokenKey,
        waiting: Vec<Waiting<Rc<Paused>>>,
        outcome: Outcome<'_>,
    ) -> Vec<(Rc<Paused>, Verdict)> {
        let mut authenticator = self.authenticator.borrow_mut();
        let lent = self.lend();
        let conclusion = match lent {
            Ok(lent) => authenticator.conclude(token, outcome, lent),
            Err(_) => Err(Reason::Internal),
        };
        report(&conclusion);
        let verdict = |pending| match lent {
            Ok(lent) => authenticator.settle(pending, &conclusion, lent),
            Err(_) => Verdict::Reject(Reason::Internal.into()),
        };
        waiting.into_iter().map(|Waiting { stream, pending }| (stream, verdict(pending))).collect()
    }

    fn lend(&self) -> Result<Host<'_>, Refused> {
        Ok(Host { now: host::now()?, shared_data: &HostSharedData, metrics: &self.counters })
    }
}

impl Paused {
    pub(crate) fn fate(&self) -> Fate {
        self.fate.get()
    }
}

/// The gateway's own credentials are the operator's affair at once; what the client did is in the counters.
fn report(conclusion: &Conclusion) {
    match conclusion {
        Err(Reason::GatewayCredentialsRefused) => {
            log::error!(
                "the authorization server refuses the credentials of the gateway: check client_id and client_secret"
            );
        }
        Err(reason) => log::debug!("introspection: {}", reason.name()),
        Ok(_) => log::debug!("introspection: active"),
    }
}

fn report_dispatch(refused: Refused) {
    log::error!("the host did not dispatch an introspection, is its upstream configured? {refused:?}");
}

fn tick(period: Duration) {
    if let Err(refused) = host::set_tick_period(period) {
        log::error!("the host did not set a timer: {refused:?}");
    }
}

const SOON: Duration = Duration::from_millis(1);
const NEVER: Duration = Duration::ZERO;
