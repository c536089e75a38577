//! Scenarios with authorization servers that respond without a JWT, so that the gateway mints one.

use serde_json::{Value, json};

use super::Worker;
use crate::host::NoSharedData;
use crate::http::request_head::RequestHead;
use crate::jwt::{Algorithm, Jws, KeySet};
use crate::testing::signer::{ed25519, p256, public};
use crate::testing::{self, MemorySharedData, NOW, test};

fn configuration(edits: Value) -> Value {
    let mut configuration = json!({
        "introspection": {"response": {"accept": "application/json"}},
        "cache": {"max_ttl": "1h"},
        "mint": {
            "issuer": "https://gateway.example.com",
            "keys": [
                {"private_key": p256().to_string(), "key_id": "now"},
                {"private_key": ed25519().to_string(), "key_id": "next"},
            ],
            "audience": "orders-api",
            "claims": [{"name": "department", "pointer": "/department"}],
        },
        "rules": [
            {"path": "/"},
            {"path": "/billing", "mint": {"audience": "billing-api", "claims": [{"name": "vat", "pointer": "/ext/vat"}]}},
        ],
    });
    testing::merge(&mut configuration, edits);
    configuration
}

fn answer(edits: Value) -> (String, String, Vec<(&'static str, String)>) {
    let mut claims = json!({
        "active": true, "sub": "alice", "client_id": "app", "scope": "a b", "exp": NOW + 3600, "iat": NOW,
        "department": "sales", "ext": {"vat": "CH-1"}, "mail": "alice@example.com",
    });
    testing::merge(&mut claims, edits);
    ("200".to_owned(), claims.to_string(), vec![("content-type", "application/json".to_owned())])
}

/// Returns the claims of the JWT that is forwarded with a request, verified by the keys that the gateway publishes.
fn minted(worker: &mut Worker<'_>, seconds: u64, path: &str, token: &str) -> Value {
    let authorization = worker.request(seconds, "GET", path, Some(&format!("Bearer {token}")));
    let jwt = authorization.strip_prefix("Bearer ").unwrap_or_else(|| panic!("{authorization}"));
    let keys = json!({"keys": [public(&p256(), json!({"kid": "now"}))]}).to_string();
    let keys = KeySet::parse(keys.as_bytes(), Algorithm::ASYMMETRIC).expect("a set");
    let jws = Jws::parse(jwt).expect("a JWS");
    assert_eq!(keys.verify(&jws).map(|_| ()), Ok(()));
    assert_eq!(jws.media_type().as_deref(), Some("at+jwt"));
    serde_json::from_str(&super::keys::claims_of(jwt)).expect("claims")
}

/// If a JWT contained more than its API needs, personal data would spread to every service; if it had the audience of another API, one API
/// could call another in the user's name.
#[test]
fn r042_r108_a_jwt_is_minted_for_one_audience_with_what_it_needs() {
    let mut worker = Worker::new(configuration(json!({})), &NoSharedData);
    worker.answer = answer(json!({}));
    let mut claims = minted(&mut worker, 0, "/", "t");
    let id = claims["jti"].take();
    assert!(id.as_str().is_some_and(|id| id.len() == 22), "{id}");
    let expected = json!({
        "iss": "https://gateway.example.com", "aud": "orders-api", "sub": "alice", "client_id": "app", "scope": "a b",
        "iat": NOW, "exp": NOW + 300, "jti": null, "department": "sales",
    });
    assert_eq!(claims, expected);
    let billing = minted(&mut worker, 0, "/billing", "t");
    assert_eq!((&billing["aud"], &billing["vat"]), (&json!("billing-api"), &json!("CH-1")));
    assert_eq!((billing.get("department"), billing.get("mail")), (None, None));
    assert_eq!(worker.introspections(), 1);
}

#[test]
fn r108_it_lives_shortly_and_no_longer_than_the_token() {
    let mut worker = Worker::new(configuration(json!({"mint": {"client_as_subject": true}})), &NoSharedData);
    worker.answer = answer(json!({"exp": NOW + 400}));
    let first = minted(&mut worker, 0, "/", "t");
    assert_eq!(minted(&mut worker, 224, "/", "t"), first, "a hit signs nothing");
    let second = minted(&mut worker, 225, "/", "t");
    assert_ne!(second["jti"], first["jti"], "services still have time with it");
    assert_eq!(second["exp"], NOW + 400, "the token's own end");
    assert_eq!(
        minted(&mut worker, 399, "/", "t"),
        second,
        "not minted anew with every request of the last minutes"
    );
    assert_eq!(worker.request(0, "GET", "/", None), "missing_credentials");
    worker.answer = answer(json!({"exp": null, "sub": null}));
    let without = minted(&mut worker, 0, "/", "u");
    assert_eq!(
        (&without["exp"], &without["sub"]),
        (&json!(NOW + 300), &json!("app")),
        "the client, where there is no user"
    );
    worker.answer = answer(json!({"client_id": null, "sub": null}));
    assert_eq!(worker.get(0, "v"), "missing_subject", "nobody to speak of");
}

/// Checks the outcome of requests for these introspection responses: the `sub` of the JWT, or the reason of the refusal.
fn named(configuration: Value, cases: &[(Value, &str)]) {
    let mut worker = Worker::new(configuration, &NoSharedData);
    for (index, (edits, expected)) in cases.iter().enumerate() {
        worker.answer = answer(edits.clone());
        let outcome = worker.get(0, &format!("token{index}"));
        let outcome = match outcome.strip_prefix("Bearer ") {
            Some(jwt) => {
                let claims: Value = serde_json::from_str(&super::keys::claims_of(jwt)).expect("claims");
                format!("{}", claims["sub"])
            }
            None => outcome,
        };
        assert_eq!(outcome, *expected, "{edits}");
    }
}

/// Services give access to the data of the user in `sub`. If an absent or mistyped claim were replaced by another identity, all
/// users of an app would be one, and could do what the app may do in its own name (RFC 9068 §5).
#[test]
fn r125_an_identity_that_is_absent_or_mistyped_is_never_replaced_by_another() {
    let of_users = [
        (json!({}), r#""alice""#),
        (json!({"username": "alice@example.com"}), r#""alice""#),
        // As django-oauth-toolkit responds: the user's name is in another claim.
        (json!({"sub": null, "username": "alice"}), "missing_subject"),
        (json!({"sub": null, "username": ""}), "missing_subject"),
        (json!({"sub": null, "username": ["alice"]}), "missing_subject"),
        (json!({"sub": null, "user_name": "alice"}), "missing_subject"),
        (json!({"sub": null, "user_id": 7}), "missing_subject"),
        (json!({"sub": null, "uid": "alice"}), "missing_subject"),
        (json!({"sub": null, "email": "alice@example.com"}), "missing_subject"),
        (json!({"sub": null, "preferred_username": "alice"}), "missing_subject"),
        (json!({"sub": null, "upn": "alice@example.com"}), "missing_subject"),
        (json!({"sub": null, "userName": "alice"}), "missing_subject"),
        (json!({"sub": null, "userId": 7}), "missing_subject"),
        (json!({"sub": null, "user": {"id": 7}}), "missing_subject"),
        // doorkeeper-gem/doorkeeper, TokensController#info.
        (json!({"sub": null, "resource_owner_id": 7}), "missing_subject"),
    ];
    named(configuration(json!({})), &of_users);
    named(configuration(json!({"mint": {"client_as_subject": true}})), &of_users);
    named(
        configuration(json!({"mint": {"client_as_subject": true}})),
        &[
            (json!({"sub": "", "username": "alice"}), "missing_subject"),
            (json!({"sub": 42}), "unexpected_response"),
            (json!({"sub": false}), "unexpected_response"),
            (json!({"sub": ["alice"]}), "unexpected_response"),
            (json!({"sub": {"id": "alice"}}), "unexpected_response"),
            // The client acts on its own behalf.
            (json!({"sub": null}), r#""app""#),
            (json!({"sub": null, "username": "app"}), r#""app""#),
            // As Janssen reports that there is no user.
            (json!({"sub": ""}), r#""app""#),
            (json!({"sub": "", "username": ""}), "missing_subject"),
            (json!({"sub": "", "client_id": ""}), "unexpected_response"),
            (json!({"sub": null, "client_id": ""}), "unexpected_response"),
            (json!({"client_id": 7}), "unexpected_response"),
            (json!({"sub": null, "client_id": null}), "missing_subject"),
        ],
    );
    // The log and `explain` name the defective claim, and the client does not learn it.
    for (edits, member) in [(json!({"sub": 42}), "mint.subject"), (json!({"client_id": 7}), "client_id")] {
        let mut worker = Worker::new(configuration(json!({})), &NoSharedData);
        worker.answer = answer(edits);
        let authorization = crate::http::request_head::Presented::Once(b"Bearer t");
        let head = RequestHead { method: b"GET", path: b"/", authorization, ..RequestHead::default() };
        let reply = worker.refusal(0, &head);
        assert_eq!((reply.status, reply.member), (502, Some(member)));
        assert!(!reply.body.contains(member), "{}", reply.body);
    }
    // Null means that there is no subject.
    let null_subject = r#"{"active":true,"sub":null,"username":null,"client_id":"app"}"#;
    let mut worker = Worker::new(configuration(json!({"mint": {"client_as_subject": true}})), &NoSharedData);
    worker.answer = answer(json!({}));
    worker.answer.1 = null_subject.to_owned();
    assert_eq!(minted(&mut worker, 0, "/", "t")["sub"], "app");
}

/// Doorkeeper 5.5 responds with the same members for a user's token and for a client's own, and none of them names the user. If the client
/// stood in for a user who is not named, services would see all users as that one machine.
#[test]
fn r125_the_client_is_the_subject_only_where_the_operator_says_so() {
    let unnamed = [
        (json!({"sub": null}), "missing_subject"),
        (json!({"sub": null, "username": null}), "missing_subject"),
        (json!({"sub": null, "username": "app"}), "missing_subject"),
        (json!({"sub": ""}), "missing_subject"),
        // The server itself names the client: RFC 9068 §2.2.
        (json!({"sub": "app"}), r#""app""#),
    ];
    named(configuration(json!({})), &unnamed);
    named(
        configuration(json!({"mint": {"client_as_subject": false}, "profile": "django-oauth-toolkit"})),
        &unnamed[..2],
    );
    named(configuration(json!({"profile": "django-oauth-toolkit"})), &[(json!({"sub": null}), r#""app""#)]);
}

/// If the server names the user in another claim than `sub`, the operator configures that claim, and no other is used instead.
#[test]
fn r125_the_operator_says_which_claim_names_the_user() {
    named(
        configuration(json!({"mint": {"subject": "/username", "client_as_subject": true}})),
        &[
            (json!({"sub": null, "username": "alice"}), r#""alice""#),
            (json!({"sub": "1234", "username": "alice"}), r#""alice""#),
            (json!({"sub": "1234", "username": null}), "missing_subject"),
            (json!({"sub": "1234", "username": ""}), "missing_subject"),
            (json!({"sub": "app", "username": null}), r#""app""#),
            (json!({"sub": null, "username": null}), r#""app""#),
        ],
    );
    named(
        configuration(json!({"mint": {"subject": "/ext/user~1id", "client_as_subject": true}})),
        &[
            (json!({"ext": {"user/id": "alice"}}), r#""alice""#),
            (json!({"ext": {"user/id": 1}}), "unexpected_response"),
            (json!({"ext": null}), "missing_subject"),
            (json!({"ext": null, "sub": "app"}), r#""app""#),
        ],
    );
}

/// If the second server's tokens were read like the first one's, its users could not call, or would call as another user.
#[test]
fn r125_each_server_names_its_users_in_its_own_way() {
    let server = |name: &str, profile: &str, edits: Value| {
        let mut server = json!({
            "name": name, "profile": profile,
            "introspection": {
                "endpoint": "https://login.example.com/introspect", "upstream": "a", "client_id": "gateway",
                "client_secret": "s3cr3t",
            },
        });
        testing::merge(&mut server, edits);
        server
    };
    let several = |mint: Value, ours: Value| {
        let mut configuration = configuration(json!({
            "authorization_servers": [server("okta", "okta", json!({})), server("django", "django-oauth-toolkit", ours)],
            "mint": mint,
            "rules": [{"path": "/"}, {"path": "/django", "authorization_server": "django"}],
        }));
        configuration["introspection"] = Value::Null;
        configuration
    };
    for (mint, ours, okta, django) in [
        (json!({}), json!({}), "1234", "alice"),
        (json!({}), json!({"mint": {"subject": "/mail"}}), "1234", "alice@example.com"),
        (json!({"subject": "/mail"}), json!({}), "alice@example.com", "alice@example.com"),
        (
            json!({"subject": "/mail"}),
            json!({"mint": {"subject": "/username"}}),
            "alice@example.com",
            "alice",
        ),
    ] {
        let mut worker = Worker::new(several(mint, ours), &NoSharedData);
        worker.answer = answer(json!({"sub": "1234", "username": "alice"}));
        assert_eq!(minted(&mut worker, 0, "/", "t")["sub"], okta);
        assert_eq!(minted(&mut worker, 0, "/django", "t")["sub"], django);
    }
}

/// Operators copy the recipe for their server. If it named clients instead of users, this would go unnoticed until users saw each other's
/// data.
#[test]
fn r125_profiles_know_which_claim_names_the_user_or_ask_for_it() {
    let with = |edits: Value| {
        let mut configuration =
            configuration(json!({"introspection": {"response": null}, "rules": [{"path": "/"}]}));
        testing::merge(&mut configuration, edits);
        testing::configured(configuration)
    };
    for profile in ["django-oauth-toolkit", "wso2"] {
        let settings = testing::parse(&with(json!({"profile": profile}))).expect("no errors");
        assert_eq!(settings.mint.expect("a section").subject.pointer, "/username", "{profile}");
        let written = json!({"profile": profile, "mint": {"subject": "/sub"}});
        let settings = testing::parse(&with(written)).expect("no errors");
        assert_eq!(settings.mint.expect("a section").subject.pointer, "/sub", "{profile}");
        // A configuration that mints nothing needs no section for it.
        let headers = json!([{"header": "x-user", "pointer": "/username"}]);
        let claims = json!({"profile": profile, "mint": null, "claim_to_headers": headers});
        assert!(testing::parse(&with(claims)).is_ok_and(|settings| settings.mint.is_none()), "{profile}");
    }
    for (edits, expected) in [
        (
            json!({"profile": "pingfederate"}),
            "mint.subject: is required with this profile: which claim names the user is configured at the server",
        ),
        (
            json!({"mint": {"subject": "username"}}),
            "mint.subject: must be a JSON Pointer (RFC 6901), like /username",
        ),
        (json!({"mint": {"subject": 5}}), "mint.subject: must be a string"),
    ] {
        let errors = testing::parse(&with(edits)).expect_err("an error").to_string();
        assert_eq!(errors, expected);
    }
    let written = json!({"profile": "pingfederate", "mint": {"subject": "/Username"}});
    assert!(testing::parse(&with(written)).is_ok());
    let server = json!({
        "name": "a", "profile": "okta", "mint": {"subject": "/sub"},
        "introspection": testing::minimal()["introspection"],
    });
    let without = json!({
        "introspection": null, "authorization_servers": [server], "rules": [{"path": "/"}],
        "claim_to_headers": [{"header": "x-user", "pointer": "/sub"}],
    });
    let errors = testing::parse(&testing::configured(without)).expect_err("an error").to_string();
    assert_eq!(errors, "authorization_servers[0].mint: needs the section mint");
}

/// If the server's claims could replace the gateway's, anyone who can register a claim there could pass as any user here.
#[test]
fn r109_nothing_but_active_true_is_minted_of_and_no_answer_overrides_what_is_the_gateways() {
    let mut worker = Worker::new(configuration(json!({})), &NoSharedData);
    worker.answer = answer(json!({
        "iss": "https://evil.example.com", "aud": ["x"], "jti": "1", "nbf": NOW - 10, "typ": "x", "cnf": null,
    }));
    let claims = minted(&mut worker, 0, "/", "t");
    assert_eq!(
        (&claims["iss"], &claims["aud"]),
        (&json!("https://gateway.example.com"), &json!("orders-api"))
    );
    assert_ne!(claims["jti"], "1");
    assert_eq!((claims.get("nbf"), claims.get("active"), claims.get("typ")), (None, None, None));
    for (active, expected) in [
        (json!(false), "inactive"),
        (json!("true"), "unexpected_response"),
        (json!(null), "unexpected_response"),
    ] {
        worker.answer = answer(json!({"active": active}));
        assert_eq!(worker.get(0, &format!("{active}").replace('"', "")), expected);
    }
    for name in ["iss", "aud", "exp", "jti", "sub", "scope", "cnf", "nbf"] {
        let claims = json!([{"name": name, "pointer": "/department"}]);
        let configuration = testing::configured(configuration(json!({"mint": {"claims": claims}})));
        let errors = testing::parse(&configuration).expect_err("an error").to_string();
        assert_eq!(errors, "mint.claims[0].name: is reserved");
    }
}

/// Services, and proxies in front of them, verify the gateway's signatures by these keys. If a key is published before and after the time
/// in which it signs, a rotation goes unnoticed.
#[test]
fn r108_the_public_keys_are_published_those_to_come_as_well() {
    let mut worker = Worker::new(configuration(json!({})), &NoSharedData);
    let head = RequestHead { method: b"GET", path: b"/.well-known/jwks.json", ..RequestHead::default() };
    let crate::Action::Reply(reply) = worker.action(0, &head) else { panic!("an answer") };
    let document: Value = serde_json::from_str(&reply.body).expect("JSON");
    let expected = [
        public(&p256(), json!({"kid": "now", "alg": "ES256", "use": "sig"})),
        public(&ed25519(), json!({"kid": "next", "alg": "EdDSA", "use": "sig"})),
    ];
    assert_eq!(document, json!({"keys": expected}));
    let nameless = configuration(json!({"mint": {"keys": [{"private_key": p256().to_string()}]}}));
    let mut worker = Worker::new(nameless, &NoSharedData);
    let crate::Action::Reply(reply) = worker.action(0, &head) else { panic!("an answer") };
    assert!(
        reply.body.contains("oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U"),
        "its thumbprint: {}",
        reply.body
    );
}

#[test]
fn r108_what_workers_share_is_the_answer_and_each_mints_of_it() {
    let shared = MemorySharedData::default();
    let (mut first, mut second) =
        (Worker::new(configuration(json!({})), &shared), Worker::new(configuration(json!({})), &shared));
    first.answer = answer(json!({}));
    let one = minted(&mut first, 0, "/", "t");
    let other = minted(&mut second, 0, "/", "t");
    assert_eq!((one["sub"].as_str(), second.introspections()), (other["sub"].as_str(), 0));
    assert_ne!(one["jti"], other["jti"]);
}

/// If a minted JWT counted as fresh until the clock has caught up, services would receive one that has expired, or one from the future.
#[test]
fn r108_a_clock_that_is_set_back_makes_no_minted_jwt_live_longer() {
    let mut worker = Worker::new(configuration(json!({})), &NoSharedData);
    worker.answer = answer(json!({"exp": NOW + 1000}));
    for seconds in [0, 250, 200] {
        assert_eq!(minted(&mut worker, seconds, "/", "t")["iat"], NOW + seconds);
    }
    assert_eq!(worker.introspections(), 1);
}

/// A token bound to a key is checked at the gateway; services see a short-lived bearer token (R95).
#[test]
fn r095_a_minted_jwt_has_no_binding() {
    let mut worker = Worker::new(configuration(json!({"client_certificate": "connection"})), &NoSharedData);
    let digits = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    worker.answer = answer(json!({"cnf": {"x5t#S256": "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"}}));
    let head = RequestHead {
        method: b"GET",
        path: b"/",
        authorization: crate::http::request_head::Presented::Once(b"Bearer t"),
        certificate: Some(digits.as_bytes()),
        ..RequestHead::default()
    };
    let authorization = worker.send(0, &head);
    let jwt = authorization.strip_prefix("Bearer ").expect("a JWT");
    let claims: Value = serde_json::from_str(&super::keys::claims_of(jwt)).expect("claims");
    assert_eq!(claims.get("cnf"), None);
}
