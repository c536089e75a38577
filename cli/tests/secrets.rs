//! Nothing that the command writes holds a secret, wherever in a file that stands, and what the project ships passes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// If this failed, a secret in a wrong place would end up in the log of a pipeline.
#[test]
fn r110_no_output_shows_a_secret() -> Result<(), Box<dyn std::error::Error>> {
    let mut with_secret = 0;
    for file in files(&["cli/tests/files"])? {
        with_secret += usize::from(fs::read_to_string(&file)?.contains(SECRET));
        let file = file.display().to_string();
        for arguments in [
            &["check", &file][..],
            &["check", "--env", "--format", "json", &file],
            &["check", "--format", "github", &file],
            &["show", &file, "--configuration", "1"],
            &["show", &file, "--configuration", "2"],
            &["explain", &file, "--configuration", "1", "--url", URL],
            &["explain", &file, "--configuration", "1", "--url", URL, "--header", HEADER, "--format", "json"],
            &["probe", &file, "--configuration", "1", "--connect", "127.0.0.1:1", "--token", SECRET],
            &["probe", &file, "--connect", "127.0.0.1:1", "--refresh-token", SECRET, "--format", "json"],
        ] {
            let Output { stdout, stderr, .. } = run(arguments)?;
            let written = [stdout, stderr].concat();
            assert!(!String::from_utf8_lossy(&written).contains(SECRET), "{arguments:?} shows a secret");
        }
    }
    assert!(with_secret >= 5, "only {with_secret} files have one that could be shown");
    Ok(())
}

/// If this failed, what operators begin with would not start.
#[test]
fn what_the_project_ships_has_no_errors() -> Result<(), Box<dyn std::error::Error>> {
    for file in SHIPPED {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
        let Output { status, stdout, .. } = run(&["check", &path.display().to_string()])?;
        assert!(status.success(), "{}", String::from_utf8_lossy(&stdout));
    }
    Ok(())
}

fn run(arguments: &[&str]) -> std::io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_phantom-token")).args(arguments).env_remove("RUST_BACKTRACE").output()
}

fn files(folders: &[&str]) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for folder in folders {
        for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "yaml" || extension == "json") {
                files.push(path);
            }
        }
    }
    Ok(files)
}

/// The files with a whole configuration of the filter.
const SHIPPED: &[&str] = &[
    "envoy-config/envoy.yaml",
    "envoy-config/complete.yaml",
    "envoy-config/dynamic/lds.yaml",
    "envoy-config/envoy-gateway/phantom-token.yaml",
    "istio/base/wasm-plugin.yaml",
    "istio/overlays/traffic-extension/traffic-extension.yaml",
    "kong/kong.yaml",
];

const SECRET: &str = "do-not-show-this";
const HEADER: &str = "Authorization: Bearer do-not-show-this";
const URL: &str = "https://api.example.com/orders";
