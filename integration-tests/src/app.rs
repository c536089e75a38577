//! The client `app` of the authorization servers, which obtains access tokens for itself.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::certificates::Certificate;
use crate::client::{Client, Request};
use crate::dpop::{self, DpopKey};
use crate::process::Process;
use crate::{paths, secrets};

/// The client `app` at one of the authorization servers.
pub struct App {
    server: Client,
}

/// Starts the program of an authorization server, which prints its issuer once it listens. Returns the process, the issuer and a client of
/// the server.
pub(crate) fn start_server(
    name: &str,
    program: &Path,
    arguments: [&str; 2],
    environment: &[(&str, &str)],
) -> Result<(Process, String, Client)> {
    let log = paths::logs()?.join(format!("{name}.log"));
    let mut process = Process::start(program, &arguments, environment, &log)?;
    let issuer = process.first_line()?;
    let port = issuer.rsplit(':').next().and_then(|port| port.parse().ok());
    let port =
        port.with_context(|| format!("the authorization server did not start, see {}", log.display()))?;
    Ok((process, issuer, Client::to_port(port)))
}

/// The secret of the client `app`.
pub const APP_SECRET: &str = "the-secret-of-the-app";

impl App {
    pub(crate) fn at(server: Client) -> Self {
        Self { server }
    }

    /// Gets an opaque access token (RFC 6749 §4.4).
    pub async fn issue(&self, scope: &str) -> Result<String> {
        self.token(self.request("app", "/token", form(scope))).await
    }

    /// Gets an access token for a resource (RFC 8707 §2).
    pub async fn issue_for(&self, resource: &str, scope: &str) -> Result<String> {
        self.token(self.request("app", "/token", format!("{}&resource={resource}", form(scope)))).await
    }

    /// Gets an opaque access token that is bound to a key (RFC 9449 §5).
    pub async fn issue_bound_to_key(&self, key: &DpopKey, scope: &str) -> Result<String> {
        let uri = format!("http://127.0.0.1:{}/token", self.server.port());
        let mut claims = dpop::claims("POST", &uri, "");
        claims.as_object_mut().context("claims are an object")?.remove("ath");
        self.token(self.request("app", "/token", form(scope)).header("dpop", key.sign(&claims))).await
    }

    /// Gets an opaque access token that is bound to a certificate (RFC 8705 §3). The server takes the certificate from a header field, as
    /// from a TLS-terminating proxy in front of it.
    pub async fn issue_bound_to_certificate(&self, certificate: &Certificate, scope: &str) -> Result<String> {
        let request = self.request("app-with-certificate", "/token", form(scope));
        self.token(request.header("x-client-certificate", certificate.base64_der())).await
    }

    /// Revokes an access token (RFC 7009).
    pub async fn revoke(&self, token: &str) -> Result<()> {
        let request = self.request("app", "/token/revocation", format!("token={token}"));
        let answer = self.server.send(request).await?;
        ensure!(answer.status == 200, "not revoked: {}", answer.text());
        Ok(())
    }

    async fn token(&self, request: Request) -> Result<String> {
        let answer = self.server.send(request).await?;
        ensure!(answer.status == 200, "no token: {}", answer.text());
        let token = answer.json()?["access_token"].as_str().map(str::to_owned);
        token.map(secrets::noted).context("a token response without an access token")
    }

    fn request(&self, client_id: &str, path: &str, form: String) -> Request {
        let credentials = STANDARD.encode(format!("{client_id}:{APP_SECRET}"));
        Request::post(path, form)
            .header("host", format!("127.0.0.1:{}", self.server.port()))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("authorization", format!("Basic {}", secrets::noted(credentials)))
    }
}

fn form(scope: &str) -> String {
    format!("grant_type=client_credentials&scope={}", scope.replace(' ', "+"))
}
