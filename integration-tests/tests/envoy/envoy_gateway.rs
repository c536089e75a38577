//! The ingress that the manifests for Envoy Gateway make, in a real Envoy configured as its controller would: the filter of the
//! EnvoyExtensionPolicy, turned on by the route, and the cluster of the EnvoyPatchPolicy, as it is but for address and authority.

use anyhow::{Context, Result, bail};
use integration_tests::api::Api;
use integration_tests::authorization_server::{self, AuthorizationServer, GATEWAY_SECRET};
use integration_tests::certificates::CertificateAuthority;
use integration_tests::client::Request;
use integration_tests::envoy::{Envoy, EnvoyBuilder, Listener};
use integration_tests::login::{self, IMPOSTER, LOGIN};
use integration_tests::manifests::{Manifests, envoy_gateway};
use integration_tests::secrets;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// The ingress, and one whose way to the authorization server ends at an imposter.
struct Stage {
    ingress: Envoy,
    misled: Envoy,
    _login: Envoy,
    api: Api,
    server: AuthorizationServer,
}

async fn stage() -> &'static Stage {
    static STAGE: OnceCell<Stage> = OnceCell::const_new();
    STAGE.get_or_init(async || set_stage().await.expect("the stage")).await
}

async fn set_stage() -> Result<Stage> {
    let manifests = Manifests::build("envoy-config/envoy-gateway")?;
    let policy = manifests.named("EnvoyExtensionPolicy", "phantom-token")?;
    let configuration = &policy["spec"]["wasm"][0]["config"];
    let issuer = configuration["token"]["issuer"].as_str().context("no issuer")?;
    let (server, api) = (AuthorizationServer::start_as("envoy_gateway", issuer)?, Api::start()?);
    let web = CertificateAuthority::new()?;
    let login = login::start("envoy_gateway-login", &server, &web).await?;
    let (filter, enabled) = envoy_gateway::wasm_filter(&manifests, "phantom-token")?;
    let proxy = manifests.named("EnvoyProxy", "ingress")?;
    let variable = proxy.pointer("/spec/provider/kubernetes/envoyDeployment/container/env/0/name");
    let variable = variable.and_then(Value::as_str).context("no variable")?;
    let (_, cluster) = envoy_gateway::cluster(&manifests, &configuration["introspection"]["upstream"])
        .context("no cluster")?;
    let ingress = async |name: &str, listener: &str| {
        let mut cluster = cluster.clone();
        cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"] =
            json!({"address": "127.0.0.1", "port_value": login.client(listener).port()});
        cluster["transport_socket"]["typed_config"]["common_tls_context"]["validation_context"]["trusted_ca"] =
            json!({"inline_string": web.pem()});
        EnvoyBuilder::new(name, 1, api.port())
            .cluster_as(cluster)
            .environment(variable, GATEWAY_SECRET)
            .listener_of("https", std::slice::from_ref(&filter), Listener::default())
            .routed_by(&[json!({
                "match": {"prefix": "/"}, "route": {"cluster": "api"}, "typed_per_filter_config": enabled,
            })])
            .start()
            .await
    };
    let misled = ingress("envoy_gateway-misled", IMPOSTER).await?;
    let ingress = ingress("envoy_gateway-ingress", LOGIN).await?;
    Ok(Stage { ingress, misled, _login: login, api, server })
}

/// If this failed, the manifests would make an ingress through which nobody gets, or everybody.
#[tokio::test]
async fn r074_the_manifests_make_an_ingress_from_the_opaque_token_to_the_jwt() -> Result<()> {
    let stage = stage().await;
    let client = stage.ingress.client("https");
    let token = stage.server.issue("orders:read").await?;
    let answer = client.send(Request::get("/orders").bearer(&token)).await?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(!answer.text().contains(&token), "the opaque token reached the API");
    let fields = answer.forwarded_authorization();
    let [authorization] = fields.as_slice() else { bail!("{} credentials arrived", fields.len()) };
    let jwt = secrets::noted(authorization.strip_prefix("Bearer ").context("no scheme")?.to_owned());
    assert_eq!(authorization_server::claims(&jwt)?["iss"], "https://login.example.com");
    assert_eq!(client.send(Request::get("/health")).await?.status, 200);
    for (name, request, status) in [
        ("gateway-no-rule", Request::get("/admin").bearer(&token), 403),
        ("gateway-no-token", Request::get("/orders"), 401),
        ("gateway-unknown", Request::get("/orders").bearer(&secrets::fresh_token("unknown")), 401),
    ] {
        let answer = client.send(request.named(name)).await?;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
        assert_eq!(stage.api.received(name).len(), 0, "{name}");
    }
    Ok(())
}

/// If this failed, the gateway would tell its secret and all tokens to whoever answers at that address.
#[tokio::test]
async fn the_cluster_of_the_patch_trusts_nobody_with_another_name() -> Result<()> {
    let stage = stage().await;
    let token = stage.server.issue("orders:read").await?;
    let request = Request::get("/orders").bearer(&token).named("gateway-imposter");
    let answer = stage.misled.client("https").send(request).await?;
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(stage.server.introspections(&token).await?, 0);
    assert_eq!(stage.api.received("gateway-imposter").len(), 0);
    Ok(())
}
