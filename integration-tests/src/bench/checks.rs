//! Checks that every variant works before anything is measured; the cost of a gateway that lets every request in, or none, is of no
//! interest.

use anyhow::{Context, Result, ensure};

use super::credentials::Credentials;
use super::filters::{self, RECEIVED};
use super::gateway::Gateway;
use super::variants::{Destination, Variant};
use crate::artefact::Artefact;
use crate::client::Request;
use crate::eventually::eventually;

/// Checks for each variant that services receive what they should, with and without an upstream, and that an unknown token is refused.
pub async fn check(gateway: &Gateway, credentials: &Credentials) -> Result<()> {
    for variant in Variant::ALL {
        check_variant(gateway, credentials, variant).await.with_context(|| variant.name())?;
    }
    Ok(())
}

/// Sends each variant all its tokens until all workers know them, and checks that each cache answers from then on.
pub async fn warm(gateway: &mut Gateway, credentials: &Credentials) -> Result<()> {
    for variant in Variant::ALL {
        warm_variant(gateway, credentials, variant).await.with_context(|| variant.name())?;
    }
    Ok(())
}

async fn check_variant(gateway: &Gateway, credentials: &Credentials, variant: Variant) -> Result<()> {
    let client = gateway.envoy(variant)?.client(variant.name());
    let sent = credentials.sent(variant).first().map(|token| (*token).to_owned());
    let authorized = |request: Request| match &sent {
        Some(token) => request.bearer(token),
        None => request,
    };
    let as_sent = || sent.as_ref().map(|token| format!("Bearer {token}")).unwrap_or_default();
    let expected = match variant {
        Variant::Plain | Variant::PlainAgain | Variant::PublicRoute => as_sent(),
        Variant::Calls => filters::constant(),
        _ if variant.takes_jwts() => as_sent(),
        _ => sent
            .as_deref()
            .and_then(|token| gateway.authority().credentials_for(token))
            .context("a token without a JWT")?
            .to_owned(),
    };

    let verification = Request::get(variant.verification());
    let upstream = Request::get(variant.path(Destination::Upstream)).header(RECEIVED, "?");
    for request in [verification, upstream] {
        let answer = client.send(authorized(request)).await?;
        ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());
        ensure!(answer.header(RECEIVED) == expected, "services receive something else");
    }

    let stranger = Request::get(Variant::Plain.path(Destination::Direct));
    let answer = client.send(stranger.bearer(&credentials.unacceptable(variant))).await?;
    let lets_everybody_in =
        matches!(variant, Variant::Plain | Variant::PlainAgain | Variant::PlainWithJwt | Variant::Calls);
    let expected = if lets_everybody_in { 200 } else { 401 };
    ensure!(answer.status == expected, "{} for a token that nobody issued", answer.status);
    Ok(())
}

async fn warm_variant(gateway: &mut Gateway, credentials: &Credentials, variant: Variant) -> Result<()> {
    let workers = u64::from(gateway.workers());
    if !matches!(variant.in_wasm(), Variant::OneToken | Variant::ManyTokens | Variant::SharedData) {
        send_all(gateway, variant).await?;
        return check_cache(gateway, variant).await;
    }
    // A worker that has not seen a token finds it in shared data, until it has seen all tokens.
    for _ in 0..ATTEMPTS {
        let before = Lookups::of(gateway, variant).await?;
        let requests = send_all(gateway, variant).await?;
        let mut after = before;
        eventually("all requests are counted", async || {
            after = Lookups::of(gateway, variant).await?;
            Ok(after.all() >= before.all() + requests)
        })
        .await?;
        if after.not_found(variant) == before.not_found(variant) {
            for token in credentials.sent(variant) {
                let asked = gateway.authority().asked_about(token);
                ensure!((1..=workers).contains(&asked), "asked {asked} times about one token");
            }
            return check_cache(gateway, variant).await;
        }
    }
    anyhow::bail!("the cache does not become warm")
}

/// The filter's cache lookups, as far as its counters have reached Envoy.
#[derive(Clone, Copy)]
struct Lookups {
    local: u64,
    shared: u64,
    missed: u64,
}

impl Lookups {
    async fn of(gateway: &Gateway, variant: Variant) -> Result<Self> {
        let counter = async |name: &str| gateway.envoy(variant)?.statistic(&statistic(variant, name)).await;
        Ok(Self {
            local: counter("cache_hit_local").await?,
            shared: counter("cache_hit_shared").await?,
            missed: counter("cache_miss").await?,
        })
    }

    fn all(&self) -> u64 {
        self.local + self.shared + self.missed
    }

    /// How many lookups missed the cache level that should answer.
    fn not_found(&self, variant: Variant) -> u64 {
        if variant == Variant::SharedData { self.missed } else { self.missed + self.shared }
    }
}

async fn check_cache(gateway: &mut Gateway, variant: Variant) -> Result<()> {
    let statistic = match variant.in_wasm() {
        Variant::OneToken | Variant::ManyTokens => statistic(variant, "cache_hit_local"),
        Variant::SharedData => statistic(variant, "cache_hit_shared"),
        Variant::Uncached => statistic(variant, "cache_miss"),
        Variant::PublicRoute => statistic(variant, "allowed_public"),
        Variant::JwtAuthnCached => format!("http.{}.jwt_authn.jwt_cache_hit", variant.name()),
        Variant::JwtAuthn => format!("http.{}.jwt_authn.allowed", variant.name()),
        Variant::ExtAuthz => format!("http.{}.ext_authz.ok", variant.name()),
        _ => return Ok(()),
    };
    let before = gateway.envoy(variant)?.statistic(&statistic).await?;
    let requests = send_all(gateway, variant).await?;
    // The worker's own cache keeps some tokens although it is too small for all.
    let least = if variant == Variant::SharedData { requests * 3 / 4 } else { requests };
    gateway.envoy(variant)?.counts(&statistic, before + least).await
}

/// Sends each token several times, enough for all workers to get requests. Returns the number of requests.
async fn send_all(gateway: &mut Gateway, variant: Variant) -> Result<u64> {
    let times = 1000_usize.div_ceil(variant.tokens()).max(4);
    let path = variant.path(Destination::Direct);
    Ok(gateway.clients(variant)?.send_all(path, times).await?.requests)
}

/// Returns Envoy's name for one of the filter's counters.
fn statistic(variant: Variant, name: &str) -> String {
    variant.artefact().unwrap_or(Artefact::Wasm).statistic(&format!("phantom_token_{name}"))
}

const ATTEMPTS: usize = 20;
