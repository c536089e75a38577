//! Where configurations of the filter stand in files: alone, or in what hosts read.
//!
//! Each is given to the core as its host would give it to the filter: an object as JSON, a text as it is.

use std::borrow::Cow;

use phantom_token_core::HostKind;

use crate::document::{self, Node, Position};
use crate::http_filters::Before;

/// A configuration of the filter, in a file.
#[derive(Clone, Debug)]
pub struct Configuration {
    written: Node,
    /// What the filter gets, if that is a text: it has to be JSON.
    text: Option<Text>,
    refusal: Option<&'static str>,
    before: Before,
    host: HostKind,
}

#[derive(Clone, Debug)]
struct Text {
    text: String,
    /// What is in it, if that can be read.
    inside: Option<Node>,
    /// Where it begins, if its lines stand in the file as they are.
    origin: Option<Position>,
}

/// Finds the configurations in the documents of a file. A JSON file has to be JSON to the filter as well.
pub fn find(documents: &[Node], source: &str, is_json: bool) -> Vec<Configuration> {
    let mut found = Vec::new();
    for document in documents {
        let before = found.len();
        collect(document, source, &Before::default(), &mut found);
        if found.len() == before && BARE.iter().any(|name| document.get(name).is_some()) {
            let text = is_json.then(|| Text {
                text: source.to_owned(),
                inside: Some(document.clone()),
                origin: Some(Position::START),
            });
            found.push(Configuration {
                written: document.clone(),
                text,
                refusal: None,
                before: Before::default(),
                host: HostKind::default(),
            });
        }
    }
    found
}

impl Configuration {
    fn of(node: &Node, source: &str, host: HostKind) -> Self {
        let text = node.text().map(|text| Text {
            text: text.to_owned(),
            inside: document::read(text).ok().and_then(|documents| documents.into_iter().next()),
            origin: origin(text, node.at, source),
        });
        Self { written: node.clone(), text, refusal: None, before: Before::default(), host }
    }

    /// Which host it is for.
    pub fn host(&self) -> HostKind {
        self.host
    }

    /// What the filter gets.
    ///
    /// # Errors
    /// Why it gets nothing that it can read.
    pub fn text(&self) -> Result<Cow<'_, str>, &'static str> {
        match (&self.text, self.refusal) {
            (_, Some(refusal)) => Err(refusal),
            (Some(text), None) => Ok(Cow::Borrowed(&text.text)),
            (None, None) => Ok(Cow::Owned(self.written.to_value().to_string())),
        }
    }

    /// What is written in it, as far as that can be read.
    pub fn node(&self) -> Option<&Node> {
        match &self.text {
            Some(text) => text.inside.as_ref(),
            None => Some(&self.written),
        }
    }

    /// The HTTP filters before it.
    pub fn before(&self) -> &Before {
        &self.before
    }

    /// Where it begins.
    pub fn at(&self) -> Position {
        match &self.text {
            Some(Text { origin: Some(origin), .. }) => *origin,
            _ => self.written.at,
        }
    }

    /// Where a field of it is in the file.
    pub fn locate(&self, path: &str) -> Position {
        let Some(Text { text, inside, origin }) = &self.text else { return self.written.locate(path) };
        match (inside, origin) {
            (_, None) => self.written.at,
            (Some(inside), Some(origin)) if !path.is_empty() => origin.plus(inside.locate(path)),
            (_, Some(origin)) => origin.plus(syntax_error(text)),
        }
    }
}

