//! The configuration as the operator wrote it. Any field may be absent, of the wrong type, or none of ours: that is noted,
//! not an error, so that all mistakes can be told at once.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny};
use serde_json::Value;

/// The members that are no fields.
pub(super) type Unknown = BTreeMap<String, IgnoredAny>;

/// What was written for one field.
#[derive(Default)]
pub(super) enum Field<T> {
    /// Nothing.
    #[default]
    Absent,
    /// A value of its type.
    Written(T),
    /// Something else; what, is nobody's business: it may be a secret in the wrong place.
    Mistyped,
}

/// A type that a field can have, and what the operator calls it.
pub(super) trait Shape: DeserializeOwned {
    const WHAT: &'static str;
}

impl<'de, T: Shape> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Ok(T::deserialize(value).map_or(Self::Mistyped, Self::Written))
    }
}

impl Shape for String {
    const WHAT: &'static str = "a string";
}

impl Shape for bool {
    const WHAT: &'static str = "true or false";
}

impl Shape for u64 {
    const WHAT: &'static str = "a whole number";
}

impl Shape for Vec<String> {
    const WHAT: &'static str = "a list of strings";
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Configuration {
    pub(super) introspection: Field<Introspection>,
    pub(super) token: Field<Token>,
    pub(super) claim_headers: Field<Vec<Field<ClaimHeader>>>,
    pub(super) cache: Field<Cache>,
    pub(super) cors: Field<Cors>,
    pub(super) realm: Field<String>,
    pub(super) resource_metadata: Field<ResourceMetadata>,
    pub(super) ignore_port_in_host_matching: Field<bool>,
    pub(super) rules: Field<Vec<Field<Rule>>>,
    pub(super) log_level: Field<String>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Introspection {
    pub(super) endpoint: Field<String>,
    pub(super) upstream: Field<String>,
    pub(super) auth_method: Field<String>,
    pub(super) client_id: Field<String>,
    pub(super) client_secret: Field<Confidential>,
    pub(super) bearer_token: Field<Confidential>,
    pub(super) parameters: Field<BTreeMap<String, String>>,
    pub(super) headers: Field<BTreeMap<String, Confidential>>,
    pub(super) response: Field<Response>,
    pub(super) token_type_hint: Field<bool>,
    pub(super) timeout: Field<String>,
    pub(super) single_flight: Field<bool>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

/// A secret: the value itself, or an object that names an environment variable of the proxy.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Confidential {
    Literal(String),
    Elsewhere(BTreeMap<String, String>),
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Response {
    pub(super) accept: Field<String>,
    pub(super) jwt_member: Field<String>,
    pub(super) max_jwt_length: Field<u64>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Token {
    pub(super) issuer: Field<String>,
    pub(super) audience: Field<Vec<String>>,
    pub(super) leeway: Field<String>,
    pub(super) require_exp: Field<bool>,
    pub(super) max_length: Field<u64>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct ClaimHeader {
    pub(super) header: Field<String>,
    pub(super) pointer: Field<String>,
    pub(super) encoding: Field<String>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Cache {
    pub(super) max_entries: Field<u64>,
    pub(super) max_bytes: Field<u64>,
    pub(super) max_ttl: Field<String>,
    pub(super) no_store_ttl: Field<String>,
    pub(super) shared: Field<bool>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Cors {
    pub(super) allow_origins: Field<Vec<String>>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct ResourceMetadata {
    pub(super) resource: Field<String>,
    pub(super) authorization_servers: Field<Vec<String>>,
    pub(super) scopes_supported: Field<Vec<String>>,
    pub(super) resource_name: Field<String>,
    pub(super) resource_documentation: Field<String>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Rule {
    pub(super) hosts: Field<Vec<String>>,
    pub(super) path: Field<String>,
    pub(super) methods: Field<Vec<String>>,
    pub(super) access: Field<String>,
    pub(super) audience: Field<Vec<String>>,
    pub(super) scopes: Field<Vec<String>>,
    pub(super) any_scopes: Field<Vec<String>>,
    pub(super) claims: Field<Vec<Field<Condition>>>,
    pub(super) acr_values: Field<Vec<String>>,
    pub(super) max_age: Field<String>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Condition {
    pub(super) pointer: Field<String>,
    pub(super) present: Field<bool>,
    pub(super) one_of: Field<Vec<Value>>,
    pub(super) contains: Field<Value>,
    #[serde(flatten)]
    pub(super) unknown: Unknown,
}

macro_rules! objects {
    ($($object:ty),+) => {
        $(impl Shape for $object {
            const WHAT: &'static str = "an object";
        })+
    };
}

objects!(
    Configuration,
    Introspection,
    Response,
    Token,
    Cache,
    ResourceMetadata,
    Rule,
    Condition,
    ClaimHeader,
    Cors
);

impl Shape for Confidential {
    const WHAT: &'static str = r#"a string or {"env": NAME}"#;
}

impl Shape for BTreeMap<String, String> {
    const WHAT: &'static str = "an object of strings";
}

impl Shape for BTreeMap<String, Confidential> {
    const WHAT: &'static str = r#"an object of strings or {"env": NAME}"#;
}

impl Shape for Value {
    const WHAT: &'static str = "a value";
}

impl Shape for Vec<Value> {
    const WHAT: &'static str = "a list of values";
}

impl Shape for Vec<Field<ClaimHeader>> {
    const WHAT: &'static str = "a list of claim headers";
}

impl Shape for Vec<Field<Condition>> {
    const WHAT: &'static str = "a list of conditions";
}

impl Shape for Vec<Field<Rule>> {
    const WHAT: &'static str = "a list of rules";
}
