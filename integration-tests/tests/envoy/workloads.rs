//! Which workload may call, in a real Envoy with mutual TLS: the certificates are real ones with SPIFFE IDs, and who the caller
//! is counts beside the token, never instead of it.

use anyhow::Result;
use integration_tests::api::Api;
use integration_tests::certificates::{Certificate, CertificateAuthority};
use integration_tests::client::{Answer, Request};
use integration_tests::envoy::{Envoy, EnvoyBuilder, Listener};
use integration_tests::scripted_server::{Response, ScriptedServer};
use integration_tests::tls_client::{SERVER_NAME, TlsClient};
use integration_tests::{jwt, secrets};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// One Envoy, whose listeners trust one authority for servers and clients alike.
struct Stage {
    envoy: Envoy,
    server: ScriptedServer,
    api: Api,
    authority: CertificateAuthority,
}

async fn stage() -> &'static Stage {
    static STAGE: OnceCell<Stage> = OnceCell::const_new();
    STAGE.get_or_init(async || set_stage().await.expect("the stage")).await
}

async fn set_stage() -> Result<Stage> {
    let (server, api) = (ScriptedServer::start()?, Api::start()?);
    let authority = CertificateAuthority::new()?;
    let own = authority.certify_server(SERVER_NAME)?;
    let envoy = EnvoyBuilder::new("workloads", 1, api.port())
        .cluster("authorization-server", &[server.port()])
        .listener("mutual-tls", &configuration(), Listener::default())
        .secured_by(&own, Some(&authority))
        .listener("tls", &configuration(), Listener::default())
        .secured_by(&own, None)
        .listener("plaintext", &configuration(), Listener::default())
        .start()
        .await?;
    Ok(Stage { envoy, server, api, authority })
}

fn configuration() -> Value {
    json!({
        "introspection": {
            "endpoint": "https://login.example.com/introspect",
            "upstream": "authorization-server",
            "client_id": "gateway",
            "client_secret": secrets::noted("the-secret-of-the-gateway".to_owned()),
        },
        "token": {"issuer": "https://login.example.com", "audience": ["orders-api"]},
        "cors": {"allow_origins": ["https://app.example.com"]},
        "log_level": "debug",
        "rules": [
            {"path": "/orders", "peers": [SHOP, ADMIN], "scopes": ["orders:read"]},
            {"path": "/orders", "methods": ["DELETE"], "peers": [ADMIN], "scopes": ["orders:read"]},
            {"path": "/reports", "peers": [SHOP], "scopes": ["reports:read"]},
            {"path": "/anybody"},
        ],
    })
}

/// If this failed, no workload could call, or one that the rule does not name could.
#[tokio::test]
async fn r084_a_workload_that_the_rule_names_is_admitted_with_a_token_and_no_other() -> Result<()> {
    let stage = stage().await;
    let (token, jwt) = stage.active("peers")?;
    for (what, uris, method, path, status) in [
        ("the shop", &[SHOP][..], "GET", "/orders", 200),
        ("another that is named", &[ADMIN], "GET", "/orders", 200),
        ("the one for this method", &[ADMIN], "DELETE", "/orders", 200),
        ("one for other methods", &[SHOP], "DELETE", "/orders", 403),
        ("one that is not named", &[STRANGER], "GET", "/orders", 403),
        ("one whose name starts alike", &["spiffe://example.com/ns/shop/sa/shopping"], "GET", "/orders", 403),
        ("one in another trust domain", &["spiffe://example.org/ns/shop/sa/shop"], "GET", "/orders", 403),
        ("one in other letters", &["spiffe://example.com/ns/shop/sa/SHOP"], "GET", "/orders", 403),
        ("one without a name", &[], "GET", "/orders", 403),
        ("the shop by its second name", &[STRANGER, SHOP], "GET", "/orders", 403),
        ("the shop with a second name", &[SHOP, STRANGER], "GET", "/orders", 200),
        ("one that is not named, where nobody is", &[STRANGER], "GET", "/anybody", 200),
    ] {
        let certificate = stage.authority.certify_workload(uris)?;
        let name = format!("peers: {what}");
        let request = Request::new(method, path, Vec::new()).bearer(&token).named(&name);
        let answer = stage.call("mutual-tls", Some(&certificate), request).await?;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        let received = stage.api.received(&name);
        assert_eq!(received.len(), usize::from(status == 200), "{what}");
        for head in received {
            assert_eq!(head["authorization"], format!("Bearer {jwt}"), "{what}");
        }
        if status == 403 {
            assert_eq!(answer.json()?["error"], "access_denied", "{what}");
            assert_eq!(answer.header("www-authenticate"), "", "{what}: a token could not help");
        }
    }
    Ok(())
}

