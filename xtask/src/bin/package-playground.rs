//! `package-playground MODULE FOLDER`: generates what a page imports from the playground's module, with wasm-bindgen in exactly the version
//! that the module is compiled against.

use std::env;

use anyhow::{Context, Result};

fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [module, folder] = arguments.as_slice() else {
        anyhow::bail!("usage: package-playground MODULE FOLDER")
    };
    let command = "wasm-bindgen --target web --no-typescript --remove-name-section --remove-producers-section --out-name core --out-dir";
    let arguments = command.split(' ').chain([folder.as_str(), module]);
    wasm_bindgen_cli::wasm_bindgen::run_cli_with_args(arguments)
        .with_context(|| format!("{module} cannot be packaged"))
}
