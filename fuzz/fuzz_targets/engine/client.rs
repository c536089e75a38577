//! What clients send: a few tokens in every place where the engine looks for one, and fields that imitate the gateway's own.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use phantom_token_core::driver::Fields;
use phantom_token_fuzz::{expand, key_set};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A token, and what the authorization server knows about it.
pub struct Token {
    pub text: &'static str,
    pub user: &'static str,
    pub scope: &'static str,
    /// Whether the token is bound to the client's key.
    pub is_bound: bool,
}

/// The tokens of the clients. No token's text is part of another's, nor of any other field.
pub const TOKENS: [Token; 4] = [
    Token { text: "opaque-1", user: "alice", scope: "", is_bound: false },
    Token { text: "opaque-2", user: "bob", scope: "admin", is_bound: false },
    Token { text: "opaque-3", user: "carol", scope: "", is_bound: false },
    Token { text: "opaque-4", user: "dave", scope: "admin", is_bound: true },
];

/// How a request presents its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials {
    Bearer,
    Proven,
    /// With the proof of the previous request.
    ProvenAgain,
    Unproven,
    Query,
    Cookie,
    Header,
    Protocol,
    Twice,
    /// In `Authorization` and in a cookie.
    Both,
    Basic,
    Nothing,
}

/// The path that a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Orders,
    Public,
    /// The rule of this path is `report_only`.
    Trial,
    /// The rule of this path requires the scope `admin`.
    Admin,
    /// No rule matches this path.
    Unlisted,
}

/// Which of the gateway's own fields a client imitates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoofed {
    Nothing,
    User,
    UserTwice,
    AnswerInOtherLetters,
    Override,
}

/// A request, and when it was sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub worker: usize,
    pub token: usize,
    pub credentials: Credentials,
    pub place: Place,
    pub spoofed: Spoofed,
    /// The number of the step that sent it.
    pub step: usize,
    /// In milliseconds.
    pub at: u64,
    /// The DPoP proof that the request has if its credentials need one.
    pub proof: Proof,
    /// Whether another request with the same token was waiting at the worker.
    pub has_company: bool,
}

/// A DPoP proof, which shows that the client has the key.
#[derive(Clone, Copy, Debug)]
pub struct Proof {
    pub number: usize,
    /// In milliseconds.
    pub at: u64,
}

impl Credentials {
    pub const ALL: [Self; 12] = [
        Self::Bearer,
        Self::Proven,
        Self::ProvenAgain,
        Self::Unproven,
        Self::Query,
        Self::Cookie,
        Self::Header,
        Self::Protocol,
        Self::Twice,
        Self::Both,
        Self::Basic,
        Self::Nothing,
    ];

    /// Whether the request has exactly one token, in a place where the engine accepts it.
    pub fn is_one_token(self) -> bool {
        !matches!(self, Self::Unproven | Self::Twice | Self::Both | Self::Basic | Self::Nothing)
    }

    pub fn is_proven(self) -> bool {
        matches!(self, Self::Proven | Self::ProvenAgain)
    }
}

impl Place {
    pub const ALL: [Self; 5] = [Self::Orders, Self::Public, Self::Trial, Self::Admin, Self::Unlisted];

    /// Whether requests for this path need a token.
    pub fn is_protected(self) -> bool {
        matches!(self, Self::Orders | Self::Trial | Self::Admin)
    }

    fn path(self) -> &'static str {
        match self {
            Self::Orders => "/orders",
            Self::Public => "/public",
            Self::Trial => "/trial",
            Self::Admin => "/admin",
            Self::Unlisted => "/unlisted",
        }
    }
}

impl Spoofed {
    pub const ALL: [Self; 5] =
        [Self::Nothing, Self::User, Self::UserTwice, Self::AnswerInOtherLetters, Self::Override];
}

impl Sent {
    pub fn token(&self) -> &'static Token {
        &TOKENS[self.token]
    }

    pub fn fields(&self) -> Fields {
        let text = self.token().text;
        let path = self.place.path();
        let bearer = ("authorization", format!("Bearer {text}"));
        let dpop = ("authorization", format!("DPoP {text}"));
        let cookie = ("cookie", format!("a=b; session={text}"));
        let credentials = match self.credentials {
            Credentials::Bearer => vec![bearer],
            Credentials::Proven | Credentials::ProvenAgain => vec![dpop, ("dpop", self.proof(path, text))],
            Credentials::Unproven => vec![dpop],
            Credentials::Cookie => vec![cookie],
            Credentials::Header => vec![("X-Token", text.to_owned())],
            Credentials::Protocol => vec![("sec-websocket-protocol", format!("chat, token.{text}"))],
            Credentials::Twice => vec![bearer.clone(), bearer],
            Credentials::Both => vec![bearer, cookie],
            Credentials::Basic => vec![("authorization", "Basic YTpi".to_owned())],
            Credentials::Query | Credentials::Nothing => Vec::new(),
        };
        let spoofed: &[&str] = match self.spoofed {
            Spoofed::Nothing => &[],
            Spoofed::User => &["x-user"],
            Spoofed::UserTwice => &["x-user", "x-user"],
            Spoofed::AnswerInOtherLetters => &["X_ANSWER"],
            Spoofed::Override => &["x-original-url"],
        };
        let path = match self.credentials {
            Credentials::Query => format!("{path}?a=b&access_token={text}"),
            _ => path.to_owned(),
        };
        let pseudo = [(":method", "GET".to_owned()), (":authority", AUTHORITY.to_owned()), (":path", path)];
        let spoofed = spoofed.iter().map(|name| (*name, SPOOFED.to_owned()));
        let fields = pseudo.into_iter().chain(credentials).chain(spoofed);
        fields.map(|(name, value)| (name.to_owned(), value.into_bytes())).collect()
    }

    /// Returns a DPoP proof (RFC 9449 §4.2).
    fn proof(&self, path: &str, token: &str) -> String {
        let header = json!({"typ": "dpop+jwt", "alg": "EdDSA", "jwk": *JWK});
        let claims = json!({
            "jti": format!("proof-{}", self.proof.number), "htm": "GET", "htu": format!("{ORIGIN}{path}"),
            "iat": self.proof.at / 1000, "ath": URL_SAFE_NO_PAD.encode(Sha256::digest(token)),
        });
        let (proof, _) = expand(format!("<<e|{header}|{claims}>>").as_bytes());
        String::from_utf8(proof).expect("a JWT")
    }
}

/// Whether a text contains any client's token.
pub fn shows_token(text: &[u8]) -> bool {
    TOKENS.iter().any(|token| text.windows(token.text.len()).any(|window| window == token.text.as_bytes()))
}

/// The thumbprint of the client's key (RFC 7638).
pub static THUMBPRINT: LazyLock<String> = LazyLock::new(|| {
    let text = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":{}}}"#, JWK["x"]);
    URL_SAFE_NO_PAD.encode(Sha256::digest(text))
});

static JWK: LazyLock<Value> =
    LazyLock::new(|| json!({"kty": "OKP", "crv": "Ed25519", "x": key_set()["keys"][1]["x"]}));

pub const ORIGIN: &str = "https://api.example.com";
/// The value of spoofed fields.
pub const SPOOFED: &str = "spoofed";
const AUTHORITY: &str = "api.example.com";
