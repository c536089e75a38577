//! A server in a single file with Django: `integration-tests/servers/NAME/server.py`.

use anyhow::Result;
use integration_tests::client::Client;
use integration_tests::paths;
use integration_tests::process::Process;
use tempfile::TempDir;

use crate::real_server::{ALICE_PASSWORD, APP_SECRET, Endpoints, port_of, start};

/// The server, with its own database.
pub struct Django {
    _process: Process,
    _folder: TempDir,
    pub endpoints: Endpoints,
}

impl Django {
    /// Starts the server on a free port, with its endpoints at these paths.
    pub fn start(name: &str, gateway_secret: &str, token: &str, revocation: &str) -> Result<Self> {
        let folder = TempDir::new()?;
        let (python, script) = paths::python_server(name)?;
        let database = folder.path().join("database.sqlite");
        let [script, database] = [&script, &database].map(|path| path.to_str().unwrap_or_default());
        let environment = [
            ("APP_CLIENT_SECRET", APP_SECRET),
            ("INTROSPECTION_CLIENT_SECRET", gateway_secret),
            ("ALICE_PASSWORD", ALICE_PASSWORD),
            ("DJANGO_SECRET", "the-secret-that-django-signs-by"),
        ];
        let mut process = start(name, &python, &[script, database, "0"], &environment)?;
        let server = Client::to_port(port_of(&process.first_line()?)?);
        let endpoints = Endpoints { server, token: token.to_owned(), revocation: revocation.to_owned() };
        Ok(Self { _process: process, _folder: folder, endpoints })
    }
}
