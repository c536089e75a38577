//! The section `mcp`: each MCP server is expanded to rules and to the metadata of a resource, in the sections for these. This happens
//! before the configuration is read, as with profiles, so that `show` prints the result.

use serde_json::{Map, Value, json};

use super::texts::{Identifier, identifier};
use crate::fields::{
    ConfigErrors, FieldPath, Keyword, NonEmptyList, Reader, SecretSources, Visible, keywords, section,
};
use crate::json::members;
use crate::policy::{self, CallSource, TokenConditions};

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
        /// Where the server is at the gateway, nothing below it included. By default the path of `resource`; another where a
        /// proxy in front of this one changes paths, or where `resource` is wider than this place.
        path: String,
        /// As in `rules`. By default all.
        hosts: NonEmptyList<String>,
        /// Whose tokens are taken, by a name in `authorization_servers` at the top; as in `rules`.
        authorization_server: String,
        /// Issuer identifiers for this server alone.
        authorization_servers: NonEmptyList<Identifier>,
        /// What clients may ask for. By default all scopes that are named here.
        scopes_supported: NonEmptyList<String>,
        /// Which calls need no more than `scopes`, and what all others need: scopes per tool.
        per_tool: PerTool,
        /// Whether its session ids are bound to the user and the client, as `session_binding` at the top says; see "Sessions".
        bind_session: bool,
        /// A member of the metadata, which clients show to people.
        resource_name: String,
        /// A member of the metadata.
        resource_documentation: String,
        ..token: TokenConditions,
    }

    /// Scopes per tool. What is harmless is named; all other calls, those of tools that the server will have tomorrow among them, need
    /// `other_scopes` as well.
    pub(super) struct PerTool {
        /// What tells which call it is; see `rules[].mcp.source`.
        source: CallSource = required,
        /// Tools that need no more than `scopes`.
        harmless_tools: NonEmptyList<Visible>,
        /// Methods that need no more. By default those by which clients connect, find out what there is, and report: `initialize`,
        /// `ping`, `server/discover`, `logging/setLevel`, `tools/list`, `prompts/list`, `resources/list`, `resources/templates/list`,
        /// and `notifications/` `initialized`, `cancelled`, `progress` and `roots/list_changed`.
        harmless_methods: NonEmptyList<Visible>,
        /// Calls that need scopes of their own, instead of `other_scopes`; also if they are harmless otherwise. The first that has a call
        /// counts.
        groups: Vec<ToolGroup> = [],
        /// What all other calls need, beside `scopes`.
        other_scopes: NonEmptyList<Visible> = required,
        /// With `header_fields`, what becomes of clients of older revisions, which do not tell the call: `other_scopes`, all of their calls
        /// need these; `refuse`, none is let through.
        older_revisions: OlderRevisions = "other_scopes",
    }

    /// Calls that need the same scopes.
    pub(super) struct ToolGroup {
        /// Tools.
        tools: NonEmptyList<Visible>,
        /// Methods.
        methods: NonEmptyList<Visible>,
        /// What they need, beside the server's `scopes`.
        scopes: NonEmptyList<Visible> = required,
    }
}

/// `mcp.servers[].per_tool.older_revisions`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum OlderRevisions {
    OtherScopes,
    Refuse,
}

keywords! {
    OlderRevisions { OtherScopes = "other_scopes" or Refuse = "refuse" }
}

/// The result of expanding a section.
#[derive(Default)]
pub(super) struct Expansion {
    /// The path of each added element, and that of the server it comes from.
    origins: Vec<(String, String)>,
}

impl Expansion {
    /// Moves errors in added elements to the server that the operator wrote.
    pub(super) fn relocate(&self, errors: &mut ConfigErrors) {
        for (element, server) in &self.origins {
            errors.relocate(element, server);
        }
    }
}

/// Expands the section `mcp` of a configuration. A section with errors is not expanded: they are reported when it is read.
pub(super) fn expand(configuration: &mut Map<String, Value>) -> Expansion {
    let Some(written) = configuration.get("mcp") else { return Expansion::default() };
    let (mcp, errors) = Reader::read::<Mcp>(written, SecretSources::environment(&|_| None));
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
        let base = server.rule(written, mints, metadata.is_some());
        let rules = server.rules(base).into_iter().map(|rule| ("rules", rule));
        for (list, element) in
            metadata.into_iter().map(|metadata| ("resource_metadata", metadata)).chain(rules)
        {
            if let Some(place) = append(configuration, list, element) {
                expansion.origins.push((format!("{list}[{place}]"), format!("mcp.servers[{index}]")));
            }
        }
    }
    expansion
}

impl Mcp {
    /// Reports errors that depend on other sections.
    #[inline(never)]
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

