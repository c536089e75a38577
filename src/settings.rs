//! A validated configuration. Only `config` creates it, from the operator's JSON.

use std::fmt;
use std::sync::Arc;

use crate::cache::CacheSettings;
use crate::credentials::bearer::TokenSyntax;
use crate::credentials::client_certificate::CertificateSource;
use crate::credentials::dpop::{DpopMode, DpopSettings};
use crate::credentials::token_sources::Sources;
use crate::documents::document::Document;
use crate::documents::resource_metadata::ResourceMetadata;
use crate::http::cors::Cors;
use crate::introspection::{Endpoint, Protocol, ResponseFormat};
use crate::jwt::KeySet;
use crate::policy::Rules;
use crate::refusal::ProtectionSpace;
use crate::secret::Secret;
use crate::server::circuit_breaker::CircuitSettings;
use crate::server::jwks::PublishedKeys;
use crate::server::rate_limiter::Limits;
use crate::token::claims::{ClaimMapping, TokenPolicy};
use crate::token::jwt_access_token::JwtAccessTokens;
use crate::upstream::headers::Forwarding;
use crate::upstream::mint::{MintSettings, SubjectMapping};

/// A configuration that has no errors.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The requirements for proofs of possession, if they are read.
    pub dpop: Option<DpopSettings>,
    /// How JWTs are minted, if any are.
    pub mint: Option<MintSettings>,
    /// Where the client's certificate is found, if it is needed.
    pub client_certificate: Option<CertificateSource>,
    /// The authorization servers, at least one.
    pub servers: Vec<ServerSettings>,
    /// How clients present tokens.
    pub credentials: CredentialSettings,
    /// What services receive.
    pub forwarding: Arc<Forwarding>,
    /// What is cached, and for how long.
    pub cache: CacheSettings,
    /// The origins whose pages may call the API.
    pub cors: Cors,
    /// The published metadata of each resource.
    pub resource_metadata: Vec<ResourceMetadata>,
    /// What challenges say of the protected resource.
    pub protection: ProtectionSpace,
    /// Which requests are exposed.
    pub rules: Rules,
    /// Whether streams end with their tokens: the host receives the remaining time.
    pub ends_streams: bool,
    /// Whether requests that need the same response share one query.
    pub single_flight: bool,
    /// The most verbose level that the filter writes to the host's log.
    pub log_level: log::LevelFilter,
    /// The key of the tags that stand for tokens in logs.
    pub log_key: Option<Secret>,
}

/// A host with threads reads a configuration once, and the workers on all threads share it.
const _: fn() = || {
    fn is_shared_by_threads<T: Send + Sync>() {}
    is_shared_by_threads::<Settings>();
};

/// Where and how tokens are introspected.
#[derive(Clone, Debug)]
pub struct IntrospectionSettings {
    /// The endpoint, and the client authentication there.
    pub endpoint: Arc<Endpoint>,
    /// The format of the responses.
    pub response: ResponseFormat,
    /// The limits of one worker, or of a process.
    pub limits: Limits,
    /// When the circuit breaker opens.
    pub circuit: CircuitSettings,
}

/// One authorization server.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// The name by which rules refer to the server, if there are several.
    pub name: Option<String>,
    /// Where and how its tokens are introspected; `None` if the server only issues JWTs that are verified here.
    pub introspection: Option<IntrospectionSettings>,
    /// The requirements for its tokens.
    pub token: TokenSettings,
    /// Which of their claims are read, and how.
    pub claim_mapping: ClaimMapping,
    /// The keys that verify its signatures.
    pub keys: Option<KeySettings>,
    /// The subject of JWTs minted for its tokens, if it differs from the default.
    pub subject: Option<SubjectMapping>,
}

impl ServerSettings {
    /// The keys that are used here: those of the configuration, or those of a JWK Set that the server has `published`.
    pub fn key_set(&self, published: &[u8]) -> Option<Arc<KeySet>> {
        match self.keys.as_ref()? {
            KeySettings::Configured(keys) => Some(Arc::clone(keys)),
            KeySettings::Published(keys) => keys.read(published).map(Arc::new),
        }
    }
}

/// Requirements for tokens.
#[derive(Clone, Debug)]
pub struct TokenSettings {
    /// The claims that a token must have.
    pub policy: TokenPolicy,
    /// The treatment of JWTs.
    pub jwts: JwtAccessTokens,
    /// How many signatures of JWTs may be wrong in a second before no further ones are verified.
    pub max_failed_verifications: usize,
    /// Whether tokens are bound to a key of their sender.
    pub dpop: DpopMode,
}

/// The keys that verify signatures.
#[derive(Clone, Debug)]
pub enum KeySettings {
    /// Keys of the configuration.
    Configured(Arc<KeySet>),
    /// Keys that the server publishes.
    Published(PublishedKeys),
}

/// How clients present tokens.
#[derive(Clone, Debug)]
pub struct CredentialSettings {
    /// The syntax of tokens.
    pub syntax: TokenSyntax,
    /// Where tokens may be presented other than in `Authorization`.
    pub sources: Sources,
}

impl ServerSettings {
    /// Whether its tokens are presented to the UserInfo endpoint.
    pub(crate) fn is_by_user_info(&self) -> bool {
        let introspection = self.introspection.as_ref();
        introspection
            .is_some_and(|introspection| matches!(introspection.endpoint.protocol, Protocol::UserInfo))
    }
}

impl Settings {
    /// Whether there are published keys that are fetched once for all workers.
    pub fn shares_published_keys(&self) -> bool {
        let is_published = |server: &ServerSettings| matches!(server.keys, Some(KeySettings::Published(_)));
        self.cache.shared && self.servers.iter().any(is_published)
    }

    /// The documents that the gateway publishes.
    pub(crate) fn documents(&self) -> impl Iterator<Item = &Document> {
        let metadata = self.resource_metadata.iter().map(ResourceMetadata::document);
        metadata.chain(self.mint.iter().map(|mint| &mint.key_set))
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers = self.servers.iter().map(|server| match &server.introspection {
            Some(introspection) => format!("introspection at {}", introspection.endpoint.target),
            None => "verification of JWTs".to_owned(),
        });
        formatter.write_str(&servers.collect::<Vec<_>>().join(", "))
    }
}
