//! What becomes of a request, and what is counted of that.

use std::rc::Rc;

use super::request_context::RequestContext;
use crate::authorization_server::UnverifiedToken;
use crate::host::Host;
use crate::http::grpc::GrpcCall;
use crate::http::reply::Reply;
use crate::metrics::Counter;
use crate::policy::Enforcement;
use crate::refusal::{Rejection, TokenError};
use crate::server::query::Query;
use crate::server_id::ServerId;
use crate::token::claims::Claims;
use crate::token_info::UpstreamHeaders;
use crate::token_key::TokenKey;

/// The decision about a request.
#[derive(Debug)]
pub(super) enum Decision {
    /// It continues to the services.
    Forward(UpstreamHeaders),
    /// It would be refused, but its rule only reports that: it continues to the services.
    Report(Rejection, UpstreamHeaders),
    /// It is for the gateway itself, which answers it.
    Answer(Reply),
    /// It is refused.
    Reject(Rejection),
}

/// What is to be done about a request.
pub(super) enum Step {
    /// It is decided.
    Settled(Decision),
    /// It is decided, from a cache entry or by keys that expire soon. The query refreshes them in the background.
    Refresh(Decision, Query),
    /// An authorization server has to be asked; the rest is kept until it answers.
    Ask(Query, Pending),
}

/// A request that waits for a response. [`Authenticator::settle`](super::authenticator::Authenticator::settle) consumes it, so no request is settled twice.
#[must_use = "a pending request that is dropped is never answered"]
pub(super) struct Pending {
    pub(super) context: RequestContext,
    pub(super) server: ServerId,
    pub(super) unverified_token: Option<Rc<UnverifiedToken>>,
}

impl Decision {
    /// It is for a public place.
    pub(super) fn forward_public(headers: UpstreamHeaders, host: Host<'_>) -> Self {
        host.metrics.increment(Counter::AllowedPublic);
        Self::Forward(headers)
    }

    /// Its token is good.
    pub(super) fn forward(headers: UpstreamHeaders, host: Host<'_>) -> Self {
        host.metrics.increment(Counter::Allowed);
        Self::Forward(headers)
    }

    /// It is refused, or continues without credentials where that is only reported.
    pub(super) fn refuse(rejection: Rejection, enforcement: Enforcement, host: Host<'_>) -> Self {
        match enforcement {
            Enforcement::Nothing => Self::report(rejection, UpstreamHeaders::stripped(), host),
            Enforcement::Full | Enforcement::Authentication => Self::reject(rejection, host),
        }
    }

    /// What it lacks is only reported.
    pub(super) fn report(rejection: Rejection, headers: UpstreamHeaders, host: Host<'_>) -> Self {
        host.metrics.shadow_deny(rejection.reason);
        Self::Report(rejection, headers)
    }

    /// It is refused, whatever its rule says.
    pub(super) fn reject(rejection: Rejection, host: Host<'_>) -> Self {
        host.metrics.deny(rejection.reason);
        Self::Reject(rejection)
    }
}

impl Pending {
    /// The same for a client that speaks gRPC so, if it does.
    pub(super) fn answered_as(mut self, grpc_call: Option<GrpcCall>) -> Self {
        self.context.grpc_call = grpc_call;
        self
    }

    /// Refuses it, with what is known of its token.
    pub(super) fn reject(
        self,
        none: TokenError,
        token: Option<&TokenKey>,
        claims: Option<&Claims>,
        host: Host<'_>,
    ) -> Step {
        let TokenError { reason, retry_after, member } = none;
        let enforcement = self.context.requirement.enforcement;
        let rejection =
            Rejection { token: token.copied(), retry_after, member, ..self.context.refusal(reason, claims) };
        Step::Settled(Decision::refuse(rejection, enforcement, host))
    }
}
