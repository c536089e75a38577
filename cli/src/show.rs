//! `show`: prints the effective configuration, with the defaults of its profiles and without secrets.

use phantom_token_core::{ConfigErrors, Settings};
use serde_json::Value;

use crate::configuration::Configuration;
use crate::environment::Environment;

/// Returns the configuration as JSON, and the number of errors in it. Unknown fields and plain values with errors are hidden, since a
/// secret may be there under a wrong name.
///
/// # Errors
/// The reason why there is nothing to show.
pub fn show(configuration: &Configuration) -> Result<(String, usize), String> {
    let text = configuration.text()?;
    let effective = Settings::effective(text.as_bytes()).map_err(|errors| errors.to_string())?;
    let environment = Environment::placeholders(configuration.node());
    let Err(errors) = environment.read(&text, configuration.host()) else {
        return Ok((effective, 0));
    };
    let mut effective: Value = serde_json::from_str(&effective).map_err(|error| error.to_string())?;
    hide(&errors, &mut effective);
    Ok((format!("{effective:#}"), errors.iter().count()))
}

fn hide(errors: &ConfigErrors, effective: &mut Value) {
    for error in errors.iter() {
        let Some(value) = find(effective, error.path()) else { continue };
        if error.is_of_unknown_field() || !(value.is_object() || value.is_array()) {
            *value = Value::String("[hidden]".to_owned());
        }
    }
}

/// Returns the value at a path like `rules[2].path`.
fn find<'v>(value: &'v mut Value, path: &str) -> Option<&'v mut Value> {
    if path.is_empty() {
        return Some(value);
    }
    match value {
        Value::Object(members) => {
            let path = path.strip_prefix('.').unwrap_or(path);
            let is_first = |name: &&String| {
                path.strip_prefix(name.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            };
            let name = members.keys().filter(is_first).max_by_key(|name| name.len())?.clone();
            let rest = path.get(name.len()..)?;
            find(members.get_mut(&name)?, rest)
        }
        Value::Array(elements) => {
            let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
            find(elements.get_mut(index.parse::<usize>().ok()?)?, rest)
        }
        _ => None,
    }
}
