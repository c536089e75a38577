//! Certificates of workloads and servers, generated for one test: an authority certifies each workload's SPIFFE ID.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use sha2::{Digest, Sha256};
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::secrets;

pub struct CertificateAuthority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate of one workload and its private key.
pub struct Certificate {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl CertificateAuthority {
    pub fn new() -> Result<Self> {
        let mut params = params("authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, noted_key()?)? })
    }

    /// Certifies a server of this name.
    pub fn certify_server(&self, name: &str) -> Result<Certificate> {
        self.certify(vec![SanType::DnsName(name.try_into()?)])
    }

    /// Certifies a workload with these URIs, in this order.
    pub fn certify_workload(&self, uris: &[&str]) -> Result<Certificate> {
        let uris = uris.iter().map(|uri| Ok(SanType::URI((*uri).try_into()?)));
        self.certify(uris.collect::<Result<_>>()?)
    }

    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// The private key (PKCS#8), for another program that signs with it.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// The trust roots of a client that trusts only this authority.
    pub fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone())?;
        Ok(roots)
    }

    fn certify(&self, names: Vec<SanType>) -> Result<Certificate> {
        let mut params = params("workload");
        params.subject_alt_names = names;
        let key = noted_key()?;
        Ok(Certificate { certificate: params.signed_by(&key, &self.issuer)?, key })
    }
}

impl Certificate {
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// The private key (PKCS#8).
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    pub fn base64_der(&self) -> String {
        STANDARD.encode(self.certificate.der())
    }

    /// The SHA-256 of the certificate in hexadecimal digits, as Envoy writes it.
    pub fn digest(&self) -> String {
        Sha256::digest(self.certificate.der()).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The certificate and the private key as rustls takes them.
    pub fn der(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = PrivatePkcs8KeyDer::from(self.key.serialize_der());
        (vec![self.certificate.der().clone()], key.into())
    }
}

/// Names the subject: a certificate whose subject equals its issuer's would count as self-signed.
fn params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params
}

/// Generates a key, and records each line of it as a secret.
pub(crate) fn noted_key() -> Result<KeyPair> {
    let key = KeyPair::generate().context("no key")?;
    let pem = key.serialize_pem();
    for line in pem.lines().filter(|line| !line.is_empty() && !line.starts_with("-----")) {
        secrets::noted(line.to_owned());
    }
    Ok(key)
}
