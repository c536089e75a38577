//! Reads the authorization servers: a single one, with its sections at the top level, or several with names.

use super::introspection::{Introspection, ServerContext};
use super::keys::Keys;
use super::mint::{NEEDS_MINT, ServerMint};
use super::profile::ProfileName;
use super::token::Token;
use super::user_info::UserInfo;
use crate::credentials::dpop::DpopMode;
use crate::fields::{ConfigErrors, FieldPath, FieldType, Visible, section};
use crate::settings::{ServerSettings, TokenSettings};
use crate::token::jwt_access_token::JwtAccessTokens;
use crate::upstream::mint::SubjectMapping;

section! {
    /// One of several authorization servers.
    pub(super) struct Server {
        /// Its name in rules.
        name: Visible = required,
        /// As at the top level.
        profile: ProfileName,
        /// As at the top level.
        introspection: Introspection,
        /// As at the top level.
        userinfo: UserInfo,
        /// As at the top level.
        token: Token,
        /// As at the top level.
        keys: Keys,
        /// What differs in JWTs minted for its tokens.
        mint: ServerMint,
    }
}

/// How the gateway uses the responses of all servers.
#[derive(Clone, Copy)]
pub(super) struct Gateway<'m> {
    /// Whether services receive claims as header fields, or a minted JWT.
    pub(super) forwards_claims: bool,
    /// Whether there is a section `mint`.
    pub(super) mints: bool,
    /// The default subject of minted JWTs.
    pub(super) subject: Option<&'m SubjectMapping>,
    /// Whether `mint` leaves open which claim names the user.
    pub(super) asks_subject: bool,
}

#[inline(never)]
pub(super) fn servers(
    single: Server,
    several: Option<Vec<Server>>,
    gateway: Gateway<'_>,
    errors: &mut ConfigErrors,
) -> Vec<ServerSettings> {
    let Some(several) = several else {
        return single.settings(FieldPath::Root, gateway, errors).into_iter().collect();
    };
    let sections = [
        ("introspection", single.introspection.is_some()),
        ("userinfo", single.userinfo.is_some()),
        ("token", single.token.is_some()),
        ("keys", single.keys.is_some()),
    ];
    for (section, _) in sections.iter().filter(|(_, is_written)| *is_written) {
        errors.note(section, "must be left out: authorization_servers has one for each");
    }
    let at_all = FieldPath::Root.field("authorization_servers");
    if several.is_empty() {
        errors.note(at_all, "must not be empty");
    }
    let mut servers: Vec<ServerSettings> = Vec::new();
    for (index, server) in several.into_iter().enumerate() {
        let at = at_all.element(index);
        let name = Some(server.name.clone());
        if servers.iter().any(|server| server.name == name) {
            errors.note(at.field("name"), "is a duplicate");
        }
        let settings = server.settings(at, gateway, errors);
        servers.extend(settings.map(|server| ServerSettings { name, ..server }));
    }
    servers
}

impl Server {
    /// Returns the settings without the name.
    fn settings(
        self,
        at: FieldPath<'_>,
        gateway: Gateway<'_>,
        errors: &mut ConfigErrors,
    ) -> Option<ServerSettings> {
        let has_keys = self.keys.is_some();
        let token = self.token.unwrap_or_else(Token::placeholder);
        let (token, claim_mapping) = token.settings(at.field("token"), has_keys, errors);
        let issuers = token.policy.issuers();
        let verifies = matches!(token.jwts, JwtAccessTokens::Verified(_));
        let forwards_claims = gateway.forwards_claims;
        let asks = self.introspection.is_some() || self.userinfo.is_some();
        let introspection = match (self.introspection, self.userinfo) {
            (introspection, Some(section)) => {
                if introspection.is_some() {
                    errors.note(at.field("userinfo"), "must be left out if there is introspection");
                }
                unknown_by_user_info(&token, claim_mapping.requires_token_type, at.field("token"), errors);
                section.settings(at.field("userinfo"), forwards_claims, errors)
            }
            (Some(section), None) => {
                let context = ServerContext { issuers: &issuers, has_keys, forwards_claims };
                section.settings(at.field("introspection"), &context, errors)
            }
            (None, None) => {
                if !verifies {
                    errors.note(at.field("introspection"), "is required");
                }
                None
            }
        };
        let target = introspection.as_ref().map(|introspection| &introspection.endpoint.target);
        let upstream = target.map(|target| target.upstream.as_str());
        let keys =
            self.keys.and_then(|section| section.settings(at.field("keys"), &issuers, upstream, errors));
        if self.mint.is_some() && !gateway.mints {
            errors.note(at.field("mint"), NEEDS_MINT);
        }
        let is_open = self.profile.is_some_and(ProfileName::leaves_subject_open);
        let has_subject = self.mint.as_ref().is_some_and(|mint| mint.subject.is_some());
        if is_open && gateway.asks_subject && !has_subject {
            let message =
                "is required with this profile: which claim names the user is configured at the server";
            errors.note(at.field("mint").field("subject"), message);
        }
        let subject = self.mint.zip(gateway.subject).map(|(mint, default)| mint.subject(default));
        if asks && introspection.is_none() {
            return None;
        }
        Some(ServerSettings { name: None, introspection, token, claim_mapping, keys, subject })
    }
}

/// Reports requirements that no token can meet, since UserInfo does not return what they depend on.
fn unknown_by_user_info(
    token: &TokenSettings,
    requires_token_type: bool,
    at: FieldPath<'_>,
    errors: &mut ConfigErrors,
) {
    let policy = &token.policy;
    let is_issuer_asked = policy.issuer.is_some() && !policy.allows_missing_issuer;
    let unsaid = "must be left out with userinfo, which does not tell of it";
    for (field, is_asked, message) in [
        ("issuer", is_issuer_asked, "needs allow_missing_iss with userinfo, which names no issuer"),
        ("audience", !policy.audience.is_empty(), unsaid),
        ("require_exp", policy.require_exp, unsaid),
        ("require_token_type", requires_token_type, unsaid),
        ("dpop", token.dpop != DpopMode::Off, unsaid),
    ] {
        if is_asked {
            errors.note(at.field(field), message);
        }
    }
}
