//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use phantom_token_core::HostKind;

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
    /// Find all errors in configurations
    #[command(long_about = CHECK, after_long_help = CHECK_EXAMPLES)]
    Check(Check),
    /// Print a configuration with its profile's defaults, without secrets
    #[command(long_about = SHOW, after_long_help = SHOW_EXAMPLES)]
    Show(Chosen),
    /// Tell what becomes of a request, and why
    #[command(long_about = EXPLAIN, after_long_help = EXPLAIN_EXAMPLES)]
    Explain(Explain),
    /// Try an authorization server with the configuration's credentials
    #[command(long_about = PROBE, after_long_help = PROBE_EXAMPLES)]
    Probe(Probe),
    /// Print the JSON Schema of the configuration, for editors
    Schema,
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
    /// Which host they are for: envoy (what is built on it as well) or kong; by
    /// default as the file tells
    #[arg(long, value_enum, hide_possible_values = true)]
    pub host: Option<Host>,
    /// How to write what was found: text, json or github
    #[arg(long, value_enum, default_value_t, hide_possible_values = true)]
    pub format: Format,
}

/// A kind of host.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Host {
    /// Envoy, and what is built on it.
    Envoy,
    /// Kong.
    Kong,
}

impl From<Host> for HostKind {
    fn from(host: Host) -> Self {
        match host {
            Host::Envoy => Self::Envoy,
            Host::Kong => Self::Kong,
        }
    }
}

/// One configuration.
#[derive(Args, Clone, Debug)]
pub struct Chosen {
    /// A YAML or JSON file; `-` is standard input
    pub file: PathBuf,
    /// Which configuration, where the file has several: 1 is the first
    #[arg(long, value_name = "NUMBER")]
    pub configuration: Option<usize>,
}

/// `explain`.
#[derive(Args, Clone, Debug)]
pub struct Explain {
    /// Whose configuration
    #[command(flatten)]
    pub chosen: Chosen,
    /// The URL of the request
    #[arg(long)]
    pub url: String,
    /// Its method
    #[arg(long, default_value = "GET")]
    pub method: String,
    /// A field of it; can be given several times
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// What the authorization server says of the token: a file with a JSON object
    /// of claims, or `-`
    #[arg(long, value_name = "FILE")]
    pub claims: Option<PathBuf>,
    /// The token is a JWT with these claims, which the client presents
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
    /// How to write it: text or json
    #[arg(long, value_enum, default_value_t, hide_possible_values = true)]
    pub format: ExplanationFormat,
}

/// `probe`.
#[derive(Args, Debug)]
pub struct Probe {
    /// Whose configuration
    #[command(flatten)]
    pub chosen: Chosen,
    /// Which of authorization_servers
    #[arg(long, value_name = "NAME")]
    pub server: Option<String>,
    /// An access token: `-` reads it from standard input. Without, the variable
    /// PHANTOM_TOKEN_PROBE may hold one
    #[arg(long)]
    pub token: Option<String>,
    /// A refresh token, to see that it does not pass: `-` reads it from standard
    /// input. Without, the variable PHANTOM_TOKEN_PROBE_REFRESH may hold one
    #[arg(long, value_name = "TOKEN")]
    pub refresh_token: Option<String>,
    /// Where to connect to, in place of the endpoint's host
    #[arg(long, value_name = "HOST:PORT")]
    pub connect: Option<String>,
    /// Certificates to trust, in place of the machine's: a PEM file
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Send the credentials and the token in plaintext where the endpoint is http,
    /// also beyond this machine
    #[arg(long)]
    pub insecure: bool,
    /// Show the values of claims, not only their names
    #[arg(long)]
    pub show_values: bool,
    /// How to write it: text or json
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
Exit codes: 0 all is well, 1 something is wrong with what was looked at,
2 the command could not do what it was asked to.";

const CHECK: &str = "\
Find all errors in configurations.

A file has the filter's configuration by itself, or what a host reads with the
configuration in it: Envoy (bootstrap, LDS, EnvoyFilter), Istio (WasmPlugin,
TrafficExtension), Envoy Gateway (EnvoyExtensionPolicy) or Kong (declarative
file). It may have several documents, and several configurations, also in texts,
as a ConfigMap does. A file without any is an error. What a template renders is
checked, not the template.

Each error is reported with its file, line, column and field. No value of a file
is shown. What depends on more than the file is a warning, which changes no exit
code.";

const CHECK_EXAMPLES: &str = "\
Examples:
  phantom-token check envoy.yaml
  helm template CHART | phantom-token check -
  kubectl get wasmplugin -A -o yaml | phantom-token check -
  phantom-token check --format github deploy/*.yaml

Exit codes: 0 no errors, 1 errors, 2 a file cannot be read.";

const SHOW: &str = "\
Print a configuration with its profile's defaults, without secrets.

It is JSON. What it does not name has the default that docs/reference.md
says.";

const SHOW_EXAMPLES: &str = "\
Examples:
  phantom-token show envoy.yaml
  phantom-token show gateways.yaml --configuration 2 | jq .rules

Exit codes: 0 it has no errors, 1 it has some, 2 there is nothing to show.";

const EXPLAIN: &str = "\
Tell what becomes of a request, and why.

Without claims, this is a request without a token, unless a field brings one.
With claims, a token comes with it, the authorization server says that it is
active and claims this of it, and signatures are right. Nobody is asked, and no
variable of the environment is needed. The filter's own code decides.";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  phantom-token explain envoy.yaml --url https://api.example.com/orders
  phantom-token explain envoy.yaml --method POST \\
      --url https://api.example.com/orders --claims claims.json
  echo '{\"scope\": \"orders:read\"}' | phantom-token explain envoy.yaml \\
      --url https://api.example.com/orders --claims -

Exit codes: 0 there is an answer, 1 the configuration has errors, 2 the
request or the claims make no sense.";

const PROBE: &str = "\
Try an authorization server with the configuration's credentials.

It introspects a random token, as the filter would. With a real token, it tells
whether the credentials are accepted, what the server says of the token, with
which of its answers the filter can work, and what each rule says; the lines of
configuration that follow come last. With a refresh token, it tells whether that
would pass, and what stops it. The variables that {env: NAME} names have to be
set.

`upstream` means something to the proxy alone, so the host in the endpoint's URL
is asked, or the one that --connect names. TLS is verified. An endpoint of http
is only asked on this machine, unless --insecure says otherwise.";

const PROBE_EXAMPLES: &str = "\
Examples:
  phantom-token probe envoy.yaml
  phantom-token probe envoy.yaml --connect 127.0.0.1:8443 --ca ca.pem
  get-token | phantom-token probe envoy.yaml --token -

Exit codes: 0 the filter works with this server as it is configured, 1 it does
not, 2 it cannot be tried.";
