//! Faults and attacks, in a real Envoy with a scripted authorization server. Envoy has one worker, so that requests meet,
//! and one trap of its VM would show in every test after it.

use std::future::Future;

use anyhow::Result;
use futures::future::join_all;
use integration_tests::api::Api;
use integration_tests::client::{Answer, Client, Request};
use integration_tests::envoy::{Envoy, EnvoyBuilder, Listener};
use integration_tests::eventually::eventually;
use integration_tests::scripted_server::{Gate, Response, ScriptedServer};
use integration_tests::{jwt, secrets};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

struct Stage {
    envoy: Envoy,
    server: ScriptedServer,
    api: Api,
}

async fn stage() -> &'static Stage {
    static STAGE: OnceCell<Stage> = OnceCell::const_new();
    STAGE.get_or_init(async || set_stage().await.expect("the stage")).await
}

async fn set_stage() -> Result<Stage> {
    let (server, api) = (ScriptedServer::start()?, Api::start()?);
    let plain = Listener::default();
    let head_only = Listener { stops_head_only: true, ..plain };
    let mut alone = configuration(json!({}), json!({}));
    alone["single_flight"] = json!(false);
    let mut problem = configuration(json!({}), json!({}));
    problem["error_body"] = json!({
        "media_type": "application/problem+json",
        "template": r#"{"type":"https://api.example.com/problems/{reason}","title":"{error_description}","status":{status}}"#,
    });
    let envoy = EnvoyBuilder::new("faults", 1, api.port())
        .cluster("authorization-server", &[server.port()])
        .closed_cluster("nobody-listens")
        .cluster("nobody-is-there", &[])
        .listener("jwt", &configuration(json!({}), json!({})), plain)
        .listener(
            "json",
            &configuration(json!({}), json!({"accept": "application/json", "jwt_member": "jwt"})),
            plain,
        )
        .listener("keycloak", &configuration(json!({}), json!({"jwt_member": "jwt"})), plain)
        .listener("nobody-listens", &configuration(json!({"upstream": "nobody-listens"}), json!({})), plain)
        .listener("nobody-is-there", &configuration(json!({"upstream": "nobody-is-there"}), json!({})), plain)
        .listener("no-such-cluster", &configuration(json!({"upstream": "no-such-cluster"}), json!({})), plain)
        .listener("alone", &alone, plain)
        .listener("problem", &problem, plain)
        .listener("impatient", &configuration(json!({"timeout": "500ms"}), json!({})), plain)
        .listener("left", &configuration(json!({}), json!({})), plain)
        .listener("together", &configuration(json!({}), json!({})), plain)
        .listener("apart", &configuration(json!({}), json!({})), plain)
        .listener("head-only", &configuration(json!({}), json!({})), head_only)
        .start()
        .await?;
    Ok(Stage { envoy, server, api })
}

fn configuration(introspection: Value, response: Value) -> Value {
    let mut configuration = json!({
        "introspection": {
            "endpoint": "https://login.example.com/introspect",
            "upstream": "authorization-server",
            "client_id": "gateway",
            "client_secret": secrets::noted("the-secret-of-the-gateway".to_owned()),
            // All tests share one worker's circuit, and most of them are about failures.
            "circuit_breaker": {"failures": 0},
            "response": response,
        },
        "token": {"issuer": "https://login.example.com", "audience": ["orders-api"]},
        "log_level": "debug",
        "rules": [
            {"path": "/public", "access": "public"},
            {"path": "/admin", "scopes": ["admin"]},
            {"path": "/orders"},
        ],
    });
    for (name, value) in introspection.as_object().into_iter().flatten() {
        configuration["introspection"][name] = value.clone();
    }
    configuration
}

impl Stage {
    fn client(&self, listener: &str) -> Client {
        self.envoy.client(listener)
    }

    async fn orders(&self, listener: &str, token: &str) -> Result<Answer> {
        self.client(listener).send(Request::get("/orders").bearer(token).named(token)).await
    }

    /// What becomes of a request with this token, which the server is asked about before the gate opens.
    async fn verdict<T>(&self, token: &str, gate: Gate, request: impl Future<Output = T>) -> Result<T> {
        let asked = async {
            self.server.asked(token, 1).await?;
            // What went on without waiting would arrive before this does.
            self.is_well("jwt").await?;
            assert_eq!(self.api.received(token).len(), 0, "it went on without waiting");
            gate.open();
            anyhow::Ok(())
        };
        let (outcome, asked) = tokio::join!(request, asked);
        asked.map(|()| outcome)
    }

