//! @jmondi/oauth2-server, with all its data in memory: `integration-tests/servers/jmondi/server.mjs`.

use anyhow::{Context, Result};
use integration_tests::client::Client;
use integration_tests::paths;
use integration_tests::process::Process;

use crate::real_server::{
    ALICE_PASSWORD, APP_SECRET, Endpoints, Profile, RealServer, pinned, port_of, start,
};
use crate::story;

struct Jmondi {
    _process: Process,
    endpoints: Endpoints,
}

impl Jmondi {
    fn start() -> Result<Self> {
        let script = paths::node_server("jmondi")?;
        let environment = [
            ("APP_CLIENT_SECRET", APP_SECRET),
            ("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET),
            ("ALICE_PASSWORD", ALICE_PASSWORD),
            ("JWT_SECRET", "the-secret-that-jmondi-signs-by"),
        ];
        let script = script.to_str().context("a path that is not UTF-8")?;
        let mut process = start("jmondi", "node".as_ref(), &[script], &environment)?;
        let server = Client::to_port(port_of(&process.first_line()?)?);
        let endpoints = Endpoints { server, token: "/token".to_owned(), revocation: "/revoke".to_owned() };
        Ok(Self { _process: process, endpoints })
    }
}

impl RealServer for Jmondi {
    fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    fn profile(&self) -> Profile {
        Profile {
            chapter: "@jmondi/oauth2-server (Node.js)",
            version: pinned("jmondi/package.json", "\"@jmondi/oauth2-server\": \"", "\""),
            urls: vec![("https://login.example.com", self.endpoints.url())],
            port: self.endpoints.server.port(),
            secret: Some(GATEWAY_SECRET),
            alice: "alice".to_owned(),
        }
    }
}

/// If this failed, the chapter of @jmondi/oauth2-server would not lead to what it promises.
#[tokio::test(flavor = "multi_thread")]
async fn r225_jmondi_as_its_chapter_has_it() -> Result<()> {
    story::tell("jmondi", &Jmondi::start()?).await
}

/// Has characters that every way to send it has to encode.
const GATEWAY_SECRET: &str = "jmondi gateway's-p@ssw:rd+100%";
