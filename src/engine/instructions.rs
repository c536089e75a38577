//! What a driver passes to the engine with a request, and what it has to do then.

use super::edits::HeaderEdits;
use crate::credentials::client_certificate::CertificateSource;
use crate::http::reply::Reply;
use crate::http::request_head::{McpCall, RequestHead};
use crate::policy::Requirement;
use crate::settings::Settings;
use crate::token_info::UpstreamHeaders;

/// What the host knows of a request beside its fields, as far as [`RequiredAttributes`] ask for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Attributes<'a> {
    /// The route that the host has selected, by its name or its label.
    pub route: Option<&'a [u8]>,
    /// The caller's identity by its certificate: a URI (RFC 5280 §4.2.1.6).
    pub peer: Option<&'a [u8]>,
    /// The SHA-256 of the caller's certificate, in hexadecimal digits.
    pub certificate: Option<&'a [u8]>,
    /// The call of an MCP client, by the host's filter that has read the body to its end.
    pub mcp_call: Option<McpCall<'a>>,
    /// How many fields the host has announced. Some hosts cut a long list.
    pub field_count: usize,
    /// Path and authority, where pseudo-header fields are not what services receive.
    pub target: Option<(&'a [u8], &'a [u8])>,
}

/// Which [`Attributes`] rules ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequiredAttributes {
    /// The route.
    pub route: bool,
    /// The caller's identity.
    pub peer: bool,
    /// The caller's certificate.
    pub certificate: bool,
    /// What Envoy's filter for MCP has read of the body.
    pub mcp_call: bool,
}

/// What to do with a request whose head arrived.
#[derive(Debug)]
pub struct Instructions<'a> {
    /// The edits, to be made at once.
    pub edits: HeaderEdits<'a>,
    /// How it goes on. None, if the request waits: [`Engine::poll_action`](super::Engine::poll_action) gives it later.
    pub action: Option<Action>,
    /// Whether the response is for the client alone, since the request's URL was (RFC 6750 §2.3).
    pub is_response_private: bool,
}

/// The decision about a request, for the driver to carry out.
#[derive(Debug)]
pub enum Action {
    /// It continues to the services, with these fields set.
    Continue(UpstreamHeaders),
    /// The gateway answers it.
    Reply(Reply),
}

impl Instructions<'_> {
    /// An action without edits.
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
    /// The head with these attributes.
    pub(super) fn added_to(self, head: RequestHead<'a>) -> RequestHead<'a> {
        let Self { route, peer, certificate, mcp_call, target, field_count: _ } = self;
        let (path, authority) = target.unwrap_or((head.path, head.authority));
        RequestHead { route, peer, certificate, mcp_call, path, authority, ..head }
    }
}
