//! How the gateway authenticates at the authorization server (RFC 7662 §2.1, RFC 6749 §2.3): by exactly one method (R19).

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::client_assertion::ClientAssertion;
use crate::host::Occasion;
use crate::http::form;
use crate::secret::Secret;

/// One method of authentication, with its credentials.
#[derive(Clone, Debug)]
pub enum ClientAuthentication {
    /// `client_secret_basic`: id and secret are form-encoded before they are joined (RFC 6749 §2.3.1).
    Basic(ClientCredentials),
    /// The same for servers that do not decode them.
    RawBasic(ClientCredentials),
    /// `client_secret_post`: in the form.
    Post(ClientCredentials),
    /// `private_key_jwt`: by an assertion that it signs (RFC 7523 §2.2).
    PrivateKeyJwt(ClientAssertion),
    /// An access token for the introspection endpoint (RFC 6750 §2.1).
    BearerToken(Secret),
    /// `none`: whoever reaches the endpoint may ask. Some servers want to know the client all the same.
    None {
        /// `client_id`.
        id: Option<String>,
    },
}

/// The gateway as a client of the authorization server.
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    /// `client_id`.
    pub id: String,
    /// `client_secret`.
    pub secret: Secret,
}

impl ClientAuthentication {
    /// What tells one client from another: the method, and `client_id` or the token that says who asks. A secret does not.
    pub(crate) fn identity(&self) -> [&str; 2] {
        match self {
            Self::Basic(client) => ["client_secret_basic", &client.id],
            Self::RawBasic(client) => ["client_secret_basic_raw", &client.id],
            Self::Post(client) => ["client_secret_post", &client.id],
            Self::PrivateKeyJwt(assertion) => ["private_key_jwt", &assertion.client_id],
            Self::BearerToken(token) => ["bearer_token", token.expose()],
            Self::None { id } => ["none", id.as_deref().unwrap_or_default()],
        }
    }

    /// `client_id`, if the gateway has one there.
    pub fn client_id(&self) -> Option<&str> {
        match self {
            Self::Basic(client) | Self::RawBasic(client) | Self::Post(client) => Some(&client.id),
            Self::PrivateKeyJwt(assertion) => Some(&assertion.client_id),
            Self::None { id } => id.as_deref(),
            Self::BearerToken(_) => None,
        }
    }

    /// Whether the credentials are good for one request alone.
    pub(super) fn is_for_one_request(&self) -> bool {
        matches!(self, Self::PrivateKeyJwt(_))
    }

    /// The value of the `Authorization` field, if the method has one.
    pub(super) fn authorization(&self) -> Option<String> {
        match self {
            Self::Basic(ClientCredentials { id, secret }) => {
                Some(basic(&form::encode(id), &form::encode(secret.expose())))
            }
            Self::RawBasic(ClientCredentials { id, secret }) => Some(basic(id, secret.expose())),
            Self::BearerToken(token) => Some(format!("Bearer {}", token.expose())),
            Self::Post(_) | Self::PrivateKeyJwt(_) | Self::None { .. } => None,
        }
    }

    /// The parameters of the form, if the method has any; `None` if an assertion is to be among them and cannot be made.
    pub(super) fn parameters(&self, occasion: Occasion<'_>) -> Option<Vec<(&'static str, Cow<'_, str>)>> {
        Some(match self {
            Self::Post(ClientCredentials { id, secret }) => {
                vec![("client_id", id.into()), ("client_secret", secret.expose().into())]
            }
            Self::None { id } => id.iter().map(|id| ("client_id", id.into())).collect(),
            Self::PrivateKeyJwt(assertion) => vec![
                ("client_id", assertion.client_id.as_str().into()),
                ("client_assertion_type", ASSERTION_TYPE.into()),
                ("client_assertion", assertion.sign(occasion)?.into()),
            ],
            Self::Basic(_) | Self::RawBasic(_) | Self::BearerToken(_) => Vec::new(),
        })
    }
}

/// RFC 7523 §2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}
