//! django-oidc-provider, in the one file that Django needs: `integration-tests/servers/django-oidc-provider/server.py`.

use anyhow::Result;
use integration_tests::client::Client;
use integration_tests::paths;
use integration_tests::process::Process;
use tempfile::TempDir;

use crate::real_server::{
    ALICE_PASSWORD, APP_SECRET, Endpoints, Profile, RealServer, pinned, port_of, start,
};
use crate::story;

struct DjangoOidcProvider {
    _process: Process,
    _folder: TempDir,
    endpoints: Endpoints,
}

impl DjangoOidcProvider {
    fn start() -> Result<Self> {
        let folder = TempDir::new()?;
        let (python, script) = paths::python_server("django-oidc-provider")?;
        let database = folder.path().join("database.sqlite");
        let arguments = [&script, &database].map(|path| path.to_str().unwrap_or_default());
        let environment = [
            ("APP_CLIENT_SECRET", APP_SECRET),
            ("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET),
            ("ALICE_PASSWORD", ALICE_PASSWORD),
            ("DJANGO_SECRET", "the-secret-that-django-signs-by"),
        ];
        let [script, database] = arguments;
        let mut process = start("django-oidc-provider", &python, &[script, database, "0"], &environment)?;
        let server = Client::to_port(port_of(&process.first_line()?)?);
        let endpoints =
            Endpoints { server, token: "/openid/token".to_owned(), revocation: "/test/revoke".to_owned() };
        Ok(Self { _process: process, _folder: folder, endpoints })
    }
}

impl RealServer for DjangoOidcProvider {
    fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    fn profile(&self) -> Profile {
        Profile {
            chapter: "django-oidc-provider",
            version: pinned("django-oidc-provider/requirements.in", "django-oidc-provider==", "\n"),
            urls: vec![("https://login.example.com", self.endpoints.url())],
            port: self.endpoints.server.port(),
            secret: Some(GATEWAY_SECRET),
            // Her number in the database.
            alice: "1".to_owned(),
        }
    }

    async fn brief_token(&self) -> Result<String> {
        self.endpoints.brief_token().await
    }

    fn refuses_credentials(&self) -> bool {
        false
    }
}

/// If this failed, the chapter of django-oidc-provider would lead somewhere else than it says.
#[tokio::test(flavor = "multi_thread")]
async fn r225_django_oidc_provider_as_its_chapter_has_it() -> Result<()> {
    story::tell("django-oidc-provider", &DjangoOidcProvider::start()?).await
}

/// With characters that every way to send it has to encode.
const GATEWAY_SECRET: &str = "django-oidc gateway's-p@ssw:rd+100%";
