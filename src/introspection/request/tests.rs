use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::*;
use crate::testing::{host, settings, test};

fn callout(edits: serde_json::Value, token: &str) -> Callout {
    let settings = settings(json!({"introspection": edits}));
    let value = token.to_owned();
    let token = AccessToken::alone(value.as_bytes(), crate::testing::TOKEN_SYNTAX).expect("a token");
    let endpoint = &settings.servers[0].introspection.as_ref().expect("an endpoint").endpoint;
    IntrospectionRequest::about(token, endpoint).callout(host(0)).expect("a callout")
}

fn header(callout: &Callout, name: &str) -> Option<String> {
    let mut found =
        callout.headers().filter(|(header, _)| *header == name).map(|(_, value)| value.to_owned());
    let value = found.next();
    assert!(found.next().is_none(), "{name} twice");
    value
}

/// If the token were not encoded, a `+` in it would arrive as a space, and a `&` could add a parameter.
#[test]
fn r016_the_token_is_form_encoded() {
    let callout = callout(json!({"token_type_hint": false}), "a+b/c~d.e-f_==");
    assert_eq!(callout.body(), b"token=a%2Bb%2Fc~d.e-f_%3D%3D");
    assert_eq!(header(&callout, ":method").as_deref(), Some("POST"));
    assert_eq!(header(&callout, "content-type").as_deref(), Some("application/x-www-form-urlencoded"));
}

#[test]
fn r017_the_hint_is_access_token_or_none() {
    assert_eq!(callout(json!({}), "a").body(), b"token=a&token_type_hint=access_token");
    assert_eq!(callout(json!({"token_type_hint": false}), "a").body(), b"token=a");
}

#[test]
fn r018_one_media_type_is_asked_for() {
    assert_eq!(header(&callout(json!({}), "a"), "accept").as_deref(), Some("application/jwt"));
    let json = json!({"response": {"accept": "application/json", "jwt_field": "phantom_token"}});
    assert_eq!(header(&callout(json, "a"), "accept").as_deref(), Some("application/json"));
}

/// The first is the requirement's own vector. If the parts were not encoded, a `:` in the id would move the border between them; if a space
/// were a `+`, a server that only percent-decodes would refuse the gateway (Authlib: authlib/oauth2/rfc6749/util.py,
/// `extract_basic_authorization`).
#[test]
fn r020_basic_credentials_are_encoded_as_every_decoder_reads_them() {
    for (id, secret, encoded) in [
        ("my:id", "p@s s+%", "my%3Aid:p%40s%20s%2B%25"),
        ("a b", "c d", "a%20b:c%20d"),
        ("gw+2", "a/b=c~d-e_f.g", "gw%2B2:a%2Fb%3Dc~d-e_f.g"),
    ] {
        let callout = callout(json!({"client_id": id, "client_secret": secret}), "a");
        let expected = format!("Basic {}", STANDARD.encode(encoded));
        assert_eq!(header(&callout, "authorization"), Some(expected), "{id}:{secret}");
    }
}

#[test]
fn the_endpoint_gives_the_pseudo_header_fields() {
    let callout = callout(json!({"endpoint": "https://login.example.com:8443/introspect?tenant=1"}), "a");
    assert_eq!(header(&callout, ":scheme").as_deref(), Some("https"));
    assert_eq!(header(&callout, ":authority").as_deref(), Some("login.example.com:8443"));
    assert_eq!(header(&callout, ":path").as_deref(), Some("/introspect?tenant=1"));
    assert_eq!(callout.upstream(), "authorization-server");
}

/// If a method left traces of another, a strict server would refuse the request (RFC 6749 §2.3).
#[test]
fn r019_r020_each_method_authenticates_in_one_place() {
    let client = json!({"client_id": "my:id", "client_secret": "p@s s+%", "token_type_hint": false});
    let with = |edits: serde_json::Value| {
        let mut introspection = client.clone();
        for (name, value) in edits.as_object().into_iter().flatten() {
            introspection[name] = value.clone();
        }
        let callout = callout(introspection, "t");
        (header(&callout, "authorization"), String::from_utf8_lossy(callout.body()).into_owned())
    };
    let raw = format!("Basic {}", "bXktaWQ6cEBzIHMrJQ==");
    let token = json!({"auth_method": "bearer_token", "client_id": null, "client_secret": null, "bearer_token": "abc"});
    for (edits, authorization, body) in [
        (
            json!({"auth_method": "client_secret_basic_raw", "client_id": "my-id"}),
            Some(raw.as_str()),
            "token=t",
        ),
        (
            json!({"auth_method": "client_secret_post"}),
            None,
            "token=t&client_id=my%3Aid&client_secret=p%40s+s%2B%25",
        ),
        (json!({"auth_method": "none", "client_secret": null}), None, "token=t&client_id=my%3Aid"),
        (json!({"auth_method": "none", "client_id": null, "client_secret": null}), None, "token=t"),
        (token, Some("Bearer abc"), "token=t"),
    ] {
        let (found_authorization, found_body) = with(edits.clone());
        assert_eq!((found_authorization.as_deref(), found_body.as_str()), (authorization, body), "{edits}");
    }
}

#[test]
fn a_server_gets_the_parameters_and_header_fields_that_it_wants() {
    let extra =
        json!({"parameters": {"response_as_jwt": "true", "b": "x y"}, "headers": {"x-tenant": "acme"}});
    let callout = callout(extra, "t");
    assert_eq!(callout.body(), b"token=t&token_type_hint=access_token&b=x+y&response_as_jwt=true");
    assert_eq!(header(&callout, "x-tenant").as_deref(), Some("acme"));
}

/// A server closes idle connections at any time. If Envoy did not retry, a valid token would get a 503; if it retried with an assertion
/// that has already arrived, a careful server would refuse the gateway.
#[test]
fn r024_envoy_asks_again_where_that_is_safe() {
    let retries = |edits| {
        let callout = callout(edits, "t");
        ["x-envoy-retry-on", "x-envoy-max-retries"].map(|name| header(&callout, name).unwrap_or_default())
    };
    assert_eq!(retries(json!({})), ["connect-failure,refused-stream,reset", "1"]);
    assert_eq!(retries(json!({"retries": 0})), ["", ""]);
    let assertion = json!({
        "auth_method": "private_key_jwt", "client_secret": null, "retries": 2,
        "private_key": crate::testing::signer::p256().to_string(), "key_id": "k1", "audience": "https://login.example.com",
    });
    assert_eq!(retries(assertion), ["connect-failure,refused-stream,reset-before-request", "2"]);
}
