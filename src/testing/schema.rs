//! Validates every configuration of a test against the JSON Schema as well.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

use crate::config::configuration_schema;
use crate::fields::ConfigErrors;
use crate::fields::schema::Dialect;

/// Panics unless the schema accepts what the filter accepts, and refuses what the filter refuses for a name or a type. If it refused valid
/// configurations, editors would mark them, and Kong would not take them; if it accepted wrong names, only the filter would find them.
pub(super) fn check(configuration: &Value, errors: Option<&ConfigErrors>) {
    for (dialect, schema) in &*SCHEMAS {
        let violations: Vec<String> =
            schema.iter_errors(configuration).map(|error| error.to_string()).collect();
        match errors {
            None => assert!(violations.is_empty(), "{dialect:?} refuses {configuration}: {violations:#?}"),
            Some(errors) if is_of_name_or_type(errors) => {
                assert!(!violations.is_empty(), "{dialect:?} accepts {configuration}: {errors}");
            }
            Some(_) => {}
        }
    }
}

fn is_of_name_or_type(errors: &ConfigErrors) -> bool {
    let mut messages = errors.iter().map(ToString::to_string);
    messages.any(|message| MESSAGES.iter().any(|end| message.ends_with(end)))
}

static SCHEMAS: LazyLock<[(Dialect, Validator); 2]> = LazyLock::new(|| {
    [Dialect::Draft4, Dialect::Draft202012].map(|dialect| {
        let schema = configuration_schema(dialect);
        jsonschema::meta::validate(&schema).expect("a schema");
        (dialect, jsonschema::validator_for(&schema).expect("a schema"))
    })
});

/// The filter's messages about wrong names and types.
const MESSAGES: &[&str] = &[
    ": is not a field",
    ": must be a string",
    ": must be true or false",
    ": must be a whole number",
    ": must be a value other than null",
    ": must be a list, each element of its type",
    ": must be an object",
    ": must be an object, each member of its type",
    r#": must be a string or {"env": NAME}"#,
    "must not be empty or have an empty element",
];
