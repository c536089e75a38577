//! How an agent fetches the filter for its Envoy, and how the gateway responds to clients if it cannot.

use anyhow::Result;
use integration_tests::eventually::eventually;
use integration_tests::manifests::Manifests;
use integration_tests::registry::Registry;
use integration_tests::{image, paths};
use serde_json::json;

use super::{Mesh, PLUGIN, mesh};
use crate::entrance::Entrance;
use crate::load::Load;

/// If this failed, a new version of the filter would be an outage.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_image_is_taken_under_load_and_clients_do_not_notice() -> Result<()> {
    let mesh = mesh().await;
    let _turn = mesh.turn.lock().await;
    mesh.registry.push(image::another()?.path(), "phantom-token:0.2.0")?;
    let before = mesh.module().await?;
    let load = Load::gather(mesh).await?;
    load.goes_on().await?;
    mesh.istiod.apply(&mesh.changed(&mesh.registry, "phantom-token:0.2.0", "the next version")?)?;
    mesh.has_realm("the next version").await?;
    load.goes_on().await?;
    assert_ne!(mesh.module().await?, before, "the filter is still the old one");
    mesh.restore().await?;
    load.goes_on().await?;
    assert_eq!(mesh.module().await?, before);
    load.disperse().await
}

/// If this failed, a moved tag would change the filter unnoticed; or an operator who moved it on purpose would wait for the new filter in
/// vain.
#[tokio::test]
async fn a_tag_that_was_moved_is_not_fetched_again_but_a_digest_says_which_filter_it_is() -> Result<()> {
    let mesh = mesh().await;
    let _turn = mesh.turn.lock().await;
    let before = mesh.module().await?;
    mesh.registry.push(&paths::image()?.1, "phantom-token:moved")?;
    mesh.istiod.apply(&mesh.changed(&mesh.registry, "phantom-token:moved", "moved 1")?)?;
    mesh.has_realm("moved 1").await?;
    let next = image::another()?;
    mesh.registry.push(next.path(), "phantom-token:moved")?;
    mesh.istiod.apply(&mesh.changed(&mesh.registry, "phantom-token:moved", "moved 2")?)?;
    mesh.has_realm("moved 2").await?;
    assert_eq!(mesh.module().await?, before, "IfNotPresent fetched again");
    let digest = image::digest(next.path())?;
    let digest = digest.trim_start_matches("sha256:");
    mesh.istiod.apply(&mesh.changed(&mesh.registry, "phantom-token:moved", "moved 3")?.with(
        PLUGIN.0,
        PLUGIN.1,
        "/spec/sha256",
        json!(digest),
    )?)?;
    mesh.has_realm("moved 3").await?;
    assert_ne!(mesh.module().await?, before, "the digest names another filter");
    mesh.restore().await
}

/// If this failed, `Always` would be no way to move a tag; or a moved tag would change what runs without a change of the resource.
#[tokio::test]
async fn a_tag_that_was_moved_is_fetched_again_by_always_when_the_resource_changes() -> Result<()> {
    let mesh = mesh().await;
    let _turn = mesh.turn.lock().await;
    let always = |realm| mesh.changed(&mesh.registry, "phantom-token:always", realm).and_then(pulled_always);
    let before = mesh.module().await?;
    mesh.registry.push(&paths::image()?.1, "phantom-token:always")?;
    mesh.istiod.apply(&always("always 1")?)?;
    mesh.has_realm("always 1").await?;
    assert_eq!(mesh.module().await?, before);
    mesh.registry.push(image::another()?.path(), "phantom-token:always")?;
    mesh.istiod.apply(&always("always 2")?)?;
    mesh.has_realm("always 2").await?;
    assert_ne!(mesh.module().await?, before, "Always did not fetch again");
    mesh.restore().await
}

