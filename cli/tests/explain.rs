//! What `explain` says of answers as servers give them, whole: with `active`, nothing is added to them.

#![allow(clippy::indexing_slicing, reason = "a test that is wrong may panic")]

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

/// If this failed, `explain` would report for a recorded response that a refresh token is refused although it passes, or that a
/// token passes although clients are refused.
#[test]
fn r206_recorded_answers_come_to_what_the_filter_makes_of_them() -> Result<(), Box<dyn std::error::Error>> {
    let mut wrong = Vec::new();
    for (what, edits, arguments, claims, expected) in rows() {
        let said = explained(edits, arguments, &claims)?;
        if said != expected {
            wrong.push(format!("{what}: {said}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// If this failed, `explain` could not be used with DPoP: a proof is signed for one request, at its time.
#[test]
fn r256_a_client_that_proves_possession_is_explained_as_one() -> Result<(), Box<dyn std::error::Error>> {
    let dpop = |mode: &str| json!({"dpop": {"origins": ["https://api.example.com"]}, "token": {"issuer": ISSUER, "dpop": mode}});
    let user = || json!({"iss": ISSUER, "sub": "alice", "client_id": "app"});
    let of_another = || with(user(), json!({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}));
    assert_eq!(explained(dpop("required"), &["--dpop"], &user())?, "forwarded");
    assert_eq!(explained(dpop("required"), &["--dpop", "--method", "POST"], &user())?, "forwarded");
    assert_eq!(explained(dpop("required"), &["--dpop"], &of_another())?, "confirmation_mismatch");
    assert_eq!(explained(dpop("allowed"), &[], &of_another())?, "proof_required");
    assert_eq!(explained(dpop("required"), &[], &user())?, "binding_required");
    Ok(())
}

/// What `explain` says of a request with such a token: the reason of a refusal, or what else becomes of it.
fn explained(edits: Value, arguments: &[&str], claims: &Value) -> Result<String, Box<dyn std::error::Error>> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let file =
        std::env::temp_dir().join(format!("phantom-token-explain-{}-{number}.json", std::process::id()));
    std::fs::write(&file, configured(edits).to_string())?;
    let mut child = Command::new(env!("CARGO_BIN_EXE_phantom-token"))
        .args(["explain", &file.display().to_string(), "--url", "https://api.example.com/orders"])
        .args(["--format", "json", "--claims", "-"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    child.stdin.take().ok_or("no input")?.write_all(claims.to_string().as_bytes())?;
    let output = child.wait_with_output()?;
    std::fs::remove_file(&file)?;
    let explanation: Value = serde_json::from_slice(&output.stdout)?;
    let said = explanation["reason"].as_str().or(explanation["outcome"].as_str()).ok_or("it says nothing")?;
    Ok(said.to_owned())
}

type Row = (&'static str, Value, &'static [&'static str], Value, &'static str);

fn rows() -> Vec<Row> {
    let profile = |name: &str| json!({"profile": name});
    let user = || json!({"iss": ISSUER, "aud": "orders-api", "sub": "alice", "client_id": "app", "scope": "orders:read"});
    vec![
        ("claims alone", json!({}), &[], user(), "forwarded"),
        (
            "a whole answer",
            json!({}),
            &[],
            with(user(), json!({"active": true, "token_type": "Bearer"})),
            "forwarded",
        ),
        (
            "oidc-provider, an access token",
            profile("oidc-provider"),
            &[],
            with(user(), json!({"active": true, "token_type": "Bearer"})),
            "forwarded",
        ),
        (
            "oidc-provider, a refresh token",
            profile("oidc-provider"),
            &[],
            with(user(), json!({"active": true})),
            "not_an_access_token",
        ),
        (
            "spring, a refresh token",
            profile("spring"),
            &[],
            with(user(), json!({"active": true})),
            "not_an_access_token",
        ),
        (
            "hydra, a refresh token",
            profile("plain-json"),
            &[],
            with(user(), json!({"active": true, "token_use": "refresh_token"})),
            "not_an_access_token",
        ),
        (
            "OpenIddict, a refresh token",
            profile("plain-json"),
            &[],
            with(user(), json!({"active": true, "token_usage": "refresh_token"})),
            "not_an_access_token",
        ),
        (
            "jmondi, Duende",
            profile("plain-json"),
            &[],
            with(user(), json!({"active": true, "token_type": "access_token"})),
            "forwarded",
        ),
        (
            "Doorkeeper, a user's token",
            profile("doorkeeper"),
            &[],
            json!({"active": true, "scope": "orders:read", "client_id": "app", "token_type": "Bearer"}),
            "missing_subject",
        ),
        (
            "Doorkeeper, without an end",
            profile("doorkeeper"),
            &[],
            json!({"active": true, "sub": "alice", "client_id": "app", "token_type": "Bearer", "exp": 0}),
            "forwarded",
        ),
        (
            "WSO2 (product-is#4804)",
            profile("wso2"),
            &[],
            json!({"active": true, "username": "alice", "client_id": "app"}),
            "forwarded",
        ),
        ("a dead token", profile("plain-json"), &[], json!({"active": false}), "inactive"),
        (
            "active as a text",
            profile("plain-json"),
            &[],
            with(user(), json!({"active": "true"})),
            "unexpected_response",
        ),
        (
            "Keycloak's JWT with nonce (keycloak#26893)",
            lax(),
            &["--jwt"],
            with(user(), json!({"typ": "Bearer", "azp": "app", "nonce": "n", "exp": 4_102_444_800_u64})),
            "forwarded",
        ),
        (
            "an ID token",
            lax(),
            &["--jwt"],
            json!({"iss": ISSUER, "aud": "orders-api", "sub": "alice", "nonce": "n", "exp": 4_102_444_800_u64}),
            "not_an_access_token",
        ),
        (
            "an ID token, where any JWT passes",
            with(
                lax(),
                json!({"token": {"jwts": "verify", "jwt_profile": "any", "issuer": ISSUER, "audience": ["orders-api"]}}),
            ),
            &["--jwt"],
            json!({"iss": ISSUER, "aud": "orders-api", "sub": "alice", "nonce": "n", "exp": 4_102_444_800_u64}),
            "forwarded",
        ),
        ("UserInfo", user_info(), &[], json!({"sub": "alice"}), "forwarded"),
        ("UserInfo, a dead token", user_info(), &[], json!({"active": false}), "inactive"),
        (
            "an optional token that is dead",
            json!({"rules": [{"path": "/", "access": "optional"}]}),
            &[],
            json!({"active": false}),
            "inactive",
        ),
        (
            "one of alternatives",
            json!({"rules": [{"path": "/", "any_of": [{"scopes": ["admin"]}, {"scopes": ["orders:read"]}]}]}),
            &[],
            user(),
            "forwarded",
        ),
        (
            "none of them",
            json!({"rules": [{"path": "/", "any_of": [{"scopes": ["admin"]}, {"scopes": ["staff"]}]}]}),
            &[],
            user(),
            "insufficient_scope",
        ),
    ]
}

/// Members laid over others.
fn with(mut lower: Value, upper: Value) -> Value {
    for (name, value) in upper.as_object().into_iter().flatten() {
        lower[name] = value.clone();
    }
    lower
}

fn lax() -> Value {
    json!({
        "token": {"jwts": "verify", "jwt_profile": "lax", "issuer": ISSUER, "audience": ["orders-api"]},
        "keys": {"jwks_uri": "https://login.example.com/jwks"},
    })
}

fn user_info() -> Value {
    let user_info = json!({
        "endpoint": "https://login.example.com/userinfo", "upstream": "login", "allow_any_client": true,
    });
    json!({"introspection": null, "userinfo": user_info, "token": null})
}

/// A gateway that mints, with these members; null takes one away.
fn configured(edits: Value) -> Value {
    let is_signed = edits.get("profile").and_then(Value::as_str) == Some("oidc-provider");
    let mut configuration = json!({
        "introspection": {
            "endpoint": "https://login.example.com/introspect", "upstream": "login",
            "client_id": "gateway", "client_secret": {"env": "SECRET"},
        },
        "token": {"issuer": ISSUER},
        "mint": {"issuer": "https://gateway.example.com", "audience": "orders-api", "keys": [{"private_key": {"env": "KEY"}}]},
        "rules": [{"path": "/"}],
    });
    if edits.get("profile").is_none() {
        configuration["introspection"]["response"] = json!({"accept": "application/json"});
    }
    if is_signed {
        configuration["keys"] = json!({"jwks_uri": "https://login.example.com/jwks"});
    }
    let mut configuration = with(configuration, edits);
    if let Some(members) = configuration.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    configuration
}

const ISSUER: &str = "https://login.example.com";
