//! How Envoy Gateway's translator translates the manifests, without running anything.

use anyhow::{Context, Result};
use integration_tests::artefact::Artefact;
use integration_tests::certificates::CertificateAuthority;
use integration_tests::control_planes::envoy_gateway::translate;
use integration_tests::json;
use integration_tests::manifests::Manifests;
use integration_tests::tls_client::SERVER_NAME;
use serde_json::json;

use super::LISTENER;

/// If this failed, the translator would reject the manifests, or omit a policy whose filter it cannot fetch. It fetches none.
#[test]
fn the_translator_takes_the_manifests_and_closes_the_route_whose_filter_it_does_not_have() -> Result<()> {
    let certificate = CertificateAuthority::new()?.certify_server(SERVER_NAME)?;
    let translated = translate(&Manifests::build("envoy-config/envoy-gateway")?, &certificate)?;
    let tag = json!({"tagName": "reason", "regex": Artefact::Wasm.reason_tag()});
    assert!(json::find(&translated, &|one| *one == tag).is_some(), "no reason as a label");
    let listener = json::find(&translated, &|one| one["name"] == LISTENER).context("no listener")?;
    let manager = json::find(listener, &|one| one["httpFilters"].is_array()).context("no filters")?;
    assert_eq!(manager["pathWithEscapedSlashesAction"], "REJECT_REQUEST");
    assert_eq!(manager["mergeSlashes"], true);
    assert_eq!(manager["streamIdleTimeout"], "30s");
    let cluster = json::find(&translated, &|one| one["name"] == "authorization-server");
    assert_eq!(cluster.context("no cluster")?["transportSocket"]["typedConfig"]["sni"], "login.example.com");
    let route =
        json::find(&translated, &|one| one["virtualHosts"][0]["domains"] == json!(["api.example.com"]));
    let routes = route.context("no route")?["virtualHosts"][0]["routes"].as_array().context("no routes")?;
    assert!(
        !routes.is_empty() && routes.iter().all(|one| one["directResponse"]["status"] == 500),
        "{routes:?}"
    );
    Ok(())
}
