//! Validates the trace context of a request (W3C Trace Context §3.2).

/// Returns the value if it is a `traceparent` of version 00. Anything else is dropped: the field is under the client's control, and goes to
/// the authorization server.
pub(crate) fn traceparent(value: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(value).ok()?;
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, parent, flags] = parts.as_slice() else { return None };
    let is_hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_something = |part: &str| part.bytes().any(|byte| byte != b'0');
    let is_good = *version == "00"
        && is_hex(trace, 32)
        && is_hex(parent, 16)
        && is_hex(flags, 2)
        && is_something(trace)
        && is_something(parent);
    is_good.then_some(text)
}

#[cfg(test)]
mod tests;
