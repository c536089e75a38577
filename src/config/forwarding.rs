//! The sections `claim_to_headers` and `filter_state`, for what services and the host receive of a token, and `token_sources`, for how
//! clients present one. Their names must not clash.

use super::texts::{HeaderName, StateName, Word};
use crate::credentials::bearer::{Alphabet, TokenSyntax};
use crate::credentials::token_sources::Sources;
use crate::fields::{Bounded, ConfigErrors, FieldPath, KIB, Pointer, Visible, keywords, section};
use crate::http::field_name::{AUTHORIZATION, resembles};
use crate::http::sanitize::OverrideHeaders;
use crate::settings::CredentialSettings;
use crate::token::named_claim::{Encoding, NamedClaim};
use crate::upstream::headers::Forwarding;

section! {
    /// A claim that services receive as a header field.
    pub(super) struct ClaimToHeader {
        /// A header field, in lower case, in which services receive the claim. Whatever the client sends under that name, in any
        /// letter case and with any separator for `-`, is removed on every route.
        header: HeaderName = required,
        /// JSON Pointer to the claim in the JWT.
        pointer: Pointer = required,
        /// `plain`: a string that a field cannot carry as it is, is left out. `base64url`: every string is encoded. With both,
        /// lists and objects are base64url of their JSON. `comma_separated`, `space_separated`: a list as `a,b` or `a b`; see
        /// "Lists in header fields".
        encoding: Encoding = "plain",
    }

    /// A claim stored by the host.
    pub(super) struct FilterState {
        /// Its name in the host.
        name: StateName = required,
        /// JSON Pointer to the claim in the JWT.
        pointer: Pointer = required,
    }

    /// How clients present access tokens.
    pub(super) struct TokenSources {
        /// Maximum length of an access token in bytes; a longer one is a 431.
        max_length: Bounded<1, { 64 * KIB }> = 8192,
        /// The characters of tokens: `b64token`, as in RFC 6750 §2.1, or `visible`, for servers that go beyond it (Salesforce's
        /// `!`, Laravel Sanctum's `|`, OpenAM's `*`): visible ASCII without `"`, `\`, `,`, `;`, `&` and `?`.
        alphabet: Alphabet = "b64token",
        /// A query parameter that may carry the token, such as `access_token` ([RFC
        /// 9700](https://www.rfc-editor.org/rfc/rfc9700#section-4.3.2) advises against it); successful responses become
        /// `Cache-Control: private`.
        query_parameter: Word,
        /// A cookie that may carry the token. Make it `SameSite=Strict`: browsers send cookies on their own.
        cookie: Word,
        /// Another header field that may carry the token, alone or after `header_prefix`. The field is removed whatever it
        /// contains.
        header: HeaderName,
        /// The prefix of the token in that field, such as `"Bearer "`, as in Envoy's `value_prefix` and Istio's `prefix`; letter
        /// case does not matter. A field with another scheme carries no token.
        header_prefix: Visible,
        /// The prefix of a token among the subprotocols of a WebSocket handshake: with `access_token.`, pages open `new
        /// WebSocket(url, ["chat", "access_token." + token])`.
        websocket_protocol: Word,
    }
}

keywords! {
    Encoding {
        Plain = "plain",
        Base64Url = "base64url",
        CommaSeparated = "comma_separated"
        or SpaceSeparated = "space_separated"
    }
    OverrideHeaders { Remove = "remove" or Keep = "keep" }
    Alphabet { B64token = "b64token" or Visible = "visible" }
}

impl ClaimToHeader {
    /// Returns the claims. Two in fields that a service could confuse are an error.
    #[inline(never)]
    pub(super) fn settings(
        section: Vec<Self>,
        at: FieldPath<'_>,
        jwt_field: &str,
        errors: &mut ConfigErrors,
    ) -> Vec<NamedClaim> {
        let mut headers: Vec<NamedClaim> = Vec::new();
        for (index, Self { header: name, pointer, encoding }) in section.into_iter().enumerate() {
            let is_taken = |other: &str| resembles(name.as_bytes(), other);
            if (jwt_field != AUTHORIZATION && is_taken(jwt_field))
                || headers.iter().any(|other| is_taken(&other.name))
            {
                errors.note(at.element(index).field("header"), "is a duplicate");
            }
            headers.push(NamedClaim { name, pointer, encoding });
        }
        headers
    }
}

impl From<FilterState> for NamedClaim {
    fn from(FilterState { name, pointer }: FilterState) -> Self {
        Self { name, pointer, encoding: Encoding::default() }
    }
}

impl TokenSources {
    #[inline(never)]
    pub(super) fn settings(
        self,
        at: FieldPath<'_>,
        forwarding: &Forwarding,
        errors: &mut ConfigErrors,
    ) -> CredentialSettings {
        let Self { max_length, alphabet, query_parameter, cookie, header, header_prefix, websocket_protocol } =
            self;
        let is_set = |name: &String| !forwarding.spoofed_headers(std::iter::once(name.as_bytes())).is_empty();
        if header.as_ref().is_some_and(is_set) {
            errors.note(at.field("header"), "must not be a field that the gateway sets");
        }
        if header_prefix.is_some() && header.is_none() {
            errors.note(at.field("header_prefix"), "needs a header");
        }
        CredentialSettings {
            syntax: TokenSyntax { max_length, alphabet },
            sources: Sources { query_parameter, cookie, header, header_prefix, websocket_protocol },
        }
    }
}
