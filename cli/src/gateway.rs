//! The filter without a proxy: it does with the fields of a request what the filter does with them in its host. Every decision is
//! the core's.

use std::cell::RefCell;
use std::collections::HashMap;

use phantom_token_core::{
    AUTHORIZATION, Authenticator, Credentials, Host, NoMetrics, Outcome, Presented, ProtectionSpace,
    Question, Randomness, Reason, Reply, RequestHead, Settings, SharedData, Step, Timestamp, Verdict,
};

/// Names and values of header fields, pseudo-header fields among them.
pub type Fields = Vec<(String, Vec<u8>)>;

/// The filter with one configuration, on one worker.
pub struct Gateway {
    authenticator: Authenticator,
    protection: ProtectionSpace,
    data: Memory,
}

/// A request, as the host knows it.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Its fields.
    pub fields: Fields,
    /// The route that the host has selected.
    pub route: Option<String>,
    /// Who the caller is, by the first URI in its certificate.
    pub peer: Option<String>,
    /// The SHA-256 of the caller's certificate, in hexadecimal digits.
    pub certificate: Option<String>,
}

/// What became of a question to an authorization server.
#[derive(Clone)]
pub enum Answer {
    /// It answered.
    Response {
        /// The status.
        status: u16,
        /// The fields.
        fields: Fields,
        /// The body.
        body: Vec<u8>,
    },
    /// It answered more than is worth reading.
    Oversized,
    /// It did not answer.
    Lost,
}

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    /// Services get it.
    Forwarded {
        /// All of its fields.
        fields: Fields,
        /// What the host keeps for logs and other filters.
        state: Vec<(String, String)>,
        /// Why it would be refused, if that is only reported.
        reported: Option<Reason>,
    },
    /// The gateway answered it.
    Answered {
        /// Why it is refused, if it is.
        reason: Option<Reason>,
        /// The answer.
        reply: Reply,
    },
    /// It waits for an answer that nobody gives.
    Waiting,
}

impl Gateway {
    /// A filter with an empty cache.
    pub fn new(settings: Settings) -> Self {
        let protection = settings.protection.clone();
        let (mut authenticator, data) = (Authenticator::new(settings), Memory::default());
        authenticator.prepare(Timestamp::from_millis(0), &data);
        Self { authenticator, protection, data }
    }

    /// Whether a request brings a token or other credentials.
    pub fn is_presented(&self, request: &Request) -> bool {
        let head = RequestHead::read(borrowed(&request.fields));
        let extracted = self.authenticator.extract(&head, borrowed(&request.fields));
        let head = extracted.taken_out_of(head);
        !matches!((head.authorization, head.elsewhere), (Presented::Absent, Presented::Absent))
    }

    /// The way of a request through the filter. Questions on the way are put to `ask`; where it has no answer, the request waits.
    pub fn process(
        &mut self,
        request: &Request,
        now: Timestamp,
        ask: &mut dyn FnMut(&Question) -> Option<Answer>,
    ) -> Fate {
        let head = RequestHead::read(borrowed(&request.fields));
        let extracted = self.authenticator.extract(&head, borrowed(&request.fields));
        let asks = self.authenticator.asks();
        let asked = |is_asked: bool, value: &'_ Option<String>| value.clone().filter(|_| is_asked);
        let (route, peer) = (asked(asks.route, &request.route), asked(asks.peer, &request.peer));
        let certificate = asked(asks.certificate, &request.certificate);
        let head = RequestHead {
            route: route.as_deref().map(str::as_bytes),
            peer: peer.as_deref().map(str::as_bytes),
            certificate: certificate.as_deref().map(str::as_bytes),
            ..extracted.taken_out_of(head)
        };
        let host = Host { now, shared_data: &self.data, metrics: &NoMetrics, randomness: &Random };
        let mut step = self.authenticator.authenticate(&head, host);
        let verdict = loop {
            match step {
                Step::Settled(verdict) | Step::Renew(verdict, _) => break verdict,
                Step::Ask(question, pending) => {
                    let Some(answer) = ask(&question) else { return Fate::Waiting };
                    let conclusion = answer.with_outcome(|outcome| {
                        self.authenticator.conclude(question.subject(), outcome, host)
                    });
                    step = self.authenticator.settle(pending, &conclusion, host);
                }
            }
        };
        let mut fields = request.fields.clone();
        for (name, value) in &extracted.edits {
            match value {
                Some(value) => replace(&mut fields, name, value),
                None => remove(&mut fields, name),
            }
        }
        let names = request.fields.iter().map(|(name, _)| name.as_bytes());
        self.authenticator.imitations(names).into_iter().for_each(|name| remove(&mut fields, name));
        self.perform(verdict, fields)
    }

    fn perform(&self, verdict: Verdict, mut fields: Fields) -> Fate {
        let (credentials, reported) = match verdict {
            Verdict::Forward(credentials) => (credentials, None),
            Verdict::Report(rejection, credentials) => (credentials, Some(rejection.reason)),
            Verdict::Answer(reply) => return Fate::Answered { reason: None, reply },
            Verdict::Reject(rejection) => {
                let reply = rejection.reply(&self.protection);
                return Fate::Answered { reason: Some(rejection.reason), reply };
            }
        };
        let mut state = Vec::new();
        match credentials {
            Credentials::Untouched => {}
            Credentials::Removed => remove(&mut fields, AUTHORIZATION),
            Credentials::Granted(passage) => {
                remove(&mut fields, AUTHORIZATION);
                passage.fields().for_each(|(name, value)| replace(&mut fields, name, value.as_bytes()));
                state = passage.filter_state().to_vec();
            }
        }
        Fate::Forwarded { fields, state, reported }
    }
}

impl Answer {
    /// An answer with a body of this type.
    pub fn of(media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let fields = vec![("content-type".to_owned(), media_type.as_bytes().to_vec())];
        Self::Response { status: 200, fields, body: body.into() }
    }

    /// The answer as the core takes it.
    fn with_outcome<T>(&self, take: impl FnOnce(Outcome<'_>) -> T) -> T {
        let Self::Response { status, fields, body } = self else {
            return take(if matches!(self, Self::Oversized) { Outcome::Oversized } else { Outcome::Lost });
        };
        let status = status.to_string();
        let pseudo = [(&b":status"[..], status.as_bytes())];
        let headers: Vec<_> = pseudo.into_iter().chain(borrowed(fields)).collect();
        take(Outcome::Response { headers: &headers, body })
    }
}

fn borrowed(fields: &Fields) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
    fields.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()))
}

fn remove(fields: &mut Fields, name: &str) {
    fields.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
}

fn replace(fields: &mut Fields, name: &str, value: &[u8]) {
    remove(fields, name);
    fields.push((name.to_owned(), value.to_vec()));
}

/// What would be the host's shared data, for the one worker that there is.
#[derive(Default)]
struct Memory(RefCell<HashMap<String, (Vec<u8>, u32)>>);

impl SharedData for Memory {
    fn get(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.0.borrow().get(key).cloned()
    }

    fn set(&self, key: &str, value: &[u8], cas: u32) -> bool {
        let mut data = self.0.borrow_mut();
        let current = data.get(key).map_or(0, |(_, cas)| *cas);
        let is_current = cas == 0 || cas == current;
        if is_current {
            data.insert(key.to_owned(), (value.to_vec(), current.wrapping_add(1)));
        }
        is_current
    }
}

/// The randomness of the machine.
pub struct Random;

impl Randomness for Random {
    fn bytes(&self) -> Option<[u8; 16]> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).ok().map(|()| bytes)
    }
}
