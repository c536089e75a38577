//! The introspection request (RFC 7662 §2.1). It is made of the configuration and the token alone: nothing else of the
//! client's request reaches the authorization server (R22).

use std::rc::Rc;
use std::time::Duration;

use super::authentication::ClientAuthentication;
use crate::bearer::AccessToken;
use crate::form;
use crate::secret::Secret;

/// An introspection endpoint and how the host reaches it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// What the host calls it: a cluster of Envoy, `host:port` for Kong.
    pub upstream: String,
    /// `http` or `https`.
    pub scheme: String,
    /// Host and optional port, as the authorization server knows itself.
    pub authority: String,
    /// The path, with a query if there is one.
    pub path: String,
    /// How the gateway authenticates.
    pub authentication: ClientAuthentication,
    /// The one media type that is asked for: some servers compare the whole value (R18).
    pub accept: String,
    /// Whether `token_type_hint=access_token` is sent (R17).
    pub token_type_hint: bool,
    /// More parameters that the server wants in the form.
    pub parameters: Vec<(String, String)>,
    /// More header fields that the server wants, names in lower case.
    pub headers: Vec<(String, Secret)>,
    /// How long the host waits for the answer.
    pub timeout: Duration,
}

/// An HTTP call for the host to dispatch. It carries the gateway's credentials and a token: it has no debug print.
#[derive(Clone)]
pub struct Callout {
    endpoint: Rc<Endpoint>,
    body: Rc<str>,
}

impl Callout {
    /// Asks whether `token` is active.
    pub(crate) fn introspect(endpoint: &Rc<Endpoint>, token: AccessToken<'_>) -> Self {
        let mut parameters = vec![("token", token.expose())];
        if endpoint.token_type_hint {
            parameters.push(("token_type_hint", "access_token"));
        }
        parameters.extend(endpoint.authentication.parameters());
        parameters.extend(endpoint.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        Self { endpoint: Rc::clone(endpoint), body: form::encode_pairs(&parameters).into() }
    }

    /// What the host calls the server.
    pub fn upstream(&self) -> &str {
        &self.endpoint.upstream
    }

    /// The header fields, pseudo-header fields first.
    pub fn headers(&self) -> Vec<(&str, String)> {
        let endpoint = &*self.endpoint;
        let mut headers = vec![
            (":method", "POST".to_owned()),
            (":scheme", endpoint.scheme.clone()),
            (":authority", endpoint.authority.clone()),
            (":path", endpoint.path.clone()),
            ("content-type", "application/x-www-form-urlencoded".to_owned()),
            ("accept", endpoint.accept.clone()),
        ];
        headers.extend(endpoint.authentication.authorization().map(|value| ("authorization", value)));
        headers
            .extend(endpoint.headers.iter().map(|(name, value)| (name.as_str(), value.expose().to_owned())));
        headers
    }

    /// The form.
    pub fn body(&self) -> &[u8] {
        self.body.as_bytes()
    }

    /// How long the host waits for the answer.
    pub fn timeout(&self) -> Duration {
        self.endpoint.timeout
    }
}

#[cfg(test)]
mod tests;
