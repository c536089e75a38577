//! One Envoy with the filter, the authorization servers that it calls, and the services behind it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::http::HeaderMap;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::call::Call;
use super::outcome::{DETAILS, Outcome};
use crate::authorization_server::{self, AuthorizationServer};
use crate::client::{Client, Request};
use crate::envoy::{Envoy, EnvoyBuilder, Listener};
use crate::eventually::eventually;
use crate::json::{merge, merged};
use crate::plain_authorization_server::{self, PlainAuthorizationServer};
use crate::received::Received;
use crate::scripted_server::{Gate, Response, ScriptedServer};
use crate::server::Service;
use crate::{api, jwt, secrets};

pub struct World {
    pub envoy: Envoy,
    /// The API, the cluster `api`.
    pub api: Service,
    /// The server with scripted responses, the cluster `scripted-server`.
    pub scripted: ScriptedServer,
    server: Server,
    services: Vec<Received>,
    listener: String,
}

/// The setup of a world. Its listeners have the configuration of [`configuration`](Self::configuration), each with its own edits.
pub struct WorldBuilder {
    pub api: Service,
    /// The server with scripted responses.
    pub scripted: ScriptedServer,
    server: Server,
    services: Vec<Received>,
    configuration: Value,
    envoy: EnvoyBuilder,
    listener: Option<String>,
}

/// The real authorization server, the cluster `authorization-server`.
enum Server {
    None,
    Certified(AuthorizationServer),
    Plain(PlainAuthorizationServer),
}

impl World {
    /// A world whose filter calls the scripted server.
    pub fn scripted(name: &str) -> Result<WorldBuilder> {
        WorldBuilder::new(name, Server::None, json!({}))
    }

    /// A world whose filter calls a certified authorization server.
    pub fn certified(name: &str) -> Result<WorldBuilder> {
        Self::asking(name, AuthorizationServer::start(name)?)
    }

    /// A world whose filter calls this authorization server.
    pub fn asking(name: &str, server: AuthorizationServer) -> Result<WorldBuilder> {
        let (port, configuration) = (server.port(), asking(server.issuer()));
        let builder = WorldBuilder::new(name, Server::Certified(server), configuration)?;
        Ok(builder.server_at(port, authorization_server::GATEWAY_SECRET))
    }

    /// A world whose filter calls an authorization server without JWTs.
    pub fn plain(name: &str) -> Result<WorldBuilder> {
        let server = PlainAuthorizationServer::start(name)?;
        let (port, configuration) = (server.port(), asking(server.issuer()));
        let builder = WorldBuilder::new(name, Server::Plain(server), configuration)?;
        let builder = builder.server_at(port, plain_authorization_server::GATEWAY_SECRET);
        Ok(builder.configuration(json!({"introspection": {"response": {"accept": "application/json"}}})))
    }

    /// The certified authorization server.
    ///
    /// # Panics
    /// If the world has none.
    pub fn server(&self) -> &AuthorizationServer {
        self.server.certified()
    }

    /// A client of the first listener.
    pub fn client(&self) -> Client {
        self.envoy.client(&self.listener)
    }

