//! The configuration in a real Envoy: a bad one never starts nor replaces a good one, and a change under load neither
//! forwards an unauthenticated request nor stops the filter.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use anyhow::{Context, Result};
use integration_tests::api::Api;
use integration_tests::client::Request;
use integration_tests::envoy::{Envoy, EnvoyBuilder, Listener};
use integration_tests::eventually::eventually;
use integration_tests::scripted_server::{Response, ScriptedServer};
use integration_tests::{jwt, paths, secrets};
use phantom_token_core::{HostKind, Settings};
use serde_json::{Value, json};

const SECRET: &str = "the-secret-of-the-gateway";

fn configuration(rules: Value) -> Value {
    json!({
        "introspection": {
            "endpoint": "https://login.example.com/introspect",
            "upstream": "authorization-server",
            "client_id": "gateway",
            "client_secret": SECRET,
        },
        "realm": "before",
        "log_level": "debug",
        "rules": rules,
    })
}

fn builder(name: &str, api: &Api, server: &ScriptedServer, configuration: &Value) -> EnvoyBuilder {
    EnvoyBuilder::new(name, 2, api.port()).cluster("authorization-server", &[server.port()]).listener(
        "gateway",
        configuration,
        Listener::default(),
    )
}

async fn start(name: &str) -> Result<(Envoy, Api, ScriptedServer)> {
    secrets::noted(SECRET.to_owned());
    let (api, server) = (Api::start()?, ScriptedServer::start()?);
    let envoy = builder(name, &api, &server, &configuration(json!([{"path": "/"}]))).start().await?;
    Ok((envoy, api, server))
}

/// If one of these failed, a configuration that we print would be none.
#[test]
fn every_configuration_that_is_written_down_is_taken_by_the_filter() -> Result<()> {
    let read = |path: &str| std::fs::read_to_string(paths::root().join(path));
    let readme = read("README.md")?;
    let (_, block) = readme.split_once("```yaml\n").context("no YAML in the README")?;
    let (block, _) = block.split_once("```").context("no end of the YAML in the README")?;
    let istio: Value = serde_saphyr::from_str(&read("istio/base/wasm-plugin.yaml")?)?;
    let kong: Value = serde_saphyr::from_str(&read("kong/kong.yaml")?)?;
    let envoy = read("envoy-config/envoy.yaml")?;
    let (_, envoy) = envoy.split_once("value: |\n").context("no configuration in envoy.yaml")?;
    let envoy = serde_json::Deserializer::from_str(envoy).into_iter::<Value>().next();
    let schema = |text: &str| anyhow::Ok(serde_json::from_str::<Value>(&read(text)?)?);
    let for_editors = jsonschema::validator_for(&schema("docs/configuration.schema.json")?)?;
    let for_kong = jsonschema::draft4::new(
        schema("kong/phantom_token.meta.json")?.get("config_schema").context("no schema")?,
    )?;
    for (what, configuration) in [
        ("the README", &serde_saphyr::from_str(block)?),
        ("Envoy", &envoy.context("no JSON in envoy.yaml")??),
        ("Istio", &istio["spec"]["pluginConfig"]),
        ("Kong", &kong["services"][0]["filter_chains"][0]["filters"][0]["config"]),
    ] {
        let host = if what == "Kong" { HostKind::Kong } else { HostKind::Envoy };
        let text = configuration.to_string();
        let result = Settings::parse_for(host, text.as_bytes(), &|_| Some(SECRET.to_owned()));
        assert!(result.is_ok(), "{what}: {result:?}");
        for schema in [&for_editors, &for_kong] {
            assert_eq!(
                schema.iter_errors(configuration).map(|error| error.to_string()).next(),
                None,
                "{what}"
            );
        }
    }
    Ok(())
}

/// If a bad configuration started, the ingress would be open or closed to all, and nobody would know why.
#[test]
fn r038_a_bad_configuration_never_starts_and_all_its_mistakes_are_told() -> Result<()> {
    let (api, server) = (Api::start()?, ScriptedServer::start()?);
    let mut bad = configuration(json!([{"path": "orders"}, {"path": "/", "access": "open"}]));
    bad["introspection"]["timeout"] = json!("1h");
    let (accepted, output) = builder("bad", &api, &server, &bad).validate()?;
    assert!(!accepted, "{output}");
    for mistake in [
        "introspection.timeout: must be a duration between 1ms and 1m, like 2s",
        r#"rules[0].path: must start with "/""#,
        "rules[1].access: must be public or protected",
    ] {
        assert!(output.contains(mistake), "{mistake}: {output}");
    }
    assert!(!output.contains(SECRET));
    for text in [json!(null), json!([]), json!("rules")] {
        assert!(!builder("bad", &api, &server, &text).validate()?.0, "{text}");
    }
    assert!(builder("good", &api, &server, &configuration(json!([{"path": "/"}]))).validate()?.0);
    Ok(())
}

