use serde_json::{Value, json};

use super::*;
use crate::http::reply::Reply;
use crate::http::request_head::RequestHead;
use crate::testing::{settings, test};

fn metadata(resource: &str) -> ResourceMetadata {
    let described = json!({
        "resource": resource,
        "authorization_servers": ["https://login.example.com"],
        "scopes_supported": ["orders:read"],
        "resource_name": "Orders \"v1\"",
    });
    settings(json!({"resource_metadata": described})).resource_metadata.expect("metadata")
}

fn get(metadata: &ResourceMetadata, method: &str, path: &str) -> Option<Reply> {
    let head = RequestHead { method: method.as_bytes(), path: path.as_bytes(), ..RequestHead::default() };
    Some(metadata.document()).filter(|document| document.is_at(&head)).map(Document::reply)
}

/// The examples of RFC 9728 §3.1.
#[test]
fn r102_the_document_is_between_the_host_and_the_path_of_the_resource() {
    for (resource, url, path) in [
        (
            "https://resource.example.com",
            "https://resource.example.com/.well-known/oauth-protected-resource",
            "/.well-known/oauth-protected-resource",
        ),
        (
            "https://resource.example.com/resource1",
            "https://resource.example.com/.well-known/oauth-protected-resource/resource1",
            "/.well-known/oauth-protected-resource/resource1",
        ),
    ] {
        let metadata = metadata(resource);
        assert_eq!(metadata.url(), url);
        let reply = get(&metadata, "GET", path).expect("an answer");
        let document: Value = serde_json::from_str(&reply.body).expect("JSON");
        assert_eq!(reply.status, 200);
        assert_eq!(
            document,
            json!({
                "resource": resource,
                "authorization_servers": ["https://login.example.com"],
                "bearer_methods_supported": ["header"],
                "scopes_supported": ["orders:read"],
                "resource_name": "Orders \"v1\"",
            })
        );
    }
}

#[test]
fn r102_nothing_else_is_answered() {
    let metadata = metadata("https://resource.example.com");
    let path = "/.well-known/oauth-protected-resource";
    assert!(
        get(&metadata, "HEAD", path).is_some() && get(&metadata, "GET", &format!("{path}?a=b")).is_some()
    );
    for (method, path) in
        [("POST", path), ("GET", "/"), ("GET", &format!("{path}/x")), ("GET", &format!("/a{path}"))]
    {
        assert!(get(&metadata, method, path).is_none(), "{method} {path}");
    }
}
