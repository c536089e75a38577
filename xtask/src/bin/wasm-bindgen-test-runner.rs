//! The runner of wasm-bindgen's tests, of the very version that the tests are compiled against.

use anyhow::Result;

fn main() -> Result<()> {
    wasm_bindgen_cli::wasm_bindgen_test_runner::run_cli_with_args(std::env::args_os())
}
