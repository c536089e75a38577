//! The data that a driver passes to the engine with a request, and the instructions that it gets back.

use super::edits::HeaderEdits;
use crate::credentials::client_certificate::CertificateSource;
use crate::http::reply::Reply;
use crate::http::request_head::{McpCall, RequestHead};
use crate::policy::Requirement;
use crate::settings::Settings;
use crate::token_info::UpstreamHeaders;

/// Facts that the host knows about a request in addition to its fields, as far as [`RequiredAttributes`] ask for them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attributes<'a> {
    /// The route that the host selected, by its name or its label.
    pub route: Option<&'a [u8]>,
    /// The caller's identity in its certificate: a URI (RFC 5280 §4.2.1.6).
    pub peer: Option<&'a [u8]>,
    /// The SHA-256 of the caller's certificate, in hexadecimal digits.
    pub certificate: Option<&'a [u8]>,
    /// The call of an MCP client, as reported by the host's filter that read the whole body.
    pub mcp_call: Option<McpCall<'a>>,
    /// The number of fields that the host announced. Some hosts truncate a long list.
    pub field_count: usize,
    /// Path and authority, if the services receive others than those in the pseudo-header fields.
    pub target: Option<(&'a [u8], &'a [u8])>,
}

/// The [`Attributes`] that rules ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequiredAttributes {
    /// The route.
    pub route: bool,
    /// The caller's identity.
    pub peer: bool,
    /// The caller's certificate.
    pub certificate: bool,
    /// What Envoy's filter for MCP read in the body.
    pub mcp_call: bool,
}

/// The instructions for a request whose head arrived.
#[derive(Debug)]
pub struct Instructions<'a> {
    /// The edits, to be made at once.
    pub edits: HeaderEdits<'a>,
    /// The action. `None` if the request waits: [`Engine::poll_action`](super::Engine::poll_action) returns the action later.
    pub action: Option<Action>,
    /// Whether the response must be private, since the request's URL contained the token (RFC 6750 §2.3).
    pub is_response_private: bool,
}

/// The decision about a request, for the driver to carry out.
#[derive(Debug)]
pub enum Action {
    /// The request continues to the services, with these fields set.
    Continue(UpstreamHeaders),
    /// The gateway replies.
    Reply(Reply),
}

impl Instructions<'_> {
    /// Creates an action without edits.
    pub(super) fn of(action: Action) -> Self {
        Self { edits: HeaderEdits::default(), action: Some(action), is_response_private: false }
    }
}

impl RequiredAttributes {
    pub(super) fn of(settings: &Settings) -> Self {
        let rules = &settings.rules;
        Self {
            route: rules.ask_route(),
            peer: rules.requirements().any(Requirement::names_peers),
            certificate: settings.client_certificate == Some(CertificateSource::Connection),
            mcp_call: rules.ask_envoy_filter(),
        }
    }
}

impl<'a> Attributes<'a> {
    /// Returns the head with these attributes.
    pub(super) fn added_to(self, head: RequestHead<'a>) -> RequestHead<'a> {
        let Self { route, peer, certificate, mcp_call, target, field_count: _ } = self;
        let (path, authority) = target.unwrap_or((head.path, head.authority));
        RequestHead { route, peer, certificate, mcp_call, path, authority, ..head }
    }
}
