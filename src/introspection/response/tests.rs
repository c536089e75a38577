use serde_json::{Value, json};

use super::*;
use crate::policy::{Requirement, Scopes};
use crate::testing::{self, NOW, at, settings, test};

fn format(edits: Value) -> ResponseFormat {
    settings(edits).servers.remove(0).introspection.expect("an endpoint").response
}

fn jwt_mode() -> ResponseFormat {
    format(json!({}))
}

fn json_mode() -> ResponseFormat {
    format(json!({"introspection": {"response": {"accept": "application/json", "jwt_field": "jwt"}}}))
}

fn read(
    format: &ResponseFormat,
    status: &str,
    media_type: &str,
    body: impl AsRef<[u8]>,
) -> Result<String, Reason> {
    let headers = [(&b":status"[..], status.as_bytes()), (b"content-type", media_type.as_bytes())];
    let outcome = CallResult::Response { headers: &headers, body: body.as_ref() };
    parse(format, outcome).map(|active| active.source.jwt().unwrap_or_default().to_owned())
}

fn parse(format: &ResponseFormat, outcome: CallResult<'_>) -> Result<ActiveToken, Reason> {
    format.parse(outcome, &ClaimMapping::default(), at(0)).map_err(|error| error.reason)
}

fn read_json(body: impl AsRef<[u8]>) -> Result<String, Reason> {
    read(&json_mode(), "200", "application/json", body)
}

#[test]
fn r039_the_body_is_the_jwt() {
    let jwt = testing::jwt(json!({}));
    assert_eq!(read(&jwt_mode(), "200", "application/jwt", &jwt), Ok(jwt.clone()));
    for media_type in ["Application/JWT", "application/jwt;charset=utf-8", "application/jwt ; x=y"] {
        assert_eq!(read(&jwt_mode(), "200", media_type, &jwt), Ok(jwt.clone()), "{media_type}");
    }
    for body in
        ["", "not a jwt", "a.b", "a.b.c", &format!("{jwt}\n"), &format!(" {jwt}"), &format!("{jwt}.x")]
    {
        assert_eq!(
            read(&jwt_mode(), "200", "application/jwt", body),
            Err(Reason::UnexpectedResponse),
            "{body:?}"
        );
    }
}

#[test]
fn r037_r042_a_member_of_the_json_is_the_jwt_and_others_are_ignored() {
    let jwt = testing::jwt(json!({}));
    assert_eq!(read_json(json!({"active": true, "jwt": jwt, "x": [1]}).to_string()), Ok(jwt.clone()));
    let absent =
        [json!({"active": true}), json!({"active": true, "jwt": null}), json!({"active": true, "JWT": jwt})];
    for body in absent {
        assert_eq!(read_json(body.to_string()), Err(Reason::MissingPhantomToken), "{body}");
    }
    // Keycloak is asked for application/jwt and answers JSON: the actual media type counts.
    let keycloak = format(json!({"introspection": {"response": {"jwt_field": "jwt"}}}));
    let body = json!({"active": true, "jwt": jwt}).to_string();
    assert_eq!(read(&keycloak, "200", "application/json", &body), Ok(jwt));
    assert_eq!(read(&jwt_mode(), "200", "application/json", &body), Err(Reason::MissingPhantomToken));
}

/// If anything but the boolean true would do, a server's "null" would let every token in.
#[test]
fn r025_only_the_boolean_true_is_active() {
    let jwt = testing::jwt(json!({}));
    assert_eq!(read_json(json!({"active": false}).to_string()), Err(Reason::Inactive));
    for active in [json!("true"), json!(1), json!(null), json!([true]), json!({})] {
        let body = json!({"active": active, "jwt": jwt});
        assert_eq!(read_json(body.to_string()), Err(Reason::UnexpectedResponse), "{body}");
    }
    assert_eq!(read_json(json!({"jwt": jwt}).to_string()), Err(Reason::UnexpectedResponse));
}

