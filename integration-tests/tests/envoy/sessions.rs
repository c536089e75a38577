//! MCP session ids, bound to the user and the client of the token. How the published clients and servers react is tested in
//! `integration-tests/mcp`.

use anyhow::Result;
use integration_tests::api::ANSWER_SESSION;
use integration_tests::client::Request;
use integration_tests::shared;
use integration_tests::testkit::{Call, World};
use serde_json::{Value, json};

shared!(world: World = start);

const RESOURCE: &str = "https://gw.example.com/mcp";
const SESSION: &str = "1868a90c-5f5d-4d3b-9d0a-0a3c0e3a3f10";
const ID: &str = "mcp-session-id";

async fn start() -> Result<World> {
    let bound = |secret: &str| json!({"session_binding": {"secret": secret}});
    let server =
        |path: &str| json!({"resource": format!("https://gw.example.com{path}"), "bind_session": true});
    World::scripted("sessions")?
        .configuration(json!({
            "rules": null,
            "mcp": {
                "authorization_servers": ["https://login.example.com"],
                "servers": [server("/mcp"), server("/two/mcp"), {"resource": "https://gw.example.com/unbound"}],
            },
        }))
        .listener("one", bound("the secret of these gateways, 32 bytes"))
        .listener("replica", bound("the secret of these gateways, 32 bytes"))
        .listener("stranger", bound("the secret of another gateway, 32 bytes"))
        .start()
        .await
}

fn token_of(world: &World, user: &str, client: &str) -> String {
    let resources = ["/mcp", "/two/mcp", "/unbound"].map(|path| format!("https://gw.example.com{path}"));
    let audience: Vec<Value> =
        ["orders-api".to_owned()].into_iter().chain(resources).map(Value::from).collect();
    world.active_with(json!({"aud": audience, "sub": user, "client_id": client}))
}

fn call<'w>(world: &'w World, method: &str, path: &str, token: &str) -> Call<'w> {
    let request = Request::new(method, path, Vec::new());
    world.send(request).header("host", "gw.example.com").bearer(token)
}

/// If a session id worked for anyone who learns it, it would expose its user's data. If it did not work for its user, no session would.
#[tokio::test]
async fn r275_a_session_is_its_users_at_every_gateway_with_the_secret() -> Result<()> {
    let world = world().await;
    let [alice, alice_again, bob] = ["alice", "alice", "bob"].map(|user| token_of(world, user, "app"));
    let elsewhere = token_of(world, "alice", "another app");
    let begin = || call(world, "POST", "/mcp", &alice).header(ANSWER_SESSION, SESSION);
    // The first request waits for the authorization server, the second does not.
    let asked = begin().await?.is_served();
    let cached = begin().await?.is_served();
    let id = asked.header(ID).to_owned();
    assert!(id.starts_with(&format!("{SESSION}.")), "{id}");
    assert_eq!(cached.header(ID), id);
    assert_eq!(asked.received(ID), [""; 0]);
    for (method, token) in [("POST", &alice), ("GET", &alice), ("DELETE", &alice), ("POST", &alice_again)] {
        for listener in ["one", "replica"] {
            let goes_on = call(world, method, "/mcp", token).at(listener).header(ID, &id);
            let goes_on = goes_on.header(ANSWER_SESSION, SESSION).await?.is_served();
            assert_eq!(goes_on.received(ID), [SESSION], "{method} {listener}");
            assert_eq!(goes_on.header(ID), id, "{method} {listener}");
        }
    }
    for (listener, token, path) in [
        ("one", &bob, "/mcp"),
        ("replica", &bob, "/mcp"),
        ("one", &elsewhere, "/mcp"),
        ("one", &alice, "/two/mcp"),
        ("stranger", &alice, "/mcp"),
    ] {
        for method in ["POST", "GET", "DELETE"] {
            let refused = call(world, method, path, token).at(listener).header(ID, &id).await?;
            refused.is_refused(404, "unknown_session");
        }
    }
    let fresh = token_of(world, "bob", "app");
    call(world, "POST", "/mcp", &fresh).header(ID, &id).await?.is_refused(404, "unknown_session");
    Ok(())
}

/// If an id without its MAC reached the service, the binding would be pointless.
#[tokio::test]
async fn r276_an_id_that_was_not_handed_out_reaches_no_service() -> Result<()> {
    let world = world().await;
    let alice = token_of(world, "alice", "app");
    let begun = call(world, "POST", "/mcp", &alice).header(ANSWER_SESSION, SESSION).await?.is_served();
    let id = begun.header(ID).to_owned();
    let (_, mac) = id.rsplit_once('.').expect("a MAC");
    for made_up in
        [SESSION, "x", &format!("other.{mac}"), &format!("{SESSION}."), mac, &format!("{id}.{mac}")]
    {
        let refused = call(world, "POST", "/mcp", &alice).header(ID, made_up).await?;
        refused.is_refused(404, "unknown_session");
    }
    for (name, value) in [(ID, SESSION), ("Mcp-Session-Id", &id), ("mcp.session.id", SESSION)] {
        let refused = call(world, "POST", "/mcp", &alice).header(ID, &id).header(name, value).await?;
        refused.is_refused(400, "ambiguous_field");
    }
    // Without a session, there is no id in the response; where nothing is bound, the client sees the service's own ids.
    let none = call(world, "POST", "/mcp", &alice).await?.is_served();
    assert!(!none.headers.contains_key(ID));
    let unbound = call(world, "POST", "/unbound", &alice).header(ID, SESSION).header(ANSWER_SESSION, SESSION);
    let unbound = unbound.await?.is_served();
    assert_eq!((unbound.received(ID), unbound.header(ID)), (vec![SESSION.to_owned()], SESSION));
    let nameless =
        world.active_with(json!({"aud": ["orders-api", RESOURCE], "sub": null, "client_id": "app"}));
    call(world, "POST", "/mcp", &nameless).await?.is_refused(403, "claim_mismatch");
    Ok(())
}
