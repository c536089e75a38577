//! Tokens that are bound to a certificate (RFC 8705), with real certificates: at an Envoy where TLS ends, and behind another
//! Envoy where it ends, which tells of the certificate in `x-forwarded-client-cert`.

use anyhow::{Result, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use integration_tests::api::Api;
use integration_tests::authorization_server::{self, AuthorizationServer, GATEWAY_SECRET};
use integration_tests::certificates::{Certificate, CertificateAuthority};
use integration_tests::client::{Answer, Request};
use integration_tests::envoy::{Envoy, EnvoyBuilder, Listener};
use integration_tests::secrets;
use integration_tests::tls_client::{SERVER_NAME, TlsClient};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// The gateway, with listeners for clients and listeners for the Envoy in front, which shows a certificate of its own there.
struct Stage {
    front: Envoy,
    gateway: Envoy,
    server: AuthorizationServer,
    api: Api,
    authority: CertificateAuthority,
    hop: Certificate,
}

async fn stage() -> &'static Stage {
    static STAGE: OnceCell<Stage> = OnceCell::const_new();
    STAGE.get_or_init(async || set_stage().await.expect("the stage")).await
}

async fn set_stage() -> Result<Stage> {
    let (server, api) = (AuthorizationServer::start("certificate_bound")?, Api::start()?);
    let authority = CertificateAuthority::new()?;
    let own = authority.certify_server(SERVER_NAME)?;
    let hop = authority.certify_workload(&["spiffe://example.com/ns/edge/sa/front"])?;
    let connection = configuration(&server, Some("connection"));
    let field = configuration(&server, Some("x-forwarded-client-cert"));
    let nothing = configuration(&server, None);
    let plain = Listener::default();
    let gateway = EnvoyBuilder::new("certificate_bound", 1, api.port())
        .cluster("authorization-server", &[server.port()])
        .environment("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET)
        .listener("connection", &connection, plain)
        .secured_by(&own, Some(&authority))
        .admitting_without_certificate()
        .listener("plaintext", &connection, plain)
        .listener("nothing", &nothing, plain)
        .secured_by(&own, Some(&authority))
        .listener("behind", &field, plain)
        .secured_by(&own, Some(&authority))
        .forwarding_certificates("FORWARD_ONLY", &json!({}))
        .listener("behind-by-connection", &connection, plain)
        .secured_by(&own, Some(&authority))
        .forwarding_certificates("FORWARD_ONLY", &json!({}))
        .listener("behind-nothing", &nothing, plain)
        .secured_by(&own, Some(&authority))
        .forwarding_certificates("FORWARD_ONLY", &json!({}))
        .start()
        .await?;
    let mut front = EnvoyBuilder::new("certificate_bound-front", 1, api.port());
    for behind in BEHIND {
        front = front
            .secure_cluster(behind, &[gateway.client(behind).port()], &hop, &authority)
            .relay(behind, Listener { upstream: behind, ..plain })
            .secured_by(&own, Some(&authority))
            .admitting_without_certificate()
            .forwarding_certificates("SANITIZE_SET", &json!({"subject": true, "uri": true, "cert": true}));
    }
    let front = front.start().await?;
    Ok(Stage { front, gateway, server, api, authority, hop })
}

fn configuration(server: &AuthorizationServer, source: Option<&str>) -> Value {
    let mut configuration = json!({
        "introspection": {
            "endpoint": format!("{}/token/introspection", server.issuer()),
            "upstream": "authorization-server",
            "client_id": "gateway",
            "client_secret": {"env": "INTROSPECTION_CLIENT_SECRET"},
        },
        "token": {"issuer": server.issuer(), "audience": ["orders-api"]},
        "cache": {"no_store_ttl": "5m"},
        "log_level": "debug",
        "rules": [{"path": "/orders", "scopes": ["orders:read"]}],
    });
    if let Some(source) = source {
        configuration["client_certificate"] = json!(source);
    }
    configuration
}

/// If this failed, whoever finds a bound token could use it without the certificate, or at the latest when it is in the cache;
/// or its own client could not.
#[tokio::test]
async fn r096_a_token_is_good_with_the_certificate_that_it_is_bound_to_and_with_no_other() -> Result<()> {
    let stage = stage().await;
    let (own, token) = stage.bound().await?;
    let (other, other_token) = stage.bound().await?;
    let jwt = stage.passes("connection", &own, &token, "bound").await?;
    let digest = authorization_server::claims(&jwt)?["cnf"]["x5t#S256"].as_str().map(str::to_owned);
    assert_eq!(digest.as_deref(), Some(thumbprint(&own)?.as_str()), "what the server bound it to");
    for (what, certificate, token, status) in [
        ("another's certificate", Some(&other), &token, 401),
        ("its own", Some(&own), &token, 200),
        ("no certificate", None, &token, 401),
        ("another's token", Some(&own), &other_token, 401),
        ("another, with its own", Some(&other), &other_token, 200),
        ("another's token, which is known", Some(&own), &other_token, 401),
    ] {
        let answer = stage.straight("connection", certificate, orders(token).named(what)).await?;
        stage.is(&answer, status, what)?;
    }
    let digest = own.digest();
    let request = orders(&token).header("x-forwarded-client-cert", format!("Hash={digest}"));
    let answer = stage.gateway.client("plaintext").send(request.named("plaintext")).await?;
    stage.is(&answer, 401, "plaintext")?;
    assert_eq!(stage.server.introspections(&token).await?, 1, "all but the first were hits");
    Ok(())
}

/// If this failed, clients whose tokens are bound to nothing could not call where certificates are looked at.
#[tokio::test]
async fn r096_tokens_that_are_bound_to_nothing_need_no_certificate() -> Result<()> {
    let stage = stage().await;
    let certificate = stage.certificate()?;
    let token = stage.server.issue("orders:read").await?;
    for (what, certificate) in [("without", None), ("with", Some(&certificate))] {
        let name = format!("unbound, {what}");
        let answer = stage.straight("connection", certificate, orders(&token).named(&name)).await?;
        stage.is(&answer, 200, &name)?;
    }
    Ok(())
}

/// If this failed, a gateway that looks at no certificates would take bound tokens of anybody.
#[tokio::test]
async fn r098_a_gateway_that_cannot_see_certificates_refuses_bound_tokens() -> Result<()> {
    let stage = stage().await;
    let (own, token) = stage.bound().await?;
    let answer = stage.straight("nothing", Some(&own), orders(&token).named("unaware")).await?;
    stage.is(&answer, 401, "unaware")?;
    let unbound = stage.server.issue("orders:read").await?;
    let answer = stage.straight("nothing", Some(&own), orders(&unbound).named("unaware, unbound")).await?;
    stage.is(&answer, 200, "unaware, unbound")
}

/// If this failed, bound tokens would be of no use behind another proxy, or would be worth as much in other hands.
#[tokio::test]
async fn r097_the_certificate_that_the_proxy_in_front_saw_counts_where_that_is_configured() -> Result<()> {
    let stage = stage().await;
    let (own, token) = stage.bound().await?;
    let other = stage.certificate()?;
    for round in ["cold", "known"] {
        stage.passes_by("behind", &own, &token, &format!("behind, {round}")).await?;
        for (what, certificate) in [("another", Some(&other)), ("none", None)] {
            let name = format!("behind, {round}, {what}");
            let answer = stage.by_front("behind", certificate, orders(&token).named(&name)).await?;
            stage.is(&answer, 401, &name)?;
        }
    }
    let of_hop = stage.server.issue_bound_to_certificate(&stage.hop, "orders:read").await?;
    let answer = stage.by_front("behind", Some(&own), orders(&of_hop).named("the hop's")).await?;
    stage.is(&answer, 401, "the hop's")
}

/// If this failed, a field would count that nobody vouches for.
#[tokio::test]
async fn r097_the_field_is_nothing_where_it_is_not_configured() -> Result<()> {
    let stage = stage().await;
    let (own, token) = stage.bound().await?;
    for listener in ["behind-by-connection", "behind-nothing"] {
        let answer = stage.by_front(listener, Some(&own), orders(&token).named(listener)).await?;
        stage.is(&answer, 401, listener)?;
        let received = format!("{listener}, unbound");
        let unbound = stage.server.issue("orders:read").await?;
        let answer = stage.by_front(listener, Some(&own), orders(&unbound).named(&received)).await?;
        stage.is(&answer, 200, &received)?;
        let heads = stage.api.received(&received);
        let field = heads.iter().filter_map(|head| head.get("x-forwarded-client-cert")?.to_str().ok());
        assert!(field.collect::<String>().contains(&own.digest()), "the field came as far as the gateway");
    }
    Ok(())
}

/// If this failed, a client could name the certificate of another in a field of its own.
#[tokio::test]
async fn r097_what_a_client_says_of_certificates_gains_it_nothing() -> Result<()> {
    let stage = stage().await;
    let (own, token) = stage.bound().await?;
    let other = stage.certificate()?;
    let digest = own.digest();
    stage.passes_by("behind", &own, &token, "the owner").await?;
    for (shown, certificate) in [("another certificate", Some(&other)), ("no certificate", None)] {
        for (what, fields) in [
            ("the field", vec![("x-forwarded-client-cert", format!("Hash={digest}"))]),
            (
                "in capitals",
                vec![("X-Forwarded-Client-Cert", format!("By=spiffe://a;Hash={digest};URI=spiffe://b"))],
            ),
            ("twice", vec![("x-forwarded-client-cert", format!("Hash={digest}")); 2]),
            ("a list", vec![("x-forwarded-client-cert", format!("Hash={digest},Hash={digest}"))]),
            ("an open quote", vec![("x-forwarded-client-cert", format!("Hash={digest};Subject=\"a"))]),
            ("with underscores", vec![("x_forwarded_client_cert", format!("Hash={digest}"))]),
        ] {
            let name = format!("{shown}, {what}");
            let request =
                fields.iter().fold(orders(&token), |request, (name, value)| request.header(name, value));
            let answer = stage.by_front("behind", certificate, request.named(&name)).await?;
            stage.is(&answer, 401, &name)?;
        }
    }
    Ok(())
}

fn orders(token: &str) -> Request {
    Request::get("/orders").bearer(token)
}

/// `x5t#S256` of a certificate (RFC 8705 §3.1).
fn thumbprint(certificate: &Certificate) -> Result<String> {
    let digits = certificate.digest();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16);
    let bytes = (0..digits.len()).step_by(2).map(byte).collect::<Result<Vec<u8>, _>>()?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

impl Stage {
    fn certificate(&self) -> Result<Certificate> {
        self.authority.certify_workload(&["spiffe://example.com/ns/shop/sa/shop"])
    }

    /// A certificate, and a token that is bound to it.
    async fn bound(&self) -> Result<(Certificate, String)> {
        let certificate = self.certificate()?;
        let token = self.server.issue_bound_to_certificate(&certificate, "orders:read").await?;
        Ok((certificate, token))
    }

    async fn straight(
        &self,
        listener: &str,
        certificate: Option<&Certificate>,
        request: Request,
    ) -> Result<Answer> {
        TlsClient::of(self.gateway.client(listener), &self.authority, certificate)?.send(request).await
    }

    async fn by_front(
        &self,
        listener: &str,
        certificate: Option<&Certificate>,
        request: Request,
    ) -> Result<Answer> {
        TlsClient::of(self.front.client(listener), &self.authority, certificate)?.send(request).await
    }

    /// Sends a request that is right, and gives the JWT that the API received.
    async fn passes(
        &self,
        listener: &str,
        certificate: &Certificate,
        token: &str,
        name: &str,
    ) -> Result<String> {
        let answer = self.straight(listener, Some(certificate), orders(token).named(name)).await?;
        self.is(&answer, 200, name)?;
        let fields = answer.forwarded_authorization();
        let [authorization] = fields.as_slice() else { bail!("{} credentials arrived", fields.len()) };
        Ok(secrets::noted(authorization.trim_start_matches("Bearer ").to_owned()))
    }

    async fn passes_by(
        &self,
        listener: &str,
        certificate: &Certificate,
        token: &str,
        name: &str,
    ) -> Result<()> {
        let answer = self.by_front(listener, Some(certificate), orders(token).named(name)).await?;
        self.is(&answer, 200, name)
    }

    /// An answer has this status; one that refuses has the right challenge, and the API knows nothing of the request.
    fn is(&self, answer: &Answer, status: u16, name: &str) -> Result<()> {
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert_eq!(self.api.received(name).len(), usize::from(status == 200), "{name}");
        let challenge = answer.header("www-authenticate");
        let begins = if status == 401 { r#"Bearer realm="api", error="invalid_token""# } else { "" };
        assert!(challenge.starts_with(begins), "{name}: {challenge}");
        Ok(())
    }
}

/// The gateway's listeners for the Envoy in front; there they have the same names.
const BEHIND: [&str; 3] = ["behind", "behind-by-connection", "behind-nothing"];
