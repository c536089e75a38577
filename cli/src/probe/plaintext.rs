//! Guards against plaintext: without TLS, the network can read the gateway's credentials and the token.

use std::net::IpAddr;

use phantom_token_core::Target;

use super::{Route, Trial};

/// Warns of plaintext, and refuses to send it beyond this machine unless the operator allows that.
///
/// # Errors
/// The plaintext would leave this machine.
pub fn guard(target: &Target, trial: &Trial<'_>, route: &Route) -> Result<(), String> {
    if target.scheme != "http" {
        return Ok(());
    }
    let place = format!("http://{}", target.authority);
    let place = match &route.connect {
        Some(connect) => format!("{place} at {connect}"),
        None => place,
    };
    if !trial.is_insecure && !is_loopback(route.connect.as_ref().unwrap_or(&target.authority)) {
        return Err(format!(
            "{place} would be sent the gateway's credentials and the token in plaintext: use https, or --insecure"
        ));
    }
    (trial.warn)(&format!("{place} is sent the gateway's credentials and the token in plaintext"));
    Ok(())
}

/// Whether a host, with or without a port, is this machine. A resolver could map any name elsewhere, except the reserved one (RFC 6761
/// §6.3).
fn is_loopback(place: &str) -> bool {
    let host = match place.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => place,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<IpAddr>();
    address.map_or_else(|_| host.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
}
