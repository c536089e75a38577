//! `package-filter IN OUT`: makes the filter that is deployed of the module that the compiler made.
//!
//! The SDK exports every callback of the ABI, and a host calls each that is exported on every stream, at a microsecond a
//! call. What the filter does not use is taken out, with all code that only it reached. Where the filter has a callback of its own,
//! that gets the ABI's name.

use std::env;

use anyhow::{Context, Result, ensure};
use walrus::{Module, passes};

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [input, output] = arguments.as_slice() else { anyhow::bail!("usage: package-filter IN OUT") };

    let mut module = Module::from_file(input).with_context(|| format!("cannot read {input}"))?;
    for (own, callback) in OWN_CALLBACKS {
        let find =
            |name: &str| module.exports.iter().find(|export| export.name == name).map(walrus::Export::id);
        let (sdk, own) =
            (find(callback), find(own).with_context(|| format!("the module does not export {own}"))?);
        if let Some(sdk) = sdk {
            module.exports.delete(sdk);
        }
        (*callback).clone_into(&mut module.exports.get_mut(own).name);
    }
    let missing: Vec<_> = EXPORTS.iter().filter(|name| !has_export(&module, name)).collect();
    ensure!(missing.is_empty(), "the module does not export {missing:?}");

    let unused = module.exports.iter().filter(|export| !EXPORTS.contains(&export.name.as_str()));
    for export in unused.map(walrus::Export::id).collect::<Vec<_>>() {
        module.exports.delete(export);
    }
    passes::gc::run(&mut module);
    module.emit_wasm_file(output).with_context(|| format!("cannot write {output}"))
}

fn has_export(module: &Module, name: &str) -> bool {
    module.exports.iter().any(|export| export.name == name)
}

/// Callbacks that the SDK has as well, by the filter's name and by the ABI's.
const OWN_CALLBACKS: &[(&str, &str)] =
    &[("phantom_token_on_http_call_response", "proxy_on_http_call_response")];

/// What the filter needs a host to call. The body and trailer callbacks hold back what follows a paused head; the head of a
/// response is private where the token was in the query; the end of a stream is seen by `proxy_on_delete`.
const EXPORTS: &[&str] = &[
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
