//! The requests that servers behind the ingress received: the headers of each, by its `x-request-name`, or by its path and query if it has
//! none, so that a test can check whether a request ever arrived.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, Uri};

/// The headers of the requests that one server received.
#[derive(Clone, Default)]
pub struct Received(Arc<Mutex<HashMap<String, Vec<HeaderMap>>>>);

impl Received {
    pub fn note(&self, path: &Uri, head: &HeaderMap) {
        let name = head.get("x-request-name").and_then(|name| name.to_str().ok());
        let name = name.map_or_else(|| path.to_string(), str::to_owned);
        if let Ok(mut received) = self.0.lock() {
            received.entry(name).or_default().push(head.clone());
        }
    }

    /// The headers of the requests with this name, or with this path and query if they have no name.
    pub fn named(&self, name: &str) -> Vec<HeaderMap> {
        self.0.lock().map(|received| received.get(name).cloned().unwrap_or_default()).unwrap_or_default()
    }
}
