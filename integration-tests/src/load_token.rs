//! The tokens of a load. The name of a token says whether it is valid, so that clients, the authorization server and the API agree about a
//! million tokens without a list.

use std::fmt::{Display, Formatter};
use std::str::FromStr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::{jwt, secrets};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LoadToken {
    kind: TokenKind,
    number: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// An active token that is used again and again.
    Known,
    /// An active token that is used once.
    Cold,
    /// A token that was never issued.
    Unknown,
}

impl LoadToken {
    /// One of the active tokens that are used again and again.
    pub fn known(number: u64) -> Self {
        Self { kind: TokenKind::Known, number }
    }

    pub fn fresh(kind: TokenKind) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        Self { kind, number: COUNT.fetch_add(1, Ordering::Relaxed) }
    }

    pub fn kind(self) -> TokenKind {
        self.kind
    }

    /// Whether the token is active at the authorization server.
    pub fn is_active(self) -> bool {
        self.kind != TokenKind::Unknown
    }

    /// The token as clients send it.
    pub fn text(self) -> String {
        format!("{}{self}", prefix())
    }

    /// Parses a token as clients send it.
    pub fn parse(text: &str) -> Option<Self> {
        text.strip_prefix(prefix())?.parse().ok()
    }

    /// The phantom token for this token: a unique JWT of about 1 kB, always the same.
    pub fn jwt(self) -> String {
        let mut claims = CLAIMS.clone();
        claims["sub"] = json!(self.to_string());
        format!("{}.{}.c2lnbmF0dXJl", *HEADER, URL_SAFE_NO_PAD.encode(claims.to_string()))
    }
}

/// The prefix of all tokens, recorded once as a secret for all of them.
pub fn prefix() -> &'static str {
    static PREFIX: LazyLock<String> = LazyLock::new(|| secrets::noted("opaque-of-the-load-".to_owned()));
    &PREFIX
}

impl Display for LoadToken {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}-{}", self.kind.name(), self.number)
    }
}

impl FromStr for LoadToken {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let (kind, number) = name.split_once('-').context("not the name of a token")?;
        let kind = KINDS.into_iter().find(|own| own.name() == kind).context("no such kind of tokens")?;
        Ok(Self { kind, number: number.parse()? })
    }
}

impl TokenKind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Cold => "cold",
            Self::Unknown => "unknown",
        }
    }
}

const KINDS: [TokenKind; 3] = [TokenKind::Known, TokenKind::Cold, TokenKind::Unknown];

/// The encoded header of every JWT here, and of no other, recorded once as a secret for all of them.
static HEADER: LazyLock<String> = LazyLock::new(|| {
    secrets::noted(jwt::encoded(&json!({"alg": "ES256", "typ": "at+jwt", "kid": "of-the-load"})))
});

static CLAIMS: LazyLock<Value> = LazyLock::new(|| {
    let mut claims = jwt::valid_claims();
    claims["exp"] = json!(jwt::now() + 24 * 3600);
    claims["pad"] = json!("x".repeat(500));
    claims
});
