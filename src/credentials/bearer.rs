//! Bearer credentials in the `Authorization` field (RFC 6750 §2.1, RFC 9110 §11). `Proxy-Authorization` and form bodies do not count as
//! credentials (R12); [`crate::credentials::token_sources`] handles other places.

use std::fmt;

use percent_encoding::percent_decode;

use crate::http::byte_class::ByteClass;
use crate::http::request_head::Presented;
use crate::refusal::Reason;
use crate::token_key::{LocalKeys, PresentedKey};

/// The scheme by which an access token is presented.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// A bearer token (RFC 6750).
    #[default]
    Bearer,
    /// A token with a proof of possession (RFC 9449 §7.1).
    Dpop,
}

/// The characters that an access token may contain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Alphabet {
    /// `b64token` (RFC 6750 §2.1).
    #[default]
    B64token,
    /// Visible ASCII without the characters that end a token in a header field, a cookie (RFC 6265 §4.1.1 `cookie-octet`) or a query.
    Visible,
}

/// The syntax of access tokens.
#[derive(Clone, Copy, Debug)]
pub struct TokenSyntax {
    /// The maximum length, in bytes.
    pub max_length: usize,
    /// The permitted characters.
    pub alphabet: Alphabet,
}

/// An opaque access token as a client presented it: visible ASCII, so that a header field can carry it. Its debug output is hidden.
#[derive(Clone, Copy)]
pub struct AccessToken<'a>(&'a str);

impl<'a> AccessToken<'a> {
    /// Parses the access token in an `Authorization` field.
    ///
    /// # Errors
    /// The client's error: no credentials, another scheme, several tokens, a malformed value, or a token that is too long.
    pub fn parse(
        field: Presented<'a>,
        syntax: TokenSyntax,
        takes_dpop: bool,
    ) -> Result<(Scheme, Self), Reason> {
        let value = match field {
            Presented::Absent => return Err(Reason::MissingCredentials),
            Presented::Repeated => return Err(Reason::RepeatedCredentials),
            Presented::Once(value) => value.trim_ascii(),
        };
        let (scheme, credentials) = split_scheme(value);
        let is = |name: &[u8]| scheme.eq_ignore_ascii_case(name);
        let used = if takes_dpop && is(DPOP) { Scheme::Dpop } else { Scheme::Bearer };
        if used == Scheme::Bearer && !is(BEARER) {
            return Err(match carries(value, &[BEARER]) {
                _ if scheme.is_empty() || scheme.contains(&b'\t') => Reason::MalformedCredentials,
                true => Reason::RepeatedCredentials,
                false => Reason::UnsupportedScheme,
            });
        }
        Self::alone(credentials, syntax).map(|token| (used, token))
    }

    /// Reads a token that is all of `credentials`.
    ///
    /// # Errors
    /// The client's error: a malformed value, or a token that is too long.
    pub fn alone(credentials: &'a [u8], syntax: TokenSyntax) -> Result<Self, Reason> {
        if credentials.len() > syntax.max_length {
            return Err(Reason::TokenTooLong);
        }
        match std::str::from_utf8(credentials) {
            Ok(token) if syntax.alphabet.spells(credentials) => Ok(Self(token)),
            _ if credentials.is_empty() || credentials.iter().any(|byte| b" \t,".contains(byte)) => {
                Err(Reason::MalformedCredentials)
            }
            _ => Err(Reason::InvalidTokenSyntax),
        }
    }

    /// Whether the token is also the value of a query parameter: there it would reach the services although the header field is removed
    /// (R9, R74).
    pub(crate) fn is_in_query(self, path_and_query: &[u8]) -> bool {
        let mut parameters = path_and_query.split(|&byte| matches!(byte, b'?' | b'&' | b';')).skip(1);
        parameters.any(|parameter| {
            let value = parameter.splitn(2, |&byte| byte == b'=').last().unwrap_or_default();
            value == self.0.as_bytes() || percent_decode(value).eq(self.0.bytes())
        })
    }