    /// What becomes of so many requests, all of which are at a listener that is there for them alone before the gate opens.
    async fn all_wait<T>(
        &self,
        listener: &str,
        count: u64,
        gate: Gate,
        requests: impl Future<Output = T>,
    ) -> Result<T> {
        let all = async {
            self.envoy.holds(listener, count).await?;
            gate.open();
            anyhow::Ok(())
        };
        let (outcomes, all) = tokio::join!(requests, all);
        all.map(|()| outcomes)
    }

    /// If this failed, what happened before would have stopped the worker.
    async fn is_well(&self, listener: &str) -> Result<()> {
        let token = secrets::fresh_token("well");
        self.server.respond(&token, Response::jwt(&jwt::valid()));
        assert_eq!(self.orders(listener, &token).await?.status, 200, "the filter is not well any more");
        Ok(())
    }
}

/// If one of these reached the authorization server, it would learn about the client; if one did not, it could not answer.
#[tokio::test]
async fn r016_r017_r018_r019_r022_the_introspection_request_is_the_gateways_own() -> Result<()> {
    let stage = stage().await;
    let token = secrets::noted("a+b/c~d.e-f_==".to_owned());
    secrets::noted("a%2Bb%2Fc~d.e-f_%3D%3D".to_owned());
    stage.server.respond(&token, Response::jwt(&jwt::valid()));
    let request =
        Request::get("/orders?q=secret").bearer(&token).header("cookie", "a=b").header("x-user-id", "7");
    assert_eq!(stage.client("jwt").send(request).await?.status, 200);
    let introspections = stage.server.introspections(&token);
    let [introspection] = introspections.as_slice() else { panic!("{introspections:?}") };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(introspection.form, [pair("token", &token), pair("token_type_hint", "access_token")]);
    let header = |name: &str| introspection.headers.get(name).and_then(|value| value.to_str().ok());
    assert_eq!(header("accept"), Some("application/jwt"));
    assert_eq!(header("host"), Some("login.example.com"));
    assert!(header("authorization").is_some_and(|value| value.starts_with("Basic ")));
    for name in ["cookie", "x-user-id"] {
        assert_eq!(header(name), None, "{name}");
    }
    Ok(())
}

/// If a JWT were cut or changed on its way, its signature would not verify.
#[tokio::test]
async fn r079_a_jwt_of_16_kb_travels_byte_identical() -> Result<()> {
    let stage = stage().await;
    let mut claims = jwt::valid_claims();
    claims["pad"] = json!("x".repeat(12_000));
    let jwt = jwt::with_claims(&claims);
    assert!(jwt.len() > 16_000, "{}", jwt.len());
    for listener in ["jwt", "json"] {
        let token = secrets::fresh_token("long-jwt");
        let play = match listener {
            "jwt" => Response::jwt(&jwt),
            _ => Response::new(200, "application/json", json!({"active": true, "jwt": jwt}).to_string()),
        };
        stage.server.respond(&token, play);
        for _ in 0..2 {
            let answer = stage.orders(listener, &token).await?;
            assert_eq!(answer.forwarded_authorization(), [format!("Bearer {jwt}")]);
        }
        assert_eq!(stage.server.introspections(&token).len(), 1);
    }
    Ok(())
}

#[tokio::test]
async fn r079_what_is_too_long_is_refused() -> Result<()> {
    let stage = stage().await;
    let long_token = secrets::noted("t".repeat(9000));
    assert_eq!(stage.orders("jwt", &long_token).await?.status, 431);
    assert_eq!(stage.server.introspections(&long_token).len(), 0);
    let token = secrets::fresh_token("too-long-jwt");
    let mut claims = jwt::valid_claims();
    claims["pad"] = json!("x".repeat(30_000));
    stage.server.respond(&token, Response::jwt(&jwt::with_claims(&claims)));
    assert_eq!(stage.orders("jwt", &token).await?.status, 502);
    assert_eq!(stage.api.received(&token).len(), 0);
    Ok(())
}

