//! Keycloak. Its configuration is the realm of `integration-tests/servers/keycloak/realm.json`; its access tokens are as small as possible
//! (lightweight), and services receive the JWTs of its introspection responses.

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use integration_tests::certificates::{Certificate, CertificateAuthority};
use integration_tests::client::{Client, Request};
use integration_tests::dpop::{self, DpopKey};
use integration_tests::eventually::eventually;
use integration_tests::json::merged;
use integration_tests::port::free_port;
use integration_tests::process::Process;
use integration_tests::tls_client::{SERVER_NAME, TlsClient};
use integration_tests::{jwt, keys, paths, secrets, shared};
use serde_json::json;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::load::{Load, under};
use crate::real_server::{
    ALICE_PASSWORD, APP_SECRET, Endpoints, Profile, RealServer, Tokens, posted, serves, tokens,
};
use crate::results::leave_beside;
use crate::story;

shared! {
    /// One Keycloak for all tests of this file.
    keycloak: Keycloak = Keycloak::start
}

struct Keycloak {
    _process: Process,
    _certificates: TempDir,
    endpoints: Endpoints,
    https: Client,
    authority: CertificateAuthority,
}

impl Keycloak {
    async fn start() -> Result<Self> {
        let (http, https, management) = (free_port()?, free_port()?, free_port()?);
        let authority = CertificateAuthority::new()?;
        let certificates = TempDir::new()?;
        let own = authority.certify_server(SERVER_NAME)?;
        let file = |name: &str, text: String| {
            let path = certificates.path().join(name);
            std::fs::write(&path, text).map(|()| path.display().to_string())
        };
        let arguments = [
            "start-dev".to_owned(),
            "--import-realm".to_owned(),
            "--db=dev-mem".to_owned(),
            "--http-host=127.0.0.1".to_owned(),
            format!("--hostname=http://127.0.0.1:{http}"),
            format!("--http-port={http}"),
            format!("--https-port={https}"),
            format!("--http-management-port={management}"),
            format!("--https-certificate-file={}", file("own.pem", own.pem())?),
            format!("--https-certificate-key-file={}", file("key.pem", own.key_pem())?),
            format!("--https-trust-store-file={}", file("authority.pem", authority.pem())?),
            "--https-client-auth=request".to_owned(),
        ];
        let environment = [
            ("APP_CLIENT_SECRET", APP_SECRET),
            ("INTROSPECTION_CLIENT_SECRET", GATEWAY_SECRET),
            ("ALICE_PASSWORD", ALICE_PASSWORD),
            ("KC_BOOTSTRAP_ADMIN_USERNAME", "admin"),
            ("KC_BOOTSTRAP_ADMIN_PASSWORD", ADMIN_PASSWORD),
            ("JAVA_OPTS_KC_HEAP", "-Xms128m -Xmx512m"),
            ("JAVA_OPTS_APPEND", "-XX:TieredStopAtLevel=1"),
        ];
        for secret in [APP_SECRET, GATEWAY_SECRET, ALICE_PASSWORD, ADMIN_PASSWORD] {
            secrets::noted(secret.to_owned());
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let log = paths::logs()?.join("keycloak.log");
        let mut process = Process::start(&paths::keycloak()?, &arguments, &environment, &log)?;
        process.first_line()?;
        let server = Client::to_port(http);
        serves(&process, server, "/realms/example").await?;
        let endpoints =
            Endpoints { server, token: format!("{OPENID}/token"), revocation: format!("{OPENID}/revoke") };
        let https = Client::to_port(https);
        Ok(Self { _process: process, _certificates: certificates, endpoints, https, authority })
    }

    fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}/realms/example", self.endpoints.server.port())
    }

    /// Makes the realm sign with a new key. It still publishes the old one.
    async fn add_key(&self) -> Result<()> {
        let form =
            format!("grant_type=password&client_id=admin-cli&username=admin&password={ADMIN_PASSWORD}");
        let request = posted(self.endpoints.server, "/realms/master/protocol/openid-connect/token", &form);
        let token = tokens(&self.endpoints.server.send(request).await?)?.access;
        let host = format!("127.0.0.1:{}", self.endpoints.server.port());
        let request = Request::get("/admin/realms/example").header("host", &host).bearer(&token);
        let realm = self.endpoints.server.send(request).await?.json()?;
        let key = json!({
            "name": "newer", "providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider",
            "parentId": realm["id"], "config": {"priority": ["200"], "algorithm": ["RS256"]},
        });
        let request = Request::post("/admin/realms/example/components", key.to_string())
            .header("host", &host)
            .header("content-type", "application/json")
            .bearer(&token);
        let answer = self.endpoints.server.send(request).await?;
        ensure!(answer.status == 201, "no key: {} {}", answer.status, answer.text());
        Ok(())
    }

    /// Gets a token for one of the clients itself.
    async fn machine_token(&self, client: &str) -> Result<String> {
        let form = "grant_type=client_credentials&scope=orders:read";
        Ok(self.endpoints.grant(client, APP_SECRET, form).await?.access)
    }
}

