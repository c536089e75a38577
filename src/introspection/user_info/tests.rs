use serde_json::{Value, json};

use crate::http::callout::CallResult;
use crate::introspection::ResponseFormat;
use crate::refusal::Reason;
use crate::testing::{at, configured, parse, test};
use crate::token::claims::{ClaimMapping, Claims};

fn format(edits: Value) -> ResponseFormat {
    let mut userinfo =
        json!({"endpoint": "https://login.example.com/userinfo", "upstream": "a", "allow_any_client": true});
    crate::testing::merge(&mut userinfo, edits);
    let headers = json!([{"header": "x-user", "pointer": "/sub"}]);
    let configuration =
        configured(json!({"introspection": null, "userinfo": userinfo, "claim_to_headers": headers}));
    let server = parse(&configuration).expect("no errors").servers.remove(0);
    server.introspection.expect("an endpoint").response
}

fn read(
    format: &ResponseFormat,
    status: &str,
    fields: &[(&str, &str)],
    body: &str,
) -> Result<Claims, Reason> {
    let status = [(&b":status"[..], status.as_bytes())].into_iter();
    let headers = status.chain(fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
    let headers: Vec<_> = headers.collect();
    let outcome = CallResult::Response { headers: &headers, body: body.as_bytes() };
    let pointers = ["/sub", "/groups", "/acr", "/client_id", "/azp", "/exp"];
    let claim_mapping = ClaimMapping {
        scope_claim: "roles".to_owned(),
        asked: pointers.map(str::to_owned).to_vec(),
        ..ClaimMapping::default()
    };
    format.parse(outcome, &claim_mapping, at(0)).map(|active| active.claims).map_err(|error| error.reason)
}

const JSON: (&str, &str) = ("content-type", "application/json");

/// Responses of servers (OpenID Connect Core §5.3.2, §5.3.3; RFC 6750 §3, §3.1). If an outage or a proxy's page counted as an inactive
/// token, all clients would be logged out; if an inactive token counted as an outage, none would log in again.
#[test]
fn r197_the_answer_of_user_info_says_whether_the_token_is_good() {
    use Reason::{Inactive, InsufficientScope, ServerRateLimited, Unavailable, UnexpectedResponse};
    let challenge = |value: &'static str| ("www-authenticate", value);
    let html = ("content-type", "text/html; charset=utf-8");
    for (status, fields, body, reason) in [
        ("200", &[JSON][..], r#"{"sub":"alice"}"#, None),
        (
            "200",
            &[("content-type", "application/json;charset=UTF-8")],
            r#"{"sub":"alice","email":null}"#,
            None,
        ),
        // `active` is no member of UserInfo, so it does not count.
        ("200", &[JSON], r#"{"sub":"alice","active":false}"#, None),
        ("200", &[JSON], r#"{"active":true}"#, Some(UnexpectedResponse)),
        ("200", &[JSON], r#"{"sub":""}"#, Some(UnexpectedResponse)),
        ("200", &[JSON], r#"{"sub":7}"#, Some(UnexpectedResponse)),
        ("200", &[JSON], r#"{"sub":null}"#, Some(UnexpectedResponse)),
        ("200", &[JSON], r#"{"sub":"alice","sub":"bob"}"#, Some(UnexpectedResponse)),
        ("200", &[JSON], r#"{"error":"invalid_token"}"#, Some(UnexpectedResponse)),
        ("200", &[JSON], "", Some(UnexpectedResponse)),
        ("200", &[html], r#"{"sub":"alice"}"#, Some(UnexpectedResponse)),
        ("200", &[], r#"{"sub":"alice"}"#, Some(UnexpectedResponse)),
        // A signed or encrypted response (§5.3.2) is not verified here.
        ("200", &[("content-type", "application/jwt")], "e30.e30.e30", Some(UnexpectedResponse)),
        ("204", &[], "", Some(UnexpectedResponse)),
        ("302", &[("location", "/login")], "", Some(UnexpectedResponse)),
        // Keycloak, Auth0, Google, Nextcloud.
        ("401", &[challenge(r#"Bearer realm="x", error="invalid_token""#)], "", Some(Inactive)),
        ("401", &[challenge(r#"bearer error="invalid_token""#), html], "<html>", Some(Inactive)),
        ("401", &[challenge("Bearer"), JSON], r#"{"error":"invalid_token"}"#, Some(Inactive)),
        ("401", &[challenge(r#"DPoP error="invalid_token", algs="ES256""#)], "", Some(Inactive)),
        ("401", &[challenge("Basic realm=x, Bearer realm=y")], "", Some(Inactive)),
        ("401", &[challenge("Basic realm=x"), challenge("Bearer")], "", Some(Inactive)),
        ("401", &[("content-type", "text/plain")], "Unauthorized", Some(Inactive)),
        ("401", &[JSON], r#"{"message":"Unauthorized"}"#, Some(Inactive)),
        ("401", &[], "", Some(Inactive)),
        ("400", &[JSON], r#"{"error":"invalid_token"}"#, Some(Inactive)),
        // From a proxy in front of the server.
        ("401", &[html], "<html>", Some(UnexpectedResponse)),
        ("401", &[challenge("Basic realm=proxy")], "", Some(UnexpectedResponse)),
        ("401", &[challenge("Negotiate"), JSON], "{}", Some(UnexpectedResponse)),
        ("403", &[html], "<html>", Some(UnexpectedResponse)),
        ("403", &[JSON], r#"{"error":"access_denied"}"#, Some(UnexpectedResponse)),
        ("404", &[html], "<html>", Some(UnexpectedResponse)),
        ("404", &[JSON], r#"{"error":"not_found"}"#, Some(UnexpectedResponse)),
        ("407", &[challenge("Bearer")], "", Some(UnexpectedResponse)),
        ("400", &[JSON], r#"{"error":"invalid_request"}"#, Some(UnexpectedResponse)),
        ("400", &[JSON], r#"{"error":"invalid_client"}"#, Some(UnexpectedResponse)),
        // A token without the scope `openid`, such as a client's own (Keycloak).
        (
            "403",
            &[challenge(r#"Bearer error="insufficient_scope", scope="openid""#)],
            "",
            Some(InsufficientScope),
        ),
        ("429", &[challenge("Bearer")], "", Some(ServerRateLimited)),
        ("503", &[challenge("Bearer"), JSON], r#"{"error":"invalid_token"}"#, Some(Unavailable)),
    ] {
        assert_eq!(
            read(&format(json!({})), status, fields, body).err(),
            reason,
            "{status} {fields:?} {body}"
        );
    }
    let answers = json!({"inactive_answers": [{"status": 403}, {"status": 404, "error": "not_found"}]});
    assert_eq!(read(&format(answers.clone()), "403", &[JSON], "{}").err(), Some(Inactive));
    assert_eq!(
        read(&format(answers.clone()), "404", &[JSON], r#"{"error":"not_found"}"#).err(),
        Some(Inactive)
    );
    assert_eq!(read(&format(answers), "403", &[html], "<html>").err(), Some(UnexpectedResponse));
}

/// A user who may edit a profile could otherwise give every token of theirs scopes, another audience or a longer life.
#[test]
fn r198_user_info_says_nothing_of_the_token() {
    let body = json!({
        "sub": "alice", "groups": ["staff"], "scope": "admin", "roles": "admin", "aud": "orders-api", "exp": 1, "nbf": 9e9,
        "iss": "https://evil.example.com", "client_id": "evil", "azp": "evil", "acr": "gold", "cnf": {"jkt": "x"},
        "token_type": "refresh_token",
    });
    let claims = read(&format(json!({})), "200", &[JSON], &body.to_string()).expect("claims");
    assert_eq!(claims.asked("/sub"), Some(&json!("alice")));
    assert_eq!(claims.asked("/groups"), Some(&json!(["staff"])));
    for pointer in ["/acr", "/client_id", "/azp", "/exp"] {
        assert_eq!(claims.asked(pointer), None, "{pointer}");
    }
    assert!(!claims.has_scope("admin") && !claims.is_for_one_of(&["orders-api".to_owned()]));
    assert_eq!(claims.validity(), crate::time::Validity::default());
}
