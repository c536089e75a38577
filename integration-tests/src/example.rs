//! Envoy as `envoy-config/envoy.yaml` configures it, on free ports of loopback.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::authorization_server::{AuthorizationServer, GATEWAY_SECRET};
use crate::envoy::Envoy;
use crate::server::Service;
use crate::{envoy_config, paths};

/// How long responses are cached here although the server forbids it: short enough to wait for.
pub const TIME_TO_LIVE: Duration = Duration::from_secs(2);

/// Starts Envoy with this wasm filter in front of the API, which pages of this origin may call. Its only listener is `ingress`.
pub async fn start(
    name: &str,
    filter: &Path,
    server: &AuthorizationServer,
    api: &Service,
    origin: &str,
) -> Result<Envoy> {
    let no_store_ttl = format!(r#""no_store_ttl": "{}s""#, TIME_TO_LIVE.as_secs());
    let cors = format!(r#""realm": "orders", "cors": {{ "allow_origins": ["{origin}"] }},"#);
    let bootstrap = envoy_config::on_loopback("envoy.yaml", server, api)?
        .with(r#""no_store_ttl": "30s""#, &no_store_ttl)?
        .with(r#""realm": "orders","#, &cors)?
        .with(&paths::filter()?.display().to_string(), &filter.display().to_string())?
        .text();
    Envoy::start(name, &bootstrap, &[("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET)], &["ingress"]).await
}
