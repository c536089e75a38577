//! The sources of secrets to which a configuration only refers: the proxy's environment, and Envoy's secret discovery service.

use serde_json::{Map, Value};

/// Looks up a variable of the proxy's environment.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Looks up a secret that the host delivers. Returns `None` until it is delivered.
///
/// # Errors
/// Why the secret will never be delivered.
pub type SecretDiscovery<'a> = &'a dyn Fn(&SdsSecret) -> Result<Option<String>, &'static str>;

/// The sources of secrets on a host.
#[derive(Clone, Copy)]
pub struct SecretSources<'a> {
    /// `{env: NAME}`.
    pub environment: Environment<'a>,
    /// `{sds: {name: NAME, sds_config: {…}}}`.
    pub discovery: SecretDiscovery<'a>,
}

/// A reference to a secret of Envoy's secret discovery service, written as Envoy's own `SdsSecretConfig`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SdsSecret {
    /// The secret's name there.
    pub name: String,
    /// A `ConfigSource` as JSON. `None` for a static secret of the bootstrap.
    pub sds_config: Option<String>,
}

impl<'a> SecretSources<'a> {
    /// Returns the sources on a host without secret discovery.
    pub fn environment(environment: Environment<'a>) -> Self {
        Self { environment, discovery: &|_| Err(NO_DISCOVERY) }
    }

    /// Returns the value of a variable. An empty value counts as unset.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        (self.environment)(name).filter(|value| !value.is_empty())
    }

    /// Returns the value of a secret that the host delivers. An empty value counts as undelivered.
    pub(super) fn delivered(&self, secret: &SdsSecret) -> Result<Option<String>, &'static str> {
        Ok((self.discovery)(secret)?.filter(|value| !value.is_empty()))
    }
}

impl SdsSecret {
    /// Parses a reference to a secret. Returns `None` if the value is anything else, or has other members.
    pub(super) fn of(reference: &Map<String, Value>) -> Option<Self> {
        let members = only(reference, "sds")?.as_object()?;
        let name = members.get("name").and_then(Value::as_str).filter(|name| !name.is_empty())?;
        let sds_config = members.get("sds_config");
        let is_whole = members.len() == 1 + usize::from(sds_config.is_some());
        let is_object = sds_config.is_none_or(|source| source.as_object().is_some_and(|it| !it.is_empty()));
        (is_whole && is_object)
            .then(|| Self { name: name.to_owned(), sds_config: sds_config.map(Value::to_string) })
    }
}

/// Returns the name of the variable that a value refers to. Returns `None` if the value is anything else, or has other members.
pub(super) fn variable(reference: &Map<String, Value>) -> Option<&str> {
    only(reference, "env")?.as_str()
}

fn only<'v>(members: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    members.get(name).filter(|_| members.len() == 1)
}

const NO_DISCOVERY: &str = "must not be by SDS here: only the native module in Envoy 1.40 or newer has it";
