//! What the page in `page/` calls: `check` and `explain` of the command, and the schema of the configuration, all as JSON.
//!
//! *Invariant:* it decides nothing, and says nothing that the command does not.

use phantom_token_cli::check;
use phantom_token_cli::explain::{self, Input, WrittenRequest, WrittenRule};
use phantom_token_cli::report;
use phantom_token_cli::source::Source;
use phantom_token_core::{Dialect, Timestamp, configuration_schema};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use wasm_bindgen::prelude::wasm_bindgen;

/// A question about a configuration.
#[derive(Deserialize)]
struct Asked {
    /// The configuration's number, if the text has several: 1 is the first.
    configuration: Option<usize>,
    request: WrittenRequest,
    /// The claims of the token as a JSON object, if it has any.
    claims: Option<String>,
    is_jwt: bool,
    proves_possession: bool,
    /// Milliseconds since 1970.
    now: u64,
}

/// What `check --format json` says of a text.
#[wasm_bindgen]
pub fn check(text: &str) -> String {
    report::json(&[check::check(&source(text), None, false)])
}

/// Returns what `explain --format json` says about a request, as `explanation`, and the rules that decide, as they are written, as `rules`.
///
/// # Errors
/// What is malformed in the configuration or the question, as a sentence.
#[wasm_bindgen]
pub fn explain(text: &str, asked: &str) -> Result<String, String> {
    let asked: Asked = serde_json::from_str(asked).map_err(|error| error.to_string())?;
    let configuration = source(text).configuration(asked.configuration)?;
    if !check::findings(&configuration, None, false).is_empty() {
        return Err("the configuration has errors".to_owned());
    }
    let claims = asked.claims.as_deref().map(claims).transpose()?;
    let now = Timestamp::from_millis(asked.now);
    let Asked { request, is_jwt, proves_possession, .. } = asked;
    let input = Input { request: request.read()?, claims, is_jwt, proves_possession, now };
    let explanation = explain::explain(&configuration.text()?, Some(&configuration), input)?;
    let rule = |place: &usize| {
        let WrittenRule { path, at, members } = explain::written_rule(&explanation, &configuration, *place);
        json!({"path": path, "line": at.line, "column": at.column, "members": members})
    };
    let rules: Vec<Value> = explanation.rules.iter().map(rule).collect();
    Ok(json!({"explanation": explanation.to_json(), "rules": rules}).to_string())
}

/// The JSON Schema of the configuration.
#[wasm_bindgen]
pub fn schema() -> String {
    configuration_schema(Dialect::Draft202012).to_string()
}

fn claims(text: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_str(text).map_err(|_| "the claims must be a JSON object".to_owned())
}

fn source(text: &str) -> Source {
    Source::new("configuration", text)
}
