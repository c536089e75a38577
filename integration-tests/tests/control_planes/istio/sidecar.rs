//! The API's sidecar as istiod configures it: with mutual TLS, the policies of the manifests, and the filter where a WasmPlugin selects it.

use anyhow::{Context, Result};
use integration_tests::certificates::Certificate;
use integration_tests::eventually::eventually;
use integration_tests::json;
use integration_tests::manifests::istiod;
use integration_tests::testkit::Call;
use integration_tests::tls_client::TlsClient;
use integration_tests::zero_trust::{self, workload};
use serde_json::{Value, json};

use super::{Mesh, NAME, PLUGIN, mesh};
use crate::entrance::Entrance;

/// If this failed, any workload in the mesh could call the API without the ingress, or with a JWT that is not for it.
#[tokio::test]
async fn r271_the_sidecar_of_istiod_takes_valid_jwts_from_the_ingress_alone() -> Result<()> {
    let mesh = mesh().await;
    let _turn = mesh.turn.lock().await;
    let jwt = mesh.orders(&mesh.world.issue("orders:read").await?)?.await?.is_served().jwt()?;
    let call = |caller: Option<&Certificate>, path: &str| mesh.at_sidecar(caller, path);
    zero_trust::ingress_alone_is_admitted(NAME, &mesh.world, &mesh.authority, &jwt, call).await
}

/// If this failed, the tests in `tests/envoy` would run other policies than istiod's.
#[tokio::test]
async fn istiod_makes_of_the_policies_what_other_tests_take_for_it() -> Result<()> {
    let mesh = mesh().await;
    let _turn = mesh.turn.lock().await;
    let authentication = mesh.manifests.named("RequestAuthentication", "phantom-token")?;
    let mut expected = vec![istiod::jwt_authn(authentication, &mesh.world.server().keys().await?)?];
    expected.extend(istiod::rbac(&mesh.manifests, "orders", "orders")?);
    let made = mesh.inbound_filters().await?;
    let of_policies = |one: &&Value| {
        let name = one["name"].as_str().unwrap_or_default();
        name == "envoy.filters.http.jwt_authn" || name == "envoy.filters.http.rbac"
    };
    let made: Vec<&Value> = made.iter().filter(of_policies).collect();
    assert_eq!(made, expected.iter().collect::<Vec<_>>());
    Ok(())
}

/// If this failed, these tests would run other filters than those that a pod's redirected connections pass.
#[tokio::test]
async fn what_is_redirected_to_the_sidecar_meets_the_same_filters() -> Result<()> {
    let mesh = mesh().await;
    let _turn = mesh.turn.lock().await;
    let dump = mesh.sidecar.configuration().await?;
    let redirected =
        json::find(&dump, &|one| one["name"] == "virtualInbound" && one["filter_chains"].is_array());
    let redirected = redirected.context("no virtualInbound")?;
    let chain = json::find(redirected, &|one| one["filter_chain_match"]["destination_port"] == 8080);
    let chain = chain.context("no chain for the Service's port")?;
    assert_eq!(chain["filter_chain_match"]["transport_protocol"], "tls");
    let own = mesh.inbound_listener(&dump)?;
    assert_eq!(chain["transport_socket"], own["filter_chains"][0]["transport_socket"]);
    assert_eq!(http_filters(chain)?, http_filters(own)?);
    Ok(())
}

