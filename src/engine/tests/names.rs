//! Scenarios with the issuer, the audience and the client of a token: in the JWT, beside it, or missing.

use serde_json::{Value, json};

use super::{Asked, Worker, bearer};
use crate::host::NoSharedData;
use crate::testing::signer::{key_set, sign, signed_jwt};
use crate::testing::{self, NOW, test};

const OUTER: &str = "https://login.example.com";
const INNER: &str = "http://keycloak.internal:8080/realms/example";

/// Returns the outcome of a request for this introspection response.
fn answered(configuration: &Value, body: &Value) -> String {
    let mut worker = Worker::new(configuration.clone(), &NoSharedData);
    worker.answer =
        ("200".to_owned(), body.to_string(), vec![("content-type", "application/json".to_owned())]);
    match worker.get(0, "t") {
        forwarded if forwarded.starts_with(['B', '[']) => "forwarded".to_owned(),
        reason => reason,
    }
}

/// Returns the outcome of a request with this JWT, signed by one of the server's keys.
fn presented(edits: Value, token: &str) -> String {
    let mut configuration = json!({
        "token": {"issuer": OUTER, "jwts": "verify", "jwt_profile": "lax"},
        "keys": {"jwks_uri": "https://login.example.com/jwks"},
    });
    testing::merge(&mut configuration, edits);
    let mut worker = Worker::new(configuration, &NoSharedData);
    worker.keys = key_set("k1");
    match worker.get(0, token) {
        forwarded if forwarded == bearer(token) => "forwarded".to_owned(),
        reason => reason,
    }
}

fn token(edits: Value) -> String {
    let mut claims = testing::claims();
    testing::merge(&mut claims, edits);
    signed_jwt("k1", &claims)
}

/// Members beside a JWT describe the token as well. If they were ignored where the JWT lacks them, a token of another issuer or for another
/// API would pass because its JWT does not say so.
#[test]
fn r033_r166_r167_what_is_said_beside_the_jwt_alone_counts_against_it() {
    let configured = |edits: Value| {
        let mut token = json!({"issuer": OUTER, "audience": ["orders-api"]});
        testing::merge(&mut token, edits);
        json!({"introspection": {"response": {"accept": "application/json", "jwt_field": "jwt"}}, "token": token,
            "claim_to_headers": [{"header": "x-user", "pointer": "/sub"}]})
    };
    let (strict, no_iss, no_aud, unchecked) = (
        configured(json!({})),
        configured(json!({"allow_missing_iss": true})),
        configured(json!({"allow_missing_aud": true})),
        configured(json!({"issuer": null, "audience": null})),
    );
    for (configuration, jwt, beside, expected) in [
        (&no_iss, json!({"iss": null}), json!({}), "forwarded"),
        (&no_iss, json!({"iss": null}), json!({"iss": OUTER}), "forwarded"),
        (&no_iss, json!({"iss": null}), json!({"iss": "https://other.test"}), "wrong_issuer"),
        (&strict, json!({"iss": null}), json!({"iss": OUTER}), "wrong_issuer"),
        // By the server's own response, another issuer issued the token: not the server's fault.
        (&strict, json!({}), json!({"iss": "https://other.test"}), "wrong_issuer"),
        (&strict, json!({"iss": "https://other.test"}), json!({"iss": OUTER}), "wrong_issuer"),
        (&unchecked, json!({}), json!({"iss": "https://other.test"}), "unexpected_response"),
        (&unchecked, json!({"iss": null}), json!({"iss": "https://other.test"}), "forwarded"),
        (&no_aud, json!({"aud": null}), json!({}), "forwarded"),
        (&no_aud, json!({"aud": null}), json!({"aud": ["x", "orders-api"]}), "forwarded"),
        (&no_aud, json!({"aud": null}), json!({"aud": "payments-api"}), "wrong_audience"),
        (&no_aud, json!({"aud": "payments-api"}), json!({}), "wrong_audience"),
        (&no_aud, json!({"aud": "payments-api"}), json!({"aud": []}), "wrong_audience"),
        (&no_aud, json!({}), json!({"aud": []}), "wrong_audience"),
        (&no_aud, json!({}), json!({"aud": "payments-api"}), "wrong_audience"),
        (&no_aud, json!({"aud": []}), json!({"aud": "orders-api"}), "wrong_audience"),
        (&strict, json!({"aud": null}), json!({"aud": "orders-api"}), "wrong_audience"),
        (&strict, json!({"exp": null}), json!({"exp": NOW - 10}), "expired"),
        (&strict, json!({}), json!({"nbf": NOW + 10}), "not_yet_valid"),
        (&strict, json!({}), json!({"cnf": {"jkt": "k"}}), "proof_required"),
        (&strict, json!({}), json!({"sub": "alice"}), "forwarded"),
        (&strict, json!({}), json!({"sub": "bob"}), "unexpected_response"),
        (&strict, json!({"sub": null}), json!({"sub": "bob"}), "forwarded"),
    ] {
        let mut body = json!({"active": true, "jwt": token(jwt.clone())});
        testing::merge(&mut body, beside.clone());
        assert_eq!(answered(configuration, &body), expected, "{jwt} beside {beside}");
    }
}

