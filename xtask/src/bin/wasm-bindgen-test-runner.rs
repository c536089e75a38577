//! The test runner of wasm-bindgen, in exactly the version that the tests are compiled against.

use anyhow::Result;

fn main() -> Result<()> {
    wasm_bindgen_cli::wasm_bindgen_test_runner::run_cli_with_args(std::env::args_os())
}