/// Envoy hands a protobuf Struct over as protobuf bytes. If they were taken for a configuration, it would be an empty one.
#[test]
fn r038_a_configuration_that_arrives_as_a_struct_is_refused() -> Result<()> {
    let (api, server) = (Api::start()?, ScriptedServer::start()?);
    let builder = builder("struct", &api, &server, &configuration(json!([{"path": "/"}])));
    let (accepted, output) = builder.configured_by_struct().validate()?;
    assert!(!accepted && output.contains("the configuration must be a JSON object"), "{output}");
    Ok(())
}

#[tokio::test]
async fn r038_a_bad_change_leaves_the_old_configuration_serving() -> Result<()> {
    let (envoy, api, server) = start("bad-change").await?;
    let token = secrets::fresh_token("bad-change");
    server.respond(&token, Response::jwt(&jwt::valid()));
    let client = envoy.client("gateway");
    assert_eq!(client.send(Request::get("/").bearer(&token)).await?.status, 200);
    assert!(!envoy.reconfigure("gateway", &configuration(json!([]))).await?);
    assert_eq!(client.send(Request::get("/").bearer(&token)).await?.status, 200);
    let answer = client.send(Request::get("/").named("bad-change")).await?;
    assert_eq!(answer.header("www-authenticate"), r#"Bearer realm="before""#);
    assert_eq!(api.received("bad-change").len(), 0);
    Ok(())
}

/// While the configuration changes back and forth, clients call with good tokens, bad ones and none. If one of the
/// latter arrived, or one of the former were refused, the change would be an incident.
#[tokio::test(flavor = "multi_thread")]
async fn r038_a_change_under_load_forwards_nothing_that_it_should_not() -> Result<()> {
    let (envoy, api, server) = start("change-under-load").await?;
    let good = secrets::fresh_token("good");
    server.respond(&good, Response::jwt(&jwt::valid()));
    let client = envoy.client("gateway");
    let (is_over, calls, last) = (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(0));
    let good_calls = async {
        while !is_over.load(Ordering::Relaxed) {
            let answer = client.send(Request::get("/").bearer(&good)).await?;
            assert_eq!(answer.status, 200, "{}", answer.text());
            calls.fetch_add(1, Ordering::Relaxed);
        }
        anyhow::Ok(())
    };
    let bad_calls = async {
        while !is_over.load(Ordering::Relaxed) {
            let unknown = secrets::fresh_token("bad");
            let answer = client.send(Request::get("/").bearer(&unknown).named("bad")).await?;
            assert_eq!(answer.status, 401, "{}", answer.text());
            assert_eq!(client.send(Request::get("/").named("bad")).await?.status, 401);
        }
        anyhow::Ok(())
    };
    let changes = async {
        for round in 0.. {
            // Enough of both to tell anything.
            if round >= 10 && calls.load(Ordering::Relaxed) > 20 {
                break;
            }
            last.store(round, Ordering::Relaxed);
            let mut next = configuration(json!([{"path": "/"}, {"path": "/x", "scopes": ["x"]}]));
            next["realm"] = json!(format!("realm-{round}"));
            assert!(envoy.reconfigure("gateway", &next).await?);
        }
        is_over.store(true, Ordering::Relaxed);
        anyhow::Ok(())
    };
    tokio::try_join!(good_calls, bad_calls, changes)?;
    assert_eq!(api.received("bad").len(), 0);
    let challenge = format!(r#"Bearer realm="realm-{}""#, last.into_inner());
    eventually("the last configuration serves", async || {
        Ok(client.send(Request::get("/")).await?.header("www-authenticate") == challenge)
    })
    .await?;
    // Only rules and realm changed, so what the server said before still counts.
    assert_eq!(server.introspections(&good).len(), 1);
    Ok(())
}
