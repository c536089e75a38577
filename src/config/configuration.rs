//! The whole configuration, its small sections, and what all of it has to do with each other.

use std::collections::BTreeSet;
use std::sync::Arc;

use log::LevelFilter;
use serde_json::Value;

use super::dpop::Dpop;
use super::forwarding::{ClaimToHeader, FilterState, TokenSources};
use super::host_kind::HostKind;
use super::introspection::Introspection;
use super::keys::Keys;
use super::mcp::{self, Mcp};
use super::mint::Mint;
use super::profile::{self, ProfileName};
use super::rules::{Rule, RuleContext, rules};
use super::servers::{Gateway, Server, servers};
use super::texts::{Identifier, JwtHeader, WebOrigin, identifier};
use super::token::Token;
use super::user_info::UserInfo;
use crate::cache::CacheSettings;
use crate::credentials::client_certificate::CertificateSource;
use crate::credentials::dpop::{DpopMode, DpopSettings};
use crate::documents::resource_metadata as metadata;
use crate::fields::{
    ConfigErrors, Environment, FieldPath, FieldType, LongSecret, NonEmptyList, Reader, Visible, keywords,
    section,
};
use crate::http::cors;
use crate::http::sanitize::OverrideHeaders;
use crate::json::Object;
use crate::policy::Rules;
use crate::policy::{Enforcement, Requirement};
use crate::refusal;
use crate::refusal::ProtectionSpace;
use crate::server_id::ServerId;
use crate::settings::Settings;
use crate::upstream::headers::Forwarding;
use crate::upstream::mint::{self as minting, MintSettings};

section! {
    /// The whole.
    pub(super) struct Configuration {
        /// What is known of a server, as defaults for the fields below. Whatever is written goes before it;
        /// `phantom-token show` prints the result.
        profile: ProfileName,
        /// Where and how access tokens are introspected. It is required, unless all tokens are JWTs that are verified here.
        introspection: Introspection,
        /// Where and how access tokens are put to the UserInfo endpoint of a server that introspects nothing, instead of
        /// `introspection`; see "By UserInfo" for what that does not tell.
        userinfo: UserInfo,
        /// What access tokens have to be like.
        token: Token,
        /// What verifies signatures; exactly one of `jwks_uri`, `metadata_url`, `jwks` and `hmac_secret`.
        keys: Keys,
        /// Several authorization servers, each with its own `introspection`, `token` and `keys`, instead of those at the top.
        authorization_servers: Vec<Server>,
        /// How clients present access tokens.
        token_sources: TokenSources = {},
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
        jwt_header: JwtHeader = "authorization",
        /// Claims that services receive as header fields.
        claim_to_headers: Vec<ClaimToHeader> = [],
        /// Claims that the host keeps: Envoy as filter state `wasm.<name>`, for access logs
        /// (`%FILTER_STATE(wasm.name:PLAIN)%`) and RBAC.
        filter_state: Vec<FilterState> = [],
        /// Fields by which frameworks let a client override the path or the method of its request: `X-Original-URL`,
        /// `X-Rewrite-URL`, `X-HTTP-Method-Override`, `X-HTTP-Method` and `X-Method-Override`, in any case and with any marks for
        /// `-`. `remove` removes them from every request, public ones and preflights included; `keep` is for services that need
        /// them, and then rules judge another path or method than the service serves.
        override_headers: OverrideHeaders = "remove",
        /// What is kept of answers, and for how long.
        cache: CacheSettings = {},
        /// Which pages of other origins may call the API.
        cors: Cors,
        /// The realm in challenges.
        realm: Visible = "api",
        /// The metadata of the protected resource ([RFC 9728](https://www.rfc-editor.org/rfc/rfc9728)), or of several: each served
        /// at its well-known path, without a token. Challenges point to those of the resource that the request is for: of its host,
        /// the one with the longest path that the request is at or below. On which hosts they are served is as with `mint.jwks_path`.
        resource_metadata: NonEmptyList<ResourceMetadata>,
        /// MCP servers behind the gateway: all that their clients need follows from this (see the page "An MCP server behind the gateway").
        /// `phantom-token show` prints the fields that it comes to.
        mcp: Mcp,
        /// Whether your router takes `a:8443` for `a`, as Envoy does by the option of this name.
        ignore_port_in_host_matching: bool = false,
        /// Whether a WebSocket, a gRPC stream or any other request ends with its token: Envoy and services receive `grpc-timeout` with
        /// the time until `exp`, if the client's own is not shorter. It takes effect on routes with
        /// `max_stream_duration: { grpc_timeout_header_max: 0s }`; see "Streams that outlive their token" of the page for Envoy.
        end_streams_with_token: bool = false,
        /// Requests on one worker that need the same answer share one query, where the host can do that.
        single_flight: bool = true,
        /// Whether what an authentic token is not allowed (scope, claims, step-up) is only reported, by all rules that do not
        /// say otherwise: see "Reporting before refusing".
        report_only: bool = false,
        /// Which requests are exposed, and what each requires. What no rule matches is refused, so there has to be one, or a server
        /// in `mcp`.
        rules: Vec<Rule> = [],
        /// The body of refusals.
        error_body: ErrorBody,
        /// Up to which level the filter writes to the host's log, within what the host logs: `debug` has one line for each
        /// decision and each introspection.
        log_level: LevelFilter = "info",
        /// A secret of 32 bytes at least, or `{env: NAME}`: at `debug`, tokens are named by eight digits of an HMAC with it, the
        /// same at all workers and gateways that have the same. By default each worker makes its own.
        log_key: LongSecret,
    }

    /// Which pages of other origins may call the API.
    pub(super) struct Cors {
        /// Origins whose pages may call the API, `https://app.example.com`: their preflights pass without a token where a rule
        /// exposes what they ask for, even past a rule for `OPTIONS`, and they may read refusals. Leave it out where Envoy's own
        /// CORS filter is in use.
        allow_origins: NonEmptyList<WebOrigin> = required,
        /// Whether they may read refusals of requests that they send with credentials (`fetch` with `credentials: "include"`):
        /// cookies, or the password of a staging site. By default where tokens come in a cookie.
        allow_credentials: bool,
    }

    /// The metadata of a protected resource.
    pub(super) struct ResourceMetadata {
        /// The resource identifier, a URL.
        resource: Identifier = required,
        /// Issuer identifiers.
        authorization_servers: NonEmptyList<Identifier> = required,
        /// A member of the document.
        scopes_supported: NonEmptyList<String>,
        /// A member of the document.
        resource_name: String,
        /// A member of the document.
        resource_documentation: String,
    }

    /// The body of refusals.
    pub(super) struct ErrorBody {
        /// Its type: JSON, `application/problem+json` say.
        media_type: String = "application/json",
        /// JSON with `{status}`, `{error}`, `{error_description}` and `{reason}` in it.
        template: String = required,
    }
}

