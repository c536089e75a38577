//! The configuration in a real Envoy: an invalid one neither starts nor replaces a valid one, and a change under load neither forwards an
//! unauthenticated request nor stops the filter.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use anyhow::{Context, Result};
use integration_tests::envoy::{EnvoyBuilder, Listener};
use integration_tests::eventually::eventually;
use integration_tests::json::merged;
use integration_tests::testkit::{World, WorldBuilder};
use integration_tests::{paths, secrets};
use phantom_token_core::{HostKind, SecretSources, Settings};
use serde_json::{Value, json};

const SECRET: &str = "the-secret-of-the-gateway";

fn builder(name: &str) -> Result<WorldBuilder> {
    Ok(World::scripted(name)?.workers(2).configuration(json!({"realm": "before", "rules": [{"path": "/"}]})))
}

/// Starts a world, and returns it with the configuration of its listener.
async fn start(name: &str) -> Result<(World, Value)> {
    let builder = builder(name)?;
    let configuration = builder.configured().clone();
    Ok((builder.listener("gateway", json!({})).start().await?, configuration))
}

/// If one of these failed, a printed configuration would be invalid.
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
        let result = Settings::parse_for(
            host,
            text.as_bytes(),
            SecretSources::environment(&|_| Some(SECRET.to_owned())),
        );
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

/// If an invalid configuration started, the ingress would be open or closed to all without any hint why.
#[test]
fn r038_an_invalid_configuration_never_starts_and_reports_all_errors() -> Result<()> {
    let bad = json!({
        "introspection": {"timeout": "1h"},
        "rules": [{"path": "orders"}, {"path": "/", "access": "open"}],
    });
    let (accepted, output) = builder("bad")?.listener("gateway", bad).validate()?;
    assert!(!accepted, "{output}");
    for error in [
        "introspection.timeout: must be a duration between 1ms and 1m, like 2s",
        r#"rules[0].path: must start with "/""#,
        "rules[1].access: must be public, optional or protected",
    ] {
        assert!(output.contains(error), "{error}: {output}");
    }
    assert!(!output.contains(SECRET));
    for text in [json!(null), json!([]), json!("rules")] {
        let listener = Listener::default();
        let builder = builder("bad")?.envoy(|envoy| envoy.listener("gateway", &text, listener));
        assert!(!builder.validate()?.0, "{text}");
    }
    assert!(builder("good")?.listener("gateway", json!({})).validate()?.0);
    Ok(())
}

/// Envoy passes a protobuf Struct as protobuf bytes. If they were taken for a configuration, it would be an empty one.
#[test]
fn r038_a_configuration_that_arrives_as_a_struct_is_refused_in_wasm() -> Result<()> {
    let builder = builder("struct")?.listener("gateway", json!({}));
    let (accepted, output) = builder.envoy(EnvoyBuilder::configured_by_struct).validate()?;
    assert!(!accepted && output.contains("the configuration must be a JSON object"), "{output}");
    Ok(())
}

#[tokio::test]
async fn r038_a_bad_change_leaves_the_old_configuration_serving() -> Result<()> {
    let (world, configuration) = start("bad-change").await?;
    let token = world.active();
    world.get("/").bearer(&token).await?.is_served();
    assert!(!world.envoy.reconfigure("gateway", &merged(&configuration, json!({"rules": []}))).await?);
    world.get("/").bearer(&token).await?.is_served();
    let outcome = world.get("/").await?.is_refused(401, "missing_credentials");
    assert_eq!(outcome.challenges(), [r#"Bearer realm="before""#]);
    Ok(())
}

/// While the configuration changes back and forth, clients call with valid tokens, invalid ones and none. If one of the latter arrived, or
/// one of the former were refused, the change would be an incident.
#[tokio::test(flavor = "multi_thread")]
async fn r038_a_change_under_load_forwards_nothing_that_it_should_not() -> Result<()> {
    let (world, configuration) = start("change-under-load").await?;
    let good = world.active();
    let (is_over, calls, last) = (AtomicBool::new(false), AtomicU32::new(0), AtomicU32::new(0));
    let good_calls = async {
        while !is_over.load(Ordering::Relaxed) {
            world.get("/").bearer(&good).await?.is_served();
            calls.fetch_add(1, Ordering::Relaxed);
        }
        anyhow::Ok(())
    };
    let bad_calls = async {
        while !is_over.load(Ordering::Relaxed) {
            world.get("/").bearer(&secrets::fresh_token("bad")).await?.is_refused(401, "inactive");
            world.get("/").await?.is_refused(401, "missing_credentials");
        }
        anyhow::Ok(())
    };
    let changes = async {
        for round in 0.. {
            // Enough rounds and calls for the test to be meaningful.
            if round >= 10 && calls.load(Ordering::Relaxed) > 20 {
                break;
            }
            last.store(round, Ordering::Relaxed);
            let rules = json!([{"path": "/"}, {"path": "/x", "scopes": ["x"]}]);
            let edits = json!({"realm": format!("realm-{round}"), "rules": rules});
            assert!(world.envoy.reconfigure("gateway", &merged(&configuration, edits)).await?);
        }
        is_over.store(true, Ordering::Relaxed);
        anyhow::Ok(())
    };
    tokio::try_join!(good_calls, bad_calls, changes)?;
    let challenge = format!(r#"Bearer realm="realm-{}""#, last.into_inner());
    let serves = async || Ok(world.get("/").await?.challenges() == [challenge.as_str()]);
    eventually("the last configuration serves", serves).await?;
    // Only rules and realm changed, so the cached response still counts.
    assert_eq!(world.introspections(&good).await?, 1);
    Ok(())
}
