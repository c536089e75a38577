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
    settings(json!({"resource_metadata": described})).resource_metadata.remove(0)
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
        assert_eq!(&**metadata.url(), url);
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

/// A server that knows the resource with a trailing slash answers `invalid_target` to a client that asks for it without.
#[test]
fn r102_the_document_has_the_resource_as_it_is_written() {
    for (resource, path) in [("https://a.example.com/", ""), ("https://a.example.com/mcp/", "/mcp/")] {
        let reply = get(&metadata(resource), "GET", &format!("/.well-known/oauth-protected-resource{path}"));
        let document: Value = serde_json::from_str(&reply.expect("an answer").body).expect("JSON");
        assert_eq!(document["resource"], resource);
    }
}

/// Most gateways are one resource. If it had to be written as a list, operators would only learn that from an error.
#[test]
fn r102_one_resource_stands_as_it_is_and_several_in_a_list() {
    let one = json!({"resource": "https://gw/mcp", "authorization_servers": ["https://login.example.com"]});
    for written in [one.clone(), json!([one])] {
        let all = settings(json!({"resource_metadata": written})).resource_metadata;
        assert_eq!(
            all.iter().map(|one| one.url().as_ref()).collect::<Vec<_>>(),
            ["https://gw/.well-known/oauth-protected-resource/mcp"]
        );
    }
    let error = |written: Value| {
        let errors =
            crate::testing::parse(&json!({"resource_metadata": written})).map(|_| ()).expect_err("errors");
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        errors.into_iter().find(|error| error.starts_with("resource_metadata")).expect("an error of it")
    };
    let without = json!({"authorization_servers": ["https://login.example.com"]});
    assert_eq!(error(without.clone()), "resource_metadata.resource: is required");
    assert_eq!(error(json!([one, without])), "resource_metadata[1].resource: is required");
    assert_eq!(error(json!([])), "resource_metadata: must not be empty or have an empty element");
}

/// Clients must not use the metadata of another resource (§3.3): a client that is sent to the wrong document cannot log in.
#[test]
fn r231_a_challenge_names_the_metadata_of_the_resource_that_the_request_is_for() {
    let described = |resource: &str| json!({"resource": resource, "authorization_servers": ["https://login.example.com"]});
    let named = |resources: &[&str], authority: &str, path: &str| {
        let resources: Vec<Value> = resources.iter().map(|resource| described(resource)).collect();
        let all = settings(json!({"resource_metadata": resources})).resource_metadata;
        let (authority, path) = (authority.as_bytes(), path.as_bytes());
        let head = RequestHead { authority, path, ..RequestHead::default() };
        let found = ResourceMetadata::find(&all, &head);
        found.map_or("none".to_owned(), |metadata| {
            metadata.url().replace("/.well-known/oauth-protected-resource", "")
        })
    };
    let several =
        ["https://gw/mcp", "https://gw/two/mcp", "https://gw/two", "https://other/mcp", "https://other"];
    for (authority, path, expected) in [
        ("gw", "/mcp", "https://gw/mcp"),
        ("GW:8443", "/mcp/?a=/two", "https://gw/mcp"),
        ("gw", "/mcp/below", "https://gw/mcp"),
        ("gw", "/mcpx", "none"),
        ("other", "/%6Dcp", "https://other/mcp"),
        ("other", "/mcp%2Fx", "none"),
        ("other", "/mcp/../two", "none"),
        ("gw", "/two/mcp", "https://gw/two/mcp"),
        ("gw", "/two/other", "https://gw/two"),
        ("gw", "/api/orders", "none"),
        ("other", "/two/mcp", "https://other"),
        ("other", "/mcp", "https://other/mcp"),
    ] {
        assert_eq!(named(&several, authority, path), expected, "{authority}{path}");
    }
    // Behind a proxy that renames hosts, the gateway sees no host that clients know.
    assert_eq!(named(&["https://gw/mcp"], "10.0.0.7:8080", "/mcp"), "https://gw/mcp");
    let of_two_hosts = ["https://a/mcp", "https://b/mcp"];
    assert_eq!(named(&of_two_hosts, "10.0.0.7:8080", "/mcp"), "none");
    assert_eq!(named(&of_two_hosts, "a", "/mcp"), "https://a/mcp");
    assert_eq!(named(&["https://gw/mcp/"], "gw", "/mcp"), "https://gw/mcp/");
    assert_eq!(named(&["https://gw"], "gw", "/any"), "https://gw");
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
