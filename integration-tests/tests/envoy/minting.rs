//! JWTs that the gateway mints (RFC 9068) for an authorization server without JWTs: Authlib, with plain introspection. Behind the gateway,
//! a workload's sidecar verifies them with the keys that the gateway publishes, and accepts nothing else.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use integration_tests::dpop::DpopKey;
use integration_tests::envoy::{Envoy, Listener};
use integration_tests::eventually::eventually;
use integration_tests::json::merged;
use integration_tests::port::ReservedPort;
use integration_tests::shared;
use integration_tests::testkit::{Call, World};
use integration_tests::{api, jwt, keys, secrets, sidecar};
use serde_json::{Value, json};

/// A chain of client, gateway, sidecar and API, and an API without a sidecar.
struct Chain {
    world: World,
    sidecar: Envoy,
    /// The configuration of the listener `gateway`.
    configuration: Value,
    issuer: String,
    _port: ReservedPort,
}

shared!(chain: Chain = async || start("minting").await);

async fn start(name: &str) -> Result<Chain> {
    let (billing, port) = (api::start()?, ReservedPort::new()?);
    let world = World::plain(name)?;
    let issuer = sidecar::Issuer { name: ISSUER, keys: KEYS, port: port.number() };
    let sidecar =
        sidecar::start_trusting(&format!("{name}-sidecar"), issuer, "orders-api", world.api.port()).await?;
    let inbound = sidecar.client(sidecar::INBOUND).port();
    let routes = [
        json!({"match": {"path_separated_prefix": "/billing"}, "route": {"cluster": "billing"}}),
        json!({"match": {"prefix": "/"}, "route": {"cluster": "api"}}),
    ];
    let issuer = world.issuer();
    let world = world
        .configuration(json!({
            "mint": {"issuer": ISSUER, "audience": "orders-api", "jwks_path": KEYS, "client_as_subject": true},
            "log_level": "trace",
            "rules": [
                {"path": "/orders", "scopes": ["orders:read"]},
                {"path": "/billing", "mint": {
                    "audience": "billing-api",
                    "claims": [{"name": "original_issuer", "pointer": "/iss"}],
                }},
            ],
        }))
        .service(billing.heads())
        .envoy(|envoy| {
            let envoy = envoy.cluster("api", &[inbound]).cluster("billing", &[billing.port()]);
            envoy.environment("MINT_KEY", &keys::p256_pem())
        });
    let all = signing(&["old", "new", "ed25519", "rsa"]);
    let configuration = merged(world.configured(), all.clone());
    let mut world = world
        .listener_on("gateway", all.clone(), Listener { port: port.number(), ..Listener::default() })
        .envoy(|envoy| envoy.routed_by(&routes))
        .listener("cached", merged(&all, json!({"cache": {"no_store_ttl": "5m"}})))
        .envoy(|envoy| envoy.routed_by(&routes));
    for key in ["new", "ed25519", "rsa", "unpublished"] {
        world = world.listener(key, signing(&[key]));
    }
    Ok(Chain { world: world.start().await?, sidecar, configuration, issuer, _port: port })
}

/// The edits that make the gateway mint with these keys. The first one signs.
fn signing(keys: &[&str]) -> Value {
    let key = |name: &&str| json!({"private_key": private_key(name), "key_id": name});
    json!({"mint": {"keys": keys.iter().map(key).collect::<Vec<_>>()}})
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

impl Chain {
    /// The JWT that the service at this path receives when a client sends this token.
    async fn jwt_of(&self, listener: &str, path: &str, token: &str) -> Result<String> {
        self.world.get(path).at(listener).bearer(token).await?.is_served().jwt()
    }

    /// Sends a JWT to the sidecar, bypassing the gateway.
    fn straight(&self, jwt: &str) -> Call<'_> {
        self.world.orders(jwt).by(self.sidecar.client(sidecar::INBOUND))
    }
}

