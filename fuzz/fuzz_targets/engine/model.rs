//! What has to be true of every request, whatever happened. The model does not predict what the engine does: it judges the outcome by what
//! the client sent and what the server said.

use std::collections::BTreeSet;

use phantom_token_core::driver::Fields;
use phantom_token_core::{Call, Engine, Reason, Reply};
use phantom_token_fuzz::{assert_callout, assert_reply};

use crate::client::{Credentials, Place, SPOOFED, Sent, Spoofed, TOKENS, shows_token};
use crate::server::{Answer, MAX_TTL, Meaning, Response, Statement};

/// What the model knows.
pub struct Model {
    /// How long an answer may be used beyond its freshness while the server fails, in milliseconds.
    stale_if_error: u64,
    /// Whether the engine has to fetch the server's keys.
    publishes_keys: bool,
    statements: Vec<Statement>,
    /// For each worker, whether a call to the server has failed.
    had_outage: [bool; 2],
    /// For each worker, whether a call ended without the host providing the time.
    had_no_time: [bool; 2],
    /// For each worker and token, whether a request for a protected path has brought the token.
    knows: [[bool; TOKENS.len()]; 2],
    /// The pairs of worker and proof with which requests continued.
    used_proofs: BTreeSet<(usize, usize)>,
    clock_went_back: bool,
}

impl Model {
    pub fn new(stale_if_error: u64, publishes_keys: bool) -> Self {
        Self {
            stale_if_error,
            publishes_keys,
            statements: Vec::new(),
            had_outage: [false; 2],
            had_no_time: [false; 2],
            knows: Default::default(),
            used_proofs: BTreeSet::new(),
            clock_went_back: false,
        }
    }

    /// Records that a request was sent.
    pub fn note_sent(&mut self, sent: &Sent) {
        self.knows[sent.worker][sent.token] |= sent.place.is_protected() && sent.credentials.is_one_token();
    }

    /// Records that a call to the server was not sent.
    pub fn note_outage(&mut self, worker: usize) {
        self.had_outage[worker] = true;
    }

    /// Records that a call ended without the host providing the time.
    pub fn note_no_time(&mut self, worker: usize) {
        self.had_no_time[worker] = true;
    }

    /// Records that the clock went back.
    pub fn note_clock_went_back(&mut self) {
        self.clock_went_back = true;
    }

    /// Records the server's answer about a token and returns the response. `None` if there is none.
    pub fn note_answer(
        &mut self,
        worker: usize,
        token: usize,
        answer: Answer,
        step: usize,
        at: u64,
    ) -> Option<Response> {
        self.had_outage[worker] |= answer.is_outage();
        let number = self.statements.len();
        let meaning = answer.meaning(token, number, at);
        let response = answer.response(token, number, meaning.as_ref());
        self.statements.extend(meaning.map(|meaning| Statement { token, worker, step, at, meaning }));
        response
    }

    /// Asserts that a call goes only to the server, and is about a token that a request for a protected path brought.
    pub fn judge_call(&self, worker: usize, call: &Call, token: Option<usize>) {
        assert_callout(&call.request);
        for (name, value) in call.request.headers() {
            assert!(!shows_token(value.as_bytes()), "a token in {name} of a call");
        }
        match token {
            Some(token) => assert!(self.knows[worker][token], "nobody brought the token of this call"),
            None => assert!(call.request.body().is_empty(), "a call about no token that was brought"),
        }
    }

    /// Asserts that a request may wait, and that its fields no longer contain its token.
    pub fn judge_waiting(&self, sent: &Sent, fields: &Fields) {
        assert!(sent.place.is_protected() && sent.credentials.is_one_token(), "{sent:?} waits for nothing");
        assert_clean(sent, fields);
        assert!(field(fields, "authorization").is_none(), "{sent:?} waits with its credentials");
    }

    /// Asserts that a request may continue with these fields.
    pub fn judge_forwarded(&mut self, sent: &Sent, fields: &Fields, shadow_denied: Option<Reason>, now: u64) {
        assert_clean(sent, fields);
        let is_granted = field(fields, "x-answer").is_some() || field(fields, "x-user").is_some();
        match sent.place {
            Place::Unlisted => panic!("{sent:?} continues, which no rule exposes"),
            Place::Public => {
                assert!(!is_granted && shadow_denied.is_none(), "{sent:?} continues as a user's")
            }
            Place::Trial if !is_granted => {
                assert!(shadow_denied.is_some(), "{sent:?} continues without credentials, but why?");
                assert!(field(fields, "authorization").is_none(), "{sent:?} continues with credentials");
            }
            Place::Orders | Place::Admin | Place::Trial => {
                assert!(shadow_denied.is_none(), "{sent:?} is good, but would be refused: {shadow_denied:?}");
                self.judge_granted(sent, fields, now);
            }
        }
    }

    /// Asserts that a request may be refused like this.
    pub fn judge_reply(&self, sent: &Sent, reply: &Reply, edits_repeated_fields: bool, now: u64) {
        assert_reply(reply);
        let fields = reply.headers.iter().map(|(_, value)| value.as_str());
        for text in fields.chain([reply.body.as_str()]) {
            assert!(!shows_token(text.as_bytes()) && !text.contains("eyJ"), "a reply shows {text}");
        }
        let is_repeated = sent.credentials == Credentials::Twice || sent.spoofed == Spoofed::UserTwice;
        let is_justified = match (sent.place, reply.status) {
            (_, 400) if is_repeated && !edits_repeated_fields => true,
            (Place::Trial, 500) => self.had_no_time[sent.worker],
            (Place::Public | Place::Trial, _) => false,
            (Place::Unlisted, status) => status == 403,
            (_, 400) => matches!(sent.credentials, Credentials::Twice | Credentials::Both),
            (_, 401) => self.is_clients_fault(sent, now),
            (Place::Admin, 403) => !sent.token().scope.contains("admin"),
            (_, 500..) => sent.credentials.is_one_token(),
            _ => false,
        };
        assert!(is_justified, "{sent:?} is answered {} for no reason: {:?}", reply.status, reply.reason);
    }

