//! The locations of files in the checkout.

use std::path::PathBuf;

use anyhow::{Result, ensure};

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap_or_default()
}

pub fn filter() -> Result<PathBuf> {
    existing("target/phantom_token.wasm", "./justw build")
}

/// The filter as it is deployed in Kong.
pub fn filter_for_kong() -> Result<PathBuf> {
    existing("target/kong/phantom_token.wasm", "./justw build")
}

/// The filter that counts the instructions of each function.
pub fn counting_filter() -> Result<PathBuf> {
    existing("target/counting/phantom_token.wasm", "./justw build-counting")
}

/// The filter as a native module for Envoy.
pub fn module() -> Result<PathBuf> {
    match emulated_architecture() {
        Some(architecture) => {
            existing(&format!("target/libphantom_token.{architecture}.so"), "./justw release-modules")
        }
        None => existing("target/libphantom_token.so", "./justw build-module"),
    }
}

/// The native module, built to panic where a request asks for it.
pub fn panicking_module() -> Result<PathBuf> {
    match emulated_architecture() {
        Some(architecture) => {
            let file = format!("target/planted-panic/libphantom_token.{architecture}.so");
            existing(&file, &format!("./justw module-on-{architecture}"))
        }
        None => existing("target/planted-panic/libphantom_token.so", "./justw build-panicking-module"),
    }
}

/// Envoy: the version that the project is developed with, or the one that the variable `ENVOY_VERSION` names; for this machine, or emulated
/// for the architecture that `ENVOY_ARCHITECTURE` names.
pub fn envoy() -> Result<PathBuf> {
    let name =
        emulated_architecture().map_or("envoy".to_owned(), |architecture| format!("envoy-{architecture}"));
    match std::env::var("ENVOY_VERSION") {
        Ok(version) => {
            existing(&format!(".tools/{name}-{version}/envoy"), &format!("./justw {name} {version}"))
        }
        Err(_) => existing(&format!(".tools/{name}/envoy"), &format!("./justw {name}")),
    }
}

fn emulated_architecture() -> Option<String> {
    std::env::var("ENVOY_ARCHITECTURE").ok()
}

/// The script of the authorization server, with its packages installed.
pub fn authorization_server() -> Result<PathBuf> {
    let folder = "integration-tests/authorization-server";
    existing(&format!("{folder}/node_modules/oidc-provider"), "./justw authorization-server")?;
    existing(&format!("{folder}/server.mjs"), "git checkout")
}

/// The Python with the packages of the authorization server without JWTs, and that server's script.
pub fn plain_authorization_server() -> Result<(PathBuf, PathBuf)> {
    let name = "plain-authorization-server";
    existing(&format!(".tools/{name}/.installed"), &format!("./justw {name}"))?;
    let python = existing(&format!(".tools/{name}/bin/python"), &format!("./justw {name}"))?;
    Ok((python, existing(&format!("integration-tests/{name}/server.py"), "git checkout")?))
}

/// The program that starts Keycloak, with the tests' realm.
pub fn keycloak() -> Result<PathBuf> {
    existing(".tools/keycloak/bin/kc.sh", "./justw server-keycloak")
}

pub fn spring() -> Result<PathBuf> {
    existing(".tools/spring/authorization-server.jar", "./justw server-spring")
}

/// The Python with the packages of the server of this name, and the server's script.
pub fn python_server(name: &str) -> Result<(PathBuf, PathBuf)> {
    let python = existing(&format!(".tools/{name}/bin/python"), &format!("./justw server-{name}"))?;
    Ok((python, existing(&format!("integration-tests/servers/{name}/server.py"), "git checkout")?))
}

/// The Node.js script of the server of this name, with its packages installed.
pub fn node_server(name: &str) -> Result<PathBuf> {
    let folder = format!("integration-tests/servers/{name}");
    existing(&format!("{folder}/node_modules/.installed"), &format!("./justw server-{name}"))?;
    existing(&format!("{folder}/server.mjs"), "git checkout")
}

/// The script that starts the server of this name from Debian's packages, and the folder with the packages.
pub fn debian_server(name: &str) -> Result<(PathBuf, PathBuf)> {
    let packages = existing(&format!(".tools/{name}"), &format!("./justw server-{name}"))?;
    Ok((existing(&format!("integration-tests/servers/{name}/start.sh"), "git checkout")?, packages))
}

pub fn hydra() -> Result<PathBuf> {
    existing(".tools/hydra/hydra", "./justw server-hydra")
}

