//! The introspection request (RFC 7662 §2.1), or that for UserInfo (OpenID Connect Core §5.3.1). It depends only on the
//! configuration and the token: nothing else of the client's request reaches the authorization server (R22), except its trace
//! context, where configured.

use std::sync::Arc;

use super::client_auth::{ClientAuthentication, RequestCredentials};
use crate::credentials::bearer::AccessToken;
use crate::host::Host;
use crate::http::callout::{Callout, Target};
use crate::http::request_head::Presented;
use crate::http::{form, traceparent};
use crate::refusal::Reason;
use crate::secret::Secret;

/// An endpoint that gives information about tokens, and how it is asked.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Where the endpoint is.
    pub target: Arc<Target>,
    /// The protocol of the endpoint.
    pub protocol: Protocol,
    /// The one media type that is requested: some servers compare the whole value (R18).
    pub accept: &'static str,
    /// More header fields that the server wants, names in lower case.
    pub headers: Vec<(String, Secret)>,
    /// How often the host retries if the server has not begun to respond.
    pub retries: usize,
    /// Whether `traceparent` is forwarded.
    pub forward_traceparent: bool,
}

/// How a token is sent to an endpoint.
#[derive(Clone, Debug)]
pub enum Protocol {
    /// In a form, with the gateway's own credentials (RFC 7662 §2.1).
    Introspection {
        /// How the gateway authenticates.
        authentication: Box<ClientAuthentication>,
        /// Whether `token_type_hint=access_token` is sent (R17).
        token_type_hint: bool,
        /// More parameters that the server wants in the form.
        parameters: Vec<(String, Secret)>,
    },
    /// As the credentials of the request (OpenID Connect Core §5.3.1, RFC 6750 §2.1).
    UserInfo,
}

/// An introspection request.
#[derive(Clone)]
pub struct IntrospectionRequest {
    endpoint: Arc<Endpoint>,
    token: Arc<str>,
    traceparent: Option<Arc<str>>,
}

impl Endpoint {
    /// The gateway's `client_id` at the endpoint, if it has one.
    pub fn client_id(&self) -> Option<&str> {
        match &self.protocol {
            Protocol::Introspection { authentication, .. } => authentication.client_id(),
            Protocol::UserInfo => None,
        }
    }

    /// Header fields that make Envoy retry. A server that closes a kept-alive connection has not failed, and introspection is
    /// idempotent; but an assertion is valid for one request, so a request with one is not sent again once it may have arrived
    /// (RFC 7523 §3).
    fn retry_headers(&self) -> impl Iterator<Item = (String, String)> {
        let conditions = match &self.protocol {
            Protocol::Introspection { authentication, .. } if authentication.is_for_one_request() => {
                "connect-failure,refused-stream,reset-before-request"
            }
            Protocol::Introspection { .. } | Protocol::UserInfo => "connect-failure,refused-stream,reset",
        };
        let fields =
            [("x-envoy-retry-on", conditions.to_owned()), ("x-envoy-max-retries", self.retries.to_string())];
        fields.into_iter().filter(|_| self.retries > 0).map(|(name, value)| (name.to_owned(), value))
    }
}

impl IntrospectionRequest {
    /// Creates a request that asks whether `token` is active.
    pub(crate) fn about(token: AccessToken<'_>, endpoint: &Arc<Endpoint>) -> Self {
        Self { endpoint: Arc::clone(endpoint), token: token.expose().into(), traceparent: None }
    }

    /// Adds the trace context of the client's request, where configured.
    #[must_use]
    pub(crate) fn traced(self, traceparent: Presented<'_>) -> Self {
        let Presented::Once(value) = traceparent else { return self };
        let value = traceparent::traceparent(value).filter(|_| self.endpoint.forward_traceparent);
        Self { traceparent: value.map(Arc::from), ..self }
    }

    /// Where the request is sent.
    pub(crate) fn target(&self) -> &Target {
        &self.endpoint.target
    }

    /// The requested media type.
    pub(crate) fn accept(&self) -> &'static str {
        self.endpoint.accept
    }

    /// Creates the callout. A client assertion, if that is the method, is made for this callout alone (R21).
    ///
    /// # Errors
    /// [`Reason::Internal`] if no assertion can be made.
    pub(crate) fn callout(&self, context: Host<'_>) -> Result<Callout, Reason> {
        let endpoint = &*self.endpoint;
        let target = Arc::clone(&endpoint.target);
        let Protocol::Introspection { authentication, token_type_hint, parameters: more } =
            &endpoint.protocol
        else {
            let authorization = format!("Bearer {}", self.token);
            return Ok(Callout::get(target, self.headers(Some(authorization))));
        };
        let mut parameters = vec![("token", &*self.token)];
        if *token_type_hint {
            parameters.push(("token_type_hint", "access_token"));
        }
        let credentials = authentication.credentials(context).ok_or(Reason::Internal)?;
        let RequestCredentials { authorization, parameters: own } = credentials;
        parameters.extend(own.iter().map(|(name, value)| (*name, &**value)));
        parameters.extend(more.iter().map(|(name, value)| (name.as_str(), value.expose())));
        Ok(Callout::post(target, form::encode_pairs(&parameters), self.headers(authorization)))
    }

    fn headers(&self, authorization: Option<String>) -> Vec<(String, String)> {
        let endpoint = &*self.endpoint;
        let own = [
            ("accept", Some(endpoint.accept.to_owned())),
            ("authorization", authorization),
            ("traceparent", self.traceparent.as_deref().map(str::to_owned)),
        ];
        let own = own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let more = endpoint.headers.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
        own.chain(endpoint.retry_headers()).chain(more).collect()
    }
}

#[cfg(test)]
mod tests;
