//! The server's response to each media type that can be requested, and which of them the filter can use: its own parser judges
//! the response about a valid token and the one about an unknown token.

use phantom_token_core::Reason;
use serde_json::{Value, json};

use super::answer::{self, Content};
use super::credentials::Tokens;
use super::draft::{Change, Draft};
use super::report::Report;
use super::server::{Judgement, Server};
use crate::simulated_server;

/// A media type to request, and where the response has the JWT.
struct Format {
    accept: &'static str,
    jwt_field: Option<String>,
    worth: Worth,
    /// The change with which the filter recognizes the response about an inactive token.
    inactive: Option<Change>,
    /// The responses, and what they are worth.
    summary: String,
}

/// How many of the responses the filter can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    Nothing,
    /// Responses about valid tokens.
    GoodTokens,
    /// All responses, as far as that can be seen before the keys match.
    Signature,
    All,
}

/// Tries all formats. Returns the changes with which the best one works.
pub fn try_formats(
    server: &mut Server,
    draft: &Draft,
    tokens: Tokens<'_>,
    report: &mut Report,
) -> Vec<Change> {
    let Some(token) = tokens.given else { return Vec::new() };
    let formats: Vec<Format> =
        FORMATS.iter().filter_map(|accept| try_format(server, draft, accept, token, tokens.random)).collect();
    for Format { summary, .. } in &formats {
        report.note("format", summary);
    }
    let best = formats.iter().rev().max_by_key(|format| (format.worth, format.is_configured(draft)));
    let Some(best) = best.filter(|best| best.worth > Worth::Nothing) else {
        report.judge(false, "fits", "none of these answers can be used");
        return Vec::new();
    };
    let configured = if best.is_configured(draft) { ", as configured" } else { "" };
    let but = match best.worth {
        Worth::Signature => ", but for its signature",
        Worth::GoodTokens => ", but for tokens that are not active",
        Worth::Nothing | Worth::All => "",
    };
    report.note("fits", format!("{}{configured}{but}", best.named(draft)));
    best.changes(draft)
}

/// Returns the draft with each media type requested in turn.
pub fn all(draft: &Draft) -> impl Iterator<Item = Draft> {
    FORMATS.iter().map(|accept| asking(draft, accept, None))
}

/// Tries a media type. The JWT may be in the configured member, in another JSON member, or nowhere: the search ends at the first place that
/// works fully, and otherwise returns the most useful one.
fn try_format(
    server: &mut Server,
    draft: &Draft,
    accept: &'static str,
    token: &str,
    random: &str,
) -> Option<Format> {
    let anywhere = server.judge(&asking(draft, accept, None), token)?;
    let content = server.introspection(&anywhere).map(|exchange| Content::of(&exchange.answer));
    let configured = draft.get(FIELD).and_then(Value::as_str).filter(|_| accept != SIGNED).map(str::to_owned);
    let members = content.iter().flat_map(|content| content.members_with_jwt(token)).map(str::to_owned);
    let mut found = None;
    for jwt_field in configured.into_iter().chain(members).map(Some).chain([None]) {
        let format = Format::judge(server, draft, accept, jwt_field, token, random)?;
        if found.as_ref().is_none_or(|found: &Format| found.worth <= format.worth) {
            found = Some(format);
        }
        if found.as_ref().is_some_and(|found| found.worth == Worth::All) {
            break;
        }
    }
    found
}

/// Returns the change with which the filter recognizes the response about an inactive token, if a valid token is still accepted.
fn inactive_answer(
    server: &mut Server,
    asking: &Draft,
    dead: &Judgement,
    token: &str,
    random: &str,
) -> Option<Change> {
    let answer = &server.introspection(dead)?.answer;
    let (status, content) = (answer::status(answer)?, Content::of(answer));
    let why = "this is how the server says that a token is inactive";
    let listed = |answer: Value| Change::to("introspection.response.inactive_answers", json!([answer]), why);
    let named = content.error().map(|error| listed(json!({"status": status, "error": error})));
    named.into_iter().chain([listed(json!({"status": status}))]).find(|change| {
        let changed = asking.with(std::slice::from_ref(change));
        let is_dead =
            server.judge(&changed, random).is_some_and(|dead| dead.reason() == Some(Reason::Inactive));
        is_dead && server.judge(&changed, token).is_some_and(|good| good.is_read())
    })
}

/// Returns the draft that requests a media type, and accepts whatever the response says about the token.
fn asking(draft: &Draft, accept: &str, jwt_field: Option<&str>) -> Draft {
    let mut changes = vec![Change::to("introspection.response.accept", accept, "")];
    changes.push(match jwt_field {
        Some(name) => Change::to(FIELD, name, ""),
        None => Change::without(FIELD, ""),
    });
    if accept != SIGNED {
        // Whether the keys match is a separate question.
        changes.extend([Change::without(REQUIRE_SIGNED, ""), Change::without("keys", "")]);
    }
    if needs_keys(draft, accept) {
        changes.push(Change::to("keys", json!({"jwks": {"keys": [simulated_server::jwk()]}}), ""));
        changes.push(Change::to("token.issuer", "https://login.example.com", ""));
    }
    draft.with(&changes).without_policy().forwarding_claims()
}

