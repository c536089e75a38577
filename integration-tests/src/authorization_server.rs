//! The certified authorization server: oidc-provider under Node, with two clients, `app` and `gateway`.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::client::{Answer, Client, Request};
use crate::process::Process;
use crate::{paths, secrets};

/// The authorization server, running.
pub struct AuthorizationServer {
    _process: Process,
    issuer: String,
    client: Client,
}

/// The secret of the client `gateway`, with characters that client_secret_basic has to encode (RFC 6749 §2.3.1).
pub const GATEWAY_SECRET: &str = "gateway's p@ssw:rd + 100%";

/// The secret of the client `app`.
pub const APP_SECRET: &str = "the-secret-of-the-app";

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
        Ok(Self { _process: process, issuer, client: Client::to_port(port) })
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
        let form = format!("grant_type=client_credentials&scope={}", scope.replace(' ', "+"));
        let answer = self.post("/token", form).await?;
        ensure!(answer.status == 200, "no token: {}", answer.text());
        let token = answer.json()?["access_token"].as_str().map(str::to_owned);
        token.map(secrets::noted).context("a token response without an access token")
    }

    /// Revokes an access token (RFC 7009).
    pub async fn revoke(&self, token: &str) -> Result<()> {
        let answer = self.post("/token/revocation", format!("token={token}")).await?;
        ensure!(answer.status == 200, "not revoked: {}", answer.text());
        Ok(())
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

    async fn post(&self, path: &str, form: String) -> Result<Answer> {
        let credentials =
            base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("app:{APP_SECRET}"));
        let request = Request::post(path, form)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("authorization", format!("Basic {credentials}"));
        self.client.send(request).await
    }
}

/// The claims of a JWT, not verified.
pub fn claims(jwt: &str) -> Result<Value> {
    let payload = jwt.split('.').nth(1).context("not a JWT")?;
    let engine = &base64::engine::general_purpose::URL_SAFE_NO_PAD;
    Ok(serde_json::from_slice(&base64::Engine::decode(engine, payload)?)?)
}