/// What hosts read: resources of Kubernetes, the declarative file of Kong, and everything that configures Envoy.
fn collect(node: &Node, source: &str, before: &Before, found: &mut Vec<Configuration>) {
    for Plugin { named, holder, member, host } in plugins(node) {
        let Some(written) = holder.get(member) else { continue };
        let mut configuration = match written.text_of("@type").and_then(|name| name.rsplit('.').next()) {
            None => Configuration::of(written, source, host),
            Some("StringValue") => match written.get("value") {
                Some(value) => Configuration::of(value, source, host),
                None => continue,
            },
            Some(_) => Configuration {
                written: written.clone(),
                text: None,
                refusal: Some(NO_TEXT),
                before: Before::default(),
                host,
            },
        };
        if is_ours(named, &configuration) {
            configuration.before = match before {
                Before::Unknown if host == HostKind::Envoy => Before::Elsewhere,
                before => before.clone(),
            };
            found.push(configuration);
        }
    }
    for member in node.members() {
        match member.name.as_str() {
            HTTP_FILTERS => {
                let filters = member.value.elements();
                for (index, filter) in filters.iter().enumerate() {
                    collect(filter, source, &Before::place(filters, index), found);
                }
            }
            _ => collect(&member.value, source, before, found),
        }
    }
    node.elements().iter().for_each(|element| collect(element, source, before, found));
}

/// A filter in what a host reads.
struct Plugin<'n> {
    /// What tells its name, or where its module is.
    named: &'n Node,
    /// What has its configuration.
    holder: &'n Node,
    /// Under which name.
    member: &'static str,
    /// What reads it.
    host: HostKind,
}

/// The filters that this object configures, be they ours or not.
fn plugins(node: &Node) -> Vec<Plugin<'_>> {
    let elements = |names: &[&str]| node.find(names).into_iter().flat_map(Node::elements);
    let one = |holder| Plugin { named: node, holder, member: "pluginConfig", host: HostKind::Envoy };
    let own = |member, host| move |holder| Plugin { named: holder, holder, member, host };
    match node.text_of("kind") {
        Some("WasmPlugin") => node.get("spec").map(one).into_iter().collect(),
        Some("TrafficExtension") => node.find(&["spec", "wasm"]).map(one).into_iter().collect(),
        Some("EnvoyExtensionPolicy") => {
            elements(&["spec", "wasm"]).map(own("config", HostKind::Envoy)).collect()
        }
        _ if node.find(&["configuration", "@type"]).is_some() => {
            vec![own("configuration", HostKind::Envoy)(node)]
        }
        _ => elements(&["filters"])
            .filter(|filter| filter.get("typed_config").is_none())
            .map(own("config", HostKind::Kong))
            .collect(),
    }
}

/// Whether a filter is this one, by what it is called or by what configures it.
fn is_ours(named: &Node, configuration: &Configuration) -> bool {
    let has = |name: &&str| configuration.node().is_some_and(|node| node.get(name).is_some());
    has(&"introspection") || (has(&"rules") && SECTIONS.iter().any(has)) || is_called_so(named)
}

fn is_called_so(node: &Node) -> bool {
    let is_name = |text: &str| {
        !text.contains('\n') && (text.contains("phantom-token") || text.contains("phantom_token"))
    };
    node.text().is_some_and(is_name) || node.children().any(is_called_so)
}

/// Where a text begins in the file: the lines of a block stand there behind an indentation, and those of a quoted text where
/// nothing in it is escaped.
fn origin(text: &str, at: Position, source: &str) -> Option<Position> {
    let written: Vec<&str> = source.lines().skip(at.line - 1).collect();
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

/// Where it shows that a text is not JSON; where it begins, if it is.
fn syntax_error(text: &str) -> Position {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Err(error) => Position { line: error.line().max(1), column: error.column().max(1) },
        Ok(_) => Position::START,
    }
}

/// Of a document that is nothing else, these are enough to see that it is a configuration.
const BARE: &[&str] = &["introspection", "authorization_servers", "rules"];

/// What makes it ours beside its rules.
const SECTIONS: &[&str] = &["introspection", "authorization_servers", "profile", "token", "keys"];

/// The filters of Envoy's connection manager, in their order.
const HTTP_FILTERS: &str = "http_filters";

const NO_TEXT: &str =
    "must be a google.protobuf.StringValue: Envoy hands anything else over as protobuf, which is not JSON";
