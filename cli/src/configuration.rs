//! Finds configurations of the filter in files: alone, or inside a host's configuration.
//!
//! Each is passed to the core as its host would pass it to the filter: an object as JSON, a string unchanged. A file may be
//! embedded in another one, as in a ConfigMap.

use std::borrow::Cow;

use phantom_token_core::HostKind;

use crate::document::{self, Node, Position, Unreadable};
use crate::embedded;
use crate::fail_open::FailOpen;
use crate::foreign::{self, Foreign};
use crate::http_filters::Before;

/// A configuration of the filter, in a file.
#[derive(Clone, Debug)]
pub struct Configuration {
    written: Node,
    /// The text that the filter gets, if the configuration is a string. It has to be JSON.
    text: Option<Text>,
    refusal: Option<&'static str>,
    before: Before,
    fail_open: Vec<FailOpen>,
    host: HostKind,
    /// The origins of the texts that contain the configuration, the innermost first.
    around: Vec<Origin>,
}

/// Where a text is in the file or text that contains it.
#[derive(Clone, Copy, Debug)]
struct Origin {
    at: Position,
    /// Where its lines begin, if the file contains them unchanged.
    lines: Option<Position>,
}

#[derive(Clone, Debug)]
struct Text {
    text: String,
    /// The parsed text, if it can be parsed.
    inside: Option<Node>,
    /// Where the text is in the file.
    origin: Origin,
}

/// Finds the configurations in the documents of a file. A bare configuration in a JSON file has to be JSON for the filter as well.
pub fn find(documents: &[Node], source: &str, is_json: bool) -> Vec<Configuration> {
    find_where(is_bare, documents, source, is_json)
}

fn find_where(
    is_bare: fn(&Node) -> bool,
    documents: &[Node],
    source: &str,
    is_json: bool,
) -> Vec<Configuration> {
    let mut search = Search { source, documents, taken: Vec::new(), found: Vec::new() };
    for document in documents {
        if is_bare(document) {
            let origin = Origin { at: Position::START, lines: Some(Position::START) };
            let text =
                is_json.then(|| Text { text: source.to_owned(), inside: Some(document.clone()), origin });
            search
                .found
                .push(Configuration { text, ..Configuration::written(document, HostKind::default()) });
        } else {
            search.collect(document, &Before::default());
        }
    }
    search.found
}

impl Origin {
    fn of(text: &str, at: Position, source: &str) -> Self {
        Self { at, lines: lines_begin(text, at, source) }
    }

    /// Converts a position in the text to one in the file or text that contains it.
    fn locate(self, inside: Position) -> Position {
        self.lines.map_or(self.at, |lines| lines.plus(inside))
    }
}

impl Configuration {
    fn written(node: &Node, host: HostKind) -> Self {
        Self {
            written: node.clone(),
            text: None,
            refusal: None,
            before: Before::default(),
            fail_open: Vec::new(),
            host,
            around: Vec::new(),
        }
    }

    fn of(node: &Node, source: &str, host: HostKind) -> Self {
        let text = node.text().map(|text| Text {
            text: text.to_owned(),
            inside: document::read(text).ok().and_then(|documents| documents.into_iter().next()),
            origin: Origin::of(text, node.at, source),
        });
        Self { text, ..Self::written(node, host) }
    }

    /// Returns the host that the configuration is for.
    pub fn host(&self) -> HostKind {
        self.host
    }

    /// Returns the text that the filter gets.
    ///
    /// # Errors
    /// The reason why the filter gets no text that it can read.
    pub fn text(&self) -> Result<Cow<'_, str>, &'static str> {
        match (&self.text, self.refusal) {
            (_, Some(refusal)) => Err(refusal),
            (Some(text), None) => Ok(Cow::Borrowed(&text.text)),
            (None, None) => Ok(Cow::Owned(self.written.to_value().to_string())),
        }
    }

    /// Returns the parsed configuration, if it can be parsed.
    pub fn node(&self) -> Option<&Node> {
        match &self.text {
            Some(text) => text.inside.as_ref(),
            None => Some(&self.written),
        }
    }

    /// Returns the HTTP filters that run before it.
    pub fn before(&self) -> &Before {
        &self.before
    }

    /// Returns the settings around it that fail open, each with its position in the file.
    pub fn fail_open(&self) -> impl Iterator<Item = (&FailOpen, Position)> {
        self.fail_open.iter().map(|setting| (setting, self.in_file(setting.at)))
    }

    /// Returns where it begins in the file.
    pub fn at(&self) -> Position {
        self.in_file(match &self.text {
            Some(Text { origin, .. }) => origin.locate(Position::START),
            None => self.written.at,
        })
    }

    /// Returns where one of its fields is in the file.
    pub fn locate(&self, path: &str) -> Position {
        self.in_file(match &self.text {
            None => self.written.locate(path),
            Some(Text { inside: Some(inside), origin, .. }) if !path.is_empty() => {
                origin.locate(inside.locate(path))
            }
            Some(Text { text, origin, .. }) => origin.locate(syntax_error(text)),
        })
    }

