//! The operator's configuration: what was written becomes [`Settings`], which cannot be wrong. All mistakes are
//! reported at once, each with its field path, and none shows a value that may be a secret.

mod claim_headers;
mod fields;
mod introspection;
mod metadata;
mod mistakes;
mod raw;
mod read;
mod rules;

use std::fmt;
use std::rc::Rc;

use crate::cache::{CacheSettings, Fingerprint};
use crate::challenge::ProtectionSpace;
use crate::claim_header::ClaimHeader;
use crate::claims::TokenPolicy;
use crate::cors::Cors;
use crate::introspection::{Endpoint, ResponseFormat};
use crate::json::Object;
use crate::rules::Rules;

pub use mistakes::{Mistake, Mistakes};

/// A configuration that has no mistakes.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where and how tokens are introspected.
    pub introspection: IntrospectionSettings,
    /// What a token must be like.
    pub token: TokenSettings,
    /// Which claims services receive as header fields.
    pub claim_headers: Vec<ClaimHeader>,
    /// What is kept, and for how long.
    pub cache: CacheSettings,
    /// The origins whose pages may call the API.
    pub cors: Cors,
    /// What challenges say, and the metadata that they point to.
    pub protection: ProtectionSpace,
    /// Which requests are exposed.
    pub rules: Rules,
    /// Up to which level the filter writes to the host's log.
    pub log_level: log::LevelFilter,
}

/// Looks up a variable of the proxy's environment.
type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Where and how tokens are introspected.
#[derive(Clone, Debug)]
pub struct IntrospectionSettings {
    /// Where, and as whom.
    pub endpoint: Rc<Endpoint>,
    /// How the JWT comes back.
    pub response: ResponseFormat,
    /// Whether requests with one token share one introspection.
    pub single_flight: bool,
}

/// What a token must be like.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// What it must claim.
    pub policy: TokenPolicy,
    /// The longest access token, in bytes.
    pub max_length: usize,
}

impl Settings {
    /// Reads a configuration: JSON text, and the environment of the proxy for the values that it keeps there.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn parse(text: &[u8], environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, Mistakes> {
        let object = Object::parse(text).map_err(|malformed| {
            Mistakes::from(Mistake::new("", format!("the configuration must be a JSON object: {malformed}")))
        })?;
        read::settings(object, environment)
    }

    /// What decides how the authorization server answers, what is kept of that, and how long. The client's secret does not; the
    /// rules do not, but for the claims that they ask about, so that most new rules leave the cache warm.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let Endpoint {
            upstream,
            scheme,
            authority,
            path,
            authentication,
            accept,
            token_type_hint,
            parameters,
            headers,
            timeout: _,
        } = &*self.introspection.endpoint;
        let [method, client] = authentication.identity();
        let CacheSettings { max_ttl, no_store_ttl, max_entries, max_bytes: _, shared: _ } = &self.cache;
        let ResponseFormat { is_jwt: _, jwt_member, max_jwt_length, asked_claims } =
            &self.introspection.response;
        Fingerprint::of(&[
            upstream,
            scheme,
            authority,
            path,
            method,
            client,
            &format!("{parameters:?}"),
            &headers.iter().map(|(name, value)| format!("{name}: {}\n", value.expose())).collect::<String>(),
            accept,
            &token_type_hint.to_string(),
            jwt_member.as_deref().unwrap_or_default(),
            &max_jwt_length.to_string(),
            &format!("{asked_claims:?}"),
            &format!("{max_ttl:?} {no_store_ttl:?} {max_entries}"),
        ])
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Endpoint { upstream, scheme, authority, path, .. } = &*self.introspection.endpoint;
        let (path, _query) = path.split_once('?').unwrap_or((path, ""));
        write!(formatter, "introspection at {scheme}://{authority}{path} by way of {upstream}")
    }
}

#[cfg(test)]
mod tests;