    pub fn get(&self, path: impl Into<String>) -> Call<'_> {
        self.send(Request::get(path))
    }

    pub fn post(&self, path: impl Into<String>, body: impl Into<Vec<u8>>) -> Call<'_> {
        self.send(Request::post(path, body))
    }

    /// A GET request for an order with this token.
    pub fn orders(&self, token: &str) -> Call<'_> {
        self.get("/orders").bearer(token)
    }

    pub fn send(&self, request: Request) -> Call<'_> {
        Call::new(&self.envoy, &self.services, self.client(), request)
    }

    /// Sends calls concurrently and returns their outcomes.
    pub async fn together<'w>(&self, calls: impl IntoIterator<Item = Call<'w>>) -> Result<Vec<Outcome>> {
        futures::future::try_join_all(calls.into_iter().map(IntoFuture::into_future)).await
    }

    /// Runs requests, and opens the gate once this many of them are at the listener, which serves no other requests.
    pub async fn all_wait<T>(
        &self,
        listener: &str,
        count: u64,
        gate: Gate,
        requests: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let all = async {
            self.envoy.holds(listener, count).await?;
            gate.open();
            Ok(())
        };
        let (outcomes, ()) = tokio::try_join!(requests, all)?;
        Ok(outcomes)
    }

    /// The headers of the requests with this name that services received.
    pub fn arrived(&self, name: &str) -> Vec<HeaderMap> {
        self.services.iter().flat_map(|service| service.named(name)).collect()
    }

    /// Issues a token at the real authorization server.
    pub async fn issue(&self, scope: &str) -> Result<String> {
        match &self.server {
            Server::Certified(server) => server.issue(scope).await,
            Server::Plain(server) => server.issue(scope).await,
            Server::None => anyhow::bail!("a scripted server issues no tokens"),
        }
    }

    /// Issues a token at the real authorization server and revokes it.
    pub async fn issue_revoked(&self, scope: &str) -> Result<String> {
        let token = self.issue(scope).await?;
        self.revoke(&token).await?;
        Ok(token)
    }

    /// Revokes a token at the real authorization server.
    pub async fn revoke(&self, token: &str) -> Result<()> {
        match &self.server {
            Server::Certified(server) => server.revoke(token).await,
            Server::Plain(server) => server.revoke(token).await,
            Server::None => anyhow::bail!("a scripted server revokes no tokens"),
        }
    }

    /// Revokes a token that a listener has just served, and waits until the listener refuses it.
    ///
    /// # Errors
    /// If the token is served for longer than responses are cached.
    pub async fn revoke_cached(&self, listener: &str, token: &str, time_to_live: Duration) -> Result<()> {
        let cached = Instant::now();
        self.revoke(token).await?;
        eventually("the revoked token is refused", async || {
            let age = cached.elapsed();
            let outcome = self.orders(token).at(listener).await?;
            if outcome.status == 200 {
                ensure!(age <= time_to_live, "the revoked token was good after {age:?}");
                return Ok(false);
            }
            outcome.is_refused(401, "inactive");
            Ok(true)
        })
        .await
    }

    /// How often the server was asked about a token.
    pub async fn introspections(&self, token: &str) -> Result<u64> {
        match &self.server {
            Server::Certified(server) => server.introspections(token).await,
            Server::Plain(server) => server.introspections(token).await,
            Server::None => Ok(self.scripted.introspections(token).len() as u64),
        }
    }

    /// Returns a fresh token that is active at the scripted server.
    pub fn active(&self) -> String {
        self.answered(Response::jwt(&jwt::valid()))
    }

    /// Returns a fresh token that is active at the scripted server, with these claims in addition to the usual ones.
    pub fn active_with(&self, claims: Value) -> String {
        self.answered(Response::jwt(&jwt::with_claims(&merged(&jwt::valid_claims(), claims))))
    }

    /// Returns a fresh token for which the scripted server has this response.
    pub fn answered(&self, response: Response) -> String {
        let token = secrets::fresh_token("scripted");
        self.scripted.respond(&token, response);
        token
    }

    /// Returns a fresh token for which the scripted server has this response once the gate opens.
    pub fn answered_later(&self, response: Response) -> (String, Gate) {
        let (response, gate) = response.held();
        (self.answered(response), gate)
    }

    /// Returns this many fresh tokens that are active at the scripted server, each once its gate opens.
    pub fn active_later(&self, count: usize) -> (Vec<String>, Vec<Gate>) {
        (0..count).map(|_| self.answered_later(Response::jwt(&jwt::valid()))).unzip()
    }

    /// The value of one of the filter's metrics, summed over all workers, as of their last ticks.
    pub async fn metric(&self, name: &str) -> Result<u64> {
        self.envoy.statistic(&self.envoy.artefact().statistic(name)).await
    }

    /// Waits until one of the filter's metrics has at least this value.
    pub async fn metric_reaches(&self, name: &str, least: u64) -> Result<()> {
        self.envoy.counts(&self.envoy.artefact().statistic(name), least).await
    }

    /// Waits until one of the filter's metrics has this value.
    pub async fn metric_is(&self, name: &str, value: u64) -> Result<()> {
        eventually(&format!("{name} = {value}"), async || Ok(self.metric(name).await? == value)).await
    }
}

impl WorldBuilder {
    fn new(name: &str, server: Server, edits: Value) -> Result<Self> {
        let (scripted, api) = (ScriptedServer::start()?, api::start()?);
        let mut configuration = json!({
            "introspection": {
                "endpoint": SCRIPTED_ENDPOINT,
                "upstream": SCRIPTED,
                "client_id": "gateway",
                "client_secret": secrets::noted("the-secret-of-the-gateway".to_owned()),
            },
            "token": {"issuer": ISSUER, "audience": ["orders-api"]},
            "log_level": "debug",
            "rules": [{"path": "/orders"}],
        });
        merge(&mut configuration, edits);
        let envoy = EnvoyBuilder::new(name, 1, api.port()).cluster(SCRIPTED, &[scripted.port()]);
        let services = vec![api.heads()];
        Ok(Self { api, scripted, server, services, configuration, envoy, listener: None })
    }

    /// The certified authorization server.
    ///
    /// # Panics
    /// If the world has none.
    pub fn server(&self) -> &AuthorizationServer {
        self.server.certified()
    }

