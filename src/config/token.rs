//! The section `token`: requirements for the tokens of one authorization server.

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
    /// Requirements for access tokens.
    pub(super) struct Token {
        /// The required `iss`, exactly; a token without one is refused. If not set, `iss` is not checked.
        issuer: Visible,
        /// Other names that the same server uses in `iss`, such as its internal and its external name. List only names of one and
        /// the same server: each is trusted for the users of all.
        issuer_aliases: Vec<Visible> = [],
        /// Whether a token without `iss` passes although `issuer` is set.
        allow_missing_iss: bool = false,
        /// `aud` must contain one of these, exactly. If not set, `aud` is not checked.
        audience: NonEmptyList<String>,
        /// Whether an introspected token without `aud` passes although `audience` is set. JWTs that clients present must always
        /// have it.
        allow_missing_aud: bool = false,
        /// The token's client must be one of these, exactly. If not set, the client is not checked. For servers whose access
        /// tokens have no `aud`, such as Amazon Cognito: with `jwt_profile: lax` or `any`, it replaces `audience`.
        clients: NonEmptyList<String>,
        /// The claim that names the client; `azp` or `cid` with some servers.
        client_claim: Visible = "client_id",
        /// Tolerance for differences between clocks.
        leeway: BoundedDuration<0, MINUTE> = "5s",
        /// Whether a token is refused if neither the JWT nor the response around it has `exp`.
        require_exp: bool = false,
        /// Whether `exp: 0` in a response about an active token means that it never expires, as with Doorkeeper; otherwise it has
        /// expired.
        allow_zero_exp: bool = false,
        /// Whether an introspection response must have `token_type`. On many servers refresh tokens are active as well, but only
        /// access tokens have a `token_type`: turn it on with oidc-provider, Spring and the like.
        require_token_type: bool = false,
        /// Additional members by which the server distinguishes its kinds of tokens, each with the values that mean access token:
        /// `{token_class: [api]}`. Any other value there is refused. For the members known by default, see "Kinds of tokens".
        kinds: MapOf<Visible, NonEmptyList<Visible>> = {},
        /// The claim that holds the scope; `scp` with some servers.
        scope_claim: Visible = "scope",
        /// Whether the scope may be a list, which no RFC allows.
        allow_scope_list: bool = false,
        /// What happens to access tokens that are JWTs: `introspect` them like any other, `refuse` them, or `verify` them here.
        jwts: Jwts = "introspect",
        /// What such JWTs must look like. `rfc9068`: as the RFC says. `lax`: for older servers, with what marks an access token
        /// there. `any`: any JWT from the issuer for the audience, ID tokens included. See "JWTs that are no access tokens".
        jwt_profile: Profile = "rfc9068",
        /// How many signatures of JWTs that clients present may be invalid per second, at one worker, before a JWT that is not
        /// cached is a 503: verifying one takes a worker some hundred times as long as a cached token. Each key that is tried
        /// counts by its cost: one of P-256, Ed25519 or 2048-bit RSA once, P-384 and P-521 ten times, RSA with 4096 bits four
        /// times and with 8192 bits sixteen times. A JWT without `kid` tries four at most; valid signatures cost nothing.
        max_failed_verifications_per_second: Bounded<1, 1_000_000> = 100,
        /// Proof of possession ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)): `off` refuses tokens bound to a key,
        /// `allowed` requires proofs for those, `required` accepts no others.
        dpop: DpopMode = "off",
        /// Whether introspection may call a bound token a bearer token, as some servers call every token.
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
    #[inline(never)]
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
