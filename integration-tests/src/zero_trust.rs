//! Callers in an Istio mesh, and what the policies of the manifests admit, wherever they are enforced: at the API's sidecar, or at the
//! waypoint of its namespace.

use anyhow::Result;

use crate::authorization_server::{AuthorizationServer, Resource};
use crate::certificates::{Certificate, CertificateAuthority};
use crate::jwt;
use crate::testkit::{Call, World};

/// A certificate for this service account.
pub fn workload(authority: &CertificateAuthority, namespace: &str, account: &str) -> Result<Certificate> {
    authority.certify_workload(&[&format!("spiffe://cluster.local/ns/{namespace}/sa/{account}")])
}

/// Checks that the policies admit only the ingress, with a JWT of their issuer and audience like this one. `call` creates a request to a
/// path behind the ingress, from the holder of a certificate of this authority; `name` is the name of the enforcing proxy in logs.
pub async fn ingress_alone_is_admitted<'w>(
    name: &str,
    world: &World,
    authority: &CertificateAuthority,
    jwt: &str,
    call: impl Fn(Option<&Certificate>, &str) -> Result<Call<'w>>,
) -> Result<()> {
    let server = world.server();
    let opaque = world.issue("orders:read").await?;
    let other_server = AuthorizationServer::start(&format!("{name}-other"))?;
    let other_issuer = other_server.issue_jwt(Resource::Orders, "orders:read").await?;
    let other_audience = server.issue_jwt(Resource::Payments, "orders:read").await?;
    let made_up = jwt::with_claims(&jwt::claims(jwt)?);
    let ingress = workload(authority, "istio-ingress", "ingress-istio")?;
    let shop = workload(authority, "shop", "shop")?;
    let namesake = workload(authority, "orders", "ingress-istio")?;
    for (case, caller, token, path, status) in [
        ("straight", &ingress, jwt, "/orders", 200),
        ("opaque", &ingress, &opaque, "/orders", 401),
        ("without a JWT", &ingress, "", "/orders", 403),
        ("other issuer", &ingress, &other_issuer, "/orders", 401),
        ("other audience", &ingress, &other_audience, "/orders", 403),
        ("made up", &ingress, &made_up, "/orders", 401),
        ("public to the ingress", &ingress, "", "/health", 200),
        ("beside what is public", &ingress, "", "/health/x", 403),
        ("around the ingress", &shop, jwt, "/orders", 403),
        ("public, around the ingress", &shop, "", "/health", 403),
        ("namesake", &namesake, jwt, "/orders", 403),
    ] {
        let call = call(Some(caller), path)?.case(case);
        let call = if token.is_empty() { call } else { call.bearer(token) };
        call.await?.has_status(status);
    }
    let no_certificate = format!("{name}-no-certificate");
    assert!(call(None, "/orders")?.bearer(jwt).named(&no_certificate).await.is_err());
    assert_eq!(world.arrived(&no_certificate).len(), 0);
    Ok(())
}
