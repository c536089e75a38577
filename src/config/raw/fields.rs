//! All fields of the configuration. What stands here of them is also what the schema and the table in the documentation say.

use std::collections::BTreeMap;

use log::LevelFilter;
use serde_json::{Map, Value};

use super::objects::{absence, objects};
use super::shapes::*;
use super::words::*;
use super::{Absence, Field, Shape};
#[cfg(feature = "schema")]
use crate::config::schema::{self, Described, Description};
use crate::credentials::client_certificate::CertificateSource;
use crate::credentials::dpop::DpopMode;
use crate::http::sanitize::OverrideHeaders;
use crate::token::jwt_access_token::Profile;

objects! {
    /// The whole.
    struct Configuration {
        /// Where and how access tokens are introspected. It is required, unless all tokens are JWTs that are verified here.
        introspection: Introspection,
        /// What access tokens have to be like.
        token: Token,
        /// What verifies signatures; exactly one of `uri`, `discovery`, `set` and `secret`.
        keys: Keys,
        /// Several authorization servers, each with its own `introspection`, `token` and `keys`, instead of those at the top.
        authorization_servers: Vec<Field<Server>>,
        /// How clients present access tokens.
        credentials: Credentials,
        /// What proofs of possession have to be like. It is required with `token.dpop`.
        dpop: Dpop,
        /// For servers that answer without a JWT: the gateway signs one itself, in the profile of
        /// [RFC 9068](https://www.rfc-editor.org/rfc/rfc9068).
        mint: Mint,
        /// Where the client's certificate is, for tokens that are bound to one
        /// ([RFC 8705](https://www.rfc-editor.org/rfc/rfc8705)): that of the connection, or `x-forwarded-client-cert` with one
        /// element, which a proxy in front sets anew (Envoy's `SANITIZE_SET`). Without it, such tokens are refused.
        client_certificate: CertificateSource,
        /// Another header field for the JWT, which then stands alone, without `Bearer`; `Authorization` is taken off.
        jwt_header: String = "authorization",
        /// Claims that services receive as header fields.
        claim_headers: Vec<Field<ClaimHeader>>,
        /// Claims that the host keeps: Envoy as filter state `wasm.<name>`, for access logs
        /// (`%FILTER_STATE(wasm.name:PLAIN)%`) and RBAC.
        filter_state: Vec<Field<FilterState>>,
        /// Fields by which frameworks let a client override the path or the method of its request: `X-Original-URL`,
        /// `X-Rewrite-URL`, `X-HTTP-Method-Override`, `X-HTTP-Method` and `X-Method-Override`, in any case and with any marks for
        /// `-`. `remove` removes them from every request, public ones and preflights included; `keep` is for services that need
        /// them, and then rules judge another path or method than the service serves.
        override_headers: OverrideHeaders = "remove",
        /// What is kept of answers, and for how long.
        cache: Cache,
        /// Which pages of other origins may call the API.
        cors: Cors,
        /// The realm in challenges.
        realm: String = "api",
        /// The metadata of the protected resource ([RFC 9728](https://www.rfc-editor.org/rfc/rfc9728)): served at the
        /// well-known path, without a token, and challenges point to them. On which hosts is as with `mint.jwks_path`.
        resource_metadata: ResourceMetadata,
        /// Whether your router takes `a:8443` for `a`, as Envoy does by the option of this name.
        ignore_port_in_host_matching: bool = false,
        /// Requests on one worker that need the same answer share one question, where the host can do that.
        single_flight: bool = true,
        /// Whether what an authentic token is not allowed (scope, claims, step-up) is only reported, by all rules that do not
        /// say otherwise: see "Reporting before refusing".
        report_only: bool = false,
        /// Which requests are exposed, and what each requires. What no rule matches is refused.
        rules: Vec<Field<Rule>> = required,
        /// The body of refusals.
        error_body: ErrorBody,
        /// Up to which level the filter writes to the host's log, within what the host logs: `debug` has one line for each
        /// decision and each introspection.
        log_level: LevelFilter = "info",
        /// A secret of 32 bytes at least, or `{env: NAME}`: at `debug`, tokens are named by eight digits of an HMAC with it, the
        /// same at all workers and gateways that have the same. By default each worker makes its own.
        log_key: Confidential,
    }

    /// One of several authorization servers.
    struct Server {
        /// By what rules call it.
        name: String = required,
        /// As at the top.
        introspection: Introspection,
        /// As at the top.
        token: Token,
        /// As at the top.
        keys: Keys,
        /// What is different in JWTs that are minted for its tokens.
        mint: ServerMint,
    }

    /// What is minted for the tokens of one server.
    struct ServerMint {
        /// Instead of `mint.subject`.
        subject: String,
    }

    /// Where and how access tokens are introspected.
    struct Introspection {
        /// URL of the introspection endpoint; gives `:scheme`, `:authority` and `:path` of the callout.
        endpoint: String = required,
        /// What the host calls that server: in Envoy a cluster, in Kong `HOST:PORT`.
        upstream: String = required,
        /// How the gateway authenticates there. `client_secret_basic_raw` is for servers that do not decode.
        auth_method: AuthMethod = "client_secret_basic",
        /// The gateway's own client: required, unless `auth_method` is `bearer_token` or `none`.
        client_id: String,
        /// The secret itself, or `{env: NAME}`: a variable of the proxy's environment, which Envoy passes on if
        /// `host_env_keys` names it. Required for `client_secret_…`.
        client_secret: Confidential,
        /// A private key, or `{env: NAME}`: P-256 (ES256), Ed25519 (EdDSA) or RSA (RS256, which takes a worker many times as
        /// long), as PKCS#8 PEM or as a JWK. Required for `private_key_jwt`.
        private_key: Confidential,
        /// `kid` of the assertions; by default the JWK's own.
        key_id: String,
        /// `aud` of the assertions; by default `token.issuer`.
        audience: String,
        /// An access token for the introspection endpoint, or `{env: NAME}`. Required for that `auth_method`.
        bearer_token: Confidential,
        /// More parameters of the form, as name and value.
        parameters: BTreeMap<String, String>,
        /// More header fields of the request; a value may be `{env: NAME}`.
        headers: BTreeMap<String, Confidential>,
        /// How the JWT comes back.
        response: Response,
        /// Whether `token_type_hint=access_token` is sent.
        token_type_hint: bool = true,
        /// How long a request waits for the answer.
        timeout: Span<1, MINUTE> = "2s",
        /// How often Envoy asks again where the server refused the connection or reset it before it answered, as one does that
        /// closes idle connections; an assertion is never sent again once it may have arrived. It is asked for by header fields
        /// that only Envoy takes off, so in Kong nothing is asked again.
        retries: Number<0, 3> = 1,
        /// Whether the server is told the trace of the request (`traceparent` of
        /// [W3C Trace Context](https://www.w3.org/TR/trace-context/)), if that is well-formed; nothing else of the client's
        /// fields ever reaches it.
        forward_traceparent: bool = false,
        /// How many introspections one worker has open at most; more requests with unknown tokens are a 503. An eighth is kept for
        /// tokens that were seen active.
        max_concurrent: Number<1, 100_000> = 256,
        /// How many one worker starts in a second at most; an eighth is kept likewise. By default 1000; with `private_key_jwt` 100,
        /// or 20 if the key is RSA, since each takes a signature.
        max_per_second: Number<1, 1_000_000>,
        /// How many requests wait at one worker for answers of this server at most; more are a 503, so that a slow server does
        /// not fill the gateway's memory.
        max_waiting: Number<1, 100_000> = 1024,
        /// When a worker leaves the server alone.
        circuit_breaker: CircuitBreaker,
    }

    /// When a worker leaves the server alone.
    struct CircuitBreaker {
        /// After failures in a row for how many tokens (no answer, or a status of 500 and above; never one below) a worker leaves the
        /// server alone; `0` for never. Tokens in the cache pass all the same, others are a 503 that says when to come back.
        failures: Number<0, 10_000> = 5,
        /// How long; then one question at a time tries whether it serves again.
        open_for: Span<100, { 5 * MINUTE }> = "5s",
    }

    /// How the JWT comes back.
    struct Response {
        /// The one media type that is asked for.
        accept: ResponseType = "application/jwt",
        /// The member of a JSON answer that holds the JWT: `jwt` for Keycloak, `phantom_token` for Curity. Without it,
        /// `application/json` needs `mint` or `claim_headers`.
        jwt_member: String,
        /// Longest JWT in bytes; a longer one is a 502, never cut.
        max_jwt_length: Number<256, { 64 * KIB }> = 32768,
        /// Whether plain JSON is a 502 where a signed response is asked for; by default it is.
        require_signed: bool,
    }

    /// What verifies signatures.
    struct Keys {
        /// URL of the server's JWK Set.
        uri: String,
        /// URL of its metadata ([RFC 8414](https://www.rfc-editor.org/rfc/rfc8414) or OpenID Connect Discovery), which say where
        /// the set is; they have to be those of `token.issuer`, and the set at the same origin.
        discovery: String,
        /// A JWK Set.
        set: Value,
        /// A secret of 32 bytes at least, or `{env: NAME}`, for HS256.
        secret: Confidential,
        /// What the host calls the server that has them; by default `introspection.upstream`.
        upstream: String,
        /// Which algorithms are accepted; by default all of these.
        algorithms: Algorithms,
        /// Greatest age of a set that can be fetched: one in use is fetched again shortly before, in the background and by one
        /// worker for all.
        max_age: Span<SECOND, DAY> = "10m",
        /// How long the last good set serves while none can be fetched, and what its keys verified stays in the cache; without
        /// keys, 503.
        max_stale: Span<SECOND, { 30 * DAY }> = "24h",
        /// How long nobody is asked after somebody was; an unknown `kid` costs one fetch at most in that time.
        cooldown: Span<SECOND, HOUR> = "30s",
        /// How long a request waits for them.
        timeout: Span<1, MINUTE> = "2s",
    }

    /// What access tokens have to be like.
    struct Token {
        /// `iss`, exactly; an absent one does not pass. Without it, it is not checked.
        issuer: String,
        /// Whether a token without `iss` passes where there is an `issuer`.
        allow_missing_iss: bool = false,
        /// One of these has to be in `aud`, exactly. Without it, it is not checked.
        audience: Names,
        /// How far clocks may differ.
        leeway: Span<0, MINUTE> = "5s",
        /// Whether a token is refused if neither the JWT nor the answer around it has `exp`.
        require_exp: bool = false,
        /// Whether an introspection response has to say `token_type`. Refresh tokens are active as well on many servers, which
        /// say it of access tokens alone: with oidc-provider, Spring and the like, turn it on.
        require_token_type: bool = false,
        /// The claim that has the scope, `scp` for some servers.
        scope_claim: String = "scope",
        /// Whether the scope may be a list; no RFC allows it.
        allow_scope_list: bool = false,
        /// What becomes of access tokens that are JWTs: `introspect` them like any, `refuse` them, or `verify` them here.
        jwts: Jwts = "introspect",
        /// What those have to be like: RFC 9068, or `lax` for servers that are older.
        jwt_profile: Profile = "rfc9068",
        /// How many signatures of JWTs that clients present may be wrong in a second, at one worker, before a JWT that is not in
        /// the cache is a 503: to verify one takes a worker some hundred times as long as a cached token. Each key that is
        /// tried counts, and a JWT without `kid` costs four at most; signatures that are right cost nothing.
        max_failed_verifications_per_second: Number<1, 1_000_000> = 100,
        /// Proof of possession ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)): `off` refuses tokens that are bound to a
        /// key, `allowed` asks for proofs of those, `required` takes no others.
        dpop: DpopMode = "off",
        /// Whether introspection may call a bound token a bearer token, as some servers call every one.
        allow_bearer_type: bool = false,
    }

    /// How clients present access tokens.
    struct Credentials {
        /// Longest access token in bytes; a longer one is a 431.
        max_length: Number<1, { 64 * KIB }> = 8192,
        /// A parameter of the query that may hold the token, `access_token` say
        /// ([RFC 9700](https://www.rfc-editor.org/rfc/rfc9700#section-4.3.2) advises against it); successful answers become
        /// `Cache-Control: private`.
        query_parameter: String,
        /// A cookie that may hold it; make it `SameSite=Strict`, browsers send it by themselves.
        cookie: String,
        /// Another header field that may hold it, alone.
        header: String,
        /// What stands before a token among the subprotocols of a WebSocket handshake: with `access_token.`, pages open
        /// `new WebSocket(url, ["chat", "access_token." + token])`.
        websocket_protocol: String,
    }

    /// A claim that services receive as a header field.
    struct ClaimHeader {
        /// A header field, in lower case, that services receive a claim in; whatever the client sends under that name, in any
        /// case and with any marks for `-`, is taken off on every route.
        header: String = required,
        /// Where the claim is in the JWT: a JSON Pointer.
        pointer: String = required,
        /// `plain`: a text that cannot stand in a field as it is, is left out; `base64url`: every text is encoded. Lists and
        /// objects are base64url of their JSON.
        encoding: Encoding = "plain",
    }

    /// What the gateway signs itself.
    struct Mint {
        /// The issuer that the gateway is.
        issuer: String = required,
        /// The first signs; the others are published with it: put a new key second, wait until services have it, put it first,
        /// and take the old one out when the last JWT of it is over.
        keys: Vec<Field<MintKey>> = required,
        /// How long a JWT lives at most, and never longer than the token.
        lifetime: Span<{ 10 * SECOND }, HOUR> = "5m",
        /// `aud`.
        audience: String = required,
        /// Where the answer names the user: a JSON Pointer to the claim that becomes `sub`. The client's `client_id` becomes `sub`
        /// only if the answer has neither this claim, nor `sub`, nor `username`; see "Whom a minted JWT names".
        subject: String = "/sub",
        /// Claims of the answer that the JWT carries, beside `sub`, `client_id` and `scope`.
        claims: Vec<Field<MintClaim>>,
        /// Where the public keys are, without a token: on every host, as services may know the gateway by another name than
        /// `mint.issuer`. Where a `public` rule names another host in `hosts`, this path is its service's there.
        jwks_path: String = "/.well-known/jwks.json",
    }

    /// A key that the gateway signs with.
    struct MintKey {
        /// A private key, as `introspection.private_key`, or `{env: NAME}`. With RSA, signing takes time that depends on the
        /// key, masked by random numbers of the host ([RUSTSEC-2023-0071](https://rustsec.org/advisories/RUSTSEC-2023-0071)):
        /// prefer P-256.
        private_key: Confidential = required,
        /// Its `kid`; by default its thumbprint.
        key_id: String,
    }

    /// A claim of the answer that the minted JWT carries.
    struct MintClaim {
        /// Its name in the JWT.
        name: String = required,
        /// Where it is in the answer: a JSON Pointer.
        pointer: String = required,
    }

    /// What is minted for one rule.
    struct RuleMint {
        /// `aud`, instead of `mint.audience`.
        audience: String,
        /// Instead of `mint.claims`.
        claims: Vec<Field<MintClaim>>,
    }

    /// What proofs of possession have to be like.
    struct Dpop {
        /// What clients know the gateway by, `https://api.example.com`: the URLs in proofs start with one of these. Where there are
        /// several, the request's `Host` chooses the one that its proof has to be for; so do not expose more hosts than these.
        origins: Names = required,
        /// The algorithms of proofs; by default ES256, EdDSA, PS256 and RS256.
        algorithms: Algorithms,
        /// How old a proof may be; so long it is remembered, so that it is not used twice. In the shared data, the longest counts
        /// that any configuration had since the proxy started.
        max_age: Span<SECOND, { 5 * MINUTE }> = "1m",
        /// How many proofs may be used within `max_age`, at all workers together, and a quarter of that by one key; a proof that
        /// could not be remembered is a 503. `100000` is 1666 requests in a second, 416 by one key, at a `max_age` of `1m`. Each
        /// takes about 50 bytes, in the shared data and at the worker that saw it.
        max_proofs: Number<1024, 10_000_000> = 100_000,
        /// Whether workers share what they remember, by the host's shared data; for a host without, `false`, and then a proof
        /// can be used once on each worker. Either way, memory that begins empty takes no proof that was issued before it began.
        shared: bool = true,
        /// If proofs have to have a nonce of the gateway: a secret of 32 bytes at least, or `{env: NAME}`, the same for all
        /// gateways.
        nonce_secret: Confidential,
        /// How long a nonce is given out; it is good for one period more.
        nonce_period: Span<SECOND, HOUR> = "1m",
    }

    /// A claim that the host keeps.
    struct FilterState {
        /// By what the host calls it.
        name: String = required,
        /// Where the claim is in the JWT: a JSON Pointer.
        pointer: String = required,
    }

    /// What is kept of answers, and for how long.
    struct Cache {
        /// Entries in each worker for each authorization server, and slots in the data that all workers share.
        max_entries: Number<16, 1_000_000> = 10_000,
        /// Bytes in each worker for each authorization server, at least 256 for each entry.
        max_bytes: Number<{ 64 * KIB }, { 1024 * MIB }> = 33_554_432,
        /// Bytes of the data that all workers share, at least 256 for each slot; what is longer than an equal share is kept in
        /// workers alone. By default 134217728, or 256 for each slot if that is more.
        shared_max_bytes: Number<{ 64 * KIB }, { 1024 * MIB }>,
        /// Longest time to live; `0s` turns the cache off.
        max_ttl: Span<0, DAY> = "5m",
        /// Time to live of answers that say `no-store`, `no-cache` or `max-age=0`. Without it, that is honoured.
        no_store_ttl: Span<0, DAY>,
        /// How long a worker knows that a token is not active, or is active and refused for what it is (a refresh token, say), never longer than `cache.max_ttl`, where the answer's
        /// `Cache-Control` allows it, or `cache.no_store_ttl`; `0s` for not at all. Failures are never kept.
        inactive_ttl: Span<0, MINUTE> = "2s",
        /// How long before its end, at most for half of its time, an entry that is in use is renewed, by one worker for all
        /// while requests go on; `0s` for never. What ends with its token is not. Published keys are fetched in the background
        /// as well, unless it is `0s`. It needs timers of the host.
        refresh_ahead: Span<0, DAY> = "10s",
        /// How long beyond its end an entry may serve while the server cannot be reached, does not answer in time, fails, or is
        /// left alone; never past the token's `exp`, nor without the published key that verified it, nor where the answer said
        /// `no-store`, `no-cache` or `must-revalidate`. That the server or the gateway is asked too much (429, the limits above)
        /// is no reason. A revoked token is good for that much longer if its server is down.
        stale_if_error: Span<0, DAY> = "0s",
        /// Whether workers share what they learn of tokens and published keys, by the host's shared data. In Kong, that needs a zone.
        shared: bool = true,
    }

    /// Which pages of other origins may call the API.
    struct Cors {
        /// Origins whose pages may call the API, `https://app.example.com`: their preflights pass without a token where a rule
        /// exposes what they ask for, even past a rule for `OPTIONS`, and they may read refusals. Leave it out where Envoy's own
        /// CORS filter is in use.
        allow_origins: Names = required,
    }

    /// The metadata of the protected resource.
    struct ResourceMetadata {
        /// The resource identifier, a URL.
        resource: String = required,
        /// Issuer identifiers.
        authorization_servers: Names = required,
        /// A member of the document.
        scopes_supported: Names,
        /// A member of the document.
        resource_name: String,
        /// A member of the document.
        resource_documentation: String,
    }

    /// The body of refusals.
    struct ErrorBody {
        /// Its type: JSON, `application/problem+json` say.
        media_type: String = "application/json",
        /// JSON with `{status}`, `{error}`, `{error_description}` and `{reason}` in it.
        template: String = required,
    }

    /// Which requests are exposed, and what they require.
    struct Rule {
        /// Whose tokens are taken here: a name of `authorization_servers`. By default, see "Several servers".
        authorization_server: String,
        /// Names in lower case, or `*.example.com`; by default all.
        hosts: Names,
        /// The path and all below it; it ends at a segment boundary, so `/public` does not open `/publicity`. A segment can be
        /// a placeholder, `/orders/{id}`: then it is for that path alone.
        path: String = required,
        /// `prefix`, with all below it, or `exact`, without; a slash at the end makes no difference. By default as the path
        /// says.
        path_match: PathMatch,
        /// What routes of the proxy ask beside the rules for the path: Envoy's route name, or `route` in the metadata
        /// `phantom-token` of a route. Such a rule opens nothing. Envoy selects the route anew when the filter has written its
        /// fields, so a table that matches on `authorization`, on fields of claims or where tokens come from, can send a request
        /// by another route than the one that was looked at. So can a filter before this one that changes fields or clears the
        /// route cache: then this rule does not hold, unless a filter right before this one selects the route anew (see
        /// "Rules for routes" of the page for Envoy). `phantom-token check` looks for that.
        routes: Names,
        /// In upper case; `GET` is for `HEAD` as well. By default all.
        methods: Names,
        /// `public`: no token needed, and a bearer token that comes anyway is taken off.
        access: Access = "protected",
        /// `true`: nothing is refused here, all is only reported; see "Reporting before refusing". By default as at the top.
        report_only: bool,
        /// Which workloads may call: one of these is the first URI in the certificate that the caller showed (SPIFFE IDs); by
        /// default anybody. Preflights have to come from them as well. Envoy has to verify the certificate: `trusted_ca` in the listener's TLS context, and no `ACCEPT_UNTRUSTED`.
        peers: Names,
        /// Tokens have to be bound to a key here; by default as the server says.
        dpop: RuleDpop,
        /// What is different in JWTs that are minted for this rule.
        mint: RuleMint,
        /// One of these has to be in `aud`, beyond what `token.audience` asks.
        audience: Names,
        /// Each of these has to be in the JWT's `scope`.
        scopes: Vec<String>,
        /// And one of these.
        any_scopes: Names,
        /// Conditions on other claims: `{pointer: /department, one_of: [sales]}`,
        /// `{pointer: /realm_access/roles, contains: admin}` or `{pointer: /sub, present: true}`.
        claims: Vec<Field<Condition>>,
        /// How the user has to have authenticated: one of these is `acr`.
        acr_values: Names,
        /// How long ago at most, by `auth_time`.
        max_age: Span<SECOND, YEAR>,
    }

    /// A condition on a claim: exactly one of `present`, `one_of` and `contains`.
    struct Condition {
        /// Where the claim is: a JSON Pointer.
        pointer: String = required,
        /// `true`: it is there.
        present: bool,
        /// It is one of these.
        one_of: Vec<Value>,
        /// It is a list that has this.
        contains: Value,
    }
}
