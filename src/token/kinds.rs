//! Kinds of tokens: the members by which servers distinguish access tokens from other tokens, and their values. One table for
//! introspection responses, the JWTs in them, and the JWTs that clients present (R36, R160).
//!
//! On many servers a refresh token is active, and an ID token has a valid signature. A token that declares itself to be one is
//! refused, wherever it does. A member that exists only to distinguish kinds is refused with any unknown value; a member with
//! other uses only with a value for another kind.

use serde_json::Value;

use crate::json::Object;
use crate::refusal::{Reason, TokenError};

/// Additions to the table: members, each with the values that mean access token. Any other value there means another kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenKinds(pub Vec<(String, Vec<String>)>);

impl TokenKinds {
    /// Whether a member says that this is an access token; false if none says what it is.
    ///
    /// # Errors
    /// [`Reason::NotAnAccessToken`] if one says that it is of another kind.
    pub(crate) fn says_access_token(&self, claims: &Object) -> Result<bool, TokenError> {
        let mut says = false;
        for (member, words) in &self.0 {
            let Some(value) = claims.get(member) else { continue };
            let is_own = word(value).is_some_and(|said| words.iter().any(|own| plain(own) == said));
            if !is_own {
                return Err(Reason::NotAnAccessToken.into());
            }
            says = true;
        }
        // Most tokens have fewer members than the table, so the token's members are looked up in the table.
        let mut values = [None; MEMBERS.len()];
        for (name, value) in claims.members() {
            let place = MEMBERS.iter().position(|(member, _)| *member == name);
            if let Some(place) = place.and_then(|place| values.get_mut(place)) {
                *place = Some(value);
            }
        }
        let known = MEMBERS.iter().zip(values);
        for ((member, unknown), value) in known {
            let Some(value) = value.filter(|_| self.0.iter().all(|(own, _)| own != member)) else { continue };
            match (word(value).as_deref(), unknown) {
                (Some(said), _) if ACCESS_TOKEN.contains(&said) => says = true,
                (Some(said), Unknown::Nothing) if !OTHER_KINDS.contains(&said) => {}
                (None, Unknown::Nothing) => {}
                _ => return Err(TokenError::about(member, Reason::NotAnAccessToken)),
            }
        }
        Ok(says)
    }
}

/// Whether a word, or the `typ` of a JOSE header, means another kind of token on any server.
pub fn is_other_kind(said: &str) -> bool {
    OTHER_KINDS.contains(&&*plain(said))
}

/// The meaning of an unknown value.
#[derive(Clone, Copy)]
enum Unknown {
    /// Another kind: the member is there to tell kinds apart.
    OtherKind,
    /// Nothing: the member has other uses as well.
    Nothing,
}

/// A member's value, in the spelling of the table.
fn word(value: &Value) -> Option<String> {
    value.as_str().map(plain)
}

/// A word without what servers write differently: letter case, separators, the prefix of a URN (RFC 8693 §3) and that of a media type.
fn plain(word: &str) -> String {
    let word = word.to_ascii_lowercase();
    let name = if word.starts_with("urn:") { word.rsplit(':').next().unwrap_or_default() } else { &word };
    let name = name.strip_prefix("application/").unwrap_or(name);
    name.chars().filter(|mark| !matches!(mark, '_' | '-' | ' ')).collect()
}

/// The members, each with the servers that use it. Other servers copy the first three.
const MEMBERS: &[(&str, Unknown)] = &[
    ("token_type", Unknown::OtherKind),  // RFC 6749 §7.1, RFC 7662 §2.2
    ("token_use", Unknown::OtherKind),   // Ory Hydra, Amazon Cognito
    ("token_usage", Unknown::OtherKind), // OpenIddict
    ("token_class", Unknown::OtherKind),
    ("token_kind", Unknown::OtherKind),
    ("tok_type", Unknown::OtherKind), // Oracle Identity Cloud Service
    ("tty", Unknown::OtherKind),      // FusionAuth
    ("typ", Unknown::Nothing),        // Keycloak, rauthy
    ("type", Unknown::Nothing),       // Glewlwyd
    ("kind", Unknown::Nothing),
    ("use", Unknown::Nothing),
    ("tokenType", Unknown::Nothing), // Casdoor
    ("tokenName", Unknown::Nothing), // ForgeRock
    ("purpose", Unknown::Nothing),   // Curity
];

/// `client_credentials` is how oidc-provider calls the access token of a client in `token_type`, before version 6.
const ACCESS_TOKEN: &[&str] =
    &["accesstoken", "bearer", "dpop", "access", "at", "at+jwt", "bearertoken", "clientcredentials"];

const OTHER_KINDS: &[&str] = &[
    "refreshtoken",
    "refresh",
    "rt+jwt",
    "offline",
    "offlinetoken",
    "idtoken",
    "id",
    "id+jwt",
    "serializedid",
    "logout",
    "logouttoken",
    "logout+jwt",
    "authorizationcode",
    "devicecode",
    "usercode",
    "initialaccesstoken",
    "registrationaccesstoken",
];

#[cfg(test)]
mod tests;
