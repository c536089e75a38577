//! `package-filter [--kong] IN OUT`: turns the compiled module into the deployed filter: for Envoy and products built on it, or
//! for Kong.
//!
//! The SDK exports every callback of the ABI, and Envoy calls each exported one on every stream, at a microsecond per call. Unused
//! callbacks are removed, with all code that only they reached. A callback that the filter implements itself is exported under the ABI's
//! name. Kong's host calls some callbacks whether they exist or not. In Kong, the filter also starts through a separate export, so that it
//! knows which host its package is for.
//!
//! `package-filter --counting IN OUT` makes the package for Envoy count instructions: each function has a global, exported under the
//! function's name, with the number of instructions that the function has run.

use std::env;

use anyhow::{Context, Result, ensure};
use walrus::ir::{
    BinaryOp, Binop, Const, GlobalGet, GlobalSet, Instr, InstrLocId, InstrSeq, InstrSeqId, Value, Visitor,
    dfs_in_order,
};
use walrus::{ConstExpr, GlobalId, LocalFunction, Module, ModuleConfig, ValType, passes};

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (package, counts, input, output) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..]
    {
        ["--kong", input, output] => (&KONG, false, input, output),
        ["--counting", input, output] => (&ENVOY, true, input, output),
        [input, output] => (&ENVOY, false, input, output),
        _ => anyhow::bail!("usage: package-filter [--kong | --counting] IN OUT"),
    };

    // Function names are a tenth of the module, which every process loads. The compiler's output still has them.
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
    if counts {
        count(&mut module);
    }
    module.emit_wasm_file(output).with_context(|| format!("cannot write {output}"))
}

/// Makes each function count the instructions that it runs.
fn count(module: &mut Module) {
    for id in module.funcs.iter_local().map(|(id, _)| id).collect::<Vec<_>>() {
        let zero = ConstExpr::Value(Value::I64(0));
        let counter = module.globals.add_local(ValType::I64, true, false, zero);
        let function = module.funcs.get_mut(id);
        let name = function.name.clone().unwrap_or_default();
        module.exports.add(&format!("{name} #{}", id.index()), counter);
        let function = module.funcs.get_mut(id).kind.unwrap_local_mut();
        for sequence in sequences(function) {
            let instructions = std::mem::take(&mut function.block_mut(sequence).instrs);
            function.block_mut(sequence).instrs = counted(instructions, counter);
        }
    }
}

/// Inserts a count before each basic block: a run of instructions that is entered at its beginning and left at its end.
fn counted(instructions: Vec<(Instr, InstrLocId)>, counter: GlobalId) -> Vec<(Instr, InstrLocId)> {
    let mut all = Vec::with_capacity(instructions.len() * 2);
    for run in instructions.chunk_by(|(instruction, _), _| !branches(instruction)) {
        let length = Value::I64(run.len().try_into().unwrap_or(i64::MAX));
        let counting: [Instr; 4] = [
            GlobalGet { global: counter }.into(),
            Const { value: length }.into(),
            Binop { op: BinaryOp::I64Add }.into(),
            GlobalSet { global: counter }.into(),
        ];
        all.extend(counting.map(|instruction| (instruction, InstrLocId::default())));
        all.extend_from_slice(run);
    }
    all
}

fn branches(instruction: &Instr) -> bool {
    use Instr::{Block, Br, BrIf, BrTable, IfElse, Loop, Return, Unreachable};
    matches!(
        instruction,
        Block(_) | Br(_) | BrIf(_) | BrTable(_) | IfElse(_) | Loop(_) | Return(_) | Unreachable(_)
    )
}

/// Returns the instruction sequences of a function, including nested ones.
fn sequences(function: &LocalFunction) -> Vec<InstrSeqId> {
    struct Found(Vec<InstrSeqId>);

    impl<'i> Visitor<'i> for Found {
        fn start_instr_seq(&mut self, sequence: &'i InstrSeq) {
            self.0.push(sequence.id());
        }
    }

    let mut found = Found(Vec::new());
    dfs_in_order(&mut found, function, function.entry_block());
    found.0
}

fn has_export(module: &walrus::Module, name: &str) -> bool {
    module.exports.iter().any(|export| export.name == name)
}

/// Callbacks that the SDK exports as well: the filter's name and the ABI's name of each.
const OWN_CALLBACKS: &[(&str, &str)] =
    &[("phantom_token_on_http_call_response", "proxy_on_http_call_response")];

/// What distinguishes the package for a host.
struct Package {
    /// More exports of the filter's own, with the names that they get.
    own_callbacks: &'static [(&'static str, &'static str)],
    /// Callbacks that the host calls whether the filter uses them or not.
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

/// The exports that the filter needs. The body and trailer callbacks hold back what follows a paused head, the callback for response heads
/// edits responses, and `proxy_on_delete` marks the end of a stream.
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
