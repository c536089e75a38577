//! The certified authorization server: oidc-provider under Node, with two clients, `app` and `gateway`.

use anyhow::{Context, Result};
use serde_json::Value;

pub use crate::app::APP_SECRET;
use crate::app::App;
use crate::client::{Client, Request};
use crate::process::Process;
use crate::{paths, secrets};

/// The authorization server, running.
pub struct AuthorizationServer {
    _process: Process,
    issuer: String,
    client: Client,
    app: App,
}

/// The secret of the client `gateway`, with characters that client_secret_basic has to encode (RFC 6749 §2.3.1).
pub const GATEWAY_SECRET: &str = "gateway's p@ssw:rd + 100%";

impl AuthorizationServer {
    /// Starts it on a free port of loopback.
    pub fn start(name: &str) -> Result<Self> {
        Self::start_at(name, 0)
    }

    /// Starts it on this port of loopback.
    pub fn start_at(name: &str, port: u16) -> Result<Self> {
        let script = paths::authorization_server()?;
        let log = paths::logs()?.join(format!("{name}-authorization-server.log"));
        let secrets = [("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET), ("APP_CLIENT_SECRET", APP_SECRET)];
        for (_, secret) in secrets {
            secrets::noted(secret.to_owned());
        }
        let arguments = [script.to_str().context("a path that is not UTF-8")?, &port.to_string()];
        let mut process = Process::start("node".as_ref(), &arguments, &secrets, &log)?;
        let issuer = process.first_line()?;
        let port = issuer.rsplit(':').next().and_then(|port| port.parse().ok());
        let port =
            port.with_context(|| format!("the authorization server did not start, see {}", log.display()))?;
        let client = Client::to_port(port);
        Ok(Self { _process: process, issuer, client, app: App::at(client) })
    }

    /// Its issuer identifier, an URL of loopback.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Where it listens on loopback.
    pub fn port(&self) -> u16 {
        self.client.port()
    }

    /// Gets an opaque access token for the client `app` (RFC 6749 §4.4).
    pub async fn issue(&self, scope: &str) -> Result<String> {
        self.app.issue(scope).await
    }

    /// Revokes an access token (RFC 7009).
    pub async fn revoke(&self, token: &str) -> Result<()> {
        self.app.revoke(token).await
    }

    /// How often a token was introspected.
    pub async fn introspections(&self, token: &str) -> Result<u64> {
        let answer = self.client.send(Request::get("/introspections").header("token", token)).await?;
        let answer = answer.json()?;
        if let Some(authorization) = answer["authorization"].as_str() {
            secrets::noted_credentials(authorization);
        }
        answer["count"].as_u64().context("no count")
    }
}

/// The claims of a JWT, not verified.
pub fn claims(jwt: &str) -> Result<Value> {
    let payload = jwt.split('.').nth(1).context("not a JWT")?;
    let engine = &base64::engine::general_purpose::URL_SAFE_NO_PAD;
    Ok(serde_json::from_slice(&base64::Engine::decode(engine, payload)?)?)
}
