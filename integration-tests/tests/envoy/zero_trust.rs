//! Zero trust inside the cluster: behind the ingress, the API has a sidecar that verifies every JWT by itself. What the
//! ingress forwards passes there; what did not come through the ingress, or is not what the authorization server signed,
//! does not.

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use integration_tests::api::Api;
use integration_tests::authorization_server::{self, AuthorizationServer, GATEWAY_SECRET};
use integration_tests::client::{Answer, Request};
use integration_tests::envoy::{Envoy, EnvoyBuilder, Listener};
use integration_tests::scripted_server::{Response, ScriptedServer};
use integration_tests::{jwt, secrets, sidecar};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// The chain of client, ingress, sidecar and API, and the server whose word counts. Another server lies to the ingress.
struct Stage {
    ingress: Envoy,
    sidecar: Envoy,
    api: Api,
    server: AuthorizationServer,
    liar: ScriptedServer,
}

async fn stage() -> &'static Stage {
    static STAGE: OnceCell<Stage> = OnceCell::const_new();
    STAGE.get_or_init(async || set_stage().await.expect("the stage")).await
}

async fn set_stage() -> Result<Stage> {
    let (server, api) = (AuthorizationServer::start("zero_trust")?, Api::start()?);
    let liar = ScriptedServer::start()?;
    let sidecar = sidecar::start("zero_trust-sidecar", &server, AUDIENCE, api.port()).await?;
    let mut deceived = configuration(&server);
    deceived["introspection"]["endpoint"] = json!("https://login.example.com/introspect");
    deceived["introspection"]["upstream"] = json!("liar");
    let ingress = EnvoyBuilder::new("zero_trust", 1, sidecar.client(sidecar::INBOUND).port())
        .cluster("authorization-server", &[server.port()])
        .cluster("liar", &[liar.port()])
        .environment("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET)
        .listener("ingress", &configuration(&server), Listener::default())
        .listener("deceived", &deceived, Listener::default())
        .start()
        .await?;
    Ok(Stage { ingress, sidecar, api, server, liar })
}

fn configuration(server: &AuthorizationServer) -> Value {
    json!({
        "introspection": {
            "endpoint": format!("{}/token/introspection", server.issuer()),
            "upstream": "authorization-server",
            "client_id": "gateway",
            "client_secret": {"env": "INTROSPECTION_CLIENT_SECRET"},
        },
        "token": {"issuer": server.issuer(), "audience": [AUDIENCE]},
        "log_level": "debug",
        "rules": [{"path": "/orders", "scopes": ["orders:read"]}],
    })
}

/// If this failed, what the filter forwards would be no JWT that a service can verify.
#[tokio::test]
async fn r074_the_sidecar_verifies_the_jwt_of_the_opaque_token_and_the_api_receives_it() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    let jwt = stage.jwt_of(&token, "chain").await?;
    let claims = authorization_server::claims(&jwt)?;
    assert_eq!(claims["client_id"], "app");
    assert_eq!(claims["scope"], "orders:read");
    let received = stage.api.received("chain");
    let verified: Vec<&[u8]> =
        received.iter().filter_map(|head| Some(head.get(sidecar::VERIFIED_CLAIMS)?.as_bytes())).collect();
    let [verified] = verified.as_slice() else { bail!("{} requests arrived", verified.len()) };
    assert_eq!(serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(verified)?)?, claims);
    Ok(())
}

/// If this failed, whoever is inside the cluster could call the API without the ingress: with what clients hold, with
/// nothing, or with a JWT of their own making.
#[tokio::test]
async fn r074_past_the_ingress_nothing_but_the_jwt_itself_reaches_the_api() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    let jwt = stage.jwt_of(&token, "to-be-forged").await?;
    assert_eq!(stage.straight_to_the_sidecar(Some(&jwt), "straight").await?.status, 200);
    assert_eq!(stage.api.received("straight").len(), 1);

    assert_eq!(stage.straight_to_the_sidecar(None, "no-credentials").await?.status, 401);
    assert_eq!(stage.api.received("no-credentials").len(), 0);
    let opaque_and_unsigned = [("opaque", token), ("unsigned", unsigned(&jwt)?)];
    for (name, forgery) in opaque_and_unsigned.into_iter().chain(forgeries(&jwt)?) {
        let answer = stage.straight_to_the_sidecar(Some(&forgery), name).await?;
        assert_eq!(answer.status, 401, "{name}: {}", answer.text());
        assert_eq!(stage.api.received(name).len(), 0, "{name}");
    }
    Ok(())
}