impl RealServer for Keycloak {
    fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    fn profile(&self) -> Profile {
        let port = self.endpoints.server.port();
        Profile {
            chapter: "Keycloak",
            version: paths::linked_version("keycloak"),
            urls: vec![("https://login.example.com", format!("http://127.0.0.1:{port}"))],
            port,
            secret: Some(GATEWAY_SECRET),
            alice: ALICE.to_owned(),
        }
    }

    async fn user_tokens(&self, scope: &str) -> Result<Tokens> {
        let form =
            format!("grant_type=password&username=alice&password={ALICE_PASSWORD}&scope=openid%20{scope}");
        self.endpoints.grant("app", APP_SECRET, &form).await
    }

    async fn client_token(&self, _scope: &str) -> Result<String> {
        self.machine_token("app").await
    }

    async fn brief_token(&self) -> Result<String> {
        self.machine_token("app-brief").await
    }

    async fn foreign_token(&self) -> Result<(String, u16)> {
        Ok((self.machine_token("app-of-payments").await?, 401))
    }
}

/// If this failed, the chapter of Keycloak would not lead to what it promises.
#[tokio::test(flavor = "multi_thread")]
async fn r225_keycloak_as_its_chapter_has_it() -> Result<()> {
    story::tell("keycloak", keycloak().await).await
}

/// If this failed, a gateway with a key would also need a secret, or would receive responses that are not for it.
#[tokio::test(flavor = "multi_thread")]
async fn r225_keycloak_answers_each_gateway_as_it_may() -> Result<()> {
    let keycloak = keycloak().await;
    let profile = keycloak.profile();
    let with_key = json!({
        "client_id": "gateway-with-key", "client_secret": null,
        "auth_method": "private_key_jwt", "private_key": keys::p256_pem(), "key_id": "gateway",
    });
    let without_secret = json!({"client_id": "page", "client_secret": null, "auth_method": "none"});
    let world = story::world("keycloak-gateways", &profile)?
        .listener("documented", json!({}))
        .listener("with-key", json!({"introspection": with_key}))
        .listener("without-jwt", json!({"introspection": {"client_id": "gateway-without-jwt"}}))
        .listener("public", json!({"introspection": without_secret}))
        .start()
        .await?;
    let token = keycloak.machine_token("app").await?;
    world.orders(&token).at("with-key").await?.is_served();
    world.orders(&token).at("without-jwt").await?.is_refused(502, "missing_phantom_token");
    world.orders(&token).at("public").await?.has_status(502);
    let unseen = keycloak.machine_token("app-unseen").await?;
    world.orders(&unseen).await?.is_refused(401, "inactive");
    leave_beside("keycloak", "`private_key_jwt`")
}

/// If this failed, a token that is bound to a key could be used without it, or not at all.
#[tokio::test(flavor = "multi_thread")]
async fn r225_keycloak_binds_tokens_to_keys() -> Result<()> {
    let keycloak = keycloak().await;
    let bound = json!({"token": {"dpop": "allowed"}, "dpop": {"origins": ["https://api.example.com"]}});
    let world = story::world("keycloak-dpop", &keycloak.profile())?.listener("bound", bound).start().await?;
    let key = DpopKey::new()?;
    let mut claims =
        dpop::claims("POST", &format!("{}/protocol/openid-connect/token", keycloak.issuer()), "");
    claims.as_object_mut().context("claims are an object")?.remove("ath");
    let form = format!(
        "grant_type=client_credentials&scope=orders:read&client_id=app-with-key&client_secret={APP_SECRET}"
    );
    let request =
        posted(keycloak.endpoints.server, &keycloak.endpoints.token, &form).header("dpop", key.sign(&claims));
    let token = tokens(&keycloak.endpoints.server.send(request).await?)?.access;
    let call = || world.get("/orders").with_token(&token).header("authorization", format!("DPoP {token}"));
    let proof = |key: &DpopKey| key.prove("GET", "https://api.example.com/orders", &token);
    let claims = call().header("dpop", proof(&key)).await?.is_served().claims()?;
    assert_eq!(claims["cnf"]["jkt"], key.thumbprint(), "what Keycloak bound it to");
    call().header("dpop", proof(&DpopKey::new()?)).await?.has_status(401);
    world.orders(&token).await?.has_status(401);
    leave_beside("keycloak", "DPoP")
}

