//! A request in its written form.

use phantom_token_core::driver::{Fields, Request};
use serde::Deserialize;

/// A request, and what the proxy knows of its caller.
#[derive(Clone, Debug, Deserialize)]
pub struct WrittenRequest {
    /// Its method.
    pub method: String,
    /// Its URL.
    pub url: String,
    /// Its header fields: `Name: value`.
    pub headers: Vec<String>,
    /// The route that the proxy has selected.
    pub route: Option<String>,
    /// The caller's identity: the first URI in its certificate.
    pub peer: Option<String>,
    /// The SHA-256 of the caller's certificate, in hexadecimal digits.
    pub certificate: Option<String>,
}

impl WrittenRequest {
    /// Returns the request as a proxy would pass it to the filter.
    ///
    /// # Errors
    /// The URL or a header field is malformed.
    pub fn read(self) -> Result<Request, String> {
        let (scheme, rest) = self.url.split_once("://").unwrap_or_default();
        let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(authority_end);
        let path = path.split_once('#').map_or(path, |(path, _)| path);
        if !matches!(scheme, "http" | "https") || authority.is_empty() || authority.contains('@') {
            return Err("the URL must be like https://api.example.com/orders".to_owned());
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        let pseudo = [
            (":method", self.method),
            (":scheme", scheme.to_owned()),
            (":authority", authority.to_owned()),
            (":path", format!("{slash}{path}")),
        ];
        let mut fields: Fields =
            pseudo.into_iter().map(|(name, value)| (name.to_owned(), value.into_bytes())).collect();
        for header in &self.headers {
            let (name, value) = header.split_once(':').ok_or(HEADER)?;
            let name = name.trim().to_ascii_lowercase();
            if name.is_empty() || name.contains(|character: char| character.is_whitespace()) {
                return Err(HEADER.to_owned());
            }
            fields.push((name, value.trim().as_bytes().to_vec()));
        }
        let Self { route, peer, certificate, .. } = self;
        Ok(Request { fields, route, peer, certificate, ..Request::default() })
    }
}

const HEADER: &str = "a header field must be like 'Name: value'";
