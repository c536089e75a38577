//! The section `token`: what a token of one authorization server must be like.

use super::TokenSettings;
use super::fields::{Place, duration, non_empty_list, number, visible};
use super::mistakes::Mistakes;
use super::raw::{self, Field, Jwts};
use crate::token::claims::{Reading, TokenPolicy};
use crate::token::jwt_access_token::{JwtAccessTokens, Profile};

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
    let leeway = duration(&place.at("leeway"), raw.leeway, mistakes);
    let require_exp = mistakes.optional(&place.at("require_exp"), raw.require_exp).unwrap_or_default();
    let scope_claim = visible(&place.at("scope_claim"), raw.scope_claim, mistakes).unwrap_or_default();
    let allows_scope_list = mistakes.optional(&place.at("allow_scope_list"), raw.allow_scope_list);
    let profile = mistakes.optional(&place.at("jwt_profile"), raw.jwt_profile);
    let jwts = mistakes.optional(&place.at("jwts"), raw.jwts);
    if jwts == Some(Jwts::Verify) && (issuer.is_none() || audience.is_empty() || !has_keys) {
        let message = "verify needs token.issuer, token.audience and keys (RFC 9068 §4)";
        mistakes.note(place.at("jwts"), message);
    }
    let jwts = match jwts {
        Some(Jwts::Introspect) => JwtAccessTokens::Introspected,
        Some(Jwts::Verify) => JwtAccessTokens::Verified(profile.unwrap_or(Profile::Rfc9068)),
        None | Some(Jwts::Refuse) => JwtAccessTokens::Refused,
    };
    let path = place.at("max_failed_verifications_per_second");
    let max_failed_verifications = number(&path, raw.max_failed_verifications_per_second, mistakes);
    let dpop = mistakes.optional(&place.at("dpop"), raw.dpop).unwrap_or_default();
    let requires_token_type = mistakes.optional(&place.at("require_token_type"), raw.require_token_type);
    let tolerates_bearer_type = mistakes.optional(&place.at("allow_bearer_type"), raw.allow_bearer_type);
    mistakes.refuse_unknown(place.0, &raw.unknown);
    let policy = TokenPolicy {
        issuer,
        allows_missing_issuer: allows_missing_issuer.unwrap_or_default(),
        audience,
        leeway: leeway.unwrap_or_default(),
        require_exp,
    };
    let allows_scope_list = allows_scope_list.unwrap_or_default();
    let tolerates_bearer_type = tolerates_bearer_type.unwrap_or_default();
    let reading = Reading {
        scope_claim,
        allows_scope_list,
        requires_token_type: requires_token_type.unwrap_or_default(),
        tolerates_bearer_type,
        asked: Vec::new(),
    };
    let max_failed_verifications = max_failed_verifications.unwrap_or_default();
    (TokenSettings { policy, jwts, max_failed_verifications, dpop }, reading)
}
