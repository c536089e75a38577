//! A TLS client that presents a certificate if it has one: a workload that calls another.

use std::sync::Arc;

use anyhow::Result;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::certificates::{Certificate, CertificateAuthority};
use crate::client::{self, Answer, Client, Protocol, Request};
use crate::eventually::soon;

/// The name that a server's certificate has to be for.
pub const SERVER_NAME: &str = "api.example.com";

/// Sends requests to one port of loopback.
#[derive(Clone)]
pub struct TlsClient {
    port: u16,
    connector: TlsConnector,
}

impl TlsClient {
    /// A client of the same port, which trusts this authority.
    pub fn of(
        client: Client,
        trusted: &CertificateAuthority,
        certificate: Option<&Certificate>,
    ) -> Result<Self> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(trusted.roots()?);
        let configuration = match certificate.map(Certificate::der) {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
            None => builder.with_no_client_auth(),
        };
        Ok(Self { port: client.port(), connector: Arc::new(configuration).into() })
    }

    /// Sends a request on a connection of its own. A server that does not take the certificate ends the connection.
    pub async fn send(&self, request: Request) -> Result<Answer> {
        let exchange = async {
            let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            let stream = self.connector.connect(ServerName::try_from(SERVER_NAME)?, stream).await?;
            client::exchange(stream, Protocol::Http1, request).await
        };
        soon("the answer", exchange).await?
    }
}
