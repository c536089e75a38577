//! JWTs of the gateway's own (RFC 9068), for an authorization server that knows none: Authlib, with plain introspection. Behind
//! the gateway, a workload's sidecar verifies them by the keys that the gateway publishes, and takes nothing else.

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use integration_tests::api::Api;
use integration_tests::client::{Answer, Request};
use integration_tests::dpop::DpopKey;
use integration_tests::envoy::{Envoy, EnvoyBuilder, Listener};
use integration_tests::eventually::eventually;
use integration_tests::plain_authorization_server::{GATEWAY_SECRET, PlainAuthorizationServer};
use integration_tests::port::ReservedPort;
use integration_tests::scripted_server::{Response, ScriptedServer};
use integration_tests::{authorization_server, jwt, keys, secrets, sidecar};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// The chain of client, gateway, sidecar and API, and an API without a sidecar.
struct Stage {
    gateway: Envoy,
    sidecar: Envoy,
    server: PlainAuthorizationServer,
    api: Api,
    billing: Api,
    _port: ReservedPort,
}

async fn stage() -> &'static Stage {
    static STAGE: OnceCell<Stage> = OnceCell::const_new();
    STAGE.get_or_init(async || set_stage("minting").await.expect("the stage")).await
}

async fn set_stage(name: &str) -> Result<Stage> {
    let server = PlainAuthorizationServer::start(name)?;
    let (api, billing, port) = (Api::start()?, Api::start()?, ReservedPort::new()?);
    let issuer = sidecar::Issuer { name: ISSUER, keys: KEYS, port: port.number() };
    let sidecar =
        sidecar::start_trusting(&format!("{name}-sidecar"), issuer, "orders-api", api.port()).await?;
    let mut cached = configuration(&server, &["old", "new", "ed25519", "rsa"]);
    cached["cache"] = json!({"no_store_ttl": "5m"});
    let routes = [
        json!({"match": {"path_separated_prefix": "/billing"}, "route": {"cluster": "billing"}}),
        json!({"match": {"prefix": "/"}, "route": {"cluster": "api"}}),
    ];
    let plain = Listener::default();
    let mut gateway = EnvoyBuilder::new(name, 1, sidecar.client(sidecar::INBOUND).port())
        .cluster("authorization-server", &[server.port()])
        .cluster("billing", &[billing.port()])
        .environment("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET)
        .environment("MINT_KEY", &keys::p256_pem())
        .listener(
            "gateway",
            &configuration(&server, &["old", "new", "ed25519", "rsa"]),
            Listener { port: port.number(), ..plain },
        )
        .routed_by(&routes)
        .listener("cached", &cached, plain)
        .routed_by(&routes);
    for key in ["new", "ed25519", "rsa", "unpublished"] {
        gateway = gateway.listener(key, &configuration(&server, &[key]), plain);
    }
    let gateway = gateway.start().await?;
    Ok(Stage { gateway, sidecar, server, api, billing, _port: port })
}

/// The first of the keys signs.
fn configuration(server: &PlainAuthorizationServer, keys: &[&str]) -> Value {
    let keys: Vec<Value> =
        keys.iter().map(|name| json!({"private_key": private_key(name), "key_id": name})).collect();
    json!({
        "introspection": {
            "endpoint": format!("{}/token/introspection", server.issuer()),
            "upstream": "authorization-server",
            "client_id": "gateway",
            "client_secret": {"env": "INTROSPECTION_CLIENT_SECRET"},
            "response": {"accept": "application/json"},
        },
        "token": {"issuer": server.issuer(), "audience": ["orders-api"]},
        "mint": {"issuer": ISSUER, "audience": "orders-api", "keys": keys, "jwks_path": KEYS},
        "log_level": "trace",
        "rules": [
            {"path": "/orders", "scopes": ["orders:read"]},
            {"path": "/billing", "mint": {
                "audience": "billing-api",
                "claims": [{"name": "original_issuer", "pointer": "/iss"}],
            }},
        ],
    })
}

fn private_key(name: &str) -> Value {
    match name {
        "old" => json!({"env": "MINT_KEY"}),
        "new" => json!(keys::another_p256_pem()),
        "ed25519" => json!(keys::ed25519().to_string()),
        "rsa" => json!(keys::rsa().to_string()),
        _ => json!(keys::fresh_p256_pem().expect("a key")),
    }
}

/// If this failed, services could not verify what the gateway signs, or it would say more or for longer than the server did.
#[tokio::test]
async fn r042_r108_the_sidecar_verifies_the_minted_jwt_by_the_keys_of_the_gateway() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    let (jwt, head) = stage.jwt_of("gateway", "/orders", &token, "chain").await?;
    let header = jwt::header(&jwt)?;
    assert_eq!(header, json!({"alg": "ES256", "typ": "at+jwt", "kid": "old"}));
    let mut claims = authorization_server::claims(&jwt)?;
    let verified = head.get(sidecar::VERIFIED_CLAIMS).context("the sidecar verified nothing")?;
    assert_eq!(serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(verified)?)?, claims);
    let issued_at = claims["iat"].as_u64().context("iat")?;
    assert!(jwt::now().abs_diff(issued_at) <= 60, "{issued_at}");
    assert_eq!(claims["exp"], issued_at + 300, "shorter than the token");
    for own in ["iat", "exp", "jti"] {
        claims[own].take();
    }
    let expected = json!({
        "iss": ISSUER, "aud": "orders-api", "sub": "app", "client_id": "app", "scope": "orders:read",
        "iat": null, "exp": null, "jti": null,
    });
    assert_eq!(claims, expected);
    Ok(())
}