/// If this failed, an image that is missing or does not match its digest would open the gateway.
#[tokio::test]
async fn r270_without_its_filter_the_ingress_is_closed_until_there_is_one() -> Result<()> {
    let mesh = mesh().await;
    let _turn = mesh.turn.lock().await;
    let digest = json!("0123456789abcdef".repeat(4));
    let missing = mesh.changed(&mesh.registry, "phantom-token:late", "late 1")?;
    let wrong = mesh.manifests.with(PLUGIN.0, PLUGIN.1, "/spec/sha256", digest)?;
    for (manifests, why) in [(missing, "MANIFEST_UNKNOWN"), (wrong, "which does not match")] {
        mesh.is_closed_by(&manifests).await?;
        assert!(mesh.world.envoy.log().contains(why), "the agent does not say why: {why}");
        mesh.restore().await?;
    }
    mesh.is_closed_by(&mesh.changed(&mesh.registry, "phantom-token:late", "late 2")?).await?;
    mesh.registry.push(&paths::image()?.1, "phantom-token:late")?;
    mesh.istiod.apply(&mesh.changed(&mesh.registry, "phantom-token:late", "late 3")?)?;
    mesh.has_realm("late 3").await?;
    mesh.restore().await
}

/// If this failed, an outage of the registry would be an outage of the gateway.
#[tokio::test]
async fn r270_while_the_registry_is_down_what_was_fetched_serves_on() -> Result<()> {
    let mesh = mesh().await;
    let _turn = mesh.turn.lock().await;
    let registry = Registry::start("istio-registry-down").await?;
    registry.push(&paths::image()?.1, "phantom-token:0.1.0")?;
    let changed = |realm| mesh.changed(&registry, "phantom-token:0.1.0", realm);
    let [first, second, third, fourth] =
        [changed("down 1")?, changed("down 2")?, pulled_always(changed("down 3")?)?, changed("down 4")?];
    mesh.istiod.apply(&first)?;
    mesh.has_realm("down 1").await?;
    drop(registry);
    mesh.orders(&mesh.world.issue("orders:read").await?)?.await?.is_served();
    mesh.istiod.apply(&second)?;
    mesh.has_realm("down 2").await?;
    mesh.is_closed_by(&third).await?;
    mesh.istiod.apply(&fourth)?;
    mesh.has_realm("down 4").await?;
    mesh.restore().await
}

/// If this failed, a mistake in the configuration would be an outage, or open the gateway.
#[tokio::test]
async fn a_configuration_that_the_filter_refuses_leaves_the_one_before_it() -> Result<()> {
    let mesh = mesh().await;
    let _turn = mesh.turn.lock().await;
    mesh.istiod.apply(&mesh.manifests.with(
        PLUGIN.0,
        PLUGIN.1,
        "/spec/pluginConfig/realms",
        json!("typo"),
    )?)?;
    mesh.world.envoy.logs("TypedExtensionConfig rejected").await?;
    mesh.orders(&mesh.world.issue("orders:read").await?)?.await?.is_served();
    mesh.get("/orders")?.await?.has_status(401);
    mesh.restore().await
}

impl Mesh {
    /// Waits until the agent fails to fetch the filter of these manifests. Envoy then refuses everything, whatever served before.
    pub(super) async fn is_closed_by(&self, manifests: &Manifests) -> Result<()> {
        self.istiod.apply(manifests)?;
        eventually("the ingress is closed", async || Ok(self.get("/health")?.await?.status != 200)).await?;
        let token = self.world.issue("orders:read").await?;
        for call in [self.get("/health")?, self.get("/orders")?, self.orders(&token)?] {
            let outcome = call.await?.has_status(403);
            assert_eq!(outcome.text(), "RBAC: access denied");
        }
        Ok(())
    }
}

fn pulled_always(manifests: Manifests) -> Result<Manifests> {
    manifests.with(PLUGIN.0, PLUGIN.1, "/spec/imagePullPolicy", json!("Always"))
}
