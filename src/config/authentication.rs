//! How the gateway authenticates: the fields of `introspection` that say so. Each method has its own; one of another method
//! is a mistake, since nobody could tell what it was meant for.

use std::mem::take;

use super::Environment;
use super::fields::{Place, required_secret, visible};
use super::mistakes::Mistakes;
use super::raw::{self, AuthMethod, Field, Word};
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
    let method = mistakes.optional(&place.at("auth_method"), take(&mut raw.auth_method))?;
    let own_fields = match method {
        AuthMethod::Basic | AuthMethod::RawBasic | AuthMethod::Post => &["client_id", "client_secret"][..],
        AuthMethod::PrivateKeyJwt => &["client_id", "private_key", "key_id", "audience"],
        AuthMethod::BearerToken => &["bearer_token"],
        AuthMethod::None => &["client_id"],
    };
    let written = [
        ("client_id", raw.client_id.is_absent()),
        ("client_secret", raw.client_secret.is_absent()),
        ("private_key", raw.private_key.is_absent()),
        ("key_id", raw.key_id.is_absent()),
        ("audience", raw.audience.is_absent()),
        ("bearer_token", raw.bearer_token.is_absent()),
    ];
    for (name, _) in written.iter().filter(|(name, is_absent)| !is_absent && !own_fields.contains(name)) {
        mistakes.note(place.at(name), format!("must be left out where auth_method is {}", method.word()));
    }
    match method {
        AuthMethod::PrivateKeyJwt => {
            assertion(place, raw, issuer, environment, mistakes).map(ClientAuthentication::PrivateKeyJwt)
        }
        AuthMethod::BearerToken => {
            let path = place.at("bearer_token");
            let token = required_secret(&path, take(&mut raw.bearer_token), environment, mistakes)?;
            if !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
                mistakes.note(path, "must be visible ASCII without space");
            }
            Some(ClientAuthentication::BearerToken(token))
        }
        AuthMethod::None => {
            let id = match take(&mut raw.client_id) {
                Field::Absent => None,
                id => visible(&place.at("client_id"), id, mistakes),
            };
            Some(ClientAuthentication::None { id })
        }
        AuthMethod::Basic => credentials(place, raw, environment, mistakes).map(ClientAuthentication::Basic),
        AuthMethod::Post => credentials(place, raw, environment, mistakes).map(ClientAuthentication::Post),
        AuthMethod::RawBasic => {
            let credentials = credentials(place, raw, environment, mistakes)?;
            if credentials.id.contains(':') {
                let message = "must have no colon where it is not encoded (RFC 7617 §2)";
                mistakes.note(place.at("client_id"), message);
            }
            Some(ClientAuthentication::RawBasic(credentials))
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
