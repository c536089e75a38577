//! What services and Envoy itself receive beside `Authorization`: the JWT in a field of its own, and claims in Envoy's filter
//! state, where its access log finds them.

use anyhow::Result;
use integration_tests::api::Api;
use integration_tests::authorization_server::{self, AuthorizationServer, GATEWAY_SECRET, Resource};
use integration_tests::client::Request;
use integration_tests::envoy::{Envoy, EnvoyBuilder, Listener};
use integration_tests::eventually::eventually;
use integration_tests::secrets;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// One Envoy with one worker, an authorization server and an API.
struct Stage {
    envoy: Envoy,
    server: AuthorizationServer,
    api: Api,
}

async fn stage() -> &'static Stage {
    static STAGE: OnceCell<Stage> = OnceCell::const_new();
    STAGE.get_or_init(async || set_stage().await.expect("the stage")).await
}

async fn set_stage() -> Result<Stage> {
    let (server, api) = (AuthorizationServer::start("forwarding")?, Api::start()?);
    let mut own_field = configuration(&server);
    own_field["jwt_header"] = json!("x-jwt");
    let mut state = configuration(&server);
    state["filter_state"] = json!([
        {"name": "client", "pointer": "/client_id"},
        {"name": "audience", "pointer": "/aud"},
        {"name": "absent", "pointer": "/absent"},
    ]);
    let logged = Listener { access_log: Some(ACCESS_LOG), ..Listener::default() };
    let envoy = EnvoyBuilder::new("forwarding", 1, api.port())
        .cluster("authorization-server", &[server.port()])
        .environment("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET)
        .listener("own-field", &own_field, Listener::default())
        .listener("state", &state, logged)
        .start()
        .await?;
    Ok(Stage { envoy, server, api })
}

fn configuration(server: &AuthorizationServer) -> Value {
    json!({
        "introspection": {
            "endpoint": format!("{}/token/introspection", server.issuer()),
            "upstream": "authorization-server",
            "client_id": "gateway",
            "client_secret": {"env": "INTROSPECTION_CLIENT_SECRET"},
        },
        "token": {"issuer": server.issuer(), "audience": ["orders-api"], "jwts": "verify"},
        "keys": {"uri": format!("{}/jwks", server.issuer())},
        "cache": {"no_store_ttl": "1m"},
        "log_level": "debug",
        "rules": [
            {"path": "/health", "access": "public"},
            {"path": "/admin", "scopes": ["admin"]},
            {"path": "/orders", "scopes": ["orders:read"]},
        ],
    })
}

/// If this failed, a service would take a client's own field for the gateway's, or see the credentials of the client.
#[tokio::test]
async fn r074_r075_the_jwt_is_alone_in_its_field_and_the_clients_are_taken_off() -> Result<()> {
    let stage = stage().await;
    let opaque = stage.server.issue("orders:read").await?;
    let jwt = stage.server.issue_jwt(Resource::Orders, "orders:read").await?;
    for (name, path, token) in [
        ("introspected", "/orders", &opaque),
        ("cached", "/orders", &opaque),
        ("verified", "/orders", &jwt),
        ("verified-before", "/orders", &jwt),
        ("public", "/health", &opaque),
    ] {
        let mut request = Request::get(path).bearer(token).named(name);
        for field in ["x-jwt", "X-JWT", "X_Jwt", "x.jwt"] {
            request = request.header(field, "forged");
        }
        let answer = stage.envoy.client("own-field").send(request).await?;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let received = stage.api.received(name);
        let [head] = received.as_slice() else { panic!("{} requests {name}", received.len()) };
        for field in ["authorization", "x_jwt", "x.jwt"] {
            assert!(!head.contains_key(field), "{name}: {field}");
        }
        let whole = format!("{head:?}");
        assert!(!whole.contains("forged") && !whole.contains(&opaque), "{name}");
        let fields: Vec<_> = head.get_all("x-jwt").iter().filter_map(|value| value.to_str().ok()).collect();
        match (path, token == &jwt, fields.as_slice()) {
            ("/health", _, fields) => assert_eq!(fields.len(), 0, "{name}"),
            (_, true, [field]) => assert_eq!(field, &jwt, "{name}"),
            (_, false, [field]) => {
                secrets::noted((*field).to_owned());
                assert_eq!(authorization_server::claims(field)?["client_id"], "app", "{name}");
            }
            (_, _, fields) => panic!("{} fields: {name}", fields.len()),
        }
    }
    assert_eq!(stage.server.introspections(&opaque).await?, 1);
    Ok(())
}

/// If this failed, nobody could tell from Envoy's log whose request it was or why it was refused, or it would tell of a client that
/// was refused.
#[tokio::test]
async fn the_access_log_tells_of_claims_however_the_request_was_granted_and_why_it_was_not() -> Result<()> {
    let stage = stage().await;
    let opaque = stage.server.issue("orders:read").await?;
    let jwt = stage.server.issue_jwt(Resource::Orders, "orders:read").await?;
    let unknown = secrets::fresh_token("unknown");
    for (name, path, token, status, line) in [
        (
            "state-cold",
            "/orders",
            &opaque,
            200,
            "client=app audience=orders-api absent=- details=via_upstream",
        ),
        (
            "state-cached",
            "/orders",
            &opaque,
            200,
            "client=app audience=orders-api absent=- details=via_upstream",
        ),
        (
            "state-verified",
            "/orders",
            &jwt,
            200,
            "client=app audience=orders-api absent=- details=via_upstream",
        ),
        (
            "state-verified-before",
            "/orders",
            &jwt,
            200,
            "client=app audience=orders-api absent=- details=via_upstream",
        ),
        ("state-public", "/health", &opaque, 200, "client=- audience=- absent=- details=via_upstream"),
        (
            "state-inactive",
            "/orders",
            &unknown,
            401,
            "client=- audience=- absent=- details=phantom_token_refused{inactive}",
        ),
        (
            "state-insufficient",
            "/admin",
            &opaque,
            403,
            "client=- audience=- absent=- details=phantom_token_refused{insufficient_scope}",
        ),
    ] {
        let answer = stage.envoy.client("state").send(Request::get(path).bearer(token).named(name)).await?;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        let line = format!("access: {name} {status} {line}\n");
        eventually(&line, async || Ok(stage.envoy.log().contains(&line))).await?;
    }
    assert_eq!(stage.server.introspections(&opaque).await?, 1);
    Ok(())
}

const ACCESS_LOG: &str = "access: %REQ(X-REQUEST-NAME)% %RESPONSE_CODE% client=%FILTER_STATE(wasm.client:PLAIN)% \
    audience=%FILTER_STATE(wasm.audience:PLAIN)% absent=%FILTER_STATE(wasm.absent:PLAIN)% details=%RESPONSE_CODE_DETAILS%";
