//! The gateway's own replies to requests that it does not forward.

use super::grpc::{self, GrpcCall};

/// A reply of the gateway's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status code.
    pub status: u16,
    /// The header fields, names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body: JSON, or empty.
    pub body: String,
    /// The gRPC status code, for a gRPC client.
    pub grpc_status: u8,
    /// The gRPC call, if the request is one: see [`Self::for_host`].
    pub grpc_call: Option<GrpcCall>,
    /// The name of the reason, if the reply is a refusal.
    pub reason: Option<&'static str>,
    /// The claim, header member or setting at fault, by a fixed name. Clients only learn of members of what they presented.
    pub member: Option<&'static str>,
}

impl Reply {
    /// A reply other than a refusal.
    pub(crate) fn new(status: u16, headers: Vec<(&'static str, String)>, body: String) -> Self {
        Self { status, headers, body, grpc_status: 0, grpc_call: None, reason: None, member: None }
    }

    /// The reason for the host's access log: Envoy's `%RESPONSE_CODE_DETAILS%`. Empty unless the reply is a refusal.
    pub fn details(&self) -> String {
        self.reason.map(|reason| ["phantom_token_denied{", reason, "}"].concat()).unwrap_or_default()
    }

    /// The reply as the host has to send it. A host that `knows_grpc` converts its replies to plain gRPC calls itself; for all other gRPC
    /// calls, the reply is converted here. No field occurs twice.
    pub fn for_host(self, knows_grpc: bool) -> Self {
        let Some(call) = self.grpc_call else { return self };
        let mut headers = self.headers;
        headers.retain(|(name, _)| *name != CONTENT_TYPE);
        if call.is_plain && knows_grpc {
            return Self { headers, ..self };
        }
        headers.extend([
            (CONTENT_TYPE, call.media_type().to_owned()),
            ("grpc-status", self.grpc_status.to_string()),
            ("grpc-message", grpc::message(&self.body)),
        ]);
        Self { status: 200, headers, body: String::new(), ..self }
    }
}

const CONTENT_TYPE: &str = "content-type";
