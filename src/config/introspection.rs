//! The section `introspection`: endpoint, client authentication and response.

use super::authentication::authentication;
use super::calls::Calls;
use super::inactive_answers::{InactiveAnswer, inactive_answers};
use super::texts::{JwtField, Parameter, Url};
use crate::fields::{
    Bounded, ClientSecret, ConfigErrors, FieldPath, HiddenText, KIB, MapOf, PrivateKey, TokenSecret, Visible,
    keywords, section,
};
use crate::introspection::{
    ClientAuthentication, ClientFields, Format, Method, Protocol, ResponseFormat, SignedResponse,
};
use crate::settings::IntrospectionSettings;

section! {
    /// Where and how access tokens are introspected.
    pub(super) struct Introspection {
        /// URL of the introspection endpoint; gives `:scheme`, `:authority` and `:path` of the callout.
        endpoint: Url = required,
        /// The host's name for that server: in Envoy a cluster, in Kong `HOST:PORT`.
        upstream: Visible = required,
        /// How the gateway authenticates. `client_secret_basic_raw` is for servers that do not decode Basic credentials.
        auth_method: Method = "client_secret_basic",
        /// The gateway's own client. Required, unless `auth_method` is `bearer_token` or `none`.
        client_id: Visible,
        /// The secret itself, or `{env: NAME}`: a variable of the proxy's environment, which Envoy passes on if `host_env_keys`
        /// names it. Required for `client_secret_…`.
        client_secret: ClientSecret,
        /// A private key, or `{env: NAME}`: P-256 (ES256), Ed25519 (EdDSA) or RSA (RS256, many times slower), as PKCS#8 PEM or as
        /// a JWK. Required for `private_key_jwt`.
        private_key: PrivateKey,
        /// `kid` of the assertions; by default the JWK's own.
        key_id: String,
        /// `aud` of the assertions; by default `token.issuer`.
        audience: String,
        /// An access token for the introspection endpoint, or `{env: NAME}`. Required for that `auth_method`, which is for tokens
        /// that do not expire: the gateway neither obtains nor refreshes one, and once it has expired, every token that is not
        /// cached is a 502.
        bearer_token: TokenSecret,
        /// Additional form parameters, as name and value.
        parameters: MapOf<Parameter, HiddenText> = {},
        /// The response that is requested, and where it carries the JWT.
        response: Response = {},
        /// Whether `token_type_hint=access_token` is sent.
        token_type_hint: bool = true,
        ..calls: Calls,
    }

    /// The response that is requested, and where it carries the JWT.
    pub(super) struct Response {
        /// The one media type that is requested.
        accept: ResponseType = "application/jwt",
        /// The member of a JSON response that holds the JWT: `jwt` for Keycloak, `phantom_token` for Curity. Without it,
        /// `application/json` needs `mint` or `claim_to_headers`.
        jwt_field: JwtField,
        /// Errors by which the server says that a token is inactive, if it does not return `active: false`. `active: false` in
        /// JSON with any 4xx always counts, and so does a 400 with `unsupported_token_type` or, unless `auth_method` is
        /// `bearer_token`, `invalid_token`. An HTML page never does.
        inactive_answers: Vec<InactiveAnswer> = [],
        /// Maximum length of the JWT in bytes; a longer one is a 502, never truncated.
        max_jwt_length: Bounded<256, { 64 * KIB }> = 32768,
        /// Whether plain JSON is a 502 where a signed response is requested. Defaults to `true` there.
        require_signed: bool,
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

/// The other parts of the configuration that affect requests and the evaluation of responses.
pub(super) struct ServerContext<'a> {
    /// `token.issuer` and its aliases.
    pub(super) issuers: &'a [String],
    /// Whether keys are configured.
    pub(super) has_keys: bool,
    /// Whether services receive claims as header fields, or a minted JWT.
    pub(super) forwards_claims: bool,
}

impl Introspection {
    #[inline(never)]
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
        let response = response?;
        let authentication = authentication?;
        let max_per_second = authentication.max_per_second();
        let protocol = Protocol::Introspection {
            authentication: Box::new(authentication),
            token_type_hint: self.token_type_hint,
            parameters: self.parameters,
        };
        self.calls.settings(&self.endpoint, &self.upstream, protocol, response, max_per_second)
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
            let message = "leaves services without a JWT: configure mint or claim_to_headers, or jwt_field if the JSON has one";
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

fn signed(
    at: FieldPath<'_>,
    context: &ServerContext<'_>,
    client_id: Option<&str>,
    required: bool,
    errors: &mut ConfigErrors,
) -> Option<SignedResponse> {
    if !context.has_keys {
        errors.note(at, "needs keys to verify the signature");
    }
    if context.issuers.is_empty() {
        errors.note(at, "needs token.issuer, the signer");
    }
    if client_id.is_none() {
        errors.note(at, "needs introspection.client_id, the audience of the response");
    }
    Some(SignedResponse { issuers: context.issuers.to_vec(), audience: client_id?.to_owned(), required })
}
