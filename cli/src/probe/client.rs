//! The HTTP client of `probe`. It sends the requests that the filter would have its host send.

use std::net::ToSocketAddrs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use phantom_token_core::Callout;
use phantom_token_core::driver::{Fields, Response as Answer};
use ureq::config::Config;
use ureq::http::{Request, Response, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Body, Error};

/// How to reach servers.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// The host and port to connect to, instead of the endpoint's host.
    pub connect: Option<String>,
    /// The PEM text of the trusted certificates; `None` for those that the machine trusts.
    pub authorities: Option<String>,
}

/// The HTTP client.
pub struct Client(Agent);

/// The result of a request.
pub struct Exchange {
    /// The response, as the filter sees it.
    pub answer: Answer,
    /// How long the request took.
    pub elapsed: Duration,
    /// Why there is no response, if there is none.
    pub failure: Option<String>,
}

impl Client {
    /// Creates a client for a route. Plaintext does not go through a proxy of the environment, since it might then leave this machine.
    ///
    /// # Errors
    /// What is wrong with the certificates.
    pub fn new(route: &Route, is_plaintext: bool) -> Result<Self, String> {
        let roots = match &route.authorities {
            None => RootCerts::PlatformVerifier,
            Some(pem) => RootCerts::Specific(Arc::new(certificates(pem)?)),
        };
        let config = Config::builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("phantom-token/", env!("CARGO_PKG_VERSION")))
            .accept("")
            .timeout_global(Some(PATIENCE))
            .tls_config(TlsConfig::builder().root_certs(roots).build());
        Ok(Self(match &route.connect {
            None if is_plaintext => config.proxy(None).build().new_agent(),
            None => config.build().new_agent(),
            Some(place) => {
                let config = config.proxy(None).build();
                Agent::with_parts(config, DefaultConnector::default(), Place(place.clone()))
            }
        }))
    }

    /// Sends a callout.
    pub fn send(&self, callout: &Callout, limit: usize) -> Exchange {
        let spinner = ProgressBar::new_spinner().with_message(format!("waiting for {}", url(callout)));
        spinner.enable_steady_tick(Duration::from_millis(100));
        let (begun, result) = timed(|| self.run(callout, limit));
        spinner.finish_and_clear();
        let (answer, failure) = match result {
            Ok(answer) => (answer, None),
            Err(Error::BodyExceedsLimit(_)) => (Answer::Oversized, None),
            Err(error) => (Answer::Lost, Some(reason(&error))),
        };
        Exchange { answer, elapsed: begun, failure }
    }

    fn run(&self, callout: &Callout, limit: usize) -> Result<Answer, Error> {
        let method = field(callout, ":method");
        let mut request = Request::builder().method(method).uri(whole_url(callout));
        for (name, value) in
            callout.headers().filter(|(name, _)| !name.starts_with([':']) && !is_for_envoy(name))
        {
            request = request.header(name, value);
        }
        let response = if method == "POST" {
            self.0.run(request.body(callout.body())?)?
        } else {
            self.0.run(request.body(())?)?
        };
        read(response, limit)
    }
}

/// Returns the URL of a callout for display, without its query, which may contain a secret.
pub fn url(callout: &Callout) -> String {
    let url = whole_url(callout);
    url.split_once('?').map_or(url.as_str(), |(url, _query)| url).to_owned()
}

fn whole_url(callout: &Callout) -> String {
    let [scheme, authority, path] = [":scheme", ":authority", ":path"].map(|name| field(callout, name));
    format!("{scheme}://{authority}{path}")
}

fn field<'c>(callout: &'c Callout, name: &str) -> &'c str {
    callout.headers().find(|(own, _)| *own == name).map_or("", |(_, value)| value)
}

fn is_for_envoy(name: &str) -> bool {
    name.starts_with("x-envoy-")
}

fn read(response: Response<Body>, limit: usize) -> Result<Answer, Error> {
    let status = response.status().as_u16();
    let fields: Fields = response
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect();
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    let body = response.into_body().into_with_config().limit(limit).read_to_vec()?;
    Ok(Answer::Complete { status, fields, body })
}

/// Explains why there is no response, without anything from the request.
fn reason(error: &Error) -> String {
    match error {
        Error::HostNotFound => "its name cannot be resolved here".to_owned(),
        Error::Timeout(_) => format!("it did not answer within {} s", PATIENCE.as_secs()),
        Error::Io(error) => of_tls(&error.to_string()).map_or_else(|| error.to_string(), str::to_owned),
        Error::ConnectionFailed => "it does not accept connections".to_owned(),
        Error::Rustls(error) => {
            of_tls(&error.to_string()).map_or_else(|| format!("TLS: {error}"), str::to_owned)
        }
        Error::Tls(message) => format!("TLS: {message}"),
        _ => "its answer is not HTTP".to_owned(),
    }
}

/// Explains an error of the TLS library to an operator.
fn of_tls(error: &str) -> Option<&'static str> {
    TLS.iter().find(|(mark, _)| error.contains(mark)).map(|(_, text)| *text)
}

fn certificates(pem: &str) -> Result<Vec<Certificate<'static>>, String> {
    let certificate = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    let certificates: Vec<_> = parse_pem(pem.as_bytes()).filter_map(certificate).collect();
    if certificates.is_empty() {
        Err("--ca: there is no certificate in PEM".to_owned())
    } else {
        Ok(certificates)
    }
}

#[allow(clippy::disallowed_methods, reason = "how long a server takes is measured here, not in the core")]
fn timed<T>(call: impl FnOnce() -> T) -> (Duration, T) {
    let begun = Instant::now();
    let result = call();
    (begun.elapsed(), result)
}

/// Resolves every name to one place.
#[derive(Debug)]
struct Place(String);

impl Resolver for Place {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let mut addresses = self.empty();
        for address in self.0.to_socket_addrs().map_err(|_| Error::HostNotFound)?.take(MAX_ADDRESSES) {
            addresses.push(address);
        }
        if addresses.is_empty() { Err(Error::HostNotFound) } else { Ok(addresses) }
    }
}

const TLS: &[(&str, &str)] = &[
    ("UnknownIssuer", "TLS: its certificate is from an authority that is not trusted here: --ca adds others"),
    ("not valid for name", "TLS: its certificate is for another host"),
    ("NotValidForName", "TLS: its certificate is for another host"),
    ("certificate expired", "TLS: its certificate has expired"),
    ("Expired", "TLS: its certificate has expired"),
    (
        "CaUsedAsEndEntity",
        "TLS: its certificate is that of an authority: have the authority issue one for the server",
    ),
    ("InvalidContentType", "it does not speak TLS"),
];

/// Longer than any filter waits by default, so that a slow server is recognized as slow.
const PATIENCE: Duration = Duration::from_secs(10);

const MAX_ADDRESSES: usize = 8;
