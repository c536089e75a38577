//! Builds a request for each rule, which the rule matches unless a narrower one does.

use serde_json::Value;

use phantom_token_core::driver::Request;

/// Returns a request with this token that a rule matches.
pub fn request(rule: &Value, token: &str) -> Request {
    let first = |name: &str| rule.get(name).and_then(|list| list.get(0)).and_then(Value::as_str);
    let segment = |segment: &'_ str| if segment.starts_with('{') { "1".to_owned() } else { encoded(segment) };
    let path = rule.get("path").and_then(Value::as_str).unwrap_or("/");
    let path = path.split('/').map(segment).collect::<Vec<_>>().join("/");
    let host = first("hosts").unwrap_or("api.example.com").replace("*.", "any.");
    let fields = [
        (":method", first("methods").unwrap_or("GET")),
        (":scheme", "https"),
        (":authority", &host),
        (":path", &path),
        ("authorization", &format!("Bearer {token}")),
    ];
    Request {
        fields: fields.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect(),
        route: first("routes").map(str::to_owned),
        peer: first("peers").map(str::to_owned),
        certificate: None,
        mcp_call: None,
    }
}

/// Describes the request in a few words.
pub fn summary(request: &Request) -> String {
    let field =
        |name: &str| request.fields.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_slice());
    let [method, path] = [":method", ":path"]
        .map(|name| String::from_utf8_lossy(field(name).unwrap_or_default()).into_owned());
    format!("{method} {path}")
}

/// Percent-encodes a segment for a URL.
fn encoded(segment: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&byte);
    let encode =
        |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    segment.bytes().map(encode).collect()
}