/// If this failed, operators could not choose the algorithm: services would refuse what this key or that signs.
#[tokio::test]
async fn r108_keys_of_every_kind_sign_what_the_sidecar_verifies_if_they_are_published() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    for (key, algorithm) in [("new", "ES256"), ("ed25519", "EdDSA"), ("rsa", "RS256")] {
        let (jwt, _) = stage.jwt_of(key, "/orders", &token, key).await?;
        assert_eq!(jwt::header(&jwt)?, json!({"alg": algorithm, "typ": "at+jwt", "kid": key}));
    }
    let request = Request::get("/orders").bearer(&token).named("unpublished");
    let answer = stage.gateway.client("unpublished").send(request).await?;
    assert_eq!((answer.status, stage.api.received("unpublished").len()), (401, 0), "{}", answer.text());
    Ok(())
}

/// If this failed, whoever is inside the cluster could call the API with a JWT of its own making, or with one for another API.
#[tokio::test]
async fn r108_past_the_gateway_nothing_but_the_minted_jwt_for_this_api_is_taken() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    let (jwt, _) = stage.jwt_of("gateway", "/orders", &token, "to-be-forged").await?;
    assert_eq!(stage.straight(&jwt, "straight").await?.status, 200);
    assert_eq!(stage.api.received("straight").len(), 1);
    let claims = authorization_server::claims(&jwt)?;
    let altered_claims = |name: &str, value: &str| {
        let mut claims = claims.clone();
        claims[name] = json!(value);
        jwt::altered(&jwt, |parts| parts[1] = jwt::encoded(&claims))
    };
    let (billing, _) = stage.jwt_of("gateway", "/billing", &token, "to-be-sent-elsewhere").await?;
    let forged = DpopKey::new()?.sign_with(&jwt::header(&jwt)?, &claims);
    for (name, forgery, status) in [
        ("another user", altered_claims("sub", "admin")?, 401),
        ("more scope", altered_claims("scope", "orders:read orders:write")?, 401),
        ("the opaque token", token, 401),
        ("another's signature", forged, 401),
        ("for another API", billing, 403),
    ] {
        let answer = stage.straight(&forgery, name).await?;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert_eq!(stage.api.received(name).len(), 0, "{name}");
    }
    Ok(())
}

