//! Why an active token is refused, and which changes to the configuration accept it. A change counts only if the filter's own
//! code then accepts the token.

use phantom_token_core::driver::{Fields, Response as Answer};
use phantom_token_core::{Reason, is_other_kind};
use serde_json::{Value, json};

use super::answer::{Content, TokenClaims, field, status};
use super::draft::{Change, Draft};
use super::report::Report;
use super::server::{Judgement, Server};

/// Returns the claims that a judgement rests on.
pub fn token_claims(
    server: &Server,
    draft: &Draft,
    judgement: &Judgement,
    token: &str,
) -> Option<TokenClaims> {
    match server.introspection(judgement) {
        Some(exchange) => {
            let jwt_field = draft.get("introspection.response.jwt_field").and_then(Value::as_str);
            Content::of(&exchange.answer).token_claims(jwt_field)
        }
        None => {
            let presented = TokenClaims::of_jwt(PRESENTED, token, serde_json::Map::new());
            Some(presented).filter(|token_claims| !token_claims.claims.is_empty())
        }
    }
}

/// Returns the part of the response for which a token is refused: its media type, a duplicate member, or a claim. Without that part, the
/// filter would decide otherwise.
pub fn cause(server: &mut Server, draft: &Draft, token: &str) -> Option<String> {
    let judgement = server.judge(draft, token)?;
    let reason = judgement.reason().filter(|reason| OF_CLAIMS.contains(reason))?;
    let answer = server.introspection(&judgement)?.answer.clone();
    if status(&answer) != Some(200) {
        return None;
    }
    let content = Content::of(&answer);
    // A claim that is left out must not cause a refusal itself.
    let draft = &takes_absent(draft);
    let is_other = |server: &mut Server, edited: &Answer| {
        let judgement = server.judge_edited(draft, token, &|_| edited.clone());
        judgement.is_some_and(|judgement| judgement.reason() != Some(reason))
    };
    let media_type = match &content {
        Content::Jwt(_) => "application/jwt",
        Content::Json(_) => "application/json",
        _ => return None,
    };
    if is_other(server, &of_type(&answer, media_type)) {
        return Some(format!("by its media type, where the content is {media_type}"));
    }
    let Content::Json(members) = content else { return None };
    if is_other(server, &of_body(&answer, &Value::Object(members.clone()))) {
        return Some("by a member that is there twice".to_owned());
    }
    let culprit = members.keys().filter(|name| *name != "active").find(|name| {
        let mut rest = members.clone();
        rest.remove(*name);
        is_other(server, &of_body(&answer, &Value::Object(rest)))
    });
    culprit.map(|name| format!("by its {name}"))
}

/// Returns the configuration that accepts responses without the claims that it compares.
fn takes_absent(draft: &Draft) -> Draft {
    let mut changes = vec![Change::without("token.require_exp", "")];
    if draft.get("token.issuer").is_some() {
        changes.push(Change::to("token.allow_missing_iss", true, ""));
    }
    if draft.get("token.audience").is_some() {
        changes.push(Change::to("token.allow_missing_aud", true, ""));
    }
    if draft.get("mint").is_some() {
        changes.push(Change::to("mint.client_as_subject", true, ""));
    }
    draft.with(&changes)
}

/// Returns the changes with which the token is accepted, as far as there are any.
pub fn remedies(server: &mut Server, draft: &Draft, token: &str, shows_values: bool) -> Vec<Change> {
    let mut found: Vec<Change> = Vec::new();
    while found.len() < MAX_REMEDIES {
        let draft = draft.with(&found);
        let Some(judgement) = server.judge(&draft, token) else { break };
        let Some(reason) = judgement.reason() else { break };
        let Some(token_claims) = token_claims(server, &draft, &judgement, token) else { break };
        let helps = |change: &Change| {
            let changed = server.judge(&draft.with(std::slice::from_ref(change)), token);
            changed.is_some_and(|changed| {
                changed.is_forwarded() || changed.reason().is_some_and(|new| new != reason)
            })
        };
        match candidates(reason, &draft, &token_claims, shows_values).into_iter().find(helps) {
            Some(change) => found.push(change),
            None => break,
        }
    }
    found.extend(scope_claim(&draft.with(&found), server, token));
    found
}

