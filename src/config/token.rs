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
        /// More names by which that server calls itself in `iss`, one that is reached by an inner and an outer name for example. Only names
        /// of one and the same server: what one says of a user, the other may say as well.
        issuer_aliases: Vec<Visible> = [],
        /// Whether a token without `iss` passes where there is an `issuer`.
        allow_missing_iss: bool = false,
        /// One of these has to be in `aud`, exactly. Without it, it is not checked.
        audience: NonEmptyList<String>,
        /// Whether a token without `aud` passes that was introspected, where there is an `audience`. JWTs that clients present always have
        /// to have it.
        allow_missing_aud: bool = false,
        /// One of these has to be the token's client, exactly. Without it, it is not checked. For servers whose access tokens have no
        /// `aud`, as those of Amazon Cognito: with `jwt_profile: lax` or `any` it takes the place of `audience`.
        clients: NonEmptyList<String>,
        /// The claim that names the client, `azp` or `cid` for some servers.
        client_claim: Visible = "client_id",
        /// How far clocks may differ.
        leeway: BoundedDuration<0, MINUTE> = "5s",
        /// Whether a token is refused if neither the JWT nor the answer around it has `exp`.
        require_exp: bool = false,
        /// Whether `exp: 0` in an answer about an active token says that it has no end, as Doorkeeper does; otherwise it has ended.
        allow_zero_exp: bool = false,
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
        /// tried counts by what it takes: one of P-256, Ed25519 or RSA with 2048 bits once, P-384 and P-521 ten times, RSA with
        /// 4096 bits four and with 8192 bits sixteen times. A JWT without `kid` tries four at most; signatures that are right
        /// cost nothing.
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
        let clients = self.clients.unwrap_or_default();
        if self.jwts == Jwts::Verify {
            let is_for_us =
                !audience.is_empty() || (self.jwt_profile != Profile::Rfc9068 && !clients.is_empty());
            if self.issuer.is_none() || !is_for_us || !has_keys {
                let message = match self.jwt_profile {
                    Profile::Rfc9068 => "verify needs token.issuer, token.audience and keys (RFC 9068 §4)",
                    Profile::Lax | Profile::Any => {
                        "verify needs token.issuer, token.audience or token.clients, and keys"
                    }
                };
                errors.note(at.field("jwts"), message);
            }
        }
        if self.issuer.is_none() && !self.issuer_aliases.is_empty() {
            errors.note(at.field("issuer_aliases"), "needs token.issuer");
        }
        let settings = TokenSettings {
            policy: TokenPolicy {
                issuer: self.issuer,
                issuer_aliases: self.issuer_aliases,
                allows_missing_issuer: self.allow_missing_iss,
                audience,
                allows_missing_audience: self.allow_missing_aud,
                clients,
                client_pointer: format!("/{}", self.client_claim.replace('~', "~0").replace('/', "~1")),
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
            allows_zero_expiration: self.allow_zero_exp,
            kinds: TokenKinds(self.kinds),
            tolerates_bearer_type: self.allow_bearer_type,
            asked: Vec::new(),
        };
        (settings, claim_mapping)
    }
}
