//! The section `introspection`: where, as whom, and what comes back.

use std::collections::BTreeMap;
use std::mem::take;
use std::rc::Rc;

use http::{HeaderName, Uri};

use super::fields::{KIB, MINUTE, SECOND, duration, is_authority, is_visible_ascii, number, visible};
use super::mistakes::Mistakes;
use super::raw::{self, Confidential, Field};
use super::{Environment, IntrospectionSettings};
use crate::introspection::{ClientAuthentication, ClientCredentials, Endpoint, ResponseFormat};
use crate::secret::Secret;

pub(super) fn introspection(
    mut raw: raw::Introspection,
    environment: Environment<'_>,
    mistakes: &mut Mistakes,
) -> Option<IntrospectionSettings> {
    let location = mistakes
        .required("introspection.endpoint", take(&mut raw.endpoint))
        .and_then(|url| mistakes.check("introspection.endpoint", Location::parse(&url)));
    let upstream = visible("introspection.upstream", take(&mut raw.upstream), mistakes);
    let authentication = authentication(&mut raw, environment, mistakes);
    let parameters = parameters(raw.parameters, mistakes);
    let headers = headers(raw.headers, environment, mistakes);
    let raw_response = mistakes.optional("introspection.response", raw.response).unwrap_or_default();
    let (accept, response) = response(raw_response, mistakes);
    let token_type_hint =
        mistakes.optional("introspection.token_type_hint", raw.token_type_hint).unwrap_or(true);
    let timeout = duration("introspection.timeout", raw.timeout, SECOND / 1000..=MINUTE, mistakes);
    let single_flight = mistakes.optional("introspection.single_flight", raw.single_flight).unwrap_or(true);
    mistakes.refuse_unknown("introspection", &raw.unknown);

    let Location { scheme, authority, path } = location?;
    let endpoint = Endpoint {
        upstream: upstream?,
        scheme,
        authority,
        path,
        authentication: authentication?,
        accept,
        token_type_hint,
        parameters,
        headers,
        timeout: timeout.unwrap_or(2 * SECOND),
    };
    Some(IntrospectionSettings { endpoint: Rc::new(endpoint), response, single_flight })
}

/// Each method has its own fields; one of another method is a mistake, since nobody could tell what it was meant for.
fn authentication(
    raw: &mut raw::Introspection,
    environment: Environment<'_>,
    mistakes: &mut Mistakes,
) -> Option<ClientAuthentication> {
    let method = mistakes.optional("introspection.auth_method", take(&mut raw.auth_method));
    let method = method.unwrap_or_else(|| "client_secret_basic".to_owned());
    let with_secret = match method.as_str() {
        "client_secret_basic" => ClientAuthentication::Basic,
        "client_secret_basic_raw" => ClientAuthentication::RawBasic,
        "client_secret_post" => ClientAuthentication::Post,
        "bearer_token" => {
            refuse_field("introspection.client_id", &raw.client_id, &method, mistakes);
            refuse_field("introspection.client_secret", &raw.client_secret, &method, mistakes);
            let token = required_secret(
                "introspection.bearer_token",
                take(&mut raw.bearer_token),
                environment,
                mistakes,
            )?;
            if !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
                mistakes.note("introspection.bearer_token", "must be visible ASCII without space");
            }
            return Some(ClientAuthentication::BearerToken(token));
        }
        "none" => {
            refuse_field("introspection.client_secret", &raw.client_secret, &method, mistakes);
            refuse_field("introspection.bearer_token", &raw.bearer_token, &method, mistakes);
            let id = match take(&mut raw.client_id) {
                Field::Absent => None,
                id => visible("introspection.client_id", id, mistakes),
            };
            return Some(ClientAuthentication::None { id });
        }
        _ => {
            let message = "must be client_secret_basic, client_secret_basic_raw, client_secret_post, bearer_token or none";
            mistakes.note("introspection.auth_method", message);
            return None;
        }
    };
    refuse_field("introspection.bearer_token", &raw.bearer_token, &method, mistakes);
    let id = visible("introspection.client_id", take(&mut raw.client_id), mistakes);
    if method == "client_secret_basic_raw" && id.as_deref().is_some_and(|id| id.contains(':')) {
        mistakes.note("introspection.client_id", "must have no colon where it is not encoded (RFC 7617 §2)");
    }
    let secret =
        required_secret("introspection.client_secret", take(&mut raw.client_secret), environment, mistakes);
    Some(with_secret(ClientCredentials { id: id?, secret: secret? }))
}

