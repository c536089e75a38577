//! A rule for a route, behind a filter that changes the route. docs/hosts/envoy.md describes the filter that has to stand between them.

use anyhow::{Context, Result};
use integration_tests::documentation::page;
use integration_tests::envoy::Envoy;
use integration_tests::eventually::eventually;
use integration_tests::json;
use integration_tests::manifests::Manifests;
use serde_json::{Value, json};

use crate::entrance::Entrance;

/// A route of the API for requests with a certain field, which requires more scopes.
pub fn golden(manifests: &Manifests) -> Result<Value> {
    let mut route = manifests.named("HTTPRoute", "orders")?.clone();
    route["metadata"]["name"] = json!("golden");
    route["spec"]["rules"][0]["matches"][0]["headers"] = json!([{"name": "x-tier", "value": "gold"}]);
    Ok(route)
}

/// Returns the proxy's name for that route, once the proxy has it.
pub async fn golden_name(envoy: &Envoy) -> Result<String> {
    let mut name = None;
    eventually("the proxy has the route", async || {
        let dump = envoy.configuration().await?;
        let of_field =
            |one: &Value| one["match"]["headers"][0]["name"] == "x-tier" && one["name"].is_string();
        name = json::find(&dump, &of_field).and_then(|one| one["name"].as_str().map(str::to_owned));
        Ok(name.is_some())
    })
    .await?;
    name.context("no route")
}

/// The filter's rule for that route.
pub fn golden_rule(name: &str) -> Value {
    json!({"path": "/orders", "routes": [name], "scopes": ["orders:write"]})
}

/// A filter that makes every request match that route without clearing the route cache.
pub fn rewriter() -> Value {
    let field = json!({"header": {"key": "x-tier", "value": "gold"}});
    json!({
        "name": "rewriter",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
            "mutations": {"request_mutations": [{"append": field}]},
        },
    })
}

/// The route selector, as the page has it.
pub fn selector() -> Result<Value> {
    let page = page("docs/hosts/envoy.md")?;
    let (_, block) = page.blocks_of("Rules for routes").next().context("no block in the chapter")?;
    let filters: Value = serde_saphyr::from_str(block)?;
    filters.get(0).cloned().context("no filter in the block")
}

/// Waits until a token without the scope of that route is refused there, or served if the route is stale.
pub async fn is_stale(entrance: &impl Entrance, is_stale: bool) -> Result<()> {
    let world = entrance.world();
    let (read, both) = (world.issue("orders:read").await?, world.issue("orders:read orders:write").await?);
    let status = if is_stale { 200 } else { 403 };
    eventually("the route is judged so", async || Ok(entrance.orders(&read)?.await?.status == status))
        .await?;
    entrance.orders(&read)?.await?.has_status(status);
    entrance.orders(&both)?.await?.is_served();
    Ok(())
}
