//! Formats an explanation for people.

use std::fmt::Write;

use phantom_token_core::driver::Outcome;
use serde_json::Value;

use super::Explanation;
use crate::configuration::Configuration;
use crate::document::{Node, Position};
use crate::report::{BAD, BOLD, GOOD, plain};

/// Formats an explanation, with the rules as written in their file.
pub fn text(explanation: &Explanation, configuration: &Configuration, file: &str) -> String {
    let mut text = String::new();
    for place in &explanation.rules {
        let WrittenRule { path, at, members } = written_rule(explanation, configuration, *place);
        let _ = writeln!(text, "{BOLD}rule{BOLD:#}     {path}, {}:{}", plain(file), at.line);
        for (name, value) in members {
            let _ = writeln!(text, "           {}: {}", plain(&name), plain(&value));
        }
    }
    if explanation.rules.is_empty() {
        let _ = writeln!(text, "{BOLD}rule{BOLD:#}     none");
    }
    if let Some(note) = &explanation.note {
        let _ = writeln!(text, "{BOLD}note{BOLD:#}     {}", plain(note));
    }
    for exchange in &explanation.exchanges {
        let _ = writeln!(text, "{BOLD}asked{BOLD:#}    {}", plain(&exchange.to_string()));
    }
    match &explanation.outcome {
        Outcome::Waiting => {
            let _ = writeln!(
                text,
                "{BOLD}answer{BOLD:#}   the authorization server is asked about the token: give what it says\n         by --claims"
            );
        }
        Outcome::Answered(reply) => {
            let reason = reply.reason;
            let style = if reason.is_some() { BAD } else { GOOD };
            let name = reason.unwrap_or("by the gateway itself");
            let _ = writeln!(text, "{BOLD}answer{BOLD:#}   {style}{} {name}{style:#}", reply.status);
            if let Some(member) = reply.member {
                let _ = writeln!(text, "           because of {member}");
            }
            for (name, value) in &reply.headers {
                let _ = writeln!(text, "           {name}: {}", plain(value));
            }
            if reason.is_some() {
                let _ = writeln!(text, "           {}", plain(&reply.body));
            }
        }
        Outcome::Forwarded { filter_state, shadow_denied, .. } => {
            let _ = writeln!(text, "{BOLD}answer{BOLD:#}   {GOOD}forwarded{GOOD:#}");
            if let Some(reason) = shadow_denied {
                let name = reason.name();
                let _ =
                    writeln!(text, "           {BAD}{name}{BAD:#}, shadow denied: the rule is report_only");
            }
            let changes = explanation.set();
            for (name, value) in &changes {
                let _ = writeln!(text, "           {}: {}", plain(name), plain(value));
            }
            for name in explanation.removed() {
                let _ = writeln!(text, "           without {}", plain(&name));
            }
            if changes.is_empty() && explanation.removed().is_empty() {
                let _ = writeln!(text, "           unchanged");
            }
            for (name, value) in filter_state {
                let _ = writeln!(text, "           filter state wasm.{}: {}", plain(name), plain(value));
            }
        }
    }
    text
}

/// A rule as the operator wrote it.
pub struct WrittenRule {
    /// Its path in the configuration.
    pub path: String,
    /// Where it is in the file.
    pub at: Position,
    /// Its members, with their values.
    pub members: Vec<(String, String)>,
}

/// Returns the rule at an index as the operator wrote it. The file does not contain rules that `mcp` generates: these are shown with their
/// effective members.
pub fn written_rule(explanation: &Explanation, configuration: &Configuration, place: usize) -> WrittenRule {
    let rules = configuration.node().and_then(|node| node.get("rules"));
    let (path, members) = match rules.and_then(|rules| rules.elements().get(place)) {
        Some(rule) => {
            let members = rule.members().iter();
            let members = members.map(|member| (member.name.clone(), shown(&member.value.to_value())));
            (format!("rules[{place}]"), members.collect())
        }
        None => {
            let rule = explanation.effective_rules.get(place);
            (place_of_server(configuration, rule), members_of(rule))
        }
    };
    WrittenRule { at: configuration.locate(&path), path, members }
}

/// Returns the path of the MCP server that a rule comes from. No two servers have the same resource.
fn place_of_server(configuration: &Configuration, rule: Option<&Value>) -> String {
    let resource = rule.and_then(|rule| rule.get("resource")?.as_str());
    let servers = configuration.node().and_then(|node| node.find(&["mcp", "servers"]));
    let mut servers = servers.into_iter().flat_map(Node::elements);
    let index = servers.position(|server| resource.is_some() && server.text_of("resource") == resource);
    index.map_or_else(|| "mcp".to_owned(), |index| format!("mcp.servers[{index}]"))
}

fn members_of(rule: Option<&Value>) -> Vec<(String, String)> {
    let members = rule.and_then(Value::as_object).into_iter().flatten();
    members.map(|(name, value)| (name.clone(), shown(value))).collect()
}

/// Formats a value as an operator would write it.
fn shown(value: &Value) -> String {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match value {
        Value::Array(elements) => elements.iter().map(word).collect::<Vec<_>>().join(", "),
        value => word(value),
    }
}
