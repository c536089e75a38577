//! Recognizes files that are not a configuration as they stand: a template, another language, encrypted or damaged text. Each row says what
//! to do about it. No message quotes the file.

use crate::document::{Node, Position};

/// The nature of a text, and where the text reveals it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// The position that reveals it.
    pub at: Position,
    /// What the text is and what to do, as a sentence for the operator.
    pub message: &'static str,
}

/// Describes bytes that are not UTF-8 text.
pub fn of_bytes(bytes: &[u8]) -> &'static str {
    let rows: &[(&[u8], &str)] = &[
        (b"\xff\xfe", UTF_16),
        (b"\xfe\xff", UTF_16),
        (b"\x1f\x8b", "it is compressed: gunzip it first"),
        (b"\0asm", "it is a wasm module, not a configuration"),
    ];
    rows.iter().find(|(mark, _)| bytes.starts_with(mark)).map_or("it is not UTF-8 text", |(_, what)| what)
}

/// Describes a file whose name says that it is neither YAML nor JSON.
pub fn of_name(name: &str) -> Option<&'static str> {
    let rows: &[(&[&str], &str)] = &[
        (&[".tpl", ".gotmpl"], HELM),
        (&[".j2", ".jinja", ".jinja2"], JINJA),
        (&[".erb", ".mustache", ".tmpl"], TEMPLATE),
        (&[".jsonnet", ".libsonnet"], JSONNET),
        (&[".tf", ".hcl"], TERRAFORM),
        (&[".cue"], CUE),
        (&[".toml"], TOML),
    ];
    rows.iter().find(|(ends, _)| ends.iter().any(|end| name.ends_with(end))).map(|(_, what)| *what)
}

/// Describes a text that is neither YAML nor JSON. It can be parsed up to about this line, so the lines before and after it are checked as
/// well.
pub fn of_unreadable(text: &str, line: usize) -> Option<Foreign> {
    let around = [line, line + 1, line.saturating_sub(1)];
    first(UNREADABLE, text).or_else(|| around.into_iter().find_map(|line| of_line(text, line)))
}

/// Describes a text that can be parsed, but contains no configuration.
pub fn of_nothing(text: &str, documents: &[Node]) -> Option<Foreign> {
    let is = |node: &Node, name: &str, value: &str| node.text_of(name) == Some(value);
    let of_node = |node: &Node| {
        let message = if is(node, "kind", "Kustomization") || is(node, "kind", "Component") {
            KUSTOMIZATION
        } else if is(node, "apiVersion", "v2") && node.get("version").is_some() {
            CHART
        } else if is(node, "kind", "SealedSecret") || node.get("sops").is_some() {
            ENCRYPTED
        } else {
            return None;
        };
        Some(Foreign { at: node.at, message })
    };
    let is_prose = documents.iter().all(|document| document.text().is_some());
    first(READABLE, text)
        .or_else(|| documents.iter().find_map(of_node))
        .or_else(|| if is_prose { first(UNREADABLE, text) } else { None })
}

/// Describes the mistake in the text of a configuration that has to be JSON, but is not.
pub fn of_json(text: &str) -> Option<&'static str> {
    first(NOT_JSON, text).map(|foreign| foreign.message)
}

/// Describes a placeholder in a line that is yet to be filled in, or damage by an editor.
pub fn of_line(text: &str, line: usize) -> Option<Foreign> {
    let written = text.lines().nth(line.checked_sub(1)?)?;
    let Foreign { at, message } = first(PLACEHOLDERS, written).or_else(|| first(DAMAGE, written))?;
    Some(Foreign { at: Position { line, ..at }, message })
}

/// Returns the byte offset at which a text shows what it is.
type Sign = fn(&str) -> Option<usize>;

type Row = (Sign, &'static str);

fn first(rows: &[Row], text: &str) -> Option<Foreign> {
    rows.iter().find_map(|(sign, message)| Some(Foreign { at: position(text, sign(text)?), message }))
}

fn position(text: &str, offset: usize) -> Position {
    let before = text.get(..offset).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    Position { line: before.matches('\n').count() + 1, column }
}

/// Returns the offset of the first line that begins with one of these.
fn line_of(text: &str, beginnings: &[&str]) -> Option<usize> {
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        if beginnings.iter().any(|beginning| line.starts_with(beginning)) {
            return Some(offset);
        }
        offset += line.len();
    }
    None
}

fn any_of(text: &str, marks: &[&str]) -> Option<usize> {
    marks.iter().filter_map(|mark| text.find(mark)).min()
}

/// Returns the first offset of `begin` that `end` follows on the same line.
fn enclosed(text: &str, begin: &str, end: &str) -> Option<usize> {
    text.match_indices(begin).map(|(at, _)| at).find(|at| {
        let rest = text.get(*at + begin.len()..).unwrap_or_default();
        rest.lines().next().is_some_and(|line| line.contains(end))
    })
}

