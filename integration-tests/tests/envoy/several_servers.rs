//! Several authorization servers in one configuration, in a real Envoy: two certified ones and one without JWTs.

use anyhow::Result;
use integration_tests::authorization_server::{AuthorizationServer, GATEWAY_SECRET, Resource};
use integration_tests::json::merged;
use integration_tests::jwt;
use integration_tests::plain_authorization_server::{self, PlainAuthorizationServer};
use integration_tests::shared;
use integration_tests::testkit::World;
use serde_json::{Value, json};

/// One Envoy with two workers, the servers of staff, partners and guests, and an API.
struct Servers {
    world: World,
    staff: AuthorizationServer,
    partners: AuthorizationServer,
    guests: PlainAuthorizationServer,
}

shared!(servers: Servers = start);

async fn start() -> Result<Servers> {
    let staff = AuthorizationServer::start("several_servers-staff")?;
    let partners = AuthorizationServer::start("several_servers-partners")?;
    let guests = PlainAuthorizationServer::start("several_servers-guests")?;
    let plain = json!({"introspection": {
        "client_secret": {"env": "PLAIN_CLIENT_SECRET"}, "response": {"accept": "application/json"},
    }});
    let world = World::scripted("several_servers")?
        .workers(2)
        .configuration(json!({
            "introspection": null,
            "token": null,
            "authorization_servers": [
                verifying("staff", staff.issuer()),
                verifying("partners", partners.issuer()),
                merged(&server("guests", guests.issuer()), plain),
            ],
            "claim_to_headers": [{"header": "x-issuer", "pointer": "/iss"}],
            "cache": {"no_store_ttl": "1m"},
            "rules": [
                {"path": "/staff", "authorization_server": "staff", "scopes": ["orders:read"]},
                {"path": "/partners", "authorization_server": "partners", "scopes": ["orders:read"]},
                {"path": "/guests", "authorization_server": "guests", "scopes": ["orders:read"]},
                {"path": "/all", "scopes": ["orders:read"]},
            ],
        }))
        .envoy(|envoy| {
            envoy
                .cluster("staff", &[staff.port()])
                .cluster("partners", &[partners.port()])
                .cluster("guests", &[guests.port()])
                .environment("CLIENT_SECRET", GATEWAY_SECRET)
                .environment("PLAIN_CLIENT_SECRET", plain_authorization_server::GATEWAY_SECRET)
        })
        .listener("gateway", json!({}))
        .start()
        .await?;
    Ok(Servers { world, staff, partners, guests })
}

fn server(name: &str, issuer: &str) -> Value {
    json!({
        "name": name,
        "introspection": {
            "endpoint": format!("{issuer}/token/introspection"),
            "upstream": name,
            "client_id": "gateway",
            "client_secret": {"env": "CLIENT_SECRET"},
        },
        "token": {"issuer": issuer, "audience": ["orders-api"]},
    })
}

fn verifying(name: &str, issuer: &str) -> Value {
    let discovery = format!("{issuer}/.well-known/openid-configuration");
    merged(&server(name, issuer), json!({"keys": {"metadata_url": discovery}, "token": {"jwts": "verify"}}))
}

impl Servers {
    /// Calls with this token until the caches of both workers have answered. If an issuer is expected, asserts that the API receives its
    /// name.
    async fn check(&self, path: &str, kind: &str, token: &str, issuer: Option<&str>) -> Result<()> {
        for _ in 0..CALLS {
            let outcome = self.world.get(path).bearer(token).case(kind).await?;
            match issuer {
                Some(issuer) => assert_eq!(outcome.is_served().received("x-issuer"), [issuer]),
                None => drop(outcome.has_status(401)),
            }
        }
        Ok(())
    }
}

/// If a token of one server were accepted by another server's rule, through a cache or by introspecting at the wrong one, guests would be
/// staff.
#[tokio::test]
async fn r033_r052_a_rule_takes_the_tokens_of_its_own_server_and_no_others() -> Result<()> {
    let servers = servers().await;
    let Servers { staff, partners, guests, .. } = servers;
    let tokens = [
        ("opaque of staff", staff.issue("orders:read").await?, staff.issuer()),
        ("opaque of partners", partners.issue("orders:read").await?, partners.issuer()),
        ("opaque of guests", guests.issue("orders:read").await?, guests.issuer()),
        ("JWT of staff", staff.issue_jwt(Resource::Orders, "orders:read").await?, staff.issuer()),
        ("JWT of partners", partners.issue_jwt(Resource::Orders, "orders:read").await?, partners.issuer()),
    ];
    let rules = [("/staff", staff.issuer()), ("/partners", partners.issuer()), ("/guests", guests.issuer())];
    // Twice, so that each rule decides both before and after the others have cached the token.
    for _ in 0..2 {
        for (kind, token, issuer) in &tokens {
            for (path, own) in rules {
                servers.check(path, kind, token, Some(*issuer).filter(|issuer| *issuer == own)).await?;
            }
        }
    }
    Ok(())
}

/// If a JWT's own `iss` did more than select the keys, or an opaque token were tried at each server, one server's users could pass for
/// another's.
#[tokio::test]
async fn r071_where_no_server_is_named_a_jwt_is_its_issuers_and_an_opaque_token_the_firsts() -> Result<()> {
    let servers = servers().await;
    let (staff, partners) = (servers.staff.issuer(), servers.partners.issuer());
    let of_staff = servers.staff.issue_jwt(Resource::Orders, "orders:read").await?;
    let of_partners = servers.partners.issue_jwt(Resource::Orders, "orders:read").await?;
    let opaque_of_partners = servers.partners.issue("orders:read").await?;
    let claims = jwt::claims(&of_partners)?;
    let said_to_be_of = |issuer: &str| {
        let claims = merged(&claims, json!({"iss": issuer}));
        jwt::altered(&of_partners, |parts| parts[1] = jwt::encoded(&claims))
    };
    let (disguised, of_nobody) = (said_to_be_of(staff)?, said_to_be_of("https://evil.example.com")?);
    // The token is already in the cache of its own server.
    servers.check("/partners", "opaque, first", &opaque_of_partners, Some(partners)).await?;
    let introspections = servers.partners.introspections(&opaque_of_partners).await?;
    for _ in 0..2 {
        for (kind, token, issuer) in [
            ("JWT of staff", &of_staff, Some(staff)),
            ("JWT of partners", &of_partners, Some(partners)),
            ("JWT, disguised", &disguised, None),
            ("JWT of nobody", &of_nobody, None),
            ("opaque of staff", &servers.staff.issue("orders:read").await?, Some(staff)),
            ("opaque of partners", &opaque_of_partners, None),
            ("opaque of guests", &servers.guests.issue("orders:read").await?, None),
        ] {
            servers.check("/all", kind, token, issuer).await?;
        }
    }
    let after = servers.partners.introspections(&opaque_of_partners).await?;
    assert_eq!(after, introspections, "where none is named, only the first is asked");
    Ok(())
}

/// Usually enough calls to reach both workers: the cache of one would reveal an error as well.
const CALLS: usize = 6;