/// If this failed, the certificate of a workload would do in the place of the user's token.
#[tokio::test]
async fn r001_r035_the_right_workload_needs_a_token_and_its_scope() -> Result<()> {
    let stage = stage().await;
    let shop = stage.authority.certify_workload(&[SHOP])?;
    let (token, _) = stage.active("scopes")?;
    for (what, request, status, error) in [
        ("no token", Request::get("/orders"), 401, r#"Bearer realm="api""#),
        (
            "an unknown token",
            Request::get("/orders").bearer(&secrets::fresh_token("unknown")),
            401,
            "invalid_token",
        ),
        ("a token without the scope", Request::get("/reports").bearer(&token), 403, "insufficient_scope"),
    ] {
        let name = format!("scopes: {what}");
        let answer = stage.call("mutual-tls", Some(&shop), request.named(&name)).await?;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        assert!(answer.header("www-authenticate").contains(error), "{what}: {:?}", answer.headers);
        assert_eq!(stage.api.received(&name).len(), 0, "{what}");
    }
    Ok(())
}

/// If a workload that may not call learned whether a token is good, it could try tokens that it has stolen; and the server
/// would be asked for it.
#[tokio::test]
async fn r084_a_workload_that_may_not_call_learns_nothing_about_tokens() -> Result<()> {
    let stage = stage().await;
    let stranger = stage.authority.certify_workload(&[STRANGER])?;
    let (token, _) = stage.active("stranger")?;
    let unknown = secrets::fresh_token("stranger-unknown");
    let answers = [
        stage.call("mutual-tls", Some(&stranger), Request::get("/orders").bearer(&token)).await?,
        stage.call("mutual-tls", Some(&stranger), Request::get("/orders").bearer(&unknown)).await?,
        stage.call("mutual-tls", Some(&stranger), Request::get("/orders")).await?,
    ];
    for answer in &answers {
        assert_eq!((answer.status, answer.text()), (403, answers[0].text()));
    }
    assert_eq!(stage.server.introspections(&token).len() + stage.server.introspections(&unknown).len(), 0);
    Ok(())
}

/// `Origin` is for whoever calls to say. If this failed, any workload would reach the service by what it calls a preflight.
#[tokio::test]
async fn r080_r084_a_preflight_obeys_the_peers_of_the_rule() -> Result<()> {
    let stage = stage().await;
    for (uri, path, asked, status) in [
        (SHOP, "/orders", "GET", 200),
        (STRANGER, "/orders", "GET", 403),
        (SHOP, "/orders", "DELETE", 403),
        (ADMIN, "/orders", "DELETE", 200),
        (STRANGER, "/anybody", "GET", 200),
    ] {
        let certificate = stage.authority.certify_workload(&[uri])?;
        let name = format!("preflight: {uri} {asked} {path}");
        let request = Request::new("OPTIONS", path, Vec::new())
            .header("origin", "https://app.example.com")
            .header("access-control-request-method", asked)
            .named(&name);
        let answer = stage.call("mutual-tls", Some(&certificate), request).await?;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert_eq!(stage.api.received(&name).len(), usize::from(status == 200), "{name}");
    }
    Ok(())
}

/// If Envoy took certificates of any authority, everybody could make one with the name of a workload that may call.
#[tokio::test]
async fn r084_a_certificate_of_another_authority_does_not_get_through_the_handshake() -> Result<()> {
    let stage = stage().await;
    let (token, _) = stage.active("another-authority")?;
    let impostor = CertificateAuthority::new()?.certify_workload(&[SHOP])?;
    for (what, certificate) in [("of another authority", Some(&impostor)), ("none at all", None)] {
        let request = Request::get("/orders").bearer(&token).named("another-authority");
        let refused = stage.call("mutual-tls", certificate, request).await;
        assert!(refused.is_err(), "{what}: {refused:?}");
    }
    let refused = stage.envoy.statistic("listener.mutual-tls.ssl.fail_verify_error").await?;
    assert!(refused > 0, "the certificate was refused for another reason");
    let refused = stage.envoy.statistic("listener.mutual-tls.ssl.fail_verify_no_cert").await?;
    assert!(refused > 0, "its absence was refused for another reason");
    assert_eq!(stage.api.received("another-authority").len(), 0);
    assert_eq!(stage.server.introspections(&token).len(), 0);
    Ok(())
}

/// If this failed, whoever comes by a way on which nobody shows a certificate could name itself in a field, or would pass.
#[tokio::test]
async fn r084_without_a_certificate_nobody_is_a_workload() -> Result<()> {
    let stage = stage().await;
    let (token, _) = stage.active("no-certificate")?;
    let shop = stage.authority.certify_workload(&[SHOP])?;
    let request = |path: &str| {
        let request = Request::get(path).bearer(&token).named("no-certificate");
        request.header("x-forwarded-client-cert", format!("By=spiffe://a;URI={SHOP}"))
    };
    for (what, answer) in [
        ("plaintext", stage.envoy.client("plaintext").send(request("/orders")).await?),
        ("TLS", stage.call("tls", None, request("/orders")).await?),
        ("TLS that asks for no certificate", stage.call("tls", Some(&shop), request("/orders")).await?),
    ] {
        assert_eq!((answer.status, &answer.json()?["error"]), (403, &json!("access_denied")), "{what}");
    }
    assert_eq!(stage.api.received("no-certificate").len(), 0);
    assert_eq!(stage.server.introspections(&token).len(), 0);
    assert_eq!(stage.envoy.client("plaintext").send(request("/anybody")).await?.status, 200);
    Ok(())
}

impl Stage {
    /// A token that the server finds active, and its JWT.
    fn active(&self, meaning: &str) -> Result<(String, String)> {
        let (token, jwt) = (secrets::fresh_token(meaning), jwt::valid());
        self.server.respond(&token, Response::jwt(&jwt));
        Ok((token, jwt))
    }

    async fn call(
        &self,
        listener: &str,
        certificate: Option<&Certificate>,
        request: Request,
    ) -> Result<Answer> {
        TlsClient::of(self.envoy.client(listener), &self.authority, certificate)?.send(request).await
    }
}

const SHOP: &str = "spiffe://example.com/ns/shop/sa/shop";
const ADMIN: &str = "spiffe://example.com/ns/shop/sa/admin";
const STRANGER: &str = "spiffe://example.com/ns/other/sa/stranger";
