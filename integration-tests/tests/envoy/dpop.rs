//! Tokens bound to a key (RFC 9449), in a real Envoy with two workers: the certified authorization server issues them to a client that
//! proves possession of its key, and the gateway requires a proof with every request.

use anyhow::{Context, Result, bail};
use futures::future::try_join_all;
use integration_tests::dpop::{self, DpopKey};
use integration_tests::eventually::eventually;
use integration_tests::shared;
use integration_tests::testkit::{Call, Outcome, World};
use integration_tests::{jwt, keys, secrets};
use serde_json::{Value, json};

shared! {
    /// One Envoy with two workers, one authorization server and one API for all tests of this file.
    world: World = start
}

/// By default the server's responses are `no-store`, so that every request waits for an introspection.
async fn start() -> Result<World> {
    let cached = || json!({"cache": {"no_store_ttl": "5m"}});
    let nonce_secret = secrets::noted(NONCE_SECRET.to_owned());
    World::certified("dpop")?
        .workers(2)
        .configuration(json!({
            "token": {"dpop": "allowed"},
            "dpop": {"origins": ["https://api.example.com"]},
            "realm": "orders",
            "log_level": "trace",
            "rules": [
                {"path": "/orders", "scopes": ["orders:read"]},
                {"path": "/strict", "dpop": "required"},
                {"path": "/public", "access": "public"},
            ],
        }))
        .listener("waiting", json!({}))
        .listener("cached", cached())
        .listener("two-workers", cached())
        .listener("required", json!({"token": {"dpop": "required"}}))
        .listener("off", json!({"token": {"dpop": "off"}, "dpop": null, "rules": [{"path": "/orders"}]}))
        .listener(
            "minted",
            json!({
                "introspection": {"response": {"accept": "application/json"}},
                "mint": {
                    "client_as_subject": true,
                    "issuer": "https://gateway.example.com",
                    "audience": "orders-api",
                    "keys": [{"private_key": keys::p256_pem()}],
                },
            }),
        )
        .configuration(json!({"dpop": {"nonce_secret": nonce_secret}}))
        .listener("nonce", json!({}))
        .listener("nonce-cached", cached())
        .start()
        .await
}

/// If this failed, no client could use a bound token; or services would see proofs, a scheme that they do not know, or the
/// opaque token.
#[tokio::test]
async fn r085_r095_a_bound_token_with_its_proof_goes_on_as_a_bearer_token_with_the_jwt() -> Result<()> {
    let world = world().await;
    for listener in ["waiting", "cached", "required"] {
        let (key, token) = bound().await?;
        for scheme in ["DPoP", "dpop"] {
            let call = world.get("/orders?q=1").at(listener).with_token(&token);
            let call = call.header("authorization", format!("{scheme} {token}"));
            let outcome = call.header("DPoP", key.prove("GET", ORDERS, &token)).await?.is_served();
            assert!(!outcome.head().contains_key("dpop"), "the proof went on: {outcome}");
            let confirmation = &outcome.claims()?["cnf"];
            assert_eq!(*confirmation, json!({"jkt": key.thumbprint()}), "what the server bound it to");
        }
        let introspections = if listener == "cached" { 1..=2 } else { 2..=2 };
        assert!(introspections.contains(&world.introspections(&token).await?), "{listener}");
    }
    Ok(())
}

/// If this failed, a bound token found in a log could be used; or, while the token is cached, any proof would be accepted, even an old one,
/// one for another request, or one by another key.
#[tokio::test]
async fn r085_r086_r087_r088_r089_r090_r094_nothing_but_a_right_proof_helps_a_bound_token() -> Result<()> {
    for listener in ["waiting", "cached"] {
        let (key, token) = bound().await?;
        let (_, other_token) = bound().await?;
        for _ in 0..4 {
            passes(listener, &key, &token).await?;
        }
        for (what, challenge, call) in misuses(listener, &key, &token, &other_token).await? {
            let outcome = call.case(what).await?.has_status(401);
            let challenges = outcome.challenges();
            let [only] = challenges.as_slice() else { bail!("{outcome}") };
            assert!(only.starts_with(challenge), "{outcome}");
            assert_eq!(only.contains(ALGORITHMS), only.starts_with("DPoP "), "{outcome}");
        }
        passes(listener, &key, &token).await?;
    }
    Ok(())
}

