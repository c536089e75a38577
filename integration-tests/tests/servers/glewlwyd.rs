//! Glewlwyd with its OpenID Connect plugin: `integration-tests/servers/glewlwyd`.

use anyhow::{Context, Result, ensure};
use integration_tests::client::{Client, Request};
use integration_tests::json::merged;
use integration_tests::port::free_port;
use integration_tests::process::Process;
use integration_tests::{keys, paths, secrets};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::real_server::{
    ALICE_PASSWORD, APP_SECRET, Endpoints, Profile, RealServer, Tokens, pinned, serves, start,
};
use crate::story;

struct Glewlwyd {
    _process: Process,
    _folder: TempDir,
    endpoints: Endpoints,
    administrator: Administrator,
    /// The plugin's configuration in `objects.json`.
    plugin: Value,
    /// The subject that the plugin chose for alice.
    alice: String,
}

impl Glewlwyd {
    async fn start() -> Result<Self> {
        let server = Client::to_port(free_port()?);
        let (folder, (script, packages)) = (TempDir::new()?, paths::debian_server("glewlwyd")?);
        let database = folder.path().join("glewlwyd.sqlite");
        std::fs::copy(packages.join("glewlwyd.sqlite"), &database)?;
        let [packages, database] = [packages, database].map(|path| path.display().to_string());
        let port = server.port().to_string();
        let process = start("glewlwyd", &script, &[&packages, &port, &database], &[])?;
        serves(&process, server, "/config").await?;

        let administrator = Administrator::of(server).await?;
        let objects = objects(server)?;
        for (path, object) in &objects {
            administrator.send("POST", &format!("{path}/"), object).await?;
        }
        let endpoints = Endpoints {
            server,
            token: "/api/oidc/token".to_owned(),
            revocation: "/api/oidc/revoke".to_owned(),
        };
        let (_, plugin) = objects.into_iter().next().context("no plugin")?;
        let mut glewlwyd = Self {
            _process: process,
            _folder: folder,
            endpoints,
            administrator,
            plugin,
            alice: String::new(),
        };
        let token = glewlwyd.user_tokens("orders:read").await?.access;
        let user_info = server.send(Request::get("/api/oidc/userinfo").bearer(&token)).await?.json()?;
        glewlwyd.alice = user_info["sub"].as_str().context("alice has no subject")?.to_owned();
        Ok(glewlwyd)
    }

    /// Sets the lifetime of access tokens, also of existing ones: introspection adds the configured lifetime to `iat`.
    async fn access_tokens_live(&self, seconds: u32) -> Result<()> {
        let plugin = merged(&self.plugin, json!({"parameters": {"access-token-duration": seconds}}));
        self.administrator.send("PUT", "mod/plugin/oidc", &plugin).await?;
        self.administrator.send("PUT", "mod/plugin/oidc/reset", &json!({})).await
    }
}

impl RealServer for Glewlwyd {
    fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    fn profile(&self) -> Profile {
        Profile {
            chapter: "Glewlwyd",
            version: pinned("glewlwyd/packages.txt", "glewlwyd=", "-"),
            urls: vec![("https://login.example.com", self.endpoints.url())],
            port: self.endpoints.server.port(),
            secret: Some(GATEWAY_SECRET),
            alice: self.alice.clone(),
        }
    }

    async fn user_tokens(&self, scope: &str) -> Result<Tokens> {
        let scope = format!("openid+{scope}");
        self.endpoints.password_grant(&scope).await
    }

    async fn client_token(&self, scope: &str) -> Result<String> {
        self.access_tokens_live(600).await?;
        self.endpoints.client_grant("app", scope).await
    }

    async fn brief_token(&self) -> Result<String> {
        self.access_tokens_live(3).await?;
        self.endpoints.client_grant("app", "orders:read").await
    }
}

/// The session of the user `admin`, which exists in the package's database.
struct Administrator {
    server: Client,
    cookie: String,
}

impl Administrator {
    async fn of(server: Client) -> Result<Self> {
        let mut administrator = Self { server, cookie: String::new() };
        let credentials = json!({"username": "admin", "password": "password"});
        let answer = server.send(administrator.request("POST", "auth/", &credentials)).await?;
        ensure!(answer.status == 200, "no session: {} {}", answer.status, answer.text());
        administrator.cookie = secrets::noted(answer.header("set-cookie").to_owned());
        Ok(administrator)
    }

    async fn send(&self, method: &'static str, path: &str, body: &Value) -> Result<()> {
        let answer = self.server.send(self.request(method, path, body)).await?;
        ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.text());
        Ok(())
    }

    fn request(&self, method: &'static str, path: &str, body: &Value) -> Request {
        let cookie = self.cookie.split(';').next().unwrap_or_default();
        Request::new(method, format!("/api/{path}"), body.to_string().into_bytes())
            .header("content-type", "application/json")
            .header("cookie", cookie)
    }
}

/// The objects that the administrator creates, each with its path: those of the file, with its variables replaced.
fn objects(server: Client) -> Result<Vec<(String, Value)>> {
    let text =
        std::fs::read_to_string(paths::root().join("integration-tests/servers/glewlwyd/objects.json"))?;
    let variables = [
        ("ISSUER", format!("http://127.0.0.1:{}/api/oidc", server.port())),
        ("JWT_KEY", keys::p256_pem()),
        ("JWT_PUBLIC_KEY", keys::p256_public_pem()),
        ("ALICE_PASSWORD", secrets::noted(ALICE_PASSWORD.to_owned())),
        ("APP_CLIENT_SECRET", secrets::noted(APP_SECRET.to_owned())),
        ("INTROSPECTION_CLIENT_SECRET", secrets::noted(GATEWAY_SECRET.to_owned())),
    ];
    let text = variables
        .iter()
        .fold(text, |text, (name, value)| text.replace(&format!("\"${name}\""), &json!(value).to_string()));
    Ok(serde_json::from_str(&text)?)
}

/// If this failed, the chapter of Glewlwyd would not lead to what it promises.
#[tokio::test(flavor = "multi_thread")]
async fn r225_glewlwyd_as_its_chapter_has_it() -> Result<()> {
    story::tell("glewlwyd", &Glewlwyd::start().await?).await
}

/// Has characters that client_secret_basic would encode (RFC 6749 §2.3.1), and Glewlwyd does not decode.
const GATEWAY_SECRET: &str = "glewlwyd gateway's-p@ssw:rd+100%";
