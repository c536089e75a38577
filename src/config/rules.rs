//! The section `rules`.

use std::sync::Arc;

use super::mint::RuleMint;
use super::selection::{RuleHeader, RuleMcp, host_patterns, selection, with_head};
use crate::documents::resource_metadata::ResourceMetadata;
use crate::fields::{ConfigErrors, FieldPath, NonEmptyList, keywords, section};
use crate::http::opaque_path::Delimiter;
use crate::policy::{
    self, Condition, Enforcement, KeyBinding, PathPattern, Peers, Requirement, Rules, Selection,
    TokenConditions,
};
use crate::server_id::ServerId;
use crate::session::SessionBinding;
use crate::upstream::mint::MintProfile;

section! {
    /// Which requests are exposed, and what they require.
    pub(super) struct Rule {
        /// The server whose tokens are accepted here: a name in `authorization_servers`. For the default, see "Several servers".
        authorization_server: String,
        /// Several of them instead, in the order in which an opaque token is introspected: each receives the tokens that are
        /// unknown to those before it. See "Several servers".
        authorization_servers: NonEmptyList<String>,
        /// Names in lower case without port, or `*.example.com` for all subdomains at any depth, but not the domain itself;
        /// addresses as requests write them. Defaults to all.
        hosts: NonEmptyList<String>,
        /// The path and everything below it; it ends at a segment boundary, so `/public` does not open `/publicity`. A segment
        /// can be a placeholder, as in `/orders/{id}`: then the rule is for exactly that path.
        path: String = required,
        /// `prefix` includes everything below the path, `exact` does not; a trailing slash makes no difference. By default the
        /// path decides.
        path_match: PathMatch,
        /// Characters that paths may contain here although servers interpret them differently: `%2F`, `%25`, `%23`, `%3F` and
        /// `;`. The path is forwarded unchanged, and rules treat each character as part of its segment; see "Characters in paths"
        /// for what the service then has to do. By default such a path is a 400 wherever rules differ by path.
        allow_in_path: NonEmptyList<Delimiter>,
        /// Adds requirements for routes of the proxy to those for the path: Envoy's route name, or `route` in the metadata
        /// `phantom-token` of a route. Such a rule exposes nothing. Envoy selects the route again after the filter has written
        /// its fields, so a route table that matches on `authorization`, on claim fields or on places of tokens can send a
        /// request to another route than the one that was checked. So can a filter before this one that changes fields or clears
        /// the route cache: then this rule does not hold, unless a filter right before this one selects the route again (see
        /// "Rules for routes" of the page for Envoy). `phantom-token check` reports that.
        routes: NonEmptyList<String>,
        /// In upper case; `GET` includes `HEAD`. Defaults to all but `CONNECT`, and, where a token is accepted, but `TRACE` and
        /// `TRACK`, to which services respond by echoing the request.
        methods: NonEmptyList<String>,
        /// What else a request has to be for this rule to decide: each of these header fields. Of rules for one path, those with
        /// `headers` or `mcp` go first, in the order in which they are written; a request that they do not select needs another
        /// rule for the same path, and is never judged by one for a wider path. A field that is there twice, or that servers may
        /// read in different ways, is a 400. Clients write fields as they like: name what needs less, and let the rule without
        /// conditions ask for more.
        headers: NonEmptyList<RuleHeader>,
        /// The same for the call of an MCP client, from where it is true; see the page "An MCP server behind the gateway".
        mcp: RuleMcp,
        /// `public`: no token needed, and a bearer token that comes anyway is removed. `optional`: no token needed, but one that
        /// comes has to be valid; see "Optional tokens".
        access: Access = "protected",
        /// `true`: nothing is refused here, only reported; see "Reporting before refusing". Defaults to the value at the top
        /// level.
        report_only: bool,
        /// Workloads that may call: the first URI in the caller's certificate has to be one of these (SPIFFE IDs). Defaults to
        /// any caller. Preflights have to come from them as well. Envoy has to verify the certificate: `trusted_ca` in the
        /// listener's TLS context, and no `ACCEPT_UNTRUSTED`.
        peers: NonEmptyList<String>,
        /// `required`: tokens must be bound to a key here. By default the server decides.
        dpop: RuleDpop,
        /// What differs in JWTs minted for this rule.
        mint: RuleMint,
        /// The resource that this is a place of: a `resource` in `resource_metadata`, whose metadata challenges name. By default host
        /// and path decide, which they cannot where a proxy in front of this one has changed them.
        resource: String,
        /// Whether session ids of MCP (`Mcp-Session-Id`) are bound to the user and the client here, as `session_binding` says.
        bind_session: bool,
        /// Alternatives: the token must meet all requirements of at least one of these, in addition to those of the rule itself;
        /// see "Alternatives".
        any_of: NonEmptyList<TokenConditions>,
        ..token: TokenConditions,
    }
}

