//! idpyoidc, with its sessions in memory: `integration-tests/servers/idpyoidc/server.py`.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use integration_tests::client::{Client, Request};
use integration_tests::port::free_port;
use integration_tests::process::Process;
use integration_tests::{jwt, paths};

use crate::real_server::{APP_SECRET, Endpoints, Profile, RealServer, Tokens, pinned, serves, start};
use crate::story;

struct Idpyoidc {
    _process: Process,
    endpoints: Endpoints,
    /// The subject of alice in the server's tokens.
    alice: String,
    /// How many of the clients `machine-N` already have a token. Each gets only one.
    machines: AtomicUsize,
}

impl Idpyoidc {
    async fn start() -> Result<Self> {
        let server = Client::to_port(free_port()?);
        let (python, script) = paths::python_server("idpyoidc")?;
        let environment =
            [("APP_CLIENT_SECRET", APP_SECRET), ("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET)];
        let (script, port) = (script.display().to_string(), server.port().to_string());
        let process = start("idpyoidc", &python, &[&script, &port], &environment)?;
        serves(&process, server, "/").await?;
        let endpoints =
            Endpoints { server, token: "/token".to_owned(), revocation: "/revocation".to_owned() };
        let mut idpyoidc =
            Self { _process: process, endpoints, alice: String::new(), machines: AtomicUsize::new(0) };
        let claims = jwt::claims(&idpyoidc.user_tokens("orders:read").await?.access)?;
        idpyoidc.alice = claims["sub"].as_str().context("alice has no subject")?.to_owned();
        Ok(idpyoidc)
    }

    /// The tokens that a client gets once alice has logged in and consented.
    async fn grant(&self, client: &str, scope: &str) -> Result<Tokens> {
        let request = Request::get(format!("/test/code?client_id={client}&scope={scope}"));
        let code = self.endpoints.server.send(request).await?.text();
        let form =
            format!("grant_type=authorization_code&code={code}&redirect_uri=http://127.0.0.1/callback");
        self.endpoints.grant(client, APP_SECRET, &form).await
    }
}

impl RealServer for Idpyoidc {
    fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    fn profile(&self) -> Profile {
        Profile {
            chapter: "idpyoidc, SATOSA",
            version: pinned("idpyoidc/requirements.in", "idpyoidc==", "\n"),
            urls: vec![("https://login.example.com", self.endpoints.url())],
            port: self.endpoints.server.port(),
            secret: Some(GATEWAY_SECRET),
            alice: self.alice.clone(),
        }
    }

    async fn user_tokens(&self, scope: &str) -> Result<Tokens> {
        self.grant("app", &format!("{scope}+offline_access")).await
    }

    async fn client_token(&self, scope: &str) -> Result<String> {
        let number = self.machines.fetch_add(1, Ordering::Relaxed);
        self.endpoints.client_grant(&format!("machine-{number}"), scope).await
    }

    async fn brief_token(&self) -> Result<String> {
        Ok(self.grant("app-brief", "orders:read").await?.access)
    }

    fn names_clients(&self) -> bool {
        false
    }
}

/// If this failed, the chapter of idpyoidc would not lead to what it promises.
#[tokio::test(flavor = "multi_thread")]
async fn r225_idpyoidc_as_its_chapter_has_it() -> Result<()> {
    story::tell("idpyoidc", &Idpyoidc::start().await?).await
}

/// Has characters that client_secret_basic would encode (RFC 6749 §2.3.1), and idpyoidc does not decode.
const GATEWAY_SECRET: &str = "idpyoidc gateway's-p@ssw:rd+100%";
