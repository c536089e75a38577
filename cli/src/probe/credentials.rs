//! What the server's responses prove about the gateway's credentials, and which method would work.
//!
//! Only an active token proves that they are accepted: some servers respond to wrong ones as if no token were active.

use phantom_token_core::Reason;
use phantom_token_core::driver::Outcome;
use serde_json::Value;

use super::answer::Content;
use super::draft::{Change, Draft};
use super::formats;
use super::report::Report;
use super::server::{Judgement, Server};

/// The tokens to try.
#[derive(Clone, Copy)]
pub struct Tokens<'t> {
    /// A random token, which the server cannot know.
    pub random: &'t str,
    /// A token that a client got.
    pub given: Option<&'t str>,
}

/// What is known about the gateway's credentials.
#[derive(Default)]
pub struct Credentials {
    /// Whether the credentials are known to be accepted, or none are needed.
    pub is_proven: bool,
    /// The change with which the server accepts the credentials.
    pub change: Option<Change>,
}

/// Tries the credentials. Returns `None` if the server cannot be asked.
pub fn try_credentials(
    server: &mut Server,
    draft: &Draft,
    tokens: Tokens<'_>,
    report: &mut Report,
) -> Option<Credentials> {
    let Some(random) = server.judge(draft, tokens.random) else { return Some(Credentials::default()) };
    let summary = server.summary(&random);
    if matches!(random.outcome, Outcome::Waiting) {
        report.judge(false, WHAT, "the gateway cannot authenticate as it should");
        return None;
    }
    if server.introspection(&random).is_some_and(|exchange| exchange.failure.is_some()) {
        report.judge(false, WHAT, format!("the server is unavailable: {summary}"));
        return None;
    }
    if draft.get("userinfo").is_some() {
        report.note(WHAT, "none of the gateway's own are needed: the token itself is presented");
        return Some(Credentials { is_proven: true, change: None });
    }
    if random.is_forwarded() {
        report.judge(false, WHAT, "the server calls a random token active: do not use it");
        return Some(Credentials::default());
    }
    if tokens.given.is_some_and(|token| is_active_somehow(server, draft, token)) {
        let sent = if is(draft, "none") { "none are needed" } else { "accepted" };
        report.judge(true, WHAT, format!("{sent}: the token given is active"));
        return Some(Credentials { is_proven: true, change: None });
    }
    let better = better_method(server, draft, tokens, &random);
    if let Some(change) = &better {
        let value = change.value.as_ref().and_then(Value::as_str).unwrap_or_default();
        let text = format!("refused ({summary}): {} {value} works", change.path);
        report.judge(false, WHAT, text);
    } else if random.reason() == Some(Reason::GatewayCredentialsRefused) {
        report.judge(false, WHAT, format!("refused ({summary}): look at {}", fields(draft)));
    } else if random.reason() != Some(Reason::Inactive) {
        let text = format!("unknown: the response to a random token is {summary}");
        report.judge(false, WHAT, text);
    } else if tokens.given.is_some_and(|token| reason(server, draft, token) == Some(Reason::Inactive)) {
        let text = format!(
            "not refused ({summary}), but nothing proves that they are accepted: the token given is not active either. Servers such as \
             authentik and django-oidc-provider answer wrong credentials so, and others where the gateway may not introspect this \
             client's tokens: look at {}, and at the gateway's rights there",
            fields(draft)
        );
        report.note(WHAT, text);
    } else {
        let text = format!(
            "not refused: a random token is not active ({summary}). Only a token that is active proves that they are accepted{}",
            if tokens.given.is_none() { ": --token" } else { "" }
        );
        report.judge(true, WHAT, text);
    }
    Some(Credentials { is_proven: false, change: better })
}