    /// Returns the metadata that clients read (RFC 9728 §2). Returns `None` if there is no authorization server to name.
    #[inline(never)]
    fn metadata(&self, issuers: &[String]) -> Option<Value> {
        let servers = self.authorization_servers.as_deref().unwrap_or(issuers);
        if servers.is_empty() {
            return None;
        }
        let supported = self.scopes_supported.clone().unwrap_or_else(|| self.scopes());
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

    /// Returns all scopes that the section names, each once.
    fn scopes(&self) -> Vec<String> {
        let Self { token, per_tool, .. } = self;
        let groups =
            per_tool.iter().flat_map(|per_tool| per_tool.groups.iter().flat_map(|group| &group.scopes));
        let others = per_tool.iter().flat_map(|per_tool| &per_tool.other_scopes);
        let own = [&token.scopes, &token.scopes_any_of].into_iter().flatten().flatten();
        let mut scopes: Vec<String> = Vec::new();
        for scope in own.chain(groups).chain(others) {
            if !scopes.contains(scope) {
                scopes.push(scope.clone());
            }
        }
        scopes
    }

    /// Returns the rules: one for all requests, or several if calls differ in the scopes that they need.
    #[inline(never)]
    fn rules(&self, base: Map<String, Value>) -> Vec<Value> {
        let Some(per_tool) = &self.per_tool else { return vec![base.into()] };
        let rule = |methods: &[&str], scopes: &[String], conditions: Vec<(&str, Value)>| {
            let mut rule = base.clone();
            rule.insert("methods".to_owned(), json!(methods));
            if !scopes.is_empty() {
                let all: Vec<&String> = self.token.scopes.iter().flatten().chain(scopes).collect();
                rule.insert("scopes".to_owned(), json!(all));
            }
            rule.extend(conditions.into_iter().map(|(name, condition)| (name.to_owned(), condition)));
            Value::from(rule)
        };
        let call = |methods: &Value, tools: &Option<Vec<String>>| {
            let mut call = members([("source", json!(per_tool.source.word()))]);
            let lists = [("methods", methods.clone()), ("tools", json!(tools))];
            let lists = lists.into_iter().filter(|(_, list)| !list.is_null());
            call.extend(lists.map(|(name, list)| (name.to_owned(), list)));
            vec![("mcp", call.into())]
        };
        let harmless =
            per_tool.harmless_methods.as_ref().map_or_else(|| json!(HARMLESS), |methods| json!(methods));
        let others = match (per_tool.source, per_tool.older_revisions) {
            (CallSource::HeaderFields, OlderRevisions::Refuse) => {
                vec![(
                    "headers",
                    json!([{"name": "mcp-protocol-version", "one_of": policy::CHECKED_REVISIONS}]),
                )]
            }
            _ => Vec::new(),
        };
        // The groups come first: a call with scopes of its own needs them even if it is harmless by default.
        let mut rules = vec![rule(&["GET", "DELETE"], &[], Vec::new())];
        for group in &per_tool.groups {
            rules.push(rule(&["POST"], &group.scopes, call(&json!(group.methods), &group.tools)));
        }
        rules.push(rule(&["POST"], &[], call(&harmless, &per_tool.harmless_tools)));
        rules.push(rule(&["POST"], &per_tool.other_scopes, others));
        rules
    }

    /// Returns the rule for all requests: the conditions as written, and the fields derived from the server.
    fn rule(&self, written: &Value, mints: bool, has_metadata: bool) -> Map<String, Value> {
        let mut rule = members([
            ("path", json!(self.path())),
            ("path_match", json!("exact")),
            ("methods", json!(["GET", "POST", "DELETE"])),
            ("audience", json!([self.resource])),
        ]);
        rule.extend(self.hosts.iter().map(|hosts| ("hosts".to_owned(), json!(hosts))));
        let server = self.authorization_server.iter();
        rule.extend(server.map(|name| ("authorization_server".to_owned(), json!(name))));
        rule.extend(self.bind_session.map(|binds| ("bind_session".to_owned(), json!(binds))));
        if has_metadata {
            rule.insert("resource".to_owned(), json!(self.resource));
        }
        if mints {
            rule.insert("mint".to_owned(), json!({"audience": self.resource}));
        }
        for (name, value) in written.as_object().into_iter().flatten() {
            if TokenConditions::FIELDS.iter().any(|field| field.name == name) {
                rule.insert(name.clone(), value.clone());
            }
        }
        rule
    }
}

/// Returns the issuers of all servers of a configuration.
fn issuers(configuration: &Map<String, Value>) -> Vec<String> {
    let issuer = |server: &Map<String, Value>| {
        server.get("token")?.get("issuer").and_then(Value::as_str).map(str::to_owned)
    };
    let servers = configuration.get("authorization_servers").and_then(Value::as_array);
    let of_servers = servers.into_iter().flatten().filter_map(Value::as_object).filter_map(issuer);
    issuer(configuration).into_iter().chain(of_servers).collect()
}

/// Appends an element to a list, which may be written as a single element. Returns its index.
fn append(configuration: &mut Map<String, Value>, name: &str, element: Value) -> Option<usize> {
    let list = configuration.entry(name).or_insert_with(|| json!([]));
    if list.is_object() {
        *list = json!([list.take()]);
    }
    let list = list.as_array_mut()?;
    list.push(element);
    list.len().checked_sub(1)
}

/// The methods by which clients connect, discover what there is, and report.
const HARMLESS: &[&str] = &[
    "initialize",
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/roots/list_changed",
    "ping",
    "server/discover",
    "logging/setLevel",
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
];

#[cfg(test)]
mod tests;
