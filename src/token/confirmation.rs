//! The confirmation of a token (RFC 7800 §3.1), its binding to a key (RFC 9449) or to a certificate (RFC 8705), and the proofs of its
//! presenter. A bound token is useless without its proof.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json::Object;
use crate::refusal::Reason;

/// A token's `cnf`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Confirmation {
    /// `jkt`: the thumbprint of a key (RFC 9449 §6.1).
    key: Option<Box<str>>,
    /// `x5t#S256`: the SHA-256 of a certificate, in base64url (RFC 8705 §3.1).
    certificate: Option<Box<str>>,
}

/// The proofs of a request's sender.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Presenter {
    /// The thumbprint of the key that the proof names; `None` for a bearer. That the proof is signed with it is verified last.
    pub(crate) key: Option<String>,
    /// The SHA-256 of the sender's certificate, in base64url, if known.
    pub(crate) certificate: Option<String>,
}

impl Confirmation {
    /// Reads `cnf`.
    ///
    /// # Errors
    /// [`Reason::ProofRequired`] for a binding of a kind that cannot be verified here (R98).
    pub(crate) fn read(claims: &Object) -> Result<Self, Reason> {
        let Some(confirmation) = claims.get("cnf") else { return Ok(Self::default()) };
        let members = Object::of(confirmation).map(Object::into_members).ok_or(Reason::ProofRequired)?;
        let mut confirmation = Self::default();
        for (name, value) in members {
            match (name.as_str(), value.as_str()) {
                ("jkt", Some(thumbprint)) => confirmation.key = Some(thumbprint.into()),
                ("x5t#S256", Some(thumbprint)) => confirmation.certificate = Some(thumbprint.into()),
                // Keycloak adds the kind of key to `jkt`; only proofs with a DPoP key are verified here.
                ("kc-jkt-type", Some("DPoP")) => {}
                _ => return Err(Reason::ProofRequired),
            }
        }
        if confirmation == Self::default() { Err(Reason::ProofRequired) } else { Ok(confirmation) }
    }

    /// Whether the token is bound to a key.
    pub(crate) fn is_to_key(&self) -> bool {
        self.key.is_some()
    }

    /// Whether the token is bound to the key with this thumbprint.
    pub(crate) fn is_to(&self, thumbprint: &str) -> bool {
        self.key.as_deref() == Some(thumbprint)
    }

    /// Combines two confirmations of one token.
    ///
    /// # Errors
    /// [`Reason::UnexpectedResponse`] if they contradict each other.
    pub(crate) fn and(self, other: Self) -> Result<Self, Reason> {
        let one = |ours: Option<Box<str>>, theirs: Option<Box<str>>| match (ours, theirs) {
            (Some(ours), Some(theirs)) if ours != theirs => Err(Reason::UnexpectedResponse),
            (ours, theirs) => Ok(ours.or(theirs)),
        };
        Ok(Self { key: one(self.key, other.key)?, certificate: one(self.certificate, other.certificate)? })
    }

    /// Checks the sender's proofs against the token's confirmation. A token bound to a key is not a bearer token (R90), and an unbound one
    /// is not a DPoP token (R89); if it is bound to both, both count (R98).
    ///
    /// # Errors
    /// [`Reason::ProofRequired`] or [`Reason::ConfirmationMismatch`].
    pub(crate) fn validate(&self, presenter: &Presenter) -> Result<(), Reason> {
        match (&self.key, &presenter.key) {
            (None, None) => {}
            (Some(bound), Some(proven)) if **bound == **proven => {}
            (Some(_), None) => return Err(Reason::ProofRequired),
            (_, Some(_)) => return Err(Reason::ConfirmationMismatch),
        }
        match (&self.certificate, &presenter.certificate) {
            (None, _) => Ok(()),
            (Some(bound), Some(shown)) if **bound == **shown => Ok(()),
            (Some(_), _) => Err(Reason::ProofRequired),
        }
    }

    pub(crate) fn weight(&self) -> usize {
        self.key.iter().chain(&self.certificate).map(|text| text.len()).sum()
    }
}

/// Checks that `token_type` does not contradict the confirmation: a token bound to a key is not a bearer token, although some servers call
/// every token one, and an unbound one is not a DPoP token (R91). Other values do not matter here.
pub(crate) fn validate_token_type(
    token_type: Option<&Value>,
    confirmation: &Confirmation,
    tolerates_bearer: bool,
) -> Result<(), Reason> {
    let is =
        |kind: &str| token_type.and_then(Value::as_str).is_some_and(|name| name.eq_ignore_ascii_case(kind));
    let contradicts = if confirmation.is_to_key() { is("Bearer") && !tolerates_bearer } else { is("DPoP") };
    if contradicts { Err(Reason::ProofRequired) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
