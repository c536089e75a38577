//! A real authorization server: how it is started, and how its clients get tokens.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use integration_tests::client::{Answer, Client, Request};
use integration_tests::process::Process;
use integration_tests::{eventually, paths, secrets};

/// A server that runs. Its clients `app` and `gateway` and its user alice stand in a file of `integration-tests/servers/`.
pub trait RealServer {
    /// What is known of it before it is asked.
    fn profile(&self) -> Profile;

    /// Where its clients get tokens and revoke them.
    fn endpoints(&self) -> &Endpoints;

    /// What alice's client `app` gets, by default by her password.
    async fn user_tokens(&self, scope: &str) -> Result<Tokens> {
        self.endpoints().password_grant(scope).await
    }

    /// What the client `app` gets for itself.
    async fn client_token(&self, scope: &str) -> Result<String> {
        self.endpoints().client_grant("app", scope).await
    }

    /// A good token that ends within seconds.
    async fn brief_token(&self) -> Result<String> {
        self.endpoints().client_grant("app-brief", "orders:read").await
    }

    /// A token that the server issued for another API or under another name, and how the gateway refuses it. By default, nothing but its
    /// scope tells for which API a token is.
    async fn foreign_token(&self) -> Result<(String, u16)> {
        Ok((self.user_tokens("payments:read").await?.access, 403))
    }

    async fn revoke(&self, token: &str) -> Result<()> {
        self.endpoints().revoke(token).await
    }

    /// Whether it names the client of a token without a user. Otherwise `mint.client_as_subject` does, if the operator sets it.
    fn names_clients(&self) -> bool {
        true
    }

    /// Whether it refuses wrong credentials of the gateway. Otherwise it reports all tokens as inactive.
    fn refuses_credentials(&self) -> bool {
        true
    }
}

/// What is known of a server.
pub struct Profile {
    /// The heading of its chapter in docs/servers.md.
    pub chapter: &'static str,
    pub version: String,
    /// What the chapter has for its URLs, and what they are.
    pub urls: Vec<(&'static str, String)>,
    /// Where it answers introspection on loopback.
    pub port: u16,
    /// The secret of the client `gateway`, where it needs one.
    pub secret: Option<&'static str>,
    /// How the server names alice to services.
    pub alice: String,
}

/// What a token response has.
pub struct Tokens {
    pub access: String,
    pub refresh: Option<String>,
    pub id: Option<String>,
}

/// The endpoints at which a client gets tokens and revokes them.
pub struct Endpoints {
    pub server: Client,
    pub token: String,
    pub revocation: String,
}

impl Endpoints {
    /// The server, as a URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.server.port())
    }

    /// What the client `app` gets by alice's password.
    pub async fn password_grant(&self, scope: &str) -> Result<Tokens> {
        let form = format!("grant_type=password&username=alice&password={ALICE_PASSWORD}&scope={scope}");
        self.grant("app", APP_SECRET, &form).await
    }

    /// What a client gets for itself.
    pub async fn client_grant(&self, client: &str, scope: &str) -> Result<String> {
        let form = format!("grant_type=client_credentials&scope={scope}");
        Ok(self.grant(client, APP_SECRET, &form).await?.access)
    }

    /// The token that ends within seconds, of a server whose grants have one lifetime for all clients.
    pub async fn brief_token(&self) -> Result<String> {
        let host = format!("127.0.0.1:{}", self.server.port());
        let answer = self.server.send(Request::get("/test/brief-token").header("host", host)).await?;
        Ok(tokens(&answer)?.access)
    }

    /// A token response to this form of a client that authenticates by Basic.
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

/// A form for a server of loopback.
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

/// Starts the program of a server of this name. Its variables are secrets.
pub fn start(name: &str, program: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Process> {
    for (_, secret) in variables {
        secrets::noted((*secret).to_owned());
    }
    Process::start(program, arguments, variables, &paths::logs()?.join(format!("{name}.log")))
}

/// Waits until this program answers this path with 200.
pub async fn serves(process: &Process, server: Client, path: &str) -> Result<()> {
    let request = Request::get(path).header("host", format!("127.0.0.1:{}", server.port()));
    let look = async {
        while !server.send(request.clone()).await.is_ok_and(|answer| answer.status == 200) {
            // It may not have begun yet.
            tokio::time::sleep(Duration::from_secs(1)).await;
            process.id()?;
        }
        anyhow::Ok(())
    };
    let started = tokio::time::timeout(STARTING, look).await.context("it never starts")?;
    started.with_context(|| format!("port {} does not serve {path}, see target/logs", server.port()))
}

/// The port in a URL that a program says it listens at.
pub fn port_of(url: &str) -> Result<u16> {
    let port = url.rsplit(':').next().and_then(|port| port.parse().ok());
    port.with_context(|| format!("it does not start, see target/logs: {url}"))
}

/// The version that a file of `integration-tests/servers/` pins, between these two.
pub fn pinned(file: &str, before: &str, after: &str) -> String {
    let path = paths::root().join("integration-tests/servers").join(file);
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let rest = text.split_once(before).map(|(_, rest)| rest).unwrap_or_default();
    rest.split(after).next().unwrap_or_default().to_owned()
}

/// The secret of all clients but the gateway's.
pub const APP_SECRET: &str = "the-secret-of-the-app-at-this-server";
pub const ALICE_PASSWORD: &str = "the-password-of-alice-at-this-server";

/// A JVM that starts beside others takes minutes.
const STARTING: Duration = eventually::PATIENCE.saturating_mul(10);
