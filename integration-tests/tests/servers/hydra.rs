//! Ory Hydra. It has no users of its own: the tests log alice in and consent for her, as an operator's application does.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use integration_tests::client::{Client, Request};
use integration_tests::port::lasting_port;
use integration_tests::process::Process;
use integration_tests::{paths, secrets, shared};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::browser::{Browser, location, parameter};
use crate::load::{Load, under};
use crate::real_server::{APP_SECRET, Endpoints, Profile, RealServer, Tokens, serves};
use crate::results::leave_beside;
use crate::story;

shared! {
    /// One Hydra for the tests that leave it running.
    hydra: Hydra = || Hydra::start("hydra")
}

struct Hydra {
    process: Process,
    /// The folder of the database.
    folder: TempDir,
    name: &'static str,
    endpoints: Endpoints,
    admin: Client,
}

impl Hydra {
    async fn start(name: &'static str) -> Result<Self> {
        let (public, admin) = (Client::to_port(lasting_port()?), Client::to_port(lasting_port()?));
        let folder = TempDir::new()?;
        let migrated = Command::new(paths::hydra()?)
            .args(["migrate", "sql", "--yes", "--read-from-env", "--config"])
            .arg(configuration())
            .envs(environment(&folder, public, admin))
            .output()?;
        ensure!(migrated.status.success(), "no database: {}", String::from_utf8_lossy(&migrated.stderr));
        let process = run(name, &folder, public, admin)?;
        let endpoints = Endpoints {
            server: public,
            token: "/oauth2/token".to_owned(),
            revocation: "/oauth2/revoke".to_owned(),
        };
        let hydra = Self { process, folder, name, endpoints, admin };
        serves(&hydra.process, admin, "/health/ready").await?;
        secrets::noted(APP_SECRET.to_owned());
        let clients = std::fs::read(paths::root().join("integration-tests/servers/hydra/clients.json"))?;
        let clients: Vec<Value> = serde_json::from_slice(&clients)?;
        for mut client in clients {
            client["client_secret"] = json!(APP_SECRET);
            hydra.administer("POST", "/admin/clients", &client).await?;
        }
        Ok(hydra)
    }

    fn issuer(&self) -> String {
        issuer(self.endpoints.server)
    }

    async fn machine_token(&self, client: &str, audience: &str) -> Result<String> {
        let form = format!("grant_type=client_credentials&scope=orders:read&audience={audience}");
        Ok(self.endpoints.grant(client, APP_SECRET, &form).await?.access)
    }

    /// Accepts the request that Hydra sends to the operator's application in this redirect. Returns where the browser goes next.
    async fn accept(&self, what: &str, redirect: &str, body: &Value) -> Result<String> {
        let challenge = parameter(redirect, &format!("{what}_challenge"))?;
        let path = format!("/admin/oauth2/auth/requests/{what}/accept?{what}_challenge={challenge}");
        let answer = self.administer("PUT", &path, body).await?;
        answer["redirect_to"].as_str().map(str::to_owned).context("it leads nowhere")
    }

    async fn administer(&self, method: &'static str, path: &str, body: &Value) -> Result<Value> {
        let request = Request::new(method, path, body.to_string().into_bytes());
        let answer = self.admin.send(request.header("content-type", "application/json")).await?;
        ensure!((200..300).contains(&answer.status), "{path}: {} {}", answer.status, answer.text());
        answer.json()
    }
}

impl RealServer for Hydra {
    fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    fn profile(&self) -> Profile {
        let at = |client: Client| format!("http://127.0.0.1:{}", client.port());
        Profile {
            chapter: "Ory Hydra",
            version: paths::linked_version("hydra"),
            urls: vec![
                ("https://hydra-admin.example.com", at(self.admin)),
                ("https://login.example.com", self.issuer()),
            ],
            port: self.admin.port(),
            secret: None,
            alice: "alice".to_owned(),
        }
    }