keywords! {
    CertificateSource { Connection = "connection" or Forwarded = "x-forwarded-client-cert" }
    LevelFilter {
        Off = "off", Error = "error", Warn = "warn", Info = "info", Debug = "debug" or Trace = "trace"
    }
}

pub(super) fn settings(
    object: Object,
    host: HostKind,
    environment: Environment<'_>,
) -> Result<Settings, ConfigErrors> {
    let mut object = object.into_members();
    let asks_subject = profile::apply_all(&mut object);
    let expansion = mcp::expand(&mut object);
    let object = Value::Object(object);
    let (whole, mut errors) = Reader::read::<Configuration>(&object, environment);
    host.refuse(&object, &mut errors);
    let settings = whole.settings(asks_subject, &mut errors);
    expansion.relocate(&mut errors);
    errors.or(settings, Configuration::KIND)
}

impl Configuration {
    fn settings(mut self, asks_subject: bool, errors: &mut ConfigErrors) -> Option<Settings> {
        let root = FieldPath::Root;
        let mints = self.mint.is_some();
        let mint = self.mint.take().and_then(|mint| mint.settings(root.field("mint"), errors));
        let claim_to_headers = std::mem::take(&mut self.claim_to_headers);
        let at_headers = root.field("claim_to_headers");
        let mut forwarding = Forwarding {
            claim_to_headers: ClaimToHeader::settings(claim_to_headers, at_headers, &self.jwt_header, errors),
            jwt_field: std::mem::take(&mut self.jwt_header),
            filter_state: std::mem::take(&mut self.filter_state).into_iter().map(Into::into).collect(),
            withheld: self.dpop.iter().map(|_| "dpop".to_owned()).collect(),
            override_headers: self.override_headers,
            minted_bytes: 0,
        };
        let forwards_claims = !forwarding.claim_to_headers.is_empty() || mints;
        let subject = mint.as_ref().map(|mint| &mint.subject);
        let gateway = Gateway { forwards_claims, mints, subject, asks_subject };
        let single = Server {
            profile: self.profile,
            introspection: self.introspection.take(),
            userinfo: self.userinfo.take(),
            token: self.token.take(),
            keys: self.keys.take(),
            ..Server::placeholder()
        };
        let mut servers = servers(single, self.authorization_servers.take(), gateway, errors);
        if let Some(mcp) = &self.mcp {
            let has_issuers = servers.iter().any(|server| server.token.policy.issuer.is_some());
            mcp.check(has_issuers, errors);
        }
        let dpop = self.dpop.map(Dpop::settings);
        let credentials = self.token_sources.settings(root.field("token_sources"), &forwarding, errors);
        self.cache.check(root.field("cache"), errors);
        let has_cookie = credentials.sources.cookie.is_some();
        let cors = self.cors.map(|cors| cors.settings(has_cookie)).unwrap_or_default();
        let resource_metadata =
            ResourceMetadata::all(self.resource_metadata.take().unwrap_or_default(), errors);
        let error_body = self.error_body.and_then(|ErrorBody { media_type, template }| {
            errors.check("error_body", refusal::ErrorBody::new(media_type, template))
        });
        let context = RuleContext {
            enforcement: if self.report_only { Enforcement::Authentication } else { Enforcement::Full },
            servers: servers.iter().filter_map(|server| server.name.as_deref()).collect(),
            profile: mint.as_ref().map(|mint| &*mint.profile),
        };
        let rules = rules(self.rules, &context, self.ignore_port_in_host_matching, errors);
        let asks_too_much = |requirement: &Requirement| {
            let servers = servers.iter().enumerate();
            let mut taken = servers.filter(|(index, _)| requirement.takes_tokens_of(ServerId(*index)));
            taken.all(|(_, server)| server.is_by_user_info())
        };
        if rules.requirements().any(|requirement| requirement.asks_of_token() && asks_too_much(requirement)) {
            let message = "must not ask for scopes, audience, dpop, acr_values or max_age of a server with userinfo, which does not tell of them";
            errors.note("rules", message);
        }
        let asks_for_proof = servers.iter().any(|server| server.token.dpop != DpopMode::Off)
            || rules.requirements().any(Requirement::requires_key_binding);
        if asks_for_proof && dpop.is_none() {
            errors.note("dpop", "is required where tokens may be bound to a key");
        }
        if mint.is_some() {
            let own = rules.requirements().filter(|requirement| requirement.mint.is_some());
            forwarding.minted_bytes = own.count().saturating_add(1).saturating_mul(2048);
        }
        let subjects = servers
            .iter()
            .filter_map(|server| server.subject.as_ref())
            .map(|subject| subject.pointer.as_str());
        let policies = servers.iter().map(|server| &server.token.policy);
        let clients =
            policies.filter(|policy| !policy.clients.is_empty()).map(|policy| policy.client_pointer.as_str());
        let asked = asked_claims(&rules, &forwarding, mint.as_ref(), subjects.chain(clients));
        servers.iter_mut().for_each(|server| server.claim_mapping.asked.clone_from(&asked));
        let protection = ProtectionSpace {
            realm: self.realm,
            dpop_algorithms: dpop.as_ref().map(DpopSettings::algorithm_names).unwrap_or_default(),
            error_body: error_body.unwrap_or_default(),
            allow_credentials: cors.allow_credentials,
        };
        Some(Settings {
            dpop,
            mint,
            client_certificate: self.client_certificate,
            servers,
            credentials,
            forwarding: Arc::new(forwarding),
            cache: self.cache,
            cors,
            resource_metadata,
            protection,
            rules,
            ends_streams: self.end_streams_with_token,
            single_flight: self.single_flight,
            log_level: self.log_level,
            log_key: self.log_key,
        })
    }
}

