//! Facts about every file that no request shows.

use anyhow::{Context, Result};
use integration_tests::envoy;
use integration_tests::paths;
use phantom_token_core::Settings;
use serde_json::Value;

/// If this failed, a stopped VM would let tokens through unchanged, or never restart; bodies would be refused while a token is
/// introspected; or filters of other vendors would write into the filter's shared data.
#[test]
fn r038_the_filter_fails_closed_and_is_loaded_again_in_every_file() -> Result<()> {
    for file in ["envoy.yaml", "complete.yaml", "mcp.yaml", "dynamic/lds.yaml"] {
        let text = std::fs::read_to_string(paths::root().join("envoy-config").join(file))?;
        let whole: Value = serde_saphyr::from_str(&text)?;
        let filter = the_wasm_filter(&whole).with_context(|| format!("{file} has no filter"))?;
        assert_eq!(filter["failure_policy"], "FAIL_RELOAD", "{file}");
        assert_eq!(filter["vm_config"]["vm_id"], "phantom-token", "{file}");
        assert!(filter.get("allow_on_headers_stop_iteration").is_none(), "{file}");
        assert!(!text.contains("FAIL_OPEN\n") && !text.contains("fail_open"), "{file}");
        let configuration = filter["configuration"]["value"].as_str().context("not a StringValue")?;
        let settings = Settings::parse(configuration.as_bytes(), &|_| Some("a secret".to_owned()));
        assert!(settings.is_ok(), "{file}: {settings:?}");
        assert!(configuration.contains(r#""client_secret": { "env""#), "{file}: a secret is in the file");
        assert!(text.contains("stream_idle_timeout: 30s"), "{file}: what nobody answers would not end");
    }
    Ok(())
}

/// If this failed, the example would not start, or would start without the gateway's secret.
#[test]
fn the_smallest_file_is_accepted_as_it_stands_with_the_secret_in_the_environment_alone() -> Result<()> {
    let secret = [("INTROSPECTION_CLIENT_SECRET".to_owned(), "a secret".to_owned())];
    let example = paths::root().join("envoy-config/envoy.yaml");
    let (accepted, output) = envoy::validate(&example, &secret)?;
    assert!(accepted, "{output}");
    let (accepted, output) = envoy::validate(&example, &[])?;
    let names_field = output.contains("introspection.client_secret: names a variable");
    assert!(!accepted && names_field, "{output}");
    Ok(())
}

/// Returns the plugin configuration of the one wasm filter, wherever it is.
fn the_wasm_filter(value: &Value) -> Option<&Value> {
    if value.get("vm_config").is_some() {
        return Some(value);
    }
    match value {
        Value::Object(members) => members.values().find_map(the_wasm_filter),
        Value::Array(elements) => elements.iter().find_map(the_wasm_filter),
        _ => None,
    }
}