    async fn user_tokens(&self, scope: &str) -> Result<Tokens> {
        let scopes = ["openid", "offline_access", scope];
        let request = format!(
            "/oauth2/auth?client_id=app&response_type=code&scope={}&audience=orders-api&state=a-state-of-the-app&redirect_uri={CALLBACK}",
            scopes.join("+")
        );
        let mut browser = Browser::at(self.endpoints.server);
        let to_login = location(&browser.get(&request).await?)?;
        let logged_in = self.accept("login", &to_login, &json!({"subject": "alice"})).await?;
        let to_consent = location(&browser.get(&logged_in).await?)?;
        let grant = json!({"grant_scope": scopes, "grant_access_token_audience": ["orders-api"]});
        let consented = self.accept("consent", &to_consent, &grant).await?;
        let code = parameter(&location(&browser.get(&consented).await?)?, "code")?;
        let form = format!("grant_type=authorization_code&code={code}&redirect_uri={CALLBACK}");
        self.endpoints.grant("app", APP_SECRET, &form).await
    }

    async fn client_token(&self, _scope: &str) -> Result<String> {
        self.machine_token("app", "orders-api").await
    }

    async fn brief_token(&self) -> Result<String> {
        self.machine_token("app-brief", "orders-api").await
    }

    async fn foreign_token(&self) -> Result<(String, u16)> {
        Ok((self.machine_token("app", "payments-api").await?, 401))
    }
}

fn run(name: &str, folder: &TempDir, public: Client, admin: Client) -> Result<Process> {
    let configuration = configuration();
    let arguments =
        ["serve", "all", "--dev", "--config", configuration.to_str().context("a path that is not UTF-8")?];
    let environment = environment(folder, public, admin);
    let environment: Vec<(&str, &str)> =
        environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    Process::start(&paths::hydra()?, &arguments, &environment, &paths::logs()?.join(format!("{name}.log")))
}

fn environment(folder: &TempDir, public: Client, admin: Client) -> Vec<(&'static str, String)> {
    let host = || "127.0.0.1".to_owned();
    vec![
        ("DSN", format!("sqlite://{}/hydra.sqlite?_fk=true", folder.path().display())),
        ("SECRETS_SYSTEM", secrets::noted("the-secret-that-hydra-encrypts-by".to_owned())),
        ("SERVE_PUBLIC_HOST", host()),
        ("SERVE_PUBLIC_PORT", public.port().to_string()),
        ("SERVE_ADMIN_HOST", host()),
        ("SERVE_ADMIN_PORT", admin.port().to_string()),
        ("URLS_SELF_ISSUER", issuer(public)),
    ]
}

fn issuer(public: Client) -> String {
    format!("http://127.0.0.1:{}", public.port())
}

fn configuration() -> PathBuf {
    paths::root().join("integration-tests/servers/hydra/hydra.yml")
}

/// If this failed, the chapter of Hydra would not lead to what it promises.
#[tokio::test(flavor = "multi_thread")]
async fn r225_hydra_as_its_chapter_has_it() -> Result<()> {
    story::tell("hydra", hydra().await).await
}

/// If this failed, a stopped server would be reported as the clients' fault or not as documented, would affect cached tokens, or would
/// affect clients after it is back.
#[tokio::test(flavor = "multi_thread")]
async fn r226_hydra_ends_and_comes_back_under_load() -> Result<()> {
    let mut hydra = Hydra::start("hydra-that-ends").await?;
    let world = story::world("hydra-end", &hydra.profile())?
        .workers(2)
        .configuration(json!({"introspection": {"circuit_breaker": {"open_for": "1s"}}}))
        .listener("asking", json!({}))
        .listener("kept", json!({"cache": {"no_store_ttl": "5m"}}))
        .start()
        .await?;
    let mut tokens = Vec::new();
    for _ in 0..4 {
        tokens.push(hydra.machine_token("app", "orders-api").await?);
    }
    for token in tokens.iter().cycle().take(40) {
        world.orders(token).at("kept").await?.is_served();
    }
    let (asking, known) = (Load::at(&world, "asking", &tokens), Load::at(&world, "kept", &tokens));
    under(&[&asking, &known], async {
        asking.sees(200, 20).await?;
        hydra.process.stop();
        asking.sees(503, 100).await?;
        known.sees(200, 100).await?;
        hydra.process = run(hydra.name, &hydra.folder, hydra.endpoints.server, hydra.admin)?;
        asking.sees(200, 100).await
    })
    .await?;
    let only =
        |load: &Load<'_>, statuses: &[u16]| load.seen().keys().all(|(status, _)| statuses.contains(status));
    ensure!(only(&known, &[200]), "those who are known were refused: {:?}", known.seen());
    ensure!(only(&asking, &[200, 503]), "it was told in another way: {:?}", asking.seen());
    leave_beside("hydra", "restart under load")
}

const CALLBACK: &str = "http://127.0.0.1/callback";
