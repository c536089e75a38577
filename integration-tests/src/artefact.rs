//! The artefact of the filter that the tests run in Envoy. The tests are the same for the wasm filter and the native module; names that
//! differ are translated here.

use std::path::PathBuf;
use std::sync::LazyLock;

use anyhow::Result;

use crate::paths;

/// An artefact of the filter for Envoy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Artefact {
    /// The wasm filter.
    Wasm,
    /// The native module.
    Module,
    /// The native module, built to panic where a request asks for it.
    PanickingModule,
}

impl Artefact {
    /// The artefact that this run of the tests is about, `wasm` or `module`, as the variable `PHANTOM_TOKEN_ARTEFACT` says.
    ///
    /// # Panics
    /// If the variable names neither.
    pub fn chosen() -> Self {
        static CHOSEN: LazyLock<Artefact> =
            LazyLock::new(|| match std::env::var("PHANTOM_TOKEN_ARTEFACT").as_deref() {
                Err(_) | Ok("wasm") => Artefact::Wasm,
                Ok("module") => Artefact::Module,
                Ok(other) => panic!("PHANTOM_TOKEN_ARTEFACT is wasm or module, not {other}"),
            });
        *CHOSEN
    }

    pub(crate) fn file(self) -> Result<PathBuf> {
        match self {
            Self::Wasm => paths::filter(),
            Self::Module => paths::module(),
            Self::PanickingModule => paths::panicking_module(),
        }
    }

    /// Returns Envoy's name for one of the filter's metrics.
    pub fn statistic(self, metric: &str) -> String {
        match self {
            Self::Wasm => format!("wasmcustom.{metric}"),
            Self::Module | Self::PanickingModule => format!("{METRICS_NAMESPACE}.{metric}"),
        }
    }

    /// Returns the expression that makes the reason of a denied request a label, as in the shipped bootstraps.
    pub fn reason_tag(self) -> &'static str {
        match self {
            Self::Wasm => r"^wasmcustom\.phantom_token_(?:shadow_)?denied(\.(.+))$",
            Self::Module | Self::PanickingModule => {
                r"^phantom_token\.phantom_token_(?:shadow_)?denied(\.(.+))$"
            }
        }
    }

    /// Translates an access log format: Envoy puts `wasm.` before the filter state of wasm filters only.
    pub fn filter_state_in(self, format: &str) -> String {
        match self {
            Self::Wasm => format.to_owned(),
            Self::Module | Self::PanickingModule => format.replace("FILTER_STATE(wasm.", "FILTER_STATE("),
        }
    }
}

/// As in `envoy-config/module.yaml`.
pub const METRICS_NAMESPACE: &str = "phantom_token";
