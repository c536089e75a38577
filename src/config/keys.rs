//! The section `keys`: what verifies the server's signatures.

use std::sync::Arc;
use std::time::Duration;

use super::fields::{Place, duration, non_empty_list, secret, target, visible};
use super::mistakes::Mistakes;
use super::raw::{self, Algorithms, Field, Names};
use super::{Environment, KeySettings};
use crate::jwt::{Algorithm, KeySet};
use crate::server::jwks::{Publication, PublishedKeys};

/// What else of the configuration decides where keys are.
pub(super) struct Surroundings<'a> {
    /// `token.issuer`.
    pub(super) issuer: Option<&'a str>,
    /// `introspection.upstream`.
    pub(super) upstream: Option<&'a str>,
}

pub(super) fn keys(
    place: Place<'_>,
    raw: raw::Keys,
    surroundings: &Surroundings<'_>,
    environment: Environment<'_>,
    mistakes: &mut Mistakes,
) -> Option<KeySettings> {
    let sources =
        [raw.uri.is_absent(), raw.discovery.is_absent(), raw.set.is_absent(), raw.secret.is_absent()];
    if sources.iter().filter(|is_absent| !**is_absent).count() != 1 {
        mistakes.note(place.0, "needs exactly one of uri, discovery, set and secret");
    }
    let algorithms = algorithms(place, raw.algorithms, mistakes);
    let max_age = duration(&place.at("max_age"), raw.max_age, mistakes);
    let max_stale = duration(&place.at("max_stale"), raw.max_stale, mistakes);
    let cooldown = duration(&place.at("cooldown"), raw.cooldown, mistakes).unwrap_or_default();
    let timeout = duration(&place.at("timeout"), raw.timeout, mistakes).unwrap_or_default();
    if max_stale.zip(max_age).is_some_and(|(max_stale, max_age)| max_stale < max_age) {
        mistakes.note(place.at("max_stale"), "must not be shorter than max_age");
    }
    let uri = mistakes.optional(&place.at("uri"), raw.uri);
    let discovery = mistakes.optional(&place.at("discovery"), raw.discovery);
    let set = mistakes.optional(&place.at("set"), raw.set);
    let secret_path = place.at("secret");
    let shared_secret = mistakes.optional(&secret_path, raw.secret);
    let shared_secret = shared_secret.and_then(|raw| secret(&secret_path, raw, environment, mistakes));
    let upstream = match raw.upstream {
        Field::Absent => surroundings.upstream.map(str::to_owned),
        written => visible(&place.at("upstream"), written, mistakes),
    };
    mistakes.refuse_unknown(place.0, &raw.unknown);

    if let Some(set) = set {
        let set = KeySet::parse(set.to_string().as_bytes(), &algorithms).ok().filter(|set| !set.is_empty());
        let message = "must be a JWK Set with a key of use: RSA from 2048 bits, P-256, P-384 or Ed25519";
        return mistakes
            .check(&place.at("set"), set.ok_or(message))
            .map(|set| KeySettings::Configured(Arc::new(set)));
    }
    if let Some(shared_secret) = shared_secret {
        let set = KeySet::of_secret(&shared_secret).ok_or("must have 32 bytes at least (RFC 7518 §3.2)");
        return mistakes.check(&secret_path, set).map(|set| KeySettings::Configured(Arc::new(set)));
    }
    if upstream.is_none() {
        mistakes.note(
            place.at("upstream"),
            "is required where introspection.upstream is not there to take its place",
        );
    }
    let mut document = |field: &str, url: Option<String>| {
        document(&place.at(field), url?, upstream.as_deref()?, timeout, mistakes)
    };
    let publication = match (document("uri", uri), document("discovery", discovery)) {
        (Some(keys), _) => Publication::At(keys),
        (None, Some(metadata)) => {
            let Some(issuer) = surroundings.issuer else {
                mistakes.note(place.at("discovery"), "needs token.issuer, whose metadata they have to be");
                return None;
            };
            Publication::Discovered { metadata, issuer: issuer.to_owned() }
        }
        (None, None) => return None,
    };
    let (max_age, max_stale) = (max_age?, max_stale?);
    Some(KeySettings::Published(PublishedKeys { publication, algorithms, max_age, max_stale, cooldown }))
}

fn document(
    path: &str,
    url: String,
    upstream: &str,
    timeout: Duration,
    mistakes: &mut Mistakes,
) -> Option<Arc<crate::http::callout::Target>> {
    mistakes.check(path, target(&url, upstream, timeout)).map(Arc::new)
}

/// All but HS256, unless they are named: a secret has its own place.
pub(super) fn algorithms(
    place: Place<'_>,
    field: Field<Algorithms>,
    mistakes: &mut Mistakes,
) -> Vec<Algorithm> {
    let path = place.at("algorithms");
    let field = field.map(|Algorithms(names)| Names(names));
    let Some(names) = non_empty_list(&path, field, mistakes) else { return Algorithm::ASYMMETRIC.to_vec() };
    let known = |name: &String| Algorithm::named(name).filter(|one| Algorithm::ASYMMETRIC.contains(one));
    let algorithms: Option<Vec<_>> = names.iter().map(known).collect();
    mistakes
        .check(&path, algorithms.ok_or("must be of RS256 to PS512, ES256, ES384, EdDSA and Ed25519"))
        .unwrap_or_default()
}
