//! The text of `WWW-Authenticate` (RFC 6750 §3, RFC 9110 §11.6.1).

use super::body::ErrorBody;

/// What all refusals say of the protected resource.
#[derive(Default, Clone, Debug, PartialEq, Eq)]
pub struct ProtectionSpace {
    /// `realm` (RFC 9110 §11.5).
    pub realm: String,
    /// The URL of the metadata of the resource (RFC 9728 §5.1), if there are any.
    pub resource_metadata: Option<String>,
    /// The algorithms of proofs, parted by spaces (RFC 9449 §7.1).
    pub dpop_algorithms: String,
    /// How the bodies of refusals are written.
    pub error_body: ErrorBody,
    /// Whether pages of allowed origins may read refusals of requests that they send with credentials.
    pub allow_credentials: bool,
}

/// The schemes that would help: where a request had credentials, the one that it used (RFC 9449 §7.1, R14).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Schemes {
    /// Bearer alone.
    #[default]
    Bearer,
    /// DPoP alone.
    Dpop,
    /// Either.
    Both,
}

impl Schemes {
    pub(crate) fn names(self) -> &'static [&'static str] {
        match self {
            Self::Bearer => &["Bearer"],
            Self::Dpop => &[DPOP],
            Self::Both => &["Bearer", DPOP],
        }
    }
}

/// Which challenge a refusal carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// None: credentials would not help.
    Absent,
    /// Without an error code: the request had no credentials (RFC 6750 §3.1), or none of the codes fits.
    Plain,
    /// With `error` and `error_description`.
    WithError,
}

/// Renders a challenge of one scheme; each parameter at most once, the realm always (R2).
pub(crate) fn render(
    scheme: &str,
    challenge: Challenge,
    space: &ProtectionSpace,
    error: &str,
    description: &str,
    parameters: &[(&str, String)],
) -> Option<String> {
    let mut text = match challenge {
        Challenge::Absent => return None,
        Challenge::Plain | Challenge::WithError => format!("{scheme} realm={}", quote(&space.realm)),
    };
    if challenge == Challenge::WithError {
        text.push_str(&format!(", error={}, error_description={}", quote(error), quote(description)));
    }
    for (name, value) in parameters {
        text.push_str(&format!(", {name}={}", quote(value)));
    }
    if scheme == DPOP {
        text.push_str(&format!(", algs={}", quote(&space.dpop_algorithms)));
    }
    if let Some(url) = &space.resource_metadata {
        text.push_str(&format!(", resource_metadata={}", quote(url)));
    }
    Some(text)
}

const DPOP: &str = "DPoP";

/// A quoted-string (RFC 9110 §5.6.4). Hosts write header values as they are, so a CR or LF here would end the header;
/// what is not visible ASCII or space is left out (R13).
fn quote(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len().saturating_add(2));
    quoted.push('"');
    for character in value.chars().filter(|character| matches!(character, ' '..='~')) {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;
