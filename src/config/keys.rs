//! The section `keys`: the keys that verify the server's signatures.

use std::sync::Arc;

use super::texts::{CalloutHeader, Url, target};
use crate::fields::{
    BoundedDuration, ConfigErrors, DAY, FieldPath, HOUR, HmacSecret, Jwks, Kind, MINUTE, MapOf, NonEmptyList,
    SECOND, Visible, VisibleSecret, field_type, section,
};
use crate::jwt::{Algorithm, KeySet};
use crate::secret::Secret;
use crate::server::jwks::{Publication, PublishedKeys};
use crate::settings::KeySettings;

section! {
    /// The keys that verify signatures.
    pub(super) struct Keys {
        /// URL of the server's JWK Set.
        jwks_uri: Url,
        /// URL of the server's metadata ([RFC 8414](https://www.rfc-editor.org/rfc/rfc8414) or OpenID Connect Discovery), which
        /// name the set. Their issuer has to be `token.issuer` or an alias of it, and the set has to be at the same origin.
        metadata_url: Url,
        /// A JWK Set. In this and in published sets, keys of RSA (2048 to 8192 bits), P-256, P-384, P-521 and Ed25519 are used;
        /// the log names the keys that are left out, and why.
        jwks: Jwks,
        /// A secret of at least 32 bytes, or `{env: NAME}`, for HS256.
        hmac_secret: HmacSecret,
        /// The host's name for the server that publishes the keys. Defaults to `introspection.upstream`.
        upstream: Visible,
        /// Additional header fields of the requests for keys and metadata, as `introspection.headers`.
        headers: MapOf<CalloutHeader, VisibleSecret> = {},
        /// Accepted algorithms. Defaults to all of these.
        algorithms: NonEmptyList<Algorithm>,
        /// Maximum age of a published set. A set in use is fetched again shortly before, in the background and by one worker for
        /// all. The server can specify less (`max-age`, `Expires`).
        max_age: BoundedDuration<SECOND, DAY> = "10m",
        /// How long the last good set serves while fetches fail, and the entries that its keys verified stay cached; without
        /// keys, 503.
        max_stale: BoundedDuration<SECOND, { 30 * DAY }> = "24h",
        /// Minimum time between two fetches; an unknown `kid` causes at most one fetch in that time.
        cooldown: BoundedDuration<SECOND, HOUR> = "30s",
        /// How long a request waits for the keys.
        timeout: BoundedDuration<1, MINUTE> = "2s",
    }
}

// All but HS256: a secret has a field of its own.
field_type!(Algorithm => Self, Kind::Words(Self::ASYMMETRIC_NAMES), Self::Es256, |written, at, reader| {
    let named = written.as_str().and_then(Self::named);
    let asymmetric = named.filter(|algorithm| Self::ASYMMETRIC.contains(algorithm));
    reader.check(at, asymmetric, "must be of RS256 to PS512, ES256 to ES512, EdDSA and Ed25519")
});

impl Keys {
    /// Returns the settings. `issuers` are `token.issuer` and its aliases, and `upstream` is that of `introspection`.
    #[inline(never)]
    pub(super) fn settings(
        self,
        at: FieldPath<'_>,
        issuers: &[String],
        upstream: Option<&str>,
        errors: &mut ConfigErrors,
    ) -> Option<KeySettings> {
        let Self { jwks_uri, metadata_url, jwks, hmac_secret, upstream: own_upstream, algorithms, .. } = self;
        let sources = [jwks_uri.is_some(), metadata_url.is_some(), jwks.is_some(), hmac_secret.is_some()];
        if sources.iter().filter(|is_written| **is_written).count() != 1 {
            errors.note(at, "needs exactly one of jwks_uri, metadata_url, jwks and hmac_secret");
        }
        let algorithms = algorithms.unwrap_or_else(|| Algorithm::ASYMMETRIC.to_vec());
        let Self { headers, max_age, max_stale, cooldown, timeout, .. } = self;
        if max_stale < max_age {
            errors.note(at.field("max_stale"), "must not be shorter than max_age");
        }
        if let Some(jwks) = jwks {
            let set = KeySet::parse(jwks.expose().as_bytes(), &algorithms).ok().filter(|set| !set.is_empty());
            let message = "must be a JWK Set with a usable key: RSA of 2048 to 8192 bits, P-256, P-384, P-521 or Ed25519";
            return errors
                .check(at.field("jwks"), set.ok_or(message))
                .map(|set| KeySettings::Configured(Arc::new(set)));
        }
        if let Some(hmac_secret) = hmac_secret {
            let set = KeySet::of_secret(&hmac_secret).ok_or("must have at least 32 bytes (RFC 7518 §3.2)");
            return errors
                .check(at.field("hmac_secret"), set)
                .map(|set| KeySettings::Configured(Arc::new(set)));
        }
        if jwks_uri.is_none() && metadata_url.is_none() {
            return None;
        }
        let upstream = own_upstream.as_deref().or(upstream);
        let message = "is required if there is no introspection.upstream to default to";
        let upstream = errors.check(at.field("upstream"), upstream.ok_or(message))?;
        let target = |url: &Secret| target(url, upstream, timeout).map(Arc::new);
        let publication = match (jwks_uri, metadata_url) {
            (Some(jwks_uri), _) => Publication::At(target(&jwks_uri)?),
            (None, Some(metadata_url)) => {
                if issuers.is_empty() {
                    errors.note(at.field("metadata_url"), "needs token.issuer, whose metadata it must be");
                }
                Publication::Discovered { metadata: target(&metadata_url)?, issuers: issuers.to_vec() }
            }
            (None, None) => return None,
        };
        let headers = headers.into();
        Some(KeySettings::Published(PublishedKeys {
            publication,
            headers,
            algorithms,
            max_age,
            max_stale,
            cooldown,
        }))
    }
}
