//! Stands in for the proxy's environment: for most errors, the values of its variables do not matter.

use std::collections::BTreeSet;

use p256::SecretKey;
use p256::pkcs8::{EncodePrivateKey, LineEnding};

use crate::document::Node;

/// What stands for a variable.
pub struct Environment {
    is_required: bool,
    /// The variables that hold private keys.
    keys: BTreeSet<String>,
}

impl Environment {
    /// The variables of this very process, which have to be there.
    pub fn required() -> Self {
        Self { is_required: true, keys: BTreeSet::new() }
    }

    /// Something in the place of each variable that this configuration names.
    pub fn placeholders(configuration: Option<&Node>) -> Self {
        let mut keys = BTreeSet::new();
        configuration.into_iter().for_each(|node| collect_keys(node, &mut keys));
        Self { is_required: false, keys }
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<String> {
        match self.is_required {
            true => std::env::var(name).ok(),
            false if self.keys.contains(name) => private_key(),
            false => Some(SECRET.to_owned()),
        }
    }
}

fn collect_keys(node: &Node, keys: &mut BTreeSet<String>) {
    for member in node.members().iter().filter(|member| member.name == "private_key") {
        keys.extend(member.value.text_of("env").map(str::to_owned));
    }
    node.children().for_each(|child| collect_keys(child, keys));
}

/// A placeholder key.
pub fn private_key() -> Option<String> {
    let key = SecretKey::from_slice(&[1; 32]).ok()?;
    Some(key.to_pkcs8_pem(LineEnding::LF).ok()?.to_string())
}

/// Long enough for every field, and good for each.
const SECRET: &str = "in-the-place-of-a-variable-of-the-environment";
