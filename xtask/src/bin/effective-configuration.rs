//! `effective-configuration FILE`: prints the filter's configuration, YAML or JSON, with the defaults of its profiles and
//! without secrets.

use std::fs;

use anyhow::{Context, Result, bail};
use phantom_token_core::Settings;

fn main() -> Result<()> {
    let Some(path) = std::env::args().nth(1) else { bail!("usage: effective-configuration FILE") };
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let configuration: serde_json::Value =
        serde_saphyr::from_str(&text).with_context(|| format!("{path} is neither YAML nor JSON"))?;
    println!("{}", Settings::effective(configuration.to_string().as_bytes())?);
    Ok(())
}