/// Reports how an inactive token is refused, if not as inactive.
pub fn try_dead_token(server: &mut Server, draft: &Draft, random: &str, report: &mut Report) {
    let Some(judgement) = server.judge(draft, random) else { return };
    if judgement.is_forwarded() || judgement.reason() == Some(Reason::Inactive) {
        return;
    }
    let summary = server.summary(&judgement);
    let text =
        format!("is answered {summary}: clients hear {}, not that it is not active", judgement.summary());
    report.judge(false, "dead token", text);
}

/// Returns another authentication method, or another audience of assertions, with which the server accepts the credentials.
fn better_method(
    server: &mut Server,
    draft: &Draft,
    tokens: Tokens<'_>,
    random: &Judgement,
) -> Option<Change> {
    let is_silent = random.reason() == Some(Reason::Inactive);
    if is_silent && tokens.given.is_none() {
        return None;
    }
    alternatives(draft).into_iter().find(|change| {
        let changed = draft.with(std::slice::from_ref(change));
        if tokens.given.is_some_and(|token| is_active(server, &changed, token)) {
            return true;
        }
        let judgement = server.judge(&changed, tokens.random);
        !is_silent && judgement.is_some_and(|judgement| judgement.reason() == Some(Reason::Inactive))
    })
}

fn alternatives(draft: &Draft) -> Vec<Change> {
    let method = method(draft);
    if method == "private_key_jwt" {
        let endpoint = draft.get("introspection.endpoint").cloned().unwrap_or_default();
        return vec![Change::to(
            "introspection.audience",
            endpoint,
            "the audience of assertions that it takes",
        )];
    }
    if !SECRET_METHODS.contains(&method) {
        return Vec::new();
    }
    let is_same_either_way = ["introspection.client_id", "introspection.client_secret"]
        .iter()
        .all(|path| draft.text(path).is_none_or(|text| text.bytes().all(is_plain)));
    let others = SECRET_METHODS.iter().filter(|other| **other != method);
    others
        .filter(|other| !is_same_either_way || method == POST || **other == POST)
        .map(|other| Change::to("introspection.auth_method", *other, why(other)))
        .collect()
}

fn why(method: &str) -> &'static str {
    match method {
        "client_secret_basic_raw" => "the server does not decode Basic credentials",
        POST => "the server takes the secret in the form alone",
        _ => "the server decodes the credentials of Basic",
    }
}

/// Whether the response for any media type calls the token active. Other media types are not tried if the server calls the token inactive,
/// or refuses the gateway.
fn is_active_somehow(server: &mut Server, draft: &Draft, token: &str) -> bool {
    if is_active(server, draft, token) {
        return true;
    }
    let is_plain =
        matches!(reason(server, draft, token), Some(Reason::Inactive | Reason::GatewayCredentialsRefused));
    !is_plain && formats::all(draft).any(|draft| is_active(server, &draft, token))
}

fn reason(server: &mut Server, draft: &Draft, token: &str) -> Option<Reason> {
    server.judge(draft, token)?.reason()
}

fn is_active(server: &mut Server, draft: &Draft, token: &str) -> bool {
    let Some(judgement) = server.judge(draft, token) else { return false };
    let exchange = server.introspection(&judgement);
    exchange.is_some_and(|exchange| Content::of(&exchange.answer).is_active())
}

/// Names the fields that authenticate the gateway, by its method.
fn fields(draft: &Draft) -> &'static str {
    match method(draft) {
        "bearer_token" => "bearer_token, which may have ended",
        "private_key_jwt" => "client_id, private_key, key_id and audience",
        "none" => "auth_method: the server wants credentials",
        _ => "auth_method, client_id and client_secret",
    }
}

fn method(draft: &Draft) -> &str {
    draft.get("introspection.auth_method").and_then(Value::as_str).unwrap_or("client_secret_basic")
}

fn is(draft: &Draft, name: &str) -> bool {
    method(draft) == name
}

/// Whether form encoding leaves the byte unchanged.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._*".contains(&byte)
}

const WHAT: &str = "credentials";
const POST: &str = "client_secret_post";
const SECRET_METHODS: &[&str] = &["client_secret_basic", "client_secret_basic_raw", POST];
