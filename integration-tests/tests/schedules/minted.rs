//! JWTs that the gateway mints for responses without one.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use integration_tests::jwt;
use serde_json::{Value, json};

use crate::bounds::AUDIENCE;
use crate::server::{Statement, Token};
use crate::signer::Signer;

/// What one configuration promises about minted JWTs.
#[derive(Clone, Debug)]
pub struct MintBounds {
    /// The maximum lifetime of a JWT.
    pub lifetime: Duration,
}

impl MintBounds {
    pub fn random(rng: &mut Rng) -> Self {
        Self { lifetime: Duration::from_secs([10, 300][rng.usize(..2)]) }
    }

    /// The section `mint` as an operator writes it.
    pub fn configuration(&self) -> Value {
        json!({
            "issuer": GATEWAY,
            "audience": AUDIENCE,
            "lifetime": format!("{}s", self.lifetime.as_secs()),
            "keys": [{"private_key": signer().private().to_string(), "key_id": "gateway"}],
        })
    }

    /// Checks that a minted JWT is signed by the gateway, for one audience, and grants no more than the response did: no other subject, no
    /// wider scope, no longer lifetime.
    pub fn judge(&self, jwt: &str, token: &Token, statement: &Statement, now: Duration) -> Result<()> {
        ensure!(signer().verifies(jwt), "the gateway did not sign this");
        let (header, claims) = (jwt::header(jwt)?, jwt::claims(jwt)?);
        ensure!(header["typ"] == "at+jwt" && header["kid"] == "gateway", "{header}");
        ensure!(claims["iss"] == GATEWAY && claims["aud"] == AUDIENCE, "{claims}");
        ensure!(claims["sub"] == token.subject.as_str() && claims["client_id"] == "app", "{claims}");
        ensure!(claims["scope"] == token.scope, "{claims}");
        ensure!(claims["jti"].is_string() && claims.get("cnf").is_none(), "{claims}");
        let date = |name: &str| claims[name].as_u64().map(Duration::from_secs).context("no date");
        let (issued, expires) = (date("iat")?, date("exp")?);
        ensure!(expires <= issued + self.lifetime, "it lives longer than {:?}", self.lifetime);
        ensure!(Some(expires) <= statement.expires(), "it lives longer than its token");
        ensure!(now < expires, "it is over");
        Ok(())
    }
}

fn signer() -> Signer {
    Signer::new(1_000_000)
}

const GATEWAY: &str = "https://gateway.example.com";
