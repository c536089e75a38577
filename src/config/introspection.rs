//! The section `introspection`: where, as whom, and what comes back.

use std::sync::Arc;

use super::authentication::authentication;
use super::texts::{CalloutHeader, JwtField, Parameter, Url, target};
use crate::fields::{
    Bounded, BoundedDuration, ClientSecret, ConfigErrors, FieldPath, HiddenText, KIB, MINUTE, MapOf,
    PrivateKey, TokenSecret, Visible, VisibleSecret, keywords, section,
};
use crate::introspection::{
    self, ClientAuthentication, ClientFields, Endpoint, Format, InactiveAnswers, Method, OF_GATEWAY,
    Protocol, ResponseFormat, SignedResponse,
};
use crate::server::circuit_breaker::CircuitSettings;
use crate::server::rate_limiter::Limits;
use crate::settings::IntrospectionSettings;

section! {
    /// Where and how access tokens are introspected.
    pub(super) struct Introspection {
        /// URL of the introspection endpoint; gives `:scheme`, `:authority` and `:path` of the callout.
        endpoint: Url = required,
        /// What the host calls that server: in Envoy a cluster, in Kong `HOST:PORT`.
        upstream: Visible = required,
        /// How the gateway authenticates there. `client_secret_basic_raw` is for servers that do not decode.
        auth_method: Method = "client_secret_basic",
        /// The gateway's own client: required, unless `auth_method` is `bearer_token` or `none`.
        client_id: Visible,
        /// The secret itself, or `{env: NAME}`: a variable of the proxy's environment, which Envoy passes on if
        /// `host_env_keys` names it. Required for `client_secret_…`.
        client_secret: ClientSecret,
        /// A private key, or `{env: NAME}`: P-256 (ES256), Ed25519 (EdDSA) or RSA (RS256, which takes a worker many times as
        /// long), as PKCS#8 PEM or as a JWK. Required for `private_key_jwt`.
        private_key: PrivateKey,
        /// `kid` of the assertions; by default the JWK's own.
        key_id: String,
        /// `aud` of the assertions; by default `token.issuer`.
        audience: String,
        /// An access token for the introspection endpoint, or `{env: NAME}`. Required for that `auth_method`, which is for tokens that do
        /// not end: the gateway obtains and renews none, and once this one has ended, every token that is not in the cache is a 502.
        bearer_token: TokenSecret,
        /// More parameters of the form, as name and value.
        parameters: MapOf<Parameter, HiddenText> = {},
        /// More header fields of the request; a value may be `{env: NAME}`. `user-agent` is `phantom-token/` and the version unless it is
        /// set here.
        headers: MapOf<CalloutHeader, VisibleSecret> = {},
        /// How the JWT comes back.
        response: Response = {},
        /// Whether `token_type_hint=access_token` is sent.
        token_type_hint: bool = true,
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

    /// How the JWT comes back.
    pub(super) struct Response {
        /// The one media type that is asked for.
        accept: ResponseType = "application/jwt",
        /// The member of a JSON answer that holds the JWT: `jwt` for Keycloak, `phantom_token` for Curity. Without it,
        /// `application/json` needs `mint` or `claim_to_headers`.
        jwt_field: JwtField,
        /// By which errors the server says that a token is not active, where it does not answer `active: false`. That, in JSON of any
        /// 4xx, counts in any case, and so does a 400 with `unsupported_token_type` or, unless `auth_method` is `bearer_token`,
        /// `invalid_token`. A page of HTML never does.
        inactive_answers: Vec<InactiveAnswer> = [],
        /// Longest JWT in bytes; a longer one is a 502, never cut.
        max_jwt_length: Bounded<256, { 64 * KIB }> = 32768,
        /// Whether plain JSON is a 502 where a signed response is asked for; by default it is.
        require_signed: bool,
    }
}

section! {
    /// Where and how tokens are put to the UserInfo endpoint.
    pub(super) struct UserInfo {
        /// URL of the UserInfo endpoint, which receives the client's token as a bearer token.
        endpoint: Url = required,
        /// What the host calls that server, as `introspection.upstream`.
        upstream: Visible = required,
        /// Has to be `true`: UserInfo does not say for whom a token was issued, so a token that any application of this server received
        /// passes here, also one that its user gave to an application you do not know.
        allow_any_client: bool = (required "is required: tokens that the server issued to any client pass, which UserInfo cannot tell apart"),
        /// As `introspection.headers`.
        headers: MapOf<CalloutHeader, VisibleSecret> = {},
        /// As `introspection.response.inactive_answers`; a 401 that asks for a bearer token says so in any case.
        inactive_answers: Vec<InactiveAnswer> = [],
        /// As `introspection.timeout`.
        timeout: BoundedDuration<1, MINUTE> = "2s",
        /// As `introspection.retries`.
        retries: Bounded<0, 3> = 1,
        /// As `introspection.forward_traceparent`.
        forward_traceparent: bool = false,
        /// As `introspection.max_concurrent`.
        max_concurrent: Bounded<1, 100_000> = 256,
        /// As `introspection.max_per_second`.
        max_per_second: Bounded<1, 1_000_000> = 1000,
        /// As `introspection.max_waiting`.
        max_waiting: Bounded<1, 100_000> = 1024,
        /// As `introspection.circuit_breaker`.
        circuit_breaker: CircuitSettings = {},
    }

    /// An error by which the server says that a token is not active.
    pub(super) struct InactiveAnswer {
        /// Its status.
        status: Bounded<400, 499> = required,
        /// `error` in its JSON. Without it, any JSON will do, and an answer without content.
        error: Visible,
    }
}

/// `introspection.response.accept`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ResponseType {
    Jwt,
    Json,
    Signed,
}