/// If this failed, one API could call another in the user's name, or would learn what is meant for that alone.
#[tokio::test]
async fn r108_rules_with_their_own_audiences_have_jwts_of_their_own() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    for round in 0..2 {
        let (orders, _) = stage.jwt_of("cached", "/orders", &token, &format!("two-orders-{round}")).await?;
        let (billing, _) =
            stage.jwt_of("cached", "/billing", &token, &format!("two-billing-{round}")).await?;
        let [orders, billing] = [orders, billing].map(|jwt| authorization_server::claims(&jwt));
        let (orders, billing) = (orders?, billing?);
        assert_eq!((&orders["aud"], orders.get("original_issuer")), (&json!("orders-api"), None));
        assert_eq!(billing["aud"], "billing-api");
        assert_eq!(billing["original_issuer"], stage.server.issuer());
        assert_ne!(orders["jti"], billing["jti"]);
    }
    assert_eq!(stage.server.introspections(&token).await?, 1, "one answer is enough for both");
    Ok(())
}

/// If this failed, every request would cost a signature; or one JWT would serve for another's token.
#[tokio::test]
async fn r108_a_hit_mints_nothing_and_every_answer_does() -> Result<()> {
    let stage = stage().await;
    for (listener, is_kept) in [("cached", true), ("gateway", false)] {
        let (token, other) =
            (stage.server.issue("orders:read").await?, stage.server.issue("orders:read").await?);
        let (first, _) = stage.jwt_of(listener, "/orders", &token, &format!("{listener}-first")).await?;
        let (second, _) = stage.jwt_of(listener, "/orders", &token, &format!("{listener}-second")).await?;
        let (of_other, _) = stage.jwt_of(listener, "/orders", &other, &format!("{listener}-other")).await?;
        assert!((first == second) == is_kept, "{listener}: is it the same?");
        assert!(first != of_other && second != of_other, "{listener}: one JWT for two tokens");
    }
    Ok(())
}

/// If this failed, the gateway would vouch for somebody of whom the server says nothing good.
#[tokio::test]
async fn r109_nothing_is_minted_of_a_token_that_is_not_active_or_lacks_the_scope() -> Result<()> {
    let stage = stage().await;
    let revoked = stage.server.issue("orders:read").await?;
    stage.server.revoke(&revoked).await?;
    let narrow = stage.server.issue("orders:write").await?;
    for (what, token, status) in
        [("revoked", revoked, 401), ("unknown", secrets::fresh_token("mint"), 401), ("narrow", narrow, 403)]
    {
        for listener in ["gateway", "cached"] {
            let name = format!("{listener}: {what}");
            let answer = stage.send(listener, "/orders", &token, &name).await?;
            assert_eq!(answer.status, status, "{name}: {}", answer.text());
            let error = if status == 401 { "invalid_token" } else { "insufficient_scope" };
            assert!(answer.header("www-authenticate").contains(error), "{name}: {:?}", answer.headers);
            assert_eq!(stage.api.received(&name).len(), 0, "{name}");
        }
    }
    Ok(())
}

/// If this failed, services would refuse everybody when the operator changes keys, until they fetch the set again.
#[tokio::test]
async fn r108_keys_are_changed_without_a_refusal() -> Result<()> {
    let stage = set_stage("minting-rotation").await?;
    let token = stage.server.issue("orders:read").await?;
    let (old, _) = stage.jwt_of("gateway", "/orders", &token, "before").await?;
    assert_eq!(jwt::header(&old)?["kid"], "old");
    let swapped = configuration(&stage.server, &["new", "old"]);
    assert!(stage.gateway.reconfigure("gateway", &swapped).await?);
    eventually("the new key signs, and nobody is refused", async || {
        let (jwt, _) = stage.jwt_of("gateway", "/orders", &token, "meanwhile").await?;
        Ok(jwt::header(&jwt)?["kid"] == "new")
    })
    .await?;
    assert_eq!(
        stage.straight(&old, "old").await?.status,
        200,
        "the sidecar still takes what was signed before"
    );
    let answer = stage.gateway.client("gateway").send(Request::get(KEYS)).await?;
    let set = answer.json()?;
    let published: Vec<&Value> =
        set["keys"].as_array().into_iter().flatten().map(|key| &key["kid"]).collect();
    assert_eq!(published, ["new", "old"]);
    Ok(())
}

