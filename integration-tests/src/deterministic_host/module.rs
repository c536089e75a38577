//! The deployed module, compiled once for all tests of a process.

use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow};
use wasmi::{CompilationMode, Config, Engine, Module};

use super::behaviour::Package;
use crate::paths;

/// Returns the names of a build's exports.
pub fn module_exports(package: Package) -> Result<Vec<String>> {
    Ok(module(package)?.exports().map(|export| export.name().to_owned()).collect())
}

/// The size of the build for Envoy, in bytes.
pub fn module_size() -> Result<u64> {
    Ok(std::fs::metadata(paths::filter()?)?.len())
}

/// Returns the version of the compiler, as the module's `producers` section states it, empty if it does not. Versions follow names, and
/// each text follows its length.
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

/// Returns the module of a build. It is compiled as a whole at the start: lazy compilation would count as work of the first request.
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
