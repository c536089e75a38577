//! Settings of calls about tokens, common to introspection and UserInfo.

use std::sync::Arc;

use super::texts::{CalloutHeader, target};
use crate::fields::{Bounded, BoundedDuration, MINUTE, MapOf, VisibleSecret, section};
use crate::introspection::{Endpoint, Protocol, ResponseFormat};
use crate::secret::Secret;
use crate::server::circuit_breaker::CircuitSettings;
use crate::server::rate_limiter::Limits;
use crate::settings::IntrospectionSettings;

section! {
    /// Settings of calls about tokens.
    pub(super) struct Calls {
        /// Additional header fields of the request; a value may be `{env: NAME}`. `user-agent` is `phantom-token/` and the
        /// version unless set here.
        headers: MapOf<CalloutHeader, VisibleSecret> = {},
        /// How long a request waits for the response.
        timeout: BoundedDuration<1, MINUTE> = "2s",
        /// How often Envoy retries if the server refused the connection, or reset it before it responded, as servers do that
        /// close idle connections. An assertion is never sent again once it may have arrived. The filter requests retries with
        /// header fields that only Envoy removes, so Kong never retries.
        retries: Bounded<0, 3> = 1,
        /// Whether a well-formed trace context of the request is forwarded (`traceparent` of [W3C Trace
        /// Context](https://www.w3.org/TR/trace-context/)); no other field of the client reaches the server.
        forward_traceparent: bool = false,
        /// Maximum number of introspections that one worker has open, or in the native module the process; further requests with
        /// unknown tokens are a 503. An eighth is reserved for tokens that were seen active.
        max_concurrent: Bounded<1, 100_000> = 256,
        /// Maximum number of introspections that one worker starts per second, or in the native module the process; an eighth is
        /// reserved likewise. Defaults to 1000; with `private_key_jwt` to 100, or 20 with an RSA key, since each takes a signature.
        max_per_second: Bounded<1, 1_000_000>,
        /// Maximum number of requests that wait at one worker for responses of this server; further ones are a 503, so that a
        /// slow server does not fill the gateway's memory.
        max_waiting: Bounded<1, 100_000> = 1024,
        /// When the circuit breaker opens, for each worker; in the native module, for the process.
        circuit_breaker: CircuitSettings = {},
    }
}

impl Calls {
    /// Returns the settings. `max_per_second` is the default of the field with this name.
    #[inline(never)]
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