fn needs_keys(draft: &Draft, accept: &str) -> bool {
    accept == SIGNED && (draft.get("keys").is_none() || draft.get("token.issuer").is_none())
}

impl Format {
    fn judge(
        server: &mut Server,
        draft: &Draft,
        accept: &'static str,
        jwt_field: Option<String>,
        token: &str,
        random: &str,
    ) -> Option<Self> {
        let asking = asking(draft, accept, jwt_field.as_deref());
        let good = server.judge(&asking, token)?;
        let dead = server.judge(&asking, random)?;
        let is_dead_read = dead.reason() == Some(Reason::Inactive);
        let inactive = match good.is_read() && !is_dead_read {
            true => inactive_answer(server, &asking, &dead, token, random),
            false => None,
        };
        let keys_fail =
            matches!(good.reason(), Some(Reason::ResponseSignatureInvalid | Reason::JwksUnavailable));
        let (worth, verdict) = match (good.is_read(), is_dead_read) {
            _ if needs_keys(draft, accept) => {
                (Worth::Nothing, "needs keys and token.issuer to be judged".to_owned())
            }
            (true, true) => (Worth::All, "works".to_owned()),
            (true, false) if inactive.is_some() => (Worth::All, "works with inactive_answers".to_owned()),
            (true, false) => {
                (Worth::GoodTokens, format!("a token that is not active is a {}", dead.summary()))
            }
            (false, _) if keys_fail => (Worth::Signature, good.summary()),
            (false, _) => (Worth::Nothing, good.summary()),
        };
        let field = jwt_field.as_ref().map(|name| format!(", jwt_field {name}")).unwrap_or_default();
        let dead =
            if is_dead_read { String::new() } else { format!("; not active: {}", server.summary(&dead)) };
        let summary = format!("{accept}{field}: {}{dead}: {verdict}", server.summary(&good));
        Some(Self { accept, jwt_field, worth, inactive, summary })
    }

    fn is_configured(&self, draft: &Draft) -> bool {
        let is = |path: &str, value: Option<&str>| draft.get(path).and_then(Value::as_str) == value;
        is("introspection.response.accept", Some(self.accept)) && is(FIELD, self.jwt_field.as_deref())
    }

    fn has_jwt(&self) -> bool {
        self.accept == JWT || self.jwt_field.is_some()
    }

    fn named(&self, draft: &Draft) -> String {
        let field = self.jwt_field.as_ref().map(|name| format!(" with jwt_field {name}")).unwrap_or_default();
        let mint = if self.has_jwt() || draft.forwards_claims() { "" } else { ", and mint" };
        format!("response.accept {}{field}{mint}", self.accept)
    }

    fn changes(&self, draft: &Draft) -> Vec<Change> {
        let mut changes = Vec::new();
        if draft.get("introspection.response.accept").and_then(Value::as_str) != Some(self.accept) {
            changes.push(Change::to(
                "introspection.response.accept",
                self.accept,
                "the filter can use the server's response to it",
            ));
        }
        match &self.jwt_field {
            Some(name) if draft.get(FIELD).and_then(Value::as_str) != Some(name) => {
                changes.push(Change::to(FIELD, name.as_str(), "the response has the JWT there"));
            }
            None if draft.get(FIELD).is_some() => {
                changes.push(Change::without(
                    FIELD,
                    "the response has no JWT there; a profile that sets it does not fit",
                ));
            }
            _ => {}
        }
        if self.accept != SIGNED && draft.get(REQUIRE_SIGNED).is_some() {
            changes.push(Change::without(REQUIRE_SIGNED, "the answers are not signed"));
        }
        changes.extend(self.inactive.clone());
        if !self.has_jwt() && !draft.forwards_claims() {
            let mint = json!({
                "issuer": "https://gateway.example.com", "audience": "services",
                "keys": [{"private_key": {"env": "MINT_KEY"}}],
            });
            changes.push(Change::to(
                "mint",
                mint,
                "the response has no JWT, so the gateway signs one (or claim_to_headers)",
            ));
        }
        changes
    }
}

const JWT: &str = "application/jwt";
const SIGNED: &str = "application/token-introspection+jwt";
const JSON: &str = "application/json";
const FIELD: &str = "introspection.response.jwt_field";
const REQUIRE_SIGNED: &str = "introspection.response.require_signed";

/// The media types, in order of preference.
const FORMATS: &[&str] = &[JWT, SIGNED, JSON];
