//! The identity of cached responses: the parts of a configuration that affect a server's responses, what is cached of them and for how long
//! (R52). Also the identity of the server's published keys. Entries under another identity are never found.
//!
//! The client's secret is not part of the identity; nor are the rules, except for the claims that they use, so that most changes of rules
//! keep the cache warm.

use crate::cache::CacheSettings;
use crate::fingerprint::{Fingerprint, FingerprintHasher, Identity, identity};
use crate::http::callout::Target;
use crate::introspection::{
    ClientAuthentication, Endpoint, Format, Protocol, ResponseFormat, SignedResponse,
};
use crate::jwt::{Algorithm, KeySet};
use crate::server::jwks::{Publication, PublishedKeys};
use crate::settings::{IntrospectionSettings, KeySettings, ServerSettings, Settings, TokenSettings};
use crate::token::claims::{ClaimMapping, TokenPolicy};
use crate::token::jwt_access_token::{JwtAccessTokens, Profile};
use crate::token::kinds::TokenKinds;

impl ServerSettings {
    /// Returns the identity of what is cached of this server's responses.
    #[inline(never)]
    pub(crate) fn fingerprint(&self, all: &Settings) -> Fingerprint {
        Fingerprint::of(&(self, &all.cache))
    }

    /// Returns the identity of this server's published keys.
    pub(crate) fn keys_fingerprint(&self, keys: &PublishedKeys) -> Fingerprint {
        Fingerprint::of(&("keys", keys))
    }
}

identity! {
    ServerSettings { introspection, token, claim_mapping, keys } without { name, subject },
    IntrospectionSettings { endpoint, response } without { limits, circuit },
    Endpoint { target, protocol, accept, headers } without { retries, forward_traceparent },
    Target { upstream, scheme, authority, path } without { timeout },
    ResponseFormat { format, jwt_field, max_jwt_length } without { inactive },
    SignedResponse { issuers, audience, required } without {},
    TokenSettings { policy, jwts } without { max_failed_verifications, dpop },
    TokenPolicy { issuer, allows_missing_audience }
        without { issuer_aliases, allows_missing_issuer, audience, clients, client_pointer, leeway, require_exp },
    ClaimMapping { scope_claim, allows_scope_list, requires_token_type, allows_zero_expiration, kinds, tolerates_bearer_type, asked } without {},
    PublishedKeys { publication, headers, algorithms } without { max_age, max_stale, cooldown },
    CacheSettings { max_entries, max_ttl, no_store_ttl }
        without { max_bytes, shared_max_bytes, inactive_ttl, refresh_ahead, stale_if_error, shared },
}

impl Identity for ClientAuthentication {
    fn feed(&self, hasher: &mut FingerprintHasher) {
        self.identity().feed(hasher);
    }
}

impl Identity for Protocol {
    fn feed(&self, hasher: &mut FingerprintHasher) {
        match self {
            Self::Introspection { authentication, token_type_hint, parameters } => {
                ("introspection", (&**authentication, (token_type_hint, parameters))).feed(hasher);
            }
            Self::UserInfo => "UserInfo".feed(hasher),
        }
    }
}

impl Identity for Format {
    fn feed(&self, hasher: &mut FingerprintHasher) {
        match self {
            Self::Jwt => "JWT".feed(hasher),
            Self::Json => "JSON".feed(hasher),
            Self::Signed(response) => ("signed", response).feed(hasher),
            Self::UserInfo => "UserInfo".feed(hasher),
        }
    }
}

impl Identity for TokenKinds {
    fn feed(&self, hasher: &mut FingerprintHasher) {
        self.0.feed(hasher);
    }
}

impl Identity for JwtAccessTokens {
    fn feed(&self, hasher: &mut FingerprintHasher) {
        let word = match self {
            Self::Introspected => "introspected",
            Self::Refused => "refused",
            Self::Verified(Profile::Rfc9068) => "verified by RFC 9068",
            Self::Verified(Profile::Lax) => "verified laxly",
            Self::Verified(Profile::Any) => "verified, of any kind",
        };
        word.feed(hasher);
    }
}

impl Identity for KeySettings {
    fn feed(&self, hasher: &mut FingerprintHasher) {
        match self {
            Self::Configured(keys) => ("configured", keys).feed(hasher),
            Self::Published(keys) => ("published", keys).feed(hasher),
        }
    }
}

impl Identity for KeySet {
    fn feed(&self, hasher: &mut FingerprintHasher) {
        self.digest().feed(hasher);
    }
}

impl Identity for Publication {
    fn feed(&self, hasher: &mut FingerprintHasher) {
        match self {
            Self::At(target) => ("at", target).feed(hasher),
            Self::Discovered { metadata, issuers } => ("discovered", (metadata, issuers)).feed(hasher),
        }
    }
}

impl Identity for Algorithm {
    fn feed(&self, hasher: &mut FingerprintHasher) {
        self.name().feed(hasher);
    }
}

#[cfg(test)]
mod tests;