fn refuse_field<T>(path: &str, field: &Field<T>, method: &str, mistakes: &mut Mistakes) {
    if !matches!(field, Field::Absent) {
        mistakes.note(path, format!("must be left out where auth_method is {method}"));
    }
}

fn parameters(field: Field<BTreeMap<String, String>>, mistakes: &mut Mistakes) -> Vec<(String, String)> {
    let parameters = mistakes.optional("introspection.parameters", field).unwrap_or_default();
    let own = [
        "token",
        "token_type_hint",
        "client_id",
        "client_secret",
        "client_assertion",
        "client_assertion_type",
    ];
    for name in own {
        if parameters.contains_key(name) {
            mistakes.note(format!("introspection.parameters.{name}"), "is the filter's own to send");
        }
    }
    parameters.into_iter().collect()
}

fn headers(
    field: Field<BTreeMap<String, Confidential>>,
    environment: Environment<'_>,
    mistakes: &mut Mistakes,
) -> Vec<(String, Secret)> {
    let mut headers = Vec::new();
    for (name, value) in mistakes.optional("introspection.headers", field).unwrap_or_default() {
        let path = format!("introspection.headers.{name}");
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

fn response(raw: raw::Response, mistakes: &mut Mistakes) -> (String, ResponseFormat) {
    let accept = mistakes.optional("introspection.response.accept", raw.accept);
    let accept = accept.unwrap_or_else(|| APPLICATION_JWT.to_owned());
    let is_jwt = accept == APPLICATION_JWT;
    let jwt_member = mistakes.optional("introspection.response.jwt_member", raw.jwt_member);
    if !is_jwt && accept != APPLICATION_JSON {
        let message = format!("must be {APPLICATION_JWT} or {APPLICATION_JSON}");
        mistakes.note("introspection.response.accept", message);
    } else if !is_jwt && jwt_member.is_none() {
        let message = format!("is required where accept is {APPLICATION_JSON}");
        mistakes.note("introspection.response.jwt_member", message);
    }
    if jwt_member.as_deref().is_some_and(|name| matches!(name, "" | "active")) {
        mistakes.note("introspection.response.jwt_member", "must be the name of a member that holds a JWT");
    }
    let max_jwt_length =
        number("introspection.response.max_jwt_length", raw.max_jwt_length, 256..=64 * KIB, mistakes);
    mistakes.refuse_unknown("introspection.response", &raw.unknown);
    (
        accept,
        ResponseFormat {
            is_jwt,
            jwt_member,
            max_jwt_length: max_jwt_length.unwrap_or(32 * KIB),
            asked_claims: Vec::new(),
        },
    )
}

fn required_secret(
    path: &str,
    field: Field<Confidential>,
    environment: Environment<'_>,
    mistakes: &mut Mistakes,
) -> Option<Secret> {
    let raw = mistakes.required(path, field)?;
    secret(path, raw, environment, mistakes)
}

fn secret(
    path: &str,
    raw: Confidential,
    environment: Environment<'_>,
    mistakes: &mut Mistakes,
) -> Option<Secret> {
    let value = match raw {
        Confidential::Literal(value) => {
            Some(value).filter(|value| !value.is_empty()).ok_or("must not be empty")
        }
        Confidential::Elsewhere(place) => match place.get("env").filter(|_| place.len() == 1) {
            Some(name) => environment(name)
                .filter(|value| !value.is_empty())
                .ok_or("names a variable that is not set, or empty, in the environment of the proxy"),
            None => Err(r#"must be a string or {"env": NAME}"#),
        },
    };
    mistakes.check(path, value).map(Secret::new)
}

/// What an endpoint's URL gives to the callout.
struct Location {
    scheme: String,
    authority: String,
    path: String,
}

impl Location {
    fn parse(url: &str) -> Result<Self, &'static str> {
        let uri: Uri = url.parse().map_err(|_| "must be an absolute URL")?;
        let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"));
        let scheme = scheme.ok_or("must be an absolute URL of http or https")?;
        let authority = uri.authority().ok_or("must name a host")?;
        if url.contains('#') || !url.is_ascii() {
            return Err("must be ASCII without a fragment");
        }
        if !is_authority(authority) {
            return Err("must name a host, and a port between 1 and 65535 if any, without user information");
        }
        let authority = authority.as_str();
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self { scheme: scheme.to_owned(), authority: authority.to_owned(), path: path.to_owned() })
    }
}

const APPLICATION_JWT: &str = "application/jwt";
const APPLICATION_JSON: &str = "application/json";

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
];
