//! Minting: the gateway signs a JWT itself, in the profile of RFC 9068 §2, for an authorization server whose responses have
//! none.
//!
//! The JWT is made only from the response about an active token (R109), for one audience, with the claims that this audience needs; it is
//! short-lived, and never outlives the token. Its subject is the claim that the operator names; if that is absent or mistyped, no other
//! identity replaces it. The client becomes the subject only where the operator says that a response without a user is about the client.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::documents::document::Document;
use crate::json::members;
use crate::jwt::SigningKey;
use crate::refusal::{Reason, TokenError};
use crate::time::Timestamp;
use crate::token::claims::Claims;
use crate::token::named_claim::NamedClaim;

/// How JWTs are minted.
#[derive(Clone, Debug)]
pub struct MintSettings {
    /// `iss`: the gateway's own issuer identifier.
    pub issuer: String,
    /// The signing key.
    pub key: SigningKey,
    /// The maximum lifetime of a JWT.
    pub lifetime: Duration,
    /// The default subject.
    pub subject: SubjectMapping,
    /// The profile of JWTs for rules that do not set one.
    pub profile: Arc<MintProfile>,
    /// The public keys, including past and future ones.
    pub key_set: Document,
}

/// The subject of a JWT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectMapping {
    /// The claim of the response that names the user: a JSON Pointer (RFC 6901).
    pub pointer: String,
    /// Whether a response that names no user is about the client's own token.
    pub allows_client: bool,
}

/// The contents of a JWT for one audience.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MintProfile {
    /// `aud`.
    pub audience: String,
    /// The claims of the response that the JWT carries, besides the standard ones.
    pub claims: Vec<NamedClaim>,
}

/// A JWT that was minted.
#[derive(Debug)]
pub(crate) struct Minted {
    /// The JWT itself.
    pub(crate) jwt: String,
    /// Until when further requests get the same JWT: services still have time with it then, unless the token itself ends.
    pub(crate) refresh_at: Timestamp,
}

impl MintSettings {
    /// Mints a JWT for the user that the claim at `subject` names, or else the claim that is the default for all servers.
    ///
    /// # Errors
    /// [`Reason::UnexpectedResponse`] for a mistyped identity; [`Reason::MissingSubject`] if the response names no user where it should,
    /// and the client may not stand for one; [`Reason::MissingPhantomToken`] without randomness for `jti`, or if signing fails.
    pub(crate) fn mint(
        &self,
        profile: &MintProfile,
        subject: Option<&SubjectMapping>,
        claims: &Claims,
        random: Option<[u8; 16]>,
        now: Timestamp,
    ) -> Result<Minted, TokenError> {
        let of_client = TokenError::about("client_id", Reason::UnexpectedResponse);
        let client = identity(claims, CLIENT_ID).ok_or(of_client)?;
        if client.is_some_and(str::is_empty) {
            return Err(of_client);
        }
        let SubjectMapping { pointer, allows_client } = subject.unwrap_or(&self.subject);
        let may_stand = |client: &&str| *allows_client && !names_user(claims, client);
        let of_user = TokenError::about("mint.subject", Reason::UnexpectedResponse);
        let subject = match identity(claims, pointer).ok_or(of_user)? {
            Some(user) if !user.is_empty() => user,
            _ => client.filter(may_stand).ok_or(Reason::MissingSubject)?,
        };
        let random = random.ok_or(Reason::MissingPhantomToken)?;
        let limit = now.plus(self.lifetime);
        let expires = claims.validity().expires.map_or(limit, |expires| expires.min(limit));
        let claimed = |claim: &NamedClaim| Some((claim.name.clone(), claims.asked(&claim.pointer)?.clone()));
        let mut payload = members(profile.claims.iter().filter_map(claimed));
        if let Some(scope) = claims.scope() {
            payload.insert("scope".to_owned(), json!(scope));
        }
        if let Some(client) = client {
            payload.insert("client_id".to_owned(), json!(client));
        }
        let own = [
            ("iss", json!(self.issuer)),
            ("aud", json!(profile.audience)),
            ("sub", json!(subject)),
            ("iat", json!(now.as_millis() / 1000)),
            ("exp", json!(expires.as_millis() / 1000)),
            ("jti", json!(URL_SAFE_NO_PAD.encode(random))),
        ];
        payload.extend(own.into_iter().map(|(name, value)| (name.to_owned(), value)));
        let three_quarters = self.lifetime.mul_f64(0.75);
        Ok(Minted {
            jwt: self.key.sign("at+jwt", payload).ok_or(Reason::MissingPhantomToken)?,
            refresh_at: expires.min(now.plus(three_quarters)),
        })
    }
}

/// The identity in the claim at this pointer, if present; `None` if the claim is not a string. A number is not an identifier.
fn identity<'c>(claims: &'c Claims, pointer: &str) -> Option<Option<&'c str>> {
    claims.asked(pointer).map_or(Some(None), |name| name.as_str().map(Some))
}

/// Whether a response names a user other than its client, so that the client must not stand for the user. Servers name the client in `sub`
/// where no user is involved (RFC 9068 §2.2), or leave it empty, as Janssen does.
fn names_user(claims: &Claims, client: &str) -> bool {
    let users = ASKED.iter().filter(|pointer| **pointer != CLIENT_ID);
    let mut named = users.filter_map(|pointer| Some((*pointer, claims.asked(pointer)?)));
    named.any(|(pointer, name)| name != client && (pointer, name.as_str()) != (SUBJECT, Some("")))
}

/// The pointers of claims that every minted JWT needs: where servers name users (RFC 7662 §2.2, then Cloud Foundry UAA,
/// ForgeRock, Autodesk, webMethods, Doorkeeper, OpenID Connect Core §5.1, Entra ID and those before RFC 7662), and the client.
pub(crate) const ASKED: [&str; 15] = [
    SUBJECT,
    "/username",
    "/user_name",
    "/userName",
    "/user_id",
    "/userid",
    "/userId",
    "/uid",
    "/user",
    "/owner_id",
    "/resource_owner_id",
    "/preferred_username",
    "/email",
    "/upn",
    CLIENT_ID,
];

/// Claims of a minted JWT that a profile cannot copy from a response.
pub(crate) const OWN_CLAIMS: &[&str] =
    &["iss", "aud", "sub", "client_id", "scope", "iat", "exp", "nbf", "jti", "cnf", "active"];

const SUBJECT: &str = "/sub";
const CLIENT_ID: &str = "/client_id";
