//! The section `credentials`: how clients present tokens.

use super::CredentialSettings;
use super::fields::number;
use super::mistakes::Mistakes;
use super::named_claims::{NOT_SETTABLE, is_settable};
use super::raw::{self, Field};
use crate::credentials::token_sources::Sources;
use crate::upstream::headers::Forwarding;

pub(super) fn credentials(
    raw: raw::Credentials,
    forwarding: &Forwarding,
    mistakes: &mut Mistakes,
) -> CredentialSettings {
    let max_length = number("credentials.max_length", raw.max_length, mistakes);
    let header = mistakes.optional("credentials.header", raw.header);
    if let Some(name) = &header {
        if !is_settable(name) {
            mistakes.note("credentials.header", NOT_SETTABLE);
        }
        if !forwarding.imitations(std::iter::once(name.as_bytes())).is_empty() {
            mistakes.note("credentials.header", "must not be a field that the gateway sets");
        }
    }
    let sources = Sources {
        query_parameter: word("credentials.query_parameter", raw.query_parameter, mistakes),
        cookie: word("credentials.cookie", raw.cookie, mistakes),
        header,
        websocket_protocol: word("credentials.websocket_protocol", raw.websocket_protocol, mistakes),
    };
    mistakes.refuse_unknown("credentials", &raw.unknown);
    CredentialSettings { max_length: max_length.unwrap_or_default(), sources }
}

/// What can stand in a query, a cookie and a list of protocols as it is.
fn word(path: &str, field: Field<String>, mistakes: &mut Mistakes) -> Option<String> {
    let word = mistakes.optional(path, field)?;
    let is_word =
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    mistakes.check(path, is_word.then_some(word).ok_or("must be of letters, digits, -, . and _"))
}
