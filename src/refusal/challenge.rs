//! The text of `WWW-Authenticate` (RFC 6750 §3, RFC 9110 §11.6.1).

use super::body::ErrorBody;

/// What all refusals have in common.
#[derive(Default, Clone, Debug, PartialEq, Eq)]
pub struct ProtectionSpace {
    /// `realm` (RFC 9110 §11.5).
    pub realm: String,
    /// The algorithms of proofs, separated by spaces (RFC 9449 §7.1).
    pub dpop_algorithms: String,
    /// How the bodies of refusals are written.
    pub error_body: ErrorBody,
    /// Whether pages of allowed origins may read refusals of requests that they send with credentials.
    pub allow_credentials: bool,
}

/// The schemes that are challenged: if a request had credentials, the one that it used (RFC 9449 §7.1, R14).
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
    resource_metadata: Option<&str>,
) -> Option<String> {
    let with_error = match challenge {
        Challenge::Absent => return None,
        Challenge::Plain => None,
        Challenge::WithError => Some([("error", error), ("error_description", description)]),
    };
    let parameters = parameters.iter().map(|(name, value)| (*name, value.as_str()));
    let algorithms = (scheme == DPOP).then_some(("algs", space.dpop_algorithms.as_str()));
    let metadata = resource_metadata.map(|url| ("resource_metadata", url));
    let parameters = with_error.into_iter().flatten().chain(parameters).chain(algorithms).chain(metadata);
    let length = |(name, value): (&str, &str)| name.len().saturating_add(value.len()).saturating_add(5);
    let realm = ("realm", space.realm.as_str());
    let parameters_length = parameters.clone().chain([realm]).map(length).sum::<usize>();
    let mut text = String::with_capacity(scheme.len().saturating_add(parameters_length));
    text.extend([scheme, " realm="]);
    quote(&mut text, &space.realm);
    for (name, value) in parameters {
        text.extend([", ", name, "="]);
        quote(&mut text, value);
    }
    Some(text)
}

const DPOP: &str = "DPoP";

/// Adds a quoted-string (RFC 9110 §5.6.4). Hosts write header values as they are, so a CR or LF here would end the header; characters other
/// than visible ASCII and space are left out (R13).
fn quote(text: &mut String, value: &str) {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    text.push('"');
    if value.bytes().all(is_plain) {
        text.push_str(value);
    } else {
        for byte in value.bytes().filter(|byte| matches!(byte, b' '..=b'~')) {
            if !is_plain(byte) {
                text.push('\\');
            }
            text.push(byte.into());
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests;
