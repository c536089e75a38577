//! The section `mint`, and what rules say of it.

use std::sync::Arc;

use serde_json::json;

use super::Environment;
use super::fields::{Place, duration, is_pointer, required_secret, visible};
use super::metadata::identifier;
use super::mistakes::Mistakes;
use super::raw::{self, Field};
use crate::documents::document::Document;
use crate::http::path;
use crate::jwt::SigningKey;
use crate::token::named_claim::NamedClaim;
use crate::upstream::mint::{MintProfile, MintSettings, OWN_CLAIMS};

pub(super) fn mint(
    raw: raw::Mint,
    environment: Environment<'_>,
    mistakes: &mut Mistakes,
) -> Option<MintSettings> {
    let place = Place("mint");
    let issuer = mistakes.optional(&place.at("issuer"), raw.issuer);
    let issuer = issuer.and_then(|issuer| {
        let (origin, _) = mistakes.check(&place.at("issuer"), identifier(&issuer))?;
        Some((issuer, origin))
    });
    let keys = keys(place, raw.keys, environment, mistakes);
    let lifetime = duration(&place.at("lifetime"), raw.lifetime, mistakes);
    let subject = subject(&place.at("subject"), raw.subject, mistakes);
    let audience = visible(&place.at("audience"), raw.audience, mistakes);
    let claims = claims(&place.at("claims"), raw.claims, mistakes);
    let path = mistakes.optional(&place.at("jwks_path"), raw.jwks_path);
    let is_plain = |path: &String| path::normalize(path.as_bytes()).is_ok_and(|normal| normal == *path);
    if path.as_ref().is_some_and(|path| !is_plain(path) || path.ends_with('/')) {
        mistakes.note(place.at("jwks_path"), "must be a plain path: no query, no dot segments, no escapes");
    }
    mistakes.refuse_unknown(place.0, &raw.unknown);
    let set = json!({"keys": keys.iter().map(SigningKey::public).collect::<Vec<_>>()});
    let (issuer, origin) = issuer?;
    Some(MintSettings {
        issuer,
        key: keys.into_iter().next()?,
        lifetime: lifetime?,
        subject: subject?,
        profile: Arc::new(MintProfile { audience: audience?, claims }),
        key_set: Document::new(&origin, path?, set.to_string()),
    })
}

/// The claim that names the user.
pub(super) fn subject(path: &str, field: Field<String>, mistakes: &mut Mistakes) -> Option<String> {
    let pointer = mistakes.optional(path, field)?;
    let valid = is_pointer(&pointer).then_some(pointer);
    mistakes.check(path, valid.ok_or("must be a JSON Pointer (RFC 6901), like /username"))
}

/// What a rule wants minted for it; what it leaves out is as everywhere.
pub(super) fn profile(
    at: &str,
    raw: raw::RuleMint,
    default: Option<&MintProfile>,
    mistakes: &mut Mistakes,
) -> Option<Arc<MintProfile>> {
    let place = Place(at);
    let Some(default) = default else {
        mistakes.note(at, "needs the section mint");
        return None;
    };
    let audience = match raw.audience {
        Field::Absent => default.audience.clone(),
        written => visible(&place.at("audience"), written, mistakes)?,
    };
    let claims = match raw.claims {
        Field::Absent => default.claims.clone(),
        written => claims(&place.at("claims"), written, mistakes),
    };
    mistakes.refuse_unknown(at, &raw.unknown);
    Some(Arc::new(MintProfile { audience, claims }))
}

/// The first signs; the others are published with it, before they sign and after they did.
fn keys(
    place: Place<'_>,
    field: Field<Vec<Field<raw::MintKey>>>,
    environment: Environment<'_>,
    mistakes: &mut Mistakes,
) -> Vec<SigningKey> {
    let mut keys = Vec::new();
    let raw = mistakes.optional(&place.at("keys"), field);
    if raw.as_ref().is_some_and(Vec::is_empty) {
        mistakes.note(place.at("keys"), "must not be empty");
    }
    for (index, field) in raw.into_iter().flatten().enumerate() {
        let at = place.at(&format!("keys[{index}]"));
        let Some(raw) = mistakes.required(&at, field) else { continue };
        let key_id = mistakes.optional(&format!("{at}.key_id"), raw.key_id);
        let path = format!("{at}.private_key");
        let text = required_secret(&path, raw.private_key, environment, mistakes);
        keys.extend(
            text.and_then(|text| mistakes.check(&path, SigningKey::read(&text, key_id)))
                .map(SigningKey::named),
        );
        mistakes.refuse_unknown(&at, &raw.unknown);
    }
    keys
}

fn claims(path: &str, field: Field<Vec<Field<raw::MintClaim>>>, mistakes: &mut Mistakes) -> Vec<NamedClaim> {
    let mut claims: Vec<NamedClaim> = Vec::new();
    for (index, field) in mistakes.optional(path, field).into_iter().flatten().enumerate() {
        let at = format!("{path}[{index}]");
        let Some(raw) = mistakes.required(&at, field) else { continue };
        let name = visible(&format!("{at}.name"), raw.name, mistakes);
        if name.as_deref().is_some_and(|name| OWN_CLAIMS.contains(&name)) {
            mistakes.note(format!("{at}.name"), "is the gateway's own to say");
        }
        if claims.iter().any(|claim| Some(&claim.name) == name.as_ref()) {
            mistakes.note(format!("{at}.name"), "is there already");
        }
        let pointer = mistakes.optional(&format!("{at}.pointer"), raw.pointer);
        if pointer.as_deref().is_some_and(|pointer| !is_pointer(pointer)) {
            mistakes.note(format!("{at}.pointer"), "must be a JSON Pointer (RFC 6901), like /department");
        }
        mistakes.refuse_unknown(&at, &raw.unknown);
        claims.extend(name.zip(pointer).map(|(name, pointer)| NamedClaim {
            name,
            pointer,
            is_base64url: false,
        }));
    }
    claims
}