/// A server once responded so, with a valid JWT.
#[test]
fn r026_a_jwt_beside_active_false_is_worthless() {
    let body = json!({"active": false, "jwt": testing::jwt(json!({}))});
    assert_eq!(read_json(body.to_string()), Err(Reason::Inactive));
}

#[test]
fn r027_an_unexpected_media_type_is_the_servers_fault() {
    let jwt = testing::jwt(json!({}));
    for media_type in
        ["text/html", "", "application/token-introspection+jwt", "application/jwtx", "application/jwt, x"]
    {
        assert_eq!(
            read(&jwt_mode(), "200", media_type, &jwt),
            Err(Reason::UnexpectedResponse),
            "{media_type}"
        );
    }
    assert_eq!(read(&json_mode(), "200", "application/jwt", &jwt), Err(Reason::UnexpectedResponse));
    let twice = [
        (&b":status"[..], &b"200"[..]),
        (b"content-type", b"application/jwt"),
        (b"content-type", b"text/html"),
    ];
    let outcome = CallResult::Response { headers: &twice, body: jwt.as_bytes() };
    assert_eq!(parse(&jwt_mode(), outcome).err(), Some(Reason::UnexpectedResponse));
}

#[test]
fn r024_r028_r029_r030_the_status_names_the_one_at_fault() {
    let jwt = testing::jwt(json!({}));
    for (status, reason) in [
        ("204", Reason::Inactive),
        ("201", Reason::UnexpectedResponse),
        ("301", Reason::UnexpectedResponse),
        ("302", Reason::UnexpectedResponse),
        ("400", Reason::UnexpectedResponse),
        ("401", Reason::GatewayCredentialsRefused),
        ("403", Reason::GatewayCredentialsRefused),
        ("404", Reason::UnexpectedResponse),
        ("415", Reason::UnexpectedResponse),
        ("429", Reason::ServerRateLimited),
        ("500", Reason::Unavailable),
        ("503", Reason::Unavailable),
        ("504", Reason::IntrospectionTimeout),
        ("2000", Reason::Unavailable),
        ("abc", Reason::UnexpectedResponse),
        ("", Reason::UnexpectedResponse),
    ] {
        assert_eq!(read(&jwt_mode(), status, "application/jwt", &jwt), Err(reason), "{status}");
    }
    assert_eq!(read(&json_mode(), "204", "", ""), Err(Reason::UnexpectedResponse));
    assert_eq!(parse(&jwt_mode(), CallResult::Lost).err(), Some(Reason::Unavailable));
    assert_eq!(parse(&jwt_mode(), CallResult::Oversized).err(), Some(Reason::UnexpectedResponse));
    let without_status = CallResult::Response { headers: &[], body: b"" };
    assert_eq!(parse(&jwt_mode(), without_status).err(), Some(Reason::UnexpectedResponse));
}

