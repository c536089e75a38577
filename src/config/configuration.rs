//! The whole configuration, its small sections, and the checks across sections.

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
    ConfigErrors, FieldPath, FieldType, LongSecret, NonEmptyList, OneOrMore, Pointer, Reader, SecretSources,
    Visible, keywords, section,
};
use crate::http::cors;
use crate::http::sanitize::OverrideHeaders;
use crate::json::Object;
use crate::policy::Rules;
use crate::policy::{Enforcement, Requirement};
use crate::refusal;
use crate::refusal::ProtectionSpace;
use crate::server_id::ServerId;
use crate::session;
use crate::settings::Settings;
use crate::upstream::headers::Forwarding;
use crate::upstream::mint::{self as minting, MintSettings};

section! {
    /// The whole.
    pub(super) struct Configuration {
        /// Defaults for the fields below that suit a known server. Fields that you set take precedence; `phantom-token show`
        /// prints the result.
        profile: ProfileName,
        /// Where and how access tokens are introspected. Required, unless all tokens are JWTs verified here.
        introspection: Introspection,
        /// The UserInfo endpoint of a server without introspection, used instead of `introspection`; see "By UserInfo" for its
        /// limitations.
        userinfo: UserInfo,
        /// Requirements for access tokens.
        token: Token,
        /// The keys that verify signatures; exactly one of `jwks_uri`, `metadata_url`, `jwks` and `hmac_secret`.
        keys: Keys,
        /// Several authorization servers, each with its own `introspection`, `token` and `keys`, instead of those at the top
        /// level.
        authorization_servers: Vec<Server>,
        /// How clients present access tokens.
        token_sources: TokenSources = {},
        /// Requirements for proofs of possession. Required with `token.dpop`.
        dpop: Dpop,
        /// For servers whose responses carry no JWT: the gateway signs one itself, in the profile of [RFC
        /// 9068](https://www.rfc-editor.org/rfc/rfc9068).
        mint: Mint,
        /// Where the client's certificate comes from, for tokens bound to one ([RFC
        /// 8705](https://www.rfc-editor.org/rfc/rfc8705)): the connection, or `x-forwarded-client-cert` with one element, which a
        /// proxy in front must overwrite (Envoy's `SANITIZE_SET`). Without it, such tokens are refused.
        client_certificate: CertificateSource,
        /// Another header field for the JWT, which then has no `Bearer` prefix; `Authorization` is removed.
        jwt_header: JwtHeader = "authorization",
        /// Claims that services receive as header fields.
        claim_to_headers: Vec<ClaimToHeader> = [],
        /// Claims stored by the host: in Envoy as filter state `wasm.<name>`, for access logs (`%FILTER_STATE(wasm.name:PLAIN)%`)
        /// and RBAC.
        filter_state: Vec<FilterState> = [],
        /// Fields with which frameworks let a client override the path or method of its request: `X-Original-URL`,
        /// `X-Rewrite-URL`, `X-HTTP-Method-Override`, `X-HTTP-Method` and `X-Method-Override`, in any letter case and with any
        /// separator for `-`. `remove` removes them from every request, public ones and preflights included. `keep` is for
        /// services that need them; then a service may handle another path or method than the one that rules authorized.
        override_headers: OverrideHeaders = "remove",
        /// What responses are cached, and for how long.
        cache: CacheSettings = {},
        /// Pages of other origins that may call the API.
        cors: Cors,
        /// The realm in challenges.
        realm: Visible = "api",
        /// The metadata of the protected resource ([RFC 9728](https://www.rfc-editor.org/rfc/rfc9728)), or of several: each served
        /// at its well-known path, without a token. Challenges point to those of the resource that the request is for: of its host,
        /// the one with the longest path that the request is at or below. On which hosts they are served is as with `mint.jwks_path`.
        resource_metadata: OneOrMore<ResourceMetadata>,
        /// MCP servers behind the gateway: all that their clients need follows from this (see the page "An MCP server behind the gateway").
        /// `phantom-token show` prints the fields that it comes to.
        mcp: Mcp,
        /// Session ids of MCP servers, bound to the user and the client where a rule or a server in `mcp` has `bind_session`.
        session_binding: SessionBinding,
        /// Whether your router treats `a:8443` as `a`, as Envoy does with the option of this name.
        ignore_port_in_host_matching: bool = false,
        /// Whether a WebSocket, a gRPC stream or any other request ends with its token: Envoy and services receive `grpc-timeout`
        /// with the time until `exp`, unless the client's own is shorter. It takes effect on routes with `max_stream_duration: {
        /// grpc_timeout_header_max: 0s }`; see "Streams that outlive their token" of the page for Envoy.
        end_streams_with_token: bool = false,
        /// Whether concurrent requests on one worker that need the same response share one introspection, if the host supports
        /// it.
        single_flight: bool = true,
        /// Whether a valid token that lacks a scope, claim or step-up is only reported, by all rules that do not set this
        /// themselves: see "Reporting before refusing".
        report_only: bool = false,
        /// Which requests are exposed, and what each requires. What no rule matches is refused, so there has to be one, or a server
        /// in `mcp`.
        rules: Vec<Rule> = [],
        /// The body of refusals.
        error_body: ErrorBody,
        /// The most detailed level that the filter writes to the host's log, within the host's own level: `debug` has one line
        /// for each decision and each introspection.
        log_level: LevelFilter = "info",
        /// A secret of at least 32 bytes, or `{env: NAME}`. At `debug`, the log identifies a token by eight digits of an HMAC
        /// with this key, the same at all workers and gateways with the same key. By default each worker generates its own.
        log_key: LongSecret,
    }

    /// Pages of other origins that may call the API.
    pub(super) struct Cors {
        /// Origins whose pages may call the API, such as `https://app.example.com`: their preflights to paths that a rule exposes
        /// pass without a token, even past a rule for `OPTIONS`, and they may read refusals. Leave it out where Envoy's own CORS
        /// filter is in use.
        allow_origins: NonEmptyList<WebOrigin> = required,
        /// Whether pages may read refusals of requests sent with credentials (`fetch` with `credentials: "include"`): cookies, or
        /// the password of a staging site. Defaults to `true` where tokens come in a cookie.
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

    /// Session ids, bound to the subject of the token: clients receive an id with a MAC behind it, and an id of another user, of another
    /// client or of another URL is a 404, as one that is unknown.
    pub(super) struct SessionBinding {
        /// A secret of at least 32 bytes, or `{env: NAME}`, the same at all gateways. With another, clients begin new sessions.
        secret: LongSecret = required,
        /// JSON Pointers to the claims that have to stay the same. A token without one of them is refused. By default `/sub` and
        /// `/client_id`.
        claims: NonEmptyList<Pointer>,
    }

    /// The body of refusals.
    pub(super) struct ErrorBody {
        /// A JSON media type, such as `application/problem+json`.
        media_type: String = "application/json",
        /// JSON that contains `{status}`, `{error}`, `{error_description}` and `{reason}`.
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
    sources: SecretSources<'_>,
) -> Result<Settings, ConfigErrors> {
    let mut object = object.into_members();
    let asks_subject = profile::apply_all(&mut object);
    let expansion = mcp::expand(&mut object);
    let object = Value::Object(object);
    let (whole, mut errors) = Reader::read::<Configuration>(&object, sources);
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
            errors.check("error_body", refusal::ErrorBody::new(media_type, &template))
        });
        let session_binding = self.session_binding.take().map(SessionBinding::settings).map(Arc::new);
        let context = RuleContext {
            enforcement: if self.report_only { Enforcement::Authentication } else { Enforcement::Full },
            servers: servers.iter().filter_map(|server| server.name.as_deref()).collect(),
            profile: mint.as_ref().map(|mint| &*mint.profile),
            resource_metadata: &resource_metadata,
            session_binding: session_binding.as_ref(),
        };
        let rules = rules(self.rules, &context, self.ignore_port_in_host_matching, errors);
        let asks_too_much = |requirement: &Requirement| {
            let servers = servers.iter().enumerate();
            let taken = servers.filter(|(index, _)| requirement.takes_tokens_of(ServerId(*index)));
            let mut taken = taken.map(|(_, server)| server.is_by_user_info()).peekable();
            // Servers with errors are missing here.
            taken.peek().is_some() && taken.all(|is_by_user_info| is_by_user_info)
        };
        if rules.requirements().any(|requirement| requirement.asks_of_token() && asks_too_much(requirement)) {
            let message = "must not require scopes, audience, dpop, acr_values or max_age from a server with userinfo, which does not report them";
            errors.note("rules", message);
        }
        let asks_for_proof = servers.iter().any(|server| server.token.dpop != DpopMode::Off)
            || rules.requirements().any(Requirement::requires_key_binding);
        if asks_for_proof && dpop.is_none() {
            errors.note("dpop", "is required if tokens may be bound to a key");
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
    #[inline(never)]
    fn settings(self, has_cookie: bool) -> cors::Cors {
        let Self { allow_origins, allow_credentials } = self;
        cors::Cors {
            allow_origins: allow_origins.into_iter().map(Arc::from).collect(),
            allow_credentials: allow_credentials.unwrap_or(has_cookie),
        }
    }
}

impl SessionBinding {
    fn settings(self) -> session::SessionBinding {
        let usual = || ["/sub", "/client_id"].map(str::to_owned).into();
        session::SessionBinding { secret: self.secret, claims: self.claims.unwrap_or_else(usual) }
    }
}

impl ResourceMetadata {
    /// Returns the documents. Two at one path of one host are an error.
    #[inline(never)]
    fn all(section: Vec<Self>, errors: &mut ConfigErrors) -> Vec<metadata::ResourceMetadata> {
        let at_all = FieldPath::Root.field("resource_metadata");
        let mut all: Vec<metadata::ResourceMetadata> = Vec::new();
        for (index, metadata) in section.into_iter().map(Self::settings).enumerate() {
            let Some(metadata) = metadata else { continue };
            let other = all.iter().find(|other| other.document().is_at_place_of(metadata.document()));
            if let Some(other) = other {
                let is_same = other.url() == metadata.url();
                let message = if is_same {
                    "is a duplicate"
                } else {
                    "is a duplicate, but for port or letter case of the host"
                };
                errors.note(at_all.element(index).field("resource"), message);
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

/// Returns the pointers of all claims that rules require, or that are forwarded or minted on their own, each once.
#[inline(never)]
fn asked_claims<'a>(
    rules: &'a Rules,
    forwarding: &'a Forwarding,
    mint: Option<&'a MintSettings>,
    of_servers: impl Iterator<Item = &'a str>,
) -> Vec<String> {
    let profile = mint.iter().flat_map(|mint| mint.profile.claims.iter().map(|claim| claim.pointer.as_str()));
    let subject = mint.iter().map(|mint| mint.subject.pointer.as_str());
    let minted = mint.iter().flat_map(|_| minting::ASKED).chain(profile).chain(subject).chain(of_servers);
    let mut pointers = BTreeSet::new();
    pointers.extend(rules.requirements().flat_map(Requirement::named_claims));
    pointers.extend(forwarding.asked_claims().chain(minted));
    pointers.into_iter().map(str::to_owned).collect()
}