/// One byte that is not UTF-8 makes the SDK's own header functions panic. If ours did, one request would stop the worker.
#[tokio::test]
async fn r007_odd_bytes_in_header_fields_do_no_harm() -> Result<()> {
    let stage = stage().await;
    for odd in [&b"\xff"[..], b"\x80\x81", b"caf\xc3\xa9", b"\xf0\x28\x8c\x28"] {
        let value = [b"Bearer opaque".as_slice(), odd].concat();
        let request = Request::get("/orders").header("authorization", value).named("odd");
        assert_eq!(stage.client("jwt").send(request).await?.status, 401);

        let token = secrets::fresh_token("odd");
        stage.server.respond(&token, Response::jwt(&jwt::valid()));
        let request = Request::get("/orders").bearer(&token).header("x-odd", odd).named(&token);
        assert_eq!(stage.client("jwt").send(request).await?.status, 200);
        let received = stage.api.received(&token);
        assert_eq!(received[0].get("x-odd").map(|value| value.as_bytes()), Some(odd));
    }
    assert_eq!(stage.api.received("odd").len(), 0);
    stage.is_well("jwt").await
}

/// If a failure of the server were told as the client's, clients would throw good tokens away; if it were cached, it
/// would outlast its cause; if it let the request through, nobody would need a token.
#[tokio::test]
async fn r024_r027_r030_a_failing_callout_of_any_kind_is_the_servers_fault() -> Result<()> {
    let stage = stage().await;
    let jwt = jwt::valid();
    let (hanging, _never_opened) = Response::jwt(&jwt).held();
    let token = secrets::fresh_token("fault");
    stage.server.respond(&token, hanging);
    assert_eq!(stage.orders("impatient", &token).await?.status, 504, "the server hangs");
    assert_eq!(stage.api.received(&token).len(), 0, "the server hangs");
    stage.server.respond(&token, Response::jwt(&jwt));
    eventually("it is served after the server hung", async || {
        Ok(stage.orders("impatient", &token).await?.status == 200)
    })
    .await?;
    let truncated = Response::jwt(&jwt[..40]).closing_early();
    let wrong_length = Response::new(200, "application/jwt", jwt.clone()).header("content-length", "10");
    let huge = Response::new(200, "application/jwt", vec![b'x'; 50 * 1024 * 1024]);
    let redirect =
        Response::new(302, "application/jwt", jwt.clone()).header("location", "https://evil.example.com/");
    let active_twice = format!(r#"{{"active":false,"active":true,"jwt":"{jwt}"}}"#);
    for (what, play, statuses) in [
        ("breaks off", truncated, [503, 503]),
        ("lies about the length", wrong_length, [502, 503]),
        ("sends 50 MiB", huge, [502, 503]),
        ("redirects", redirect, [502, 502]),
        ("500", Response::new(500, "text/html", "oops"), [503, 503]),
        ("503", Response::new(503, "application/json", r#"{"active":true}"#), [503, 503]),
        ("429", Response::new(429, "text/plain", ""), [503, 503]),
        ("404", Response::new(404, "text/plain", ""), [502, 502]),
        ("HTML", Response::new(200, "text/html", "<html>"), [502, 502]),
        ("empty", Response::new(200, "application/jwt", ""), [502, 502]),
        ("garbage", Response::new(200, "application/jwt", &b"\xff\xfe\x00"[..]), [502, 502]),
        ("active without a JWT", Response::new(200, "application/json", r#"{"active":true}"#), [502, 502]),
        ("active is a string", Response::new(200, "application/json", r#"{"active":"true"}"#), [502, 502]),
        ("active twice", Response::new(200, "application/json", active_twice), [502, 502]),
        ("JSON cut off", Response::new(200, "application/json", r#"{"active":true,"#), [502, 502]),
        (
            "signed introspection response",
            Response::new(200, "application/token-introspection+jwt", jwt.clone()),
            [502, 502],
        ),
        ("odd bytes in a field", Response::new(200, "text/\u{e9}", ""), [502, 503]),
    ] {
        let token = secrets::fresh_token("fault");
        stage.server.respond(&token, play);
        let answer = stage.orders("jwt", &token).await?;
        assert!(statuses.contains(&answer.status), "the server {what}: {}", answer.status);
        assert_eq!(answer.header("www-authenticate"), "", "the server {what}");
        assert_eq!(answer.header("retry-after").is_empty(), answer.status != 503, "the server {what}");
        assert_eq!(stage.api.received(&token).len(), 0, "the server {what}");
        stage.server.respond(&token, Response::jwt(&jwt));
        assert_eq!(stage.orders("jwt", &token).await?.status, 200, "after the server {what}");
    }
    stage.is_well("jwt").await
}

#[tokio::test]
async fn r024_a_callout_that_cannot_be_dispatched_is_unavailable() -> Result<()> {
    let stage = stage().await;
    for listener in ["nobody-listens", "nobody-is-there", "no-such-cluster"] {
        for _ in 0..3 {
            let token = secrets::fresh_token("undispatched");
            let answer = stage.orders(listener, &token).await?;
            assert_eq!(answer.status, 503, "{listener}");
            assert_eq!(answer.header("retry-after"), "5");
            assert_eq!(stage.api.received(&token).len(), 0);
        }
    }
    stage.is_well("jwt").await
}

#[tokio::test]
async fn r026_r036_r039_r040_what_is_not_active_or_no_access_token_is_refused() -> Result<()> {
    let stage = stage().await;
    let jwt = jwt::valid();
    let json = |body: Value| Response::new(200, "application/json", body.to_string());
    let claims = |name: &str, value: Value| {
        let mut claims = jwt::valid_claims();
        claims[name] = value;
        jwt::with_claims(&claims)
    };
    for (listener, what, play, status) in [
        ("jwt", "204", Response::new(204, "", ""), 401),
        ("jwt", "active: false", json(json!({"active": false})), 401),
        ("keycloak", "active: false beside a JWT", json(json!({"active": false, "jwt": jwt})), 401),
        (
            "keycloak",
            "a refresh token",
            json(json!({"active": true, "jwt": jwt, "token_type": "refresh_token"})),
            401,
        ),
        ("keycloak", "bound to a key", json(json!({"active": true, "jwt": jwt, "cnf": {"jkt": "x"}})), 401),
        ("keycloak", "expired beside the JWT", json(json!({"active": true, "jwt": jwt, "exp": 1})), 401),
        ("jwt", "an introspection response", Response::jwt(&claims("active", json!(true))), 502),
        ("jwt", "an inactive JWT", Response::jwt(&claims("active", json!(false))), 401),
        ("jwt", "expired", Response::jwt(&claims("exp", json!(jwt::now() - 10))), 401),
        ("jwt", "not valid yet", Response::jwt(&claims("nbf", json!(jwt::now() + 60))), 401),
        ("jwt", "of another issuer", Response::jwt(&claims("iss", json!("https://evil.example.com"))), 401),
        ("jwt", "for another audience", Response::jwt(&claims("aud", json!(["payments"]))), 401),
        ("json", "active, with its JWT", json(json!({"active": true, "jwt": jwt})), 200),
        ("keycloak", "active, with its JWT", json(json!({"active": true, "jwt": jwt})), 200),
    ] {
        let token = secrets::fresh_token("kind");
        stage.server.respond(&token, play);
        let answer = stage.orders(listener, &token).await?;
        assert_eq!(answer.status, status, "{listener}: {what}");
        assert_eq!(stage.api.received(&token).len(), usize::from(status == 200), "{listener}: {what}");
        assert_eq!(
            answer.header("www-authenticate").contains("invalid_token"),
            status == 401,
            "{listener}: {what}"
        );
    }
    Ok(())
}

/// With `allow_on_headers_stop_iteration`, Envoy forwards a paused head as soon as a body comes, unless the filter holds
/// the body as well. If it did not, any POST would get through.
#[tokio::test]
async fn r038_a_body_does_not_carry_a_paused_request_past_the_filter() -> Result<()> {
    let stage = stage().await;
    let body = vec![b'b'; 100_000];
    for (what, play, status) in [
        ("active", Response::jwt(&jwt::valid()), 200),
        ("inactive", Response::new(204, "", ""), 401),
        ("failing", Response::new(500, "", ""), 503),
    ] {
        for listener in ["head-only", "jwt"] {
            let token = secrets::fresh_token("body");
            let (play, gate) = play.clone().held();
            stage.server.respond(&token, play);
            let request = Request::post("/orders", body.clone()).bearer(&token).named(&token);
            let client = stage.client(listener);
            let answer = stage.verdict(&token, gate, client.send(request)).await??;
            assert_eq!(answer.status, status, "{what} by {listener}");
            match status {
                200 => assert_eq!(answer.json()?["body_length"], 100_000, "{what} by {listener}"),
                _ => assert_eq!(stage.api.received(&token).len(), 0, "{what} by {listener}"),
            }
        }
    }
    Ok(())
}

/// Envoy keeps what a filter holds in a buffer of one MiB, unless it holds the head with it. If this failed, we would advise against
/// `allow_on_headers_stop_iteration` for no reason, or long bodies would be refused without it.
#[tokio::test]
async fn a_body_that_is_longer_than_the_buffer_waits_unless_the_head_alone_is_held() -> Result<()> {
    let stage = stage().await;
    for (listener, status) in [("jwt", 200), ("head-only", 413)] {
        let token = secrets::fresh_token("long-body");
        let (play, gate) = Response::jwt(&jwt::valid()).held();
        stage.server.respond(&token, play);
        let request = Request::post("/orders", vec![b'b'; 2_000_000]).bearer(&token).named(&token);
        let client = stage.client(listener);
        let answer = match status {
            200 => stage.verdict(&token, gate, client.send(request)).await??,
            // Whether the server is asked before the body is too long, is chance.
            _ => client.send(request).await?,
        };
        assert_eq!(answer.status, status, "{listener}: {}", answer.text());
        assert_eq!(stage.api.received(&token).len(), usize::from(status == 200), "{listener}");
    }
    Ok(())
}

/// Trailers end a request as a body does.
#[tokio::test]
async fn r038_trailers_do_not_carry_a_paused_request_past_the_filter() -> Result<()> {
    let stage = stage().await;
    for (play, expected) in [(Response::new(204, "", ""), "401"), (Response::jwt(&jwt::valid()), "200")] {
        let token = secrets::fresh_token("trailers");
        let (play, gate) = play.held();
        stage.server.respond(&token, play);
        let request = format!(
            "POST /orders HTTP/1.1\r\nhost: a\r\nx-request-name: {token}\r\nauthorization: Bearer {token}\r\n\
             transfer-encoding: chunked\r\nconnection: close\r\n\r\n5\r\nhello\r\n0\r\nx-trailer: 1\r\n\r\n"
        );
        let client = stage.client("head-only");
        let answer = stage.verdict(&token, gate, client.send_raw(request.as_bytes())).await??;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{answer}");
        assert_eq!(stage.api.received(&token).len(), usize::from(expected == "200"));
    }
    Ok(())
}

/// If those who wait along were forgotten with the client that asked first, they would hang until their own timeout.
#[tokio::test]
async fn r023_a_client_that_leaves_takes_nobody_with_it() -> Result<()> {
    let stage = stage().await;
    let token = secrets::fresh_token("left");
    let (play, gate) = Response::jwt(&jwt::valid()).held();
    stage.server.respond(&token, play);
    let client = stage.client("left");
    let first = client.start(&Request::get("/orders").bearer(&token)).await?;
    stage.server.asked(&token, 1).await?;
    let others = join_all((0..10).map(|_| stage.orders("left", &token)));
    let leaving = async {
        stage.envoy.holds("left", 1 + 10).await?;
        drop(first);
        stage.envoy.holds_at_most("left", 10).await?;
        gate.open();
        anyhow::Ok(())
    };
    let (answers, left) = tokio::join!(others, leaving);
    left?;
    for answer in answers {
        assert_eq!(answer?.status, 200);
    }
    assert_eq!(stage.server.introspections(&token).len(), 1, "the answer comes, whoever has left");
    // Everybody leaves.
    let token = secrets::fresh_token("all-left");
    let (play, gate) = Response::jwt(&jwt::valid()).held();
    stage.server.respond(&token, play);
    let request = Request::get("/orders").bearer(&token).named(&token);
    let connections = join_all((0..10).map(|_| client.start(&request))).await;
    stage.envoy.holds("left", 10).await?;
    drop(connections);
    stage.envoy.holds_nothing("left").await?;
    gate.open();
    stage.is_well("left").await?;
    assert_eq!(stage.api.received(&token).len(), 0);
    Ok(())
}

#[tokio::test]
async fn r023_single_flight_shares_an_outcome_and_can_be_switched_off() -> Result<()> {
    let stage = stage().await;
    for (listener, introspections) in [("together", 1), ("alone", 20)] {
        for (play, status) in [(Response::jwt(&jwt::valid()), 200), (Response::new(500, "", ""), 503)] {
            let token = secrets::fresh_token("together");
            let (play, gate) = play.held();
            stage.server.respond(&token, play);
            let calls = join_all((0..20).map(|_| stage.orders(listener, &token)));
            for answer in stage.all_wait(listener, 20, gate, calls).await? {
                assert_eq!(answer?.status, status, "{listener}");
            }
            assert_eq!(stage.server.introspections(&token).len(), introspections, "{listener} {status}");
        }
    }
    Ok(())
}

/// If those who share an introspection shared its verdict, one who may not would come along with one who may.
#[tokio::test]
async fn r023_r053_requests_that_wait_together_are_judged_apart() -> Result<()> {
    let stage = stage().await;
    let token = secrets::fresh_token("apart");
    let (play, gate) = Response::jwt(&jwt::valid()).held();
    stage.server.respond(&token, play);
    let client = stage.client("apart");
    let calls = (0..20).map(|number| {
        let path = if number % 2 == 0 { "/orders" } else { "/admin" };
        client.send(Request::get(path).bearer(&token).header("x-number", number.to_string()))
    });
    let answers = stage.all_wait("apart", 20, gate, join_all(calls)).await?;
    for (number, answer) in answers.into_iter().enumerate() {
        let answer = answer?;
        match number % 2 {
            0 => assert_eq!((answer.status, answer.json()?["path"].as_str()), (200, Some("/orders"))),
            _ => assert_eq!(answer.status, 403),
        }
    }
    assert_eq!(stage.server.introspections(&token).len(), 1);
    Ok(())
}

#[tokio::test]
async fn r008_two_authorization_fields_are_refused_however_envoy_joins_them() -> Result<()> {
    let stage = stage().await;
    let token = secrets::fresh_token("twice");
    stage.server.respond(&token, Response::jwt(&jwt::valid()));
    let second = [format!("Bearer {token}"), "Basic dXNlcjpwYXNz".to_owned(), "Bearer other".to_owned()];
    for second in second {
        let request = Request::get("/orders").bearer(&token).header("authorization", &second).named("twice");
        assert_eq!(stage.client("jwt").send(request).await?.status, 400, "{second}");
        let request = Request::get("/orders").header("authorization", &second).bearer(&token).named("twice");
        assert_eq!(stage.client("jwt").send(request).await?.status, 400, "{second}");
    }
    assert_eq!(stage.api.received("twice").len(), 0);
    assert_eq!(stage.server.introspections(&token).len(), 0);
    Ok(())
}

#[tokio::test]
async fn r012_r078_other_fields_neither_give_nor_take_credentials() -> Result<()> {
    let stage = stage().await;
    let token = secrets::fresh_token("fields");
    stage.server.respond(&token, Response::jwt(&jwt::valid()));
    let proxy = Request::get("/orders").header("proxy-authorization", format!("Bearer {token}"));
    assert_eq!(stage.client("jwt").send(proxy).await?.status, 401);
    let query = Request::get(format!("/orders?access_token={token}"));
    assert_eq!(stage.client("jwt").send(query).await?.status, 401);
    let connection = Request::get("/orders").bearer(&token).header("connection", "authorization");
    let answer = stage.client("jwt").send(connection.named("r078")).await?;
    assert_eq!(answer.status, 401, "Envoy takes off what Connection names before any filter sees it");
    assert_eq!(stage.api.received("r078").len(), 0);
    Ok(())
}

#[tokio::test]
async fn r015_head_has_the_same_header_fields_and_no_body() -> Result<()> {
    let stage = stage().await;
    let get = stage.client("jwt").send(Request::get("/orders")).await?;
    let head = stage.client("jwt").send(Request::new("HEAD", "/orders", Vec::new())).await?;
    assert_eq!((get.status, head.status), (401, 401));
    for name in ["www-authenticate", "content-type", "cache-control"] {
        assert_eq!(get.header(name), head.header(name), "{name}");
    }
    assert_eq!(get.json()?["error"], "unauthorized");
    assert!(head.body.is_empty());
    Ok(())
}

/// If this failed, clients of an API that answers with problem details (RFC 9457) would find refusals that they cannot read.
#[tokio::test]
async fn r015_a_refusal_has_the_body_that_the_operator_wrote_and_head_has_its_fields_alone() -> Result<()> {
    let stage = stage().await;
    let (active, unknown) = (secrets::fresh_token("active"), secrets::fresh_token("unknown"));
    let failing = secrets::fresh_token("failing");
    stage.server.respond(&active, Response::jwt(&jwt::valid()));
    stage.server.respond(&failing, Response::new(500, "", ""));
    for (path, token, status, reason, title) in [
        ("/orders", None, 401, "missing_credentials", "An access token is required"),
        ("/orders", Some(&unknown), 401, "inactive", "The access token is not active"),
        (
            "/admin",
            Some(&active),
            403,
            "insufficient_scope",
            "The access token lacks a scope that is required here",
        ),
        ("/nothing", Some(&active), 403, "not_exposed", "This resource is not exposed"),
        ("/orders/../admin", Some(&active), 400, "ambiguous_target", "The request target is ambiguous"),
        ("/orders", Some(&failing), 503, "unavailable", "The authorization server is unavailable"),
    ] {
        let request = |method| {
            let request = Request::new(method, path, Vec::new()).named("problem");
            token.into_iter().fold(request, |request, token| request.bearer(token))
        };
        let get = stage.client("problem").send(request("GET")).await?;
        assert_eq!(
            (get.status, get.header("content-type")),
            (status, "application/problem+json"),
            "{reason}"
        );
        let expected = json!({
            "type": format!("https://api.example.com/problems/{reason}"), "title": title, "status": status,
        });
        assert_eq!(get.json()?, expected, "{reason}");

        let head = stage.client("problem").send(request("HEAD")).await?;
        assert_eq!((head.status, head.body.len()), (status, 0), "{reason}");
        let fields = |answer: &Answer| {
            let mut fields = answer.headers.clone();
            fields.remove("date");
            fields
        };
        assert_eq!(fields(&head), fields(&get), "{reason}");
    }
    assert_eq!(stage.api.received("problem").len(), 0);
    Ok(())
}

/// If these were told an HTTP status alone, a gRPC client would report an unknown error.
#[tokio::test]
async fn r083_a_grpc_client_is_told_its_own_status() -> Result<()> {
    let stage = stage().await;
    let answer = stage
        .client("jwt")
        .send(Request::post("/orders", "").header("content-type", "application/grpc"))
        .await?;
    assert_eq!((answer.status, answer.header("grpc-status")), (200, "16"));
    let twice =
        Request::post("/orders", "").bearer("a").bearer("b").header("content-type", "application/grpc");
    assert_eq!(stage.client("jwt").send(twice).await?.header("grpc-status"), "16");
    let answer = stage
        .client("jwt")
        .send(Request::post("/orders", "").header("content-type", "application/grpcfoo"))
        .await?;
    assert_eq!((answer.status, answer.header("grpc-status")), (401, ""));
    Ok(())
}

/// Envoy here does not normalise paths. If the filter matched them as they are, each would walk from /public to /admin.
#[tokio::test]
async fn r084_no_path_walks_from_a_public_route_to_another() -> Result<()> {
    let stage = stage().await;
    for path in [
        "/public/../admin",
        "/public/%2e%2e/admin",
        "/public/..%2fadmin",
        "/public%2f..%2fadmin",
        "/public/..;/admin",
        "/public;/../admin",
        "/public//../admin",
        "//admin",
        "/public\\..\\admin",
        "/public/%5c../admin",
        "/public/.%252e/admin",
        "/publicity",
        "/PUBLIC",
    ] {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: a\r\nx-request-name: walk\r\nconnection: close\r\n\r\n");
        let answer = stage.client("jwt").send_raw(request.as_bytes()).await?;
        let refused = ["HTTP/1.1 400", "HTTP/1.1 403"].iter().any(|status| answer.starts_with(status));
        assert!(refused, "{path}: {answer}");
    }
    assert_eq!(stage.api.received("walk").len(), 0);
    assert_eq!(stage.client("jwt").send(Request::get("/public/a?next=/../admin")).await?.status, 200);
    Ok(())
}