/// Returns the offset of the first placeholder that encloses a name: not `$(1 + 1)`, nor a lone `${`.
fn named(text: &str, begin: &str, end: char) -> Option<usize> {
    text.match_indices(begin).map(|(at, _)| at).find(|at| {
        let rest = text.get(*at + begin.len()..).unwrap_or_default();
        let name = rest.split(end).next().unwrap_or_default();
        let is_name = |character: char| character.is_ascii_alphanumeric() || "_.-:=?".contains(character);
        name.len() < rest.len() && !name.is_empty() && name.chars().all(is_name)
    })
}

fn is_json_like(text: &str) -> bool {
    let rest = text.trim_start_matches('\u{feff}').trim_start();
    let is_object = rest.starts_with(['{', '[']) && !rest.starts_with("{{");
    is_object || rest.starts_with("//") || rest.starts_with("/*")
}

/// Returns the offset of a trailing comma in a list or an object, outside of strings, in what looks like JSON.
fn trailing_comma(text: &str) -> Option<usize> {
    let after = |at: usize| text.get(at + 1..).unwrap_or_default().trim_start();
    json_mark(text, |at, rest| rest.starts_with(',') && after(at).starts_with(['}', ']']))
}

/// Returns the offset of an action that occurs only in Helm templates.
fn helm(text: &str) -> Option<usize> {
    text.match_indices("{{").map(|(at, _)| at).find(|at| {
        let action = text.get(*at + 2..).unwrap_or_default();
        let action = action.trim_start_matches('-').trim_start().trim_start_matches('(');
        HELM_WORDS.iter().any(|word| action.starts_with(word))
    })
}

/// Whether a text is meant as JSON: an object whose first name is quoted, or has a comment before it.
pub fn is_meant_as_json(text: &str) -> bool {
    let rest = text.trim_start_matches('\u{feff}').trim_start();
    rest.strip_prefix('{').is_some_and(|inside| inside.trim_start().starts_with(['"', '/', '#']))
}

/// Returns the first comment in a text that looks like JSON: YAML takes comments for names and values.
pub fn has_comments(text: &str) -> Option<Foreign> {
    let at = json_comment(text, &["//", "/*"])?;
    Some(Foreign { at: position(text, at), message: COMMENT })
}

/// Returns the offset of a comment outside of strings, in what looks like JSON.
fn json_comment(text: &str, marks: &[&str]) -> Option<usize> {
    json_mark(text, |_, rest| marks.iter().any(|mark| rest.starts_with(mark)))
}

/// Returns the first offset outside of strings at which `is_here` holds, in what looks like JSON.
fn json_mark(text: &str, is_here: impl Fn(usize, &str) -> bool) -> Option<usize> {
    if !is_json_like(text) {
        return None;
    }
    let (mut quote, mut escaped) = (None, false);
    for (at, character) in text.char_indices() {
        if escaped {
            escaped = false;
            continue;
        }
        match character {
            '\\' => escaped = quote.is_some(),
            _ if quote == Some(character) => quote = None,
            _ if quote.is_some() => {}
            '"' | '\'' => quote = Some(character),
            _ if text.get(at..).is_some_and(|rest| is_here(at, rest)) => return Some(at),
            _ => {}
        }
    }
    None
}

/// Whether a text has only comments and separators.
fn is_empty(text: &str) -> bool {
    let says_nothing = |line: &str| line.is_empty() || line.starts_with('#') || matches!(line, "---" | "...");
    text.trim_start_matches('\u{feff}').lines().map(str::trim).all(says_nothing)
}

/// Returns the offset of the second of several JSON values.
fn second_json(text: &str) -> Option<usize> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde::de::IgnoredAny>();
    values.next()?.ok()?;
    let end = values.byte_offset();
    values.next()?.ok()?;
    let rest = text.get(end..)?;
    Some(end + rest.len() - rest.trim_start().len())
}

/// Returns the offset of a tab in the indentation of a line, in YAML.
fn tab(text: &str) -> Option<usize> {
    if is_json_like(text) {
        return None;
    }
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let indentation = line.len() - line.trim_start_matches([' ', '\t']).len();
        if let Some(tab) = line.get(..indentation).and_then(|indentation| indentation.find('\t')) {
            return Some(offset + tab);
        }
        offset += line.len();
    }
    None
}

/// Texts that can be parsed as YAML, but are something else.
const READABLE: &[Row] = &[
    (|text| is_empty(text).then_some(0), "the file is empty"),
    (|text| json_comment(text, &["//", "/*"]), COMMENT),
    (helm, HELM),
    (|text| line_of(text, &["#@ ", "#@\n"]), YTT),
    (|text| text.find("ENC[AES256_GCM"), ENCRYPTED),
];