keywords! {
    ResponseType {
        Jwt = "application/jwt", Json = "application/json" or Signed = "application/token-introspection+jwt"
    }
}

/// What else of the configuration decides what is asked, and how answers are read.
pub(super) struct ServerContext<'a> {
    /// `token.issuer` and its aliases.
    pub(super) issuers: &'a [String],
    /// Whether keys are configured.
    pub(super) has_keys: bool,
    /// Whether services receive claims as header fields, or a minted JWT.
    pub(super) forwards_claims: bool,
}

impl Introspection {
    pub(super) fn settings(
        mut self,
        at: FieldPath<'_>,
        context: &ServerContext<'_>,
        errors: &mut ConfigErrors,
    ) -> Option<IntrospectionSettings> {
        let fields = ClientFields {
            client_id: self.client_id.take(),
            client_secret: self.client_secret.take(),
            private_key: self.private_key.take(),
            key_id: self.key_id.take(),
            audience: self.audience.take(),
            bearer_token: self.bearer_token.take(),
        };
        let authentication =
            authentication(self.auth_method, fields, at, context.issuers.first().map(String::as_str), errors);
        let response = self.response.settings(
            at.field("response"),
            context,
            self.auth_method,
            authentication.as_ref().and_then(ClientAuthentication::client_id),
            errors,
        );
        let target = target(&self.endpoint, &self.upstream, self.timeout);
        let limits = Limits {
            concurrent: self.max_concurrent,
            per_second: self
                .max_per_second
                .or_else(|| authentication.as_ref().map(ClientAuthentication::max_per_second))
                .unwrap_or_default(),
            waiting: self.max_waiting,
        };
        let response = response?;
        let endpoint = Endpoint {
            target: Arc::new(target?),
            protocol: Protocol::Introspection {
                authentication: Box::new(authentication?),
                token_type_hint: self.token_type_hint,
                parameters: self.parameters,
            },
            accept: response.format.media_type(),
            headers: self.headers,
            retries: self.retries,
            forward_traceparent: self.forward_traceparent,
        };
        let circuit = self.circuit_breaker;
        Some(IntrospectionSettings { endpoint: Arc::new(endpoint), response, limits, circuit })
    }
}

