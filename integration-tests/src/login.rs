//! The login.example.com of the manifests: TLS in front of the authorization server, whose paths differ; and next to it an impostor with a
//! certificate for another name.

use anyhow::Result;
use serde_json::json;

use crate::authorization_server::AuthorizationServer;
use crate::certificates::CertificateAuthority;
use crate::envoy::{Envoy, EnvoyBuilder, Listener};

/// The listener with the right certificate.
pub const LOGIN: &str = "login";

/// The listener with a certificate for another name.
pub const IMPOSTER: &str = "imposter";

/// Starts both listeners, with certificates of this authority.
pub async fn start(name: &str, server: &AuthorizationServer, web: &CertificateAuthority) -> Result<Envoy> {
    let routes = [json!({
        "match": {"path": "/oauth/v2/introspect"},
        "route": {"cluster": "api", "prefix_rewrite": "/token/introspection"},
    })];
    EnvoyBuilder::new(name, 1, server.port())
        .relay(LOGIN, Listener::default())
        .secured_by(&web.certify_server("login.example.com")?, None)
        .routed_by(&routes)
        .relay(IMPOSTER, Listener::default())
        .secured_by(&web.certify_server("login.example.org")?, None)
        .routed_by(&routes)
        .start()
        .await
}
