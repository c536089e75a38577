//! Scenarios with several authorization servers.

use serde_json::{Value, json};

use super::{Worker, bearer};
use crate::host::NoSharedData;
use crate::testing::signer::{key_set, signed_jwt};
use crate::testing::{self, MemorySharedData, test};

fn server(name: &str, jwts: &str) -> Value {
    let host = format!("https://{name}.example.com");
    json!({
        "name": name,
        "introspection": {
            "endpoint": format!("{host}/introspect"), "upstream": name, "client_id": "gateway", "client_secret": "s",
        },
        "token": {"issuer": host, "audience": ["orders-api"], "jwts": jwts},
        "keys": {"jwks_uri": format!("{host}/jwks")},
    })
}

/// Staff at `/`, partners below `/partners`, both at `/both`.
fn configuration() -> Value {
    json!({
        "introspection": null, "token": null,
        "authorization_servers": [server("staff", "verify"), server("partners", "verify")],
        "rules": [
            {"path": "/", "authorization_server": "staff"},
            {"path": "/partners", "authorization_server": "partners"},
            {"path": "/both"},
        ],
    })
}

fn token_of(name: &str) -> String {
    let mut claims = testing::claims();
    let edits = json!({"iss": format!("https://{name}.example.com"), "client_id": "app", "jti": "1"});
    testing::merge(&mut claims, edits);
    signed_jwt("k1", &claims)
}

fn worker(shared: &MemorySharedData) -> Worker<'_> {
    let mut worker = Worker::new(configuration(), shared);
    worker.keys = key_set("k1");
    worker
}

/// If a token of one server would do for another's rule, partners would be staff.
#[test]
fn r033_a_rule_takes_tokens_of_its_own_server_alone() {
    let shared = MemorySharedData::default();
    let mut worker = worker(&shared);
    let (staff, partners) = (token_of("staff"), token_of("partners"));
    // Twice, so that caches have their say as well.
    for _ in 0..2 {
        for (path, token, expected) in [
            ("/", &staff, bearer(&staff)),
            ("/", &partners, "wrong_issuer".to_owned()),
            ("/partners", &partners, bearer(&partners)),
            ("/partners", &staff, "wrong_issuer".to_owned()),
            ("/both", &staff, bearer(&staff)),
            ("/both", &partners, bearer(&partners)),
            ("/both", &token_of("others"), "wrong_issuer".to_owned()),
        ] {
            assert_eq!(worker.request(0, "GET", path, Some(&bearer(token))), expected, "{path}");
        }
    }
}

/// An opaque token is not marked with its issuer. If what one server said of it counted for another's rule, the token of a partner
/// could be a staff member's.
#[test]
fn r052_what_one_server_said_of_a_token_is_not_anothers() {
    let shared = MemorySharedData::default();
    let mut worker = worker(&shared);
    let phantom = token_of("partners");
    worker.answer_with(phantom.clone());
    assert_eq!(worker.request(0, "GET", "/partners", Some("Bearer opaque")), bearer(&phantom));
    assert_eq!(
        worker.request(0, "GET", "/", Some("Bearer opaque")),
        "wrong_issuer",
        "the staff's server was asked"
    );
    assert_eq!(worker.request(0, "GET", "/both", Some("Bearer opaque")), "wrong_issuer", "so it was here");
    assert_eq!(worker.upstreams, ["partners", "staff"], "the second time it was in the cache");
}

#[test]
fn a_server_has_a_name_and_its_sections_stand_with_it() {
    let errors = |edits: Value| {
        let mut configuration = testing::configured(configuration());
        testing::merge(&mut configuration, edits);
        testing::parse(&configuration).err().map(|errors| errors.to_string()).unwrap_or_default()
    };
    assert_eq!(errors(json!({})), "");
    assert_eq!(
        errors(json!({"token": {}})),
        "token: must be left out where authorization_servers has one for each"
    );
    assert_eq!(
        errors(
            json!({"authorization_servers": [server("a", "verify"), server("a", "verify")], "rules": [{"path": "/"}]})
        ),
        "authorization_servers[1].name: is a duplicate"
    );
    assert_eq!(
        errors(json!({"rules": [{"path": "/", "authorization_server": "nobody"}]})),
        "rules[0].authorization_server: must be the name of one of authorization_servers"
    );
    let mut nameless = server("a", "verify");
    nameless["name"] = Value::Null;
    nameless["introspection"]["timeout"] = json!("1h");
    let found = errors(json!({"authorization_servers": [nameless], "rules": [{"path": "/"}]}));
    assert!(found.contains("authorization_servers[0].introspection.timeout: must be a duration"), "{found}");
    assert!(found.contains("authorization_servers[0].name: "), "{found}");
}

#[test]
fn one_server_needs_no_name() {
    let mut worker = Worker::new(json!({}), &NoSharedData);
    assert!(worker.get(0, "opaque").starts_with("Bearer"));
}
