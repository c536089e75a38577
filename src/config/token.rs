//! The section `token`: what a token of one authorization server must be like.

use std::time::Duration;

use super::TokenSettings;
use super::fields::{MINUTE, Place, SECOND, duration, non_empty_list, visible};
use super::mistakes::Mistakes;
use super::raw::{self, Field};
use crate::authorization_server::JwtAccessTokens;
use crate::claims::{Reading, TokenPolicy};
use crate::dpop::DpopMode;
use crate::jwt::Profile;

pub(super) fn token(
    place: Place<'_>,
    raw: raw::Token,
    has_keys: bool,
    mistakes: &mut Mistakes,
) -> (TokenSettings, Reading) {
    let issuer = match raw.issuer {
        Field::Absent => None,
        written => visible(&place.at("issuer"), written, mistakes),
    };
    let allows_missing_issuer = mistakes.optional(&place.at("allow_missing_iss"), raw.allow_missing_iss);
    let audience = non_empty_list(&place.at("audience"), raw.audience, mistakes).unwrap_or_default();
    let leeway = duration(&place.at("leeway"), raw.leeway, Duration::ZERO..=MINUTE, mistakes);
    let require_exp = mistakes.optional(&place.at("require_exp"), raw.require_exp).unwrap_or(false);
    let scope_claim = match raw.scope_claim {
        Field::Absent => Reading::default().scope_claim,
        written => visible(&place.at("scope_claim"), written, mistakes).unwrap_or_default(),
    };
    let allows_scope_list = mistakes.optional(&place.at("allow_scope_list"), raw.allow_scope_list);
    let profile = match mistakes.optional(&place.at("jwt_profile"), raw.jwt_profile).as_deref() {
        None | Some("rfc9068") => Profile::Rfc9068,
        Some("lax") => Profile::Lax,
        Some(_) => {
            mistakes.note(place.at("jwt_profile"), "must be rfc9068 or lax");
            Profile::Rfc9068
        }
    };
    let jwts = match mistakes.optional(&place.at("jwts"), raw.jwts).as_deref() {
        None | Some("introspect") => JwtAccessTokens::Introspected,
        Some("refuse") => JwtAccessTokens::Refused,
        Some("verify") => {
            if issuer.is_none() || audience.is_empty() || !has_keys {
                mistakes.note(
                    place.at("jwts"),
                    "verify needs token.issuer, token.audience and keys (RFC 9068 §4)",
                );
            }
            JwtAccessTokens::Verified(profile)
        }
        Some(_) => {
            mistakes.note(place.at("jwts"), "must be introspect, refuse or verify");
            JwtAccessTokens::Refused
        }
    };
    let dpop = match mistakes.optional(&place.at("dpop"), raw.dpop).as_deref() {
        None | Some("off") => DpopMode::Off,
        Some("allowed") => DpopMode::Allowed,
        Some("required") => DpopMode::Required,
        Some(_) => {
            mistakes.note(place.at("dpop"), "must be off, allowed or required");
            DpopMode::Off
        }
    };
    let requires_token_type = mistakes.optional(&place.at("require_token_type"), raw.require_token_type);
    let tolerates_bearer_type = mistakes.optional(&place.at("allow_bearer_type"), raw.allow_bearer_type);
    mistakes.refuse_unknown(place.0, &raw.unknown);
    let policy = TokenPolicy {
        issuer,
        allows_missing_issuer: allows_missing_issuer.unwrap_or(false),
        audience,
        leeway: leeway.unwrap_or(5 * SECOND),
        require_exp,
    };
    let allows_scope_list = allows_scope_list.unwrap_or(false);
    let tolerates_bearer_type = tolerates_bearer_type.unwrap_or(false);
    let reading = Reading {
        scope_claim,
        allows_scope_list,
        requires_token_type: requires_token_type.unwrap_or(false),
        tolerates_bearer_type,
        asked: Vec::new(),
    };
    (TokenSettings { policy, jwts, dpop }, reading)
}