/// `rules[].access`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Access {
    Public,
    Optional,
    Protected,
}

/// `rules[].path_match`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum PathMatch {
    Prefix,
    Exact,
}

/// `rules[].dpop`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum RuleDpop {
    Required,
}

keywords! {
    Access { Public = "public", Optional = "optional" or Protected = "protected" }
    PathMatch { Prefix = "prefix" or Exact = "exact" }
    Delimiter { Slash = "%2F", Percent = "%25", Hash = "%23", QuestionMark = "%3F" or Semicolon = ";" }
}

keywords!(@type RuleDpop, "must be required, or left out", Required = "required");

/// The parts of the configuration that rules refer to.
pub(super) struct RuleContext<'a> {
    /// The names of the authorization servers.
    pub(super) servers: Vec<&'a str>,
    /// The default profile of minted JWTs, if JWTs are minted.
    pub(super) profile: Option<&'a MintProfile>,
    /// How session ids are bound, if that is configured.
    pub(super) session_binding: Option<&'a Arc<SessionBinding>>,
    /// The published metadata.
    pub(super) resource_metadata: &'a [ResourceMetadata],
    /// The enforcement of rules that do not set it.
    pub(super) enforcement: Enforcement,
}

#[inline(never)]
pub(super) fn rules(
    section: Vec<Rule>,
    context: &RuleContext<'_>,
    ignores_port: bool,
    errors: &mut ConfigErrors,
) -> Rules {
    let at_all = FieldPath::Root.field("rules");
    if section.is_empty() {
        errors.note(at_all, "must not be empty: without a rule, nothing is exposed");
    }
    let mut all: Vec<policy::Rule> = Vec::new();
    let mut origins: Vec<usize> = Vec::new();
    for (index, rule) in section.into_iter().enumerate() {
        let at = at_all.element(index);
        let before = errors.iter().count();
        let read = rule.settings(index, at, context, errors);
        if errors.iter().count() > before || errors.has_in(&at.to_string()) {
            continue;
        }
        let contended = |rule: &policy::Rule| all.iter().position(|other| other.contends_with(rule));
        if let Some(other) = read.iter().find_map(contended).and_then(|position| origins.get(position)) {
            errors.note(
                at,
                format!("matches the same requests as rules[{other}], but for letter case perhaps"),
            );
        }
        origins.extend(read.iter().map(|_| index));
        all.extend(read);
    }
    for (rule, index) in all.iter().zip(&origins) {
        let bypassed = all.iter().position(|other| rule.lets_pass_what_is_not(other));
        if let Some(other) = bypassed.and_then(|position| origins.get(position)) {
            errors.note(
                at_all.element(*index),
                format!("must need a token as rules[{other}] does, whose headers or mcp a client can avoid"),
            );
        }
        let unbound = all.iter().position(|other| rule.leaves_unbound(other));
        if let Some(other) = unbound.and_then(|position| origins.get(position)) {
            errors.note(
                at_all.element(*index),
                format!("must have bind_session as rules[{other}] does, at the same place"),
            );
        }
    }
    Rules::new(all, ignores_port)
}

