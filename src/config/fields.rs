//! Fields that are read alike wherever they stand: texts, lists, numbers, durations.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::Uri;
use http::uri::Authority;

use super::Environment;
use super::mistakes::Mistakes;
use super::raw::{Confidential, Field, Names, Number, Span};
use crate::http::callout::Target;
use crate::secret::Secret;

/// Where an object stands in the configuration, to name its fields.
#[derive(Clone, Copy)]
pub(super) struct Place<'a>(pub(super) &'a str);

impl Place<'_> {
    /// The path of one of its fields.
    pub(super) fn at(self, field: &str) -> String {
        if self.0.is_empty() { field.to_owned() } else { format!("{}.{field}", self.0) }
    }
}

pub(super) fn is_visible_ascii(value: &str) -> bool {
    !value.trim().is_empty() && value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// A required string that can stand in a header field.
pub(super) fn visible(path: &str, field: Field<String>, mistakes: &mut Mistakes) -> Option<String> {
    let value = mistakes.required(path, field)?;
    mistakes.check(path, Some(value).filter(|value| is_visible_ascii(value)).ok_or("must be visible ASCII"))
}

/// A list that, if it is there, has elements: an empty one could be taken for "all" or for "none".
pub(super) fn non_empty_list(
    path: &str,
    field: Field<Names>,
    mistakes: &mut Mistakes,
) -> Option<Vec<String>> {
    let Names(list) = mistakes.optional(path, field)?;
    let has_elements = !list.is_empty() && !list.iter().any(String::is_empty);
    mistakes.check(path, has_elements.then_some(list).ok_or("must not be empty, nor have an empty element"))
}

#[inline(never)]
pub(super) fn number<const MIN: u64, const MAX: u64>(
    path: &str,
    field: Field<Number<MIN, MAX>>,
    mistakes: &mut Mistakes,
) -> Option<usize> {
    let Number(value) = mistakes.optional(path, field)?;
    let in_range = usize::try_from(value).ok().filter(|_| (MIN..=MAX).contains(&value));
    mistakes.check(path, in_range.ok_or_else(|| format!("must be between {MIN} and {MAX}, got {value}")))
}

#[inline(never)]
pub(super) fn duration<const MIN: u64, const MAX: u64>(
    path: &str,
    field: Field<Span<MIN, MAX>>,
    mistakes: &mut Mistakes,
) -> Option<Duration> {
    let Span(text) = mistakes.optional(path, field)?;
    mistakes.check(path, duration_between(Duration::from_millis(MIN)..=Duration::from_millis(MAX), &text))
}

fn duration_between(range: RangeInclusive<Duration>, text: &str) -> Result<Duration, String> {
    // A long text can make humantime overflow, which is a panic.
    let parsed =
        Some(text).filter(|text| text.len() <= 16).and_then(|text| humantime::parse_duration(text).ok());
    let [start, end] = [range.start(), range.end()].map(|bound| humantime::format_duration(*bound));
    let message = || format!("must be a duration between {start} and {end}, like 2s");
    parsed.filter(|value| range.contains(value)).ok_or_else(message)
}

/// `exp`, `nbf` and `iat` are validated for every token, and are not there for more.
pub(super) fn is_pointer(pointer: &str) -> bool {
    let is_escaped = |part: &str| part.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    pointer.len() > 1
        && pointer.starts_with('/')
        && is_escaped(pointer)
        && !["/exp", "/nbf", "/iat"].contains(&pointer)
}

/// A host, and a port if there is a colon behind it; no user information, and nothing that only a list or a pattern has.
pub(super) fn is_authority(authority: &Authority) -> bool {
    let has_port = authority.as_str().len() > authority.host().len();
    let is_port = |port| port != 0;
    !authority.host().is_empty()
        && !authority.as_str().contains(['@', '*', ','])
        && (!has_port || authority.port_u16().is_some_and(is_port))
}

/// Where a document or an endpoint is: the parts of its URL, and how the host reaches them.
pub(super) fn target(url: &str, upstream: &str, timeout: Duration) -> Result<Target, &'static str> {
    let uri: Uri = url.parse().map_err(|_| "must be an absolute URL")?;
    let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"));
    let scheme = scheme.ok_or("must be an absolute URL of http or https")?;
    let authority = uri.authority().ok_or("must name a host")?;
    if url.contains('#') || !url.is_ascii() {
        return Err("must be ASCII without a fragment");
    }
    if !is_authority(authority) {
        return Err("must name a host, and a port between 1 and 65535 if any, without user information");
    }
    Ok(Target {
        upstream: upstream.to_owned(),
        scheme: scheme.to_owned(),
        authority: authority.as_str().to_owned(),
        path: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        timeout,
    })
}

pub(super) fn required_secret(
    path: &str,
    field: Field<Confidential>,
    environment: Environment<'_>,
    mistakes: &mut Mistakes,
) -> Option<Secret> {
    let raw = mistakes.required(path, field)?;
    secret(path, raw, environment, mistakes)
}

/// A secret that nobody can find by trying: of 32 bytes at least.
pub(super) fn long_secret(
    path: &str,
    field: Field<Confidential>,
    environment: Environment<'_>,
    mistakes: &mut Mistakes,
) -> Option<Secret> {
    let secret = required_secret(path, field, environment, mistakes)?;
    if secret.expose().len() < 32 {
        mistakes.note(path, "must have 32 bytes at least");
    }
    Some(secret)
}

pub(super) fn secret(
    path: &str,
    raw: Confidential,
    environment: Environment<'_>,
    mistakes: &mut Mistakes,
) -> Option<Secret> {
    let value = match raw {
        Confidential::Literal(value) => {
            Some(value).filter(|value| !value.is_empty()).ok_or("must not be empty")
        }
        Confidential::Elsewhere(place) => match place.get("env").filter(|_| place.len() == 1) {
            Some(name) => environment(name)
                .filter(|value| !value.is_empty())
                .ok_or("names a variable that is not set, or empty, in the environment of the proxy"),
            None => Err(r#"must be a string or {"env": NAME}"#),
        },
    };
    mistakes.check(path, value).map(Secret::new)
}
