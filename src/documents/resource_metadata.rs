//! Protected resource metadata (RFC 9728): a document that tells clients which authorization server to ask, served without a
//! token. Its URL follows from the configured resource identifier, never from the request's host (R103).

use serde_json::{Map, Value, json};

use crate::documents::document::Document;

/// The document and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceMetadata {
    url: String,
    document: Document,
}

/// What the operator says of the resource (RFC 9728 §2).
#[derive(Clone, Debug)]
pub struct Description {
    /// `resource`: an origin, and a path that starts with a slash or is empty.
    pub resource: (String, String),
    /// `authorization_servers`: issuer identifiers.
    pub authorization_servers: Vec<String>,
    /// `scopes_supported`, if configured.
    pub scopes_supported: Vec<String>,
    /// `resource_name` and `resource_documentation`, as far as configured.
    pub texts: Vec<(&'static str, String)>,
}

impl ResourceMetadata {
    /// Writes the document. The well-known part stands between the host and the resource's own path (§3.1).
    pub fn new(description: Description) -> Self {
        let Description { resource: (origin, resource_path), authorization_servers, scopes_supported, texts } =
            description;
        let path = format!("{WELL_KNOWN}{resource_path}");
        let mut document = Map::new();
        document.insert("resource".to_owned(), json!(format!("{origin}{resource_path}")));
        document.insert("authorization_servers".to_owned(), json!(authorization_servers));
        document.insert("bearer_methods_supported".to_owned(), json!(["header"]));
        if !scopes_supported.is_empty() {
            document.insert("scopes_supported".to_owned(), json!(scopes_supported));
        }
        document.extend(texts.into_iter().map(|(name, text)| (name.to_owned(), json!(text))));
        let url = format!("{origin}{path}");
        Self { url, document: Document::new(&origin, path, Value::Object(document).to_string()) }
    }

    /// What challenges name as `resource_metadata` (§5.1).
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The document.
    pub(crate) fn document(&self) -> &Document {
        &self.document
    }
}

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

#[cfg(test)]
mod tests;
