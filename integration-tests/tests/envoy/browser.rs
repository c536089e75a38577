//! Pages that call the API through the gateway from another origin, in a real browser: what the filter's CORS support is for.

use anyhow::Result;
use integration_tests::api::Api;
use integration_tests::authorization_server::{self, AuthorizationServer, GATEWAY_SECRET};
use integration_tests::browser::{Call, Finding, Website};
use integration_tests::envoy::{Envoy, EnvoyBuilder, Listener};
use integration_tests::secrets;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// One Envoy, one authorization server and one API for all tests of this file, and two websites: only the application's
/// pages may call the API.
struct Stage {
    envoy: Envoy,
    server: AuthorizationServer,
    api: Api,
    application: Website,
    other: Website,
}

async fn stage() -> &'static Stage {
    static STAGE: OnceCell<Stage> = OnceCell::const_new();
    STAGE.get_or_init(async || set_stage().await.expect("the stage")).await
}

async fn set_stage() -> Result<Stage> {
    let (server, api) = (AuthorizationServer::start("browser")?, Api::start()?);
    let (application, other) = (Website::start()?, Website::start()?);
    let configuration = configuration(&server, "authorization-server", &application);
    let unreachable = self::configuration(&server, "nobody-is-there", &application);
    let envoy = EnvoyBuilder::new("browser", 1, api.port())
        .cluster("authorization-server", &[server.port()])
        .cluster("nobody-is-there", &[])
        .environment("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET)
        .listener("gateway", &configuration, Listener::default())
        .listener("unreachable", &unreachable, Listener::default())
        .start()
        .await?;
    Ok(Stage { envoy, server, api, application, other })
}

fn configuration(server: &AuthorizationServer, upstream: &str, application: &Website) -> Value {
    json!({
        "introspection": {
            "endpoint": format!("{}/token/introspection", server.issuer()),
            "upstream": upstream,
            "client_id": "gateway",
            "client_secret": {"env": "INTROSPECTION_CLIENT_SECRET"},
        },
        "token": {"issuer": server.issuer(), "audience": ["orders-api"]},
        "cors": {"allow_origins": [application.origin()]},
        "realm": "orders",
        "log_level": "debug",
        "rules": [
            {"path": "/health", "access": "public"},
            {"path": "/orders", "methods": ["GET"], "scopes": ["orders:read"]},
        ],
    })
}

impl Stage {
    fn url(&self, path: &str) -> String {
        self.url_by("gateway", path)
    }

    fn url_by(&self, listener: &str, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.envoy.client(listener).port())
    }
}

/// If this failed, no application in a browser could call the API: browsers ask by a preflight first, without the token.
#[tokio::test]
async fn r080_a_page_of_an_allowed_origin_calls_the_api_with_its_token() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    let call = Call::get(stage.url("/orders/r080")).bearer(&token);
    let findings = stage.application.visit("r080", &[call]).await?;
    let [Finding::Answer { status: 200, body, .. }] = findings.as_slice() else { panic!("{findings:?}") };
    assert_eq!(body["path"], "/orders/r080");
    let authorization = body["authorization"][0].as_str().expect("the credentials that the API received");
    secrets::noted_credentials(authorization);
    let claims = authorization_server::claims(authorization.strip_prefix("Bearer ").expect("the scheme"))?;
    assert_eq!(claims["iss"], stage.server.issuer());

    let received = stage.api.received("/orders/r080");
    let [preflight, call] = received.as_slice() else { panic!("{} requests", received.len()) };
    assert_eq!(preflight["access-control-request-headers"], "authorization");
    assert!(!preflight.contains_key("authorization"));
    assert_eq!(call["authorization"], authorization);
    assert_eq!(call["origin"], stage.application.origin());
    Ok(())
}

/// If this failed, an application in a browser would see every refusal as a network that is down, and could neither get
/// itself a new token nor ask its user for more rights.
#[tokio::test]
async fn r081_a_page_of_an_allowed_origin_can_read_why_it_is_refused() -> Result<()> {
    let stage = stage().await;
    let [reader, writer] = ["orders:read", "orders:write"].map(|scope| stage.server.issue(scope));
    let (reader, writer) = (reader.await?, writer.await?);
    let orders = stage.url("/orders/r081");
    let (calls, expected): (Vec<Call>, Vec<_>) = [
        (Call::get(&orders), (401, "www-authenticate", r#"Bearer realm="orders""#)),
        (
            Call::get(&orders).bearer(&secrets::fresh_token("unknown")),
            (401, "www-authenticate", r#"error="invalid_token""#),
        ),
        (Call::get(&orders).bearer(&writer), (403, "www-authenticate", r#"scope="orders:read""#)),
        (Call::get(stage.url_by("unreachable", "/orders/r081")).bearer(&reader), (503, "retry-after", "5")),
    ]
    .into_iter()
    .unzip();
    let findings = stage.application.visit("r081", &calls).await?;
    assert_eq!(findings.len(), expected.len());
    for (finding, (expected_status, name, value)) in findings.iter().zip(expected) {
        let Finding::Answer { status, headers, body } = finding else { panic!("{value}: {finding:?}") };
        assert_eq!(*status, expected_status, "{value}");
        assert!(headers.get(name).is_some_and(|field| field.contains(value)), "{value}: {headers:?}");
        assert!(body["error"].is_string(), "{value}: {body}");
    }
    let received = stage.api.received("/orders/r081");
    assert!(received.iter().all(|head| head.contains_key("access-control-request-method")), "{received:?}");
    Ok(())
}

/// If this failed, a preflight would be a way to the API past the rules. The last call shows that the page works.
#[tokio::test]
async fn r080_a_preflight_for_what_is_not_exposed_goes_nowhere() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    let calls = [
        Call::delete(stage.url("/orders/r080-delete")).bearer(&token),
        Call::get(stage.url("/admin/r080")).bearer(&token),
        Call::get(stage.url("/health")),
    ];
    let findings = stage.application.visit("r080-not-exposed", &calls).await?;
    let [Finding::Nothing(_), Finding::Nothing(_), Finding::Answer { status: 200, .. }] = findings.as_slice()
    else {
        panic!("{findings:?}")
    };
    for path in ["/orders/r080-delete", "/admin/r080"] {
        assert_eq!(stage.api.received(path).len(), 0, "{path}");
    }
    Ok(())
}

/// If this failed, any page that a user comes across could try tokens at the API in the user's browser, and read what comes
/// of it. The API itself would let it: the last call shows that the page works.
#[tokio::test]
async fn r080_r081_a_page_of_another_origin_reads_nothing_and_its_preflights_go_nowhere() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    let calls = [
        Call::get(stage.url("/orders/other")).bearer(&token),
        Call::get(stage.url("/orders/other")).bearer(&secrets::fresh_token("unknown")),
        Call::get(stage.url("/orders/other")),
        Call::get(stage.url("/health")),
    ];
    let findings = stage.other.visit("r080-other-origin", &calls).await?;
    let [refused @ .., Finding::Answer { status: 200, .. }] = findings.as_slice() else {
        panic!("{findings:?}")
    };
    assert!(
        matches!(refused, [Finding::Nothing(_), Finding::Nothing(_), Finding::Nothing(_)]),
        "{refused:?}"
    );
    assert_eq!(stage.api.received("/orders/other").len(), 0);
    assert_eq!(stage.server.introspections(&token).await?, 0);
    Ok(())
}
