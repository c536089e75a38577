//! The portal of LemonLDAP::NG, with its demonstration users: `integration-tests/servers/lemonldap-ng`.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use integration_tests::client::Client;
use integration_tests::paths;
use integration_tests::port::free_port;
use integration_tests::process::Process;
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::browser::{Browser, location, parameter};
use crate::real_server::{APP_SECRET, Endpoints, Profile, RealServer, Tokens, pinned, serves, start};
use crate::story;

struct LemonldapNg {
    _process: Process,
    _folder: TempDir,
    endpoints: Endpoints,
    /// The browsers in which access tokens were granted: a token ends with its browser's session.
    browsers: Mutex<BTreeMap<String, Browser>>,
}

impl LemonldapNg {
    async fn start() -> Result<Self> {
        let server = Client::to_port(free_port()?);
        let (folder, (script, packages)) = (TempDir::new()?, paths::debian_server("lemonldap-ng")?);
        let environment =
            [("APP_CLIENT_SECRET", APP_SECRET), ("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET)];
        let [packages, sessions] = [packages.as_path(), folder.path()].map(|path| path.display().to_string());
        let port = server.port().to_string();
        let process = start("lemonldap-ng", &script, &[&packages, &port, &sessions], &environment)?;
        serves(&process, server, "/oauth2/jwks").await?;
        let endpoints = Endpoints { server, token: "/oauth2/token".to_owned(), revocation: String::new() };
        Ok(Self { _process: process, _folder: folder, endpoints, browsers: Mutex::default() })
    }
}

impl RealServer for LemonldapNg {
    fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    fn profile(&self) -> Profile {
        Profile {
            chapter: "LemonLDAP::NG",
            version: pinned("lemonldap-ng/packages.txt", "liblemonldap-ng-portal-perl=", "+"),
            urls: vec![("https://login.example.com", self.endpoints.url())],
            port: self.endpoints.server.port(),
            secret: Some(GATEWAY_SECRET),
            alice: USER.to_owned(),
        }
    }

    async fn user_tokens(&self, scope: &str) -> Result<Tokens> {
        let mut browser = Browser::at(self.endpoints.server);
        browser.post("/", &format!("user={USER}&password={USER}")).await?;
        let request = format!(
            "/oauth2/authorize?client_id=app&response_type=code&scope=openid+{scope}&state=a-state-of-the-app&redirect_uri={CALLBACK}"
        );
        let code = parameter(&location(&browser.get(&request).await?)?, "code")?;
        let form = format!("grant_type=authorization_code&code={code}&redirect_uri={CALLBACK}");
        let tokens = self.endpoints.grant("app", APP_SECRET, &form).await?;
        self.browsers.lock().await.insert(tokens.access.clone(), browser);
        Ok(tokens)
    }

    /// Logs the user out, since the server has no revocation endpoint.
    async fn revoke(&self, token: &str) -> Result<()> {
        let mut browsers = self.browsers.lock().await;
        let browser = browsers.get_mut(token).context("a token of no user")?;
        let answer = browser.get("/?logout=1").await?;
        ensure!(answer.status == 200, "not logged out: {} {}", answer.status, answer.text());
        Ok(())
    }
}

/// If this failed, the chapter of LemonLDAP::NG would not lead to what it promises.
#[tokio::test(flavor = "multi_thread")]
async fn r225_lemonldap_ng_as_its_chapter_has_it() -> Result<()> {
    story::tell("lemonldap-ng", &LemonldapNg::start().await?).await
}

const CALLBACK: &str = "http://127.0.0.1/callback";

/// The name and password of a demonstration user.
const USER: &str = "dwho";

/// Has characters that every way to send it has to encode.
const GATEWAY_SECRET: &str = "lemonldap-ng gateway's-p@ssw:rd+100%";