    /// Returns the key that stands for the token in caches and logs.
    pub(crate) fn key(self, keys: LocalKeys) -> PresentedKey<'a> {
        keys.key_of(self.0)
    }

    /// Returns the token itself, for the introspection request.
    pub(crate) fn expose(self) -> &'a str {
        self.0
    }
}

impl fmt::Debug for AccessToken<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("[hidden]")
    }
}

/// Whether the field holds an access token, well formed or not, alone or beside others. A public route must not forward it to the services
/// (R74).
pub fn is_presented(field: Presented<'_>) -> bool {
    match field {
        Presented::Absent => false,
        Presented::Once(value) => carries(value, &[BEARER, DPOP]),
        Presented::Repeated => true,
    }
}

/// Whether the field holds credentials of a scheme that is not for tokens (RFC 9110 §11.4). A token without a scheme, or after a misspelled
/// one (`Bearer: abc`), does not count.
pub fn is_of_other_scheme(field: Presented<'_>) -> bool {
    matches!(field, Presented::Once(value) if is_other_scheme(value, &[BEARER, DPOP]))
}

/// Whether the value holds credentials of another scheme, and none of `schemes` in any part.
pub(super) fn is_other_scheme(value: &[u8], schemes: &[&[u8]]) -> bool {
    let (scheme, credentials) = split_scheme(value.trim_ascii());
    let is_character = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let is_written_so = !scheme.is_empty() && scheme.iter().all(is_character) && !credentials.is_empty();
    is_written_so && !carries(value, schemes)
}

/// Returns the scheme of the access token in the field. Returns `None` if the scheme is neither `Bearer` nor `DPoP`.
pub fn scheme(field: Presented<'_>) -> Option<Scheme> {
    let Presented::Once(value) = field else { return None };
    let (scheme, _) = split_scheme(value.trim_ascii());
    let is = |name: &[u8]| scheme.eq_ignore_ascii_case(name);
    if is(DPOP) { Some(Scheme::Dpop) } else { is(BEARER).then_some(Scheme::Bearer) }
}

/// Whether any part of the value has one of these schemes. Every part counts, since a host may join two fields with a comma. `Basic`
/// credentials have no comma, and the only cost is that a `Digest` with a quoted ", bearer" does not get through.
fn carries(value: &[u8], schemes: &[&[u8]]) -> bool {
    value.split(|&byte| byte == b',').any(|part| {
        let word = part.trim_ascii().split(u8::is_ascii_whitespace).next().unwrap_or_default();
        schemes.iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
    })
}

/// Splits a value into scheme and credentials. The scheme is the first word; one or more spaces follow it, and a tab is no separator (RFC
/// 9110 §11.4).
fn split_scheme(value: &[u8]) -> (&[u8], &[u8]) {
    match value.iter().position(|&byte| byte == b' ') {
        Some(end) => {
            let (scheme, rest) = value.split_at(end);
            let spaces = rest.iter().take_while(|&&byte| byte == b' ').count();
            (scheme, rest.get(spaces..).unwrap_or_default())
        }
        None => (value, b""),
    }
}

impl Alphabet {
    fn spells(self, token: &[u8]) -> bool {
        match self {
            Self::B64token => is_b64token(token),
            Self::Visible => {
                let is_character = |byte: &u8| byte.is_ascii_graphic() && !b"\"\\,;&?".contains(byte);
                !token.is_empty() && token.iter().all(is_character)
            }
        }
    }
}

/// RFC 6750 §2.1: `b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`.
fn is_b64token(token: &[u8]) -> bool {
    let unpadded = token.iter().rposition(|&byte| byte != b'=').map_or(0, |last| last.saturating_add(1));
    let (characters, _padding) = token.split_at(unpadded);
    !characters.is_empty() && B64TOKEN.has_all(characters)
}

const B64TOKEN: &ByteClass = &ByteClass::alphanumeric_and(b"-._~+/");

const BEARER: &[u8] = b"bearer";
const DPOP: &[u8] = b"dpop";

#[cfg(test)]
mod tests;