/// If this failed, an eavesdropper could replay a request, with luck on another worker.
#[tokio::test]
async fn r093_a_proof_is_used_once_whichever_worker_sees_it_again() -> Result<()> {
    let (key, token) = bound().await?;
    let before = connections().await?;
    let call = proven("two-workers", "/orders", &token, &key.prove("GET", ORDERS, &token)).await;
    call.clone().await?.is_served();
    let after_first = connections().await?;
    assert_eq!(after_first.iter().sum::<u64>(), before.iter().sum::<u64>() + 1, "nobody else is here");
    eventually("both workers saw it again", async || {
        call.clone().await?.is_refused(401, "invalid_dpop_proof");
        let now = connections().await?;
        Ok((0..2).all(|worker| now[worker] > after_first[worker]))
    })
    .await
}

/// If this failed, two workers that see one proof at the same moment could both accept it.
#[tokio::test]
async fn r093_of_many_requests_at_once_with_one_proof_one_passes() -> Result<()> {
    let world = world().await;
    for listener in ["waiting", "cached"] {
        let (key, token) = bound().await?;
        for _ in 0..5 {
            let call = proven(listener, "/orders", &token, &key.prove("GET", ORDERS, &token)).await;
            let (served, refused): (Vec<_>, Vec<_>) =
                world.together(vec![call; 20]).await?.into_iter().partition(|outcome| outcome.status == 200);
            assert_eq!(served.len(), 1, "{listener}");
            for outcome in refused {
                outcome.is_refused(401, "invalid_dpop_proof");
            }
        }
    }
    Ok(())
}

/// Requests that wait for one response are settled together. If this failed, one of them would pass with the proof of another.
#[tokio::test]
async fn r094_many_requests_at_once_with_one_token_each_stand_on_their_own_proof() -> Result<()> {
    let world = world().await;
    for listener in ["waiting", "cached"] {
        let (key, token) = bound().await?;
        let stolen = DpopKey::new()?;
        let send = async |number: usize| {
            let by = async |key: &DpopKey| {
                proven(listener, "/orders", &token, &key.prove("GET", ORDERS, &token)).await
            };
            let (call, status) = match number % 4 {
                0 => (by(&stolen).await, 401),
                1 => (world.orders(&token).at(listener), 401),
                _ => (by(&key).await, 200),
            };
            call.case(number).await?.has_status(status);
            anyhow::Ok(())
        };
        try_join_all((0..60).map(send)).await?;
        if listener == "cached" {
            let introspections = world.introspections(&token).await?;
            assert!((1..=2).contains(&introspections), "{introspections}, where each worker needs one");
        }
    }
    Ok(())
}

/// If this failed, clients that need the gateway's nonce would never learn it, or an attacker could use proofs made in advance.
#[tokio::test]
async fn r092_where_a_nonce_is_required_clients_receive_one_and_proofs_without_fail() -> Result<()> {
    let world = world().await;
    for listener in ["nonce", "nonce-cached"] {
        let (key, token) = bound().await?;
        let send = async |nonce: Option<&str>| {
            let mut claims = dpop::claims("GET", ORDERS, &token);
            if let Some(nonce) = nonce {
                claims["nonce"] = json!(nonce);
            }
            proven(listener, "/orders", &token, &key.sign(&claims)).await.await
        };
        let nonce = nonce_of(send(None).await?)?;
        for _ in 0..4 {
            send(Some(&nonce)).await?.is_served();
        }
        let other_beginning = if nonce.starts_with('A') { "B" } else { "A" };
        let made_up = format!("{other_beginning}{}", &nonce[1..]);
        for wrong in [None, Some(""), Some("made-up"), Some(made_up.as_str())] {
            nonce_of(send(wrong).await?)?;
        }
        let without_proof =
            world.get("/orders").at(listener).header("authorization", format!("DPoP {token}"));
        let without_proof = without_proof.await?.is_refused(401, "invalid_dpop_proof");
        assert!(!without_proof.headers.contains_key("dpop-nonce"), "{listener}");
    }
    Ok(())
}