/// The version of a program whose folder is a symbolic link to one with the version in its name.
pub fn linked_version(name: &str) -> String {
    let folder = std::fs::read_link(root().join(".tools").join(name)).unwrap_or_default();
    folder.to_string_lossy().trim_start_matches(name).trim_start_matches('-').to_owned()
}

/// kubectl, whose `kustomize` builds manifests.
pub fn kubectl() -> Result<PathBuf> {
    existing(".tools/kubectl/kubectl", "./justw kubectl")
}

pub fn control_plane(name: &str, program: &str) -> Result<PathBuf> {
    existing(&format!(".tools/{name}/{program}"), &format!("./justw {name}"))
}

/// The CustomResourceDefinitions of a control plane.
pub fn definitions(name: &str) -> Result<PathBuf> {
    existing(&format!(".tools/{name}/definitions"), &format!("./justw {name}"))
}

pub struct KubernetesSchemas {
    /// The folder of the validators' scripts, with their packages installed.
    pub scripts: PathBuf,
    /// The Python that runs one of the scripts.
    pub python: PathBuf,
    pub istio_models: PathBuf,
}

pub fn kubernetes_schemas() -> Result<KubernetesSchemas> {
    let (scripts, tools) = ("integration-tests/kubernetes-schemas", ".tools/kubernetes-schemas");
    let remedy = "./justw kubernetes-schemas";
    existing(&format!("{scripts}/node_modules/.installed"), remedy)?;
    existing(&format!("{tools}/.installed"), remedy)?;
    Ok(KubernetesSchemas {
        scripts: existing(scripts, "git checkout")?,
        python: root().join(tools).join("bin/python"),
        istio_models: existing(&format!("{tools}/istio"), remedy)?,
    })
}

pub fn chromium() -> Result<PathBuf> {
    existing(".tools/chromium", "./justw chromium")
}

/// The program that drives Chromium.
pub fn chromedriver() -> Result<PathBuf> {
    existing(".tools/chromedriver", "./justw chromedriver")
}

/// The browser application: its page and its script, and the library that the script imports.
pub fn web_app() -> Result<[PathBuf; 3]> {
    let file = |name: &str| existing(&format!("integration-tests/web-app/{name}"), "./justw web-app");
    Ok([file("index.html")?, file("app.js")?, file("node_modules/oauth4webapi/build/index.js")?])
}

/// The playground: its page, and the part of the core that the page imports, before bundling.
pub fn playground() -> Result<(PathBuf, PathBuf)> {
    let remedy = "./justw playground";
    Ok((existing("target/playground", remedy)?, existing("target/playground-core", remedy)?))
}

/// The program that builds the filter's image, and the image that it has built.
pub fn image() -> Result<(PathBuf, PathBuf)> {
    Ok((existing("target/debug/package-image", "./justw image")?, existing("target/image", "./justw image")?))
}

pub fn skopeo() -> Result<PathBuf> {
    existing(".tools/skopeo", "./justw skopeo")
}

pub fn docker_registry() -> Result<PathBuf> {
    existing(".tools/docker-registry", "./justw docker-registry")
}

pub fn prometheus() -> Result<PathBuf> {
    existing(".tools/prometheus", "./justw prometheus")
}

/// The program that checks and tests Prometheus rules.
pub fn promtool() -> Result<PathBuf> {
    existing(".tools/promtool", "./justw prometheus")
}

/// The folder with what operators of Envoy load into their monitoring.
pub fn monitoring() -> Result<PathBuf> {
    existing("envoy-config/monitoring", "git checkout")
}

/// The folder that collects the logs of a test run, to be searched for secrets.
pub fn logs() -> Result<PathBuf> {
    folder("target/logs")
}

/// The folder of the trials' results, for docs/reliability.md.
pub fn reliability() -> Result<PathBuf> {
    folder("target/reliability")
}

/// The folder of a soak's results.
pub fn soak() -> Result<PathBuf> {
    folder("target/soak")
}

/// The folder of the results of the tests with real authorization servers, for docs/servers.md.
pub fn servers() -> Result<PathBuf> {
    folder("target/servers")
}

fn folder(path: &str) -> Result<PathBuf> {
    let folder = root().join(path);
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

fn existing(path: &str, remedy: &str) -> Result<PathBuf> {
    let full = root().join(path);
    ensure!(full.exists(), "{path} is missing; `{remedy}` makes it");
    Ok(full)
}
