//! A workload's sidecar: an Envoy without the filter, whose own `jwt_authn` takes nobody's word for a JWT. It verifies each
//! one by the keys that the authorization server publishes.

use anyhow::Result;
use serde_json::json;

use crate::authorization_server::AuthorizationServer;
use crate::envoy::{Envoy, EnvoyBuilder, Listener};

/// The listener of the sidecar.
pub const INBOUND: &str = "inbound";

/// The header field in which the workload receives the claims that were verified, as base64url; the sidecar takes off what
/// a client sends under this name.
pub const VERIFIED_CLAIMS: &str = "x-verified-claims";

/// Starts a sidecar in front of the workload at this port. It lets through what has a JWT of this server for this audience
/// in `Authorization`, and nothing else.
pub async fn start(
    name: &str,
    server: &AuthorizationServer,
    audience: &str,
    workload_port: u16,
) -> Result<Envoy> {
    let jwt_authn = json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": {"authorization-server": {
                "issuer": server.issuer(),
                "audiences": [audience],
                "remote_jwks": {"http_uri": {
                    "uri": format!("{}/jwks", server.issuer()),
                    "cluster": "authorization-server",
                    "timeout": "5s",
                }},
                "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}],
                "forward": true,
                "forward_payload_header": VERIFIED_CLAIMS,
            }},
            "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "authorization-server"}}],
        },
    });
    EnvoyBuilder::new(name, 1, workload_port)
        .cluster("authorization-server", &[server.port()])
        .listener_with(INBOUND, &jwt_authn, Listener::default())
        .start()
        .await
}
