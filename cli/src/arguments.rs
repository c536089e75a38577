//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use phantom_token_core::HostKind;

/// Check configurations of the phantom-token filter, and see what it does.
#[derive(Debug, Parser)]
#[command(name = "phantom-token", version, max_term_width = 80, arg_required_else_help = true, after_help = EXIT_CODES)]
pub struct Arguments {
    /// Use colours: auto, always or never
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
    /// Find all errors in configurations
    #[command(long_about = CHECK, after_long_help = CHECK_EXAMPLES)]
    Check(Check),
    /// Print a configuration with its profile's defaults, without secrets
    #[command(long_about = SHOW, after_long_help = SHOW_EXAMPLES)]
    Show(Chosen),
    /// Show what happens to a request, and why
    #[command(long_about = EXPLAIN, after_long_help = EXPLAIN_EXAMPLES)]
    Explain(Explain),
    /// Query an authorization server as the filter would
    #[command(long_about = PROBE, after_long_help = PROBE_EXAMPLES)]
    Probe(Probe),
    /// Print the JSON Schema of the configuration, for editors
    Schema,
    /// Print the completion script of a shell
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
    /// Require the variables that {env: NAME} refers to
    #[arg(long)]
    pub env: bool,
    /// The host: envoy (and products built on it), envoy-module or kong; by default inferred
    /// from the file
    #[arg(long, value_enum, hide_possible_values = true)]
    pub host: Option<Host>,
    /// Output format: text, json or github
    #[arg(long, value_enum, default_value_t, hide_possible_values = true)]
    pub format: Format,
}

/// A kind of host.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Host {
    /// Envoy, and what is built on it.
    Envoy,
    /// Envoy, with the native module.
    EnvoyModule,
    /// Kong.
    Kong,
}

impl From<Host> for HostKind {
    fn from(host: Host) -> Self {
        match host {
            Host::Envoy => Self::Envoy,
            Host::EnvoyModule => Self::EnvoyModule,
            Host::Kong => Self::Kong,
        }
    }
}

/// One configuration.
#[derive(Args, Clone, Debug)]
pub struct Chosen {
    /// A YAML or JSON file; `-` is standard input
    pub file: PathBuf,
    /// Which configuration, if the file has several: 1 is the first
    #[arg(long, value_name = "NUMBER")]
    pub configuration: Option<usize>,
}

/// `explain`.
#[derive(Args, Clone, Debug)]
pub struct Explain {
    /// The configuration
    #[command(flatten)]
    pub chosen: Chosen,
    /// The URL of the request
    #[arg(long)]
    pub url: String,
    /// The method of the request
    #[arg(long, default_value = "GET")]
    pub method: String,
    /// A header field of the request; repeatable
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// What the authorization server says about the token: a file with a JSON
    /// object of claims, or `-`
    #[arg(long, value_name = "FILE")]
    pub claims: Option<PathBuf>,
    /// The client presents these claims as a JWT
    #[arg(long, requires = "claims")]
    pub jwt: bool,
    /// The token is bound to a key of the client, which proves that it holds it
    /// (DPoP)
    #[arg(long, requires = "claims")]
    pub dpop: bool,
    /// The route that the host selects, for rules that name routes
    #[arg(long, value_name = "NAME")]
    pub route: Option<String>,
    /// The caller's identity, for rules that name peers
    #[arg(long, value_name = "URI")]
    pub peer: Option<String>,
    /// The SHA-256 of the caller's certificate, for tokens bound to it
    #[arg(long, value_name = "HEX")]
    pub certificate: Option<String>,
    /// The MCP method that Envoy's filter reads in the body, for rules of servers in
    /// mcp that go by envoy_filter
    #[arg(long, value_name = "METHOD")]
    pub mcp: Option<String>,
    /// The tool that it calls
    #[arg(long, value_name = "NAME", requires = "mcp")]
    pub tool: Option<String>,
    /// Output format: text or json
    #[arg(long, value_enum, default_value_t, hide_possible_values = true)]
    pub format: ExplanationFormat,
}