/// If this failed, a bearer token would pass where the operator requires proof; or bound tokens would be required where they are only
/// allowed.
#[tokio::test]
async fn r014_r089_where_binding_is_required_bearer_tokens_fail_and_elsewhere_they_do_not() -> Result<()> {
    let world = world().await;
    let (key, bound) = bound().await?;
    let unbound = world.issue("orders:read").await?;
    let bearer = |listener: &str, path: &str, token: &str| world.get(path).at(listener).bearer(token);
    let proven = async |listener: &str, path: &str, token: &str| {
        let proof = key.prove("GET", &format!("https://api.example.com{path}"), token);
        proven(listener, path, token, &proof).await
    };
    for call in [
        bearer("waiting", "/orders", &unbound),
        bearer("cached", "/orders", &unbound),
        proven("waiting", "/strict", &bound).await,
        proven("required", "/orders", &bound).await,
    ] {
        call.await?.is_served();
    }
    for (what, call, challenge) in [
        ("unbound, strict", bearer("waiting", "/strict", &unbound), INVALID_BOUND_TOKEN),
        ("unbound", bearer("required", "/orders", &unbound), INVALID_BOUND_TOKEN),
        ("bound, as bearer", bearer("required", "/orders", &bound), INVALID_BOUND_TOKEN),
        ("unbound, proven", proven("required", "/orders", &unbound).await, INVALID_BOUND_TOKEN),
        ("unbound, proven", proven("waiting", "/orders", &unbound).await, INVALID_BOUND_TOKEN),
        ("bound, as bearer", bearer("off", "/orders", &bound), INVALID_TOKEN),
        ("bound", proven("off", "/orders", &bound).await, r#"Bearer realm="orders""#),
    ] {
        let outcome = call.case(what).await?.has_status(401);
        assert_eq!(outcome.challenges().len(), 1, "{outcome}");
        assert!(outcome.challenges()[0].starts_with(challenge), "{outcome}");
    }
    Ok(())
}

/// If this failed, clients would not learn which schemes and algorithms are accepted.
#[tokio::test]
async fn r014_without_credentials_all_accepted_schemes_are_challenged() -> Result<()> {
    let world = world().await;
    let bearer = r#"Bearer realm="orders""#.to_owned();
    let dpop = format!(r#"DPoP realm="orders", {ALGORITHMS}"#);
    let scoped = ["Bearer", "DPoP"].map(|scheme| format!(r#"{scheme} realm="orders", scope="orders:read""#));
    let [scoped_bearer, scoped_dpop] = scoped;
    let scoped_dpop = format!("{scoped_dpop}, {ALGORITHMS}");
    for (listener, path, expected) in [
        ("waiting", "/orders", vec![scoped_bearer, scoped_dpop.clone()]),
        ("waiting", "/strict", vec![dpop]),
        ("required", "/orders", vec![scoped_dpop]),
        ("off", "/orders", vec![bearer]),
    ] {
        let outcome = world.get(path).at(listener).await?.is_refused(401, "missing_credentials");
        assert_eq!(outcome.challenges(), expected, "{listener} {path}");
    }
    Ok(())
}

/// If this failed, a service behind a public route would learn tokens and proofs, which clients send everywhere.
#[tokio::test]
async fn r095_public_routes_see_neither_the_token_nor_the_proof() -> Result<()> {
    let (key, token) = bound().await?;
    let proof = key.prove("GET", "https://api.example.com/public", &token);
    let outcome = proven("waiting", "/public", &token, &proof).await.await?.is_served();
    for field in ["dpop", "authorization"] {
        assert!(!outcome.head().contains_key(field), "{field}");
    }
    Ok(())
}

/// The server calls the token a DPoP token in its JSON. If this failed, such responses would be refused; or services would receive a JWT
/// with a binding whose proof they never see.
#[tokio::test]
async fn r091_r095_a_jwt_that_is_minted_of_a_bound_token_has_no_binding() -> Result<()> {
    let world = world().await;
    let (key, token) = bound().await?;
    let answer = world.server().introspect("gateway", &token, "application/json").await?;
    let introspection: Value = serde_json::from_str(&answer)?;
    assert_eq!(introspection["token_type"], "DPoP");
    assert_eq!(introspection["cnf"], json!({"jkt": key.thumbprint()}));
    let claims = passes("minted", &key, &token).await?.claims()?;
    assert_eq!((&claims["client_id"], claims.get("cnf")), (&json!("app"), None));
    world.orders(&token).at("minted").await?.is_refused(401, "proof_required");
    Ok(())
}

/// If this failed, a reader of the log could use a proof before its sender does, or where a worker did not remember it.
#[tokio::test]
async fn r110_no_proof_is_in_the_log_be_it_right_or_not() -> Result<()> {
    let world = world().await;
    let (key, token) = bound().await?;
    let right = key.prove("GET", ORDERS, &token);
    let wrong = key.prove("POST", ORDERS, &token);
    for (proof, status) in [(&right, 200), (&right, 401), (&wrong, 401)] {
        proven("waiting", "/orders", &token, proof).await.await?.has_status(status);
    }
    world.envoy.logs("invalid_dpop_proof").await?;
    let log = world.envoy.log();
    for secret in [&right, &wrong, &token] {
        assert!(!log.contains(secret.as_str()), "a proof or a token is in the log");
    }
    Ok(())
}

/// If this failed, a reader of the log could forge nonces.
#[tokio::test]
async fn r110_the_secret_that_nonces_are_made_with_is_not_in_the_log() -> Result<()> {
    let log = world().await.envoy.log();
    assert!(log.contains("configured: "), "the filter says in the log that it is configured");
    assert!(!log.contains(NONCE_SECRET), "and with which secret");
    Ok(())
}

/// Incorrect requests with a bound token, each with the beginning of its challenge.
async fn misuses(
    listener: &str,
    key: &DpopKey,
    token: &str,
    other_token: &str,
) -> Result<Vec<(&'static str, &'static str, Call<'static>)>> {
    let world = world().await;
    let get = || world.get("/orders").at(listener).with_token(token);
    let scheme = || get().header("authorization", format!("DPoP {token}"));
    let proof = || key.prove("GET", ORDERS, token);
    let with = |proof: &str| scheme().header("dpop", proof);
    let claims = || dpop::claims("GET", ORDERS, token);
    let altered = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        with(&key.sign(&claims))
    };
    let headed = |header: Value| with(&key.sign_with(&header, &claims()));
    let jwk = key.jwk();
    let impostor = DpopKey::new()?;
    let forged = impostor.sign_with(&json!({"alg": "ES256", "typ": "dpop+jwt", "jwk": jwk}), &claims());
    let elsewhere = || altered("htu", json!("https://evil.example.com/orders"));
    let now = jwt::now();
    let mut misuses = vec![
        ("as a bearer token", INVALID_TOKEN, get().bearer(token)),
        ("as a bearer token with a proof", INVALID_TOKEN, get().bearer(token).header("dpop", proof())),
        ("another's key", INVALID_BOUND_TOKEN, with(&impostor.prove("GET", ORDERS, token))),
    ];
    let wrong_proofs = [
        ("no proof", scheme()),
        ("an empty proof", with("")),
        ("two proofs", with(&proof()).header("DPoP", proof())),
        ("two proofs in one field", with(&format!("{}, {}", proof(), proof()))),
        ("another's signature", with(&forged)),
        ("another method", altered("htm", json!("POST"))),
        ("a method in other letters", altered("htm", json!("get"))),
        ("another path", altered("htu", json!("https://api.example.com/orders/1"))),
        ("another host", elsewhere()),
        (
            "another host that fields of the request name",
            elsewhere().header("host", "evil.example.com").header("x-forwarded-host", "evil.example.com"),
        ),
        ("another scheme", altered("htu", json!("http://api.example.com/orders"))),
        ("another token", altered("ath", dpop::claims("GET", ORDERS, other_token)["ath"].clone())),
        ("no token", altered("ath", Value::Null)),
        ("no id", altered("jti", Value::Null)),
        ("made too long ago", altered("iat", json!(now - 120))),
        ("made in the future", altered("iat", json!(now + 120))),
        ("made at no time", altered("iat", Value::Null)),
        ("another type", headed(json!({"alg": "ES256", "typ": "at+jwt", "jwk": jwk}))),
        ("no signature", headed(json!({"alg": "none", "typ": "dpop+jwt", "jwk": jwk}))),
        ("no key", headed(json!({"alg": "ES256", "typ": "dpop+jwt"}))),
    ];
    misuses.extend(wrong_proofs.map(|(what, call)| (what, INVALID_PROOF, call)));
    Ok(misuses)
}

async fn proven(listener: &str, path: &str, token: &str, proof: &str) -> Call<'static> {
    let call = world().await.get(path).at(listener).with_token(token);
    call.header("authorization", format!("DPoP {token}")).header("dpop", proof)
}

/// Returns the nonce in a refusal that requires one.
fn nonce_of(outcome: Outcome) -> Result<String> {
    let outcome = outcome.is_refused(401, "use_dpop_nonce");
    let challenges = outcome.challenges();
    let [only] = challenges.as_slice() else { bail!("{outcome}") };
    assert!(only.starts_with(r#"DPoP realm="orders", error="use_dpop_nonce""#), "{only}");
    assert!(only.contains(ALGORITHMS), "{only}");
    let nonces: Vec<_> = outcome.headers.get_all("dpop-nonce").iter().collect();
    let [nonce] = nonces.as_slice() else { bail!("{} nonces", nonces.len()) };
    nonce.to_str().map(str::to_owned).context("a nonce that is text")
}

/// Returns a new key and a token that is bound to it.
async fn bound() -> Result<(DpopKey, String)> {
    let key = DpopKey::new()?;
    let token = world().await.server().issue_bound_to_key(&key, "orders:read").await?;
    Ok((key, token))
}

/// Sends a correct request and asserts that it is served.
async fn passes(listener: &str, key: &DpopKey, token: &str) -> Result<Outcome> {
    let call = proven(listener, "/orders", token, &key.prove("GET", ORDERS, token)).await;
    Ok(call.await?.is_served())
}

/// The number of connections that each worker has had on the listener `two-workers`.
async fn connections() -> Result<[u64; 2]> {
    let envoy = &world().await.envoy;
    let of = async |worker: usize| {
        envoy.statistic(&format!("listener.two-workers.worker_{worker}.downstream_cx_total")).await
    };
    Ok([of(0).await?, of(1).await?])
}

const ORDERS: &str = "https://api.example.com/orders";
const NONCE_SECRET: &str = "the-secret-that-nonces-are-made-with";
const ALGORITHMS: &str = r#"algs="ES256 EdDSA PS256 RS256""#;
const INVALID_PROOF: &str = r#"DPoP realm="orders", error="invalid_dpop_proof""#;
const INVALID_BOUND_TOKEN: &str = r#"DPoP realm="orders", error="invalid_token""#;
const INVALID_TOKEN: &str = r#"Bearer realm="orders", error="invalid_token""#;
