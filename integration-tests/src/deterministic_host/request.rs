//! A request of a client.

use std::collections::BTreeMap;

use super::header_map::HeaderMap;

/// A request as its stream starts.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub(super) headers: HeaderMap,
    pub(super) properties: BTreeMap<String, Vec<u8>>,
    pub(super) has_body: bool,
}

impl Request {
    /// A GET request for this path at `api.example.com`.
    pub fn get(path: &str) -> Self {
        let headers = [
            (":authority", "api.example.com"),
            (":path", path),
            (":method", "GET"),
            (":scheme", "https"),
            ("user-agent", "curl/8.14.1"),
            ("accept", "*/*"),
            ("x-forwarded-proto", "https"),
            ("x-request-id", "4f8d3c1a-9b2e-4d5f-8a7b-6c5d4e3f2a1b"),
        ];
        Self { headers: HeaderMap::new(&headers), ..Self::default() }
    }

    /// A POST request to this path, with a body that follows.
    pub fn post(path: &str) -> Self {
        let mut new = Self::get(path);
        new.headers.replace(":method", b"POST");
        new.has_body = true;
        new
    }

    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.headers.replace(":method", method.as_bytes());
        self
    }

    /// A request with exactly these fields, including pseudo-header fields.
    pub fn of<'f>(fields: impl IntoIterator<Item = (&'f str, &'f [u8])>) -> Self {
        let mut new = Self::default();
        fields.into_iter().for_each(|(name, value)| new.headers.push(name, value));
        new
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push(name, value.as_ref());
        self
    }

    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Whether the request has an `Authorization` field.
    pub fn carries_credentials(&self) -> bool {
        self.headers.get("authorization").is_some()
    }

    pub fn field_names(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().map(|(name, _)| name)
    }

    /// Sets a property of the stream. The path consists of these parts.
    #[must_use]
    pub fn property(mut self, path: &[&str], value: impl AsRef<[u8]>) -> Self {
        self.properties.insert(path.join("\0"), value.as_ref().to_vec());
        self
    }
}
