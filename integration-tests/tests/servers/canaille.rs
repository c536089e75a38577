//! Canaille, with all that it knows in memory: `integration-tests/servers/canaille/server.py`.

use std::time::Duration;

use anyhow::Result;
use integration_tests::client::{Client, Request};
use integration_tests::port::free_port;
use integration_tests::process::Process;
use integration_tests::{paths, secrets};

use crate::real_server::{Endpoints, Profile, RealServer, Tokens, pinned, serves, tokens};
use crate::story;

struct Canaille {
    _process: Process,
    endpoints: Endpoints,
}

impl Canaille {
    async fn start() -> Result<Self> {
        let server = Client::to_port(free_port()?);
        let (python, script) = paths::python_server("canaille")?;
        let environment = [
            ("APP_CLIENT_SECRET", APP_SECRET),
            ("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET),
            ("ALICE_PASSWORD", ALICE_PASSWORD),
            ("CANAILLE_SECRET", "the-secret-that-canaille-signs-by"),
        ];
        for (_, secret) in environment {
            secrets::noted(secret.to_owned());
        }
        let (script, port) = (script.display().to_string(), server.port().to_string());
        let log = paths::logs()?.join("canaille.log");
        let process = Process::start(&python, &[&script, &port], &environment, &log)?;
        serves(&process, server, "/oauth/jwks.json").await?;
        let endpoints =
            Endpoints { server, token: "/oauth/token".to_owned(), revocation: "/oauth/revoke".to_owned() };
        Ok(Self { _process: process, endpoints })
    }

    async fn machine_token(&self, client: &str) -> Result<String> {
        let form = "grant_type=client_credentials&scope=orders:read";
        Ok(self.endpoints.grant(client, APP_SECRET, form).await?.access)
    }
}

impl RealServer for Canaille {
    fn profile(&self) -> Profile {
        let port = self.endpoints.server.port();
        Profile {
            chapter: "Canaille",
            version: pinned("canaille/requirements.in", "canaille[oidc]==", "\n"),
            urls: vec![("https://login.example.com", format!("http://127.0.0.1:{port}"))],
            port,
            secret: Some(GATEWAY_SECRET),
            alice: "alice".to_owned(),
        }
    }

    async fn user_tokens(&self, scope: &str) -> Result<Tokens> {
        // A user's token is a JWT without `jti`: two of one second are the same, even with other scopes.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let form = format!("grant_type=password&username=alice&password={ALICE_PASSWORD}&scope={scope}");
        self.endpoints.grant("app", APP_SECRET, &form).await
    }

    async fn client_token(&self, _scope: &str) -> Result<String> {
        self.machine_token("app").await
    }

    async fn brief_token(&self) -> Result<String> {
        let host = format!("127.0.0.1:{}", self.endpoints.server.port());
        let request = Request::get("/test/brief-token").header("host", host);
        Ok(tokens(&self.endpoints.server.send(request).await?)?.access)
    }

    async fn foreign_token(&self) -> Result<(String, u16)> {
        Ok((self.machine_token("app-of-payments").await?, 401))
    }

    async fn revoke(&self, token: &str) -> Result<()> {
        self.endpoints.revoke("app", APP_SECRET, token).await
    }
}

/// If this failed, the chapter of Canaille would lead somewhere else than it says.
#[tokio::test(flavor = "multi_thread")]
async fn r225_canaille_as_its_chapter_has_it() -> Result<()> {
    story::tell("canaille", &Canaille::start().await?).await
}

const APP_SECRET: &str = "the-secret-of-the-app-at-canaille";
const ALICE_PASSWORD: &str = "the-password-of-alice-at-canaille";

/// With characters that client_secret_basic has to encode (RFC 6749 §2.3.1).
const GATEWAY_SECRET: &str = "canaille gateway's-p@ssw:rd+100%";
