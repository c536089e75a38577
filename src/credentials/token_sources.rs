//! Sources of an access token other than `Authorization`: the query (RFC 6750 §2.3), a cookie, another header field, or a subprotocol of a
//! WebSocket handshake (R10, R11, R82). All are off unless configured, and any token found is removed from the request before anything else
//! happens to it.

use std::borrow::Cow;

use percent_encoding::percent_decode;

use super::bearer;
use crate::http::request_head::{FoundToken, Place, Presented, RequestHead};

/// The configured sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The name of a parameter of the query.
    pub query_parameter: Option<String>,
    /// The name of a cookie.
    pub cookie: Option<String>,
    /// The name of a header field, in lower case.
    pub header: Option<String>,
    /// The prefix of the token in that field, such as a scheme, if any.
    pub header_prefix: Option<String>,
    /// The prefix of the token in a subprotocol.
    pub websocket_protocol: Option<String>,
}

/// The token found in one request, and the edits that remove it.
#[derive(Default)]
pub struct Extracted<'a> {
    /// The header fields to rewrite, including `:path`, or to remove if there is no value.
    pub edits: Vec<(String, Option<Vec<u8>>)>,
    /// Whether the query contained a token: then the response is `private` (RFC 6750 §2.3).
    pub is_in_query: bool,
    tokens: Vec<FoundToken<'a>>,
}

impl Extracted<'_> {
    /// Returns the head of the request after these edits, with the tokens as those found elsewhere.
    pub(crate) fn taken_out_of<'h>(
        &'h self,
        head: RequestHead<'h>,
        edits: &'h [(String, Option<Vec<u8>>)],
    ) -> RequestHead<'h> {
        let path = edits.iter().find_map(|(name, value)| value.as_deref().filter(|_| name == PATH));
        RequestHead { elsewhere: &self.tokens, path: path.unwrap_or(head.path), ..head }
    }
}

impl Sources {
    /// Returns the names of the fields that may contain tokens, apart from `:path`.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &str> {
        let cookie = self.cookie.as_ref().map(|_| COOKIE);
        let protocol = self.websocket_protocol.as_ref().map(|_| WEBSOCKET_PROTOCOL);
        self.header.as_deref().into_iter().chain(cookie).chain(protocol)
    }

    /// Finds the tokens in the header fields of a request.
    pub(crate) fn extract<'a>(
        &self,
        fields: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone,
    ) -> Extracted<'a> {
        let mut extracted = Extracted::default();
        if let Self { query_parameter: None, cookie: None, header: None, websocket_protocol: None, .. } = self
        {
            return extracted;
        }
        let values = |name: &'static str| {
            fields
                .clone()
                .filter(move |field| field.0.eq_ignore_ascii_case(name.as_bytes()))
                .map(|field| field.1)
        };
        if let Some(name) = &self.query_parameter {
            values(PATH).for_each(|path| extracted.take_from_query(path, name));
        }
        if let Some(name) = &self.cookie {
            let pairs = values(COOKIE).flat_map(|value| value.split(|&byte| byte == b';'));
            let token = |pair: &'a [u8]| {
                let (written, value) = pair.split_at(pair.iter().position(|&byte| byte == b'=')?);
                let is_named = written.trim_ascii_end() == name.as_bytes();
                is_named.then(|| unquoted(value.get(1..).unwrap_or_default().trim_ascii_start()))
            };
            extracted.take_from_list(Place::Cookie, COOKIE, "; ", pairs, token);
        }
        if let Some(prefix) = &self.websocket_protocol {
            let protocols = values(WEBSOCKET_PROTOCOL).flat_map(|value| value.split(|&byte| byte == b','));
            let token = |protocol: &'a [u8]| protocol.strip_prefix(prefix.as_bytes());
            extracted.take_from_list(Place::WebsocketProtocol, WEBSOCKET_PROTOCOL, ", ", protocols, token);
        }
        if let Some(name) = &self.header {
            for (written, value) in fields.clone() {
                if written.eq_ignore_ascii_case(name.as_bytes()) {
                    let value = self.behind_prefix(value.trim_ascii());
                    extracted.tokens.extend(
                        value.map(|value| FoundToken { place: Place::Header, value: Cow::Borrowed(value) }),
                    );
                    extracted.edits.push((name.clone(), None));
                }
            }
        }
        extracted
    }

    /// Describes to the client where its request has credentials. The names come from the operator.
    pub(crate) fn places(&self, head: &RequestHead<'_>) -> Vec<String> {
        let is_in_authorization = match head.elsewhere {
            [] => !matches!(head.authorization, Presented::Absent),
            _ => bearer::is_presented(head.authorization),
        };
        let elsewhere = head.elsewhere.iter().filter_map(|found| {
            let (kind, name) = match found.place {
                Place::QueryParameter => ("query parameter", &self.query_parameter),
                Place::Cookie => ("cookie", &self.cookie),
                Place::Header => ("header field", &self.header),
                Place::WebsocketProtocol => ("WebSocket protocol", &self.websocket_protocol),
            };
            Some(format!("the {kind} '{}'", name.as_deref()?))
        });
        let authorization = is_in_authorization.then(|| "the Authorization header field".to_owned());
        let mut places: Vec<String> = authorization.into_iter().chain(elsewhere).collect();
        places.dedup();
        places
    }

    /// Returns the token in the value of the configured header field: `None` if the value has another scheme, an empty token if it lacks
    /// the prefix.
    fn behind_prefix<'v>(&self, value: &'v [u8]) -> Option<&'v [u8]> {
        let Some(prefix) = &self.header_prefix else { return Some(value) };
        let prefix = prefix.trim_end().as_bytes();
        let is_word = prefix.last().is_some_and(u8::is_ascii_alphanumeric);
        match value.split_at_checked(prefix.len()) {
            Some((start, rest))
                if start.eq_ignore_ascii_case(prefix) && (!is_word || matches!(rest, [] | [b' ', ..])) =>
            {
                Some(rest.trim_ascii_start())
            }
            _ if bearer::is_other_scheme(value, &[prefix]) => None,
            _ => Some(b""),
        }
    }
}