impl UserInfo {
    pub(super) fn settings(
        self,
        at: FieldPath<'_>,
        forwards_claims: bool,
        errors: &mut ConfigErrors,
    ) -> Option<IntrospectionSettings> {
        if !self.allow_any_client {
            errors.note(at.field("allow_any_client"), "must be true");
        }
        if !forwards_claims {
            errors.note(at, "brings no JWT for the services: configure mint or claim_to_headers");
        }
        // There are no credentials of the gateway that a bare 401 could be about.
        let inactive = self.inactive_answers;
        let inactive =
            inactive_answers(inactive, at.field("inactive_answers"), Method::Unauthenticated, errors);
        let response =
            ResponseFormat { format: Format::UserInfo, jwt_field: None, inactive, max_jwt_length: 0 };
        let endpoint = Endpoint {
            target: Arc::new(target(&self.endpoint, &self.upstream, self.timeout)?),
            protocol: Protocol::UserInfo,
            accept: response.format.media_type(),
            headers: self.headers,
            retries: self.retries,
            forward_traceparent: self.forward_traceparent,
        };
        let limits = Limits {
            concurrent: self.max_concurrent,
            per_second: self.max_per_second,
            waiting: self.max_waiting,
        };
        let circuit = self.circuit_breaker;
        Some(IntrospectionSettings { endpoint: Arc::new(endpoint), response, limits, circuit })
    }
}

impl Response {
    fn settings(
        self,
        at: FieldPath<'_>,
        context: &ServerContext<'_>,
        auth_method: Method,
        client_id: Option<&str>,
        errors: &mut ConfigErrors,
    ) -> Option<ResponseFormat> {
        let inactive =
            inactive_answers(self.inactive_answers, at.field("inactive_answers"), auth_method, errors);
        let is_signed = self.accept == ResponseType::Signed;
        if !is_signed && self.require_signed.is_some() {
            errors.note(at.field("require_signed"), "is for application/token-introspection+jwt");
        }
        if is_signed && self.jwt_field.is_some() {
            errors.note(at.field("jwt_field"), "must be left out: a signed response holds claims");
        }
        if self.accept != ResponseType::Jwt && self.jwt_field.is_none() && !context.forwards_claims {
            let message = "brings no JWT for the services: configure mint or claim_to_headers, or jwt_field if the JSON has one";
            errors.note(at.field("accept"), message);
        }
        let format = match self.accept {
            ResponseType::Jwt => Format::Jwt,
            ResponseType::Json => Format::Json,
            ResponseType::Signed => {
                let required = self.require_signed.unwrap_or(true);
                Format::Signed(signed(at.field("accept"), context, client_id, required, errors)?)
            }
        };
        let Self { jwt_field, max_jwt_length, .. } = self;
        Some(ResponseFormat { format, jwt_field, inactive, max_jwt_length })
    }
}

/// What a server answers to a gateway whose credentials it refuses must not become a verdict on tokens.
fn inactive_answers(
    written: Vec<InactiveAnswer>,
    at: FieldPath<'_>,
    auth_method: Method,
    errors: &mut ConfigErrors,
) -> InactiveAnswers {
    for (index, InactiveAnswer { status, error }) in written.iter().enumerate() {
        let mistake = match (status, error.as_deref()) {
            (429, _) => "must not have the status of a limit on requests",
            (401 | 403, None) if auth_method != Method::Unauthenticated => {
                "needs error: without it, wrong credentials of the gateway would be taken for a dead token"
            }
            (_, Some(error)) if OF_GATEWAY.contains(&error) => "is about the gateway's own credentials",
            _ => continue,
        };
        errors.note(at.element(index), mistake);
    }
    let own = written.into_iter().filter_map(|InactiveAnswer { status, error }| {
        Some(introspection::InactiveAnswer { status: status.try_into().ok()?, error })
    });
    InactiveAnswers::new(auth_method == Method::BearerToken, own.collect())
}

fn signed(
    at: FieldPath<'_>,
    context: &ServerContext<'_>,
    client_id: Option<&str>,
    required: bool,
    errors: &mut ConfigErrors,
) -> Option<SignedResponse> {
    if !context.has_keys {
        errors.note(at, "needs keys, by which the signature is verified");
    }
    if context.issuers.is_empty() {
        errors.note(at, "needs token.issuer, which signs");
    }
    if client_id.is_none() {
        errors.note(at, "needs introspection.client_id, which the answer is addressed to");
    }
    Some(SignedResponse { issuers: context.issuers.to_vec(), audience: client_id?.to_owned(), required })
}