    pub fn issuer(&self) -> String {
        match &self.server {
            Server::Certified(server) => server.issuer().to_owned(),
            Server::Plain(server) => server.issuer().to_owned(),
            Server::None => ISSUER.to_owned(),
        }
    }

    /// Edits the configuration of all listeners that are added later. Objects are merged, null removes a member.
    #[must_use]
    pub fn configuration(mut self, edits: Value) -> Self {
        merge(&mut self.configuration, edits);
        self
    }

    /// The configuration of all listeners that are added later.
    pub fn configured(&self) -> &Value {
        &self.configuration
    }

    /// Sets the number of Envoy's workers, which is one by default.
    #[must_use]
    pub fn workers(self, workers: u32) -> Self {
        self.envoy(|envoy| envoy.workers(workers))
    }

    /// Changes the setup of Envoy: clusters, variables, further settings of the last listener.
    #[must_use]
    pub fn envoy(self, change: impl FnOnce(EnvoyBuilder) -> EnvoyBuilder) -> Self {
        Self { envoy: change(self.envoy), ..self }
    }

    /// Adds a service whose requests count as arrived.
    #[must_use]
    pub fn service(mut self, received: Received) -> Self {
        self.services.push(received);
        self
    }

    /// Adds a listener with these edits of the configuration.
    #[must_use]
    pub fn listener(self, name: &str, edits: Value) -> Self {
        self.listener_on(name, edits, Listener::default())
    }

    /// Adds a listener with these edits of the configuration and these settings.
    #[must_use]
    pub fn listener_on(self, name: &str, edits: Value, listener: Listener) -> Self {
        let configuration = merged(&self.configuration, edits);
        self.listener_of(name, &configuration, listener)
    }

    #[must_use]
    pub fn listener_of(mut self, name: &str, configuration: &Value, listener: Listener) -> Self {
        self.listener.get_or_insert_with(|| name.to_owned());
        self.envoy(|envoy| envoy.listener(name, configuration, listener).managed_by(&details_in_answers()))
    }

    /// Starts Envoy, and waits until it serves.
    pub async fn start(self) -> Result<World> {
        let Self { api, scripted, server, services, envoy, listener, .. } = self;
        let (envoy, listener) = (envoy.start().await?, listener.context("a world without a listener")?);
        Ok(World { envoy, api, scripted, server, services, listener })
    }

    /// Returns the world with an Envoy that was started elsewhere, and that listener of it that is called by default.
    pub fn around(self, envoy: Envoy, listener: &str) -> World {
        let Self { api, scripted, server, services, .. } = self;
        World { envoy, api, scripted, server, services, listener: listener.to_owned() }
    }

    /// Whether Envoy accepts the configuration, and its output.
    pub fn validate(&self) -> Result<(bool, String)> {
        self.envoy.validate()
    }

    fn server_at(self, port: u16, secret: &str) -> Self {
        let name = "INTROSPECTION_CLIENT_SECRET";
        self.envoy(|envoy| envoy.cluster(CERTIFIED, &[port]).environment(name, secret))
    }
}

impl Server {
    fn certified(&self) -> &AuthorizationServer {
        match self {
            Self::Certified(server) => server,
            Self::Plain(_) | Self::None => panic!("there is no certified authorization server in this world"),
        }
    }
}

/// The edits that make a listener in a world with a real server call the scripted one.
pub fn by_scripted_server() -> Value {
    json!({"introspection": {"endpoint": SCRIPTED_ENDPOINT, "upstream": SCRIPTED}})
}

/// The edits for a real server.
fn asking(issuer: &str) -> Value {
    json!({
        "introspection": {
            "endpoint": format!("{issuer}/token/introspection"),
            "upstream": CERTIFIED,
            "client_secret": {"env": "INTROSPECTION_CLIENT_SECRET"},
        },
        "token": {"issuer": issuer},
        "rules": [{"path": "/orders", "scopes": ["orders:read"]}],
    })
}

/// Makes refusals show their details in a field. Otherwise Envoy only logs them.
fn details_in_answers() -> Value {
    let failures = json!({"status_code_filter": {
        "comparison": {"op": "GE", "value": {"default_value": 400, "runtime_key": "none"}},
    }});
    let field = json!({"header": {"key": DETAILS, "value": "%RESPONSE_CODE_DETAILS%"}});
    json!({"local_reply_config": {"mappers": [{"filter": failures, "headers_to_add": [field]}]}})
}

const ISSUER: &str = "https://login.example.com";
const SCRIPTED_ENDPOINT: &str = "https://login.example.com/introspect";
const SCRIPTED: &str = "scripted-server";
const CERTIFIED: &str = "authorization-server";
