//! How the gateway authenticates: the fields of `introspection` that say so. Each method has its own; one of another method
//! is a mistake, since nobody could tell what it was meant for.

use super::introspection::Introspection;
use crate::fields::{FieldPath, Keyword, Mistakes, keywords};
use crate::introspection::{ClientAssertion, ClientAuthentication, ClientCredentials};
use crate::jwt::SigningKey;

/// `introspection.auth_method`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum AuthMethod {
    Basic,
    RawBasic,
    Post,
    PrivateKeyJwt,
    BearerToken,
    None,
}

keywords! {
    AuthMethod {
        Basic = "client_secret_basic", RawBasic = "client_secret_basic_raw", Post = "client_secret_post",
        PrivateKeyJwt = "private_key_jwt", BearerToken = "bearer_token" or None = "none"
    }
}

/// `issuer` is the authorization server's, if it is configured: the default audience of assertions.
pub(super) fn authentication(
    section: &mut Introspection,
    at: FieldPath<'_>,
    issuer: Option<&str>,
    mistakes: &mut Mistakes,
) -> Option<ClientAuthentication> {
    let method = section.auth_method;
    let own_fields = match method {
        AuthMethod::Basic | AuthMethod::RawBasic | AuthMethod::Post => &["client_id", "client_secret"][..],
        AuthMethod::PrivateKeyJwt => &["client_id", "private_key", "key_id", "audience"],
        AuthMethod::BearerToken => &["bearer_token"],
        AuthMethod::None => &["client_id"],
    };
    let written = [
        ("client_id", section.client_id.is_some()),
        ("client_secret", section.client_secret.is_some()),
        ("private_key", section.private_key.is_some()),
        ("key_id", section.key_id.is_some()),
        ("audience", section.audience.is_some()),
        ("bearer_token", section.bearer_token.is_some()),
    ];
    for (name, _) in written.iter().filter(|(name, is_written)| *is_written && !own_fields.contains(name)) {
        mistakes.note(at.field(name), format!("must be left out where auth_method is {}", method.word()));
    }
    match method {
        AuthMethod::PrivateKeyJwt => {
            assertion(section, at, issuer, mistakes).map(ClientAuthentication::PrivateKeyJwt)
        }
        AuthMethod::BearerToken => {
            let token = section.bearer_token.take();
            written_of(token, at.field("bearer_token"), mistakes).map(ClientAuthentication::BearerToken)
        }
        AuthMethod::None => Some(ClientAuthentication::None { id: section.client_id.take() }),
        AuthMethod::Basic => credentials(section, at, mistakes).map(ClientAuthentication::Basic),
        AuthMethod::Post => credentials(section, at, mistakes).map(ClientAuthentication::Post),
        AuthMethod::RawBasic => {
            let credentials = credentials(section, at, mistakes)?;
            if credentials.id.contains(':') {
                let message = "must have no colon where it is not encoded (RFC 7617 §2)";
                mistakes.note(at.field("client_id"), message);
            }
            Some(ClientAuthentication::RawBasic(credentials))
        }
    }
}

fn credentials(
    section: &mut Introspection,
    at: FieldPath<'_>,
    mistakes: &mut Mistakes,
) -> Option<ClientCredentials> {
    let id = written_of(section.client_id.take(), at.field("client_id"), mistakes);
    let secret = written_of(section.client_secret.take(), at.field("client_secret"), mistakes);
    Some(ClientCredentials { id: id?, secret: secret? })
}

fn assertion(
    section: &mut Introspection,
    at: FieldPath<'_>,
    issuer: Option<&str>,
    mistakes: &mut Mistakes,
) -> Option<ClientAssertion> {
    let client_id = written_of(section.client_id.take(), at.field("client_id"), mistakes);
    let audience = section.audience.take().or_else(|| issuer.map(str::to_owned));
    if audience.is_none() {
        mistakes.note(at.field("audience"), "is required where token.issuer is not there to take its place");
    }
    let key = written_of(section.private_key.take(), at.field("private_key"), mistakes);
    let key_id = section.key_id.take();
    let key = key.and_then(|text| mistakes.check(at.field("private_key"), SigningKey::read(&text, key_id)));
    Some(ClientAssertion { client_id: client_id?, audience: audience?, key: key? })
}

/// The value of a field that this method requires.
fn written_of<T>(value: Option<T>, at: FieldPath<'_>, mistakes: &mut Mistakes) -> Option<T> {
    mistakes.check(at, value.ok_or("is required"))
}