/// If this failed, a token that is bound to a certificate could be used without it, or not at all.
#[tokio::test(flavor = "multi_thread")]
async fn r225_keycloak_binds_tokens_to_certificates() -> Result<()> {
    let keycloak = keycloak().await;
    let own = keycloak.authority.certify_server(SERVER_NAME)?;
    let world = story::world("keycloak-certificates", &keycloak.profile())?
        .listener("bound", json!({"client_certificate": "connection"}))
        .envoy(|envoy| envoy.secured_by(&own, Some(&keycloak.authority)).admitting_without_certificate())
        .start()
        .await?;
    let authority = &keycloak.authority;
    let (one, other) = (
        authority.certify_workload(&["spiffe://example.com/one"])?,
        authority.certify_workload(&["spiffe://example.com/other"])?,
    );
    let form = format!(
        "grant_type=client_credentials&scope=orders:read&client_id=app-with-certificate&client_secret={APP_SECRET}"
    );
    let request = posted(keycloak.endpoints.server, &keycloak.endpoints.token, &form);
    let token = tokens(&TlsClient::of(keycloak.https, authority, Some(&one))?.send(request).await?)?.access;
    let call = |shown: Option<&Certificate>| {
        Ok::<_, anyhow::Error>(world.orders(&token).by_tls(TlsClient::of(world.client(), authority, shown)?))
    };
    let claims = call(Some(&one))?.await?.is_served().claims()?;
    let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(&one.der().0[0]));
    assert_eq!(claims["cnf"]["x5t#S256"], thumbprint, "what Keycloak bound it to");
    call(Some(&other))?.await?.has_status(401);
    call(None)?.await?.has_status(401);
    leave_beside("keycloak", "certificates")
}

/// If this failed, clients with valid tokens would be refused while the realm's keys change, whether the old or the new key signed them.
#[tokio::test(flavor = "multi_thread")]
async fn r226_keycloak_takes_other_keys_under_load() -> Result<()> {
    let keycloak = keycloak().await;
    let profile = keycloak.profile();
    let certs = format!("{}/protocol/openid-connect/certs", keycloak.issuer());
    let keys = json!({"keys": {"jwks_uri": certs, "upstream": "authorization-server", "cooldown": "1s"}});
    let presented = merged(&story::documented(&profile, 1)?, keys.clone());
    let world = story::world("keycloak-keys", &profile)?
        .listener("introspected", keys)
        .configuration(json!({"profile": null, "introspection": null, "token": null}))
        .listener("presented", presented)
        .start()
        .await?;
    let small = [keycloak.machine_token("app").await?];
    let old = [keycloak.machine_token("app-full").await?, keycloak.machine_token("app-full").await?];
    let (introspected, presented) =
        (Load::at(&world, "introspected", &small), Load::at(&world, "presented", &old));
    let mut of_new_key = Vec::new();
    under(&[&introspected, &presented], async {
        introspected.sees(200, 20).await?;
        presented.sees(200, 20).await?;
        keycloak.add_key().await?;
        introspected.sees(200, 20).await?;
        let fresh = keycloak.machine_token("app-full").await?;
        ensure!(jwt::header(&fresh)?["kid"] != jwt::header(&old[0])?["kid"], "the key is the old one");
        eventually("a token of the new key is served", async || {
            let status = world.orders(&fresh).at("presented").await?.status;
            of_new_key.push(status);
            Ok(status == 200)
        })
        .await?;
        presented.sees(200, 20).await
    })
    .await?;
    let only = |load: &Load<'_>, status: u16| load.seen().keys().all(|(seen, _)| *seen == status);
    ensure!(only(&introspected, 200), "introspected: {:?}", introspected.seen());
    ensure!(only(&presented, 200), "of the old key: {:?}", presented.seen());
    ensure!(of_new_key.iter().all(|status| [200, 503].contains(status)), "of the new key: {of_new_key:?}");
    leave_beside("keycloak", "presented JWTs")?;
    leave_beside("keycloak", "key rotation under load")
}

const OPENID: &str = "/realms/example/protocol/openid-connect";
const ALICE: &str = "6f2d1c1e-5a0f-4f6e-9a53-5f7b1d0a1ce0";
const ADMIN_PASSWORD: &str = "the-password-of-the-administrator";

/// Has characters that client_secret_basic has to encode (RFC 6749 §2.3.1).
const GATEWAY_SECRET: &str = "keycloak gateway's-p@ssw:rd+100%";
