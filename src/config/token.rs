//! The section `token`: what a token of one authorization server must be like.

use crate::credentials::dpop::DpopMode;
use crate::fields::{
    Bounded, BoundedDuration, ConfigErrors, FieldPath, MINUTE, MapOf, NonEmptyList, Visible, keywords,
    section,
};
use crate::settings::TokenSettings;
use crate::token::claims::{ClaimMapping, TokenPolicy};
use crate::token::jwt_access_token::JwtAccessTokens;
use crate::token::jwt_access_token::Profile;
use crate::token::kinds::TokenKinds;

section! {
    /// What access tokens have to be like.
    pub(super) struct Token {
        /// `iss`, exactly; an absent one does not pass. Without it, it is not checked.
        issuer: Visible,
        /// Whether a token without `iss` passes where there is an `issuer`.
        allow_missing_iss: bool = false,
        /// One of these has to be in `aud`, exactly. Without it, it is not checked.
        audience: NonEmptyList<String>,
        /// How far clocks may differ.
        leeway: BoundedDuration<0, MINUTE> = "5s",
        /// Whether a token is refused if neither the JWT nor the answer around it has `exp`.
        require_exp: bool = false,
        /// Whether an introspection response has to say `token_type`. Refresh tokens are active as well on many servers, which
        /// say it of access tokens alone: with oidc-provider, Spring and the like, turn it on.
        require_token_type: bool = false,
        /// More members by which the server tells its kinds of tokens, each with the words that say access token:
        /// `{token_class: [api]}`. Any other word there is refused. What is known of all servers: see "Kinds of tokens".
        kinds: MapOf<Visible, NonEmptyList<Visible>> = {},
        /// The claim that has the scope, `scp` for some servers.
        scope_claim: Visible = "scope",
        /// Whether the scope may be a list; no RFC allows it.
        allow_scope_list: bool = false,
        /// What becomes of access tokens that are JWTs: `introspect` them like any, `refuse` them, or `verify` them here.
        jwts: Jwts = "introspect",
        /// What those have to be like: as RFC 9068 says; `lax`, for servers that are older: what is known for an access token; `any`: any
        /// JWT of the issuer for the audience, ID tokens among them. See "JWTs that are no access tokens".
        jwt_profile: Profile = "rfc9068",
        /// How many signatures of JWTs that clients present may be wrong in a second, at one worker, before a JWT that is not in
        /// the cache is a 503: to verify one takes a worker some hundred times as long as a cached token. Each key that is
        /// tried counts, and a JWT without `kid` costs four at most; signatures that are right cost nothing.
        max_failed_verifications_per_second: Bounded<1, 1_000_000> = 100,
        /// Proof of possession ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)): `off` refuses tokens that are bound to a
        /// key, `allowed` asks for proofs of those, `required` takes no others.
        dpop: DpopMode = "off",
        /// Whether introspection may call a bound token a bearer token, as some servers call every one.
        allow_bearer_type: bool = false,
    }
}

/// `token.jwts`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Jwts {
    Introspect,
    Refuse,
    Verify,
}

keywords! {
    Jwts { Introspect = "introspect", Refuse = "refuse" or Verify = "verify" }
    Profile { Rfc9068 = "rfc9068", Lax = "lax" or Any = "any" }
    DpopMode { Off = "off", Allowed = "allowed" or Required = "required" }
}

impl Token {
    pub(super) fn settings(
        self,
        at: FieldPath<'_>,
        has_keys: bool,
        errors: &mut ConfigErrors,
    ) -> (TokenSettings, ClaimMapping) {
        let audience = self.audience.unwrap_or_default();
        if self.jwts == Jwts::Verify && (self.issuer.is_none() || audience.is_empty() || !has_keys) {
            let message = "verify needs token.issuer, token.audience and keys (RFC 9068 §4)";
            errors.note(at.field("jwts"), message);
        }
        let settings = TokenSettings {
            policy: TokenPolicy {
                issuer: self.issuer,
                allows_missing_issuer: self.allow_missing_iss,
                audience,
                leeway: self.leeway,
                require_exp: self.require_exp,
            },
            jwts: match self.jwts {
                Jwts::Introspect => JwtAccessTokens::Introspected,
                Jwts::Verify => JwtAccessTokens::Verified(self.jwt_profile),
                Jwts::Refuse => JwtAccessTokens::Refused,
            },
            max_failed_verifications: self.max_failed_verifications_per_second,
            dpop: self.dpop,
        };
        let claim_mapping = ClaimMapping {
            scope_claim: self.scope_claim,
            allows_scope_list: self.allow_scope_list,
            requires_token_type: self.require_token_type,
            kinds: TokenKinds(self.kinds),
            tolerates_bearer_type: self.allow_bearer_type,
            asked: Vec::new(),
        };
        (settings, claim_mapping)
    }
}
