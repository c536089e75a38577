//! Finds the fields with which a client could change a request after a rule has admitted it: those that override its path or its method
//! (R131), and a `Connection` field that nominates others for removal by the next hop (RFC 9110 §7.6.1; R78). The edits apply to every
//! request, whatever the decision.
//!
//! Fields that resemble the gateway's own are the concern of `upstream::headers`.

use crate::http::field_name::resembles;

/// The treatment of fields that override path or method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OverrideHeaders {
    /// They are removed.
    #[default]
    Remove,
    /// They reach the services.
    Keep,
}

/// Whether [`edits`] may apply to a field of this name. It runs for every field of every request, so most names are ruled out
/// by their first bytes and length.
#[inline(never)]
pub(crate) fn is_suspect(name: &[u8]) -> bool {
    match name {
        [b'c' | b'C', ..] => name.len() == CONNECTION.len() && is_connection(name),
        [b'x' | b'X', _, b'o' | b'O' | b'r' | b'R' | b'h' | b'H' | b'm' | b'M', ..] => {
            matches!(name.len(), 13 | 14 | 17 | 22) && is_override(name)
        }
        _ => false,
    }
}

/// The fields to rewrite, or to remove if the value is `None`.
#[inline(never)]
pub(crate) fn edits<'f>(
    fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
    overrides: OverrideHeaders,
) -> Vec<(String, Option<Vec<u8>>)> {
    let mut edits = Vec::new();
    let (mut names_upgrade, mut names_others) = (false, false);
    for (name, value) in fields {
        if is_connection(name) {
            for option in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
                let is_upgrade = option.eq_ignore_ascii_case(UPGRADE.as_bytes());
                names_upgrade |= is_upgrade;
                names_others |= !is_upgrade && !option.is_empty();
            }
        } else if overrides == OverrideHeaders::Remove
            && is_override(name)
            && let Ok(name) = std::str::from_utf8(name)
        {
            edits.push((name.to_owned(), None));
        }
    }
    // Proxies forward `Connection` only in a handshake. Without "upgrade" the request is not a handshake, and must not become one.
    if names_upgrade && names_others {
        edits.push((CONNECTION.to_owned(), Some(UPGRADE.as_bytes().to_vec())));
    }
    edits
}

/// Whether a service may take the value of this field for the request's path or method.
#[inline(never)]
pub(crate) fn is_override(name: &[u8]) -> bool {
    OVERRIDES.iter().any(|own| resembles(name, own))
}

fn is_connection(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(CONNECTION.as_bytes())
}

/// In this order: two fields of IIS, Symfony and Zend; one of Rack, Express, Symfony, ASP.NET and Google's APIs; one of Microsoft's APIs;
/// one of others.
const OVERRIDES: &[&str] =
    &["x-original-url", "x-rewrite-url", "x-http-method-override", "x-http-method", "x-method-override"];

const CONNECTION: &str = "connection";
const UPGRADE: &str = "upgrade";

#[cfg(test)]
mod tests;