/// If this failed, the filter would serve only at an ingress.
#[tokio::test]
async fn r271_a_filter_that_selects_the_workload_serves_at_its_sidecar() -> Result<()> {
    let mesh = mesh().await;
    let _turn = mesh.turn.lock().await;
    let gateway = workload(&mesh.authority, "istio-ingress", "ingress-istio")?;
    let shop = workload(&mesh.authority, "shop", "shop")?;
    let world = &mesh.world;
    let at_sidecar =
        |token: &str| Ok::<_, anyhow::Error>(mesh.at_sidecar(Some(&gateway), "/orders")?.bearer(token));
    let plugin = mesh.selecting_plugin(PLUGIN.1, "orders", "orders")?;
    let name = json!("extensions.istio.io/trafficextension/orders.phantom-token~istio-translated-wasmplugin");

    // Without a mode, the filter also applies to the workload's outbound calls.
    mesh.istiod.apply(&mesh.manifests.clone().and(plugin.clone()))?;
    mesh.sidecar_has_realm(&gateway).await?;
    assert!(is_outbound(&mesh.sidecar.configuration().await?, &name));
    // Only the ingress has the authorization server's cluster.
    at_sidecar(&world.issue("orders:read").await?)?.await?.has_status(503);

    let mut serving = plugin;
    serving["spec"]["match"] = json!([{"mode": "SERVER"}]);
    let mut manifests = mesh.manifests.clone().and(serving);
    for kind in ["ServiceEntry", "DestinationRule"] {
        let mut own = mesh.manifests.named(kind, "authorization-server")?.clone();
        own["metadata"]["namespace"] = json!("orders");
        manifests = manifests.and(own);
    }
    mesh.istiod.apply(&manifests)?;
    eventually("the workload's own calls are as they were", async || {
        Ok(!is_outbound(&mesh.sidecar.configuration().await?, &name))
    })
    .await?;
    let names: Vec<Value> = mesh.inbound_filters().await?.iter().map(|one| one["name"].clone()).collect();
    let place = |name: &Value| names.iter().position(|one| one == name);
    let (filter, jwt_authn) = (place(&name), place(&json!("envoy.filters.http.jwt_authn")));
    assert!(filter.is_some() && filter < jwt_authn, "{names:?}");
    eventually("the sidecar knows the authorization server", async || {
        Ok(at_sidecar(&world.issue("orders:read").await?)?.await?.status == 200)
    })
    .await?;
    let token = world.issue("orders:read").await?;
    let claims = at_sidecar(&token)?.await?.is_served().claims()?;
    assert_eq!(claims["aud"], "orders-api");
    assert_eq!(world.introspections(&token).await?, 1);
    at_sidecar(&world.issue_revoked("orders:read").await?)?.await?.has_status(401);
    mesh.at_sidecar(Some(&shop), "/orders")?.bearer(&token).await?.has_status(403);

    mesh.delete_what_is_more(manifests)?;
    eventually("the sidecar is without the filter", async || {
        let outcome = mesh.at_sidecar(Some(&gateway), "/orders")?.await?;
        Ok(outcome.status == 403)
    })
    .await?;
    mesh.restore().await
}

impl Mesh {
    /// A request from this workload to the sidecar, bypassing the ingress.
    fn at_sidecar(&self, caller: Option<&Certificate>, path: &str) -> Result<Call<'_>> {
        let client = TlsClient::in_mesh(self.sidecar.client(&self.inbound), &self.authority, caller)?;
        Ok(self.world.get(path).by_tls(client))
    }

    /// Waits until the sidecar has the filter, which challenges a request without a token.
    async fn sidecar_has_realm(&self, caller: &Certificate) -> Result<()> {
        eventually("the sidecar has the filter", async || {
            let outcome = self.at_sidecar(Some(caller), "/orders")?.await?;
            Ok(outcome.status == 401
                && outcome.challenges().iter().any(|one| one.contains("realm=\"orders\"")))
        })
        .await
    }

    fn inbound_listener<'a>(&self, dump: &'a Value) -> Result<&'a Value> {
        let is_inbound = |one: &Value| one["name"] == *self.inbound && one["filter_chains"].is_array();
        json::find(dump, &is_inbound).context("no inbound listener")
    }

    /// The HTTP filters of the sidecar's listener.
    async fn inbound_filters(&self) -> Result<Vec<Value>> {
        http_filters(self.inbound_listener(&self.sidecar.configuration().await?)?)
    }
}

/// The HTTP filters of the first connection manager in this configuration.
fn http_filters(of: &Value) -> Result<Vec<Value>> {
    let manager = json::find(of, &|one| one["http_filters"].is_array()).context("no connection manager")?;
    Ok(manager["http_filters"].as_array().context("no filters")?.clone())
}

/// Whether a filter of this name applies to the workload's outbound calls.
fn is_outbound(dump: &Value, name: &Value) -> bool {
    let has_filter = |listener: &Value| json::find(listener, &|one| one["name"] == *name).is_some();
    json::find(dump, &|one| one["traffic_direction"] == "OUTBOUND" && has_filter(one)).is_some()
}