    /// Asserts that a request that continues does so by what the server said about its own token.
    fn judge_granted(&mut self, sent: &Sent, fields: &Fields, now: u64) {
        assert!(sent.credentials.is_one_token(), "{sent:?} continues without a token");
        let number = field(fields, "x-answer").and_then(|number| number.parse::<usize>().ok());
        let statement = number.and_then(|number| self.statements.get(number)).expect("what the server said");
        assert_eq!(statement.token, sent.token, "{sent:?} continues by an answer about another token");
        let Meaning::Active { jwt, expires, is_stored } = &statement.meaning else {
            panic!("{sent:?} continues by an answer that is none");
        };
        assert_eq!(field(fields, "authorization"), Some(format!("Bearer {jwt}")), "{sent:?}: another JWT");
        assert_eq!(field(fields, "x-user").as_deref(), Some(sent.token().user), "{sent:?}: another user");
        assert!(now < *expires, "{sent:?} continues by a token that has expired");
        assert_eq!(sent.token().is_bound, sent.credentials.is_proven(), "{sent:?}: not the token's sender");
        assert!(sent.place != Place::Admin || sent.token().scope.contains("admin"), "{sent:?}: no scope");
        if sent.credentials.is_proven() {
            let is_new = self.used_proofs.insert((sent.worker, sent.proof.number));
            assert!(is_new || self.clock_went_back, "{sent:?} continues by a proof that was used");
        }
        if statement.step < sent.step {
            // A request that arrives while another with its token waits for keys to verify an answer gets the same answer.
            assert!(
                *is_stored || sent.has_company,
                "{sent:?} continues by an answer that must not be stored"
            );
            let fresh_until = statement.at + MAX_TTL;
            let is_stale = now >= fresh_until;
            assert!(!is_stale || self.had_outage[sent.worker], "{sent:?}: too old, but the server serves");
            assert!(!is_stale || now < fresh_until + self.stale_if_error, "{sent:?}: too old by far");
            // An inactive token leaves no trace in shared data: a response that waits for keys at another worker is unaffected by a later
            // one here.
            let waited_elsewhere = self.publishes_keys && statement.worker != sent.worker;
            let is_taken_back = !waited_elsewhere && self.is_taken_back(sent, statement);
            assert!(!is_taken_back, "{sent:?} continues, but the server took it back");
        }
    }

    /// Whether the worker has since learned that the token is not active.
    fn is_taken_back(&self, sent: &Sent, said: &Statement) -> bool {
        let heard = self.statements.iter().filter(|one| one.worker == sent.worker && one.token == sent.token);
        heard.filter(|one| one.step > said.step).any(|one| matches!(one.meaning, Meaning::Inactive))
    }

    /// Whether the request itself is at fault, so that its refusal does not report a failure of the server.
    fn is_clients_fault(&self, sent: &Sent, now: u64) -> bool {
        let is_over = |said: &Statement| match said.meaning {
            Meaning::Active { expires, .. } => expires <= now,
            Meaning::Inactive => said.worker == sent.worker,
            Meaning::Forged => false,
        };
        // The engine cannot know whether a proof was used before the worker started.
        let has_become_old = sent.credentials.is_proven() && (now != sent.at || self.clock_went_back);
        !sent.credentials.is_one_token()
            || sent.credentials == Credentials::ProvenAgain
            || has_become_old
            // Of two requests with one proof, only the one settled first continues.
            || self.used_proofs.contains(&(sent.worker, sent.proof.number))
            || sent.token().is_bound != sent.credentials.is_proven()
            || self.statements.iter().any(|said| said.token == sent.token && is_over(said))
    }
}

/// Asserts that the engine forbids in trailers exactly the fields that it removes from headers.
pub fn assert_trailers(engine: &Engine) {
    let forbidden = [
        "authorization",
        "Cookie",
        "x-token",
        "x-user",
        "X_ANSWER",
        "dpop",
        "sec-websocket-protocol",
        "x-original-url",
    ];
    let names = forbidden.iter().chain(&["grpc-status", "date"]).map(|name| name.as_bytes());
    let mut found = engine.forbidden_trailers(names);
    found.sort_unstable();
    let mut expected = forbidden;
    expected.sort_unstable();
    assert_eq!(found, expected);
}

/// Asserts that no field shows the client's token, its proof, or a value that it spoofed.
fn assert_clean(sent: &Sent, fields: &Fields) {
    for (name, value) in fields {
        let is_proof = name.eq_ignore_ascii_case("dpop");
        assert!(!shows_token(value) && !is_proof, "{sent:?}: the client's credentials are in {name}");
        assert!(value != SPOOFED.as_bytes(), "{sent:?}: the client's word in {name}");
    }
}

/// Returns the value of a field that occurs at most once.
fn field(fields: &Fields, name: &str) -> Option<String> {
    let mut values = fields.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    let value = values.next()?;
    assert!(values.next().is_none(), "services receive {name} twice");
    Some(String::from_utf8_lossy(value).into_owned())
}
