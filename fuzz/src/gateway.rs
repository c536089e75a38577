//! A gateway as a proxy drives it, and what has to hold whatever it is fed.

use phantom_token_core::{
    Authenticator, Callout, Credentials, Host, NoMetrics, Occasion, Outcome, Presented, ProtectionSpace,
    Randomness, RequestHead, Settings, SharedData, Step, Timestamp, Verdict,
};
use serde_json::Value;

/// The "now" of most requests, in seconds: 2026-01-01T00:00:00Z.
pub const NOW: u64 = 1_767_225_600;

/// One worker of a proxy.
pub struct Gateway {
    authenticator: Authenticator,
    protection: ProtectionSpace,
}

/// What becomes of a callout.
pub enum Answer {
    /// A response: header fields, `:status` included, and the body.
    Response(Vec<(Vec<u8>, Vec<u8>)>, Vec<u8>),
    /// A response that is too long to be read.
    Oversized,
    /// None.
    Lost,
}

/// What became of a request.
pub struct Ending {
    /// The verdict.
    pub verdict: Verdict,
    /// The status that the client sees; none, if the request goes on.
    pub status: Option<u16>,
    /// How many questions were asked for it.
    pub questions: usize,
}

impl Gateway {
    /// A worker with this configuration; none if that has mistakes.
    pub fn new(configuration: &Value) -> Option<Self> {
        let settings = Settings::parse(configuration.to_string().as_bytes(), &|_| None).ok()?;
        Some(Self::of(settings))
    }

    /// A worker with these settings.
    pub fn of(settings: Settings) -> Self {
        Self { protection: settings.protection.clone(), authenticator: Authenticator::new(settings) }
    }

    /// What becomes of a request, `seconds` after [`NOW`]. Nothing that is sent anywhere has a character in it that would end a
    /// header field; a 401 has a challenge and a failure of the server has none; and questions come to an end.
    pub fn request(
        &mut self,
        head: &RequestHead<'_>,
        seconds: u64,
        shared_data: &dyn SharedData,
        answer: &mut dyn FnMut(&Callout) -> Answer,
    ) -> Ending {
        let now = Timestamp::from_millis((NOW + seconds) * 1000);
        let host = Host { now, shared_data, metrics: &NoMetrics, randomness: &Fixed };
        let mut step = self.authenticator.authenticate(head, host);
        for questions in 0..=MAX_QUESTIONS {
            let (question, pending) = match step {
                Step::Ask(question, pending) => (question, pending),
                Step::Settled(verdict) | Step::Renew(verdict, _) => {
                    let status = self.examine(&verdict);
                    return Ending { verdict, status, questions };
                }
            };
            let occasion = Occasion { now, randomness: &Fixed };
            let answer = match question.callout(occasion) {
                Ok(callout) => {
                    assert_callout(&callout);
                    answer(&callout)
                }
                Err(_) => Answer::Lost,
            };
            let conclusion = match &answer {
                Answer::Response(_, body) if body.len() > question.answer_limit() => {
                    self.authenticator.conclude(question.subject(), Outcome::Oversized, host)
                }
                Answer::Response(fields, body) => {
                    let headers: Vec<_> =
                        fields.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect();
                    let outcome = Outcome::Response { headers: &headers, body };
                    self.authenticator.conclude(question.subject(), outcome, host)
                }
                Answer::Oversized => {
                    self.authenticator.conclude(question.subject(), Outcome::Oversized, host)
                }
                Answer::Lost => self.authenticator.conclude(question.subject(), Outcome::Lost, host),
            };
            step = self.authenticator.settle(pending, &conclusion, host);
        }
        panic!("one request led to more than {MAX_QUESTIONS} questions");
    }

    /// The names among these that the gateway sets itself.
    pub fn imitations<'n>(&self, names: impl Iterator<Item = &'n [u8]>) -> Vec<&'n str> {
        self.authenticator.imitations(names)
    }

    fn examine(&self, verdict: &Verdict) -> Option<u16> {
        let reply = match verdict {
            Verdict::Reject(rejection) => rejection.reply(&self.protection),
            Verdict::Answer(reply) => reply.clone(),
            Verdict::Forward(Credentials::Granted(grant))
            | Verdict::Report(_, Credentials::Granted(grant)) => {
                for (name, value) in grant.fields() {
                    assert!(is_field_name(name), "forwarded field {name:?}");
                    assert!(is_field_value(value), "forwarded field {name}: {value:?}");
                }
                return None;
            }
            Verdict::Forward(_) | Verdict::Report(..) => return None,
        };
        let challenges: Vec<_> =
            reply.headers.iter().filter(|(name, _)| *name == "www-authenticate").collect();
        match reply.status {
            401 => assert!(!challenges.is_empty(), "a 401 has a challenge: {reply:?}"),
            500.. => assert!(challenges.is_empty(), "a 5xx has none: {reply:?}"),
            _ => {}
        }
        for (name, value) in &reply.headers {
            assert!(is_field_name(name) && is_field_value(value), "{name}: {value:?}");
        }
        assert!(!reply.body.bytes().any(|byte| byte < b' '), "a control character in {:?}", reply.body);
        assert!(
            serde_json::from_str::<Value>(&reply.body).is_ok_and(|body| body.is_object()),
            "{}",
            reply.body
        );
        Some(reply.status)
    }
}

impl Ending {
    /// Why the request was refused, by the reason's short name.
    pub fn refusal(&self) -> Option<&'static str> {
        match &self.verdict {
            Verdict::Reject(rejection) | Verdict::Report(rejection, _) => Some(rejection.reason.name()),
            Verdict::Forward(_) | Verdict::Answer(_) => None,
        }
    }

    /// The fields for the services, if the request goes on with a grant.
    pub fn granted(&self) -> Option<Vec<(String, String)>> {
        match &self.verdict {
            Verdict::Forward(Credentials::Granted(grant)) => {
                Some(grant.fields().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
            }
            _ => None,
        }
    }
}

/// A request with this `Authorization`.
pub fn authorization<'a>(path: &'a [u8], value: &'a [u8]) -> RequestHead<'a> {
    let authorization = Presented::Once(value);
    RequestHead { method: b"GET", authority: b"api", path, authorization, ..RequestHead::default() }
}

/// Header fields of a response.
pub fn fields(fields: &[(&str, &str)]) -> Vec<(Vec<u8>, Vec<u8>)> {
    fields.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

/// A good answer of JSON.
pub fn json_answer(body: &[u8]) -> Answer {
    Answer::Response(fields(&[(":status", "200"), ("content-type", "application/json")]), body.to_vec())
}

/// Whether a value can stand in a header field and mean nothing else: visible ASCII and space.
pub fn is_field_value(value: &str) -> bool {
    value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

fn is_field_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase() && byte != b':')
}

fn assert_callout(callout: &Callout) {
    for (name, value) in callout.headers() {
        assert!(is_field_name(name.trim_start_matches(':')), "callout field {name:?}");
        assert!(is_field_value(value), "callout field {name}: {value:?}");
    }
}

/// The same bytes each time, so that a run can be repeated.
struct Fixed;

impl Randomness for Fixed {
    fn bytes(&self) -> Option<[u8; 16]> {
        Some([7; 16])
    }
}

/// Introspection, metadata, keys; and one more, should what was there be too old.
const MAX_QUESTIONS: usize = 4;