/// Returns changes that might help against a reason, the narrowest first.
fn candidates(reason: Reason, draft: &Draft, token_claims: &TokenClaims, shows_values: bool) -> Vec<Change> {
    let TokenClaims { whose, claims, .. } = token_claims;
    let lacks = |name: &str| claims.get(name).is_none_or(Value::is_null);
    let mut changes = Vec::new();
    match reason {
        // JWTs that clients present must have these claims: the settings that allow their absence are only for responses.
        Reason::WrongIssuer | Reason::WrongAudience if *whose == PRESENTED && lacks(compared(reason)) => {}
        Reason::NotAnAccessToken | Reason::MissingClaim if *whose == PRESENTED => {
            let why = "its server is older than RFC 9068: make sure that ID tokens do not pass";
            changes.push(Change::to("token.jwt_profile", "lax", why));
            changes.extend(claims.iter().filter_map(|(name, value)| kind(draft, name, value)));
        }
        Reason::WrongIssuer if lacks("iss") => {
            changes.push(Change::to("token.allow_missing_iss", true, format!("{whose} has no iss")));
        }
        Reason::WrongIssuer if shows_values => {
            let aliases =
                draft.get(ALIASES).and_then(Value::as_array).into_iter().flatten().chain(claims.get("iss"));
            let why = "only if that is another name of this server";
            changes.push(Change::to(ALIASES, aliases.cloned().collect::<Value>(), why));
        }
        Reason::WrongAudience if lacks("aud") => {
            let why = format!("{whose} has no aud, so the scope has to show what the token is for");
            changes.push(Change::to("token.allow_missing_aud", true, why));
        }
        Reason::Expired if is_zero(claims.get("exp")) => {
            let why = format!("{whose} says exp: 0 of a token without an end");
            changes.push(Change::to("token.allow_zero_exp", true, why));
        }
        Reason::MissingExpiration => {
            changes.push(Change::to("token.require_exp", false, format!("{whose} has no exp")));
        }
        Reason::NotAnAccessToken
            if draft.get(REQUIRE_TYPE) == Some(&Value::Bool(true)) && lacks("token_type") =>
        {
            let why = "access tokens have no token_type here: make sure that refresh tokens do not pass, --refresh-token";
            changes.push(Change::to(REQUIRE_TYPE, false, why));
        }
        Reason::NotAnAccessToken => {
            changes.extend(claims.iter().filter_map(|(name, value)| kind(draft, name, value)))
        }
        Reason::ProofRequired => {
            let why = "the answer calls a token that is bound to a key a bearer token";
            changes.push(Change::to("token.allow_bearer_type", true, why));
        }
        Reason::MissingSubject | Reason::UnexpectedResponse if draft.get("mint").is_some() => {
            let named = USER_CLAIMS.iter().filter(|name| claims.get(**name).is_some_and(Value::is_string));
            changes.extend(named.map(|name| {
                let why = format!(
                    "{whose} names the user in {name}: make sure that no other user gets that name later"
                );
                Change::to("mint.subject", format!("/{name}"), why)
            }));
        }
        _ => {}
    }
    if matches!(reason, Reason::UnexpectedResponse | Reason::MalformedJwt)
        && SCOPE_CLAIMS.iter().any(|name| is_list(claims.get(*name)))
    {
        changes.push(Change::to("token.allow_scope_list", true, format!("{whose} has the scope as a list")));
    }
    changes
}

/// Returns the claim whose comparison leads to this reason.
fn compared(reason: Reason) -> &'static str {
    if reason == Reason::WrongIssuer { "iss" } else { "aud" }
}

/// Returns the change that adds a member's word to the kinds of access tokens, if the member may distinguish kinds of tokens. Returns
/// `None` if the word means another kind: the token is then not suited for this.
pub fn kind(draft: &Draft, name: &str, value: &Value) -> Option<Change> {
    if !tells_kinds(name) || is_of_other_kind(value) {
        return None;
    }
    let word = value.as_str().filter(|word| {
        (1..=32).contains(&word.len())
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-+".contains(&byte))
    })?;
    let path = format!("token.kinds.{name}");
    let known = draft.get(&path).and_then(Value::as_array).into_iter().flatten().cloned();
    let words: Value = known.chain([json!(word)]).collect();
    Some(Change::to(path, words, format!("access tokens say so in {name}")))
}

fn tells_kinds(name: &str) -> bool {
    let plain = name.to_ascii_lowercase();
    plain.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && ["type", "typ", "use", "usage", "class", "kind", "purpose"].iter().any(|end| plain.ends_with(end))
}

fn is_of_other_kind(value: &Value) -> bool {
    value.as_str().is_some_and(is_other_kind)
}