impl Cors {
    fn settings(self, has_cookie: bool) -> cors::Cors {
        let Self { allow_origins, allow_credentials } = self;
        cors::Cors {
            allow_origins: allow_origins.into_iter().map(Arc::from).collect(),
            allow_credentials: allow_credentials.unwrap_or(has_cookie),
        }
    }
}

impl ResourceMetadata {
    /// The documents, each at a place of its own.
    fn all(section: Vec<Self>, errors: &mut ConfigErrors) -> Vec<metadata::ResourceMetadata> {
        let at_all = FieldPath::Root.field("resource_metadata");
        let mut all: Vec<metadata::ResourceMetadata> = Vec::new();
        for (index, metadata) in section.into_iter().filter_map(Self::settings).enumerate() {
            if all.iter().any(|other| other.url() == metadata.url()) {
                errors.note(at_all.element(index).field("resource"), "is a duplicate");
            }
            all.push(metadata);
        }
        all
    }

    fn settings(self) -> Option<metadata::ResourceMetadata> {
        let texts =
            [("resource_name", self.resource_name), ("resource_documentation", self.resource_documentation)];
        Some(metadata::ResourceMetadata::new(metadata::Description {
            place: identifier(&self.resource).ok()?,
            resource: self.resource,
            authorization_servers: self.authorization_servers,
            scopes_supported: self.scopes_supported.unwrap_or_default(),
            texts: texts.into_iter().filter_map(|(name, text)| Some((name, text?))).collect(),
        }))
    }
}

/// The pointers of all claims that rules ask about or that are forwarded by themselves, each once.
fn asked_claims<'a>(
    rules: &'a Rules,
    forwarding: &'a Forwarding,
    mint: Option<&'a MintSettings>,
    of_servers: impl Iterator<Item = &'a str>,
) -> Vec<String> {
    let profile = mint.iter().flat_map(|mint| mint.profile.claims.iter().map(|claim| claim.pointer.as_str()));
    let subject = mint.iter().map(|mint| mint.subject.pointer.as_str());
    let minted = mint.iter().flat_map(|_| minting::ASKED).chain(profile).chain(subject).chain(of_servers);
    let pointers: BTreeSet<&str> = rules
        .requirements()
        .flat_map(Requirement::named_claims)
        .chain(forwarding.asked_claims())
        .chain(minted)
        .collect();
    pointers.into_iter().map(str::to_owned).collect()
}
