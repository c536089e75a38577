use serde_json::json;

use super::*;
use crate::request::AuthorizationField;
use crate::testing::{settings, test};

fn callout(edits: serde_json::Value, token: &str) -> Callout {
    let settings = settings(json!({"introspection": edits}));
    let value = format!("Bearer {token}");
    let token = AccessToken::parse(AuthorizationField::Once(value.as_bytes()), 100).expect("a token");
    Callout::introspect(&settings.introspection.endpoint, token)
}

fn header(callout: &Callout, name: &str) -> Option<String> {
    callout.headers().into_iter().find(|(header, _)| *header == name).map(|(_, value)| value)
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
    let json = json!({"response": {"accept": "application/json", "jwt_member": "phantom_token"}});
    assert_eq!(header(&callout(json, "a"), "accept").as_deref(), Some("application/json"));
}

/// The requirement's own vector. If the parts were not encoded, a `:` in the id would move the border between them.
#[test]
fn r020_basic_credentials_are_form_encoded() {
    let callout = callout(json!({"client_id": "my:id", "client_secret": "p@s s+%"}), "a");
    assert_eq!(header(&callout, "authorization").as_deref(), Some("Basic bXklM0FpZDpwJTQwcytzJTJCJTI1"));
}

#[test]
fn the_endpoint_gives_the_pseudo_header_fields() {
    let callout = callout(json!({"endpoint": "https://login.example.com:8443/introspect?tenant=1"}), "a");
    assert_eq!(header(&callout, ":scheme").as_deref(), Some("https"));
    assert_eq!(header(&callout, ":authority").as_deref(), Some("login.example.com:8443"));
    assert_eq!(header(&callout, ":path").as_deref(), Some("/introspect?tenant=1"));
    assert_eq!(callout.upstream(), "authorization-server");
}
