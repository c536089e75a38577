//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Check configurations of the phantom-token filter, and see what it does.
#[derive(Debug, Parser)]
#[command(name = "phantom-token", version, max_term_width = 80, arg_required_else_help = true, after_help = EXIT_CODES)]
pub struct Arguments {
    /// Whether to write in colours: auto, always or never
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    #[arg(hide_possible_values = true)]
    pub color: Color,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Find all mistakes in configurations
    #[command(long_about = CHECK, after_long_help = CHECK_EXAMPLES)]
    Check(Check),
    /// Print a configuration with its profile's defaults, without secrets
    #[command(long_about = SHOW, after_long_help = SHOW_EXAMPLES)]
    Show(Chosen),
    /// Print what makes a shell complete this command
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// `check`.
#[derive(Args, Debug)]
pub struct Check {
    /// YAML or JSON files; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Require the variables that {env: NAME} names, here and now
    #[arg(long)]
    pub env: bool,
    /// How to write what was found: text, json or github
    #[arg(long, value_enum, default_value_t, hide_possible_values = true)]
    pub format: Format,
}

/// One configuration.
#[derive(Args, Debug)]
pub struct Chosen {
    /// A YAML or JSON file; `-` is standard input
    pub file: PathBuf,
    /// Which configuration, where the file has several: 1 is the first
    #[arg(long, value_name = "NUMBER")]
    pub configuration: Option<usize>,
}

/// How findings are written.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
    /// As annotations in GitHub's workflows
    Github,
}

/// When colours are used.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Color {
    /// On terminals, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

const EXIT_CODES: &str = "\
Exit codes: 0 all is well, 1 something is wrong with what was looked at,
2 the command could not do what it was asked to.";

const CHECK: &str = "\
Find all mistakes in configurations.

A file has the filter's configuration by itself, or what a host reads with the
configuration in it: Envoy (bootstrap, LDS, EnvoyFilter), Istio (WasmPlugin,
TrafficExtension), Envoy Gateway (EnvoyExtensionPolicy) or Kong (declarative
file). It may have several documents, and several configurations. A file
without any is a mistake.

Each mistake is told with its file, line, column and field. No value of a file
is shown.";

const CHECK_EXAMPLES: &str = "\
Examples:
  phantom-token check envoy.yaml
  kubectl get wasmplugin -A -o yaml | phantom-token check -
  phantom-token check --format github deploy/*.yaml

Exit codes: 0 no mistakes, 1 mistakes, 2 a file cannot be read.";

const SHOW: &str = "\
Print a configuration with its profile's defaults, without secrets.

It is JSON. What it does not name has the default that docs/configuration.md
says.";

const SHOW_EXAMPLES: &str = "\
Examples:
  phantom-token show envoy.yaml
  phantom-token show gateways.yaml --configuration 2 | jq .rules

Exit codes: 0 it has no mistakes, 1 it has some, 2 there is nothing to show.";
