//! Texts in a file that may be files themselves: entries of a ConfigMap or a Secret, the bootstrap in Envoy Gateway's EnvoyProxy, the
//! values of a Helm chart. Base64 in Kubernetes resources is decoded.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::document::{Member, Node, Position};
use crate::foreign;

/// A text that may be a file itself.
pub struct Text<'n> {
    /// The decoded text.
    pub text: Cow<'n, str>,
    /// Where it begins.
    pub at: Position,
    /// Whether it is meant as a YAML or JSON file, so that it has to be one.
    pub is_file: bool,
    /// Whether it has to be JSON, by its name or by its first characters.
    pub is_json: bool,
}

/// Returns the texts directly in an object or a list.
pub fn texts(node: &Node) -> Vec<Text<'_>> {
    let kind = node.text_of("kind");
    let encoded = match kind {
        Some("Secret") => node.get("data"),
        Some("ConfigMap") => node.get("binaryData"),
        _ => None,
    };
    let decoded = encoded.into_iter().flat_map(Node::members).filter_map(decoded);
    let members = node.members().iter().filter_map(|member| plain(&member.name, &member.value));
    decoded.chain(members).chain(node.elements().iter().filter_map(|element| plain("", element))).collect()
}

/// Returns a text that has several lines, or looks like JSON.
fn plain<'n>(name: &str, node: &'n Node) -> Option<Text<'n>> {
    let text = node.text().filter(|text| text.contains('\n') || text.trim_start().starts_with('{'))?;
    Some(Text::named(name, text.into(), node.at))
}

fn decoded(member: &Member) -> Option<Text<'_>> {
    let encoded: String = member.value.text()?.split_ascii_whitespace().collect();
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    Some(Text::named(&member.name, text.into(), member.value.at))
}

impl<'n> Text<'n> {
    fn named(name: &str, text: Cow<'n, str>, at: Position) -> Self {
        let is = |extensions: &[&str]| extensions.iter().any(|extension| name.ends_with(extension));
        let is_yaml = is(&[".yaml", ".yml"]);
        let is_json = is(&[".json"]) || (!is_yaml && foreign::is_meant_as_json(&text));
        Self { text, at, is_file: is_yaml || is_json, is_json }
    }
}
