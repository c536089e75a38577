//! `configuration-pages [--check]`: generates the JSON Schema of the configuration, for editors and for Kong, and
//! `docs/reference.md` from the field definitions; with `--check`, only checks that they are current.

use std::fs;

use anyhow::Result;
use phantom_token_core::{Dialect, configuration_fields, configuration_schema};
use serde_json::{Value, json};

fn main() -> Result<()> {
    let named = ["configuration.md", "hosts/envoy.md"];
    let named = named.map(|page| Ok((page, fs::read_to_string(format!("docs/{page}"))?)));
    let named = named.into_iter().collect::<Result<Vec<_>>>()?;
    let for_kong = json!({"config_schema": configuration_schema(Dialect::Draft4)});
    xtask::publish(&[
        ("docs/configuration.schema.json", pretty(&configuration_schema(Dialect::Draft202012))),
        ("kong/phantom_token.meta.json", pretty(&for_kong)),
        ("docs/reference.md", xtask::reference::page(&configuration_fields(), &named)?),
    ])
}

fn pretty(schema: &Value) -> String {
    format!("{schema:#}\n")
}
