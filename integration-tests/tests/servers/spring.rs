//! Spring Authorization Server, as Spring Boot configures it: `integration-tests/servers/spring`.

use anyhow::{Context, Result, ensure};
use integration_tests::client::Client;
use integration_tests::port::free_port;
use integration_tests::process::Process;
use integration_tests::{paths, secrets};

use crate::browser::{Browser, location, parameter};
use crate::real_server::{
    ALICE_PASSWORD, APP_SECRET, Endpoints, Profile, RealServer, Tokens, pinned, serves,
};
use crate::story;

struct Spring {
    _process: Process,
    endpoints: Endpoints,
}

impl Spring {
    async fn start() -> Result<Self> {
        let server = Client::to_port(free_port()?);
        let jar = paths::spring()?;
        let arguments = [
            "-Xmx512m",
            "-XX:TieredStopAtLevel=1",
            "-jar",
            jar.to_str().context("a path that is not UTF-8")?,
        ];
        for secret in [APP_SECRET, GATEWAY_SECRET, ALICE_PASSWORD] {
            secrets::noted(secret.to_owned());
        }
        let (port, issuer) = (server.port().to_string(), issuer(server));
        let environment = [
            ("APP_CLIENT_SECRET", APP_SECRET),
            ("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET),
            ("ALICE_PASSWORD", ALICE_PASSWORD),
            ("SERVER_PORT", &port),
            ("SPRING_SECURITY_OAUTH2_AUTHORIZATIONSERVER_ISSUER", &issuer),
        ];
        let log = paths::logs()?.join("spring.log");
        let process = Process::start("java".as_ref(), &arguments, &environment, &log)?;
        let endpoints =
            Endpoints { server, token: "/oauth2/token".to_owned(), revocation: "/oauth2/revoke".to_owned() };
        serves(&process, server, "/oauth2/jwks").await?;
        Ok(Self { _process: process, endpoints })
    }

    /// Gets a token for one of the clients itself. No two clients have the same secret.
    async fn machine_token(&self, client: &str) -> Result<String> {
        let form = "grant_type=client_credentials&scope=orders:read";
        let secret = secrets::noted(match client {
            "app" => APP_SECRET.to_owned(),
            other => format!("{APP_SECRET}-of-{other}"),
        });
        Ok(self.endpoints.grant(client, &secret, form).await?.access)
    }
}

impl RealServer for Spring {
    fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    fn profile(&self) -> Profile {
        let server = self.endpoints.server;
        Profile {
            chapter: "Spring Authorization Server",
            version: format!("of Spring Boot {}", pinned("spring/pom.xml", "<version>", "</version>")),
            urls: vec![("https://login.example.com", issuer(server))],
            port: server.port(),
            secret: Some(GATEWAY_SECRET),
            alice: "alice".to_owned(),
        }
    }

    async fn user_tokens(&self, scope: &str) -> Result<Tokens> {
        let request = format!(
            "/oauth2/authorize?client_id=app&response_type=code&scope=openid+{scope}&state=a-state-of-the-app&redirect_uri={CALLBACK}"
        );
        let mut browser = Browser::at(self.endpoints.server);
        let to_login = location(&browser.get(&request).await?)?;
        let page = browser.get(&to_login).await?.text();
        let (_, token) =
            page.split_once(r#"name="_csrf" type="hidden" value=""#).context("a form without _csrf")?;
        let token = token.split('"').next().unwrap_or_default();
        let form = format!("username=alice&password={ALICE_PASSWORD}&_csrf={token}");
        let logged_in = location(&browser.post(&to_login, &form).await?)?;
        ensure!(!logged_in.contains("error"), "alice is not let in: {logged_in}");
        let code = parameter(&location(&browser.get(&logged_in).await?)?, "code")?;
        let form = format!("grant_type=authorization_code&code={code}&redirect_uri={CALLBACK}");
        self.endpoints.grant("app", APP_SECRET, &form).await
    }

    async fn client_token(&self, _scope: &str) -> Result<String> {
        self.machine_token("app").await
    }

    async fn brief_token(&self) -> Result<String> {
        self.machine_token("app-brief").await
    }

    async fn foreign_token(&self) -> Result<(String, u16)> {
        Ok((self.machine_token("app-of-payments").await?, 401))
    }
}

fn issuer(server: Client) -> String {
    format!("http://127.0.0.1:{}", server.port())
}

/// If this failed, the chapter of Spring Authorization Server would not lead to what it promises.
#[tokio::test(flavor = "multi_thread")]
async fn r225_spring_as_its_chapter_has_it() -> Result<()> {
    story::tell("spring", &Spring::start().await?).await
}

const CALLBACK: &str = "http://127.0.0.1/callback";

/// Has characters that client_secret_basic has to encode (RFC 6749 §2.3.1).
const GATEWAY_SECRET: &str = "spring gateway's-p@ssw:rd+100%";