/// If this failed, whoever asks for the public keys would be given the private ones, or everybody who reads the logs.
#[tokio::test]
async fn r108_the_keys_are_published_without_their_private_members_and_are_in_no_log() -> Result<()> {
    let stage = stage().await;
    let answer = stage.gateway.client("gateway").send(Request::get(KEYS)).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let set = answer.json()?;
    let kinds: Vec<&Value> = set["keys"].as_array().into_iter().flatten().map(|key| &key["kty"]).collect();
    assert_eq!(kinds, ["EC", "EC", "OKP", "RSA"]);
    for key in set["keys"].as_array().into_iter().flatten() {
        assert_eq!((keys::public(key), &key["use"]), (key.clone(), &json!("sig")));
    }
    let token = stage.server.issue("orders:read").await?;
    stage.jwt_of("gateway", "/orders", &token, "logged").await?;
    let pem = [keys::p256_pem(), keys::another_p256_pem()].concat();
    let (ed25519, rsa) = (keys::ed25519(), keys::rsa());
    let members = [&ed25519["d"], &rsa["d"]].map(|member| member.as_str().unwrap_or_default());
    let lines = pem.lines().filter(|line| !line.starts_with("-----"));
    let log = stage.gateway.log();
    assert!(log.contains("configured: "), "the filter says in the log that it is configured");
    for secret in lines.chain(members) {
        assert!(!secret.is_empty() && !log.contains(secret), "a private key is in the log");
    }
    Ok(())
}

/// A gateway whose server answers as the test says. It is also in front of that server, under the server's own name.
struct Naming {
    envoy: Envoy,
    server: ScriptedServer,
    api: Api,
}

async fn naming() -> &'static Naming {
    static NAMING: OnceCell<Naming> = OnceCell::const_new();
    NAMING.get_or_init(async || set_naming().await.expect("the stage")).await
}

async fn set_naming() -> Result<Naming> {
    let (server, api) = (ScriptedServer::start()?, Api::start()?);
    let configuration = |edits: Value| {
        let mut configuration = json!({
            "introspection": {
                "endpoint": "https://login.example.com/introspect",
                "upstream": "authorization-server",
                "client_id": "gateway",
                "client_secret": secrets::noted("the-secret-of-the-gateway".to_owned()),
            },
            "mint": {
                "issuer": ISSUER, "audience": "orders-api",
                "keys": [{"private_key": {"env": "MINT_KEY"}}],
            },
            "log_level": "debug",
            "rules": [{"path": "/orders"}, {"path": "/", "hosts": ["login.example.com"], "access": "public"}],
        });
        for (name, edit) in edits.as_object().into_iter().flatten() {
            configuration[name] = edit.clone();
        }
        configuration
    };
    let envoy = EnvoyBuilder::new("naming", 1, api.port())
        .cluster("authorization-server", &[server.port()])
        .environment("MINT_KEY", &keys::p256_pem())
        .listener("by-sub", &configuration(json!({"profile": "okta"})), Listener::default())
        .listener(
            "by-username",
            &configuration(json!({"profile": "django-oauth-toolkit"})),
            Listener::default(),
        )
        .start()
        .await?;
    Ok(Naming { envoy, server, api })
}

impl Naming {
    /// Whom services are told of when the server answers so, or the status of the refusal.
    async fn subject(&self, listener: &str, answer: &Value) -> Result<String> {
        let token = secrets::fresh_token("naming");
        self.server.respond(&token, Response::new(200, "application/json", answer.to_string()));
        let request = Request::get("/orders").bearer(&token).named(&token);
        let answer = self.envoy.client(listener).send(request).await?;
        let received = self.api.received(&token);
        assert_eq!(received.len(), usize::from(answer.status == 200), "{}", answer.text());
        let Some(head) = received.first() else { return Ok(answer.status.to_string()) };
        let jwt = head["authorization"].to_str()?.strip_prefix("Bearer ").context("another scheme")?;
        let claims = authorization_server::claims(&secrets::noted(jwt.to_owned()))?;
        Ok(claims["sub"].as_str().context("no sub")?.to_owned())
    }
}