impl Rule {
    /// Returns one rule for each route and host.
    fn settings(
        self,
        place: usize,
        at: FieldPath<'_>,
        context: &RuleContext<'_>,
        errors: &mut ConfigErrors,
    ) -> Vec<policy::Rule> {
        // No field can be forgotten here: some fields select requests, and all others are demands.
        let Self {
            hosts,
            path,
            path_match,
            allow_in_path,
            routes,
            methods,
            headers,
            mcp,
            access,
            authorization_server,
            authorization_servers,
            report_only,
            mint,
            resource,
            bind_session,
            peers,
            dpop,
            any_of,
            token,
        } = self;
        let hosts = host_patterns(at.field("hosts"), hosts, errors);
        let narrows = routes.is_some();
        let routes = routes.map_or(vec![None], |routes| routes.into_iter().map(Some).collect());
        let is_exact = path_match.map(|path_match| path_match == PathMatch::Exact);
        let path = errors.check(at.field("path"), PathPattern::parse(&path, is_exact));
        let methods = with_head(at.field("methods"), methods.unwrap_or_default(), errors);
        let selection = selection(at, headers, mcp, errors);
        if selection != Selection::default() {
            // Clients control these fields, so they must not open a path.
            if access != Access::Protected {
                errors.note(
                    at.field("access"),
                    "must not be public or optional where the rule has headers or mcp",
                );
            }
            if report_only == Some(true) {
                errors.note(at.field("report_only"), "must not be true where the rule has headers or mcp");
            }
            if narrows {
                errors.note(at.field("routes"), "must be left out where the rule has headers or mcp");
            }
        }
        let servers = context.server_ids(at, authorization_server, authorization_servers, errors);
        let mint = mint.and_then(|mint| mint.profile(at.field("mint"), context.profile, errors));
        let peers = peers.and_then(|peers| errors.check(at.field("peers"), Peers::new(peers)));
        let resource_metadata = resource.and_then(|resource| {
            let known = context.resource_metadata.iter().find(|metadata| metadata.resource() == resource);
            let url = known.map(|metadata| Arc::clone(metadata.url()));
            errors.check(at.field("resource"), url.ok_or("must be a resource of resource_metadata"))
        });
        let session = bind_session.filter(|binds| *binds).and_then(|_| {
            let at = at.field("bind_session");
            // A request that passes without a token has no session, or that of another user.
            if narrows || access == Access::Optional || report_only == Some(true) {
                errors.note(
                    at,
                    "must be left out in a rule with routes, with access: optional or with report_only",
                );
            }
            errors.check(at, context.session_binding.cloned().ok_or("needs the section session_binding"))
        });
        let demands =
            Demands { servers, report_only, mint, resource_metadata, session, peers, dpop, any_of, token };

        let is_of_path =
            !demands.servers.is_empty() || demands.mint.is_some() || demands.resource_metadata.is_some();
        if narrows && is_of_path {
            let message = "must be left out: the authorization server, the minted JWT and the resource are set by rules without routes";
            errors.note(at.field("routes"), message);
        }
        if narrows && allow_in_path.is_some() {
            errors.note(at.field("allow_in_path"), "must be left out: it is set by rules without routes");
        }
        if narrows && demands.report_only.is_some() {
            errors.note(at.field("report_only"), "must be left out: it is set by rules without routes");
        }
        if access != Access::Public && methods.iter().any(|method| policy::is_reflected(method.as_bytes())) {
            let message = "must not include TRACE or TRACK where a token is accepted: services respond by echoing the request";
            errors.note(at.field("methods"), message);
        }
        let access = match access {
            Access::Public => {
                if narrows {
                    let message = "must not be public in a rule for routes: it exposes nothing";
                    errors.note(at.field("access"), message);
                } else if demands != Demands::default() {
                    errors.note(
                        at.field("access"),
                        "must not be public if the rule has requirements for the token",
                    );
                }
                policy::Access::Public
            }
            Access::Optional | Access::Protected => {
                let is_optional = access == Access::Optional;
                if narrows && is_optional {
                    let message = "must not be optional in a rule for routes: it exposes nothing";
                    errors.note(at.field("access"), message);
                }
                let requirement = demands.requirement(at, context.enforcement, errors);
                policy::Access::Protected(Arc::new(Requirement { is_optional, ..requirement }))
            }
        };
        let Some(path) = path else { return Vec::new() };
        let places =
            routes.iter().flat_map(|route| hosts.iter().map(move |host| (route.clone(), host.clone())));
        let rule = |(route, host)| policy::Rule {
            place,
            route,
            host,
            path: path.clone(),
            methods: methods.clone(),
            selection: selection.clone(),
            allow_in_path: allow_in_path.clone().unwrap_or_default(),
            access: access.clone(),
        };
        places.map(rule).collect()
    }
}

