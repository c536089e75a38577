//! Where things are in the checkout.

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

/// The native module that panics where a request asks for it.
pub fn panicking_module() -> Result<PathBuf> {
    match emulated_architecture() {
        Some(architecture) => {
            let file = format!("target/planted-panic/libphantom_token.{architecture}.so");
            existing(&file, &format!("./justw module-on-{architecture}"))
        }
        None => existing("target/planted-panic/libphantom_token.so", "./justw build-panicking-module"),
    }
}

/// Envoy: the one that the project is made with, or the version that the variable `ENVOY_VERSION` names; for this machine, or under
/// emulation for the architecture that `ENVOY_ARCHITECTURE` names.
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

/// The script of the authorization server, its packages installed.
pub fn authorization_server() -> Result<PathBuf> {
    let folder = "integration-tests/authorization-server";
    existing(&format!("{folder}/node_modules/oidc-provider"), "./justw authorization-server")?;
    existing(&format!("{folder}/server.mjs"), "git checkout")
}

/// The Python that has the packages of the authorization server that knows no JWTs, and its script.
pub fn plain_authorization_server() -> Result<(PathBuf, PathBuf)> {
    let name = "plain-authorization-server";
    existing(&format!(".tools/{name}/.installed"), &format!("./justw {name}"))?;
    let python = existing(&format!(".tools/{name}/bin/python"), &format!("./justw {name}"))?;
    Ok((python, existing(&format!("integration-tests/{name}/server.py"), "git checkout")?))
}

/// The program that starts Keycloak, which has the realm of the tests.
pub fn keycloak() -> Result<PathBuf> {
    existing(".tools/keycloak/bin/kc.sh", "./justw server-keycloak")
}

pub fn spring() -> Result<PathBuf> {
    existing(".tools/spring/authorization-server.jar", "./justw server-spring")
}

/// The Python that has the packages of a server of this name, and the script that serves it.
pub fn python_server(name: &str) -> Result<(PathBuf, PathBuf)> {
    let python = existing(&format!(".tools/{name}/bin/python"), &format!("./justw server-{name}"))?;
    Ok((python, existing(&format!("integration-tests/servers/{name}/server.py"), "git checkout")?))
}

/// The script of a server of this name for Node.js, its packages installed.
pub fn node_server(name: &str) -> Result<PathBuf> {
    let folder = format!("integration-tests/servers/{name}");
    existing(&format!("{folder}/node_modules/.installed"), &format!("./justw server-{name}"))?;
    existing(&format!("{folder}/server.mjs"), "git checkout")
}

/// The script that starts a server of this name out of Debian's packages, and the folder that has them.
pub fn debian_server(name: &str) -> Result<(PathBuf, PathBuf)> {
    let packages = existing(&format!(".tools/{name}"), &format!("./justw server-{name}"))?;
    Ok((existing(&format!("integration-tests/servers/{name}/start.sh"), "git checkout")?, packages))
}

pub fn hydra() -> Result<PathBuf> {
    existing(".tools/hydra/hydra", "./justw server-hydra")
}

/// The version of a program whose folder is a link to one that has it in its name.
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
    /// The programs that do, their packages installed.
    pub scripts: PathBuf,
    /// The Python that runs one of them.
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

/// What drives Chromium for a person.
pub fn chromedriver() -> Result<PathBuf> {
    existing(".tools/chromedriver", "./justw chromedriver")
}

/// The application in a browser: its page and its script, and the library that the script imports.
pub fn web_app() -> Result<[PathBuf; 3]> {
    let file = |name: &str| existing(&format!("integration-tests/web-app/{name}"), "./justw web-app");
    Ok([file("index.html")?, file("app.js")?, file("node_modules/oauth4webapi/build/index.js")?])
}

/// The playground: its page, and what that imports of the core before it is bundled.
pub fn playground() -> Result<(PathBuf, PathBuf)> {
    let remedy = "./justw playground";
    Ok((existing("target/playground", remedy)?, existing("target/playground-core", remedy)?))
}

/// What makes the filter's image, and the image that it has made.
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

/// What checks and tests rules for Prometheus.
pub fn promtool() -> Result<PathBuf> {
    existing(".tools/promtool", "./justw prometheus")
}

/// What operators of Envoy load into their monitoring.
pub fn monitoring() -> Result<PathBuf> {
    existing("envoy-config/monitoring", "git checkout")
}

/// Where the logs of a test run are collected, to be searched for secrets.
pub fn logs() -> Result<PathBuf> {
    folder("target/logs")
}

/// Where the trials leave what clients saw, for the page of results.
pub fn reliability() -> Result<PathBuf> {
    folder("target/reliability")
}

/// Where a soak leaves what clients saw, and how much memory Envoy had.
pub fn soak() -> Result<PathBuf> {
    folder("target/soak")
}

/// Where the tests with real authorization servers leave what came out, for the page.
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
