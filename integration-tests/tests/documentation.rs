//! Checks that the documentation is true: what readers copy from it works, and its lists are complete.

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use integration_tests::documentation::{Page, Part, files, page, pages};
use integration_tests::{keys, paths};
use phantom_token_core::{ConfigErrors, HostKind, SdsSecret, SecretSources, Settings};
use serde_json::{Map, Value, json};

/// If this failed, the filter would not start with a configuration copied from a page.
#[test]
fn every_configuration_on_a_page_is_taken_by_the_filter() -> Result<()> {
    let mut taken = 0;
    for Page { path, parts } in pages()? {
        for part in parts {
            let Part::Block(language, text) = part else { continue };
            if !matches!(language.as_str(), "yaml" | "json") {
                ensure!(!text.starts_with("introspection:"), "{path}: is this no `yaml`?\n{text}");
                continue;
            }
            let documents: Vec<Value> =
                serde_saphyr::from_multiple(&text).with_context(|| format!("{path}: not YAML:\n{text}"))?;
            for configuration in documents.iter().flat_map(configurations_in) {
                let result = parsed(&path, &configuration);
                result.map(|_| ()).map_err(|errors| anyhow::anyhow!("{path}: {errors}\n{text}"))?;
                taken += 1;
            }
        }
    }
    ensure!(taken > 20, "hardly a configuration was found: {taken}");
    Ok(())
}

/// Parses a configuration from a page as the host that the page is about does.
fn parsed(page: &str, configuration: &Value) -> Result<Settings, ConfigErrors> {
    let (host, sources) = match page {
        "docs/hosts/envoy-module.md" => (
            HostKind::EnvoyModule,
            SecretSources {
                environment: &environment,
                discovery: &|secret: &SdsSecret| Ok(environment(&secret.name)),
            },
        ),
        _ => (HostKind::Envoy, SecretSources::environment(&environment)),
    };
    Settings::parse_for(host, configuration.to_string().as_bytes(), sources)
}

/// If this failed, a page would mention a command that does not exist.
#[test]
fn every_recipe_on_a_page_exists() -> Result<()> {
    let summary = Command::new(paths::root().join("justw")).arg("--summary").output()?;
    let summary = String::from_utf8(summary.stdout)?;
    let recipes: BTreeSet<&str> = summary.split_whitespace().collect();
    ensure!(recipes.contains("test"), "these are no recipes: {summary}");
    for Page { path, parts } in pages()? {
        for part in parts {
            let (Part::Block(_, code) | Part::Code(code)) = part else { continue };
            let called = code.split("./justw ").skip(1).filter_map(|rest| rest.split_whitespace().next());
            let called = called.filter(|word| word.starts_with(|letter: char| letter.is_ascii_lowercase()));
            for recipe in called {
                ensure!(recipes.contains(recipe), "{path}: there is no recipe {recipe}");
            }
        }
    }
    Ok(())
}

/// If this failed, a page would cite a test that does not exist.
#[test]
fn every_test_on_a_page_exists() -> Result<()> {
    let mut tests: BTreeSet<String> = BTreeSet::new();
    for folder in ["integration-tests", "filters", "cli", "src"] {
        for path in files(folder, ".rs")? {
            let text = std::fs::read_to_string(paths::root().join(path))?;
            let functions = text
                .lines()
                .filter_map(|line| line.trim_start().trim_start_matches("async ").strip_prefix("fn "));
            tests.extend(functions.filter_map(|rest| rest.split('(').next()).map(str::to_owned));
        }
    }
    let (mut named, mut missing) = (0, Vec::new());
    // The page docs/conformance.md is generated from the tests themselves.
    for Page { path, parts } in pages()?.into_iter().filter(|page| page.path != "docs/conformance.md") {
        for part in parts {
            let Part::Code(code) = part else { continue };
            let name = code.trim_end_matches(['*', '…']);
            if !is_test_name(name, name.len() < code.len()) {
                continue;
            }
            let exists = tests.range(name.to_owned()..).next().is_some_and(|test| {
                if name.len() < code.len() { test.starts_with(name) } else { test == name }
            });
            if !exists {
                missing.push(format!("{path}: {code}"));
            }
            named += 1;
        }
    }
    ensure!(missing.is_empty(), "there are no such tests: {missing:#?}");
    ensure!(named > 50, "hardly a test was found: {named}");
    Ok(())
}

