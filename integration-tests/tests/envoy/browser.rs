//! Pages that call the API through the gateway from another origin, in a real browser: what the filter's CORS support is for.

use anyhow::Result;
use integration_tests::shared;
use integration_tests::testkit::World;
use integration_tests::website::{Call, Finding, Website};
use integration_tests::{jwt, secrets};
use serde_json::json;

/// One Envoy, and two websites: only the application's pages may call the API.
struct Sites {
    world: World,
    application: Website,
    other: Website,
}

shared!(sites: Sites = start);

async fn start() -> Result<Sites> {
    let (application, other) = (Website::start()?, Website::start()?);
    let world = World::certified("browser")?
        .configuration(json!({
            "cors": {"allow_origins": [application.origin()]},
            "realm": "orders",
            "rules": [
                {"path": "/health", "access": "public"},
                {"path": "/orders", "methods": ["GET"], "scopes": ["orders:read"]},
            ],
        }))
        .envoy(|envoy| envoy.cluster("no-hosts", &[]))
        .listener("gateway", json!({}))
        .listener("cookies", json!({"token_sources": {"cookie": "session"}}))
        .listener(
            "documents",
            json!({
                "resource_metadata": [{
                    "resource": "https://api.example.com/mcp",
                    "authorization_servers": ["https://login.example.com"],
                }],
                "rules": [{"path": "/mcp"}],
            }),
        )
        .listener("unreachable", json!({"introspection": {"upstream": "no-hosts"}}))
        .start()
        .await?;
    Ok(Sites { world, application, other })
}

fn url(world: &World, path: &str) -> String {
    format!("http://127.0.0.1:{}{path}", world.client().port())
}

/// If this failed, no browser application could call the API: browsers first send a preflight, without the token.
#[tokio::test]
async fn r080_a_page_of_an_allowed_origin_calls_the_api_with_its_token() -> Result<()> {
    let Sites { world, application, .. } = sites().await;
    let token = world.issue("orders:read").await?;
    let call = Call::get(url(world, "/orders/r080")).bearer(&token);
    let findings = application.visit("r080", &[call]).await?;
    let [Finding::Answer { status: 200, body, .. }] = findings.as_slice() else { panic!("{findings:?}") };
    assert_eq!(body["path"], "/orders/r080");
    let authorization = body["authorization"][0].as_str().expect("the credentials that the API received");
    secrets::noted_credentials(authorization);
    let claims = jwt::claims(authorization.strip_prefix("Bearer ").expect("the scheme"))?;
    assert_eq!(claims["iss"], world.server().issuer());

    let received = world.arrived("/orders/r080");
    let [preflight, call] = received.as_slice() else { panic!("{} requests", received.len()) };
    assert_eq!(preflight["access-control-request-headers"], "authorization");
    assert!(!preflight.contains_key("authorization"));
    assert_eq!(call["authorization"], authorization);
    assert_eq!(call["origin"], application.origin());
    Ok(())
}

