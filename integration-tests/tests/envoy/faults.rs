//! Faults and attacks, in a real Envoy with a scripted authorization server. Envoy has one worker, so that requests interact, and one trap
//! of its VM would show in every test after it.

use anyhow::Result;
use integration_tests::client::{Answer, Request};
use integration_tests::envoy::Listener;
use integration_tests::eventually::eventually;
use integration_tests::json::merged;
use integration_tests::scripted_server::{Gate, Response};
use integration_tests::shared;
use integration_tests::testkit::{Call, World};
use integration_tests::{jwt, secrets};
use serde_json::{Value, json};

shared!(world: World = start);

async fn start() -> Result<World> {
    let at = |upstream: &str| json!({"introspection": {"upstream": upstream}});
    let answered = |response: Value| json!({"introspection": {"response": response}});
    World::scripted("faults")?
        .configuration(json!({
            // All tests share one worker's circuit breaker, and most of them provoke failures.
            "introspection": {"circuit_breaker": {"failures": 0}},
            "rules": [
                {"path": "/public", "access": "public"},
                {"path": "/admin", "scopes": ["admin"]},
                {"path": "/orders"},
            ],
        }))
        .envoy(|envoy| envoy.closed_cluster("closed-port").cluster("no-hosts", &[]))
        .listener("jwt", json!({}))
        .listener("json", answered(json!({"accept": "application/json", "jwt_field": "jwt"})))
        .listener("closed-port", at("closed-port"))
        .listener("no-hosts", at("no-hosts"))
        .listener("no-such-cluster", at("no-such-cluster"))
        .listener("alone", json!({"single_flight": false}))
        .listener(
            "problem",
            json!({"error_body": {
                "media_type": "application/problem+json",
                "template": r#"{"type":"https://api.example.com/problems/{reason}","title":"{error_description}","status":{status}}"#,
            }}),
        )
        .listener("impatient", json!({"introspection": {"timeout": "500ms"}}))
        .listener("left", json!({}))
        .listener("together", json!({}))
        .listener("apart", json!({}))
        .listener_on("head-only", json!({}), Listener { stops_head_only: true, ..Listener::default() })
        .start()
        .await
}

/// Returns the outcome of a request with this token, about which the server is asked before the gate opens.
async fn verdict<T>(token: &str, gate: Gate, request: impl IntoFuture<Output = Result<T>>) -> Result<T> {
    let world = world().await;
    let asked = async {
        world.scripted.asked(token, 1).await?;
        // A request forwarded without waiting would arrive before this one.
        is_well("jwt").await?;
        assert_eq!(world.arrived(&name(token)).len(), 0, "it went on without waiting");
        gate.open();
        Ok(())
    };
    let (outcome, ()) = tokio::try_join!(request.into_future(), asked)?;
    Ok(outcome)
}

/// The name of the request with this token.
fn name(token: &str) -> String {
    token.replace("opaque", "request")
}

/// Asserts that the filter still serves. If this failed, an earlier request would have stopped the worker.
async fn is_well(listener: &str) -> Result<()> {
    let world = world().await;
    world.orders(&world.active()).at(listener).case("the filter is not well any more").await?.is_served();
    Ok(())
}