/// Returns the changes for the claim that has the scope, if it is not the configured one.
fn scope_claim(draft: &Draft, server: &mut Server, token: &str) -> Vec<Change> {
    let Some(judgement) = server.judge(draft, token).filter(Judgement::is_forwarded) else {
        return Vec::new();
    };
    let Some(TokenClaims { whose, claims, .. }) = token_claims(server, draft, &judgement, token) else {
        return Vec::new();
    };
    let configured = draft.get("token.scope_claim").and_then(Value::as_str).unwrap_or("scope");
    let Some(name) = SCOPE_CLAIMS.iter().find(|name| claims.contains_key(**name)) else { return Vec::new() };
    if claims.contains_key(configured) {
        return Vec::new();
    }
    let mut changes = vec![Change::to("token.scope_claim", *name, format!("{whose} has the scope there"))];
    if is_list(claims.get(*name)) {
        changes.push(Change::to("token.allow_scope_list", true, format!("{whose} has the scope as a list")));
    }
    changes
}

fn is_zero(value: Option<&Value>) -> bool {
    value.and_then(Value::as_f64) == Some(0.0)
}

fn is_list(value: Option<&Value>) -> bool {
    value.is_some_and(Value::is_array)
}

/// Reports what an operator has to know about the claims of a token that is accepted, or almost accepted.
pub fn note_claims(draft: &Draft, token_claims: &TokenClaims, reason: Option<Reason>, report: &mut Report) {
    let TokenClaims { whose, claims, .. } = token_claims;
    let lacks = |name: &str| claims.get(name).is_none_or(Value::is_null);
    let is_told = |(name, value): &(&String, &Value)| tells_kinds(name) && is_of_other_kind(value);
    if let Some((name, _)) = claims.iter().find(is_told) {
        let text = format!("{whose} says in {name} that it is of another kind: give probe an access token");
        report.note("kind", text);
    } else if *whose == PRESENTED && matches!(reason, Some(Reason::NotAnAccessToken | Reason::MissingClaim)) {
        let text = "is no access token as far as it says: token.jwt_profile any takes every JWT of token.issuer for token.audience, ID tokens among them";
        report.note("kind", format!("{whose} {text}"));
    }
    if draft.get("mint").is_some() && token_claims.jwt.is_none() && USER_CLAIMS.iter().all(|name| lacks(name))
    {
        let text = match draft.get("mint.client_as_subject") {
            Some(Value::Bool(true)) => {
                "names no user, so a minted JWT names the client: right for a client's own token alone"
            }
            _ => {
                "names no user: let the server name that of a user's token. mint.client_as_subject is for servers that do, if this is a client's own token"
            }
        };
        report.note("sub", format!("{whose} {text}"));
    }
    if lacks("exp") {
        report.note("exp", format!("{whose} has none: only cache.max_ttl limits its lifetime, and mint.lifetime that of a minted JWT"));
    }
    if !SCOPE_CLAIMS.iter().any(|name| claims.contains_key(*name)) && claims.get("scope").is_none() {
        report.note("scope", format!("{whose} has none: a rule that asks for scopes refuses it"));
    }
}

/// Reports how long a response may be cached.
pub fn note_caching(draft: &Draft, answer: &Answer, report: &mut Report) {
    let control = field(answer, "cache-control").unwrap_or_default().to_ascii_lowercase();
    if ["no-store", "no-cache", "max-age=0"].iter().any(|word| control.contains(word)) {
        if draft.get("cache.no_store_ttl").is_none() {
            report.note("cache", "responses must not be cached: every request is introspected, unless cache.no_store_ttl sets a lifetime");
        }
    } else if control.is_empty() && field(answer, "expires").is_none() {
        report.note("cache", "responses have no lifetime: a revoked token passes for up to cache.max_ttl");
    }
}

/// Reports metadata of another issuer, or with keys of another origin, whose keys are therefore not fetched.
pub fn compare_metadata(draft: &Draft, url: &str, body: &[u8], report: &mut Report) {
    let Ok(Value::Object(metadata)) = serde_json::from_slice(body) else { return };
    let Some(keys) = metadata.get("jwks_uri").and_then(Value::as_str) else { return };
    if !is_issuer(draft, metadata.get("issuer").unwrap_or(&Value::Null)) {
        let text = "its issuer is not token.issuer, so its keys are not fetched: token.issuer_aliases is for another name of this server";
        report.judge(false, "keys", format!("{url}: {text}"));
    } else if origin(keys) != origin(url) {
        let text =
            "its jwks_uri is of another origin, so its keys are not fetched: keys.jwks_uri can name them";
        report.judge(false, "keys", format!("{url}: {text}"));
    }
}

