//! How the gateway authenticates: the fields of `introspection` that say so. Each method has its own; one of another method
//! is a mistake, since nobody could tell what it was meant for.

use std::mem::take;

use super::Environment;
use super::fields::{Place, required_secret, visible};
use super::mistakes::Mistakes;
use super::raw::{self, Field};
use crate::introspection::{ClientAssertion, ClientAuthentication, ClientCredentials};
use crate::jwt::SigningKey;

/// `issuer` is the authorization server's, if it is configured: the default audience of assertions.
pub(super) fn authentication(
    place: Place<'_>,
    raw: &mut raw::Introspection,
    issuer: Option<&str>,
    environment: Environment<'_>,
    mistakes: &mut Mistakes,
) -> Option<ClientAuthentication> {
    let method = mistakes.optional(&place.at("auth_method"), take(&mut raw.auth_method));
    let method = method.unwrap_or_else(|| "client_secret_basic".to_owned());
    let own_fields = match method.as_str() {
        "client_secret_basic" | "client_secret_basic_raw" | "client_secret_post" => {
            &["client_id", "client_secret"][..]
        }
        "private_key_jwt" => &["client_id", "private_key", "key_id", "audience"],
        "bearer_token" => &["bearer_token"],
        "none" => &["client_id"],
        _ => {
            mistakes.note(place.at("auth_method"), METHODS);
            return None;
        }
    };
    let written = [
        ("client_id", is_there(&raw.client_id)),
        ("client_secret", is_there(&raw.client_secret)),
        ("private_key", is_there(&raw.private_key)),
        ("key_id", is_there(&raw.key_id)),
        ("audience", is_there(&raw.audience)),
        ("bearer_token", is_there(&raw.bearer_token)),
    ];
    for (name, _) in written.iter().filter(|(name, is_there)| *is_there && !own_fields.contains(name)) {
        mistakes.note(place.at(name), format!("must be left out where auth_method is {method}"));
    }
    match method.as_str() {
        "private_key_jwt" => {
            assertion(place, raw, issuer, environment, mistakes).map(ClientAuthentication::PrivateKeyJwt)
        }
        "bearer_token" => {
            let path = place.at("bearer_token");
            let token = required_secret(&path, take(&mut raw.bearer_token), environment, mistakes)?;
            if !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
                mistakes.note(path, "must be visible ASCII without space");
            }
            Some(ClientAuthentication::BearerToken(token))
        }
        "none" => {
            let id = match take(&mut raw.client_id) {
                Field::Absent => None,
                id => visible(&place.at("client_id"), id, mistakes),
            };
            Some(ClientAuthentication::None { id })
        }
        _ => {
            let credentials = credentials(place, raw, environment, mistakes)?;
            if method == "client_secret_basic_raw" && credentials.id.contains(':') {
                let message = "must have no colon where it is not encoded (RFC 7617 §2)";
                mistakes.note(place.at("client_id"), message);
            }
            Some(match method.as_str() {
                "client_secret_post" => ClientAuthentication::Post(credentials),
                "client_secret_basic_raw" => ClientAuthentication::RawBasic(credentials),
                _ => ClientAuthentication::Basic(credentials),
            })
        }
    }
}

fn credentials(
    place: Place<'_>,
    raw: &mut raw::Introspection,
    environment: Environment<'_>,
    mistakes: &mut Mistakes,
) -> Option<ClientCredentials> {
    let id = visible(&place.at("client_id"), take(&mut raw.client_id), mistakes);
    let secret =
        required_secret(&place.at("client_secret"), take(&mut raw.client_secret), environment, mistakes);
    Some(ClientCredentials { id: id?, secret: secret? })
}

fn assertion(
    place: Place<'_>,
    raw: &mut raw::Introspection,
    issuer: Option<&str>,
    environment: Environment<'_>,
    mistakes: &mut Mistakes,
) -> Option<ClientAssertion> {
    let client_id = visible(&place.at("client_id"), take(&mut raw.client_id), mistakes);
    let key_id = mistakes.optional(&place.at("key_id"), take(&mut raw.key_id));
    let audience = mistakes.optional(&place.at("audience"), take(&mut raw.audience));
    let audience = audience.or_else(|| issuer.map(str::to_owned));
    if audience.is_none() {
        mistakes.note(place.at("audience"), "is required where token.issuer is not there to take its place");
    }
    let path = place.at("private_key");
    let key = required_secret(&path, take(&mut raw.private_key), environment, mistakes);
    let key = key.and_then(|text| mistakes.check(&path, SigningKey::read(&text, key_id)));
    Some(ClientAssertion { client_id: client_id?, audience: audience?, key: key? })
}

fn is_there<T>(field: &Field<T>) -> bool {
    !matches!(field, Field::Absent)
}

const METHODS: &str = "must be client_secret_basic, client_secret_basic_raw, client_secret_post, private_key_jwt, \
    bearer_token or none";
