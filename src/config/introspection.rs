//! The section `introspection`: where, as whom, and what comes back.

use std::collections::BTreeMap;
use std::mem::take;
use std::sync::Arc;

use http::HeaderName;

use super::authentication::authentication;
use super::fields::{Place, duration, is_visible_ascii, number, secret, target, visible};
use super::mistakes::Mistakes;
use super::raw::{self, Confidential, Field, ResponseType};
use super::{Environment, IntrospectionSettings};
use crate::introspection::{ClientAuthentication, Endpoint, Format, ResponseFormat, SignedResponse};
use crate::secret::Secret;
use crate::server::circuit_breaker::CircuitSettings;
use crate::server::rate_limiter::Limits;

/// What else of the configuration decides what is asked, and how answers are read.
pub(super) struct Surroundings<'a> {
    /// `token.issuer`.
    pub(super) issuer: Option<&'a str>,
    /// Whether keys are configured.
    pub(super) has_keys: bool,
    /// Whether services receive claims as header fields.
    pub(super) forwards_claims: bool,
}

pub(super) fn introspection(
    place: Place<'_>,
    mut raw: raw::Introspection,
    surroundings: &Surroundings<'_>,
    environment: Environment<'_>,
    mistakes: &mut Mistakes,
) -> Option<IntrospectionSettings> {
    let timeout = duration(&place.at("timeout"), take(&mut raw.timeout), mistakes);
    let upstream = visible(&place.at("upstream"), take(&mut raw.upstream), mistakes);
    let endpoint = mistakes.required(&place.at("endpoint"), take(&mut raw.endpoint));
    let target = endpoint.and_then(|url| {
        let upstream = upstream.as_deref().unwrap_or_default();
        mistakes.check(&place.at("endpoint"), target(&url, upstream, timeout.unwrap_or_default()))
    });
    let authentication = authentication(place, &mut raw, surroundings.issuer, environment, mistakes);
    let parameters = parameters(place, raw.parameters, mistakes);
    let headers = headers(place, raw.headers, environment, mistakes);
    let raw_response = mistakes.optional(&place.at("response"), raw.response).unwrap_or_default();
    let client_id = authentication.as_ref().and_then(ClientAuthentication::client_id);
    let response = response(Place(&place.at("response")), raw_response, surroundings, client_id, mistakes);
    let token_type_hint =
        mistakes.optional(&place.at("token_type_hint"), raw.token_type_hint).unwrap_or_default();
    let concurrent = number(&place.at("max_concurrent"), raw.max_concurrent, mistakes);
    let per_second = number(&place.at("max_per_second"), raw.max_per_second, mistakes);
    let waiting = number(&place.at("max_waiting"), raw.max_waiting, mistakes);
    let limits = Limits {
        concurrent: concurrent.unwrap_or_default(),
        per_second: per_second.unwrap_or_else(|| default_per_second(authentication.as_ref())),
        waiting: waiting.unwrap_or_default(),
    };
    let retries = number(&place.at("retries"), raw.retries, mistakes).unwrap_or_default();
    let forward_traceparent =
        mistakes.optional(&place.at("forward_traceparent"), raw.forward_traceparent).unwrap_or_default();
    let raw_circuit =
        mistakes.optional(&place.at("circuit_breaker"), raw.circuit_breaker).unwrap_or_default();
    let circuit = circuit_breaker(Place(&place.at("circuit_breaker")), raw_circuit, mistakes);
    mistakes.refuse_unknown(place.0, &raw.unknown);

    let (target, authentication, response) = (target?, authentication?, response?);
    upstream?;
    let endpoint = Endpoint {
        target: Arc::new(target),
        authentication,
        accept: response.format.media_type(),
        token_type_hint,
        parameters,
        headers,
        retries,
        forward_traceparent,
    };
    Some(IntrospectionSettings { endpoint: Arc::new(endpoint), response, limits, circuit })
}

/// A worker is to have most of its time for requests, whatever a flood of unknown tokens makes it sign.
fn default_per_second(authentication: Option<&ClientAuthentication>) -> usize {
    match authentication {
        Some(ClientAuthentication::PrivateKeyJwt(assertion)) if assertion.key.is_rsa() => 20,
        Some(ClientAuthentication::PrivateKeyJwt(_)) => 100,
        _ => 1000,
    }
}

fn circuit_breaker(place: Place<'_>, raw: raw::CircuitBreaker, mistakes: &mut Mistakes) -> CircuitSettings {
    let failures = number(&place.at("failures"), raw.failures, mistakes);
    let open_for = duration(&place.at("open_for"), raw.open_for, mistakes);
    mistakes.refuse_unknown(place.0, &raw.unknown);
    CircuitSettings { failures: failures.unwrap_or_default(), open_for: open_for.unwrap_or_default() }
}

