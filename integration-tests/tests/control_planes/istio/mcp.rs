//! The MCP overlay in istiod: the ingress, and the sidecars of the API and of the MCP server behind it.

use anyhow::Result;
use integration_tests::eventually::eventually;
use integration_tests::json;
use integration_tests::manifests::Manifests;
use integration_tests::tls_client::TlsClient;
use integration_tests::zero_trust::workload;

use super::{mesh, sidecar};
use crate::entrance::Entrance;
use crate::mcp::{RESOURCE, calling, is_as_documented};

/// If this failed, an MCP server behind Istio would be open to tokens of the API, closed to clients that follow the page, or cut their
/// streams; or the API would take JWTs of the MCP server.
#[tokio::test]
async fn r287_istio_makes_of_the_example_for_mcp_what_its_page_says() -> Result<()> {
    let mesh = mesh().await;
    let _turn = mesh.turn.lock().await;
    let world = &mesh.world;
    let manifests = mesh.places.on_this_host(&Manifests::build("istio/overlays/mcp")?)?;
    mesh.istiod.apply(&manifests)?;
    let inbound = mesh.places.inbound("notes")?;
    let notes = sidecar(&mesh.istiod, "notes", "10.244.0.13", &[], &inbound).await?;
    let both = world.server().issue_for(RESOURCE, "mcp:read mcp:write").await?;
    eventually("the MCP server serves", async || {
        let dump = world.envoy.configuration().await?;
        let has_route = json::find(&dump, &|one| one["match"]["path"] == "/mcp").is_some();
        Ok(has_route && mesh.send(calling("whoami"))?.bearer(&both).await?.status == 200)
    })
    .await?;
    let page = "https://inspector.example.com";
    is_as_documented(mesh, page).await?;
    let preflight = calling("whoami").header("origin", "https://inspector.example.org");
    mesh.send(preflight)?.await?.has_status(401);

    // Behind the ingress as well, a JWT is valid for only one of the two.
    let of_mcp = mesh.send(calling("whoami"))?.bearer(&both).await?.is_served().jwt()?;
    let of_api = mesh.orders(&world.issue("orders:read").await?)?.await?.is_served().jwt()?;
    let ingress = workload(&mesh.authority, "istio-ingress", "ingress-istio")?;
    for (at, listener, jwt, status) in [
        (&notes, &inbound, &of_mcp, 200),
        (&notes, &inbound, &of_api, 403),
        (&mesh.sidecar, &mesh.inbound, &of_api, 200),
        (&mesh.sidecar, &mesh.inbound, &of_mcp, 403),
    ] {
        let client = TlsClient::in_mesh(at.client(listener), &mesh.authority, Some(&ingress))?;
        let call = world.get("/orders").by_tls(client).case(listener).bearer(jwt);
        eventually("the sidecar has the overlay's policies", async || {
            Ok(call.clone().await?.status == status)
        })
        .await?;
        call.await?.has_status(status);
    }

    mesh.delete_what_is_more(manifests)?;
    mesh.restore().await?;
    eventually("the MCP server is gone", async || Ok(mesh.send(calling("whoami"))?.await?.status == 403))
        .await
}
