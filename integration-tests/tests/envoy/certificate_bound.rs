//! Tokens bound to a certificate (RFC 8705), with real certificates: at an Envoy that terminates TLS, and behind another Envoy
//! that terminates it and forwards the certificate in `x-forwarded-client-cert`.

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use integration_tests::certificates::{Certificate, CertificateAuthority};
use integration_tests::envoy::{Envoy, EnvoyBuilder, Listener};
use integration_tests::shared;
use integration_tests::testkit::{Call, Outcome, World};
use integration_tests::tls_client::{SERVER_NAME, TlsClient};
use serde_json::{Value, json};

/// The gateway, with listeners for clients and listeners for the Envoy in front, which presents its own certificate there.
struct Chain {
    front: Envoy,
    world: World,
    authority: CertificateAuthority,
    hop: Certificate,
}

shared!(chain: Chain = start);

async fn start() -> Result<Chain> {
    let authority = CertificateAuthority::new()?;
    let own = authority.certify_server(SERVER_NAME)?;
    let hop = authority.certify_workload(&["spiffe://example.com/ns/edge/sa/front"])?;
    let from = |source: Value| json!({"client_certificate": source});
    let mut builder = World::certified("certificate_bound")?
        .configuration(json!({"cache": {"no_store_ttl": "5m"}}))
        .listener("connection", from(json!("connection")))
        .envoy(|envoy| envoy.secured_by(&own, Some(&authority)).admitting_without_certificate())
        .listener("plaintext", from(json!("connection")))
        .listener("nothing", json!({}))
        .envoy(|envoy| envoy.secured_by(&own, Some(&authority)));
    for (behind, source) in
        BEHIND.into_iter().zip([json!("x-forwarded-client-cert"), json!("connection"), Value::Null])
    {
        builder = builder.listener(behind, from(source)).envoy(|envoy| {
            envoy.secured_by(&own, Some(&authority)).forwarding_certificates("FORWARD_ONLY", &json!({}))
        });
    }
    let world = builder.start().await?;
    let mut front = EnvoyBuilder::new("certificate_bound-front", 1, world.api.port());
    for behind in BEHIND {
        front = front
            .secure_cluster(behind, &[world.envoy.client(behind).port()], &hop, &authority)
            .relay(behind, Listener { upstream: behind, ..Listener::default() })
            .secured_by(&own, Some(&authority))
            .admitting_without_certificate()
            .forwarding_certificates("SANITIZE_SET", &json!({"subject": true, "uri": true, "cert": true}));
    }
    Ok(Chain { front: front.start().await?, world, authority, hop })
}

impl Chain {
    fn certificate(&self) -> Result<Certificate> {
        self.authority.certify_workload(&["spiffe://example.com/ns/shop/sa/shop"])
    }

    /// A certificate, and a token that is bound to it.
    async fn bound(&self) -> Result<(Certificate, String)> {
        let certificate = self.certificate()?;
        let token = self.world.server().issue_bound_to_certificate(&certificate, "orders:read").await?;
        Ok((certificate, token))
    }

    /// A request to this listener of the gateway.
    fn straight(&self, listener: &str, shown: Option<&Certificate>, token: &str) -> Result<Call<'_>> {
        let client = TlsClient::of(self.world.envoy.client(listener), &self.authority, shown)?;
        Ok(self.world.orders(token).by_tls(client))
    }

    /// A request to this listener of the Envoy in front.
    fn by_front(&self, listener: &str, shown: Option<&Certificate>, token: &str) -> Result<Call<'_>> {
        let client = TlsClient::of(self.front.client(listener), &self.authority, shown)?;
        Ok(self.world.orders(token).by_tls(client))
    }
}

