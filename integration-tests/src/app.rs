//! The client `app` of the authorization servers, which gets access tokens for itself.

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::client::{Answer, Client, Request};
use crate::secrets;

/// The client at one of the authorization servers.
pub(crate) struct App {
    server: Client,
}

/// The secret of the client `app`.
pub const APP_SECRET: &str = "the-secret-of-the-app";

impl App {
    /// The client at this server.
    pub(crate) fn at(server: Client) -> Self {
        Self { server }
    }

    /// Gets an opaque access token (RFC 6749 §4.4).
    pub(crate) async fn issue(&self, scope: &str) -> Result<String> {
        self.token(format!("grant_type=client_credentials&scope={}", scope.replace(' ', "+"))).await
    }

    /// Gets an access token for this resource (RFC 8707 §2).
    pub(crate) async fn issue_for(&self, resource: &str, scope: &str) -> Result<String> {
        let scope = scope.replace(' ', "+");
        self.token(format!("grant_type=client_credentials&resource={resource}&scope={scope}")).await
    }

    /// Revokes an access token (RFC 7009).
    pub(crate) async fn revoke(&self, token: &str) -> Result<()> {
        let answer = self.post("/token/revocation", format!("token={token}")).await?;
        ensure!(answer.status == 200, "not revoked: {}", answer.text());
        Ok(())
    }

    async fn token(&self, form: String) -> Result<String> {
        let answer = self.post("/token", form).await?;
        ensure!(answer.status == 200, "no token: {}", answer.text());
        let token = answer.json()?["access_token"].as_str().map(str::to_owned);
        token.map(secrets::noted).context("a token response without an access token")
    }

    async fn post(&self, path: &str, form: String) -> Result<Answer> {
        let credentials = STANDARD.encode(format!("app:{APP_SECRET}"));
        let request = Request::post(path, form)
            .header("host", format!("127.0.0.1:{}", self.server.port()))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("authorization", format!("Basic {credentials}"));
        self.server.send(request).await
    }
}