impl RuleContext<'_> {
    /// Returns the servers of a rule, each once: `one`, or `several` in their order.
    fn server_ids(
        &self,
        at: FieldPath<'_>,
        one: Option<String>,
        several: Option<Vec<String>>,
        errors: &mut ConfigErrors,
    ) -> Vec<ServerId> {
        let at_several = at.field("authorization_servers");
        if one.is_some() && several.is_some() {
            errors.note(at_several, "must be left out where there is authorization_server");
        }
        let one = one.map(|name| (at.field("authorization_server"), name));
        let several = several.into_iter().flatten().enumerate();
        let several = several.map(|(index, name)| (at_several.element(index), name));
        let mut servers = Vec::new();
        for (at, name) in one.into_iter().chain(several) {
            match self.servers.iter().position(|server| *server == name).map(ServerId) {
                None => errors.note(at, "must be the name of one of authorization_servers"),
                Some(id) if servers.contains(&id) => errors.note(at, "is a duplicate"),
                Some(id) => servers.push(id),
            }
        }
        servers
    }
}

/// The requirements of a rule for its requests. A public rule must have none of them, even if they have no effect.
#[derive(Default, PartialEq)]
struct Demands {
    servers: Vec<ServerId>,
    report_only: Option<bool>,
    mint: Option<Arc<MintProfile>>,
    resource_metadata: Option<Arc<str>>,
    session: Option<Arc<SessionBinding>>,
    peers: Option<Peers>,
    dpop: Option<RuleDpop>,
    any_of: Option<Vec<TokenConditions>>,
    token: TokenConditions,
}

impl Demands {
    fn requirement(self, at: FieldPath<'_>, default: Enforcement, errors: &mut ConfigErrors) -> Requirement {
        let Self { servers, report_only, mint, resource_metadata, session, peers, dpop, any_of, token } =
            self;
        // In the order in which they are checked.
        let caller = [peers.map(Condition::from), dpop.map(|RuleDpop::Required| KeyBinding.into())];
        let conditions = caller.into_iter().flatten().chain(token.conditions(at, errors)).collect();
        let (at_all, alternatives) = (at.field("any_of"), any_of.unwrap_or_default().into_iter().enumerate());
        let any_of = alternatives
            .map(|(index, alternative)| alternative.alternative(at_all.element(index), errors))
            .collect();
        let enforcement = match report_only {
            Some(true) => Enforcement::Nothing,
            Some(false) => Enforcement::Full,
            None => default,
        };
        let (server, fallbacks) = match servers.as_slice() {
            [] => (None, Vec::new()),
            [first, others @ ..] => (Some(*first), others.to_vec()),
        };
        Requirement {
            is_optional: false,
            enforcement,
            also: None,
            server,
            fallbacks,
            mint,
            resource_metadata,
            session,
            conditions,
            any_of,
        }
    }
}

#[cfg(all(test, feature = "schema"))]
mod tests;
