//! The request and its token, as given on the command line.

use std::path::Path;

use phantom_token_cli::explain::WrittenRequest;
use phantom_token_cli::source::Source;
use phantom_token_core::Timestamp;
use phantom_token_core::driver::Request;
use serde_json::{Map, Value};

use crate::arguments::Explain;

/// Returns the request as a proxy would pass it to the filter.
pub fn request(arguments: &Explain) -> Result<Request, String> {
    let Explain { method, url, headers, route, peer, certificate, mcp, tool, .. } = arguments.clone();
    let request = WrittenRequest { method, url, headers, route, peer, certificate }.read()?;
    Ok(Request { mcp_call: mcp.map(|method| (method, tool)), ..request })
}

/// Reads the claims from a file.
pub fn claims(path: &Path) -> Result<Map<String, Value>, String> {
    let source = Source::read(path)?;
    let claims = serde_json::from_str(source.text());
    claims.map_err(|_| format!("{}: the claims must be a JSON object", source.name))
}

/// Returns the token to try, if there is one: from an argument, standard input, or an environment variable.
pub fn token(argument: Option<&str>, variable: &str) -> Result<Option<String>, String> {
    let token = match argument {
        Some("-") => Some(Source::read(Path::new("-"))?.text().trim().to_owned()),
        Some(token) => Some(token.to_owned()),
        None => std::env::var(variable).ok(),
    };
    match token.as_deref() {
        Some("") => Err("there is no token to try".to_owned()),
        _ => Ok(token),
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the command has a clock, and gives it to the core with each call"
)]
pub fn now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
