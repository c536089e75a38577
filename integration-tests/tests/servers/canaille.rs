//! Canaille, with all its data in memory: `integration-tests/servers/canaille/server.py`.

use std::time::Duration;

use anyhow::Result;
use integration_tests::client::Client;
use integration_tests::paths;
use integration_tests::port::free_port;
use integration_tests::process::Process;

use crate::real_server::{
    ALICE_PASSWORD, APP_SECRET, Endpoints, Profile, RealServer, Tokens, pinned, serves, start,
};
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
        let (script, port) = (script.display().to_string(), server.port().to_string());
        let process = start("canaille", &python, &[&script, &port], &environment)?;
        serves(&process, server, "/oauth/jwks.json").await?;
        let endpoints =
            Endpoints { server, token: "/oauth/token".to_owned(), revocation: "/oauth/revoke".to_owned() };
        Ok(Self { _process: process, endpoints })
    }
}

impl RealServer for Canaille {
    fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    fn profile(&self) -> Profile {
        Profile {
            chapter: "Canaille",
            version: pinned("canaille/requirements.in", "canaille[oidc]==", "\n"),
            urls: vec![("https://login.example.com", self.endpoints.url())],
            port: self.endpoints.server.port(),
            secret: Some(GATEWAY_SECRET),
            alice: "alice".to_owned(),
        }
    }

    async fn user_tokens(&self, scope: &str) -> Result<Tokens> {
        // A user's token is a JWT without `jti`: two issued in the same second are equal, even with other scopes.
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.endpoints.password_grant(scope).await
    }

    async fn brief_token(&self) -> Result<String> {
        self.endpoints.brief_token().await
    }

    async fn foreign_token(&self) -> Result<(String, u16)> {
        let token = self.endpoints.client_grant("app-of-payments", "orders:read").await?;
        Ok((token, 401))
    }
}

/// If this failed, the chapter of Canaille would not lead to what it promises.
#[tokio::test(flavor = "multi_thread")]
async fn r225_canaille_as_its_chapter_has_it() -> Result<()> {
    story::tell("canaille", &Canaille::start().await?).await
}

/// Has characters that client_secret_basic has to encode (RFC 6749 §2.3.1).
const GATEWAY_SECRET: &str = "canaille gateway's-p@ssw:rd+100%";