/// `probe`.
#[derive(Args, Debug)]
pub struct Probe {
    /// The configuration
    #[command(flatten)]
    pub chosen: Chosen,
    /// Which of authorization_servers
    #[arg(long, value_name = "NAME")]
    pub server: Option<String>,
    /// An access token; `-` reads it from standard input. Defaults to the variable
    /// PHANTOM_TOKEN_PROBE
    #[arg(long)]
    pub token: Option<String>,
    /// A refresh token, to check that it does not pass; `-` reads it from standard
    /// input. Defaults to the variable PHANTOM_TOKEN_PROBE_REFRESH
    #[arg(long, value_name = "TOKEN")]
    pub refresh_token: Option<String>,
    /// Connect to this address instead of the endpoint's host
    #[arg(long, value_name = "HOST:PORT")]
    pub connect: Option<String>,
    /// Trust these certificates instead of the machine's: a PEM file
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Send credentials and token in plaintext to an http endpoint, even beyond
    /// this machine
    #[arg(long)]
    pub insecure: bool,
    /// Show the values of claims, not only their names
    #[arg(long)]
    pub show_values: bool,
    /// Output format: text or json
    #[arg(long, value_enum, default_value_t, hide_possible_values = true)]
    pub format: ExplanationFormat,
}

/// How an explanation is written.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum ExplanationFormat {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
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
Exit codes: 0 no problems, 1 problems were found, 2 the command could not do
its work.";

const CHECK: &str = "\
Find all errors in configurations.

A file contains the filter's configuration alone, or a host's file that includes
it: Envoy (bootstrap, LDS, EnvoyFilter), Istio (WasmPlugin, TrafficExtension),
Envoy Gateway (EnvoyExtensionPolicy) or Kong (declarative file). It may have
several documents and several configurations, also embedded as text, as in a
ConfigMap. A file without any is an error. Check what a template renders, not
the template.

Each error is reported with its file, line, column and field. No value of a file
is shown. A problem that depends on more than the file is a warning, which does
not affect the exit code.";

const CHECK_EXAMPLES: &str = "\
Examples:
  phantom-token check envoy.yaml
  helm template CHART | phantom-token check -
  kubectl get wasmplugin -A -o yaml | phantom-token check -
  phantom-token check --format github deploy/*.yaml

Exit codes: 0 no errors, 1 errors, 2 a file cannot be read.";

const SHOW: &str = "\
Print a configuration with its profile's defaults, without secrets.

The output is JSON. For fields that it does not show, docs/reference.md has the
defaults.";

const SHOW_EXAMPLES: &str = "\
Examples:
  phantom-token show envoy.yaml
  phantom-token show gateways.yaml --configuration 2 | jq .rules

Exit codes: 0 no errors, 1 errors, 2 there is nothing to show.";

const EXPLAIN: &str = "\
Show what happens to a request, and why.

Without claims, the request has no token, unless a field carries one. With
claims, it has a token, the authorization server calls that active with these
claims, and signatures are valid. No server is contacted, and no variable of the
environment is needed. The filter's own code decides.";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  phantom-token explain envoy.yaml --url https://api.example.com/orders
  phantom-token explain envoy.yaml --method POST \\
      --url https://api.example.com/orders --claims claims.json
  echo '{\"scope\": \"orders:read\"}' | phantom-token explain envoy.yaml \\
      --url https://api.example.com/orders --claims -

Exit codes: 0 there is a result, 1 the configuration has errors, 2 the request
or the claims are malformed.";

const PROBE: &str = "\
Query an authorization server as the filter would.

It introspects a random token with the configuration's credentials. With a real
token, it shows whether the credentials are accepted, what the server says about
the token, which of its responses the filter can use, and what each rule
decides; suggested changes to the configuration come last. With a refresh token,
it shows whether that would pass, and what stops it. The variables that {env:
NAME} refers to must be set.

`upstream` is known only to the proxy, so it connects to the host in the
endpoint's URL, or to the one that --connect names. TLS is verified. An http
endpoint is contacted only on this machine, unless --insecure is set.";

const PROBE_EXAMPLES: &str = "\
Examples:
  phantom-token probe envoy.yaml
  phantom-token probe envoy.yaml --connect 127.0.0.1:8443 --ca ca.pem
  get-token | phantom-token probe envoy.yaml --token -

Exit codes: 0 the filter works with this server as configured, 1 it does not,
2 the server could not be queried.";
