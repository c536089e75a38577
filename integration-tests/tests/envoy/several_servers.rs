//! Several authorization servers in one configuration, in a real Envoy: two certified ones and one that knows no JWTs.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;
use integration_tests::api::Api;
use integration_tests::authorization_server::{self, AuthorizationServer, GATEWAY_SECRET, Resource};
use integration_tests::client::{Answer, Request};
use integration_tests::envoy::{Envoy, EnvoyBuilder, Listener};
use integration_tests::jwt;
use integration_tests::plain_authorization_server::{self, PlainAuthorizationServer};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// One Envoy with two workers, the servers of staff, partners and guests, and an API.
struct Stage {
    envoy: Envoy,
    staff: AuthorizationServer,
    partners: AuthorizationServer,
    guests: PlainAuthorizationServer,
    api: Api,
}

async fn stage() -> &'static Stage {
    static STAGE: OnceCell<Stage> = OnceCell::const_new();
    STAGE.get_or_init(async || set_stage().await.expect("the stage")).await
}

async fn set_stage() -> Result<Stage> {
    let staff = AuthorizationServer::start("several_servers-staff")?;
    let partners = AuthorizationServer::start("several_servers-partners")?;
    let (guests, api) = (PlainAuthorizationServer::start("several_servers-guests")?, Api::start()?);
    let mut knowing_no_jwts = server("guests", guests.issuer(), "PLAIN_CLIENT_SECRET");
    knowing_no_jwts["introspection"]["response"] = json!({"accept": "application/json"});
    let configuration = json!({
        "authorization_servers": [
            verifying(server("staff", staff.issuer(), "CLIENT_SECRET")),
            verifying(server("partners", partners.issuer(), "CLIENT_SECRET")),
            knowing_no_jwts,
        ],
        "claim_headers": [{"header": "x-issuer", "pointer": "/iss"}],
        "cache": {"no_store_ttl": "1m"},
        "log_level": "debug",
        "rules": [
            {"path": "/staff", "authorization_server": "staff", "scopes": ["orders:read"]},
            {"path": "/partners", "authorization_server": "partners", "scopes": ["orders:read"]},
            {"path": "/guests", "authorization_server": "guests", "scopes": ["orders:read"]},
            {"path": "/all", "scopes": ["orders:read"]},
        ],
    });
    let envoy = EnvoyBuilder::new("several_servers", 2, api.port())
        .cluster("staff", &[staff.port()])
        .cluster("partners", &[partners.port()])
        .cluster("guests", &[guests.port()])
        .environment("CLIENT_SECRET", GATEWAY_SECRET)
        .environment("PLAIN_CLIENT_SECRET", plain_authorization_server::GATEWAY_SECRET)
        .listener("gateway", &configuration, Listener::default())
        .start()
        .await?;
    Ok(Stage { envoy, staff, partners, guests, api })
}

fn server(name: &str, issuer: &str, secret: &str) -> Value {
    json!({
        "name": name,
        "introspection": {
            "endpoint": format!("{issuer}/token/introspection"),
            "upstream": name,
            "client_id": "gateway",
            "client_secret": {"env": secret},
        },
        "token": {"issuer": issuer, "audience": ["orders-api"]},
    })
}

fn verifying(mut server: Value) -> Value {
    let issuer = server["token"]["issuer"].as_str().unwrap_or_default();
    server["keys"] = json!({"discovery": format!("{issuer}/.well-known/openid-configuration")});
    server["token"]["jwts"] = json!("verify");
    server
}

impl Stage {
    async fn call(&self, path: &str, token: &str, name: &str) -> Result<Answer> {
        self.envoy.client("gateway").send(Request::get(path).bearer(token).named(name)).await
    }

