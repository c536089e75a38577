//! Tokens that are bound to a key (RFC 9449), in a real Envoy with two workers: the certified authorization server issues them
//! to a client that proves its key there, and the gateway asks for a proof with every request.

use anyhow::{Context, Result, bail};
use futures::future::try_join_all;
use integration_tests::api::Api;
use integration_tests::authorization_server::{self, AuthorizationServer, GATEWAY_SECRET};
use integration_tests::client::{Answer, Request};
use integration_tests::dpop::{self, DpopKey};
use integration_tests::envoy::{Envoy, EnvoyBuilder, Listener};
use integration_tests::eventually::eventually;
use integration_tests::{jwt, keys, secrets};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// One Envoy of two workers, one authorization server and one API for all tests of this file.
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
    let (server, api) = (AuthorizationServer::start("dpop")?, Api::start()?);
    let waiting = configuration(&server, "allowed");
    let cached = cached(&server, "allowed");
    let required = configuration(&server, "required");
    let mut off = configuration(&server, "off");
    off["rules"] = json!([{"path": "/orders"}]);
    off.as_object_mut().context("not an object")?.remove("dpop");
    let (mut nonce, mut nonce_cached) = (waiting.clone(), cached.clone());
    for configuration in [&mut nonce, &mut nonce_cached] {
        configuration["dpop"]["nonce_secret"] = json!(secrets::noted(NONCE_SECRET.to_owned()));
    }
    let mut minted = waiting.clone();
    minted["introspection"]["response"] = json!({"accept": "application/json"});
    minted["mint"] = json!({
        "issuer": "https://gateway.example.com",
        "audience": "orders-api",
        "keys": [{"private_key": keys::p256_pem()}],
    });
    let plain = Listener::default();
    let envoy = EnvoyBuilder::new("dpop", 2, api.port())
        .cluster("authorization-server", &[server.port()])
        .environment("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET)
        .listener("waiting", &waiting, plain)
        .listener("cached", &cached, plain)
        .listener("two-workers", &cached, plain)
        .listener("required", &required, plain)
        .listener("off", &off, plain)
        .listener("nonce", &nonce, plain)
        .listener("nonce-cached", &nonce_cached, plain)
        .listener("minted", &minted, plain)
        .start()
        .await?;
    Ok(Stage { envoy, server, api })
}

/// The server says `no-store`, so that every request waits for an introspection.
fn configuration(server: &AuthorizationServer, mode: &str) -> Value {
    json!({
        "introspection": {
            "endpoint": format!("{}/token/introspection", server.issuer()),
            "upstream": "authorization-server",
            "client_id": "gateway",
            "client_secret": {"env": "INTROSPECTION_CLIENT_SECRET"},
        },
        "token": {"issuer": server.issuer(), "audience": ["orders-api"], "dpop": mode},
        "dpop": {"origins": ["https://api.example.com"]},
        "realm": "orders",
        "log_level": "trace",
        "rules": [
            {"path": "/orders", "scopes": ["orders:read"]},
            {"path": "/strict", "dpop": "required"},
            {"path": "/public", "access": "public"},
        ],
    })
}

fn cached(server: &AuthorizationServer, mode: &str) -> Value {
    let mut configuration = configuration(server, mode);
    configuration["cache"] = json!({"no_store_ttl": "5m"});
    configuration
}

/// If this failed, no client could use a bound token; or services would see proofs, a scheme that they do not know, or the
/// opaque token.
#[tokio::test]
async fn r085_r095_a_bound_token_with_its_proof_goes_on_as_a_bearer_token_with_the_jwt() -> Result<()> {
    let stage = stage().await;
    for listener in ["waiting", "cached", "required"] {
        let (key, token) = stage.bound().await?;
        for (number, scheme) in ["DPoP", "dpop"].into_iter().enumerate() {
            let name = format!("{listener}-{number}");
            let proof = key.prove("GET", ORDERS, &token);
            let request = Request::get("/orders?q=1").header("authorization", format!("{scheme} {token}"));
            let answer = stage.send(listener, request.header("DPoP", &proof).named(&name)).await?;
            assert_eq!(answer.status, 200, "{name}: {}", answer.text());
            let received = stage.api.received(&name);
            let [head] = received.as_slice() else { bail!("{} requests {name}", received.len()) };
            assert!(!head.contains_key("dpop"), "{name}: the proof went on");
            assert!(!format!("{head:?}").contains(&token), "{name}: the opaque token went on");
            let claims = authorization_server::claims(&bearer(&answer)?)?;
            assert_eq!(
                claims["cnf"],
                json!({"jkt": key.thumbprint()}),
                "{name}: what the server bound it to"
            );
        }
        let introspections = if listener == "cached" { 1..=2 } else { 2..=2 };
        assert!(introspections.contains(&stage.server.introspections(&token).await?), "{listener}");
    }
    Ok(())
}

