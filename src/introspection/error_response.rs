//! The meaning of a response other than an introspection response: status, media type and, in JSON, `error` (RFC 6749 §5.2) say
//! whether the token, the gateway's own credentials or the server is at fault.
//!
//! RFC 7662 §2.2 defines one response for an inactive token, but many servers use others. An error that cannot be about the gateway itself
//! always counts as one; the operator has to list others, since a server may send the same error to a gateway with a wrong secret. An HTML
//! page is never about a token.

use serde_json::Value;

use crate::http::media_type;
use crate::json::Object;
use crate::refusal::Reason;

/// The errors by which a server says that a token is not active.
#[derive(Clone, Debug)]
pub struct InactiveAnswers(Vec<InactiveAnswer>);

/// An error that means an inactive token.
#[derive(Clone, Debug)]
pub struct InactiveAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The `error` member of the JSON body. `None` stands for any JSON object, and for an empty body.
    pub error: Option<String>,
}

impl InactiveAnswers {
    /// Combines the errors that mean an inactive token on every server with the operator's own. If the gateway presents a token itself,
    /// `invalid_token` may be about that one, and is left out.
    pub(crate) fn new(presents_token: bool, own: Vec<InactiveAnswer>) -> Self {
        let known = [Some("unsupported_token_type"), (!presents_token).then_some("invalid_token")];
        let known = known.into_iter().flatten();
        let known = known.map(|error| InactiveAnswer { status: 400, error: Some(error.to_owned()) });
        Self(known.chain(own).collect())
    }

    /// The reason for a response that is not an introspection response.
    pub(super) fn reason(&self, status: u16, headers: &[(&[u8], &[u8])], body: &[u8]) -> Reason {
        let is_json = media_type::of(headers).is_some_and(|media_type| media_type::is_json(&media_type));
        let json = is_json.then(|| Object::parse(body).ok()).flatten();
        let member = |name: &str| json.as_ref().and_then(|json| json.get(name));
        let error = member("error").and_then(Value::as_str);
        let says_nothing_else = json.is_some() || body.is_empty();
        let is_inactive = |answer: &InactiveAnswer| {
            answer.status == status
                && answer.error.as_deref().map_or(says_nothing_else, |named| error == Some(named))
        };
        match (status, error) {
            (429, _) => Reason::ServerRateLimited,
            (504, _) => Reason::IntrospectionTimeout,
            (500.., _) => Reason::Unavailable,
            (400..=499, Some(error)) if OF_GATEWAY.contains(&error) => Reason::GatewayCredentialsRefused,
            (400..=499, _) if member("active") == Some(&Value::Bool(false)) => Reason::Inactive,
            _ if self.0.iter().any(is_inactive) => Reason::Inactive,
            (401 | 403, _) => Reason::GatewayCredentialsRefused,
            _ => Reason::UnexpectedResponse,
        }
    }
}

/// Errors about the calling client, here the gateway (RFC 6749 §5.2). They come with 400, too, unless it used `Authorization`.
pub(crate) const OF_GATEWAY: &[&str] = &["invalid_client", "unauthorized_client"];