    /// Calls with this token until the caches of both workers have had their say. The API hears of it if there is an issuer, and
    /// receives that one's name.
    async fn check(&self, path: &str, kind: &str, token: &str, issuer: Option<&str>) -> Result<()> {
        for _ in 0..CALLS {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let name = format!("{kind}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
            let answer = self.call(path, token, &name).await?;
            let status = if issuer.is_some() { 200 } else { 401 };
            assert_eq!(answer.status, status, "{kind} at {path}: {}", answer.text());
            let received = self.api.received(&name);
            let issuers = received.iter().flat_map(|head| head.get_all("x-issuer")).collect::<Vec<_>>();
            assert_eq!(issuers, issuer.into_iter().collect::<Vec<_>>(), "{kind} at {path}");
            assert!(
                received.iter().all(|head| token_reaches_api(kind) || !format!("{head:?}").contains(token))
            );
        }
        Ok(())
    }
}

/// If a token of one server did for another's rule, be it by a cache or by asking the wrong one, guests would be staff.
#[tokio::test]
async fn r033_r052_a_rule_takes_the_tokens_of_its_own_server_and_no_others() -> Result<()> {
    let stage = stage().await;
    let (staff, partners, guests) = (stage.staff.issuer(), stage.partners.issuer(), stage.guests.issuer());
    let tokens = [
        ("opaque-of-staff", stage.staff.issue("orders:read").await?, staff),
        ("opaque-of-partners", stage.partners.issue("orders:read").await?, partners),
        ("opaque-of-guests", stage.guests.issue("orders:read").await?, guests),
        ("jwt-of-staff", stage.staff.issue_jwt(Resource::Orders, "orders:read").await?, staff),
        ("jwt-of-partners", stage.partners.issue_jwt(Resource::Orders, "orders:read").await?, partners),
    ];
    // Twice, so that each rule's verdict is asked for both before and after the others'.
    for _ in 0..2 {
        for (kind, token, issuer) in &tokens {
            for (path, own) in [("/staff", staff), ("/partners", partners), ("/guests", guests)] {
                stage.check(path, kind, token, Some(*issuer).filter(|issuer| *issuer == own)).await?;
            }
        }
    }
    Ok(())
}

/// If a JWT's own word of its issuer did more than choose the keys, or an opaque token were tried at each server, one server's
/// users could pass for another's.
#[tokio::test]
async fn r071_where_no_server_is_named_a_jwt_is_its_issuers_and_an_opaque_token_the_firsts() -> Result<()> {
    let stage = stage().await;
    let (staff, partners) = (stage.staff.issuer(), stage.partners.issuer());
    let of_staff = stage.staff.issue_jwt(Resource::Orders, "orders:read").await?;
    let of_partners = stage.partners.issue_jwt(Resource::Orders, "orders:read").await?;
    let opaque_of_partners = stage.partners.issue("orders:read").await?;
    let mut claims = authorization_server::claims(&of_partners)?;
    claims["iss"] = json!(staff);
    let disguised = jwt::altered(&of_partners, |parts| parts[1] = jwt::encoded(&claims))?;
    claims["iss"] = json!("https://evil.example.com");
    let of_nobody = jwt::altered(&of_partners, |parts| parts[1] = jwt::encoded(&claims))?;
    // It is in the cache of its own server already.
    stage.check("/partners", "opaque-first", &opaque_of_partners, Some(partners)).await?;
    let introspections = stage.partners.introspections(&opaque_of_partners).await?;
    for _ in 0..2 {
        for (kind, token, issuer) in [
            ("jwt-of-staff-at-all", &of_staff, Some(staff)),
            ("jwt-of-partners-at-all", &of_partners, Some(partners)),
            ("jwt-disguised", &disguised, None),
            ("jwt-of-nobody", &of_nobody, None),
            ("opaque-of-staff-at-all", &stage.staff.issue("orders:read").await?, Some(staff)),
            ("opaque-of-partners-at-all", &opaque_of_partners, None),
            ("opaque-of-guests-at-all", &stage.guests.issue("orders:read").await?, None),
        ] {
            stage.check("/all", kind, token, issuer).await?;
        }
    }
    let after = stage.partners.introspections(&opaque_of_partners).await?;
    assert_eq!(after, introspections, "where none is named, only the first is asked");
    Ok(())
}

/// A JWT is forwarded as it is; an opaque token never is.
fn token_reaches_api(kind: &str) -> bool {
    kind.starts_with("jwt")
}

/// As many as reach both workers, most of the time: the caches of one would tell as well.
const CALLS: usize = 6;
