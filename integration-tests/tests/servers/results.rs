//! The results, written to `target/servers` for docs/servers.md.

use std::collections::BTreeMap;

use anyhow::Result;
use integration_tests::paths;
use serde_json::json;

use crate::real_server::Profile;

/// The results with one server.
pub struct Results {
    name: String,
    chapter: &'static str,
    version: String,
    noted: BTreeMap<&'static str, String>,
}

impl Results {
    pub fn of(name: &str, profile: &Profile) -> Self {
        let (chapter, version) = (profile.chapter, profile.version.clone());
        Self { name: name.to_owned(), chapter, version, noted: BTreeMap::new() }
    }

    pub fn note(&mut self, what: &'static str, result: &str) {
        self.noted.insert(what, result.to_owned());
    }

    /// Writes the results, once all of them are as they should be.
    pub fn leave(self) -> Result<()> {
        let Self { name, chapter, version, noted } = self;
        let result = json!({"chapter": chapter, "version": version, "noted": noted});
        Ok(std::fs::write(paths::servers()?.join(format!("{name}.json")), result.to_string())?)
    }
}

/// Records that this works in addition with the server.
pub fn leave_beside(name: &str, what: &str) -> Result<()> {
    Ok(std::fs::write(paths::servers()?.join(format!("{name}.{what}.beside")), "")?)
}