const UNREADABLE: &[Row] = &[
    (
        |text| line_of(text, &["<<<<<<< ", ">>>>>>> "]),
        "this is a git conflict marker: resolve the conflict first",
    ),
    (
        |text| text.trim_start().starts_with('<').then_some(0),
        "this is HTML or XML, not a configuration: was a web page saved instead?",
    ),
    (|text| line_of(text, &["$ANSIBLE_VAULT;"]), ENCRYPTED),
    (|text| enclosed(text, "{%", "%}"), JINJA),
    (helm, HELM),
    (|text| enclosed(text, "<%", "%>"), TEMPLATE),
    (second_json, "several JSON values follow each other: jq -s . FILE | phantom-token check -"),
    (
        |text| line_of(text, &["local ", "import ", "function("]).or_else(|| any_of(text, &["std.", "+: {"])),
        JSONNET,
    ),
    (
        |text| line_of(text, &["resource \"", "locals {", "module \"", "variable \"", "terraform {"]),
        TERRAFORM,
    ),
    (|text| line_of(text, &["package "]), CUE),
    (|text| json_comment(text, &["//", "/*"]), COMMENT),
];

/// Mistakes in a text that the filter gets unchanged as its configuration, and that is not JSON.
const NOT_JSON: &[Row] = &[
    (|text| text.starts_with('\u{feff}').then_some(0), BYTE_ORDER_MARK),
    (|text| enclosed(text, "{{", "}}"), TEMPLATE),
    (|text| json_comment(text, &["//", "/*", "#"]), COMMENT),
    (trailing_comma, "JSON has no comma before } or ]: remove it"),
    (second_json, "several JSON values follow each other, but the filter takes one"),
];

/// Placeholders that are yet to be filled in.
const PLACEHOLDERS: &[Row] = &[
    (helm, HELM),
    (|text| enclosed(text, "{{", "}}"), TEMPLATE),
    (|text| enclosed(text, "<%", "%>"), TEMPLATE),
    (|text| named(text, "$(", ')').or_else(|| named(text, "${", '}')), PLACEHOLDER),
    (|text| any_of(text, &[" #@ "]), YTT),
    (|text| text.find("ENC[AES256_GCM"), ENCRYPTED),
];

/// Characters that an editor or a web page has put into a text.
const DAMAGE: &[Row] = &[
    (tab, "a tab indents this line, but YAML allows only spaces"),
    (|text| text.find(['\u{a0}', '\u{200b}', '\u{2028}']), NO_SPACE),
    (|text| text.find(['\u{201c}', '\u{201d}', '\u{2018}', '\u{2019}']), QUOTES),
];

/// The beginnings of actions that occur only in Helm templates.
const HELM_WORDS: &[&str] = &[
    ".Values.",
    "$.Values.",
    ".Release.",
    ".Chart.",
    ".Files.",
    "$.Files.",
    ".Capabilities.",
    "include ",
    "template ",
    "toYaml ",
    "tpl ",
    "if ",
    "with ",
    "range ",
    "define ",
    "/*",
];

const UTF_16: &str = "it is UTF-16, as PowerShell's > writes: save it as UTF-8";
const JSONNET: &str = "this is Jsonnet: check its output, jsonnet FILE | phantom-token check -";
const TERRAFORM: &str = "this is Terraform: check the YAML or JSON that it renders";
const CUE: &str = "this is CUE: cue export FILE | phantom-token check -";
const TOML: &str = "this is TOML: write YAML or JSON";
const HELM: &str =
    "this is a Helm template: check what it renders, helm template CHART | phantom-token check -";
const CHART: &str = "this describes a Helm chart: helm template CHART | phantom-token check -";
const JINJA: &str = "this is a Jinja template: check what it renders";
const TEMPLATE: &str =
    "this is a template: check what it renders; with Helm, helm template CHART | phantom-token check -";
const YTT: &str = "this is a ytt template: ytt -f FILE | phantom-token check -";
const PLACEHOLDER: &str =
    "a value is still to be filled in here: check the output of kustomize, envsubst or the like";
const KUSTOMIZATION: &str =
    "kustomize builds the configuration from other files: kubectl kustomize FOLDER | phantom-token check -";
const ENCRYPTED: &str = "this is encrypted: decrypt it first, as sops -d FILE | phantom-token check -";
const COMMENT: &str = "JSON has no comments: remove them, or write YAML";
const BYTE_ORDER_MARK: &str = "the JSON begins with a byte order mark: save it as UTF-8 without one";
const NO_SPACE: &str =
    "a character here only looks like a space, as copied from a web page: type the space again";
const QUOTES: &str = "there are typographic quotes here, as copied from a web page: write \" or '";
