//! What the services behind the gateway receive: the JWT in the configured field, claims as separate fields, and the state that
//! the host stores for its access log and other filters.
//!
//! A service that trusts such a field must never see the client's own: any field of that name is removed, including spellings with `_` or
//! `.` for `-`, which some servers treat alike (R75).

use crate::http::field_name::{AUTHORIZATION, resembles};
use crate::http::sanitize::OverrideHeaders;
use crate::token::claims::Claims;
use crate::token::named_claim::NamedClaim;

/// Where the JWT and the claims go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarding {
    /// The field that carries the JWT, in lower case.
    pub jwt_field: String,
    /// Claims as header fields.
    pub claim_to_headers: Vec<NamedClaim>,
    /// Claims as filter state of the host.
    pub filter_state: Vec<NamedClaim>,
    /// Fields that are for the gateway alone, in lower case (R95).
    pub withheld: Vec<String>,
    /// The treatment of fields that override path or method.
    pub override_headers: OverrideHeaders,
    /// The maximum size of the minted JWTs that are kept with each token, in bytes.
    pub minted_bytes: usize,
}

impl Default for Forwarding {
    fn default() -> Self {
        Self {
            jwt_field: AUTHORIZATION.to_owned(),
            claim_to_headers: Vec::new(),
            filter_state: Vec::new(),
            withheld: Vec::new(),
            override_headers: OverrideHeaders::default(),
            minted_bytes: 0,
        }
    }
}

impl Forwarding {
    /// The prefix of the JWT: its scheme, if the field has one (RFC 6750 §2.1).
    pub(crate) fn jwt_prefix(&self) -> &'static str {
        if self.replaces_authorization() { "Bearer " } else { "" }
    }

    /// Whether the JWT takes the place of the client's credentials.
    pub(crate) fn replaces_authorization(&self) -> bool {
        self.jwt_field == AUTHORIZATION
    }

    /// The pointers of the claims that are forwarded.
    pub(crate) fn asked_claims(&self) -> impl Iterator<Item = &str> {
        self.claim_to_headers.iter().chain(&self.filter_state).map(|claim| claim.pointer.as_str())
    }

    /// The header fields of these claims.
    pub(crate) fn fields(&self, claims: &Claims) -> Vec<(String, String)> {
        values(&self.claim_to_headers, claims)
    }

    /// The filter state of these claims.
    pub(crate) fn filter_state(&self, claims: &Claims) -> Vec<(String, String)> {
        values(&self.filter_state, claims)
    }

    /// The names among these that a service could take for a field of the gateway, or that are for the gateway alone. The client's
    /// `Authorization` is handled separately.
    pub(crate) fn spoofed_headers<'n>(&self, names: impl Iterator<Item = &'n [u8]>) -> Vec<&'n str> {
        let own = || {
            let jwt = Some(self.jwt_field.as_str()).filter(|_| !self.replaces_authorization());
            let withheld = self.withheld.iter().map(String::as_str);
            self.claim_to_headers.iter().map(|claim| claim.name.as_str()).chain(jwt).chain(withheld)
        };
        if own().next().is_none() {
            return Vec::new();
        }
        let is_spoofed = |name: &&[u8]| own().any(|own| resembles(name, own));
        names.filter(is_spoofed).filter_map(|name| std::str::from_utf8(name).ok()).collect()
    }
}

fn values(named: &[NamedClaim], claims: &Claims) -> Vec<(String, String)> {
    named.iter().filter_map(|claim| Some((claim.name.clone(), claim.value(claims)?))).collect()
}

#[cfg(test)]
mod tests;
