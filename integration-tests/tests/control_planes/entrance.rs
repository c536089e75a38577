//! What every ingress that a control plane makes from the manifests has to do, at its TLS listener.

use anyhow::Result;
use integration_tests::certificates::CertificateAuthority;
use integration_tests::client::Request;
use integration_tests::eventually::eventually;
use integration_tests::secrets;
use integration_tests::testkit::{Call, World};
use integration_tests::tls_client::TlsClient;
use serde_json::json;

/// An ingress of a control plane.
pub trait Entrance {
    /// The world with the ingress's Envoy.
    fn world(&self) -> &World;

    /// The authority that signed the ingress's certificate.
    fn web(&self) -> &CertificateAuthority;

    fn send(&self, request: Request) -> Result<Call<'_>> {
        let world = self.world();
        Ok(world.send(request).by_tls(TlsClient::of(world.client(), self.web(), None)?))
    }

    fn get(&self, path: &str) -> Result<Call<'_>> {
        self.send(Request::get(path))
    }

    fn orders(&self, token: &str) -> Result<Call<'_>> {
        Ok(self.get("/orders")?.bearer(token))
    }

    /// Waits until the filter has this realm, which identifies a configuration.
    async fn has_realm(&self, realm: &str) -> Result<()> {
        let challenge = format!("realm=\"{realm}\"");
        eventually(&challenge, async || {
            let Ok(outcome) = self.get("/orders")?.await else { return Ok(false) };
            Ok(outcome.status == 401 && outcome.challenges().iter().any(|one| one.contains(&challenge)))
        })
        .await
    }

    /// Waits until the filter with the manifests' configuration serves.
    async fn serves(&self) -> Result<()> {
        self.has_realm("orders").await
    }

    /// Checks the flow from the opaque token to the JWT, with one introspection, and that the filter refuses unauthorized requests.
    async fn protects_the_api(&self) -> Result<()> {
        let world = self.world();
        let token = world.issue("orders:read").await?;
        let claims = self.orders(&token)?.await?.is_served().claims()?;
        let (issuer, audience) = (json!("https://login.example.com"), json!("orders-api"));
        assert_eq!((&claims["iss"], &claims["aud"]), (&issuer, &audience));
        assert_eq!(world.introspections(&token).await?, 1);
        self.get("/health")?.await?.is_served();
        for (call, status) in [
            (self.get("/admin")?.bearer(&token), 403),
            (self.orders(&world.issue("orders:write").await?)?, 403),
            (self.get("/orders")?, 401),
            (self.orders(&secrets::fresh_token("unknown"))?, 401),
            (self.orders(&world.issue_revoked("orders:read").await?)?, 401),
        ] {
            let outcome = call.await?.has_status(status);
            assert!(outcome.json()?["error"].is_string(), "not the filter's answer: {outcome}");
        }
        Ok(())
    }

    /// Escaped slashes are refused before any filter.
    async fn refuses_escaped_slashes(&self) -> Result<()> {
        let token = self.world().issue("orders:read").await?;
        let outcome = self.get("/health%2F..%2Forders")?.bearer(&token).await?;
        assert_eq!((outcome.status, outcome.arrived.len()), (400, 0));
        Ok(())
    }
}