    fn in_file(&self, position: Position) -> Position {
        self.around.iter().fold(position, |position, origin| origin.locate(position))
    }
}

/// The search for configurations in a document.
struct Search<'s> {
    source: &'s str,
    documents: &'s [Node],
    /// Where configurations of filters begin, whether of this filter or of others. Nothing else is searched for in them.
    taken: Vec<Position>,
    found: Vec<Configuration>,
}

impl Search<'_> {
    /// Collects configurations from everything that hosts read: Kubernetes resources, Kong's declarative file, and all configuration of
    /// Envoy.
    fn collect(&mut self, node: &Node, before: &Before) {
        if self.taken.contains(&node.at) {
            return;
        }
        for plugin in plugins(node) {
            if let Some(written) = plugin.holder.field(plugin.member) {
                self.taken.push(written.at);
                let mut configuration = self.of_plugin(&plugin, written, before);
                if let Some(configuration) = configuration.as_mut().filter(|_| plugin.host == HostKind::Kong)
                {
                    configuration.fail_open.extend(FailOpen::of_filter_chain(node));
                }
                self.found.extend(configuration);
            }
        }
        if is_of_chart(node) {
            self.taken.push(node.at);
            return self.found.push(Configuration::written(node, HostKind::default()));
        }
        for text in embedded::texts(node).iter().filter(|text| !self.taken.contains(&text.at)) {
            self.found.extend(self.embedded(text));
        }
        let known = self.found.len();
        for member in node.members() {
            if member.is_field(HTTP_FILTERS) {
                let filters = member.value.elements();
                for (index, filter) in filters.iter().enumerate() {
                    self.collect(filter, &Before::place(filters, index));
                }
            } else if member.name != METADATA {
                self.collect(&member.value, before);
            }
        }
        node.elements().iter().for_each(|element| self.collect(element, before));
        if node.field("typed_config").is_some() {
            for configuration in self.found.iter_mut().skip(known) {
                configuration.fail_open.extend(FailOpen::of_http_filter(node, self.documents));
            }
        }
    }

    fn of_plugin(&self, plugin: &Plugin<'_>, written: &Node, before: &Before) -> Option<Configuration> {
        let host = plugin.host;
        let mut configuration = match written.text_of("@type").and_then(|name| name.rsplit('.').next()) {
            None => Configuration::of(written, self.source, host),
            Some("StringValue") => Configuration::of(written.get("value")?, self.source, host),
            // Envoy converts it to JSON for a module, but not for a wasm filter.
            Some("Struct") if host == HostKind::EnvoyModule => {
                Configuration::of(written.get("value")?, self.source, host)
            }
            Some(_) => Configuration { refusal: Some(NO_TEXT), ..Configuration::written(written, host) },
        };
        if !is_ours(plugin.named, &configuration) {
            return None;
        }
        configuration.before = match before {
            Before::Unknown if host != HostKind::Kong => Before::Elsewhere,
            before => before.clone(),
        };
        configuration.fail_open = FailOpen::of_plugin(plugin.holder, host, self.documents);
        Some(configuration)
    }

    /// Finds the configurations in a text, which may be a file itself.
    fn embedded(&self, text: &embedded::Text<'_>) -> Vec<Configuration> {
        let refused = |at: Position, message: &'static str| {
            let node = Node { at, ..Node::NOTHING };
            vec![Configuration {
                refusal: Some(message),
                ..Configuration::written(&node, HostKind::default())
            }]
        };
        let is_meant = text.is_file && is_meant(&text.text);
        let mut inside = match document::read(&text.text) {
            Ok(documents) => find_where(is_whole, &documents, &text.text, text.is_json),
            Err(Unreadable { at, message }) if is_meant => refused(at, message),
            Err(_) => Vec::new(),
        };
        if let Some(Foreign { at, message }) =
            foreign::has_comments(&text.text).filter(|_| inside.is_empty() && is_meant)
        {
            // YAML takes the comments for part of a name.
            inside = refused(at, message);
        }
        // Most texts contain no configuration. Only those that do are located in the lines of the file.
        if !inside.is_empty() {
            let origin = Origin::of(&text.text, text.at, self.source);
            inside.iter_mut().for_each(|configuration| configuration.around.push(origin));
        }
        inside
    }
}

/// A filter in the configuration of a host.
struct Plugin<'n> {
    /// The node that has the name of the filter, or the location of its module.
    named: &'n Node,
    /// The node that has the configuration of the filter.
    holder: &'n Node,
    /// The member of `holder` that is the configuration.
    member: &'static str,
    /// The host that reads the configuration.
    host: HostKind,
}

