//! Parses the operator's configuration into [`Settings`], which are valid by construction. All errors are reported at once,
//! each with its field path, and none shows a value that may be a secret.
//!
//! Each section is turned into settings by a separate function (`inline(never)`): V8 needs 10 MB more to compile all of them as one.

mod authentication;
mod calls;
mod configuration;
mod dpop;
mod forwarding;
mod host_kind;
mod identity;
mod inactive_answers;
mod introspection;
mod keys;
mod mcp;
mod mint;
mod profile;
mod rules;
mod selection;
mod servers;
mod texts;
mod token;
mod user_info;

use serde_json::Value;

#[cfg(feature = "schema")]
use crate::fields::schema::{Dialect, DocumentedField};
use crate::fields::{ConfigError, ConfigErrors, Environment, FieldType, SecretSources};
use crate::json::{Malformed, Object};
use crate::settings::Settings;

use configuration::Configuration;
pub use host_kind::HostKind;

impl Settings {
    /// Reads a configuration for Envoy from JSON text. The values that it keeps in the proxy's environment come from `environment`.
    ///
    /// # Errors
    /// Every error in the configuration.
    pub fn parse(text: &[u8], environment: Environment<'_>) -> Result<Self, ConfigErrors> {
        Self::parse_for(HostKind::Envoy, text, SecretSources::environment(environment))
    }

    /// Reads a configuration for a host. Fields that the host does not support are errors.
    ///
    /// # Errors
    /// Every error in the configuration, including secrets that have not been delivered yet.
    pub fn parse_for(host: HostKind, text: &[u8], sources: SecretSources<'_>) -> Result<Self, ConfigErrors> {
        let object = Object::parse(text).map_err(no_object)?;
        configuration::settings(object, host, sources)
    }

    /// Returns the effective configuration as JSON, with defaults and without secrets.
    ///
    /// # Errors
    /// The text is not a JSON object.
    pub fn effective(text: &[u8]) -> Result<String, ConfigErrors> {
        let mut configuration = Object::parse(text).map_err(no_object)?.into_members();
        profile::apply_all(&mut configuration);
        mcp::expand(&mut configuration);
        configuration.remove("mcp");
        Ok(format!("{:#}", Configuration::KIND.shown(&Value::Object(configuration))))
    }
}

/// Returns the JSON Schema of the configuration.
#[cfg(feature = "schema")]
#[must_use]
pub fn configuration_schema(dialect: Dialect) -> Value {
    Configuration::KIND.whole_schema(dialect)
}

/// Returns all fields of the configuration, in reading order.
#[cfg(feature = "schema")]
#[must_use]
pub fn configuration_fields() -> Vec<DocumentedField> {
    let mut fields = Vec::new();
    Configuration::KIND.document("", &mut fields);
    fields
}

fn no_object(malformed: Malformed) -> ConfigErrors {
    ConfigErrors::from(ConfigError::new("", format!("the configuration must be a JSON object: {malformed}")))
}

#[cfg(test)]
mod tests;