/// Asserts that a request was refused with `invalid_token`.
#[track_caller]
fn refused(outcome: Outcome) {
    outcome.has_status(401).is_challenged_by(r#"Bearer realm="api", error="invalid_token""#);
}

/// If this failed, a stolen bound token could be used without the certificate, at the latest once it is cached; or its legitimate client
/// could not use it.
#[tokio::test]
async fn r096_a_token_is_good_with_the_certificate_that_it_is_bound_to_and_with_no_other() -> Result<()> {
    let chain = chain().await;
    let (own, token) = chain.bound().await?;
    let (other, other_token) = chain.bound().await?;
    let claims = chain.straight("connection", Some(&own), &token)?.await?.is_served().claims()?;
    assert_eq!(claims["cnf"]["x5t#S256"], thumbprint(&own)?, "what the server bound it to");
    refused(chain.straight("connection", Some(&other), &token)?.await?);
    chain.straight("connection", Some(&own), &token)?.await?.is_served();
    refused(chain.straight("connection", None, &token)?.await?);
    refused(chain.straight("connection", Some(&own), &other_token)?.await?);
    chain.straight("connection", Some(&other), &other_token)?.await?.is_served();
    refused(chain.straight("connection", Some(&own), &other_token)?.case("which is known").await?);
    let plaintext = chain.world.orders(&token).at("plaintext");
    refused(plaintext.header("x-forwarded-client-cert", format!("Hash={}", own.digest())).await?);
    assert_eq!(chain.world.introspections(&token).await?, 1, "all but the first were hits");
    Ok(())
}

/// If this failed, clients with unbound tokens could not call where certificates are checked.
#[tokio::test]
async fn r096_tokens_that_are_bound_to_nothing_need_no_certificate() -> Result<()> {
    let chain = chain().await;
    let token = chain.world.issue("orders:read").await?;
    for certificate in [None, Some(&chain.certificate()?)] {
        chain.straight("connection", certificate, &token)?.await?.is_served();
    }
    Ok(())
}

/// If this failed, a gateway that ignores certificates would accept bound tokens from any client.
#[tokio::test]
async fn r098_a_gateway_that_cannot_see_certificates_refuses_bound_tokens() -> Result<()> {
    let chain = chain().await;
    let (own, token) = chain.bound().await?;
    refused(chain.straight("nothing", Some(&own), &token)?.await?);
    let unbound = chain.world.issue("orders:read").await?;
    chain.straight("nothing", Some(&own), &unbound)?.await?.is_served();
    Ok(())
}

/// If this failed, bound tokens would not work behind another proxy, or would also work for a thief.
#[tokio::test]
async fn r097_the_certificate_that_the_proxy_in_front_saw_counts_where_that_is_configured() -> Result<()> {
    let chain = chain().await;
    let (own, token) = chain.bound().await?;
    let other = chain.certificate()?;
    for round in ["cold", "known"] {
        chain.by_front("behind", Some(&own), &token)?.case(round).await?.is_served();
        for certificate in [Some(&other), None] {
            refused(chain.by_front("behind", certificate, &token)?.case(round).await?);
        }
    }
    let of_hop = chain.world.server().issue_bound_to_certificate(&chain.hop, "orders:read").await?;
    refused(chain.by_front("behind", Some(&own), &of_hop)?.await?);
    Ok(())
}

/// If this failed, the gateway would trust a field that no trusted proxy set.
#[tokio::test]
async fn r097_the_field_is_nothing_where_it_is_not_configured() -> Result<()> {
    let chain = chain().await;
    let (own, token) = chain.bound().await?;
    for listener in ["behind-by-connection", "behind-nothing"] {
        refused(chain.by_front(listener, Some(&own), &token)?.case(listener).await?);
        let unbound = chain.world.issue("orders:read").await?;
        let outcome = chain.by_front(listener, Some(&own), &unbound)?.case(listener).await?.is_served();
        let field = outcome.received("x-forwarded-client-cert").concat();
        assert!(field.contains(&own.digest()), "the field came as far as the gateway: {field}");
    }
    Ok(())
}

/// If this failed, a client could claim another client's certificate in its own field.
#[tokio::test]
async fn r097_what_a_client_says_of_certificates_gains_it_nothing() -> Result<()> {
    let chain = chain().await;
    let (own, token) = chain.bound().await?;
    let other = chain.certificate()?;
    chain.by_front("behind", Some(&own), &token)?.case("the owner").await?.is_served();
    let (lower, digest) = ("x-forwarded-client-cert", own.digest());
    for certificate in [Some(&other), None] {
        for fields in [
            vec![(lower, format!("Hash={digest}"))],
            vec![("X-Forwarded-Client-Cert", format!("By=spiffe://a;Hash={digest};URI=spiffe://b"))],
            vec![(lower, format!("Hash={digest}")); 2],
            vec![(lower, format!("Hash={digest},Hash={digest}"))],
            vec![(lower, format!("Hash={digest};Subject=\"a"))],
            vec![("x_forwarded_client_cert", format!("Hash={digest}"))],
        ] {
            let call = chain.by_front("behind", certificate, &token)?.case(format!("{fields:?}"));
            refused(fields.iter().fold(call, |call, (name, value)| call.header(name, value)).await?);
        }
    }
    Ok(())
}

/// `x5t#S256` of a certificate (RFC 8705 §3.1).
fn thumbprint(certificate: &Certificate) -> Result<String> {
    let digits = certificate.digest();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16);
    let bytes = (0..digits.len()).step_by(2).map(byte).collect::<Result<Vec<u8>, _>>()?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The gateway's listeners for the Envoy in front, whose listeners have the same names.
const BEHIND: [&str; 3] = ["behind", "behind-by-connection", "behind-nothing"];
