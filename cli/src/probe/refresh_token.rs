//! Whether a refresh token would pass as an access token, and what stops it. On many servers it is active as well (RFC 7662
//! does not distinguish kinds).

use phantom_token_core::Reason;

use super::draft::{Change, Draft};
use super::quirks;
use super::report::Report;
use super::server::Server;

/// Tries a refresh token. Returns the changes with which it is refused, while the access token is still accepted.
pub fn try_refresh_token(
    server: &mut Server,
    draft: &Draft,
    refresh_token: &str,
    access_token: Option<&str>,
    report: &mut Report,
) -> Vec<Change> {
    // The subject of a minted JWT does not matter here.
    let draft = &match draft.get("mint") {
        Some(_) => draft.with(&[Change::to("mint.client_as_subject", true, "")]),
        None => draft.clone(),
    };
    let Some(judgement) = server.judge(draft, refresh_token) else { return Vec::new() };
    let summary = server.summary(&judgement);
    let Some(reason) = judgement.reason() else {
        return stop(server, draft, refresh_token, access_token, &summary, report);
    };
    let passes_with = |server: &mut Server, change: Change| {
        let judgement = server.judge(&draft.with(&[change]), refresh_token);
        judgement.is_some_and(|judgement| judgement.is_forwarded())
    };
    let by = match reason {
        Reason::Inactive if passes_with(server, hint(false)) => {
            "by introspection.token_type_hint: without the hint it would pass".to_owned()
        }
        Reason::Inactive if !passes(server, draft, access_token) => {
            let text = "is not active here, which proves nothing where no access token is";
            report.note(WHAT, format!("{text} ({summary})"));
            return Vec::new();
        }
        // This server's tokens may all be refused for this reason.
        Reason::WrongIssuer | Reason::WrongAudience | Reason::MissingExpiration
            if !passes(server, draft, access_token) =>
        {
            let text = format!(
                "is a {} here, which proves nothing where no access token passes",
                judgement.summary()
            );
            report.note(WHAT, format!("{text} ({summary})"));
            return Vec::new();
        }
        Reason::Inactive => "the server does not call it active".to_owned(),
        Reason::NotAnAccessToken if passes_with(server, require_token_type(false)) => {
            "by token.require_token_type: without it, it would pass".to_owned()
        }
        Reason::WrongIssuer => "by token.issuer".to_owned(),
        Reason::WrongAudience => "by token.audience".to_owned(),
        Reason::MissingExpiration => "by token.require_exp".to_owned(),
        _ if judgement.is_read() => {
            let cause = quirks::cause(server, draft, refresh_token);
            cause.unwrap_or_else(|| "by what the server says of it".to_owned())
        }
        _ => {
            report
                .note(WHAT, format!("not known whether it would pass: {} ({summary})", judgement.summary()));
            return Vec::new();
        }
    };
    report.judge(true, WHAT, format!("refused: {}, {by} ({summary})", judgement.summary()));
    Vec::new()
}

/// Whether an access token passes; `false` if none is given.
fn passes(server: &mut Server, draft: &Draft, access_token: Option<&str>) -> bool {
    let judgement = access_token.and_then(|token| server.judge(draft, token));
    judgement.is_some_and(|judgement| judgement.is_forwarded())
}

/// Looks for a setting that distinguishes the refresh token from an access token.
fn stop(
    server: &mut Server,
    draft: &Draft,
    refresh_token: &str,
    access_token: Option<&str>,
    summary: &str,
    report: &mut Report,
) -> Vec<Change> {
    let mut candidates = vec![hint(true), require_token_type(true)];
    candidates.extend(access_token.into_iter().flat_map(|token| kinds(server, draft, token)));
    candidates.push(require_exp());
    let stops = |change: &Change| {
        let changed = draft.with(std::slice::from_ref(change));
        let is_refused =
            server.judge(&changed, refresh_token).is_some_and(|judgement| judgement.reason().is_some());
        let passes = |token| server.judge(&changed, token).is_some_and(|judgement| judgement.is_forwarded());
        is_refused && access_token.is_none_or(passes)
    };
    let found = candidates.into_iter().find(stops);
    let remedy = match &found {
        Some(change) => format!("{} stops it", change.path),
        None => "no setting distinguishes it from an access token: check what the server can do, or have it issue none to clients of this gateway".to_owned(),
    };
    report.judge(false, WHAT, format!("would pass as an access token: {remedy} ({summary})"));
    found.into_iter().collect()
}

/// Returns changes that admit only the kind that the response about an access token names.
fn kinds(server: &mut Server, draft: &Draft, access_token: &str) -> Vec<Change> {
    let judgement = server.judge(draft, access_token);
    let token_claims =
        judgement.and_then(|judgement| quirks::token_claims(server, draft, &judgement, access_token));
    let claims = token_claims.map(|token_claims| token_claims.claims).unwrap_or_default();
    claims.iter().filter_map(|(name, value)| quirks::kind(draft, name, value)).collect()
}

fn hint(is_sent: bool) -> Change {
    Change::to("introspection.token_type_hint", is_sent, "without it, refresh tokens are active")
}

fn require_token_type(is_required: bool) -> Change {
    Change::to("token.require_token_type", is_required, "refresh tokens are active, without token_type")
}

fn require_exp() -> Change {
    Change::to("token.require_exp", true, "refresh tokens are active, without exp")
}

const WHAT: &str = "refresh";