/// If this failed, whoever finds a bound token in a log could use it; or it could be used with a proof that was made for
/// another request, long ago or by anybody, as long as the token is in the cache.
#[tokio::test]
async fn r085_r086_r087_r088_r089_r090_r094_nothing_but_a_right_proof_helps_a_bound_token() -> Result<()> {
    let stage = stage().await;
    for listener in ["waiting", "cached"] {
        let (key, token) = stage.bound().await?;
        let (_, other_token) = stage.bound().await?;
        for _ in 0..4 {
            stage.passes(listener, &key, &token).await?;
        }
        for (what, challenge, request) in misuses(&key, &token, &other_token)? {
            let name = format!("{listener}: {what}");
            let answer = stage.send(listener, request.named(&name)).await?;
            assert_eq!(answer.status, 401, "{name}: {}", answer.text());
            let challenges = challenges(&answer);
            let [only] = challenges.as_slice() else { bail!("{name}: {challenges:?}") };
            assert!(only.starts_with(challenge), "{name}: {only}");
            assert_eq!(only.contains(ALGORITHMS), only.starts_with("DPoP "), "{name}: {only}");
            assert_eq!(answer.header("cache-control"), "no-store", "{name}");
            assert_eq!(stage.api.received(&name).len(), 0, "{name}");
        }
        stage.passes(listener, &key, &token).await?;
    }
    Ok(())
}

/// If this failed, who listens in once could repeat a request, with luck on another worker.
#[tokio::test]
async fn r093_a_proof_is_used_once_whichever_worker_sees_it_again() -> Result<()> {
    let stage = stage().await;
    let (key, token) = stage.bound().await?;
    let before = stage.connections().await?;
    let proof = key.prove("GET", ORDERS, &token);
    let request = Request::get("/orders").header("authorization", format!("DPoP {token}"));
    let request = request.header("dpop", &proof).named("replayed");
    assert_eq!(stage.send("two-workers", request.clone()).await?.status, 200);
    let after_first = stage.connections().await?;
    assert_eq!(after_first.iter().sum::<u64>(), before.iter().sum::<u64>() + 1, "nobody else is here");
    eventually("both workers saw it again", async || {
        let answer = stage.send("two-workers", request.clone()).await?;
        assert_eq!(answer.status, 401, "used once more");
        assert!(challenges(&answer).concat().starts_with(INVALID_PROOF), "{:?}", answer.headers);
        let now = stage.connections().await?;
        Ok((0..2).all(|worker| now[worker] > after_first[worker]))
    })
    .await?;
    assert_eq!(stage.api.received("replayed").len(), 1);
    Ok(())
}

/// If this failed, two workers that see one proof at the same moment could both let it pass.
#[tokio::test]
async fn r093_of_many_requests_at_once_with_one_proof_one_passes() -> Result<()> {
    let stage = stage().await;
    for listener in ["waiting", "cached"] {
        let (key, token) = stage.bound().await?;
        for round in 0..5 {
            let name = format!("{listener}-at-once-{round}");
            let proof = key.prove("GET", ORDERS, &token);
            let request = Request::get("/orders").header("authorization", format!("DPoP {token}"));
            let request = request.header("dpop", &proof).named(&name);
            let answers = (0..20).map(|_| stage.send(listener, request.clone()));
            let statuses: Vec<u16> =
                try_join_all(answers).await?.into_iter().map(|answer| answer.status).collect();
            assert_eq!(statuses.iter().filter(|&&status| status == 200).count(), 1, "{name}: {statuses:?}");
            assert_eq!(statuses.iter().filter(|&&status| status == 401).count(), 19, "{name}: {statuses:?}");
            assert_eq!(stage.api.received(&name).len(), 1, "{name}");
        }
    }
    Ok(())
}

