//! The clients' credentials, what services should receive instead, and the key with which `jwt_authn` verifies JWTs. All are generated for
//! one run, so nothing here is a secret.

use std::collections::{HashMap, HashSet};

use anyhow::{Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::RsaPrivateKey;
use rsa::pkcs1v15::SigningKey;
use rsa::rand_core::OsRng;
use rsa::sha2::{Digest, Sha256};
use rsa::signature::{SignatureEncoding, Signer};
use rsa::traits::PublicKeyParts;
use serde_json::{Value, json};

use super::variants::{SHARED_SLOTS, Variant};
use crate::jwt;

pub const ISSUER: &str = "https://login.example.com";

pub const AUDIENCE: &str = "orders-api";

pub struct Credentials {
    issued_at: u64,
    jwt: String,
    signature: String,
    keys: Value,
    tokens: HashMap<Variant, Vec<String>>,
}

impl Credentials {
    pub fn new() -> Result<Self> {
        let key = RsaPrivateKey::new(&mut OsRng, 2048)?;
        let number = |number: &rsa::BigUint| URL_SAFE_NO_PAD.encode(number.to_bytes_be());
        let keys = json!({"keys": [{
            "kty": "RSA", "kid": KEY_ID, "alg": "RS256", "use": "sig", "n": number(key.n()), "e": number(key.e()),
        }]});
        let issued_at = jwt::now();
        let message = message(issued_at, 0);
        let signature = SigningKey::<Sha256>::new(key).sign(message.as_bytes()).to_vec();
        let signature = URL_SAFE_NO_PAD.encode(signature);
        let jwt = format!("{message}.{signature}");
        ensure!((1000..1100).contains(&jwt.len()), "a JWT of {} bytes, not about 1 KB", jwt.len());
        let tokens = Variant::ALL.into_iter().map(|variant| (variant, opaque_tokens(variant))).collect();
        Ok(Self { issued_at, jwt, signature, keys, tokens })
    }

    pub fn keys(&self) -> &Value {
        &self.keys
    }

    /// The tokens that clients of a variant send in turn. A public route has none.
    pub fn sent(&self, variant: Variant) -> Vec<&str> {
        match variant {
            Variant::PublicRoute => Vec::new(),
            _ if variant.takes_jwts() => vec![&self.jwt],
            _ => self.opaque(variant).iter().map(String::as_str).collect(),
        }
    }

    /// A token that a variant has to refuse if it checks tokens.
    pub fn unacceptable(&self, variant: Variant) -> String {
        if variant.takes_jwts() { self.other_jwt(1) } else { "a-token-that-nobody-issued".to_owned() }
    }

    /// Every opaque token with its JWT.
    pub fn grants(&self) -> HashMap<String, String> {
        let mut grants = HashMap::new();
        for token in Variant::ALL.iter().flat_map(|variant| self.opaque(*variant)) {
            let jwt = if grants.is_empty() { self.jwt.clone() } else { self.other_jwt(grants.len()) };
            grants.insert(token.clone(), jwt);
        }
        grants
    }

    /// A JWT of the same length with another JWT's signature, for variants that do not verify it.
    fn other_jwt(&self, number: usize) -> String {
        format!("{}.{}", message(self.issued_at, number), self.signature)
    }

    fn opaque(&self, variant: Variant) -> &[String] {
        self.tokens.get(&variant).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Tokens of 32 bytes as base64url, as common servers issue them. Each token of [`Variant::SharedData`] has a slot of its own: two in one
/// slot would overwrite each other forever.
fn opaque_tokens(variant: Variant) -> Vec<String> {
    let mut slots = HashSet::new();
    let token =
        |number: usize| URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{} {number}", variant.name())));
    let has_place = |token: &String| variant != Variant::SharedData || slots.insert(slot(token));
    (0..).map(token).filter(has_place).take(variant.tokens()).collect()
}

/// The token's slot: the first 64 bits of its digest, modulo the number of slots.
fn slot(token: &str) -> u64 {
    let digest = Sha256::digest(token);
    let prefix = digest.iter().take(8).fold(0, |prefix, &byte| prefix << 8 | u64::from(byte));
    prefix % SHARED_SLOTS as u64
}

/// The signed part of a JWT, with an access token's claims (RFC 9068 §2.2) that outlast a run.
fn message(issued_at: u64, number: usize) -> String {
    let header = json!({"alg": "RS256", "typ": "at+jwt", "kid": KEY_ID});
    let claims = json!({
        "iss": ISSUER, "aud": [AUDIENCE, "invoices-api"], "sub": format!("customer-{number:08}"),
        "client_id": "web-shop", "scope": "openid profile orders:read orders:write invoices:read",
        "iat": issued_at, "exp": issued_at + 7200, "jti": format!("9f2c1a7e-5b7d-4c7e-9a53-{number:012}"),
        "auth_time": issued_at - 60, "acr": "urn:example:acr:two-factor", "department": "sales-and-service",
        "groups": ["customers", "premium-customers", "newsletter-subscribers", "beta-testers"],
    });
    format!("{}.{}", jwt::encoded(&header), jwt::encoded(&claims))
}

const KEY_ID: &str = "2026-01-signing-key";
