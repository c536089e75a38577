//! Envoy as `envoy-config/envoy.yaml` configures it, at free ports of loopback.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::api::Api;
use crate::authorization_server::{AuthorizationServer, GATEWAY_SECRET};
use crate::envoy::Envoy;
use crate::paths;

/// How long an answer is kept here although the server forbids it: a time that one can wait for.
pub const TIME_TO_LIVE: Duration = Duration::from_secs(2);

/// Starts it with this module in front of the API. Its one listener is `ingress`.
pub async fn start(name: &str, filter: &Path, server: &AuthorizationServer, api: &Api) -> Result<Envoy> {
    let mut bootstrap = std::fs::read_to_string(paths::root().join("envoy-config/envoy.yaml"))?;
    for (written, here) in [
        ("port_value: 10000", "port_value: 0".to_owned()),
        ("port_value: 9901", "port_value: 0".to_owned()),
        ("port_value: 8080", format!("port_value: {}", api.port())),
        ("port_value: 9000", format!("port_value: {}", server.port())),
        ("http://127.0.0.1:9000", server.issuer().to_owned()),
        (r#""no_store_ttl": "30s""#, format!(r#""no_store_ttl": "{}s""#, TIME_TO_LIVE.as_secs())),
        ("target/phantom_token.wasm", filter.display().to_string()),
    ] {
        ensure!(bootstrap.contains(written), "envoy-config/envoy.yaml has no {written}");
        bootstrap = bootstrap.replace(written, &here);
    }
    Envoy::start(name, &bootstrap, &[("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET)], &["ingress"]).await
}
