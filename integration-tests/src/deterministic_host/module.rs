//! The deployed module, compiled once for all tests of a process.

use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow};
use wasmi::{CompilationMode, Config, Engine, Module};

use super::behaviour::Package;
use crate::paths;

/// What a package exports, by name.
pub fn module_exports(package: Package) -> Result<Vec<String>> {
    Ok(module(package)?.exports().map(|export| export.name().to_owned()).collect())
}

/// How long Envoy's module is, in bytes.
pub fn module_size() -> Result<u64> {
    Ok(std::fs::metadata(paths::filter()?)?.len())
}

/// The version of the compiler that made the module, by the module's own word; empty, if it says nothing. Versions stand behind names, each
/// text behind its length.
pub fn module_compiler() -> Result<String> {
    let producers = module(Package::Envoy)?.custom_sections().find(|section| section.name() == "producers");
    let bytes = producers.map(|section| section.data()).unwrap_or_default();
    let place = bytes.windows(NAME.len()).position(|window| window == NAME).map(|start| start + NAME.len());
    let version = place.and_then(|start| {
        let (length, rest) = bytes.get(start..)?.split_first()?;
        rest.get(..usize::from(*length))
    });
    Ok(String::from_utf8_lossy(version.unwrap_or_default()).into_owned())
}

/// The module of a package. All of it is compiled at the start: what is compiled late would count as work of the request that came first.
pub(super) fn module(package: Package) -> Result<&'static Module> {
    static ENVOY: OnceLock<Result<Module, String>> = OnceLock::new();
    static KONG: OnceLock<Result<Module, String>> = OnceLock::new();
    static COUNTING: OnceLock<Result<Module, String>> = OnceLock::new();
    let place = match package {
        Package::Envoy => &ENVOY,
        Package::Kong => &KONG,
        Package::Counting => &COUNTING,
    };
    let compiled = place.get_or_init(|| compile(package).map_err(|error| format!("{error:#}")));
    compiled.as_ref().map_err(|error| anyhow!("{error}"))
}

fn compile(package: Package) -> Result<Module> {
    let path = match package {
        Package::Envoy => paths::filter()?,
        Package::Kong => paths::filter_for_kong()?,
        Package::Counting => paths::counting_filter()?,
    };
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut config = Config::default();
    config.consume_fuel(true).compilation_mode(CompilationMode::Eager);
    Module::new(&Engine::new(&config), &bytes).context("the filter is not a module")
}

const NAME: &[u8] = b"rustc";
