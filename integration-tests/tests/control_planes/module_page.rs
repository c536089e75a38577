//! The resources for the native module in docs/hosts/envoy-module.md.

use anyhow::{Context, Result};
use integration_tests::documentation::page;
use serde_json::Value;

/// Returns the resources of the block that contains one of this kind.
pub fn module_of_page(kind: &str) -> Result<Vec<Value>> {
    let page = page("docs/hosts/envoy-module.md")?;
    let kind = format!("kind: {kind}\n");
    let mut blocks = page.blocks_of("Envoy Gateway and Istio");
    let (_, block) = blocks.find(|(_, text)| text.contains(&kind)).context("no such block")?;
    Ok(serde_saphyr::from_multiple(block)?)
}