/// Requests that wait for one answer are settled together. If this failed, one of them would pass by the proof of another.
#[tokio::test]
async fn r094_many_requests_at_once_with_one_token_each_stand_on_their_own_proof() -> Result<()> {
    let stage = stage().await;
    for listener in ["waiting", "cached"] {
        let (key, token) = stage.bound().await?;
        let stolen = DpopKey::new()?;
        let send = async |number: usize| {
            let name = format!("{listener}-crowd-{number}");
            let request = Request::get("/orders").named(&name);
            let (request, status) = match number % 4 {
                0 => (with_proof(request, &token, &stolen.prove("GET", ORDERS, &token)), 401),
                1 => (request.bearer(&token), 401),
                _ => (with_proof(request, &token, &key.prove("GET", ORDERS, &token)), 200),
            };
            let answer = stage.send(listener, request).await?;
            assert_eq!(answer.status, status, "{name}: {}", answer.text());
            assert_eq!(stage.api.received(&name).len(), usize::from(status == 200), "{name}");
            anyhow::Ok(())
        };
        try_join_all((0..60).map(send)).await?;
        if listener == "cached" {
            let introspections = stage.server.introspections(&token).await?;
            assert!((1..=2).contains(&introspections), "{introspections}, where each worker needs one");
        }
    }
    Ok(())
}

/// If this failed, clients that need the gateway's nonce would never learn it, or one who made proofs in advance could use them.
#[tokio::test]
async fn r092_where_a_nonce_is_required_clients_are_told_it_and_proofs_without_fail() -> Result<()> {
    let stage = stage().await;
    for listener in ["nonce", "nonce-cached"] {
        let (key, token) = stage.bound().await?;
        let send = async |nonce: Option<&str>| {
            let mut claims = dpop::claims("GET", ORDERS, &token);
            if let Some(nonce) = nonce {
                claims["nonce"] = json!(nonce);
            }
            let name = claims["jti"].as_str().context("an id")?.to_owned();
            let request = with_proof(Request::get("/orders").named(&name), &token, &key.sign(&claims));
            let answer = stage.send(listener, request).await?;
            assert_eq!(stage.api.received(&name).len(), usize::from(answer.status == 200), "{listener}");
            anyhow::Ok(answer)
        };
        let nonce = nonce_of(&send(None).await?)?;
        for _ in 0..4 {
            let answer = send(Some(&nonce)).await?;
            assert_eq!(answer.status, 200, "{listener}: {}", answer.text());
        }
        let other_beginning = if nonce.starts_with('A') { "B" } else { "A" };
        let made_up = format!("{other_beginning}{}", &nonce[1..]);
        for wrong in [None, Some(""), Some("made-up"), Some(made_up.as_str())] {
            nonce_of(&send(wrong).await?)?;
        }
        let request = Request::get("/orders").header("authorization", format!("DPoP {token}"));
        let without_proof = stage.send(listener, request).await?;
        assert!(challenges(&without_proof).concat().starts_with(INVALID_PROOF), "{listener}");
        assert!(!without_proof.headers.contains_key("dpop-nonce"), "{listener}");
    }
    Ok(())
}

