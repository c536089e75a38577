//! django-oauth-toolkit, in the one file that Django needs: `integration-tests/servers/django-oauth-toolkit/server.py`.

use anyhow::Result;
use integration_tests::client::Client;
use integration_tests::paths;
use integration_tests::process::Process;
use tempfile::TempDir;

use crate::real_server::{
    ALICE_PASSWORD, APP_SECRET, Endpoints, Profile, RealServer, pinned, port_of, start,
};
use crate::story;

struct DjangoOauthToolkit {
    _process: Process,
    _folder: TempDir,
    endpoints: Endpoints,
}

impl DjangoOauthToolkit {
    fn start() -> Result<Self> {
        let folder = TempDir::new()?;
        let (python, script) = paths::python_server("django-oauth-toolkit")?;
        let database = folder.path().join("database.sqlite");
        let arguments = [&script, &database].map(|path| path.to_str().unwrap_or_default());
        let environment = [
            ("APP_CLIENT_SECRET", APP_SECRET),
            ("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET),
            ("ALICE_PASSWORD", ALICE_PASSWORD),
            ("DJANGO_SECRET", "the-secret-that-django-signs-by"),
        ];
        let [script, database] = arguments;
        let mut process = start("django-oauth-toolkit", &python, &[script, database, "0"], &environment)?;
        let server = Client::to_port(port_of(&process.first_line()?)?);
        let endpoints =
            Endpoints { server, token: "/o/token/".to_owned(), revocation: "/o/revoke_token/".to_owned() };
        Ok(Self { _process: process, _folder: folder, endpoints })
    }
}

impl RealServer for DjangoOauthToolkit {
    fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    fn profile(&self) -> Profile {
        Profile {
            chapter: "django-oauth-toolkit",
            version: pinned("django-oauth-toolkit/requirements.in", "django-oauth-toolkit==", "\n"),
            urls: vec![("https://login.example.com", self.endpoints.url())],
            port: self.endpoints.server.port(),
            secret: Some(GATEWAY_SECRET),
            alice: "alice".to_owned(),
        }
    }

    async fn client_token(&self, scope: &str) -> Result<String> {
        self.endpoints.client_grant("app-alone", scope).await
    }

    async fn brief_token(&self) -> Result<String> {
        self.endpoints.brief_token().await
    }
}

/// If this failed, the chapter of django-oauth-toolkit would lead somewhere else than it says.
#[tokio::test(flavor = "multi_thread")]
async fn r225_django_oauth_toolkit_as_its_chapter_has_it() -> Result<()> {
    story::tell("django-oauth-toolkit", &DjangoOauthToolkit::start()?).await
}

/// With characters that client_secret_basic has to encode (RFC 6749 §2.3.1).
const GATEWAY_SECRET: &str = "django gateway's-p@ssw:rd+100%";
