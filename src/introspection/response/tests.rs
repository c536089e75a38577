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
    let outcome = CalloutOutcome::Response { headers: &headers, body: body.as_ref() };
    format
        .parse(outcome, &ClaimMapping::default(), at(0))
        .map(|active| active.source.jwt().unwrap_or_default().to_owned())
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

/// If anything but the boolean true would do, a server's "null" would let everybody in.
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

/// A server once answered so; the JWT was good.
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
    let outcome = CalloutOutcome::Response { headers: &twice, body: jwt.as_bytes() };
    assert_eq!(
        jwt_mode().parse(outcome, &ClaimMapping::default(), at(0)).err(),
        Some(Reason::UnexpectedResponse)
    );
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
    assert_eq!(
        jwt_mode().parse(CalloutOutcome::Lost, &ClaimMapping::default(), at(0)).err(),
        Some(Reason::Unavailable)
    );
    assert_eq!(
        jwt_mode().parse(CalloutOutcome::Oversized, &ClaimMapping::default(), at(0)).err(),
        Some(Reason::UnexpectedResponse)
    );
    let without_status = CalloutOutcome::Response { headers: &[], body: b"" };
    assert_eq!(
        jwt_mode().parse(without_status, &ClaimMapping::default(), at(0)).err(),
        Some(Reason::UnexpectedResponse)
    );
}

#[test]
fn r029_an_unsupported_token_is_the_clients_and_any_other_400_is_not() {
    let error = |error: &str| json!({"error": error, "active": true}).to_string();
    let read = |body: String| read(&jwt_mode(), "400", "application/json", body);
    assert_eq!(read(error("unsupported_token_type")), Err(Reason::Inactive));
    assert_eq!(read(error("invalid_request")), Err(Reason::UnexpectedResponse));
    assert_eq!(read("unsupported_token_type".to_owned()), Err(Reason::UnexpectedResponse));
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

/// What the server says of the token beside its JWT. If it were ignored, a token that was narrowed at the server would
/// regain what its JWT says.
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
        let outcome = CalloutOutcome::Response { headers: &headers, body: body.as_bytes() };
        let result = json_mode().parse(outcome, &ClaimMapping::default(), at(0)).and_then(|active| {
            policy.validate(&active.claims, testing::at(0))?;
            requirement.validate(&active.claims)?;
            requirement.authorize(&active.claims, testing::at(0), policy.leeway)
        });
        assert_eq!(result.err(), expected, "{beside}");
    }
}

/// An expired JWT beside a token that lives on must not be forwarded.
#[test]
fn r031_the_earlier_end_counts() {
    let jwt = testing::jwt(json!({"exp": NOW - 100}));
    let body = json!({"active": true, "jwt": jwt, "exp": NOW + 100}).to_string();
    let headers = [
        (&b":status"[..], &b"200"[..]),
        (b"content-type", b"application/json"),
        (b"cache-control", b"no-store"),
    ];
    let outcome = CalloutOutcome::Response { headers: &headers, body: body.as_bytes() };
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

/// On many servers refresh tokens are active too, and nothing else tells them from access tokens.
#[test]
fn r036_where_access_tokens_have_a_type_what_has_none_is_no_access_token() {
    let plain = format(json!({
        "introspection": {"response": {"accept": "application/json"}},
        "claim_to_headers": [{"header": "x-user", "pointer": "/sub"}],
    }));
    let read = |body: Value, requires_token_type: bool| {
        let headers = [(&b":status"[..], &b"200"[..]), (b"content-type", b"application/json")];
        let body = body.to_string();
        let outcome = CalloutOutcome::Response { headers: &headers, body: body.as_bytes() };
        let claim_mapping = ClaimMapping { requires_token_type, ..ClaimMapping::default() };
        plain.parse(outcome, &claim_mapping, at(0)).err()
    };
    let refresh_token = json!({"active": true, "sub": "alice"});
    assert_eq!(read(refresh_token.clone(), true), Some(Reason::NotAnAccessToken));
    assert_eq!(read(refresh_token, false), None);
    assert_eq!(read(json!({"active": true, "token_type": "Bearer"}), true), None);
    assert_eq!(read(json!({"active": false}), true), Some(Reason::Inactive));
}
