//! Signed introspection responses (RFC 9701), in a real Envoy with a certified authorization server that signs, and with a
//! scripted one in its place that cannot.

use anyhow::Result;
use integration_tests::api::Api;
use integration_tests::authorization_server::{self, AuthorizationServer, GATEWAY_SECRET};
use integration_tests::client::{Answer, Request};
use integration_tests::envoy::{Envoy, EnvoyBuilder, Listener};
use integration_tests::scripted_server::{Response, ScriptedServer};
use integration_tests::{jwt, keys, secrets};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// One Envoy with two workers, the server that signs, one that plays what it is told, and an API.
struct Stage {
    envoy: Envoy,
    server: AuthorizationServer,
    liar: ScriptedServer,
    api: Api,
}

async fn stage() -> &'static Stage {
    static STAGE: OnceCell<Stage> = OnceCell::const_new();
    STAGE.get_or_init(async || set_stage().await.expect("the stage")).await
}

async fn set_stage() -> Result<Stage> {
    let (server, api) = (AuthorizationServer::start("signed_responses")?, Api::start()?);
    let liar = ScriptedServer::start()?;
    let discovery = format!("{}/.well-known/openid-configuration", server.issuer());
    let mut rs256 = configuration(&server, "gateway-signed-RS256");
    rs256["keys"] = json!({"discovery": discovery});
    let mut only_rs256 = configuration(&server, "gateway-signed-ES256");
    only_rs256["keys"]["algorithms"] = json!(["RS256"]);
    let mut deceived = configuration(&server, "gateway-signed-ES256");
    deceived["introspection"]["upstream"] = json!("liar");
    deceived["introspection"]["endpoint"] = json!("https://login.example.com/introspect");
    deceived["keys"]["upstream"] = json!("authorization-server");
    let mut lenient = deceived.clone();
    lenient["introspection"]["response"]["require_signed"] = json!(false);
    let mut any_audience = configuration(&server, "gateway-signed-ES256");
    any_audience["token"] = json!({"issuer": server.issuer(), "allow_missing_iss": true});
    let mut only_typed = any_audience.clone();
    only_typed["profile"] = json!("oidc-provider");
    let envoy = EnvoyBuilder::new("signed_responses", 2, api.port())
        .cluster("authorization-server", &[server.port()])
        .cluster("liar", &[liar.port()])
        .environment("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET)
        .listener("ES256", &configuration(&server, "gateway-signed-ES256"), Listener::default())
        .listener("RS256", &rs256, Listener::default())
        .listener("only-RS256", &only_rs256, Listener::default())
        .listener("any-audience", &any_audience, Listener::default())
        .listener("only-typed", &only_typed, Listener::default())
        .listener("deceived", &deceived, Listener::default())
        .listener("lenient", &lenient, Listener::default())
        .start()
        .await?;
    Ok(Stage { envoy, server, liar, api })
}

fn configuration(server: &AuthorizationServer, client_id: &str) -> Value {
    json!({
        "introspection": {
            "endpoint": format!("{}/token/introspection", server.issuer()),
            "upstream": "authorization-server",
            "client_id": client_id,
            "client_secret": {"env": "INTROSPECTION_CLIENT_SECRET"},
            "response": {"accept": SIGNED},
        },
        "token": {"issuer": server.issuer(), "audience": ["orders-api"]},
        "keys": {"uri": format!("{}/jwks", server.issuer())},
        "claim_headers": [
            {"header": "x-client", "pointer": "/client_id"},
            {"header": "x-scope", "pointer": "/scope"},
            {"header": "x-absent", "pointer": "/absent"},
        ],
        "cache": {"no_store_ttl": "1m"},
        "log_level": "debug",
        "rules": [
            {"path": "/orders", "methods": ["GET"], "scopes": ["orders:read"]},
            {"path": "/orders", "methods": ["POST"], "scopes": ["orders:write"]},
        ],
    })
}

impl Stage {
    /// Calls `/orders` with a token; the request has this name at the API.
    async fn orders(&self, listener: &str, token: &str, name: &str) -> Result<Answer> {
        self.envoy.client(listener).send(Request::get("/orders").bearer(token).named(name)).await
    }

    /// The answer to a request about whose token the gateway is told this.
    async fn deceive(&self, listener: &str, play: Response, name: &str) -> Result<Answer> {
        let token = secrets::fresh_token("played");
        self.liar.respond(&token, play);
        self.orders(listener, &token, name).await
    }
}

/// The server finds refresh tokens active, and says nothing of what they are. If this failed, a token that is for the server alone
/// would open the API for weeks.
#[tokio::test]
async fn r036_a_refresh_token_is_no_access_token_although_it_is_active() -> Result<()> {
    let stage = stage().await;
    let (refresh, access) = (stage.server.refresh_token().await?, stage.server.issue("orders:read").await?);
    let answer = stage.orders("only-typed", &refresh, "refresh").await?;
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert!(answer.text().contains("not an access token"), "{}", answer.text());
    assert_eq!(stage.api.received("refresh").len(), 0);
    assert_eq!(stage.orders("only-typed", &access, "access").await?.status, 200);
    // Without that, and without an audience, nothing tells one from the other.
    assert_eq!(stage.orders("any-audience", &refresh, "untyped").await?.status, 200);
    Ok(())
}

/// If this failed, a service would be shown a token that is not for it, or not learn who is calling.
#[tokio::test]
async fn r043_r044_the_api_receives_the_claims_of_a_signed_response_and_no_token() -> Result<()> {
    let stage = stage().await;
    for listener in ["ES256", "RS256"] {
        // The first token gives both workers the keys. The second is introspected once, and then found in their caches.
        let tokens = [stage.server.issue("orders:read").await?, stage.server.issue("orders:read").await?];
        for (number, token) in tokens.iter().flat_map(|token| [token; 20]).enumerate() {
            let name = format!("{listener}-{number}");
            let request = Request::get("/orders?q=1").bearer(token).named(&name);
            let request =
                request.header("x-client", "admin").header("X_Scope", "all").header("x-absent", "1");
            let answer = stage.envoy.client(listener).send(request).await?;
            assert_eq!(answer.status, 200, "{name}: {}", answer.text());
            let received = stage.api.received(&name);
            let [head] = received.as_slice() else { panic!("{} requests {name}", received.len()) };
            let values = |field: &str| head.get_all(field).iter().cloned().collect::<Vec<_>>();
            assert_eq!(values("x-client"), ["app"], "{name}");
            assert_eq!(values("x-scope"), ["orders:read"], "{name}");
            for field in ["authorization", "x_scope", "x-absent"] {
                assert!(!head.contains_key(field), "{name}: {field}");
            }
            let whole = format!("{head:?}");
            assert!(!whole.contains(token) && !whole.contains("eyJ"), "{name}: a token arrived");
        }
        assert_eq!(stage.server.introspections(&tokens[1]).await?, 1, "{listener}");
        let request = Request::post("/orders", "{}").bearer(&tokens[1]).named("may-not-write");
        assert_eq!(stage.envoy.client(listener).send(request).await?.status, 403, "{listener}");
        assert_eq!(stage.api.received("may-not-write").len(), 0);
    }
    Ok(())
}

/// If this failed, revoked tokens and made-up ones would do, or be told as the server's fault.
#[tokio::test]
async fn r043_r025_what_a_signed_response_calls_inactive_is_refused() -> Result<()> {
    let stage = stage().await;
    for listener in ["ES256", "RS256"] {
        let revoked = stage.server.issue("orders:read").await?;
        stage.server.revoke(&revoked).await?;
        for token in [revoked, secrets::fresh_token("unknown")] {
            let answer = stage.orders(listener, &token, "inactive").await?;
            assert_eq!(answer.status, 401, "{listener}: {}", answer.text());
            assert_eq!(answer.json()?["error_description"], "The access token is not active");
            assert!(answer.header("www-authenticate").contains(r#"error="invalid_token""#), "{listener}");
        }
        assert_eq!(stage.api.received("inactive").len(), 0);
    }
    Ok(())
}

/// The genuine answer passes whoever brings it: it is the signature that counts. If one of the others passed, whoever answers in
/// the server's place could call the API as anybody; if one were told as a 401, clients would throw good tokens away.
#[tokio::test]
async fn r043_r047_only_what_the_server_signed_for_this_gateway_counts() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    let genuine = stage.server.introspect("gateway-signed-ES256", &token, SIGNED).await?;
    let (header, claims) = (jwt::header(&genuine)?, authorization_server::claims(&genuine)?);
    assert_eq!((&header["alg"], &claims["aud"]), (&json!("ES256"), &json!("gateway-signed-ES256")));
    assert_eq!(stage.deceive("deceived", signed(&genuine), "genuine").await?.status, 200);
    assert_eq!(stage.api.received("genuine")[0]["x-client"], "app");

    let edited = |edit: fn(&mut Value)| {
        let mut claims = claims.clone();
        edit(&mut claims);
        jwt::altered(&genuine, |parts| parts[1] = jwt::encoded(&claims))
    };
    let typed = |header: Value| jwt::altered(&genuine, |parts| parts[0] = jwt::encoded(&header));
    let mut without_name = header.clone();
    without_name.as_object_mut().expect("a header").remove("kid");
    let with_own_key = {
        let mut header = header.clone();
        header["jwk"] = keys::public(&keys::p256());
        header
    };
    let for_another = stage.server.introspect("gateway-signed-RS256", &token, SIGNED).await?;
    let phantom = stage.server.introspect("gateway", &token, "application/jwt").await?;
    let plain = claims["token_introspection"].to_string();
    for (name, play) in [
        ("by-another-key", signed(&jwt::signed(&header, &claims))),
        ("by-another-key-without-a-name", signed(&jwt::signed(&without_name, &claims))),
        ("by-a-key-that-it-brings", signed(&jwt::signed(&with_own_key, &claims))),
        (
            "more-scope",
            signed(&edited(|claims| {
                claims["token_introspection"]["scope"] = json!("orders:read orders:write")
            })?),
        ),
        ("another-issuer", signed(&edited(|claims| claims["iss"] = json!("https://evil.example.com"))?)),
        ("unsigned", signed(&jwt::altered(&genuine, |parts| parts[2].clear())?)),
        (
            "none",
            signed(&jwt::altered(
                &typed(json!({"alg": "none", "typ": "token-introspection+jwt"}))?,
                |parts| parts[2].clear(),
            )?),
        ),
        ("for-another-gateway", signed(&for_another)),
        ("a-phantom-token", signed(&phantom)),
        ("a-phantom-token-as-such", Response::jwt(&phantom)),
        ("a-signed-response-as-a-jwt", Response::jwt(&genuine)),
        ("plain", Response::new(200, "application/json", plain.clone())),
        ("nothing", Response::new(204, "text/plain", "")),
    ] {
        let answer = stage.deceive("deceived", play, name).await?;
        assert_eq!(
            (answer.status, answer.header("www-authenticate")),
            (502, ""),
            "{name}: {}",
            answer.text()
        );
        assert_eq!(stage.api.received(name).len(), 0, "{name}");
    }
    let answer = stage.deceive("lenient", Response::new(200, "application/json", plain), "lenient").await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    Ok(())
}

/// If this failed, a signature by an algorithm that the operator has ruled out would count.
#[tokio::test]
async fn r059_a_genuine_signature_of_an_algorithm_that_is_not_allowed_is_none() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    let answer = stage.orders("only-RS256", &token, "only-RS256").await?;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!(stage.api.received("only-RS256").len(), 0);
    assert_eq!(stage.orders("ES256", &token, "ES256").await?.status, 200);
    Ok(())
}

/// If this failed, the answer about a token could be presented as one (RFC 9701 §8).
#[tokio::test]
async fn r045_a_signed_response_is_no_access_token() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    let response = stage.server.introspect("gateway-signed-ES256", &token, SIGNED).await?;
    let answer = stage.orders("ES256", &response, "presented").await?;
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert_eq!(answer.json()?["error_description"], "The token is not an access token");
    assert_eq!(stage.server.introspections(&response).await?, 0);
    Ok(())
}

fn signed(text: &str) -> Response {
    Response::new(200, SIGNED, text)
}

const SIGNED: &str = "application/token-introspection+jwt";
