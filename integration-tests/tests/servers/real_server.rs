//! A real authorization server: how it is started, and how its clients get tokens.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use integration_tests::client::{Answer, Client, Request};
use integration_tests::process::Process;
use integration_tests::{eventually, paths, secrets};

/// A running server. Its clients `app` and `gateway` and its user alice are defined in a file of `integration-tests/servers/`.
pub trait RealServer {
    /// The facts about the server that the tests need.
    fn profile(&self) -> Profile;

    /// The endpoints at which its clients get tokens and revoke them.
    fn endpoints(&self) -> &Endpoints;

    /// Gets tokens of alice for the client `app`, by default with her password.
    async fn user_tokens(&self, scope: &str) -> Result<Tokens> {
        self.endpoints().password_grant(scope).await
    }

    /// Gets a token for the client `app` itself.
    async fn client_token(&self, scope: &str) -> Result<String> {
        self.endpoints().client_grant("app", scope).await
    }

    /// Gets a valid token that expires within seconds.
    async fn brief_token(&self) -> Result<String> {
        self.endpoints().client_grant("app-brief", "orders:read").await
    }

    /// Gets a token that the server issued for another API or under another name, and the status with which the gateway refuses it. By
    /// default, only its scope says for which API a token is.
    async fn foreign_token(&self) -> Result<(String, u16)> {
        Ok((self.user_tokens("payments:read").await?.access, 403))
    }

    async fn revoke(&self, token: &str) -> Result<()> {
        self.endpoints().revoke(token).await
    }

    /// Whether the server names the client of a token without a user. Otherwise the operator can set `mint.client_as_subject`.
    fn names_clients(&self) -> bool {
        true
    }

    /// Whether the server rejects wrong credentials of the gateway. Otherwise it reports all tokens as inactive.
    fn refuses_credentials(&self) -> bool {
        true
    }
}

/// The facts about a server.
pub struct Profile {
    /// The heading of its chapter in docs/servers.md.
    pub chapter: &'static str,
    pub version: String,
    /// The URLs in the chapter, and the actual ones.
    pub urls: Vec<(&'static str, String)>,
    /// The port of the introspection endpoint on loopback.
    pub port: u16,
    /// The secret of the client `gateway`. `None` if it needs none.
    pub secret: Option<&'static str>,
    /// The server's name for alice in tokens for services.
    pub alice: String,
}

/// The tokens of a token response.
pub struct Tokens {
    pub access: String,
    pub refresh: Option<String>,
    pub id: Option<String>,
}

/// The endpoints at which clients get tokens and revoke them.
pub struct Endpoints {
    pub server: Client,
    pub token: String,
    pub revocation: String,
}

impl Endpoints {
    /// The URL of the server.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.server.port())
    }

    /// Gets tokens for the client `app` with alice's password.
    pub async fn password_grant(&self, scope: &str) -> Result<Tokens> {
        let form = format!("grant_type=password&username=alice&password={ALICE_PASSWORD}&scope={scope}");
        self.grant("app", APP_SECRET, &form).await
    }

    /// Gets a token for a client itself.
    pub async fn client_grant(&self, client: &str, scope: &str) -> Result<String> {
        let form = format!("grant_type=client_credentials&scope={scope}");
        Ok(self.grant(client, APP_SECRET, &form).await?.access)
    }

    /// Gets a token that expires within seconds, from a server whose grants have one lifetime for all clients.
    pub async fn brief_token(&self) -> Result<String> {
        let host = format!("127.0.0.1:{}", self.server.port());
        let answer = self.server.send(Request::get("/test/brief-token").header("host", host)).await?;
        Ok(tokens(&answer)?.access)
    }

    /// Gets the tokens for this form, as a client that authenticates with Basic.
    pub async fn grant(&self, client: &str, secret: &str, form: &str) -> Result<Tokens> {
        tokens(&self.server.send(self.request(&self.token, client, secret, form)).await?)
    }

    async fn revoke(&self, token: &str) -> Result<()> {
        let request = self.request(&self.revocation, "app", APP_SECRET, &format!("token={token}"));
        let answer = self.server.send(request).await?;
        ensure!(answer.status == 200, "not revoked: {} {}", answer.status, answer.text());
        Ok(())
    }

    fn request(&self, path: &str, client: &str, secret: &str, form: &str) -> Request {
        let credentials = secrets::noted(STANDARD.encode(format!("{client}:{secret}")));
        posted(self.server, path, form).header("authorization", format!("Basic {credentials}"))
    }
}

/// A form for a server on loopback.
pub fn posted(server: Client, path: &str, form: &str) -> Request {
    Request::post(path, form)
        .header("host", format!("127.0.0.1:{}", server.port()))
        .header("content-type", "application/x-www-form-urlencoded")
}

/// The tokens of a token response (RFC 6749 §5.1).
pub fn tokens(answer: &Answer) -> Result<Tokens> {
    ensure!(answer.status == 200, "no token: {} {}", answer.status, answer.text());
    let response = answer.json()?;
    let token = |name: &str| response[name].as_str().map(|token| secrets::noted(token.to_owned()));
    let access = token("access_token").context("a token response without an access token")?;
    Ok(Tokens { access, refresh: token("refresh_token"), id: token("id_token") })
}

/// Starts the program of the server of this name. The values of its variables are recorded as secrets.
pub fn start(name: &str, program: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Process> {
    for (_, secret) in variables {
        secrets::noted((*secret).to_owned());
    }
    Process::start(program, arguments, variables, &paths::logs()?.join(format!("{name}.log")))
}

/// Waits until the program responds to this path with 200.
pub async fn serves(process: &Process, server: Client, path: &str) -> Result<()> {
    let request = Request::get(path).header("host", format!("127.0.0.1:{}", server.port()));
    let look = async {
        while !server.send(request.clone()).await.is_ok_and(|answer| answer.status == 200) {
            // The program may not listen yet.
            tokio::time::sleep(Duration::from_secs(1)).await;
            process.id()?;
        }
        anyhow::Ok(())
    };
    let started = tokio::time::timeout(STARTING, look).await.context("it never starts")?;
    started.with_context(|| format!("port {} does not serve {path}, see target/logs", server.port()))
}

/// The port in a URL at which a program says that it listens.
pub fn port_of(url: &str) -> Result<u16> {
    let port = url.rsplit(':').next().and_then(|port| port.parse().ok());
    port.with_context(|| format!("it does not start, see target/logs: {url}"))
}

/// The version in a file of `integration-tests/servers/`, which stands between these two texts.
pub fn pinned(file: &str, before: &str, after: &str) -> String {
    let path = paths::root().join("integration-tests/servers").join(file);
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let rest = text.split_once(before).map(|(_, rest)| rest).unwrap_or_default();
    rest.split(after).next().unwrap_or_default().to_owned()
}

/// The secret of all clients except the gateway.
pub const APP_SECRET: &str = "the-secret-of-the-app-at-this-server";
pub const ALICE_PASSWORD: &str = "the-password-of-alice-at-this-server";

/// A JVM that starts next to others takes minutes.
const STARTING: Duration = eventually::PATIENCE.saturating_mul(10);
