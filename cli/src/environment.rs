//! Stands in for the proxy's environment and for Envoy's secret discovery service: for most errors, the values do not matter.

use std::collections::BTreeSet;

use p256::SecretKey;
use p256::pkcs8::{EncodePrivateKey, LineEnding};
use phantom_token_core::{ConfigErrors, HostKind, SdsSecret, SecretSources, Settings};

use crate::document::Node;

/// The values of environment variables and delivered secrets.
pub struct Environment {
    is_required: bool,
    /// The names of the variables and secrets that hold private keys.
    keys: BTreeSet<String>,
}

impl Environment {
    /// Uses the variables of this process, which have to be set.
    pub fn required() -> Self {
        Self { is_required: true, keys: BTreeSet::new() }
    }

    /// Uses a placeholder for each variable that the configuration names.
    pub fn placeholders(configuration: Option<&Node>) -> Self {
        let mut keys = BTreeSet::new();
        configuration.into_iter().for_each(|node| collect_keys(node, &mut keys));
        Self { is_required: false, keys }
    }

    /// Reads a configuration for a host with these values.
    ///
    /// # Errors
    /// All errors in the configuration.
    pub fn read(&self, text: &str, host: HostKind) -> Result<Settings, ConfigErrors> {
        let environment = |name: &str| self.variable(name);
        let delivered = |secret: &SdsSecret| Ok(self.placeholder(&secret.name));
        let sources = match host {
            HostKind::EnvoyModule => SecretSources { environment: &environment, discovery: &delivered },
            HostKind::Envoy | HostKind::OlderEnvoy | HostKind::Kong => {
                SecretSources::environment(&environment)
            }
        };
        Settings::parse_for(host, text.as_bytes(), sources)
    }

    fn variable(&self, name: &str) -> Option<String> {
        if self.is_required { std::env::var(name).ok() } else { self.placeholder(name) }
    }

    fn placeholder(&self, name: &str) -> Option<String> {
        if self.keys.contains(name) { private_key() } else { Some(SECRET.to_owned()) }
    }
}

fn collect_keys(node: &Node, keys: &mut BTreeSet<String>) {
    for member in node.members().iter().filter(|member| member.name == "private_key") {
        let delivered = member.value.get("sds").and_then(|secret| secret.text_of("name"));
        keys.extend(member.value.text_of("env").or(delivered).map(str::to_owned));
    }
    node.children().for_each(|child| collect_keys(child, keys));
}

/// Returns a placeholder for a private key.
pub fn private_key() -> Option<String> {
    let key = SecretKey::from_slice(&[1; 32]).ok()?;
    Some(key.to_pkcs8_pem(LineEnding::LF).ok()?.to_string())
}

/// Long enough and valid for every field.
const SECRET: &str = "in-the-place-of-a-variable-of-the-environment";
