//! A reply of the gateway's own, which no service sees.

use super::grpc::{self, GrpcCall};

/// An answer of the gateway's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status code.
    pub status: u16,
    /// The header fields, names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// JSON.
    pub body: String,
    /// The status for a gRPC client.
    pub grpc_status: u8,
    /// How its client speaks, if that is one of gRPC: see [`Self::for_host`].
    pub grpc_call: Option<GrpcCall>,
    /// The name of the reason, if it is a refusal.
    pub reason: Option<&'static str>,
    /// The claim, header member or setting at fault, by a fixed name. Clients hear of what they presented alone.
    pub member: Option<&'static str>,
}

impl Reply {
    /// A reply other than a refusal.
    pub(crate) fn new(status: u16, headers: Vec<(&'static str, String)>, body: String) -> Self {
        Self { status, headers, body, grpc_status: 0, grpc_call: None, reason: None, member: None }
    }

    /// What the host's access log has of the reason: Envoy's `%RESPONSE_CODE_DETAILS%`.
    pub fn details(&self) -> String {
        self.reason.map(|reason| ["phantom_token_denied{", reason, "}"].concat()).unwrap_or_default()
    }

    /// The reply as a host sends it that gives replies to gRPC calls their form itself, where it sees them, or does not. Each field is
    /// there once.
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