/// If this failed, a token that anybody can use would pass where the operator asks for proof; or bound tokens would be required
/// where they are only allowed.
#[tokio::test]
async fn r014_r089_where_binding_is_required_bearer_tokens_fail_and_elsewhere_they_do_not() -> Result<()> {
    let stage = stage().await;
    let (key, bound) = stage.bound().await?;
    let unbound = stage.server.issue("orders:read").await?;
    let bearer = |path: &str| Request::get(path).bearer(&unbound);
    let proven = |path: &str, token: &str| {
        with_proof(
            Request::get(path),
            token,
            &key.prove("GET", &format!("https://api.example.com{path}"), token),
        )
    };
    for (listener, what, request, status, challenge) in [
        ("waiting", "unbound", bearer("/orders"), 200, ""),
        ("cached", "unbound", bearer("/orders"), 200, ""),
        ("waiting", "unbound, strict", bearer("/strict"), 401, INVALID_BOUND_TOKEN),
        ("waiting", "bound, strict", proven("/strict", &bound), 200, ""),
        ("required", "unbound", bearer("/orders"), 401, INVALID_BOUND_TOKEN),
        ("required", "bound, as bearer", Request::get("/orders").bearer(&bound), 401, INVALID_BOUND_TOKEN),
        ("required", "bound", proven("/orders", &bound), 200, ""),
        ("required", "unbound, proven", proven("/orders", &unbound), 401, INVALID_BOUND_TOKEN),
        ("waiting", "unbound, proven", proven("/orders", &unbound), 401, INVALID_BOUND_TOKEN),
        ("off", "bound, as bearer", Request::get("/orders").bearer(&bound), 401, INVALID_TOKEN),
        ("off", "bound", proven("/orders", &bound), 401, r#"Bearer realm="orders""#),
    ] {
        let name = format!("{listener}: {what}");
        let answer = stage.send(listener, request.named(&name)).await?;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        let challenges = challenges(&answer);
        assert_eq!(challenges.len(), usize::from(status == 401), "{name}: {challenges:?}");
        assert!(challenges.concat().starts_with(challenge), "{name}: {challenges:?}");
        assert_eq!(stage.api.received(&name).len(), usize::from(status == 200), "{name}");
    }
    Ok(())
}

/// If this failed, clients would not learn which schemes and algorithms would do.
#[tokio::test]
async fn r014_without_credentials_clients_are_told_all_schemes_that_would_do() -> Result<()> {
    let stage = stage().await;
    let bearer = r#"Bearer realm="orders""#.to_owned();
    let dpop = format!(r#"DPoP realm="orders", {ALGORITHMS}"#);
    for (listener, path, expected) in [
        ("waiting", "/orders", vec![bearer.clone(), dpop.clone()]),
        ("waiting", "/strict", vec![dpop.clone()]),
        ("required", "/orders", vec![dpop]),
        ("off", "/orders", vec![bearer]),
    ] {
        let answer = stage.send(listener, Request::get(path)).await?;
        assert_eq!((answer.status, challenges(&answer)), (401, expected), "{listener} {path}");
    }
    Ok(())
}

/// If this failed, a service behind a public route would learn tokens and proofs, which clients send everywhere.
#[tokio::test]
async fn r095_public_routes_see_neither_the_token_nor_the_proof() -> Result<()> {
    let stage = stage().await;
    let (key, token) = stage.bound().await?;
    let proof = key.prove("GET", "https://api.example.com/public", &token);
    let request = with_proof(Request::get("/public"), &token, &proof);
    let answer = stage.send("waiting", request.named("public")).await?;
    assert_eq!(answer.status, 200);
    let received = stage.api.received("public");
    let [head] = received.as_slice() else { bail!("{} requests", received.len()) };
    for field in ["dpop", "authorization"] {
        assert!(!head.contains_key(field), "{field}");
    }
    Ok(())
}

/// The server calls the token a DPoP token in its JSON. If this failed, such answers would be refused; or services would receive
/// a JWT with a binding whose proof they never see.
#[tokio::test]
async fn r091_r095_a_jwt_that_is_minted_of_a_bound_token_has_no_binding() -> Result<()> {
    let stage = stage().await;
    let (key, token) = stage.bound().await?;
    let answer = stage.server.introspect("gateway", &token, "application/json").await?;
    let introspection: Value = serde_json::from_str(&answer)?;
    assert_eq!(introspection["token_type"], "DPoP");
    assert_eq!(introspection["cnf"], json!({"jkt": key.thumbprint()}));
    let answer = stage.passes("minted", &key, &token).await?;
    let claims = authorization_server::claims(&bearer(&answer)?)?;
    assert_eq!((&claims["client_id"], claims.get("cnf")), (&json!("app"), None));
    let refused = stage.send("minted", Request::get("/orders").bearer(&token).named("minted-bearer")).await?;
    assert_eq!((refused.status, stage.api.received("minted-bearer").len()), (401, 0));
    Ok(())
}

/// If this failed, whoever reads the log could use a proof before its sender does, where a worker did not remember it.
#[tokio::test]
async fn r110_no_proof_is_in_the_log_be_it_right_or_not() -> Result<()> {
    let stage = stage().await;
    let (key, token) = stage.bound().await?;
    let right = key.prove("GET", ORDERS, &token);
    let wrong = key.prove("POST", ORDERS, &token);
    for (proof, status) in [(&right, 200), (&right, 401), (&wrong, 401)] {
        let request = with_proof(Request::get("/orders"), &token, proof);
        assert_eq!(stage.send("waiting", request).await?.status, status);
    }
    eventually("a refusal is in the log", async || Ok(stage.envoy.log().contains("invalid_dpop_proof")))
        .await?;
    let log = stage.envoy.log();
    for secret in [&right, &wrong, &token] {
        assert!(!log.contains(secret.as_str()), "a proof or a token is in the log");
    }
    Ok(())
}

/// If this failed, whoever reads the log could make nonces.
#[tokio::test]
async fn r110_the_secret_that_nonces_are_made_with_is_not_in_the_log() -> Result<()> {
    let log = stage().await.envoy.log();
    assert!(log.contains("configured: "), "the filter says in the log that it is configured");
    assert!(!log.contains(NONCE_SECRET), "and with which secret");
    Ok(())
}

/// Requests with a bound token that are not right, and how their challenge begins.
fn misuses(
    key: &DpopKey,
    token: &str,
    other_token: &str,
) -> Result<Vec<(&'static str, &'static str, Request)>> {
    let get = || Request::get("/orders");
    let proof = || key.prove("GET", ORDERS, token);
    let altered = |name: &str, value: Value| {
        let mut claims = dpop::claims("GET", ORDERS, token);
        claims[name] = value;
        with_proof(get(), token, &key.sign(&claims))
    };
    let headed = |header: Value| {
        with_proof(get(), token, &key.sign_with(&header, &dpop::claims("GET", ORDERS, token)))
    };
    let jwk = key.jwk();
    let impostor = DpopKey::new()?;
    let forged = impostor.sign_with(
        &json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": jwk}),
        &dpop::claims("GET", ORDERS, token),
    );
    let scheme = || get().header("authorization", format!("DPoP {token}"));
    let now = jwt::now();
    Ok(vec![
        ("as a bearer token", INVALID_TOKEN, get().bearer(token)),
        ("as a bearer token with a proof", INVALID_TOKEN, get().bearer(token).header("dpop", proof())),
        ("no proof", INVALID_PROOF, scheme()),
        ("an empty proof", INVALID_PROOF, scheme().header("dpop", "")),
        ("two proofs", INVALID_PROOF, scheme().header("dpop", proof()).header("DPoP", proof())),
        (
            "two proofs in one field",
            INVALID_PROOF,
            scheme().header("dpop", format!("{}, {}", proof(), proof())),
        ),
        (
            "another's key",
            INVALID_BOUND_TOKEN,
            with_proof(get(), token, &impostor.prove("GET", ORDERS, token)),
        ),
        ("another's signature", INVALID_PROOF, with_proof(get(), token, &forged)),
        ("another method", INVALID_PROOF, altered("htm", json!("POST"))),
        ("a method in other letters", INVALID_PROOF, altered("htm", json!("get"))),
        ("another path", INVALID_PROOF, altered("htu", json!("https://api.example.com/orders/1"))),
        ("another host", INVALID_PROOF, altered("htu", json!("https://evil.example.com/orders"))),
        (
            "another host that fields of the request name",
            INVALID_PROOF,
            altered("htu", json!("https://evil.example.com/orders"))
                .header("host", "evil.example.com")
                .header("x-forwarded-host", "evil.example.com"),
        ),
        ("another scheme", INVALID_PROOF, altered("htu", json!("http://api.example.com/orders"))),
        (
            "another token",
            INVALID_PROOF,
            altered("ath", dpop::claims("GET", ORDERS, other_token)["ath"].clone()),
        ),
        ("no token", INVALID_PROOF, altered("ath", Value::Null)),
        ("no id", INVALID_PROOF, altered("jti", Value::Null)),
        ("made too long ago", INVALID_PROOF, altered("iat", json!(now - 120))),
        ("made in the future", INVALID_PROOF, altered("iat", json!(now + 120))),
        ("made at no time", INVALID_PROOF, altered("iat", Value::Null)),
        ("another type", INVALID_PROOF, headed(json!({"alg": "ES256", "typ": "at+jwt", "jwk": jwk}))),
        ("no signature", INVALID_PROOF, headed(json!({"alg": "none", "typ": "dpop+jwt", "jwk": jwk}))),
        ("no key", INVALID_PROOF, headed(json!({"alg": "ES256", "typ": "dpop+jwt"}))),
    ])
}

fn with_proof(request: Request, token: &str, proof: &str) -> Request {
    request.header("authorization", format!("DPoP {token}")).header("dpop", proof)
}

/// The nonce of an answer that asks for it.
fn nonce_of(answer: &Answer) -> Result<String> {
    assert_eq!(answer.status, 401, "{}", answer.text());
    let challenges = challenges(answer);
    let [only] = challenges.as_slice() else { bail!("{challenges:?}") };
    assert!(only.starts_with(r#"DPoP realm="orders", error="use_dpop_nonce""#), "{only}");
    assert!(only.contains(ALGORITHMS), "{only}");
    let nonces: Vec<_> = answer.headers.get_all("dpop-nonce").iter().collect();
    let [nonce] = nonces.as_slice() else { bail!("{} nonces", nonces.len()) };
    Ok(nonce.to_str()?.to_owned())
}

fn challenges(answer: &Answer) -> Vec<String> {
    let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    answer.headers.get_all("www-authenticate").iter().map(text).collect()
}

/// The one JWT that the API received.
fn bearer(answer: &Answer) -> Result<String> {
    let fields = answer.forwarded_authorization();
    let [authorization] = fields.as_slice() else { bail!("{} credentials arrived", fields.len()) };
    let jwt = authorization.strip_prefix("Bearer ").context("another scheme")?;
    Ok(secrets::noted(jwt.to_owned()))
}

impl Stage {
    /// A key, and a token that is bound to it.
    async fn bound(&self) -> Result<(DpopKey, String)> {
        let key = DpopKey::new()?;
        let token = self.server.issue_bound_to_key(&key, "orders:read").await?;
        Ok((key, token))
    }

    async fn send(&self, listener: &str, request: Request) -> Result<Answer> {
        self.envoy.client(listener).send(request).await
    }

    /// Sends a request that is right, and gives its answer.
    async fn passes(&self, listener: &str, key: &DpopKey, token: &str) -> Result<Answer> {
        let proof = key.prove("GET", ORDERS, token);
        let answer = self.send(listener, with_proof(Request::get("/orders"), token, &proof)).await?;
        assert_eq!(answer.status, 200, "{listener}: {}", answer.text());
        Ok(answer)
    }

    /// How many connections each worker has had on the listener `two-workers`.
    async fn connections(&self) -> Result<[u64; 2]> {
        let of = async |worker: usize| {
            let name = format!("listener.two-workers.worker_{worker}.downstream_cx_total");
            self.envoy.statistic(&name).await
        };
        Ok([of(0).await?, of(1).await?])
    }
}

const ORDERS: &str = "https://api.example.com/orders";
const NONCE_SECRET: &str = "the-secret-that-nonces-are-made-with";
const ALGORITHMS: &str = r#"algs="ES256 EdDSA PS256 RS256""#;
const INVALID_PROOF: &str = r#"DPoP realm="orders", error="invalid_dpop_proof""#;
const INVALID_BOUND_TOKEN: &str = r#"DPoP realm="orders", error="invalid_token""#;
const INVALID_TOKEN: &str = r#"Bearer realm="orders", error="invalid_token""#;
