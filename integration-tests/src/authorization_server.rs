//! A certified authorization server: oidc-provider under Node. Its clients are `app`, `gateway` and other gateways, each with its own
//! authentication method or response format.

use std::ops::Deref;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

pub use crate::app::APP_SECRET;
use crate::app::{App, start_server};
use crate::client::{Answer, Client, Request};
use crate::process::Process;
use crate::{keys, paths, secrets};

pub struct AuthorizationServer {
    _process: Process,
    issuer: String,
    client: Client,
    app: App,
}

/// The secret of the client `gateway`, with characters that client_secret_basic has to encode (RFC 6749 §2.3.1).
pub const GATEWAY_SECRET: &str = "gateway's p@ssw:rd + 100%";

/// The secret of the client `gateway`, form-encoded.
const ENCODED_GATEWAY_SECRET: &str = "gateway%27s%20p%40ssw%3Ard%20%2B%20100%25";

/// The API that a JWT access token is for.
#[derive(Clone, Copy, Debug)]
pub enum Resource {
    /// The audience `orders-api`, with a lifetime of ten minutes.
    Orders,
    /// The audience `orders-api`, with a lifetime of five seconds.
    OrdersBriefly,
    /// The audience `payments-api`.
    Payments,
}

/// How the server responds to requests for its keys and metadata.
#[derive(Clone, Copy, Debug)]
pub enum Publication {
    /// It responds with the documents.
    Serving,
    /// It responds once the publication changes.
    Held,
    /// It responds with 503.
    Failing,
}

/// How often the documents were fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetches {
    /// Fetches of the JWK Set.
    pub keys: u64,
    pub metadata: u64,
}

impl Deref for AuthorizationServer {
    type Target = App;

    fn deref(&self) -> &App {
        &self.app
    }
}

impl AuthorizationServer {
    pub fn start(name: &str) -> Result<Self> {
        Self::launch(name, 0, &[])
    }

    /// Starts the server on this port of loopback, also with a client `web`: a browser application at this URL, whose users log in here.
    pub fn start_for_users(name: &str, port: u16, web_app: &str) -> Result<Self> {
        Self::launch(name, port, &[("WEB_APP", web_app)])
    }

    /// Starts the server with this issuer, the URL of a proxy in front of it.
    pub fn start_as(name: &str, issuer: &str) -> Result<Self> {
        Self::launch(name, 0, &[("ISSUER", issuer)])
    }

    /// Starts the server with this issuer, also for clients of the MCP server that is this resource.
    pub fn start_for_mcp(name: &str, issuer: &str, resource: &str) -> Result<Self> {
        Self::launch(name, 0, &[("ISSUER", issuer), ("MCP_RESOURCE", resource)])
    }