fn is_issuer(draft: &Draft, iss: &Value) -> bool {
    let aliases = draft.get(ALIASES).and_then(Value::as_array);
    draft.get("token.issuer") == Some(iss) || aliases.is_some_and(|aliases| aliases.contains(iss))
}

/// Returns the scheme, host and port of a URL.
fn origin(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |scheme| scheme + 3);
    let end =
        url.get(authority..).and_then(|rest| rest.find(['/', '?'])).map_or(url.len(), |end| authority + end);
    url.get(..end).unwrap_or(url)
}

/// Reports whether the claims match the issuer and the audience in `token`.
pub fn compare(draft: &Draft, token_claims: &TokenClaims, report: &mut Report) {
    let TokenClaims { whose, claims, beside, .. } = token_claims;
    let is_presented = *whose == PRESENTED;
    if draft.get("token.issuer").is_some() {
        let allows_none = !is_presented && draft.get("token.allow_missing_iss") == Some(&Value::Bool(true));
        let is_right = |iss: &Value| is_issuer(draft, iss);
        let (is_fine, text) = match claims.get("iss") {
            None | Some(Value::Null) if allows_none => (true, "has none, which is allowed"),
            None | Some(Value::Null) if is_presented => {
                (false, "has none, which a JWT that a client presents needs")
            }
            None | Some(Value::Null) => (false, "has none: token.allow_missing_iss"),
            Some(iss) if !is_right(iss) => (
                false,
                "is not token.issuer: --show-values prints it, and token.issuer_aliases is for another name of this server",
            ),
            Some(_) if beside.get("iss").is_some_and(|iss| !is_right(iss)) => {
                (false, "is token.issuer, but the answer around the JWT has another")
            }
            Some(_) => (true, "is token.issuer"),
        };
        report.judge(is_fine, "iss", format!("{whose}: {text}"));
    }
    let audience = draft.get("token.audience").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if !audience.is_empty() {
        let allows_none = !is_presented && draft.get("token.allow_missing_aud") == Some(&Value::Bool(true));
        let names_one = |value: &Value| match value {
            Value::Array(values) => values.iter().any(|value| audience.contains(value)),
            value => audience.contains(value),
        };
        let (is_fine, text) = match (claims.get("aud"), beside.get("aud")) {
            (None | Some(Value::Null), _) if allows_none => (true, "has none, which is allowed"),
            (None | Some(Value::Null), _) if is_presented => (
                false,
                "has none, which a JWT that a client presents needs: token.clients, with jwt_profile lax, replaces token.audience",
            ),
            (None | Some(Value::Null), _) => (false, "has none: token.allow_missing_aud"),
            (Some(aud), beside) if names_one(aud) && beside.is_none_or(names_one) => {
                (true, "is in token.audience")
            }
            _ => (false, "is not in token.audience: --show-values prints it"),
        };
        report.judge(is_fine, "aud", format!("{whose}: {text}"));
    }
}

fn of_type(answer: &Answer, media_type: &str) -> Answer {
    let Answer::Complete { status, fields, body } = answer else { return answer.clone() };
    let others = fields.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("content-type")).cloned();
    let own = ("content-type".to_owned(), media_type.as_bytes().to_vec());
    let fields: Fields = others.chain([own]).collect();
    Answer::Complete { status: *status, fields, body: body.clone() }
}

fn of_body(answer: &Answer, body: &Value) -> Answer {
    let Answer::Complete { status, fields, .. } = answer else { return answer.clone() };
    Answer::Complete { status: *status, fields: fields.clone(), body: body.to_string().into_bytes() }
}

/// The reasons for refusals that a single part of the response can cause, before it is compared with the configuration.
const OF_CLAIMS: &[Reason] = &[
    Reason::UnexpectedResponse,
    Reason::NotAnAccessToken,
    Reason::ProofRequired,
    Reason::Expired,
    Reason::NotYetValid,
];

/// The claims in which servers name the user, the most reliable first: a name for people may later be given to another user.
const USER_CLAIMS: &[&str] =
    &["sub", "user_id", "uid", "username", "user_name", "preferred_username", "upn", "email"];

/// The source of the claims if no server is asked.
const PRESENTED: &str = "the token";

const ALIASES: &str = "token.issuer_aliases";
const REQUIRE_TYPE: &str = "token.require_token_type";

const SCOPE_CLAIMS: &[&str] = &["scope", "scp", "scopes"];

const MAX_REMEDIES: usize = 8;