fn parameters(
    place: Place<'_>,
    field: Field<BTreeMap<String, String>>,
    mistakes: &mut Mistakes,
) -> Vec<(String, String)> {
    let parameters = mistakes.optional(&place.at("parameters"), field).unwrap_or_default();
    for name in OWN_PARAMETERS {
        if parameters.contains_key(*name) {
            mistakes.note(place.at(&format!("parameters.{name}")), "is the filter's own to send");
        }
    }
    parameters.into_iter().collect()
}

fn headers(
    place: Place<'_>,
    field: Field<BTreeMap<String, Confidential>>,
    environment: Environment<'_>,
    mistakes: &mut Mistakes,
) -> Vec<(String, Secret)> {
    let mut headers = Vec::new();
    for (name, value) in mistakes.optional(&place.at("headers"), field).unwrap_or_default() {
        let path = place.at(&format!("headers.{name}"));
        let is_name = HeaderName::from_bytes(name.as_bytes()).is_ok_and(|parsed| parsed.as_str() == name);
        if !is_name || OWN_HEADERS.contains(&name.as_str()) {
            mistakes.note(
                path,
                "must be a field name in lower case, of none that the filter or the host sends itself",
            );
            continue;
        }
        match secret(&path, value, environment, mistakes) {
            Some(value) if is_visible_ascii(value.expose()) => headers.push((name, value)),
            Some(_) => mistakes.note(path, "must be visible ASCII"),
            None => {}
        }
    }
    headers
}

fn response(
    place: Place<'_>,
    raw: raw::Response,
    surroundings: &Surroundings<'_>,
    client_id: Option<&str>,
    mistakes: &mut Mistakes,
) -> Option<ResponseFormat> {
    let accept = mistakes.optional(&place.at("accept"), raw.accept);
    let jwt_member = mistakes.optional(&place.at("jwt_member"), raw.jwt_member);
    let require_signed = mistakes.optional(&place.at("require_signed"), raw.require_signed);
    let format = accept.and_then(|accept| match accept {
        ResponseType::Jwt => Some(Format::Jwt),
        ResponseType::Json => Some(Format::Json),
        ResponseType::Signed => {
            signed(place, surroundings, client_id, require_signed.unwrap_or(true), mistakes)
                .map(Format::Signed)
        }
    });
    let is_signed = accept == Some(ResponseType::Signed);
    if !is_signed && require_signed.is_some() {
        mistakes.note(place.at("require_signed"), "is for application/token-introspection+jwt");
    }
    if is_signed && jwt_member.is_some() {
        mistakes.note(place.at("jwt_member"), "must be left out: a signed response holds claims");
    }
    if jwt_member.as_deref().is_some_and(|name| matches!(name, "" | "active")) {
        mistakes.note(place.at("jwt_member"), "must be the name of a member that holds a JWT");
    }
    let has_no_jwt = !matches!(format, None | Some(Format::Jwt)) && jwt_member.is_none();
    if has_no_jwt && !surroundings.forwards_claims {
        let message = "brings no JWT for the services: configure mint or claim_headers, or jwt_member if the JSON has one";
        mistakes.note(place.at("accept"), message);
    }
    let max_jwt_length = number(&place.at("max_jwt_length"), raw.max_jwt_length, mistakes);
    mistakes.refuse_unknown(place.0, &raw.unknown);
    Some(ResponseFormat { format: format?, jwt_member, max_jwt_length: max_jwt_length.unwrap_or_default() })
}

fn signed(
    place: Place<'_>,
    surroundings: &Surroundings<'_>,
    client_id: Option<&str>,
    required: bool,
    mistakes: &mut Mistakes,
) -> Option<SignedResponse> {
    if !surroundings.has_keys {
        mistakes.note(place.at("accept"), "needs keys, by which the signature is verified");
    }
    if surroundings.issuer.is_none() {
        mistakes.note(place.at("accept"), "needs token.issuer, which signs");
    }
    if client_id.is_none() {
        mistakes.note(place.at("accept"), "needs introspection.client_id, which the answer is addressed to");
    }
    Some(SignedResponse {
        issuer: surroundings.issuer?.to_owned(),
        audience: client_id?.to_owned(),
        required,
    })
}

const OWN_PARAMETERS: &[&str] =
    &["token", "token_type_hint", "client_id", "client_secret", "client_assertion", "client_assertion_type"];

/// Fields of the introspection request that are not the operator's to set.
const OWN_HEADERS: &[&str] = &[
    "accept",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
    "x-envoy-max-retries",
    "x-envoy-retry-on",
];