    fn launch(name: &str, port: u16, more: &[(&str, &str)]) -> Result<Self> {
        let script = paths::authorization_server()?;
        let secrets = [("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET), ("APP_CLIENT_SECRET", APP_SECRET)];
        for (_, secret) in secrets {
            secrets::noted(secret.to_owned());
        }
        let gateway_keys = json!({
            "ES256": keys::public(&keys::p256()),
            "EdDSA": keys::public(&keys::ed25519()),
            "RS256": keys::public(&keys::rsa()),
        });
        let gateway_keys = gateway_keys.to_string();
        let environment = [secrets.as_slice(), &[("GATEWAY_KEYS", &gateway_keys)], more].concat();
        let arguments = [script.to_str().context("a path that is not UTF-8")?, &port.to_string()];
        let name = format!("{name}-authorization-server");
        let (process, url, client) = start_server(&name, "node".as_ref(), arguments, &environment)?;
        let issuer = more.iter().find(|(name, _)| *name == "ISSUER");
        let issuer = issuer.map_or(url, |(_, issuer)| (*issuer).to_owned());
        Ok(Self { _process: process, issuer, client, app: App::at(client) })
    }

    /// The issuer identifier. It is a loopback URL unless the server was started with another.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    pub fn port(&self) -> u16 {
        self.client.port()
    }

    /// Gets a JWT access token for the client `app` (RFC 9068).
    pub async fn issue_jwt(&self, resource: Resource, scope: &str) -> Result<String> {
        let resource = match resource {
            Resource::Orders => "https://jwt.orders.example.com",
            Resource::OrdersBriefly => "https://brief.orders.example.com",
            Resource::Payments => "https://payments.example.com",
        };
        self.app.issue_for(resource, scope).await
    }

    /// Gets a refresh token of the client `app`.
    pub async fn refresh_token(&self) -> Result<String> {
        Ok(secrets::noted(self.test(Request::get("/test/refresh-token")).await?.text()))
    }

    /// Gets an ID token for the client `app`.
    pub async fn id_token(&self) -> Result<String> {
        Ok(secrets::noted(self.test(Request::get("/test/id-token")).await?.text()))
    }

    /// Introspects a token as a gateway that authenticates with the secret, and returns a response of this media type.
    pub async fn introspect(&self, client_id: &str, token: &str, media_type: &str) -> Result<String> {
        let credentials = STANDARD.encode(format!("{client_id}:{ENCODED_GATEWAY_SECRET}"));
        let request = Request::post("/token/introspection", format!("token={token}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", media_type)
            .header("authorization", format!("Basic {}", secrets::noted(credentials)));
        let answer = self.client.send(request).await?;
        ensure!(answer.header("content-type").starts_with(media_type), "not {media_type}: {}", answer.text());
        Ok(secrets::noted(answer.text()))
    }

    /// Introspects a token as a gateway that authenticates with this assertion (RFC 7523 §2.2). Returns the status of the response.
    pub async fn introspect_by(&self, assertion: &str, token: &str) -> Result<u16> {
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let form = format!("token={token}&client_assertion_type={kind}&client_assertion={assertion}");
        let request = Request::post("/token/introspection", form)
            .header("content-type", "application/x-www-form-urlencoded");
        Ok(self.client.send(request).await?.status)
    }

    pub async fn introspections(&self, token: &str) -> Result<u64> {
        self.introspection(token).await?["count"].as_u64().context("no count")
    }

    /// Returns the assertion with which the gateway authenticated its last introspection of a token.
    pub async fn assertion(&self, token: &str) -> Result<String> {
        let assertion = self.introspection(token).await?["assertion"].as_str().map(str::to_owned);
        assertion.map(secrets::noted).context("an introspection without an assertion")
    }

    /// Makes the server sign with new keys from now on, and publish only those.
    pub async fn rotate(&self) -> Result<()> {
        self.test(Request::post("/test/rotation", "")).await.map(|_| ())
    }

    /// Selects how keys and metadata are published from now on.
    pub async fn publish(&self, publication: Publication) -> Result<()> {
        let state = match publication {
            Publication::Serving => "serving",
            Publication::Held => "held",
            Publication::Failing => "failing",
        };
        self.test(Request::post("/test/publication", "").header("state", state)).await.map(|_| ())
    }

    pub async fn keys(&self) -> Result<String> {
        Ok(self.test(Request::get("/jwks")).await?.text())
    }

    /// Returns how often the documents were fetched so far.
    pub async fn fetches(&self) -> Result<Fetches> {
        let fetches = self.test(Request::get("/test/fetches")).await?.json()?;
        let count = |name: &str| fetches[name].as_u64().context("no count");
        Ok(Fetches { keys: count("keys")?, metadata: count("metadata")? })
    }

    async fn introspection(&self, token: &str) -> Result<Value> {
        let request = Request::get("/test/introspections").header("token", token);
        let introspection = self.test(request).await?.json()?;
        if let Some(authorization) = introspection["authorization"].as_str() {
            secrets::noted_credentials(authorization);
        }
        Ok(introspection)
    }

    async fn test(&self, request: Request) -> Result<Answer> {
        let answer = self.client.send(request).await?;
        ensure!((200..300).contains(&answer.status), "not done: {} {}", answer.status, answer.text());
        Ok(answer)
    }
}
