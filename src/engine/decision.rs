//! The outcome of a request, and its metrics.

use std::rc::Rc;
use std::sync::Arc;

use super::request_context::RequestContext;
use crate::authorization_server::UnverifiedToken;
use crate::host::Host;
use crate::http::grpc::GrpcCall;
use crate::http::reply::Reply;
use crate::metrics::Counter;
use crate::policy::Enforcement;
use crate::refusal::{Fault, Reason, Rejection, TokenError};
use crate::server::query::Query;
use crate::server_id::ServerId;
use crate::token::claims::Claims;
use crate::token_info::UpstreamHeaders;
use crate::token_key::TokenKey;

/// The decision about a request.
#[derive(Debug)]
pub(super) enum Decision {
    /// The request continues to the services.
    Forward(UpstreamHeaders),
    /// The request would be refused, but its rule only reports that: it continues to the services.
    ShadowDeny(Rejection, UpstreamHeaders),
    /// The request is for the gateway itself, which replies.
    Answer(Reply),
    /// The request is refused.
    Reject(Rejection),
}

/// The next step for a request.
pub(super) enum Step {
    /// The request is decided.
    Settled(Decision),
    /// The request is decided, from a cache entry or by keys that expire soon. The query refreshes them in the background.
    Refresh(Decision, Query),
    /// An authorization server has to be queried; the request is pending until it responds.
    Ask(Query, Pending),
}

/// A request that waits for a response. [`Authenticator::settle`](super::authenticator::Authenticator::settle) consumes it, so no request is settled twice.
#[must_use = "a pending request that is dropped is never answered"]
pub(super) struct Pending {
    pub(super) context: RequestContext,
    pub(super) server: ServerId,
    pub(super) unverified_token: Option<Rc<UnverifiedToken>>,
    /// The servers to ask if this one does not know the token.
    pub(super) others: Option<Box<OtherServers>>,
}

/// The servers that are asked about an opaque token after the first.
pub(super) struct OtherServers {
    /// The queries, the next one last.
    pub(super) queries: Vec<Query>,
    /// Why one of the servers failed. The token may be known there, even if no other server knows it.
    pub(super) failure: Option<TokenError>,
}

impl Decision {
    /// Forwards a request that needs no token.
    pub(super) fn forward_public(headers: UpstreamHeaders, host: Host<'_>) -> Self {
        host.metrics.increment(Counter::AllowedPublic);
        Self::Forward(headers)
    }

    /// Forwards a request with a valid token.
    pub(super) fn forward(headers: UpstreamHeaders, host: Host<'_>) -> Self {
        host.metrics.increment(Counter::Allowed);
        Self::Forward(headers)
    }

    /// Refuses a request, or forwards it without credentials if its rule is not enforced.
    pub(super) fn refuse(rejection: Rejection, enforcement: Enforcement, host: Host<'_>) -> Self {
        match enforcement {
            Enforcement::Nothing => Self::shadow_deny(rejection, UpstreamHeaders::stripped(), host),
            Enforcement::Full | Enforcement::Authentication => Self::reject(rejection, host),
        }
    }

    /// Forwards a request that would be denied if its rule were enforced.
    pub(super) fn shadow_deny(rejection: Rejection, headers: UpstreamHeaders, host: Host<'_>) -> Self {
        host.metrics.shadow_deny(rejection.reason);
        Self::ShadowDeny(rejection, headers)
    }

    /// Refuses a request, whatever its rule says.
    pub(super) fn reject(rejection: Rejection, host: Host<'_>) -> Self {
        host.metrics.deny(rejection.reason);
        Self::Reject(rejection)
    }
}

impl Pending {
    /// Returns the query to the next server, if this one does not know the token or failed.
    ///
    /// # Errors
    /// Why the request is refused: there is no other server, or this one knows the token and refuses it.
    pub(super) fn next_query(&mut self, error: TokenError) -> Result<Query, TokenError> {
        // `WrongIssuer` concerns a JWT that this server would verify, never a response.
        let is_unknown = matches!(error.reason, Reason::Inactive | Reason::NotAJwt | Reason::WrongIssuer);
        let Some(others) =
            self.others.as_mut().filter(|_| is_unknown || error.reason.fault() != Fault::Client)
        else {
            return Err(error);
        };
        if !is_unknown {
            others.failure.get_or_insert(error);
        }
        let query = others.queries.pop().ok_or(others.failure.unwrap_or(error))?;
        self.server = query.key().server;
        Ok(query)
    }

    /// Adds how to reply to the client: as to a gRPC call, if it is one, and with this URL of resource metadata, if there is one.
    pub(super) fn answered_with(
        mut self,
        grpc_call: Option<GrpcCall>,
        resource_metadata: Option<Arc<str>>,
    ) -> Self {
        self.context.grpc_call = grpc_call;
        self.context.resource_metadata = resource_metadata;
        self
    }

    /// Refuses the request, with what is known of its token.
    pub(super) fn reject(
        self,
        error: TokenError,
        token: Option<&TokenKey>,
        claims: Option<&Claims>,
        host: Host<'_>,
    ) -> Step {
        let TokenError { reason, retry_after, member } = error;
        let enforcement = self.context.requirement.enforcement;
        let rejection =
            Rejection { token: token.copied(), retry_after, member, ..self.context.refusal(reason, claims) };
        Step::Settled(Decision::refuse(rejection, enforcement, host))
    }
}