/// django-oauth-toolkit and WSO2 name users in `username` alone. If this failed, services would take all users of an app for one, and for
/// the app itself, on the gateway's word.
#[tokio::test]
async fn r125_users_are_never_taken_for_their_client_nor_for_each_other() -> Result<()> {
    let naming = naming().await;
    let answer = |edits: Value| {
        let mut answer = json!({"active": true, "client_id": "app", "scope": "a", "exp": jwt::now() + 600});
        for (name, edit) in edits.as_object().into_iter().flatten() {
            answer[name] = edit.clone();
        }
        answer
    };
    for (edits, by_sub, by_username) in [
        (json!({"username": "alice"}), "502", "alice"),
        (json!({"username": "bob"}), "502", "bob"),
        (json!({"sub": "1234", "username": "alice"}), "1234", "alice"),
        (json!({"sub": "", "username": "alice"}), "502", "alice"),
        (json!({"sub": "1234"}), "1234", "502"),
        (json!({"sub": 42}), "502", "502"),
        (json!({"username": ""}), "502", "502"),
        (json!({"sub": null, "username": null}), "app", "app"),
        (json!({}), "app", "app"),
    ] {
        let answer = answer(edits);
        assert_eq!(naming.subject("by-sub", &answer).await?, by_sub, "{answer}");
        assert_eq!(naming.subject("by-username", &answer).await?, by_username, "{answer}");
    }
    Ok(())
}

/// If this failed, an authorization server behind the same listener would publish the gateway's keys for its own; or services that know
/// the gateway by another name could not fetch any.
#[tokio::test]
async fn r127_the_keys_of_the_gateway_hide_no_other_hosts() -> Result<()> {
    let naming = naming().await;
    let client = naming.envoy.client("by-sub");
    for (host, is_own) in [
        ("gateway.example.com", true),
        ("gateway.example.com:8443", true),
        ("gateway.istio-system.svc", true),
        ("127.0.0.1", true),
        ("login.example.com", false),
        ("LOGIN.example.com", false),
    ] {
        let name = format!("keys: {host}");
        let request = Request::get("/.well-known/jwks.json").header("host", host).named(&name);
        let answer = client.send(request).await?;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        assert_eq!(answer.json()?.get("keys").is_some(), is_own, "{name}: {}", answer.text());
        assert_eq!(naming.api.received(&name).len(), usize::from(!is_own), "{name}");
    }
    Ok(())
}

impl Stage {
    async fn send(&self, listener: &str, path: &str, token: &str, name: &str) -> Result<Answer> {
        self.gateway.client(listener).send(Request::get(path).bearer(token).named(name)).await
    }

    /// The JWT that the service of this path receives when a client sends this token, and the head that it came with.
    async fn jwt_of(
        &self,
        listener: &str,
        path: &str,
        token: &str,
        name: &str,
    ) -> Result<(String, axum::http::HeaderMap)> {
        let answer = self.send(listener, path, token, name).await?;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        let service = if path == "/billing" { &self.billing } else { &self.api };
        let head = service.received(name).pop().context("nothing arrived")?;
        let fields: Vec<_> = head.get_all("authorization").iter().collect();
        let [authorization] = fields.as_slice() else { bail!("{} credentials arrived", fields.len()) };
        let jwt = authorization.to_str()?.strip_prefix("Bearer ").context("another scheme")?;
        Ok((secrets::noted(jwt.to_owned()), head))
    }

    /// Sends a JWT to the sidecar, past the gateway.
    async fn straight(&self, jwt: &str, name: &str) -> Result<Answer> {
        let request = Request::get("/orders").bearer(jwt).named(name);
        self.sidecar.client(sidecar::INBOUND).send(request).await
    }
}

const ISSUER: &str = "https://gateway.example.com";
const KEYS: &str = "/gateway/jwks.json";
