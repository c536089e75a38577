//! `package-filter [--kong] IN OUT`: turns the compiled module into the deployed filter: for Envoy and products built on it, or
//! for Kong.
//!
//! The SDK exports every callback of the ABI, and Envoy calls each exported one on every stream, at a microsecond per call.
//! Unused callbacks are removed, with all code that only they reached. Where the filter has its own callback, that gets the
//! ABI's name. Kong's host calls some callbacks whether they exist or not; and there the filter starts through a separate
//! export, so that it knows which host its package is for.

use std::env;

use anyhow::{Context, Result, ensure};
use walrus::{ModuleConfig, passes};

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (package, input, output) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--kong", input, output] => (&KONG, input, output),
        [input, output] => (&ENVOY, input, output),
        _ => anyhow::bail!("usage: package-filter [--kong] IN OUT"),
    };

    // Names of functions are a tenth of the module, which every process loads; what the compiler made has them.
    let mut config = ModuleConfig::new();
    config.generate_name_section(false);
    let mut module = config.parse_file(input).with_context(|| format!("cannot read {input}"))?;
    for (own, callback) in OWN_CALLBACKS.iter().chain(package.own_callbacks) {
        let find =
            |name: &str| module.exports.iter().find(|export| export.name == name).map(walrus::Export::id);
        let (sdk, own) =
            (find(callback), find(own).with_context(|| format!("the module does not export {own}"))?);
        if let Some(sdk) = sdk {
            module.exports.delete(sdk);
        }
        (*callback).clone_into(&mut module.exports.get_mut(own).name);
    }
    let missing: Vec<_> = package.exports().filter(|name| !has_export(&module, name)).collect();
    ensure!(missing.is_empty(), "the module does not export {missing:?}");

    let is_used = |name: &str| package.exports().any(|used| used == name);
    let unused = module.exports.iter().filter(|export| !is_used(&export.name));
    for export in unused.map(walrus::Export::id).collect::<Vec<_>>() {
        module.exports.delete(export);
    }
    passes::gc::run(&mut module);
    module.emit_wasm_file(output).with_context(|| format!("cannot write {output}"))
}

fn has_export(module: &walrus::Module, name: &str) -> bool {
    module.exports.iter().any(|export| export.name == name)
}

/// Callbacks that the SDK has as well, by the filter's name and by the ABI's.
const OWN_CALLBACKS: &[(&str, &str)] =
    &[("phantom_token_on_http_call_response", "proxy_on_http_call_response")];

/// What is different in the package of a host.
struct Package {
    /// More callbacks of its own.
    own_callbacks: &'static [(&'static str, &'static str)],
    /// What the host calls whether the filter uses it or not.
    also_called: &'static [&'static str],
}

impl Package {
    fn exports(&self) -> impl Iterator<Item = &'static str> {
        USED.iter().chain(self.also_called).copied()
    }
}

const ENVOY: Package = Package { own_callbacks: &[], also_called: &[] };

const KONG: Package = Package {
    own_callbacks: &[("phantom_token_start_in_kong", "_initialize")],
    also_called: &["proxy_on_response_body", "proxy_on_done", "proxy_on_log"],
};

/// What the filter needs a host to call. The body and trailer callbacks hold back what follows a paused head; the head of a
/// response is private where the token was in the query; the end of a stream is seen by `proxy_on_delete`.
const USED: &[&str] = &[
    "memory",
    "_initialize",
    "proxy_abi_version_0_2_1",
    "proxy_on_memory_allocate",
    "proxy_on_context_create",
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_tick",
    "proxy_on_delete",
    "proxy_on_request_headers",
    "proxy_on_request_body",
    "proxy_on_request_trailers",
    "proxy_on_response_headers",
    "proxy_on_http_call_response",
];
