//! The section `mcp`: what follows from which paths are MCP servers, in the fields that are there: a rule and the metadata of a
//! resource for each. It is expanded before the configuration is read, as profiles are, so that `show` prints what it comes to.

use serde_json::{Map, Value, json};

use super::rules::TokenConditions;
use super::texts::{Identifier, identifier};
use crate::fields::{ConfigErrors, FieldPath, NonEmptyList, Reader, section};

section! {
    /// MCP servers behind the gateway.
    pub(super) struct Mcp {
        /// Issuer identifiers of the authorization servers that clients are sent to. By default each `token.issuer`.
        authorization_servers: NonEmptyList<Identifier>,
        /// The servers. Each comes to a rule, and to an element of `resource_metadata`.
        servers: NonEmptyList<McpServer> = required,
    }

    /// An MCP server.
    pub(super) struct McpServer {
        /// The resource identifier: the URL that people enter in their client. Clients ask for a token for it
        /// ([RFC 8707](https://www.rfc-editor.org/rfc/rfc8707)), so it is the audience.
        resource: Identifier = required,
        /// Where the server is at the gateway, nothing below it included. By default the path of `resource`.
        path: String,
        /// As in `rules`. By default all.
        hosts: NonEmptyList<String>,
        /// Whose tokens are taken, by a name in `authorization_servers` at the top; as in `rules`.
        authorization_server: String,
        /// Issuer identifiers for this server alone.
        authorization_servers: NonEmptyList<Identifier>,
        /// What clients may ask for. By default all scopes that are named here.
        scopes_supported: NonEmptyList<String>,
        /// A member of the metadata, which clients show to people.
        resource_name: String,
        /// A member of the metadata.
        resource_documentation: String,
        ..token: TokenConditions,
    }
}

/// What a section came to.
#[derive(Default)]
pub(super) struct Expansion {
    /// The paths of the elements that were added, and of what they come from.
    origins: Vec<(String, String)>,
}

impl Expansion {
    /// Puts the errors of these elements where their author finds them.
    pub(super) fn relocate(&self, errors: &mut ConfigErrors) {
        for (element, server) in &self.origins {
            errors.relocate(element, server);
        }
    }
}

/// Adds to a configuration what its section `mcp` comes to. A section with errors comes to nothing: reading it reports them.
pub(super) fn expand(configuration: &mut Map<String, Value>) -> Expansion {
    let Some(written) = configuration.get("mcp") else { return Expansion::default() };
    let (mcp, errors) = Reader::read::<Mcp>(written, &|_| None);
    if errors.iter().next().is_some() {
        return Expansion::default();
    }
    let issuers = mcp.authorization_servers.unwrap_or_else(|| issuers(configuration));
    let mints = configuration.contains_key("mint");
    let servers = written.get("servers").and_then(Value::as_array).into_iter().flatten();
    let written: Vec<Value> = servers.cloned().collect();
    let mut expansion = Expansion::default();
    for (index, (server, written)) in mcp.servers.iter().zip(&written).enumerate() {
        let metadata = server.metadata(&issuers);
        let rule = server.rule(written, mints);
        for (list, element) in [("resource_metadata", metadata), ("rules", Some(rule))] {
            let Some(element) = element else { continue };
            if let Some(place) = append(configuration, list, element) {
                expansion.origins.push((format!("{list}[{place}]"), format!("mcp.servers[{index}]")));
            }
        }
    }
    expansion
}

impl Mcp {
    /// Notes what its fields have to do with the others.
    pub(super) fn check(&self, has_issuers: bool, errors: &mut ConfigErrors) {
        let at = FieldPath::Root.field("mcp");
        let names_own = |server: &McpServer| server.authorization_servers.is_some();
        if self.authorization_servers.is_none() && !has_issuers && !self.servers.iter().all(names_own) {
            errors.note(at.field("authorization_servers"), "is required where there is no token.issuer");
        }
    }
}

impl McpServer {
    fn path(&self) -> String {
        let of_resource = || identifier(&self.resource).map(|(_, path)| path).unwrap_or_default();
        let path = self.path.clone().unwrap_or_else(of_resource);
        match path.strip_suffix('/').unwrap_or(&path) {
            "" => "/".to_owned(),
            path => path.to_owned(),
        }
    }

    /// What clients read of it (RFC 9728 §2); nothing, if there is no authorization server to name.
    fn metadata(&self, issuers: &[String]) -> Option<Value> {
        let servers = self.authorization_servers.as_deref().unwrap_or(issuers);
        if servers.is_empty() {
            return None;
        }
        let scopes = [&self.token.scopes, &self.token.scopes_any_of].into_iter().flatten().flatten();
        let supported = match &self.scopes_supported {
            Some(supported) => supported.clone(),
            None => scopes.cloned().collect(),
        };
        let mut metadata = Map::new();
        metadata.insert("resource".to_owned(), json!(self.resource));
        metadata.insert("authorization_servers".to_owned(), json!(servers));
        if !supported.is_empty() {
            metadata.insert("scopes_supported".to_owned(), json!(supported));
        }
        let texts = [
            ("resource_name", &self.resource_name),
            ("resource_documentation", &self.resource_documentation),
        ];
        for (name, text) in texts {
            metadata.extend(text.iter().map(|text| (name.to_owned(), json!(text))));
        }
        Some(metadata.into())
    }

    /// The rule for all calls: what is written of it, and what follows.
    fn rule(&self, written: &Value, mints: bool) -> Value {
        let mut rule = Map::from_iter([
            ("path".to_owned(), json!(self.path())),
            ("path_match".to_owned(), json!("exact")),
            ("methods".to_owned(), json!(["GET", "POST", "DELETE"])),
            ("audience".to_owned(), json!([self.resource])),
        ]);
        rule.extend(self.hosts.iter().map(|hosts| ("hosts".to_owned(), json!(hosts))));
        let server = self.authorization_server.iter();
        rule.extend(server.map(|name| ("authorization_server".to_owned(), json!(name))));
        if mints {
            rule.insert("mint".to_owned(), json!({"audience": self.resource}));
        }
        for (name, value) in written.as_object().into_iter().flatten() {
            if TokenConditions::FIELDS.iter().any(|field| field.name == name) {
                rule.insert(name.clone(), value.clone());
            }
        }
        rule.into()
    }
}

/// The issuers of all servers of a configuration.
fn issuers(configuration: &Map<String, Value>) -> Vec<String> {
    let issuer = |server: &Map<String, Value>| {
        server.get("token")?.get("issuer").and_then(Value::as_str).map(str::to_owned)
    };
    let servers = configuration.get("authorization_servers").and_then(Value::as_array);
    let of_servers = servers.into_iter().flatten().filter_map(Value::as_object).filter_map(issuer);
    issuer(configuration).into_iter().chain(of_servers).collect()
}

/// Adds an element to a list; its place there.
fn append(configuration: &mut Map<String, Value>, name: &str, element: Value) -> Option<usize> {
    let list = configuration.entry(name).or_insert_with(|| json!([])).as_array_mut()?;
    list.push(element);
    list.len().checked_sub(1)
}

#[cfg(test)]
mod tests;