/// If this failed, a browser application would see every refusal as a network failure, and could neither get a new token nor ask its user
/// for more rights.
#[tokio::test]
async fn r081_a_page_of_an_allowed_origin_can_read_why_it_is_refused() -> Result<()> {
    let Sites { world, application, .. } = sites().await;
    let [reader, writer] = ["orders:read", "orders:write"].map(|scope| world.issue(scope));
    let (reader, writer) = (reader.await?, writer.await?);
    let orders = url(world, "/orders/r081");
    let unreachable = format!("http://127.0.0.1:{}/orders/r081", world.envoy.client("unreachable").port());
    let (calls, expected): (Vec<Call>, Vec<_>) = [
        (Call::get(&orders), (401, "www-authenticate", r#"Bearer realm="orders""#)),
        (
            Call::get(&orders).bearer(&secrets::fresh_token("unknown")),
            (401, "www-authenticate", r#"error="invalid_token""#),
        ),
        (Call::get(&orders).bearer(&writer), (403, "www-authenticate", r#"scope="orders:read""#)),
        (Call::get(unreachable).bearer(&reader), (503, "retry-after", "5")),
    ]
    .into_iter()
    .unzip();
    let findings = application.visit("r081", &calls).await?;
    assert_eq!(findings.len(), expected.len());
    for (finding, (expected_status, name, value)) in findings.iter().zip(expected) {
        let Finding::Answer { status, headers, body } = finding else { panic!("{value}: {finding:?}") };
        assert_eq!(*status, expected_status, "{value}");
        assert!(headers.get(name).is_some_and(|field| field.contains(value)), "{value}: {headers:?}");
        assert!(body["error"].is_string(), "{value}: {body}");
    }
    let received = world.arrived("/orders/r081");
    assert!(received.iter().all(|head| head.contains_key("access-control-request-method")), "{received:?}");
    Ok(())
}

/// If this failed, a preflight would be a way past the rules to the API; or the page could not tell a refusal from a network failure. The
/// last call shows that the page works.
#[tokio::test]
async fn r080_r233_a_preflight_for_what_is_not_exposed_goes_nowhere() -> Result<()> {
    let Sites { world, application, .. } = sites().await;
    let token = world.issue("orders:read").await?;
    let calls = [
        Call::delete(url(world, "/orders/r080-delete")).bearer(&token),
        Call::get(url(world, "/admin/r080")).bearer(&token),
        Call::get(url(world, "/health")),
    ];
    let findings = application.visit("r080-not-exposed", &calls).await?;
    let [
        Finding::Answer { status: 403, .. },
        Finding::Answer { status: 403, .. },
        Finding::Answer { status: 200, .. },
    ] = findings.as_slice()
    else {
        panic!("{findings:?}")
    };
    for path in ["/orders/r080-delete", "/admin/r080"] {
        assert_eq!(world.arrived(path).len(), 0, "{path}");
    }
    Ok(())
}

/// If this failed, any page that a user visits could try tokens at the API in the user's browser, and read the results. The API itself
/// would allow that: the last call shows that the page works.
#[tokio::test]
async fn r080_r081_a_page_of_another_origin_reads_nothing_and_its_preflights_go_nowhere() -> Result<()> {
    let Sites { world, other, .. } = sites().await;
    let token = world.issue("orders:read").await?;
    let calls = [
        Call::get(url(world, "/orders/other")).bearer(&token),
        Call::get(url(world, "/orders/other")).bearer(&secrets::fresh_token("unknown")),
        Call::get(url(world, "/orders/other")),
        Call::get(url(world, "/health")),
    ];
    let findings = other.visit("r080-other-origin", &calls).await?;
    let [refused @ .., Finding::Answer { status: 200, .. }] = findings.as_slice() else {
        panic!("{findings:?}")
    };
    assert!(
        matches!(refused, [Finding::Nothing(_), Finding::Nothing(_), Finding::Nothing(_)]),
        "{refused:?}"
    );
    assert_eq!(world.arrived("/orders/other").len(), 0);
    assert_eq!(world.introspections(&token).await?, 0);
    Ok(())
}

/// If this failed, a page whose session has ended could not tell that from a network failure, and could not log in again
/// (openlink/virtuoso#389, gaul/s3proxy#415, apache/apisix#8791).
#[tokio::test]
async fn r081_a_page_that_sends_a_dead_cookie_reads_the_401() -> Result<()> {
    let Sites { world, application, other } = sites().await;
    let orders = format!("http://127.0.0.1:{}/orders/cookie", world.envoy.client("cookies").port());
    let call = || Call::get(&orders).with_cookie(format!("session={}", secrets::fresh_token("dead")));
    let findings = application.visit("r081-cookie", &[call()]).await?;
    let [Finding::Answer { status: 401, headers, .. }] = findings.as_slice() else { panic!("{findings:?}") };
    assert!(headers["www-authenticate"].contains(r#"error="invalid_token""#), "{headers:?}");
    let findings = other.visit("r081-cookie-other", &[call()]).await?;
    assert!(matches!(findings.as_slice(), [Finding::Nothing(_)]), "{findings:?}");
    Ok(())
}

/// If this failed, a client of gRPC-Web would report an unknown error instead of "unauthenticated".
#[tokio::test]
async fn r081_r083_a_page_that_speaks_grpc_web_reads_the_status() -> Result<()> {
    let Sites { world, application, .. } = sites().await;
    let url = format!("http://127.0.0.1:{}/mcp/grpc-web", world.envoy.client("documents").port());
    for media_type in ["application/grpc-web+proto", "application/grpc-web-text"] {
        let call = Call::get(&url).posted().header("content-type", media_type).header("x-grpc-web", "1");
        let findings = application.visit("r083-web", &[call]).await?;
        let [Finding::Answer { status: 200, headers, .. }] = findings.as_slice() else {
            panic!("{findings:?}")
        };
        assert_eq!(headers["grpc-status"], "16", "{media_type}");
        assert!(
            headers["grpc-message"].contains("unauthorized")
                && media_type.starts_with(&headers["content-type"])
        );
    }
    Ok(())
}

/// If this failed, no MCP client in a browser would find the authorization server: its page may have any origin, and its request has a
/// custom header field (routecraftjs/routecraft#320, envoyproxy/ai-gateway#2307).
#[tokio::test]
async fn r175_a_page_of_any_origin_reads_the_metadata_of_the_resource() -> Result<()> {
    let Sites { world, application, other } = sites().await;
    let port = world.envoy.client("documents").port();
    let url = format!("http://127.0.0.1:{port}/.well-known/oauth-protected-resource/mcp");
    for (name, site) in [("application", application), ("other", other)] {
        let call =
            Call::get(&url).header("mcp-protocol-version", "2025-11-25").header("authorization", "Bearer x");
        let findings = site.visit(&format!("r175-{name}"), &[call]).await?;
        let [Finding::Answer { status: 200, body, .. }] = findings.as_slice() else { panic!("{findings:?}") };
        assert_eq!(body["resource"], "https://api.example.com/mcp");
    }
    Ok(())
}
