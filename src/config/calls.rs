//! How an authorization server is asked about tokens, and how often, by whichever protocol.

use std::sync::Arc;

use super::texts::{CalloutHeader, target};
use crate::fields::{Bounded, BoundedDuration, MINUTE, MapOf, VisibleSecret, section};
use crate::introspection::{Endpoint, Protocol, ResponseFormat};
use crate::secret::Secret;
use crate::server::circuit_breaker::CircuitSettings;
use crate::server::rate_limiter::Limits;
use crate::settings::IntrospectionSettings;

section! {
    /// How a server is asked about tokens, and how often.
    pub(super) struct Calls {
        /// More header fields of the request; a value may be `{env: NAME}`. `user-agent` is `phantom-token/` and the version unless it is
        /// set here.
        headers: MapOf<CalloutHeader, VisibleSecret> = {},
        /// How long a request waits for the answer.
        timeout: BoundedDuration<1, MINUTE> = "2s",
        /// How often Envoy asks again where the server refused the connection or reset it before it answered, as one does that
        /// closes idle connections; an assertion is never sent again once it may have arrived. It is asked for by header fields
        /// that only Envoy takes off, so in Kong nothing is asked again.
        retries: Bounded<0, 3> = 1,
        /// Whether the trace of the request is forwarded (`traceparent` of
        /// [W3C Trace Context](https://www.w3.org/TR/trace-context/)), if that is well-formed; nothing else of the client's
        /// fields ever reaches it.
        forward_traceparent: bool = false,
        /// How many introspections one worker has open at most; more requests with unknown tokens are a 503. An eighth is kept for
        /// tokens that were seen active.
        max_concurrent: Bounded<1, 100_000> = 256,
        /// How many one worker starts in a second at most; an eighth is kept likewise. By default 1000; with `private_key_jwt` 100,
        /// or 20 if the key is RSA, since each takes a signature.
        max_per_second: Bounded<1, 1_000_000>,
        /// How many requests wait at one worker for answers of this server at most; more are a 503, so that a slow server does
        /// not fill the gateway's memory.
        max_waiting: Bounded<1, 100_000> = 1024,
        /// When the circuit breaker opens, for each worker.
        circuit_breaker: CircuitSettings = {},
    }
}

impl Calls {
    /// `max_per_second` is how many are started in a second by default.
    pub(super) fn settings(
        self,
        endpoint: &Secret,
        upstream: &str,
        protocol: Protocol,
        response: ResponseFormat,
        max_per_second: usize,
    ) -> Option<IntrospectionSettings> {
        let limits = Limits {
            concurrent: self.max_concurrent,
            per_second: self.max_per_second.unwrap_or(max_per_second),
            waiting: self.max_waiting,
        };
        let endpoint = Endpoint {
            target: Arc::new(target(endpoint, upstream, self.timeout)?),
            protocol,
            accept: response.format.media_type(),
            headers: self.headers,
            retries: self.retries,
            forward_traceparent: self.forward_traceparent,
        };
        let circuit = self.circuit_breaker;
        Some(IntrospectionSettings { endpoint: Arc::new(endpoint), response, limits, circuit })
    }
}