/// If one of these fields reached the authorization server, it would learn about the client; if one were missing, the server could not
/// respond.
#[tokio::test]
async fn r016_r017_r018_r019_r022_the_introspection_request_is_the_gateways_own() -> Result<()> {
    let world = world().await;
    let token = secrets::noted("a+b/c~d.e-f_==".to_owned());
    secrets::noted("a%2Bb%2Fc~d.e-f_%3D%3D".to_owned());
    world.scripted.respond(&token, Response::jwt(&jwt::valid()));
    let call = world.get("/orders?q=secret").bearer(&token).header("cookie", "a=b").header("x-user-id", "7");
    call.await?.is_served();
    let introspections = world.scripted.introspections(&token);
    let [introspection] = introspections.as_slice() else { panic!("{introspections:?}") };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(introspection.form, [pair("token", &token), pair("token_type_hint", "access_token")]);
    let header = |name: &str| introspection.headers.get(name).and_then(|value| value.to_str().ok());
    assert_eq!(header("accept"), Some("application/jwt"));
    assert_eq!(header("user-agent"), Some(concat!("phantom-token/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(header("host"), Some("login.example.com"));
    assert!(header("authorization").is_some_and(|value| value.starts_with("Basic ")));
    assert_eq!((header("cookie"), header("x-user-id")), (None, None));
    Ok(())
}

/// LemonLDAP::NG responds like this to `client_secret_post`. If that left no log line, every request would fail and nothing would say why.
#[tokio::test]
async fn r028_r190_r196_an_odd_answer_is_in_the_log_and_a_date_to_come_back_is_passed_on() -> Result<()> {
    let world = world().await;
    let refused = Response::new(400, "application/json;charset=utf-8", r#"{"error":"invalid_client"}"#);
    let token = world.answered(refused);
    world.orders(&token).await?.is_refused(502, "gateway_credentials_refused");
    world.envoy.logs("gateway_credentials_refused, server main: got status 400 and application/json").await?;
    let page = Response::new(404, "text/html", "<html>no such page");
    world.orders(&world.answered(page)).at("left").await?.is_refused(502, "unexpected_response");
    let line = "got status 404 and text/html, expected status 200 and application/jwt";
    world.envoy.logs(line).await?;
    let limited = Response::status(429).header("retry-after", "Fri, 31 Dec 2100 00:00:00 GMT");
    let outcome = world.orders(&world.answered(limited)).await?.is_refused(503, "server_rate_limited");
    assert_eq!(outcome.header("retry-after"), "300");
    Ok(())
}

/// If a JWT were truncated or changed on its way, its signature would not verify.
#[tokio::test]
async fn r079_a_jwt_of_16_kb_travels_byte_identical() -> Result<()> {
    let world = world().await;
    let jwt = padded_jwt(12_000);
    assert!(jwt.len() > 16_000, "{}", jwt.len());
    for (listener, response) in
        [("jwt", Response::jwt(&jwt)), ("json", Response::json(&json!({"active": true, "jwt": jwt})))]
    {
        let token = world.answered(response);
        for _ in 0..2 {
            assert_eq!(world.orders(&token).at(listener).await?.is_served().jwt()?, jwt);
        }
        assert_eq!(world.introspections(&token).await?, 1);
    }
    Ok(())
}

#[tokio::test]
async fn r079_what_is_too_long_is_refused() -> Result<()> {
    let world = world().await;
    let long_token = secrets::noted("t".repeat(9000));
    world.orders(&long_token).await?.is_refused(431, "token_too_long");
    assert_eq!(world.introspections(&long_token).await?, 0);
    let token = world.answered(Response::jwt(&padded_jwt(30_000)));
    world.orders(&token).await?.has_status(502);
    Ok(())
}

fn padded_jwt(size: usize) -> String {
    jwt::with_claims(&merged(&jwt::valid_claims(), json!({"pad": "x".repeat(size)})))
}

/// One byte that is not UTF-8 makes the SDK's own header functions panic. If the filter's did, one request would stop the worker.
#[tokio::test]
async fn r007_odd_bytes_in_header_fields_do_no_harm() -> Result<()> {
    let world = world().await;
    for odd in [&b"\xff"[..], b"\x80\x81", b"caf\xc3\xa9", b"\xf0\x28\x8c\x28"] {
        let value = [b"Bearer opaque".as_slice(), odd].concat();
        world.get("/orders").header("authorization", value).await?.is_refused(401, "invalid_token_syntax");
        let outcome = world.orders(&world.active()).header("x-odd", odd).await?.is_served();
        assert_eq!(outcome.head()["x-odd"].as_bytes(), odd);
    }
    is_well("jwt").await
}

/// If a failure of the server were reported as the client's, clients would discard valid tokens; if it were cached, it would
/// outlast its cause; if it let the request through, no request would need a token.
#[tokio::test]
async fn r024_r027_r030_a_failing_callout_of_any_kind_is_the_servers_fault() -> Result<()> {
    let world = world().await;
    let jwt = jwt::valid();
    let (token, _never_opened) = world.answered_later(Response::jwt(&jwt));
    world.orders(&token).at("impatient").await?.is_refused(504, "introspection_timeout");
    world.scripted.respond(&token, Response::jwt(&jwt));
    let is_served = async || Ok(world.orders(&token).at("impatient").await?.status == 200);
    eventually("it is served after the server hung", is_served).await?;
    for (what, response, statuses) in [
        ("breaks off", Response::jwt(&jwt[..40]).closing_early(), [503, 503]),
        ("lies about the length", Response::jwt(&jwt).header("content-length", "10"), [502, 503]),
        ("sends 50 MiB", Response::new(200, "application/jwt", vec![b'x'; 50 * 1024 * 1024]), [502, 503]),
        ("garbage", Response::new(200, "application/jwt", &b"\xff\xfe\x00"[..]), [502, 502]),
        ("odd bytes in a field", Response::new(200, "text/\u{e9}", ""), [502, 503]),
    ] {
        let token = world.answered(response);
        let outcome = world.orders(&token).case(format!("the server {what}")).await?;
        assert!(statuses.contains(&outcome.status), "{outcome}");
        let status = outcome.status;
        outcome.has_status(status);
        world.scripted.respond(&token, Response::jwt(&jwt));
        world.orders(&token).case(format!("after the server {what}")).await?.is_served();
    }
    is_well("jwt").await
}

#[tokio::test]
async fn r024_a_callout_that_cannot_be_dispatched_is_unavailable() -> Result<()> {
    let world = world().await;
    for listener in ["closed-port", "no-hosts", "no-such-cluster"] {
        for _ in 0..3 {
            let token = secrets::fresh_token("undispatched");
            let outcome = world.orders(&token).at(listener).await?.is_refused(503, "unavailable");
            assert_eq!(outcome.header("retry-after"), "5");
        }
    }
    is_well("jwt").await
}

/// With `allow_on_headers_stop_iteration`, Envoy forwards paused headers as soon as a body arrives, unless the filter holds the body as
/// well. If it did not, any POST would get through.
#[tokio::test]
async fn r038_a_body_does_not_carry_a_paused_request_past_the_filter() -> Result<()> {
    let world = world().await;
    for (response, status) in
        [(Response::jwt(&jwt::valid()), 200), (Response::inactive(), 401), (Response::status(500), 503)]
    {
        for listener in ["head-only", "jwt"] {
            let (token, gate) = world.answered_later(response.clone());
            let call =
                world.post("/orders", vec![b'b'; 100_000]).at(listener).bearer(&token).named(&name(&token));
            let outcome = verdict(&token, gate, call).await?.has_status(status);
            assert!(status != 200 || outcome.json()?["body_length"] == 100_000, "{outcome}");
        }
    }
    Ok(())
}

/// Envoy keeps a body that a filter holds in a buffer of one MiB, unless the headers are held with it. If this failed, the documentation
/// would advise against `allow_on_headers_stop_iteration` for no reason, or long bodies would be refused without it.
#[tokio::test]
async fn a_body_that_is_longer_than_the_buffer_waits() -> Result<()> {
    let world = world().await;
    let (token, gate) = world.answered_later(Response::jwt(&jwt::valid()));
    verdict(&token, gate, long(world, &token)).await?.is_served();
    Ok(())
}

#[tokio::test]
async fn a_body_that_is_longer_than_the_buffer_is_refused_where_the_head_alone_is_held_in_wasm() -> Result<()>
{
    let world = world().await;
    // Whether the introspection is sent before the body exceeds the buffer depends on timing.
    let (token, _gate) = world.answered_later(Response::jwt(&jwt::valid()));
    long(world, &token).at("head-only").await?.has_status(413);
    Ok(())
}

fn long<'w>(world: &'w World, token: &str) -> Call<'w> {
    world.post("/orders", vec![b'b'; 2_000_000]).bearer(token).named(&name(token))
}

/// Trailers end a request just as a body does.
#[tokio::test]
async fn r038_trailers_do_not_carry_a_paused_request_past_the_filter() -> Result<()> {
    let world = world().await;
    for (response, expected) in [(Response::inactive(), "401"), (Response::jwt(&jwt::valid()), "200")] {
        let (token, gate) = world.answered_later(response);
        let request = format!(
            "POST /orders HTTP/1.1\r\nhost: a\r\nx-request-name: {}\r\nauthorization: Bearer {token}\r\n\
             transfer-encoding: chunked\r\nconnection: close\r\n\r\n5\r\nhello\r\n0\r\nx-trailer: 1\r\n\r\n",
            name(&token)
        );
        let client = world.envoy.client("head-only");
        let answer = verdict(&token, gate, client.send_raw(request.as_bytes())).await?;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{answer}");
        assert_eq!(world.arrived(&name(&token)).len(), usize::from(expected == "200"));
    }
    Ok(())
}

/// If requests that share an introspection were forgotten when the first client leaves, they would hang until their own timeout.
#[tokio::test]
async fn r023_a_cancelled_stream_does_not_affect_other_waiting_requests() -> Result<()> {
    let world = world().await;
    let (token, gate) = world.answered_later(Response::jwt(&jwt::valid()));
    let call = world.orders(&token).at("left");
    let first = call.clone().start().await?;
    world.scripted.asked(&token, 1).await?;
    let leaving = async {
        world.envoy.holds("left", 1 + 10).await?;
        drop(first);
        world.envoy.holds_at_most("left", 10).await?;
        gate.open();
        Ok(())
    };
    let (others, ()) = tokio::try_join!(world.together(vec![call; 10]), leaving)?;
    for outcome in others {
        outcome.is_served();
    }
    assert_eq!(world.introspections(&token).await?, 1, "the answer comes, whoever has left");
    // All clients disconnect.
    let (token, gate) = world.answered_later(Response::jwt(&jwt::valid()));
    let mut connections = Vec::new();
    for _ in 0..10 {
        connections.push(world.orders(&token).at("left").named(&name(&token)).start().await?);
    }
    world.envoy.holds("left", 10).await?;
    drop(connections);
    world.envoy.holds_nothing("left").await?;
    gate.open();
    is_well("left").await?;
    assert_eq!(world.arrived(&name(&token)).len(), 0);
    Ok(())
}

#[tokio::test]
async fn r023_single_flight_shares_an_outcome_and_can_be_switched_off() -> Result<()> {
    let world = world().await;
    for (listener, introspections) in [("together", 1), ("alone", 20)] {
        for (response, status) in [(Response::jwt(&jwt::valid()), 200), (Response::status(500), 503)] {
            let (token, gate) = world.answered_later(response);
            let calls = world.together(vec![world.orders(&token).at(listener); 20]);
            for outcome in world.all_wait(listener, 20, gate, calls).await? {
                outcome.has_status(status);
            }
            assert_eq!(world.introspections(&token).await?, introspections, "{listener} {status}");
        }
    }
    Ok(())
}

/// If requests that share an introspection also shared the decision, an unauthorized one would pass along with an authorized one.
#[tokio::test]
async fn r023_r053_coalesced_requests_are_decided_separately() -> Result<()> {
    let world = world().await;
    let (token, gate) = world.answered_later(Response::jwt(&jwt::valid()));
    let of = |path: &str| world.get(path).at("apart").bearer(&token);
    let calls = world.together((0..10).flat_map(|_| [of("/orders"), of("/admin")]));
    for pair in world.all_wait("apart", 20, gate, calls).await?.chunks(2) {
        assert_eq!((pair[0].status, pair[0].json()?["path"].as_str()), (200, Some("/orders")));
        assert_eq!((pair[1].status, pair[1].reason()), (403, "insufficient_scope"));
    }
    assert_eq!(world.introspections(&token).await?, 1);
    Ok(())
}

#[tokio::test]
async fn r078_a_field_that_connection_names_is_gone() -> Result<()> {
    let world = world().await;
    // Envoy removes the field before any filter sees it.
    let connection = world.orders(&world.active()).header("connection", "authorization");
    connection.await?.is_refused(401, "missing_credentials");
    Ok(())
}

#[tokio::test]
async fn r015_head_has_the_same_header_fields_and_no_body() -> Result<()> {
    let world = world().await;
    let get = world.get("/orders").await?.is_refused(401, "missing_credentials");
    let head = world.send(Request::new("HEAD", "/orders", Vec::new())).await?;
    let head = head.is_refused(401, "missing_credentials");
    assert_eq!(fields(&get), fields(&head));
    assert_eq!(get.json()?["error"], "unauthorized");
    assert!(head.body.is_empty());
    Ok(())
}

/// If this failed, clients of an API that responds with problem details (RFC 9457) would get refusals that they cannot read.
#[tokio::test]
async fn r015_a_refusal_has_the_body_that_the_operator_wrote_and_head_has_its_fields_alone() -> Result<()> {
    let world = world().await;
    let (active, unknown) = (world.active(), secrets::fresh_token("unknown"));
    let failing = world.answered(Response::status(500));
    for (path, token, status, reason, title) in [
        ("/orders", None, 401, "missing_credentials", "An access token is required"),
        ("/orders", Some(&unknown), 401, "inactive", "The access token is not active"),
        ("/admin", Some(&active), 403, "insufficient_scope", "The access token lacks a required scope"),
        ("/nothing", Some(&active), 403, "no_matching_rule", "This resource is not exposed"),
        ("/orders/../admin", Some(&active), 400, "ambiguous_target", "The request target is ambiguous"),
        ("/orders", Some(&failing), 503, "unavailable", "The authorization server is unavailable"),
    ] {
        let call = |method| {
            let call = world.send(Request::new(method, path, Vec::new())).at("problem");
            token.into_iter().fold(call, |call, token| call.bearer(token))
        };
        let get = call("GET").await?.is_refused(status, reason);
        assert_eq!(get.header("content-type"), "application/problem+json", "{reason}");
        let expected = json!({
            "type": format!("https://api.example.com/problems/{reason}"), "title": title, "status": status,
        });
        assert_eq!(get.json()?, expected, "{reason}");
        let head = call("HEAD").await?.is_refused(status, reason);
        assert_eq!((head.body.len(), fields(&head)), (0, fields(&get)), "{reason}");
    }
    Ok(())
}

/// The fields of a response, except for the date.
fn fields(answer: &Answer) -> axum::http::HeaderMap {
    let mut fields = answer.headers.clone();
    fields.remove("date");
    fields
}

/// With an HTTP status alone, a gRPC client would report an unknown error.
#[tokio::test]
async fn r083_a_grpc_client_receives_a_grpc_status() -> Result<()> {
    let world = world().await;
    let call = |media_type: &str| world.post("/orders", "").header("content-type", media_type);
    for (written, media_type) in [
        ("application/grpc", "application/grpc"),
        ("application/grpc+proto", "application/grpc"),
        // Envoy does not recognize gRPC in these.
        ("application/grpc;charset=utf-8", "application/grpc"),
        ("application/grpc-web+proto", "application/grpc-web"),
        ("application/grpc-web-text", "application/grpc-web-text"),
    ] {
        let dead = world.answered(Response::inactive());
        for call in [call(written), call(written).bearer("a").bearer("b"), call(written).bearer(&dead)] {
            let outcome = call.await?;
            assert_eq!((outcome.status, outcome.arrived.len()), (200, 0), "{written}");
            for (name, value) in [("grpc-status", "16"), ("content-type", media_type)] {
                let values: Vec<_> = outcome.answer.headers.get_all(name).iter().collect();
                assert_eq!(values, [value], "{written}: {name}");
            }
            assert!(outcome.header("grpc-message").contains("error_description"), "{written}");
        }
    }
    // A malformed request is INVALID_ARGUMENT, and a request that no rule admits is PERMISSION_DENIED.
    for (path, status) in [("/orders//7", "3"), ("/not-exposed", "7")] {
        let call = world.post(path, "").header("content-type", "application/grpc").bearer("a");
        assert_eq!(call.await?.header("grpc-status"), status, "{path}");
    }
    let outcome = call("application/grpcfoo").await?.is_refused(401, "missing_credentials");
    assert_eq!(outcome.header("grpc-status"), "");
    Ok(())
}
