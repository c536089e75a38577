//! `configuration-pages [--check]`: writes what the fields of the configuration say of themselves: its JSON Schema, for editors
//! and for Kong, and the table of `docs/configuration.md`; with `--check`, only tells whether they are current.

use std::fmt::Write;
use std::fs;

use anyhow::{Context, Result};
use phantom_token_core::{Dialect, configuration_fields, configuration_schema};
use serde_json::{Value, json};

fn main() -> Result<()> {
    let documentation = fs::read_to_string(DOCUMENTATION)?;
    let for_kong = json!({"config_schema": configuration_schema(Dialect::Draft4)});
    xtask::publish(&[
        ("docs/configuration.schema.json", pretty(&configuration_schema(Dialect::Draft202012))),
        ("kong/phantom_token.meta.json", pretty(&for_kong)),
        (DOCUMENTATION, with_table(&documentation)?),
    ])
}

fn pretty(schema: &Value) -> String {
    format!("{schema:#}\n")
}

fn with_table(page: &str) -> Result<String> {
    let (before, rest) = page.split_once(HEAD).with_context(|| format!("{DOCUMENTATION} has no table"))?;
    let (_, after) = rest.split_once("\n\n").context("the table does not end")?;
    let mut table = String::from(HEAD);
    for field in configuration_fields() {
        let default = field.default.map_or(String::new(), |default| format!(" {default}"));
        write!(table, "\n| `{}` |{default} | {} |", field.path, field.meaning)?;
    }
    Ok(format!("{before}{table}\n\n{after}"))
}

const DOCUMENTATION: &str = "docs/configuration.md";

const HEAD: &str = "| field | default | meaning |\n|---|---|---|";
