//! Refusals: who is at fault, and what the client receives (RFC 6750 §3, RFC 9110 §15).
//!
//! A client's fault is 400, 401, 403, 404 or 431; a challenge comes with it where other credentials could help. The authorization server's
//! fault is 502, 503 or 504, the gateway's is 500, or 503 where a limit is reached, and neither ever blames the client's token. `reason` is
//! the table; what policies and tokens contribute to a challenge comes as data.

mod body;
mod challenge;
mod reason;
mod token_error;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

pub use body::ErrorBody;
pub use challenge::{ProtectionSpace, Schemes};
pub use reason::{Fault, Reason};
pub(crate) use token_error::TokenError;

use body::Particulars;
use challenge::Challenge;
use reason::Row;

use crate::http::cors;
use crate::http::grpc::GrpcCall;
use crate::http::reply::Reply;
use crate::token_key::TokenKey;

/// A request that is not forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The reason for the refusal.
    pub reason: Reason,
    /// The token that the client presented, if it was looked at.
    pub token: Option<TokenKey>,
    /// The challenge parameters that tell the client what is required.
    pub parameters: Vec<(&'static str, String)>,
    /// The places of the wrong credentials, in words for the client, if it has to know them.
    pub places: Option<String>,
    /// The gRPC call, if the request is one.
    pub grpc_call: Option<GrpcCall>,
    /// The origin of the request, if its pages may read the reply.
    pub allowed_origin: Option<Arc<str>>,
    /// The URL of the metadata of the resource that the request is for (RFC 9728 §5.1), if there are any.
    pub resource_metadata: Option<Arc<str>>,
    /// The schemes that are challenged.
    pub schemes: Schemes,
    /// The nonce that a proof has to contain, if it was missing.
    pub nonce: Option<String>,
    /// When to try again, if known.
    pub retry_after: Option<Duration>,
    /// The claim or header member at fault, by a fixed name.
    pub member: Option<&'static str>,
}

/// The reply to a request that cannot be judged at all: there is no valid configuration, or the filter has a defect.
pub fn internal_error() -> Reply {
    Rejection::from(Reason::Internal).reply(&ProtectionSpace::default())
}

impl From<Reason> for Rejection {
    fn from(reason: Reason) -> Self {
        Self {
            reason,
            token: None,
            parameters: Vec::new(),
            places: None,
            grpc_call: None,
            allowed_origin: None,
            resource_metadata: None,
            schemes: Schemes::default(),
            nonce: None,
            retry_after: None,
            member: None,
        }
    }
}

impl Rejection {
    /// The reply, with a challenge for the protection space if the reason has one.
    pub fn reply(&self, space: &ProtectionSpace) -> Reply {
        let Row { status, error, challenge, description, .. } = *self.reason.row();
        let mut description = Cow::Borrowed(description);
        // Clients learn what is wrong with what they presented, but not with the server's response.
        if let Some(member) = self.member.filter(|_| self.reason.fault() == Fault::Client) {
            description.to_mut().push_str(&format!(": {member}"));
        }
        if let Some(places) = &self.places {
            description.to_mut().push_str(&format!(", in {places}"));
        }
        let mut headers = vec![
            ("content-type", space.error_body.media_type().to_owned()),
            ("cache-control", "no-store".to_owned()),
        ];
        for scheme in self.schemes.names() {
            let metadata = self.resource_metadata.as_deref();
            let text =
                challenge::render(scheme, challenge, space, error, &description, &self.parameters, metadata);
            headers.extend(text.map(|text| ("www-authenticate", text)));
        }
        headers.extend(self.nonce.iter().map(|nonce| ("dpop-nonce", nonce.clone())));
        if status == SERVICE_UNAVAILABLE {
            headers.push(("retry-after", self.retry_after_seconds().to_string()));
        }
        let origin = self.allowed_origin.iter();
        headers.extend(origin.flat_map(|origin| cors::headers(origin, space.allow_credentials)));
        let particulars =
            Particulars { status, error, error_description: &description, reason: self.reason.name() };
        let body = space.error_body.render(&particulars);
        Reply {
            status,
            headers,
            body,
            grpc_status: grpc_status(status, challenge),
            grpc_call: self.grpc_call,
            reason: Some(self.reason.name()),
            member: self.member,
        }
    }
}

impl Rejection {
    /// When to retry, in whole seconds; capped, whatever the server requests.
    fn retry_after_seconds(&self) -> u64 {
        let seconds = |pause: Duration| pause.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX);
        self.retry_after.map_or(RETRY_AFTER_SECONDS, seconds).clamp(1, MAX_RETRY_AFTER_SECONDS)
    }
}

/// The gRPC status code (R83): INVALID_ARGUMENT, PERMISSION_DENIED, NOT_FOUND, RESOURCE_EXHAUSTED, UNAVAILABLE, INTERNAL or
/// UNAUTHENTICATED. The last makes clients log in again, so it is used for credentials alone.
fn grpc_status(http_status: u16, challenge: Challenge) -> u8 {
    match http_status {
        400 if challenge == Challenge::Absent => 3,
        403 => 7,
        404 => 5,
        431 => 8,
        502..=504 => 14,
        500.. => 13,
        _ => 16,
    }
}

const SERVICE_UNAVAILABLE: u16 = 503;

/// How soon a client may try again when the authorization server is unavailable (RFC 9110 §10.2.3).
const RETRY_AFTER_SECONDS: u64 = 5;
const MAX_RETRY_AFTER_SECONDS: u64 = 300;

#[cfg(test)]
mod tests;