/// If this failed, services could not verify what the gateway signs, or it would grant more or for longer than the server did.
#[tokio::test]
async fn r042_r108_the_sidecar_verifies_the_minted_jwt_by_the_keys_of_the_gateway() -> Result<()> {
    let world = &chain().await.world;
    let outcome = world.orders(&world.issue("orders:read").await?).await?.is_served();
    assert_eq!(jwt::header(&outcome.jwt()?)?, json!({"alg": "ES256", "typ": "at+jwt", "kid": "old"}));
    let mut claims = outcome.claims()?;
    let verified = outcome.head().get(sidecar::VERIFIED_CLAIMS).context("the sidecar verified nothing")?;
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

/// If this failed, operators could not choose the algorithm: services would refuse JWTs signed by some kinds of keys.
#[tokio::test]
async fn r108_keys_of_every_kind_sign_what_the_sidecar_verifies_if_they_are_published() -> Result<()> {
    let chain = chain().await;
    let token = chain.world.issue("orders:read").await?;
    for (key, algorithm) in [("new", "ES256"), ("ed25519", "EdDSA"), ("rsa", "RS256")] {
        let header = jwt::header(&chain.jwt_of(key, "/orders", &token).await?)?;
        assert_eq!(header, json!({"alg": algorithm, "typ": "at+jwt", "kid": key}));
    }
    chain.world.orders(&token).at("unpublished").await?.has_status(401);
    Ok(())
}

/// If this failed, any workload in the cluster could call the API with a JWT that it made itself, or with one for another API.
#[tokio::test]
async fn r108_past_the_gateway_nothing_but_the_minted_jwt_for_this_api_is_taken() -> Result<()> {
    let chain = chain().await;
    let token = chain.world.issue("orders:read").await?;
    let jwt = chain.jwt_of("gateway", "/orders", &token).await?;
    chain.straight(&jwt).await?.is_served();
    let claims = jwt::claims(&jwt)?;
    let altered = |edits: Value| {
        let claims = merged(&claims, edits);
        jwt::altered(&jwt, |parts| parts[1] = jwt::encoded(&claims))
    };
    let billing = chain.jwt_of("gateway", "/billing", &token).await?;
    let forged = DpopKey::new()?.sign_with(&jwt::header(&jwt)?, &claims);
    for (case, forgery, status) in [
        ("another user", altered(json!({"sub": "admin"}))?, 401),
        ("more scope", altered(json!({"scope": "orders:read orders:write"}))?, 401),
        ("the opaque token", token, 401),
        ("another's signature", forged, 401),
        ("for another API", billing, 403),
    ] {
        chain.straight(&forgery).case(case).await?.has_status(status);
    }
    Ok(())
}

/// If this failed, one API could call another in the user's name, or would learn claims meant for the other.
#[tokio::test]
async fn r108_rules_with_their_own_audiences_have_jwts_of_their_own() -> Result<()> {
    let chain = chain().await;
    let token = chain.world.issue("orders:read").await?;
    for _ in 0..2 {
        let orders = jwt::claims(&chain.jwt_of("cached", "/orders", &token).await?)?;
        let billing = jwt::claims(&chain.jwt_of("cached", "/billing", &token).await?)?;
        assert_eq!((&orders["aud"], orders.get("original_issuer")), (&json!("orders-api"), None));
        assert_eq!(billing["aud"], "billing-api");
        assert_eq!(billing["original_issuer"], chain.issuer);
        assert_ne!(orders["jti"], billing["jti"]);
    }
    assert_eq!(chain.world.introspections(&token).await?, 1, "one answer is enough for both");
    Ok(())
}

/// If this failed, every request would cost a signature; or one JWT would be used for another token.
#[tokio::test]
async fn r108_a_hit_mints_nothing_and_every_answer_does() -> Result<()> {
    let chain = chain().await;
    for (listener, is_kept) in [("cached", true), ("gateway", false)] {
        let (token, other) =
            (chain.world.issue("orders:read").await?, chain.world.issue("orders:read").await?);
        let first = chain.jwt_of(listener, "/orders", &token).await?;
        let second = chain.jwt_of(listener, "/orders", &token).await?;
        let of_other = chain.jwt_of(listener, "/orders", &other).await?;
        assert!((first == second) == is_kept, "{listener}: is it the same?");
        assert!(first != of_other && second != of_other, "{listener}: one JWT for two tokens");
    }
    Ok(())
}

/// If this failed, the gateway would vouch for a user whose token the server does not call active.
#[tokio::test]
async fn r109_nothing_is_minted_of_a_token_that_is_not_active_or_lacks_the_scope() -> Result<()> {
    let world = &chain().await.world;
    for (token, status, reason, error) in [
        (world.issue_revoked("orders:read").await?, 401, "inactive", "invalid_token"),
        (secrets::fresh_token("mint"), 401, "inactive", "invalid_token"),
        (world.issue("orders:write").await?, 403, "insufficient_scope", "insufficient_scope"),
    ] {
        for listener in ["gateway", "cached"] {
            let outcome = world.orders(&token).at(listener).await?.is_refused(status, reason);
            outcome.is_challenged_by(error);
        }
    }
    Ok(())
}

/// If this failed, services would refuse every request after a key rotation, until they fetch the set again.
#[tokio::test]
async fn r108_keys_are_changed_without_a_refusal() -> Result<()> {
    let chain = start("minting-rotation").await?;
    let token = chain.world.issue("orders:read").await?;
    let old = chain.jwt_of("gateway", "/orders", &token).await?;
    assert_eq!(jwt::header(&old)?["kid"], "old");
    let swapped = merged(&chain.configuration, signing(&["new", "old"]));
    assert!(chain.world.envoy.reconfigure("gateway", &swapped).await?);
    eventually("the new key signs, and nobody is refused", async || {
        Ok(jwt::header(&chain.jwt_of("gateway", "/orders", &token).await?)?["kid"] == "new")
    })
    .await?;
    chain.straight(&old).case("signed before").await?.is_served();
    let set = chain.world.get(KEYS).await?.json()?;
    let published: Vec<&Value> =
        set["keys"].as_array().into_iter().flatten().map(|key| &key["kid"]).collect();
    assert_eq!(published, ["new", "old"]);
    Ok(())
}

/// If this failed, the private keys would be served with the public ones, or appear in the logs.
#[tokio::test]
async fn r108_the_keys_are_published_without_their_private_members_and_are_in_no_log() -> Result<()> {
    let chain = chain().await;
    let set = chain.world.get(KEYS).await?.json()?;
    let published: Vec<&Value> = set["keys"].as_array().into_iter().flatten().collect();
    assert_eq!(published.iter().map(|key| &key["kty"]).collect::<Vec<_>>(), ["EC", "EC", "OKP", "RSA"]);
    for key in published {
        assert_eq!((keys::public(key), &key["use"]), (key.clone(), &json!("sig")));
    }
    let token = chain.world.issue("orders:read").await?;
    chain.jwt_of("gateway", "/orders", &token).await?;
    let pem = [keys::p256_pem(), keys::another_p256_pem()].concat();
    let (ed25519, rsa) = (keys::ed25519(), keys::rsa());
    let members = [&ed25519["d"], &rsa["d"]].map(|member| member.as_str().unwrap_or_default());
    let lines = pem.lines().filter(|line| !line.starts_with("-----"));
    let log = chain.world.envoy.log();
    assert!(log.contains("configured: "), "the filter says in the log that it is configured");
    for secret in lines.chain(members) {
        assert!(!secret.is_empty() && !log.contains(secret), "a private key is in the log");
    }
    Ok(())
}

shared! {
    /// A gateway that also serves its authorization server, under the server's own name.
    naming: World = start_naming
}

async fn start_naming() -> Result<World> {
    World::scripted("naming")?
        .configuration(json!({
            "token": null,
            "mint": {
                "issuer": ISSUER, "audience": "orders-api",
                "keys": [{"private_key": {"env": "MINT_KEY"}}],
            },
            "rules": [
                {"path": "/orders"},
                {"path": "/", "hosts": ["login.example.com"], "access": "public"},
            ],
        }))
        .envoy(|envoy| envoy.environment("MINT_KEY", &keys::p256_pem()))
        .listener("gateway", json!({}))
        .start()
        .await
}

/// If this failed, an authorization server behind the same listener would publish the gateway's keys as its own; or services that know the
/// gateway by another name could not fetch the keys.
#[tokio::test]
async fn r127_the_keys_of_the_gateway_hide_no_other_hosts() -> Result<()> {
    for (host, is_own) in [
        ("gateway.example.com", true),
        ("gateway.example.com:8443", true),
        ("gateway.istio-system.svc", true),
        ("127.0.0.1", true),
        ("login.example.com", false),
        ("LOGIN.example.com", false),
    ] {
        let outcome = naming().await.get("/.well-known/jwks.json").header("host", host).await?;
        assert_eq!(outcome.status, 200, "{host}: {outcome}");
        assert_eq!(outcome.json()?.get("keys").is_some(), is_own, "{host}: {outcome}");
        assert_eq!(outcome.arrived.len(), usize::from(!is_own), "{host}");
    }
    Ok(())
}

const ISSUER: &str = "https://gateway.example.com";
const KEYS: &str = "/gateway/jwks.json";
