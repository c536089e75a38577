//! One request of a test, built in one line and sent by `.await`.

use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;
use tokio::net::TcpStream;

use super::outcome::Outcome;
use crate::client::{Client, Protocol, Request};
use crate::envoy::Envoy;
use crate::received::Received;
use crate::tls_client::TlsClient;

/// A request that has not been sent yet.
#[derive(Clone)]
pub struct Call<'w> {
    envoy: &'w Envoy,
    services: &'w [Received],
    target: Target,
    request: Request,
    token: Option<String>,
    name: Option<String>,
    case: String,
}

#[derive(Clone)]
enum Target {
    Plain(Client),
    Tls(TlsClient),
}

impl<'w> Call<'w> {
    /// Creates a request to the first listener of an Envoy in front of these services.
    pub(super) fn new(envoy: &'w Envoy, services: &'w [Received], client: Client, request: Request) -> Self {
        let target = Target::Plain(client);
        Self { envoy, services, target, request, token: None, name: None, case: String::new() }
    }

    /// Sends the request to this listener instead of the first.
    #[must_use]
    pub fn at(self, listener: &str) -> Self {
        let case = format!("{} at {listener}", self.case);
        Self { target: Target::Plain(self.envoy.client(listener)), case, ..self }
    }

    #[must_use]
    pub fn by(self, client: Client) -> Self {
        Self { target: Target::Plain(client), ..self }
    }

    #[must_use]
    pub fn by_tls(self, client: TlsClient) -> Self {
        Self { target: Target::Tls(client), ..self }
    }

    /// Selects the version of HTTP. Has to follow [`at`](Self::at).
    #[must_use]
    pub fn over(self, protocol: Protocol) -> Self {
        let target = match self.target {
            Target::Plain(client) => Target::Plain(client.speaking(protocol)),
            tls @ Target::Tls(_) => tls,
        };
        Self { target, case: format!("{} over {protocol:?}", self.case), ..self }
    }

    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        let request = self.request.clone().bearer(token);
        Self { request, ..self.with_token(token) }
    }

    #[must_use]
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        Self { request: self.request.header(name, value), ..self }
    }

    /// Names the token that the request has in any place: no service and no refusal may show it, unless it is a JWT.
    #[must_use]
    pub fn with_token(self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self }
    }

    /// Sets `x-request-name`, where its value matters.
    #[must_use]
    pub fn named(self, name: &str) -> Self {
        Self { name: Some(name.to_owned()), ..self }
    }

    /// Describes the case of a table in failures.
    #[must_use]
    pub fn case(self, case: impl std::fmt::Display) -> Self {
        Self { case: format!("{}: {case}", self.case), ..self }
    }

    /// Sends the request without reading the response. Dropping the connection disconnects the client.
    pub async fn start(self) -> Result<TcpStream> {
        let Target::Plain(client) = self.target else { anyhow::bail!("only without TLS") };
        client.start(&self.request.named(self.name.as_deref().unwrap_or("left"))).await
    }

    async fn send(self) -> Result<Outcome> {
        let name = self.name.unwrap_or_else(fresh_name);
        let what = format!("{} {}{}", self.request.method(), self.request.path(), self.case);
        let request = self.request.named(&name);
        let answer = match self.target {
            Target::Plain(client) => client.send(request).await?,
            Target::Tls(client) => client.send(request).await?,
        };
        let arrived = self.services.iter().flat_map(|service| service.named(&name)).collect();
        Ok(Outcome { answer, arrived, what, token: self.token })
    }
}

impl<'w> IntoFuture for Call<'w> {
    type Output = Result<Outcome>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'w>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

fn fresh_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("call-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}
