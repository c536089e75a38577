//! Protected resource metadata (RFC 9728): a document that tells clients which authorization server to use, served without a token. Its URL
//! follows from the configured resource identifier, never from the request's host (R103). Each of several resources has a document of its
//! own.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::documents::document::Document;
use crate::http::path;
use crate::http::request_head::RequestHead;

/// The metadata of one resource: the document and its URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceMetadata {
    resource: String,
    url: Arc<str>,
    /// The path of the resource, without a trailing slash.
    path: String,
    document: Document,
}

/// The operator's description of the resource (RFC 9728 §2).
#[derive(Clone, Debug)]
pub struct Description {
    /// `resource`, as written: clients compare it character by character (§3.3).
    pub resource: String,
    /// The origin of the resource, and its path, which starts with a slash or is empty.
    pub place: (String, String),
    /// `authorization_servers`: issuer identifiers.
    pub authorization_servers: Vec<String>,
    /// `scopes_supported`, if configured.
    pub scopes_supported: Vec<String>,
    /// `resource_name` and `resource_documentation`, as far as configured.
    pub texts: Vec<(&'static str, String)>,
}

impl ResourceMetadata {
    /// Creates the document. The well-known part of its URL comes between the host and the resource's own path (§3.1).
    pub fn new(description: Description) -> Self {
        let Description { resource, place, authorization_servers, scopes_supported, texts } = description;
        let (origin, mut resource_path) = place;
        let path = format!("{WELL_KNOWN}{resource_path}");
        let mut document = Map::new();
        document.insert("resource".to_owned(), json!(resource));
        document.insert("authorization_servers".to_owned(), json!(authorization_servers));
        document.insert("bearer_methods_supported".to_owned(), json!(["header"]));
        if !scopes_supported.is_empty() {
            document.insert("scopes_supported".to_owned(), json!(scopes_supported));
        }
        document.extend(texts.into_iter().map(|(name, text)| (name.to_owned(), json!(text))));
        let url = format!("{origin}{path}").into();
        let document = Document::new(&origin, path, Value::Object(document).to_string());
        if resource_path.ends_with('/') {
            resource_path.pop();
        }
        Self { resource, url, path: resource_path, document }
    }

    /// Returns the resource identifier as written.
    pub(crate) fn resource(&self) -> &str {
        &self.resource
    }

    /// Returns the metadata for the challenge to a request whose rule names no resource: clients must not use those of another resource
    /// (§3.3). Among the resources of the request's host, that is the one with the longest path that the request is at or below. If no
    /// resource is of that host, clients know the gateway by a name that it does not see, and all resources are candidates. Returns `None`
    /// if there is no such resource, or if two have the same path, since either could be meant.
    #[inline(never)]
    pub(crate) fn find<'m>(all: &'m [Self], head: &RequestHead<'_>) -> Option<&'m Self> {
        if all.is_empty() {
            return None;
        }
        let is_of_host = |metadata: &&Self| metadata.document.is_of_host(head.authority);
        let names_host = all.iter().any(|metadata| is_of_host(&metadata));
        // Normalized as for rules: an escape does not make it another resource.
        let path = path::normalize(head.path).ok()?;
        let counts = |metadata: &&Self| (!names_host || is_of_host(metadata)) && metadata.is_around(&path);
        let found = all.iter().filter(counts).max_by_key(|metadata| metadata.path.len())?;
        let is_only = all.iter().filter(counts).filter(|other| other.path == found.path).nth(1).is_none();
        is_only.then_some(found)
    }

    /// Whether a path is that of the resource, or below it.
    fn is_around(&self, path: &str) -> bool {
        path.strip_prefix(self.path.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Returns the URL that challenges name as `resource_metadata` (§5.1).
    pub fn url(&self) -> &Arc<str> {
        &self.url
    }

    /// Returns the document.
    pub(crate) fn document(&self) -> &Document {
        &self.document
    }
}

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

#[cfg(test)]
mod tests;