/// The filter verifies no signature: it trusts the server that it asks. If this failed, whoever answers in that server's
/// place could call the API as anybody.
#[tokio::test]
async fn r041_the_sidecar_stops_a_forged_jwt_that_the_ingress_was_made_to_forward() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    let jwt = stage.jwt_of(&token, "to-be-played").await?;
    assert_eq!(stage.deceive_the_ingress(&jwt, "as-signed").await?.status, 200);
    for (name, forgery) in forgeries(&jwt)? {
        let name = format!("played-{name}");
        let answer = stage.deceive_the_ingress(&forgery, &name).await?;
        assert_eq!(answer.status, 401, "{name}: {}", answer.text());
        assert!(answer.json().is_err(), "{name}: the ingress refused it: {}", answer.text());
        assert_eq!(stage.api.received(&name).len(), 0, "{name}");
    }
    Ok(())
}

impl Stage {
    /// The JWT that the API receives when a client calls it through the ingress with this token.
    async fn jwt_of(&self, token: &str, name: &str) -> Result<String> {
        let request = Request::get("/orders").bearer(token).named(name);
        let answer = self.ingress.client("ingress").send(request).await?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(!answer.text().contains(token), "the opaque token reached the API");
        let fields = answer.forwarded_authorization();
        let [authorization] = fields.as_slice() else { bail!("{} credentials arrived", fields.len()) };
        let jwt = authorization.strip_prefix("Bearer ").context("no scheme")?;
        Ok(secrets::noted(jwt.to_owned()))
    }

    /// The answer to a request whose opaque token the ingress is told to stand for this JWT.
    async fn deceive_the_ingress(&self, jwt: &str, name: &str) -> Result<Answer> {
        let token = secrets::fresh_token("played");
        self.liar.respond(&token, Response::jwt(jwt));
        self.ingress.client("deceived").send(Request::get("/orders").bearer(&token).named(name)).await
    }

    async fn straight_to_the_sidecar(&self, token: Option<&str>, name: &str) -> Result<Answer> {
        let request = Request::get("/orders").named(name);
        let request = if let Some(token) = token { request.bearer(token) } else { request };
        self.sidecar.client(sidecar::INBOUND).send(request).await
    }
}

/// JWTs with the claims of this one, or with more, that the authorization server did not sign.
fn forgeries(jwt: &str) -> Result<[(&'static str, String); 3]> {
    let [header, payload, signature] = parts(jwt)?;
    let claims = authorization_server::claims(jwt)?;
    let mut more_claims = claims.clone();
    more_claims["scope"] = json!("orders:read orders:write");
    let more_claims = URL_SAFE_NO_PAD.encode(more_claims.to_string());
    let mut other_signature = URL_SAFE_NO_PAD.decode(signature)?;
    other_signature[0] ^= 1;
    let other_signature = URL_SAFE_NO_PAD.encode(other_signature);
    Ok([
        ("another-signature", secrets::noted(format!("{header}.{payload}.{other_signature}"))),
        ("more-claims", secrets::noted(format!("{header}.{more_claims}.{signature}"))),
        ("made-up", jwt::with_claims(&claims)),
    ])
}

/// A JWT with the claims of this one that says that it needs no signature (RFC 7519 §6).
fn unsigned(jwt: &str) -> Result<String> {
    let [_, payload, _] = parts(jwt)?;
    let header = URL_SAFE_NO_PAD.encode(json!({"alg": "none", "typ": "at+jwt"}).to_string());
    Ok(secrets::noted(format!("{header}.{payload}.")))
}

fn parts(jwt: &str) -> Result<[&str; 3]> {
    jwt.split('.').collect::<Vec<_>>().try_into().ok().context("a JWT has three parts")
}

const AUDIENCE: &str = "orders-api";