/// If the client were not checked on both sides, a token that the server assigns to one client would pass as another's.
#[test]
fn r163_r167_the_client_is_one_of_those_that_may_call() {
    let plain = json!({
        "introspection": {"response": {"accept": "application/json"}},
        "token": {"clients": ["app", "other"]},
        "claim_to_headers": [{"header": "x-user", "pointer": "/sub"}],
    });
    let mut by_azp = plain.clone();
    testing::merge(&mut by_azp, json!({"token": {"client_claim": "azp"}}));
    let mut with_jwt = plain.clone();
    testing::merge(&mut with_jwt, json!({"introspection": {"response": {"jwt_field": "jwt"}}}));
    let mut with_jwt_by_azp = with_jwt.clone();
    testing::merge(&mut with_jwt_by_azp, json!({"token": {"client_claim": "azp"}}));
    for (configuration, body, expected) in [
        (&plain, json!({"client_id": "app"}), "forwarded"),
        (&plain, json!({"client_id": "third"}), "wrong_client"),
        (&plain, json!({"client_id": ["app"]}), "wrong_client"),
        (&plain, json!({"azp": "app"}), "wrong_client"),
        (&plain, json!({}), "wrong_client"),
        (&by_azp, json!({"azp": "app"}), "forwarded"),
        (&by_azp, json!({"client_id": "app"}), "wrong_client"),
        (&with_jwt, json!({"jwt": token(json!({"client_id": "app"}))}), "forwarded"),
        (&with_jwt, json!({"jwt": token(json!({})), "client_id": "app"}), "wrong_client"),
        (
            &with_jwt,
            json!({"jwt": token(json!({"client_id": "app"})), "client_id": "third"}),
            "unexpected_response",
        ),
        (
            &with_jwt_by_azp,
            json!({"jwt": token(json!({"azp": "app"})), "azp": "third"}),
            "unexpected_response",
        ),
    ] {
        let mut body = body;
        body["active"] = json!(true);
        assert_eq!(answered(configuration, &body), expected, "{body}");
    }
}

/// Access tokens of AWS Cognito have no `aud`; its ID tokens have one, and no `client_id`.
#[test]
fn r163_a_presented_jwt_without_audience_is_its_clients() {
    let clients = json!({"token": {"clients": ["app"]}});
    let of_cognito = |edits: Value| {
        let mut claims = testing::claims();
        testing::merge(
            &mut claims,
            json!({"token_use": "access", "client_id": "app", "aud": null, "username": "alice"}),
        );
        testing::merge(&mut claims, edits);
        sign("ES256", &json!({"alg": "ES256", "kid": "k1"}), &claims.to_string(), b"")
    };
    for (edits, expected) in [
        (json!({}), "forwarded"),
        (json!({"aud": "orders-api"}), "forwarded"),
        (json!({"client_id": "third"}), "wrong_client"),
        (json!({"token_use": "id", "aud": "app"}), "not_an_access_token"),
        (json!({"iss": INNER}), "wrong_issuer"),
    ] {
        assert_eq!(presented(clients.clone(), &of_cognito(edits.clone())), expected, "{edits}");
    }
    // Clerk's session tokens have the page's origin in `azp`, and no `aud`.
    let of_clerk = json!({
        "token": {"jwt_profile": "any", "clients": ["https://app.example.com"], "client_claim": "azp"},
    });
    for (azp, expected) in
        [("https://app.example.com", "forwarded"), ("https://evil.example.com", "wrong_client")]
    {
        let claims =
            json!({"iss": OUTER, "sub": "user_1", "sid": "s", "azp": azp, "iat": NOW, "exp": NOW + 60});
        let session =
            sign("ES256", &json!({"alg": "ES256", "kid": "k1", "typ": "JWT"}), &claims.to_string(), b"");
        assert_eq!(presented(of_clerk.clone(), &session), expected, "{azp}");
    }
    let both = json!({"token": {"clients": ["app"], "audience": ["orders-api"], "allow_missing_aud": true}});
    assert_eq!(presented(both.clone(), &token(json!({"client_id": "app"}))), "forwarded");
    assert_eq!(presented(both, &token(json!({"client_id": "app", "aud": null}))), "wrong_audience");
    let strict = json!({
        "token": {"issuer": OUTER, "jwts": "verify", "clients": ["app"]},
        "keys": {"jwks_uri": "https://login.example.com/jwks"},
    });
    let errors = testing::parse(&testing::configured(strict)).expect_err("an error").to_string();
    assert_eq!(errors, "token.jwts: verify needs token.issuer, token.audience and keys (RFC 9068 §4)");
}