/// Responses of servers in place of an introspection response. If an inactive token counted as the server's fault, its client would never
/// log in again; if wrong credentials of the gateway, or the page of a proxy, counted as an inactive token, all clients would be logged
/// out, and no alert would say why.
#[test]
fn r028_r029_status_media_type_and_error_say_who_is_at_fault() {
    use Reason::{GatewayCredentialsRefused, Inactive, ServerRateLimited, Unavailable, UnexpectedResponse};
    const JSON: &str = "application/json";
    for (status, media_type, body, reason) in [
        // The gateway's credentials: RFC 6749 §5.2, 400 unless `Authorization` was used (LemonLDAP::NG with client_secret_post).
        ("400", JSON, r#"{"error":"invalid_client"}"#, GatewayCredentialsRefused),
        (
            "400",
            "Application/JSON;charset=utf-8",
            r#"{"error":"invalid_client","error_description":"x"}"#,
            GatewayCredentialsRefused,
        ),
        ("400", JSON, r#"{"error":"unauthorized_client"}"#, GatewayCredentialsRefused),
        ("401", JSON, r#"{"error":"unauthorized_client"}"#, GatewayCredentialsRefused),
        ("401", JSON, r#"{"error":"invalid_client"}"#, GatewayCredentialsRefused),
        ("404", JSON, r#"{"error":"invalid_client"}"#, GatewayCredentialsRefused),
        ("401", JSON, r#"{"error":"invalid_token"}"#, GatewayCredentialsRefused),
        ("401", "", "", GatewayCredentialsRefused),
        ("401", "text/html", "<html>", GatewayCredentialsRefused),
        ("403", JSON, r#"{"error":"access_denied"}"#, GatewayCredentialsRefused),
        ("403", JSON, r#"{"error":"insufficient_scope"}"#, GatewayCredentialsRefused),
        ("403", "text/html", "<html>", GatewayCredentialsRefused),
        // An inactive token: RFC 7009 §2.2.1 registers the first error, which oidc-provider sends. The second is from RFC 6750 §3.1, as
        // sent by GluuFederation/oxAuth#929 and by `check_token` of Spring Security OAuth and UAA: with another status than there, so it is
        // not about the gateway.
        ("400", JSON, r#"{"error":"unsupported_token_type"}"#, Inactive),
        ("400", JSON, r#"{"error":"invalid_token","error_description":"Token has expired"}"#, Inactive),
        // In the RFC's own words, with a wrong status: django-oauth/django-oauth-toolkit#698 and #1011, dexidp/dex#3441.
        ("401", JSON, r#"{"active":false}"#, Inactive),
        ("400", JSON, r#"{"active":false,"error":"x"}"#, Inactive),
        ("404", JSON, r#"{"active": false}"#, Inactive),
        // JSON with a media type of its own (RFC 6839, RFC 9457), which some frameworks use for every error.
        ("400", "application/problem+json", r#"{"title":"Bad Request","error":"invalid_token"}"#, Inactive),
        ("400", "application/vnd.error+json", r#"{"error":"invalid_client"}"#, GatewayCredentialsRefused),
        ("404", "application/problem+json", r#"{"title":"Not Found","status":404}"#, UnexpectedResponse),
        ("400", "text/x+json", r#"{"error":"invalid_token"}"#, UnexpectedResponse),
        ("401", JSON, r#"{"active":false,"error":"invalid_client"}"#, GatewayCredentialsRefused),
        ("401", JSON, r#"{"active":"false"}"#, GatewayCredentialsRefused),
        ("400", JSON, r#"{"active":null}"#, UnexpectedResponse),
        ("400", "text/html", r#"{"active":false}"#, UnexpectedResponse),
        ("500", JSON, r#"{"active":false}"#, Unavailable),
        ("302", JSON, r#"{"active":false}"#, UnexpectedResponse),
        // Neither: a wrong request, a wrong path, a page of an intermediary.
        ("400", JSON, r#"{"error":"invalid_request"}"#, UnexpectedResponse),
        ("400", JSON, r#"{"error":"invalid_grant"}"#, UnexpectedResponse),
        ("400", JSON, r#"{"error":"Invalid_Token"}"#, UnexpectedResponse),
        ("400", JSON, r#"{"error":["invalid_token"]}"#, UnexpectedResponse),
        ("400", JSON, r#"{"error":{"code":"invalid_client"}}"#, UnexpectedResponse),
        ("400", JSON, r#"{"error":"invalid_token","error":"invalid_client"}"#, UnexpectedResponse),
        ("400", JSON, r#"["invalid_token"]"#, UnexpectedResponse),
        ("400", JSON, "invalid_token", UnexpectedResponse),
        ("400", JSON, "", UnexpectedResponse),
        ("400", "text/html", r#"{"error":"invalid_token"}"#, UnexpectedResponse),
        ("400", "text/plain", r#"{"error":"invalid_client"}"#, UnexpectedResponse),
        ("404", JSON, r#"{"error":"not_found"}"#, UnexpectedResponse),
        ("404", "text/html", "<html>", UnexpectedResponse),
        ("404", "", "", UnexpectedResponse),
        ("405", "text/html", "<html>", UnexpectedResponse),
        ("406", "", "", UnexpectedResponse),
        ("200", JSON, r#"{"error":"invalid_token"}"#, UnexpectedResponse),
        ("200", "text/html", "<html>", UnexpectedResponse),
        // The server is unavailable, whatever it says.
        ("429", JSON, r#"{"error":"invalid_client"}"#, ServerRateLimited),
        ("503", JSON, r#"{"error":"invalid_token"}"#, Unavailable),
        ("500", JSON, r#"{"error":"invalid_client"}"#, Unavailable),
    ] {
        for format in [jwt_mode(), json_mode()] {
            assert_eq!(read(&format, status, media_type, body), Err(reason), "{status} {media_type} {body}");
        }
    }
}

/// Where the gateway itself presents a token, `invalid_token` may be about that one.
#[test]
fn r028_an_invalid_token_is_not_the_clients_where_the_gateway_presents_one() {
    let bearer = json!({"auth_method": "bearer_token", "bearer_token": "abc", "client_id": null, "client_secret": null});
    let format = format(json!({"introspection": bearer}));
    let read = |error: &str| read(&format, "400", "application/json", json!({"error": error}).to_string());
    assert_eq!(read("invalid_token"), Err(Reason::UnexpectedResponse));
    assert_eq!(read("unsupported_token_type"), Err(Reason::Inactive));
}

/// Responses about an inactive token that could be about the gateway, where the operator, or a profile, says what they mean:
/// GluuFederation/oxAuth#951 and #1916, JanssenProject/jans#9093, ory/hydra#457.
#[test]
fn r195_a_dead_token_can_be_an_error_where_that_is_said() {
    use Reason::{GatewayCredentialsRefused, Inactive, ServerRateLimited, UnexpectedResponse};
    const JSON: &str = "application/json";
    let with = |answers: Value| format(json!({"introspection": {"response": {"inactive_answers": answers}}}));
    let profile = |name: &str| {
        format(json!({
            "profile": name, "token": {"issuer": "https://a"}, "keys": {"jwks_uri": "https://a/jwks"},
            "claim_to_headers": [{"header": "x-user", "pointer": "/sub"}],
        }))
    };
    let denied = r#"{"error":"access_denied"}"#;
    let named = with(json!([{"status": 404}, {"status": 403, "error": "access_denied"}]));
    for (format, status, media_type, body, reason) in [
        (&named, "404", JSON, r#"{"error":"not_found"}"#, Inactive),
        (&named, "404", JSON, "{}", Inactive),
        (&named, "404", "application/problem+json", r#"{"title":"Not Found","status":404}"#, Inactive),
        (&named, "404", "", "", Inactive),
        // A wrong path does not mean an inactive token.
        (&named, "404", "text/html", "<html>", UnexpectedResponse),
        (&named, "404", "text/plain", "404 page not found", UnexpectedResponse),
        (&named, "404", JSON, "not JSON", UnexpectedResponse),
        (&named, "404", JSON, r#"{"error":"invalid_client"}"#, GatewayCredentialsRefused),
        (&named, "403", JSON, denied, Inactive),
        (&named, "403", JSON, r#"{"error":"other"}"#, GatewayCredentialsRefused),
        (&named, "403", "", "", GatewayCredentialsRefused),
        (&named, "403", "text/html", denied, GatewayCredentialsRefused),
        (&named, "401", JSON, denied, GatewayCredentialsRefused),
        (&named, "429", JSON, denied, ServerRateLimited),
        (&named, "400", JSON, r#"{"error":"invalid_token"}"#, Inactive),
        (&profile("gluu"), "400", JSON, r#"{"error":"invalid_token"}"#, Inactive),
        (&profile("gluu"), "401", JSON, denied, Inactive),
        (&profile("gluu"), "401", JSON, r#"{"error":"invalid_client"}"#, GatewayCredentialsRefused),
        (&profile("janssen"), "401", JSON, denied, Inactive),
        (&profile("janssen"), "403", JSON, denied, Inactive),
        (&profile("janssen"), "403", "text/html", denied, GatewayCredentialsRefused),
        (&profile("janssen"), "404", JSON, denied, Inactive),
        (&profile("janssen"), "404", "text/html", "<html>", UnexpectedResponse),
    ] {
        assert_eq!(read(format, status, media_type, body), Err(reason), "{status} {media_type} {body}");
    }
}

/// Each of these is read differently by some parser. If one passed, gateway and service could disagree about a token.
#[test]
fn r030_json_that_means_two_things_is_the_servers_fault() {
    let jwt = testing::jwt(json!({}));
    let deep = format!(r#"{{"active":true,"jwt":"{jwt}","x":{}{}}}"#, "[".repeat(200), "]".repeat(200));
    for body in [
        format!(r#"{{"active":false,"active":true,"jwt":"{jwt}"}}"#),
        format!(r#"{{"active":true,"jwt":"x","jwt":"{jwt}"}}"#),
        format!(r#"{{"active":true,"jwt":"{jwt}","x":{{"a":1,"a":2}}}}"#),
        format!(r#"{{"active":true,"jwt":"{jwt}"}} trailing"#),
        format!(r#"{{"active":true,"jwt":"{jwt}""#),
        format!(r#"[{{"active":true,"jwt":"{jwt}"}}]"#),
        deep,
        String::new(),
    ] {
        assert_eq!(read_json(&body), Err(Reason::UnexpectedResponse), "{body}");
    }
    assert_eq!(read_json(b"{\"active\":true,\"x\":\"\xff\"}"), Err(Reason::UnexpectedResponse));
}

#[test]
fn r036_what_says_that_it_is_no_access_token_is_refused() {
    let jwt = testing::jwt(json!({}));
    let with = |name: &str, value: serde_json::Value| {
        let mut body = json!({"active": true, "jwt": jwt});
        body[name] = value;
        read_json(body.to_string())
    };
    for (name, value) in
        [("token_type", "Bearer"), ("token_type", "bearer"), ("token_use", "access_token"), ("typ", "Bearer")]
    {
        assert!(with(name, json!(value)).is_ok(), "{name}: {value}");
    }
    for (name, value) in [
        ("token_type", json!("refresh_token")),
        ("token_type", json!(5)),
        ("token_use", json!("refresh_token")),
        ("typ", json!("Refresh")),
        ("typ", json!("ID")),
    ] {
        assert_eq!(with(name, value.clone()), Err(Reason::NotAnAccessToken), "{name}: {value}");
    }
    for (name, value) in [("token_type", json!("DPoP")), ("cnf", json!({"kid": "x"}))] {
        assert_eq!(with(name, value.clone()), Err(Reason::ProofRequired), "{name}: {value}");
    }
}

/// The server's claims about the token beside its JWT. If they were ignored, a token that was narrowed at the server would regain what its
/// JWT says.
#[test]
fn r031_r033_r034_r035_claims_beside_the_jwt_count_too() {
    let policy = settings(json!({"token": {"audience": ["orders-api"], "leeway": "0s"}}))
        .servers
        .remove(0)
        .token
        .policy;
    let requirement = Requirement {
        conditions: vec![Scopes::new(vec!["orders:read".to_owned()]).expect("a scope").into()],
        ..Requirement::default()
    };
    for (beside, expected) in [
        (json!({}), None),
        (
            json!({"exp": null, "aud": null, "scope": null, "cnf": null, "token_type": null, "nbf": null}),
            None,
        ),
        (json!({"exp": NOW + 1, "nbf": NOW, "iss": "https://login.example.com"}), None),
        (json!({"aud": ["orders-api", "x"], "scope": "orders:read"}), None),
        (json!({"exp": NOW}), Some(Reason::Expired)),
        (json!({"exp": NOW as f64 + 0.5, "nbf": NOW as f64 + 0.25}), Some(Reason::NotYetValid)),
        (json!({"nbf": NOW + 1}), Some(Reason::NotYetValid)),
        (json!({"iss": "https://evil.example.com"}), Some(Reason::UnexpectedResponse)),
        (json!({"aud": "x"}), Some(Reason::WrongAudience)),
        (json!({"scope": "profile"}), Some(Reason::InsufficientScope)),
        (json!({"exp": "tomorrow"}), Some(Reason::UnexpectedResponse)),
        (json!({"nbf": "tomorrow"}), Some(Reason::UnexpectedResponse)),
        (json!({"scope": ["orders:read"]}), Some(Reason::UnexpectedResponse)),
    ] {
        let mut body = json!({"active": true, "jwt": testing::jwt(json!({}))});
        for (name, value) in beside.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let body = body.to_string();
        let headers = [(&b":status"[..], &b"200"[..]), (b"content-type", b"application/json")];
        let outcome = CallResult::Response { headers: &headers, body: body.as_bytes() };
        let result = parse(&json_mode(), outcome).and_then(|active| {
            policy.validate(&active.claims, testing::at(0))?;
            requirement.validate(&active.claims)?;
            requirement.authorize(&active.claims, testing::at(0), policy.leeway)
        });
        assert_eq!(result.err(), expected, "{beside}");
    }
}

/// An expired JWT must not be forwarded, even if the token itself is valid for longer.
#[test]
fn r031_the_earlier_end_counts() {
    let jwt = testing::jwt(json!({"exp": NOW - 100}));
    let body = json!({"active": true, "jwt": jwt, "exp": NOW + 100}).to_string();
    let headers = [
        (&b":status"[..], &b"200"[..]),
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
    ];
    let outcome = CallResult::Response { headers: &headers, body: body.as_bytes() };
    let active = json_mode().parse(outcome, &ClaimMapping::default(), at(0)).expect("active");
    assert!(active.claims.validity().has_expired(testing::at(0), std::time::Duration::ZERO));
    assert_eq!(
        active.freshness,
        Freshness::of(&[(b"cache-control", b"no-store")], at(0)),
        "no-store counts in JSON mode (R51)"
    );
}

#[test]
fn r079_a_jwt_has_a_limit_and_is_never_cut() {
    let format = self::format(json!({"introspection": {"response": {"max_jwt_length": 1000}}}));
    let long = testing::jwt(json!({"pad": "x".repeat(1000)}));
    assert_eq!(read(&format, "200", "application/jwt", &long), Err(Reason::PhantomTokenTooLong));
    assert_eq!(format.body_limit(), 64 * 1024);
    assert_eq!(jwt_mode().body_limit(), 128 * 1024);
}

/// On many servers refresh tokens are active too, and nothing else distinguishes them from access tokens.
#[test]
fn r036_where_access_tokens_have_a_type_what_has_none_is_no_access_token() {
    let plain = format(json!({
        "introspection": {"response": {"accept": "application/json"}},
        "claim_to_headers": [{"header": "x-user", "pointer": "/sub"}],
    }));
    let read = |body: Value, requires_token_type: bool| {
        let headers = [(&b":status"[..], &b"200"[..]), (b"content-type", b"application/json")];
        let body = body.to_string();
        let outcome = CallResult::Response { headers: &headers, body: body.as_bytes() };
        let claim_mapping = ClaimMapping { requires_token_type, ..ClaimMapping::default() };
        plain.parse(outcome, &claim_mapping, at(0)).map_err(|error| error.reason).err()
    };
    let refresh_token = json!({"active": true, "sub": "alice"});
    assert_eq!(read(refresh_token.clone(), true), Some(Reason::NotAnAccessToken));
    assert_eq!(read(refresh_token, false), None);
    assert_eq!(read(json!({"active": true, "token_type": "Bearer"}), true), None);
    assert_eq!(read(json!({"active": false}), true), Some(Reason::Inactive));
}
