//! The section `dpop`: what proofs of possession have to be like (RFC 9449).

use super::Environment;
use super::fields::{Place, duration, long_secret, non_empty_list, number};
use super::keys::algorithms;
use super::metadata::identifier;
use super::mistakes::Mistakes;
use super::raw::{self, Field};
use crate::credentials::dpop::{DpopSettings, NonceKey};
use crate::jwt::Algorithm;

pub(super) fn dpop(
    raw: raw::Dpop,
    environment: Environment<'_>,
    mistakes: &mut Mistakes,
) -> Option<DpopSettings> {
    let place = Place("dpop");
    let origins = match raw.origins {
        Field::Missing => {
            mistakes.note(place.at("origins"), "is required: what clients know the gateway by");
            Vec::new()
        }
        written => non_empty_list(&place.at("origins"), written, mistakes).unwrap_or_default(),
    };
    for (index, origin) in origins.iter().enumerate() {
        let is_plain = identifier(origin).is_ok_and(|(parsed, _)| parsed == *origin);
        let has_own_port = origin.ends_with(":443") || origin.ends_with(":80");
        if !is_plain || has_own_port || *origin != origin.to_lowercase() {
            let message = "must be an origin without its scheme's own port, like https://api.example.com";
            mistakes.note(place.at(&format!("origins[{index}]")), message);
        }
    }
    let algorithms = match raw.algorithms {
        Field::Absent => vec![Algorithm::Es256, Algorithm::EdDsa, Algorithm::Ps256, Algorithm::Rs256],
        written => algorithms(place, written, mistakes),
    };
    let max_age = duration(&place.at("max_age"), raw.max_age, mistakes);
    let max_proofs = number(&place.at("max_proofs"), raw.max_proofs, mistakes);
    let period = duration(&place.at("nonce_period"), raw.nonce_period, mistakes);
    let nonce = match raw.nonce_secret {
        Field::Absent => None,
        written => {
            nonce(&place.at("nonce_secret"), written, period.unwrap_or_default(), environment, mistakes)
        }
    };
    let shared = mistakes.optional(&place.at("shared"), raw.shared).unwrap_or_default();
    mistakes.refuse_unknown(place.0, &raw.unknown);
    Some(DpopSettings {
        origins,
        algorithms,
        max_age: max_age.unwrap_or_default(),
        max_proofs: max_proofs.unwrap_or_default(),
        shared,
        nonce,
    })
}

fn nonce(
    path: &str,
    field: Field<raw::Confidential>,
    period: std::time::Duration,
    environment: Environment<'_>,
    mistakes: &mut Mistakes,
) -> Option<NonceKey> {
    long_secret(path, field, environment, mistakes).map(|secret| NonceKey::new(secret, period))
}
