//! Strings that have to satisfy a rule, with their error messages.

use std::time::Duration;

use http::Uri;
use http::uri::Authority;

use crate::fields::{Kind, ensure, field_type, is_pointer, read_text, texts};
use crate::http::callout::Target;
use crate::http::field_name::{AUTHORIZATION, is_in_lower_case};
use crate::http::path;
use crate::secret::Secret;
use crate::upstream::mint::OWN_CLAIMS;

texts! {
    /// A resource or issuer identifier (RFC 9728 §2, RFC 8414 §2).
    Identifier = |text| identifier(text).map(drop),
    /// An origin as browsers write it (RFC 6454 §6.2).
    WebOrigin = web_origin,
    /// An origin by which clients address the gateway.
    GatewayOrigin = gateway_origin,
    /// A path in normal form, without query, dot segments or escapes.
    PlainPath = plain_path,
    /// A field of requests that the gateway may set.
    HeaderName = settable,
    /// A field of requests that rules may test: none with credentials, which do not belong in a configuration.
    RequestField = |text| {
        let is_free = !["authorization", "cookie", "dpop", "proxy-authorization"].contains(&text);
        ensure(is_in_lower_case(text) && is_free, "must be a field name in lower case, of none that holds credentials")
    },
    /// A field for the JWT.
    JwtHeader = |text| if text == AUTHORIZATION { Ok(()) } else { settable(text) },
    /// A field of the introspection request.
    CalloutHeader = callout_header,
    /// A parameter of the introspection request.
    Parameter = |text| ensure(!OWN_PARAMETERS.contains(&text), "is reserved"),
    /// A string that needs no encoding in a query, a cookie and a list of protocols.
    Word = |text| ensure(is_made_of(text, b"-._"), "must be of letters, digits, -, . and _"),
    /// A name of filter state.
    StateName = |text| ensure(is_made_of(text, b"_-"), "must be of letters, digits, _ and -"),
    /// A member of an introspection response.
    JwtField = |text| {
        ensure(!matches!(text, "" | "active"), "must be the name of a member that holds a JWT")
    },
    /// A claim of minted JWTs.
    MintedClaim = |text| ensure(!OWN_CLAIMS.contains(&text), "is reserved"),
    /// A JSON Pointer to the claim that names the user.
    SubjectPointer = |text| {
        ensure(is_pointer(text), "must be a JSON Pointer (RFC 6901), like /username")
    },
}

/// The URL of a document or an endpoint. Its user information and query may be secret.
pub(crate) struct Url;

field_type!(Url => Secret, Kind::Url, Secret::default(), |written, at, reader| {
    read_text(written, at, reader, |text| url(text).map(drop)).map(Secret::new)
});

/// Returns the target of callouts to a URL, by the host's name for the server.
pub(super) fn target(at: &Secret, upstream: &str, timeout: Duration) -> Option<Target> {
    let [scheme, authority, path] = url(at.expose()).ok()?;
    Some(Target { upstream: upstream.to_owned(), scheme, authority, path, timeout })
}

/// Returns the scheme, the authority, and the path with query.
fn url(text: &str) -> Result<[String; 3], &'static str> {
    let uri: Uri = text.parse().map_err(|_| "must be an absolute URL")?;
    let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"));
    let scheme = scheme.ok_or("must be an absolute URL of http or https")?;
    let authority = uri.authority().ok_or("must name a host")?;
    ensure(!text.contains('#') && text.is_ascii(), "must be ASCII without a fragment")?;
    let message = "must name a host, and a port between 1 and 65535 if any, without user information";
    ensure(is_authority(authority), message)?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Ok([scheme, authority.as_str(), path].map(str::to_owned))
}

/// Returns the origin and path of a URL without query and fragment.
pub(super) fn identifier(url: &str) -> Result<(String, String), &'static str> {
    const MESSAGE: &str = "must be a URL of http or https without user information, query and fragment";
    let uri: Uri = url.parse().map_err(|_| MESSAGE)?;
    let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https")).ok_or(MESSAGE)?;
    let authority = uri.authority().filter(|authority| is_authority(authority)).ok_or(MESSAGE)?;
    let is_plain = path::normalize(uri.path().as_bytes()).is_ok_and(|path| path == uri.path());
    ensure(uri.query().is_none() && !url.contains('#') && is_plain, MESSAGE)?;
    let path = if uri.path() == "/" { "" } else { uri.path() };
    Ok((format!("{scheme}://{authority}"), path.to_owned()))
}

/// Whether the authority is a host, with a valid port if a colon follows. User information is not allowed, nor are characters of lists and
/// patterns.
fn is_authority(authority: &Authority) -> bool {
    let has_port = authority.as_str().len() > authority.host().len();
    let is_port = |port| port != 0;
    !authority.host().is_empty()
        && !authority.as_str().contains(['@', '*', ','])
        && (!has_port || authority.port_u16().is_some_and(is_port))
}

fn is_origin(text: &str) -> bool {
    identifier(text).is_ok_and(|(origin, _)| origin == text) && text == text.to_lowercase()
}

fn web_origin(text: &str) -> Result<(), &'static str> {
    let names_default_port = (text.starts_with("https:") && text.ends_with(":443"))
        || (text.starts_with("http:") && text.ends_with(":80"));
    let message = "must be an origin as browsers write it, like https://app.example.com";
    ensure(is_origin(text) && !names_default_port, message)
}

fn gateway_origin(text: &str) -> Result<(), &'static str> {
    let has_own_port = text.ends_with(":443") || text.ends_with(":80");
    let message = "must be an origin without its scheme's own port, like https://api.example.com";
    ensure(is_origin(text) && !has_own_port, message)
}

fn plain_path(text: &str) -> Result<(), &'static str> {
    let is_plain = path::normalize(text.as_bytes()).is_ok_and(|normal| normal == text);
    let message = "must be a plain path: no query, no dot segments, no escapes";
    ensure(is_plain && !text.ends_with('/'), message)
}

fn settable(name: &str) -> Result<(), &'static str> {
    let is_of_http = OF_HTTP.contains(&name) || name.starts_with("content-");
    let message = "must be a field name in lower case without a meaning in HTTP itself";
    ensure(is_in_lower_case(name) && !is_of_http, message)
}

fn callout_header(name: &str) -> Result<(), &'static str> {
    let message = "must be a field name in lower case that neither the filter nor the host sends itself";
    ensure(is_in_lower_case(name) && !OWN_HEADERS.contains(&name), message)
}

fn is_made_of(text: &str, marks: &[u8]) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || marks.contains(&byte))
}

const OF_HTTP: &[&str] = &[
    "authorization",
    "connection",
    "cookie",
    "dpop",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

const OWN_PARAMETERS: &[&str] =
    &["token", "token_type_hint", "client_id", "client_secret", "client_assertion", "client_assertion_type"];

/// Fields of the introspection request that the operator cannot set.
const OWN_HEADERS: &[&str] = &[
    "accept",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
    "x-envoy-max-retries",
    "x-envoy-retry-on",
];
