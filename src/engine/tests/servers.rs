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

/// Returns a configuration with staff at `/`, partners below `/partners`, and both at `/both`.
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

/// If a token of one server were accepted by a rule for another, partners would be staff.
#[test]
fn r033_a_rule_takes_tokens_of_its_own_server_alone() {
    let shared = MemorySharedData::default();
    let mut worker = worker(&shared);
    let (staff, partners) = (token_of("staff"), token_of("partners"));
    // Twice, so that the caches are covered as well.
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

/// An opaque token does not name its issuer. If the response of one server counted for another server's rule, a partner's token could
/// become a staff member's.
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

/// Opaque tokens of two servers at one path: mitreid-connect/OpenID-Connect-Java-Spring-Server#435, agentgateway/agentgateway#3064.
fn one_after_the_other(edits: Value) -> Value {
    let mut configuration = configuration();
    configuration["authorization_servers"] = json!([
        server("staff", "introspect"),
        server("partners", "introspect"),
        server("others", "introspect"),
    ]);
    configuration["rules"] = json!([
        {"path": "/", "authorization_servers": ["staff", "partners"]},
        {"path": "/staff", "authorization_server": "staff"},
        {"path": "/any"},
    ]);
    testing::merge(&mut configuration, edits);
    configuration
}

impl Worker<'_> {
    /// Sets the response of a server for every token: a status, or its own token.
    fn server_answers(&mut self, name: &'static str, answer: &str) {
        let answer = match answer {
            "active" => {
                ("200".to_owned(), token_of(name), vec![("content-type", "application/jwt".to_owned())])
            }
            "other audience" => {
                let mut claims = testing::claims();
                let edits = json!({"iss": format!("https://{name}.example.com"), "aud": "other"});
                testing::merge(&mut claims, edits);
                (
                    "200".to_owned(),
                    signed_jwt("k1", &claims),
                    vec![("content-type", "application/jwt".to_owned())],
                )
            }
            "refresh token" => {
                let body = json!({"active": true, "token_type": "refresh_token"}).to_string();
                ("200".to_owned(), body, vec![("content-type", "application/json".to_owned())])
            }
            status => (status.to_owned(), String::new(), Vec::new()),
        };
        self.answers.insert(name, answer);
    }
}

/// If a server that fails counted as one that does not know the token, an outage would log out all of its users; if its failure ended the
/// search, it would be an outage for the other server's users as well.
#[test]
fn r199_a_token_is_good_if_one_server_knows_it_and_dead_only_if_none_does() {
    for (staff, partners, outcome, asked) in [
        ("active", "204", "staff", &["staff"][..]),
        ("204", "active", "partners", &["staff", "partners"]),
        ("204", "204", "inactive", &["staff", "partners"]),
        ("503", "active", "partners", &["staff", "partners"]),
        ("503", "204", "unavailable", &["staff", "partners"]),
        ("204", "503", "unavailable", &["staff", "partners"]),
        ("504", "503", "introspection_timeout", &["staff", "partners"]),
        ("401", "active", "partners", &["staff", "partners"]),
        ("401", "204", "gateway_credentials_refused", &["staff", "partners"]),
        ("429", "204", "server_rate_limited", &["staff", "partners"]),
        ("404", "204", "unexpected_response", &["staff", "partners"]),
        ("204", "429", "server_rate_limited", &["staff", "partners"]),
        // The response of a server that knows the token is final.
        ("refresh token", "active", "not_an_access_token", &["staff"]),
        ("other audience", "active", "wrong_audience", &["staff"]),
        ("204", "refresh token", "not_an_access_token", &["staff", "partners"]),
        ("503", "refresh token", "not_an_access_token", &["staff", "partners"]),
    ] {
        let mut worker = Worker::new(one_after_the_other(json!({})), &NoSharedData);
        worker.keys = key_set("k1");
        worker.server_answers("staff", staff);
        worker.server_answers("partners", partners);
        let outcome = if ["staff", "partners"].contains(&outcome) {
            bearer(&token_of(outcome))
        } else {
            outcome.to_owned()
        };
        assert_eq!(worker.get(0, "opaque"), outcome, "{staff}, {partners}");
        assert_eq!(worker.upstreams, asked, "{staff}, {partners}");
    }
}

/// Each server has its own caches and circuit breaker. If the first server were queried each time about tokens that only the second knows,
/// every hit would cost a query; if requests waited each time for a server that is down, every token of the other server would be slow.
#[test]
fn r199_each_server_is_asked_as_often_as_it_would_be_alone() {
    let shared = MemorySharedData::default();
    let mut worker = Worker::new(one_after_the_other(json!({})), &shared);
    worker.keys = key_set("k1");
    worker.server_answers("staff", "204");
    worker.server_answers("partners", "active");
    for seconds in 0..100 {
        assert_eq!(worker.get(seconds, "of-a-partner"), bearer(&token_of("partners")));
    }
    assert_eq!(worker.upstreams, ["staff", "partners"]);
    // Another worker finds the entry in the shared data.
    let mut other = Worker::new(one_after_the_other(json!({})), &shared);
    other.keys = key_set("k1");
    assert_eq!(other.get(100, "of-a-partner"), bearer(&token_of("partners")));
    assert_eq!(other.upstreams, [""; 0]);
    // Each server's response about a dead token is cached for a moment.
    worker.server_answers("partners", "204");
    worker.upstreams.clear();
    for (seconds, asked) in [(100, 2), (101, 2), (102, 4)] {
        assert_eq!(worker.get(seconds, "dead"), "inactive");
        assert_eq!(worker.upstreams.len(), asked, "{seconds}");
    }
    // A token that the first server does not know yet becomes known to the second.
    worker.server_answers("partners", "active");
    assert_eq!(worker.get(103, "dead"), "inactive", "both have said so a moment ago");
    assert_eq!(worker.get(105, "dead"), bearer(&token_of("partners")));
    // The circuit of the first server opens.
    worker.server_answers("staff", "503");
    for token in 0..20 {
        assert_eq!(worker.get(110, &format!("token-{token}")), bearer(&token_of("partners")));
    }
    let asked = worker.upstreams.iter().filter(|upstream| *upstream == "staff").count();
    assert!(asked < 10, "{asked} of 20 were put to a server that is down");
    worker.server_answers("partners", "204");
    assert_eq!(worker.get(110, "unknown"), "circuit_open", "it could be the first server's");
}