/// If this failed, new users would give up within the first ten minutes. The commands of the page run as printed, but on free ports, and
/// each prints what the page says; `…` matches anything.
#[test]
fn the_commands_of_the_first_ten_minutes_print_what_the_page_says() -> Result<()> {
    let page = page("docs/getting-started.md")?;
    let mut steps: Vec<(String, Vec<String>)> = Vec::new();
    for (language, text) in page.blocks().skip_while(|(_, text)| !text.contains("./justw build")) {
        match (language, steps.last_mut()) {
            ("sh", _) => steps.push((text.to_owned(), Vec::new())),
            ("text", Some((_, expected))) => expected.extend(text.lines().map(str::to_owned)),
            _ => {}
        }
    }
    ensure!(steps.len() > 5, "hardly a step was found");
    let folder = tempfile::tempdir()?;
    let envoy_configuration = folder.path().join("envoy.yaml");
    let mut script = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n".to_owned();
    for (step, _) in &steps {
        script.push_str(&format!("echo '{MARK}'\n{step}\n"));
    }
    // The ports of the page's programs are chosen in advance, so another program may take one first.
    let mut outputs = (0..5).map(|_| run_at_free_ports(&script, &envoy_configuration));
    let lost_a_port = |output: &Result<Output>| {
        output.as_ref().is_ok_and(|output| !output.status.success() && is_about_a_port(output))
    };
    let output = outputs.find(|output| !lost_a_port(output)).context("every time, a port was taken")??;
    let (printed, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{printed}\n{errors}");
    let outputs: Vec<&str> = printed.split(MARK).skip(1).collect();
    ensure!(outputs.len() == steps.len(), "not all steps ran:\n{printed}\n{errors}");
    for ((step, expected), printed) in steps.iter().zip(outputs) {
        let mut lines = printed.lines();
        for expected in expected.iter().filter(|expected| *expected != "…") {
            ensure!(
                lines.any(|line| is_like(line.trim_end(), expected)),
                "`{}` printed no line {expected:?}, or not in this order:\n{printed}",
                step.trim()
            );
        }
    }
    Ok(())
}

/// Whether a name is a test's: a sentence too long for a field or function of another program, or one with a requirement's number.
fn is_test_name(name: &str, is_cut: bool) -> bool {
    let words: Vec<&str> = name.split('_').filter(|word| !word.is_empty()).collect();
    let number = words.first().and_then(|word| word.strip_prefix('r'));
    let is_numbered =
        number.is_some_and(|rest| rest.len() == 3 && rest.bytes().all(|byte| byte.is_ascii_digit()));
    let is_identifier =
        name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    is_identifier && (is_numbered || words.len() >= if is_cut { 3 } else { 6 })
}

/// Runs the page's commands on free ports.
fn run_at_free_ports(script: &str, envoy_configuration: &Path) -> Result<Output> {
    let mut configuration = std::fs::read_to_string(paths::root().join("envoy-config/envoy.yaml"))?;
    let mut script = script.to_owned();
    let ports = ["10000", "9901", "9000", "8080"];
    // All ports are taken before any is released, so that no two are the same.
    let free = ports.map(|_| {
        TcpListener::bind("127.0.0.1:0").and_then(|listener| Ok((listener.local_addr()?, listener)))
    });
    for (port, free) in ports.into_iter().zip(free) {
        let free = free?.0.port().to_string();
        configuration = configuration.replace(port, &free);
        script = script.replace(port, &free);
    }
    std::fs::write(envoy_configuration, configuration)?;
    let script = script
        .replace("envoy-config/envoy.yaml", &envoy_configuration.display().to_string())
        .replace("/envoy -c", "/envoy --disable-hot-restart -c");
    let output = Command::new("timeout")
        .args(["--kill-after=5", "300", "bash", "-c", &script])
        .current_dir(paths::root())
        .output()?;
    Ok(output)
}

/// Whether a program reports that a port is in use.
fn is_about_a_port(output: &Output) -> bool {
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    let said = String::from_utf8_lossy(&said).to_lowercase();
    ["address already in use", "address in use", "eaddrinuse"].iter().any(|words| said.contains(words))
}

/// Returns the filter's configurations anywhere in a document. A part of a configuration at the top level is completed.
fn configurations_in(document: &Value) -> Vec<Value> {
    let whole = whole_configurations_in(document);
    match document {
        Value::Object(part) if whole.is_empty() && is_part(part) => {
            let mut configuration = example();
            part.iter().for_each(|(name, value)| configuration[name] = value.clone());
            vec![configuration]
        }
        _ => whole,
    }
}

fn whole_configurations_in(value: &Value) -> Vec<Value> {
    match value {
        Value::Object(members) if names_a_server(members) => vec![value.clone()],
        Value::Object(members) => members.values().flat_map(whole_configurations_in).collect(),
        Value::Array(elements) => elements.iter().flat_map(whole_configurations_in).collect(),
        Value::String(text) => match serde_json::from_str(text) {
            Ok(inner @ Value::Object(_)) => whole_configurations_in(&inner),
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn names_a_server(members: &Map<String, Value>) -> bool {
    let servers = members.get("authorization_servers").and_then(Value::as_array);
    ["introspection", "userinfo", "profile"].iter().any(|name| members.contains_key(*name))
        || servers.is_some_and(|servers| servers.iter().any(Value::is_object))
}

/// Whether the filter has a top-level field with one of these names.
fn is_part(members: &Map<String, Value>) -> bool {
    members.keys().any(|name| {
        let alone = json!({ name: null }).to_string();
        let errors = Settings::parse(alone.as_bytes(), &environment).map(|_| ()).unwrap_err().to_string();
        !errors.contains(&format!("{name}: is not a field"))
    })
}

/// Whether a line matches this text, in which `…` stands for anything.
fn is_like(line: &str, text: &str) -> bool {
    let pieces: Vec<&str> = text.split('…').collect();
    let (Some(first), Some(last)) = (pieces.first(), pieces.last()) else { return false };
    if pieces.len() == 1 {
        return line == text;
    }
    line.starts_with(first) && line.ends_with(last) && pieces.iter().all(|piece| line.contains(piece))
}

/// Every variable has a value that is valid for any secret, except for keys.
fn environment(name: &str) -> Option<String> {
    Some(if name.ends_with("_KEY") {
        keys::p256_pem()
    } else {
        "a secret of 32 bytes, or some more".to_owned()
    })
}

/// The configuration that completes a part of one.
fn example() -> Value {
    json!({
        "introspection": {
            "endpoint": "https://login.example.com/introspect",
            "upstream": "authorization-server",
            "client_id": "gateway",
            "client_secret": { "env": "INTROSPECTION_CLIENT_SECRET" },
        },
        "token": { "issuer": "https://login.example.com", "audience": ["orders-api"] },
        "rules": [{ "path": "/" }],
    })
}

/// Separates the output of the steps.
const MARK: &str = "---- the next step ----";
