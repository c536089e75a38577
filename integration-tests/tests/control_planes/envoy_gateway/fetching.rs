//! How Envoy Gateway fetches the filter for its Envoys, and how the gateway responds to clients if it cannot.

use anyhow::Result;
use integration_tests::eventually::eventually;
use integration_tests::{image, paths};
use serde_json::json;

use super::{POLICY, REALM, ingress};
use crate::entrance::Entrance;
use crate::load::Load;

/// If this failed, a new version of the filter would be an outage.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_image_is_taken_under_load_and_clients_do_not_notice() -> Result<()> {
    let ingress = ingress().await;
    let _turn = ingress.turn.lock().await;
    let next = image::another()?;
    ingress.registry.push(next.path(), "phantom-token:0.2.0")?;
    let upgraded = ingress.with_image("phantom-token:0.2.0")?.with(
        POLICY.0,
        POLICY.1,
        REALM,
        json!("orders of the next version"),
    )?;
    let before = ingress.module().await?;
    let load = Load::gather(ingress).await?;
    load.goes_on().await?;
    ingress.apply(&upgraded)?;
    ingress.has_realm("orders of the next version").await?;
    load.goes_on().await?;
    assert_ne!(ingress.module().await?, before, "the filter is still the old one");
    ingress.apply(&ingress.manifests)?;
    ingress.serves().await?;
    load.goes_on().await?;
    assert_eq!(ingress.module().await?, before);
    load.disperse().await
}

/// If this failed, a moved tag would change the filter unnoticed; or an operator who moved it on purpose would wait for the new filter in
/// vain.
#[tokio::test]
async fn a_tag_that_was_moved_is_not_fetched_again_but_a_digest_says_which_filter_it_is() -> Result<()> {
    let ingress = ingress().await;
    let _turn = ingress.turn.lock().await;
    let before = ingress.module().await?;
    ingress.registry.push(&paths::image()?.1, "phantom-token:moved")?;
    ingress.apply(&ingress.with_image("phantom-token:moved")?.with(
        POLICY.0,
        POLICY.1,
        REALM,
        json!("moved 1"),
    )?)?;
    ingress.has_realm("moved 1").await?;
    let next = image::another()?;
    ingress.registry.push(next.path(), "phantom-token:moved")?;
    ingress.apply(&ingress.with_image("phantom-token:moved")?.with(
        POLICY.0,
        POLICY.1,
        REALM,
        json!("moved 2"),
    )?)?;
    ingress.has_realm("moved 2").await?;
    assert_eq!(ingress.module().await?, before, "IfNotPresent fetched again");
    let digest = image::digest(next.path())?;
    let pinned = ingress
        .with_image("phantom-token:moved")?
        .with(
            POLICY.0,
            POLICY.1,
            "/spec/wasm/0/code/image/sha256",
            json!(digest.trim_start_matches("sha256:")),
        )?
        .with(POLICY.0, POLICY.1, REALM, json!("moved 3"))?;
    ingress.apply(&pinned)?;
    ingress.has_realm("moved 3").await?;
    assert_ne!(ingress.module().await?, before, "the digest names another filter");
    ingress.apply(&ingress.manifests)?;
    ingress.serves().await
}

/// If this failed, an image that is missing or does not match its digest would open the gateway.
#[tokio::test]
async fn r270_without_its_filter_the_gateway_is_closed_until_there_is_one() -> Result<()> {
    let ingress = ingress().await;
    let _turn = ingress.turn.lock().await;
    let token = ingress.world.issue("orders:read").await?;
    let missing = ingress.with_image("phantom-token:none")?;
    let wrong = ingress.manifests.with(
        POLICY.0,
        POLICY.1,
        "/spec/wasm/0/code/image/sha256",
        json!("0123456789abcdef".repeat(4)),
    )?;
    for manifests in [missing, wrong] {
        ingress.apply(&manifests)?;
        eventually("the gateway is closed", async || Ok(ingress.get("/health")?.await?.status != 200))
            .await?;
        for call in [ingress.get("/health")?, ingress.get("/orders")?, ingress.orders(&token)?] {
            call.await?.has_status(500);
        }
        ingress.apply(&ingress.manifests)?;
        ingress.serves().await?;
    }
    Ok(())
}
