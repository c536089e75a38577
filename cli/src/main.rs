//! The command `phantom-token`.

mod arguments;
mod input;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use anstream::eprintln;
use arguments::{Arguments, Check, Chosen, Color, Command, Explain, ExplanationFormat, Format, Probe};
use clap::{CommandFactory, Parser};
use phantom_token_cli::explain::Input;
use phantom_token_cli::probe::{Route, Trial};
use phantom_token_cli::report::{BAD, BOLD, plain};
use phantom_token_cli::source::Source;
use phantom_token_cli::{check, explain, probe, report, show};
use phantom_token_core::{Dialect, configuration_schema};

fn main() -> ExitCode {
    let Arguments { color, command } = Arguments::parse();
    match color {
        Color::Auto => {}
        Color::Always => anstream::ColorChoice::Always.write_global(),
        Color::Never => anstream::ColorChoice::Never.write_global(),
    }
    let result = match command {
        Command::Check(arguments) => check_files(&arguments),
        Command::Show(chosen) => show_configuration(&chosen),
        Command::Explain(arguments) => explain_request(&arguments),
        Command::Probe(arguments) => probe_server(&arguments),
        Command::Schema => {
            write(&format!("{:#}\n", configuration_schema(Dialect::Draft202012))).map(|()| true)
        }
        Command::Completions { shell } => complete(shell),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => WRONG.into(),
        Err(message) => {
            complain(&message);
            FAILED.into()
        }
    }
}

/// Whether there are no errors, or the reason why that is not known.
type Outcome = Result<bool, String>;

fn check_files(arguments: &Check) -> Outcome {
    let mut unreadable = None;
    let mut reports = Vec::new();
    for path in &arguments.files {
        match Source::read(path) {
            Ok(source) => reports.push(check::check(&source, arguments.host.map(Into::into), arguments.env)),
            Err(message) => {
                unreadable.iter().for_each(|message: &String| complain(message));
                unreadable = Some(message);
            }
        }
    }
    write(&match arguments.format {
        Format::Text => report::text(&reports),
        Format::Json => report::json(&reports),
        Format::Github => report::github(&reports),
    })?;
    let is_fine = reports.iter().all(|report| report.counts().0 == 0);
    unreadable.map_or(Ok(is_fine), Err)
}

fn show_configuration(chosen: &Chosen) -> Outcome {
    let source = Source::read(&chosen.file)?;
    let configuration = source.configuration(chosen.configuration)?;
    let (text, errors) =
        show::show(&configuration).map_err(|message| format!("{}: {message}", source.name))?;
    write(&format!("{text}\n"))?;
    if errors > 0 {
        let what = if errors == 1 { "an error".to_owned() } else { format!("{errors} errors") };
        complain(&format!("{name} has {what}: phantom-token check {name}", name = source.name));
    }
    Ok(errors == 0)
}

fn explain_request(arguments: &Explain) -> Outcome {
    let source = Source::read(&arguments.chosen.file)?;
    let configuration = source.configuration(arguments.chosen.configuration)?;
    let (name, text) = (&source.name, configuration.text()?);
    if !check::findings(&configuration, None, false).is_empty() {
        complain(&format!("{name} has errors: phantom-token check {name}"));
        return Ok(false);
    }
    let claims = arguments.claims.as_deref().map(input::claims).transpose()?;
    let request = input::request(arguments)?;
    let input = Input {
        request,
        claims,
        is_jwt: arguments.jwt,
        proves_possession: arguments.dpop,
        now: input::now(),
    };
    let explanation = explain::explain(&text, Some(&configuration), input)?;
    match arguments.format {
        ExplanationFormat::Text => write(&explain::text(&explanation, &configuration, name))?,
        ExplanationFormat::Json => write(&format!("{:#}\n", explanation.to_json()))?,
    }
    Ok(true)
}

fn probe_server(arguments: &Probe) -> Outcome {
    let source = Source::read(&arguments.chosen.file)?;
    let configuration = source.configuration(arguments.chosen.configuration)?;
    let (name, text) = (&source.name, configuration.text()?);
    if !check::findings(&configuration, None, true).is_empty() {
        complain(&format!("{name} has errors: phantom-token check --env {name}"));
        return Ok(false);
    }
    let given = [&arguments.token, &arguments.refresh_token];
    if given.into_iter().flatten().any(|token| token != "-") {
        warn(
            "a token on the command line is visible to others on this machine: use --token -, or the environment",
        );
    }
    if given.into_iter().all(|token| token.as_deref() == Some("-")) {
        return Err(
            "only one token can come from standard input: the environment may hold the other".to_owned()
        );
    }
    let authorities = arguments.ca.as_deref().map(Source::read).transpose()?;
    let route = Route {
        connect: arguments.connect.clone(),
        authorities: authorities.map(|source| source.text().to_owned()),
    };
    let token = input::token(arguments.token.as_deref(), "PHANTOM_TOKEN_PROBE")?;
    let refresh_token = input::token(arguments.refresh_token.as_deref(), "PHANTOM_TOKEN_PROBE_REFRESH")?;
    let trial = Trial {
        text: &text,
        server: arguments.server.as_deref(),
        token: token.as_deref(),
        refresh_token: refresh_token.as_deref(),
        shows_values: arguments.show_values,
        now: input::now(),
        is_insecure: arguments.insecure,
        warn: &warn,
    };
    let findings = probe::probe(&trial, &route)?;
    match arguments.format {
        ExplanationFormat::Text => write(&findings.text)?,
        ExplanationFormat::Json => write(&format!("{:#}\n", findings.json))?,
    }
    Ok(findings.is_fine)
}

fn complete(shell: clap_complete::Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "phantom-token", &mut script);
    write(&String::from_utf8_lossy(&script)).map(|()| true)
}

/// Writes to standard output. A closed pipe is not an error.
fn write(text: &str) -> Result<(), String> {
    match anstream::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(format!("cannot write: {error}")),
        _ => Ok(()),
    }
}

fn warn(message: &str) {
    eprintln!("{BOLD}warning:{BOLD:#} {}", plain(message));
}

fn complain(message: &str) {
    eprintln!("{BAD}error:{BAD:#} {}", message.lines().map(plain).collect::<Vec<_>>().join("\n       "));
}

const WRONG: u8 = 1;
const FAILED: u8 = 2;
