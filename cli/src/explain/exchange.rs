//! The request to an authorization server and the form of its response, both without tokens and credentials.

use std::fmt;

use phantom_token_core::Callout;
use phantom_token_core::driver::Response;
use serde_json::{Value, json};

/// A request to an authorization server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    method: String,
    /// The URL without its query.
    url: String,
    upstream: String,
    /// Status and media type of the response; `None` if the input does not determine the response.
    answer: Option<(u16, String)>,
}

impl Exchange {
    /// Describes a call and its response.
    pub fn of(callout: &Callout, response: Option<&Response>) -> Self {
        let field = |name: &str| {
            callout.headers().find(|(own, _)| *own == name).map(|(_, value)| value).unwrap_or_default()
        };
        let path = field(":path").split('?').next().unwrap_or_default();
        let answer = response.and_then(|response| {
            let Response::Complete { status, fields, .. } = response else { return None };
            let media_type = fields.iter().find(|(name, _)| name == "content-type").map(|(_, value)| value);
            let media_type = media_type.map(|value| String::from_utf8_lossy(value).into_owned());
            Some((*status, media_type.unwrap_or_default()))
        });
        Self {
            method: field(":method").to_owned(),
            url: format!("{}://{}{path}", field(":scheme"), field(":authority")),
            upstream: callout.upstream().to_owned(),
            answer,
        }
    }

    /// Returns the exchange as JSON.
    pub fn to_json(&self) -> Value {
        let Self { method, url, upstream, answer } = self;
        let (status, media_type) = answer.clone().unzip();
        json!({"method": method, "url": url, "upstream": upstream, "status": status, "media_type": media_type})
    }
}

impl fmt::Display for Exchange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, url, upstream, answer } = self;
        write!(formatter, "{method} {url} by way of {upstream}")?;
        match answer {
            Some((status, media_type)) => {
                write!(formatter, ": {}", format!("{status} {media_type}").trim_end())
            }
            None => Ok(()),
        }
    }
}
