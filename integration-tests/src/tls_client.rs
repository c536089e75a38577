//! A TLS client that presents a certificate if it has one: a workload that calls another, directly or through a waypoint.

use std::sync::Arc;

use anyhow::Result;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use crate::certificates::{Certificate, CertificateAuthority};
use crate::client::{self, Answer, Client, Connection, Protocol, Request};
use crate::eventually::soon;

/// The name that a server's certificate has to have.
pub const SERVER_NAME: &str = "api.example.com";

/// A client of one port of loopback.
#[derive(Clone)]
pub struct TlsClient {
    port: u16,
    connector: TlsConnector,
    /// The destination of the tunnel through the server. `None` if there is no tunnel.
    destination: Option<String>,
}

impl TlsClient {
    /// A client of the same port that trusts this authority.
    pub fn of(
        client: Client,
        trusted: &CertificateAuthority,
        certificate: Option<&Certificate>,
    ) -> Result<Self> {
        let roots = Arc::new(trusted.roots()?);
        Self::verifying(
            client,
            certificate,
            WebPkiServerVerifier::builder_with_provider(roots, provider()).build()?,
        )
    }

    /// A client in a mesh of this authority, where certificates have identities instead of names: the client does not check the server's
    /// identity.
    pub fn in_mesh(
        client: Client,
        authority: &CertificateAuthority,
        certificate: Option<&Certificate>,
    ) -> Result<Self> {
        let roots = Arc::new(authority.roots()?);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider()).build()?;
        Self::verifying(client, certificate, Arc::new(AnyName(verifier)))
    }

    fn verifying(
        client: Client,
        certificate: Option<&Certificate>,
        verifier: Arc<dyn ServerCertVerifier>,
    ) -> Result<Self> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let configuration = match certificate.map(Certificate::der) {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
            None => builder.with_no_client_auth(),
        };
        Ok(Self { port: client.port(), connector: Arc::new(configuration).into(), destination: None })
    }

    /// Returns a client that requests a tunnel to this `address:port` from its server, a waypoint, and sends requests through it: HBONE,
    /// which is CONNECT over HTTP/2 (RFC 9113 §8.5) over mutual TLS.
    #[must_use]
    pub fn through_tunnel(self, destination: &str) -> Self {
        Self { destination: Some(destination.to_owned()), ..self }
    }

    /// Opens a persistent connection.
    pub async fn connect(&self) -> Result<Connection> {
        let connect = async {
            let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            Connection::over(self.connector.connect(ServerName::try_from(SERVER_NAME)?, stream).await?).await
        };
        soon("the connection", connect).await?
    }

    /// Sends a request on a new connection. A server that rejects the certificate closes the connection.
    pub async fn send(&self, request: Request) -> Result<Answer> {
        let exchange = async {
            let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            let stream = self.connector.connect(ServerName::try_from(SERVER_NAME)?, stream).await?;
            match &self.destination {
                Some(destination) => {
                    let tunnel = client::tunnel(stream, destination).await?;
                    client::exchange(tunnel, Protocol::Http1, request).await
                }
                None => client::exchange(stream, Protocol::Http1, request).await,
            }
        };
        soon("the answer", exchange).await?
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// Verifies a certificate except for its name.
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // The name is verified last.
        match self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