/// LemonLDAP::NG issues JWTs with `aud`, and opaque tokens for which it responds without `aud`.
#[test]
fn r166_an_answer_may_lack_the_audience_that_a_presented_jwt_must_have() {
    let configuration = |allows: bool| {
        json!({
            "introspection": {"response": {"accept": "application/json"}},
            "token": {"audience": ["orders-api"], "allow_missing_aud": allows},
            "claim_to_headers": [{"header": "x-user", "pointer": "/sub"}],
            "rules": [{"path": "/"}],
        })
    };
    let opaque = json!({"active": true, "sub": "alice", "iss": OUTER});
    assert_eq!(answered(&configuration(true), &opaque), "forwarded");
    assert_eq!(answered(&configuration(false), &opaque), "wrong_audience");
    // ory/hydra, reference of introspectOAuth2Token: no audience was requested.
    let empty = json!({"active": true, "sub": "alice", "iss": OUTER, "aud": []});
    assert_eq!(answered(&configuration(true), &empty), "forwarded");
    assert_eq!(answered(&configuration(false), &empty), "wrong_audience");
    let mut of_rule = configuration(true);
    of_rule["rules"] = json!([{"path": "/", "audience": ["orders-api"]}]);
    assert_eq!(answered(&of_rule, &opaque), "wrong_audience", "the rule asks for it");
    let verifying = json!({"token": {"audience": ["orders-api"], "allow_missing_aud": true}});
    assert_eq!(presented(verifying.clone(), &token(json!({}))), "forwarded");
    for aud in [json!(null), json!([]), json!("")] {
        assert_eq!(presented(verifying.clone(), &token(json!({"aud": aud}))), "wrong_audience", "{aud}");
    }
}

/// keycloak#15694, quarkus#16294: services reach the server by its internal name, browsers by its external one, and `iss` may contain
/// either.
#[test]
fn r104_r164_a_server_has_the_names_that_the_operator_lists_and_no_other() {
    let names = json!({"token": {"audience": ["orders-api"], "issuer_aliases": [INNER]}});
    for (iss, expected) in [
        (OUTER, "forwarded"),
        (INNER, "forwarded"),
        ("http://keycloak.internal:8080/realms/other", "wrong_issuer"),
    ] {
        assert_eq!(presented(names.clone(), &token(json!({"iss": iss}))), expected, "{iss}");
        let mut configuration = names.clone();
        testing::merge(
            &mut configuration,
            json!({
                "introspection": {"response": {"accept": "application/json", "jwt_field": "jwt"}}, "token": {"issuer": OUTER},
            }),
        );
        for beside in [OUTER, INNER] {
            let body = json!({"active": true, "iss": beside, "jwt": token(json!({"iss": iss}))});
            assert_eq!(answered(&configuration, &body), expected, "{iss} beside {beside}");
        }
    }
    for (issuer, expected) in
        [(OUTER, "forwarded"), (INNER, "forwarded"), ("https://other.test", "jwks_unavailable")]
    {
        let metadata_url = "http://keycloak.internal:8080/.well-known/openid-configuration";
        let mut configuration = names.clone();
        testing::merge(
            &mut configuration,
            json!({
                "token": {"issuer": OUTER, "jwts": "verify", "jwt_profile": "lax"}, "keys": {"metadata_url": metadata_url},
            }),
        );
        let mut worker = Worker::new(configuration, &NoSharedData);
        worker.keys = key_set("k1");
        worker.metadata =
            json!({"issuer": issuer, "jwks_uri": "http://keycloak.internal:8080/keys"}).to_string();
        let token = token(json!({"iss": INNER}));
        let outcome = worker.get(0, &token);
        let outcome = if outcome == bearer(&token) { "forwarded".to_owned() } else { outcome };
        assert_eq!(outcome, expected, "{issuer}");
        assert_eq!(worker.asked.first(), Some(&Asked::Metadata));
    }
    let alone = json!({"token": {"issuer_aliases": [INNER]}});
    let errors = testing::parse(&testing::configured(alone)).expect_err("an error").to_string();
    assert_eq!(errors, "token.issuer_aliases: needs token.issuer");
}

/// Doorkeeper responds like this for a token that never expires (doorkeeper#1818). Literally, it expired in 1970.
#[test]
fn r165_an_end_in_1970_is_none_only_where_the_operator_says_so() {
    let configuration = |edits: Value| {
        let mut token = json!({"issuer": OUTER, "allow_missing_iss": true});
        testing::merge(&mut token, edits);
        json!({
            "introspection": {"response": {"accept": "application/json"}}, "token": token,
            "claim_to_headers": [{"header": "x-user", "pointer": "/sub"}],
        })
    };
    let allowed = configuration(json!({"allow_zero_exp": true}));
    for (configuration, exp, expected) in [
        (&configuration(json!({})), json!(0), "expired"),
        (&allowed, json!(0), "forwarded"),
        (&allowed, json!(0.0), "forwarded"),
        (&allowed, json!(1), "expired"),
        (&allowed, json!(-1), "expired"),
        (&allowed, json!("0"), "unexpected_response"),
        (
            &configuration(json!({"allow_zero_exp": true, "require_exp": true})),
            json!(0),
            "missing_expiration",
        ),
    ] {
        assert_eq!(
            answered(configuration, &json!({"active": true, "sub": "alice", "exp": exp})),
            expected,
            "{exp}"
        );
    }
    let verifying = json!({"token": {"audience": ["orders-api"], "allow_zero_exp": true}});
    assert_eq!(presented(verifying, &token(json!({"exp": 0}))), "expired");
}