/// If a rule that names one server accepted the response of another, partners would be staff.
#[test]
fn r033_r199_only_the_servers_that_a_rule_names_are_asked() {
    let mut worker = Worker::new(one_after_the_other(json!({})), &NoSharedData);
    worker.keys = key_set("k1");
    worker.server_answers("staff", "204");
    worker.server_answers("partners", "active");
    worker.server_answers("others", "active");
    let partners = bearer(&token_of("partners"));
    assert_eq!(worker.request(0, "GET", "/", Some("Bearer a")), partners);
    assert_eq!(worker.request(0, "GET", "/staff", Some("Bearer a")), "inactive");
    assert_eq!(worker.request(0, "GET", "/any", Some("Bearer a")), "inactive");
    assert!(!worker.upstreams.iter().any(|upstream| upstream == "others"), "{:?}", worker.upstreams);
    // A JWT verified by a listed server belongs to that server.
    let jwts = json!([server("staff", "verify"), server("partners", "verify"), server("others", "verify")]);
    let mut worker = Worker::new(one_after_the_other(json!({"authorization_servers": jwts})), &NoSharedData);
    worker.keys = key_set("k1");
    let (jwt, other) = (token_of("partners"), token_of("others"));
    for _ in 0..2 {
        assert_eq!(worker.request(0, "GET", "/", Some(&bearer(&jwt))), bearer(&jwt));
        assert_eq!(worker.request(0, "GET", "/", Some(&bearer(&other))), "wrong_issuer");
        assert_eq!(worker.request(0, "GET", "/staff", Some(&bearer(&jwt))), "wrong_issuer");
    }
    assert_eq!(worker.upstreams, [""; 0], "the rule's servers verify, and no server is asked");
    // The first server may have no introspection.
    let mut staff = server("staff", "verify");
    staff.as_object_mut().expect("a server").remove("introspection");
    staff["keys"]["upstream"] = json!("staff");
    let jwts = json!([staff, server("partners", "introspect"), server("others", "introspect")]);
    let mut worker = Worker::new(one_after_the_other(json!({"authorization_servers": jwts})), &NoSharedData);
    worker.keys = key_set("k1");
    worker.server_answers("partners", "active");
    assert_eq!(worker.get(0, "opaque"), partners);
    assert_eq!(worker.upstreams, ["partners"]);
    worker.server_answers("partners", "204");
    assert_eq!(worker.get(0, "another"), "inactive");
}

/// If the first server, which verifies JWTs, ended the search at one of another issuer, the JWTs of a server that introspects them would
/// only be valid where that server is named first.
#[test]
fn r199_a_jwt_that_no_named_server_verifies_is_put_to_those_that_are_asked() {
    for names in [["staff", "partners"], ["partners", "staff"]] {
        for (issuer, path, answer, expected, asked) in [
            ("partners", "/", "active", "partners", &["partners"][..]),
            ("partners", "/", "204", "inactive", &["partners"]),
            ("partners", "/", "503", "unavailable", &["partners"]),
            ("others", "/", "204", "inactive", &["partners"]),
            ("staff", "/", "204", "staff", &[]),
            ("partners", "/staff", "active", "wrong_issuer", &[]),
        ] {
            let servers = json!([
                server("staff", "verify"),
                server("partners", "introspect"),
                server("others", "verify")
            ]);
            let rules = json!([
                {"path": "/", "authorization_servers": names},
                {"path": "/staff", "authorization_servers": ["staff", "others"]},
            ]);
            let edits = json!({"authorization_servers": servers, "rules": rules});
            let mut worker = Worker::new(one_after_the_other(edits), &NoSharedData);
            worker.keys = key_set("k1");
            worker.server_answers("partners", answer);
            let jwt = token_of(issuer);
            let expected = if ["staff", "partners"].contains(&expected) {
                bearer(&token_of(expected))
            } else {
                expected.to_owned()
            };
            let found = worker.request(0, "GET", path, Some(&bearer(&jwt)));
            assert_eq!(found, expected, "{names:?} {issuer} {path} {answer}");
            assert_eq!(worker.upstreams, asked, "{names:?} {issuer} {path} {answer}");
        }
    }
}

#[test]
fn r199_a_rule_names_each_of_its_servers_once() {
    let errors = |rule: Value| {
        let configuration = testing::configured(one_after_the_other(json!({"rules": [rule]})));
        testing::parse(&configuration).err().map(|errors| errors.to_string()).unwrap_or_default()
    };
    let several = |names: Value| errors(json!({"path": "/", "authorization_servers": names}));
    assert_eq!(several(json!(["staff", "partners"])), "");
    assert_eq!(several(json!(["staff", "staff"])), "rules[0].authorization_servers[1]: is a duplicate");
    assert_eq!(
        several(json!(["staff", "x"])),
        "rules[0].authorization_servers[1]: must be the name of one of authorization_servers"
    );
    assert_eq!(
        errors(json!({"path": "/", "authorization_server": "staff", "authorization_servers": ["partners"]})),
        "rules[0].authorization_servers: must be left out where there is authorization_server"
    );
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
        "token: must be left out: authorization_servers has one for each"
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