impl<'a> Extracted<'a> {
    /// Removes the tokens from the query. Its names and values are form-encoded; a name matches in any encoding.
    fn take_from_query(&mut self, path: &'a [u8], name: &str) {
        let Some(start) = path.iter().position(|&byte| byte == b'?') else { return };
        let (path, query) = path.split_at(start);
        let query = query.get(1..).unwrap_or_default();
        let before = self.tokens.len();
        let mut others = Vec::new();
        for parameter in query.split(|&byte| byte == b'&') {
            let mut parts = parameter.splitn(2, |&byte| byte == b'=');
            if decode(parts.next().unwrap_or_default()) == name.as_bytes() {
                let value = decode(parts.next().unwrap_or_default());
                self.tokens.push(FoundToken { place: Place::QueryParameter, value });
            } else {
                others.push(parameter);
            }
        }
        if self.tokens.len() > before {
            let query = others.join(&b'&');
            let separator: &[u8] = if query.is_empty() { b"" } else { b"?" };
            let stripped = [path, separator, &query].concat();
            self.edits.push((PATH.to_owned(), Some(stripped)));
            self.is_in_query = true;
        }
    }

    /// Removes the tokens from a list that may span several fields.
    fn take_from_list(
        &mut self,
        place: Place,
        field: &str,
        separator: &str,
        elements: impl Iterator<Item = &'a [u8]>,
        token: impl Fn(&'a [u8]) -> Option<&'a [u8]>,
    ) {
        let mut is_found = false;
        let mut others = Vec::new();
        for element in elements.map(<[u8]>::trim_ascii) {
            match token(element) {
                // A page that forgets its session may leave an empty cookie behind.
                Some([]) if place == Place::Cookie => is_found = true,
                Some(token) => {
                    self.tokens.push(FoundToken { place, value: Cow::Borrowed(token) });
                    is_found = true;
                }
                None => others.push(element),
            }
        }
        if is_found {
            let rest = others.join(separator.as_bytes());
            self.edits.push((field.to_owned(), Some(rest).filter(|rest| !rest.is_empty())));
        }
    }
}

/// A cookie's value may be quoted (RFC 6265 §4.1.1).
fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value)
}

/// Decodes `application/x-www-form-urlencoded`, where a plus stands for a space, which no token contains.
fn decode(value: &[u8]) -> Cow<'_, [u8]> {
    if value.contains(&b'+') {
        let spaced: Vec<u8> = value.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
        return Cow::Owned(percent_decode(&spaced).collect());
    }
    percent_decode(value).into()
}

const PATH: &str = ":path";
const COOKIE: &str = "cookie";
const WEBSOCKET_PROTOCOL: &str = "sec-websocket-protocol";

#[cfg(test)]
mod tests;
