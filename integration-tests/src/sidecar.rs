//! A workload's sidecar: an Envoy without the filter, whose own `jwt_authn` verifies each JWT with the keys that its issuer publishes, be
//! it the authorization server or a gateway.

use anyhow::Result;
use serde_json::json;

use crate::authorization_server::AuthorizationServer;
use crate::envoy::{Envoy, EnvoyBuilder, Listener};

pub const INBOUND: &str = "inbound";

/// The header field in which the workload receives the verified claims, as base64url; the sidecar removes a client's field of this name.
pub const VERIFIED_CLAIMS: &str = "x-verified-claims";

/// The issuer whose JWTs a sidecar accepts.
#[derive(Clone, Copy, Debug)]
pub struct Issuer<'a> {
    pub name: &'a str,
    /// The path of the issuer's JWK Set.
    pub keys: &'a str,
    pub port: u16,
}

/// Starts a sidecar in front of the workload at this port. It admits only requests with a JWT of this server for this audience in
/// `Authorization`.
pub async fn start(
    name: &str,
    server: &AuthorizationServer,
    audience: &str,
    workload_port: u16,
) -> Result<Envoy> {
    let issuer = Issuer { name: server.issuer(), keys: "/jwks", port: server.port() };
    start_trusting(name, issuer, audience, workload_port).await
}

/// Starts a sidecar that accepts JWTs of this issuer.
pub async fn start_trusting(
    name: &str,
    issuer: Issuer<'_>,
    audience: &str,
    workload_port: u16,
) -> Result<Envoy> {
    let jwt_authn = json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"issuer": {
                "issuer": issuer.name,
                "audiences": [audience],
                "remote_jwks": {"http_uri": {
                    "uri": format!("http://127.0.0.1:{}{}", issuer.port, issuer.keys),
                    "cluster": "issuer",
                    "timeout": "5s",
                }},
                "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}],
                "forward": true,
                "forward_payload_header": VERIFIED_CLAIMS,
            }},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "issuer"}}],
        },
    });
    EnvoyBuilder::new(name, 1, workload_port)
        .cluster("issuer", &[issuer.port])
        .listener_with(INBOUND, &jwt_authn, Listener::default())
        .start()
        .await
}
