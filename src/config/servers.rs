//! The authorization servers: one, whose sections stand at the top of the configuration, or several, each with a name.

use std::mem::take;

use super::fields::{Place, visible};
use super::introspection::introspection;
use super::keys::keys;
use super::mint;
use super::mistakes::Mistakes;
use super::raw::{self, Field};
use super::token::token;
use super::{Environment, ServerSettings, introspection as introspections, keys as key_sections};
use crate::token::jwt_access_token::JwtAccessTokens;

/// What becomes of the answers of all servers.
#[derive(Clone, Copy)]
pub(super) struct Gateway {
    /// Whether services receive claims as header fields, or a minted JWT.
    pub(super) forwards_claims: bool,
    /// Whether there is a section `mint`.
    pub(super) mints: bool,
}

pub(super) fn servers(
    raw: &mut raw::Configuration,
    gateway: Gateway,
    environment: Environment<'_>,
    mistakes: &mut Mistakes,
) -> Vec<ServerSettings> {
    let single = raw::Server {
        introspection: take(&mut raw.introspection),
        token: take(&mut raw.token),
        keys: take(&mut raw.keys),
        ..raw::Server::default()
    };
    let Some(several) = mistakes.optional("authorization_servers", take(&mut raw.authorization_servers))
    else {
        return server(Place(""), single, gateway, environment, mistakes).into_iter().collect();
    };
    let sections = [
        ("introspection", single.introspection.is_absent()),
        ("token", single.token.is_absent()),
        ("keys", single.keys.is_absent()),
    ];
    for (section, _) in sections.iter().filter(|(_, is_absent)| !is_absent) {
        mistakes.note(*section, "must be left out where authorization_servers has one for each");
    }
    if several.is_empty() {
        mistakes.note("authorization_servers", "must not be empty");
    }
    let mut servers: Vec<ServerSettings> = Vec::new();
    for (index, field) in several.into_iter().enumerate() {
        let path = format!("authorization_servers[{index}]");
        let Some(mut raw) = mistakes.required(&path, field) else { continue };
        let name = visible(&format!("{path}.name"), take(&mut raw.name), mistakes);
        if name.is_some() && servers.iter().any(|server| server.name == name) {
            mistakes.note(format!("{path}.name"), "is there already");
        }
        let read = server(Place(&path), raw, gateway, environment, mistakes);
        servers.extend(read.map(|server| ServerSettings { name, ..server }));
    }
    servers
}

fn server(
    place: Place<'_>,
    raw: raw::Server,
    gateway: Gateway,
    environment: Environment<'_>,
    mistakes: &mut Mistakes,
) -> Option<ServerSettings> {
    let has_keys = !raw.keys.is_absent();
    let raw_token = mistakes.optional(&place.at("token"), raw.token).unwrap_or_default();
    let (token, reading) = token(Place(&place.at("token")), raw_token, has_keys, mistakes);
    let issuer = token.policy.issuer.as_deref();
    let verifies = matches!(token.jwts, JwtAccessTokens::Verified(_));
    let raw_introspection = match raw.introspection {
        Field::Absent if verifies => None,
        written => mistakes.required(&place.at("introspection"), written),
    };
    let asks = raw_introspection.is_some();
    let introspection = raw_introspection.and_then(|raw| {
        let forwards_claims = gateway.forwards_claims;
        let surroundings = introspections::Surroundings { issuer, has_keys, forwards_claims };
        introspection(Place(&place.at("introspection")), raw, &surroundings, environment, mistakes)
    });
    let upstream =
        introspection.as_ref().map(|introspection| introspection.endpoint.target.upstream.as_str());
    let raw_keys = mistakes.optional(&place.at("keys"), raw.keys);
    let keys = raw_keys.and_then(|raw| {
        let surroundings = key_sections::Surroundings { issuer, upstream };
        keys(Place(&place.at("keys")), raw, &surroundings, environment, mistakes)
    });
    let subject = subject(&place.at("mint"), raw.mint, gateway.mints, mistakes);
    mistakes.refuse_unknown(place.0, &raw.unknown);
    if asks && introspection.is_none() {
        return None;
    }
    Some(ServerSettings { name: None, introspection, token, reading, keys, subject })
}

/// What JWTs that are minted for its tokens name the user by.
fn subject(at: &str, field: Field<raw::ServerMint>, mints: bool, mistakes: &mut Mistakes) -> Option<String> {
    let raw = mistakes.optional(at, field)?;
    if !mints {
        mistakes.note(at, "needs the section mint");
    }
    mistakes.refuse_unknown(at, &raw.unknown);
    mint::subject(&format!("{at}.subject"), raw.subject, mistakes)
}