/// Returns the filters that an object configures, whether this filter or others.
fn plugins(node: &Node) -> Vec<Plugin<'_>> {
    let elements = |names: &[&str]| node.find(names).into_iter().flat_map(Node::elements);
    let one = |holder| Plugin { named: node, holder, member: "pluginConfig", host: HostKind::Envoy };
    let own = |member, host| move |holder| Plugin { named: holder, holder, member, host };
    match node.text_of("kind") {
        Some("WasmPlugin") => node.get("spec").map(one).into_iter().collect(),
        Some("TrafficExtension") => node.find(&["spec", "wasm"]).map(one).into_iter().collect(),
        Some("EnvoyExtensionPolicy") => {
            let wasm = elements(&["spec", "wasm"]).map(own("config", HostKind::Envoy));
            let modules = elements(&["spec", "dynamicModule"]).map(own("config", HostKind::EnvoyModule));
            wasm.chain(modules).collect()
        }
        _ if node.field("dynamic_module_config").is_some() => {
            let filter = own("filter_config", HostKind::EnvoyModule);
            node.field("filter_config").map(|_| filter(node)).into_iter().collect()
        }
        _ if node.find(&["configuration", "@type"]).is_some() => {
            vec![own("configuration", HostKind::Envoy)(node)]
        }
        _ => elements(&["filters"])
            .filter(|filter| filter.field("typed_config").is_none())
            .map(own("config", HostKind::Kong))
            .collect(),
    }
}

/// Whether a filter is this one, by its name or by its configuration.
fn is_ours(named: &Node, configuration: &Configuration) -> bool {
    configuration.node().is_some_and(is_whole) || is_called_so(named)
}

/// Whether an object can only be a configuration of this filter, as among the values of a Helm chart.
fn is_of_chart(node: &Node) -> bool {
    let has_server = SERVERS.iter().any(|name| node.get(name).is_some());
    has_server && !node.get("rules").map_or(&[][..], Node::elements).is_empty()
}

/// Whether an object is a configuration by its content, whatever surrounds it.
fn is_whole(node: &Node) -> bool {
    let has = |name: &&str| node.get(name).is_some();
    has(&"introspection") || (has(&"rules") && SECTIONS.iter().any(has))
}

fn is_called_so(node: &Node) -> bool {
    let is_name = |text: &str| !text.contains('\n') && is_named_in(text);
    node.text().is_some_and(is_name) || node.children().any(is_called_so)
}

/// Whether a text that cannot be parsed seems to contain a configuration.
fn is_meant(text: &str) -> bool {
    is_named_in(text) || (text.contains("rules") && SERVERS.iter().any(|name| text.contains(name)))
}

fn is_named_in(text: &str) -> bool {
    text.contains("phantom-token") || text.contains("phantom_token")
}

/// Whether a document is a bare configuration. A Kubernetes role has `rules` as well.
fn is_bare(document: &Node) -> bool {
    let is_resource = document.get("kind").is_some() && document.get("apiVersion").is_some();
    !is_resource && BARE.iter().any(|name| document.get(name).is_some())
}

/// Returns where the lines of a text begin in the file. The file has the lines of a block scalar behind an indentation, and those of a
/// quoted text only if nothing is escaped.
fn lines_begin(text: &str, at: Position, source: &str) -> Option<Position> {
    let written: Vec<&str> = source.lines().skip(at.line - 1).take(text.lines().count()).collect();
    let stands_at = |column: usize| {
        text.lines().zip(written.iter().copied().map(Some).chain(std::iter::repeat(None))).all(
            |(line, written)| {
                let behind = written.map(|written| written.chars().skip(column - 1).collect::<String>());
                behind.is_some_and(|behind| behind.starts_with(line))
            },
        )
    };
    let column = [at.column, at.column + 1].into_iter().find(|column| stands_at(*column))?;
    Some(Position { column, ..at })
}

/// Returns where a text ceases to be JSON, or its start if it is JSON.
fn syntax_error(text: &str) -> Position {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Err(error) => Position { line: error.line().max(1), column: error.column().max(1) },
        Ok(_) => Position::START,
    }
}

/// The members that configure authorization servers.
const SERVERS: &[&str] = &["introspection", "userinfo", "authorization_servers"];

/// The members by which a document is recognized as a bare configuration.
const BARE: &[&str] = &["introspection", "userinfo", "authorization_servers", "rules"];

/// The members that, beside `rules`, distinguish this filter's configuration from others.
const SECTIONS: &[&str] = &["introspection", "userinfo", "authorization_servers", "profile", "token", "keys"];

/// The member of a Kubernetes resource with its annotations, which may repeat everything that was applied as a text.
const METADATA: &str = "metadata";

/// The HTTP filters of Envoy's connection manager, in their order.
const HTTP_FILTERS: &str = "http_filters";

const NO_TEXT: &str =
    "must be a google.protobuf.StringValue: Envoy hands anything else over as protobuf, which is not JSON";
