//! Doorkeeper in a single-file Rails application: `integration-tests/servers/doorkeeper/server.rb`.

use anyhow::Result;
use integration_tests::client::Client;
use integration_tests::paths;
use integration_tests::port::free_port;
use integration_tests::process::Process;
use tempfile::TempDir;

use crate::real_server::{ALICE_PASSWORD, APP_SECRET, Endpoints, Profile, RealServer, pinned, serves, start};
use crate::story;

struct Doorkeeper {
    _process: Process,
    _folder: TempDir,
    endpoints: Endpoints,
}

impl Doorkeeper {
    async fn start() -> Result<Self> {
        let server = Client::to_port(free_port()?);
        let (folder, (script, packages)) = (TempDir::new()?, paths::debian_server("doorkeeper")?);
        let environment = [
            ("APP_CLIENT_SECRET", APP_SECRET),
            ("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET),
            ("ALICE_PASSWORD", ALICE_PASSWORD),
        ];
        let database = folder.path().join("database.sqlite");
        let [packages, database] = [packages, database].map(|path| path.display().to_string());
        let port = server.port().to_string();
        let process = start("doorkeeper", &script, &[&packages, &port, &database], &environment)?;
        serves(&process, server, "/up").await?;
        let endpoints =
            Endpoints { server, token: "/oauth/token".to_owned(), revocation: "/oauth/revoke".to_owned() };
        Ok(Self { _process: process, _folder: folder, endpoints })
    }
}

impl RealServer for Doorkeeper {
    fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    fn profile(&self) -> Profile {
        Profile {
            chapter: "Doorkeeper (Rails)",
            version: pinned("doorkeeper/packages.txt", "ruby-doorkeeper=", "-"),
            urls: vec![("https://login.example.com", self.endpoints.url())],
            port: self.endpoints.server.port(),
            secret: Some(GATEWAY_SECRET),
            // Her id in the database.
            alice: "1".to_owned(),
        }
    }
}

/// If this failed, the chapter of Doorkeeper would not lead to what it promises.
#[tokio::test(flavor = "multi_thread")]
async fn r225_doorkeeper_as_its_chapter_has_it() -> Result<()> {
    story::tell("doorkeeper", &Doorkeeper::start().await?).await
}

/// Has characters that client_secret_basic would encode (RFC 6749 §2.3.1), and Doorkeeper does not decode.
const GATEWAY_SECRET: &str = "doorkeeper gateway's-p@ssw:rd+100%";
