//! The section `resource_metadata`.

use http::Uri;

use super::fields::{is_authority, non_empty_list};
use super::mistakes::Mistakes;
use super::raw;
use crate::documents::resource_metadata::{Description, ResourceMetadata};
use crate::http::path;

pub(super) fn resource_metadata(
    raw: raw::ResourceMetadata,
    mistakes: &mut Mistakes,
) -> Option<ResourceMetadata> {
    let at = |field: &str| format!("resource_metadata.{field}");
    let resource = mistakes.optional(&at("resource"), raw.resource);
    let resource = resource.and_then(|url| mistakes.check(&at("resource"), identifier(&url)));
    let servers = at("authorization_servers");
    let authorization_servers =
        non_empty_list(&servers, raw.authorization_servers, mistakes).unwrap_or_default();
    for (index, issuer) in authorization_servers.iter().enumerate() {
        mistakes.check(&format!("{servers}[{index}]"), identifier(issuer));
    }
    let scopes_supported =
        non_empty_list(&at("scopes_supported"), raw.scopes_supported, mistakes).unwrap_or_default();
    let texts =
        [("resource_name", raw.resource_name), ("resource_documentation", raw.resource_documentation)];
    let text = |(name, field)| mistakes.optional(&at(name), field).map(|text| (name, text));
    let texts = texts.into_iter().filter_map(text).collect();
    mistakes.refuse_unknown("resource_metadata", &raw.unknown);
    Some(ResourceMetadata::new(Description {
        resource: resource?,
        authorization_servers,
        scopes_supported,
        texts,
    }))
}

/// Origin and path of a URL without query and fragment, as resource and issuer identifiers are (RFC 9728 §2, RFC 8414 §2).
pub(super) fn identifier(url: &str) -> Result<(String, String), &'static str> {
    const MESSAGE: &str = "must be a URL of http or https without user information, query and fragment";
    let uri: Uri = url.parse().map_err(|_| MESSAGE)?;
    let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https")).ok_or(MESSAGE)?;
    let authority = uri.authority().filter(|authority| is_authority(authority)).ok_or(MESSAGE)?;
    let is_plain = path::normalize(uri.path().as_bytes()).is_ok_and(|path| path == uri.path());
    if uri.query().is_some() || url.contains('#') || !is_plain {
        return Err(MESSAGE);
    }
    let path = if uri.path() == "/" { "" } else { uri.path() };
    Ok((format!("{scheme}://{authority}"), path.to_owned()))
}
