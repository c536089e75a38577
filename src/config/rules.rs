//! The section `rules`.

use std::sync::Arc;

use http::Method;
use serde_json::Value;

use super::mint::RuleMint;
use super::texts::{ConditionPointer, RequestField};
use crate::documents::resource_metadata::ResourceMetadata;
use crate::fields::{
    BoundedDuration, ConfigErrors, FieldPath, NonEmptyList, SECOND, Visible, YEAR, keywords, section,
};
use crate::http::opaque_path::Delimiter;
use crate::policy::{
    self, AcrValues, AnyScopes, Audience, CallCondition, CallSource, ClaimCondition, ClaimConditions,
    Condition, Enforcement, FieldCondition, FieldTest, HostPattern, KeyBinding, MaxAge, PathPattern, Peers,
    Requirement, Rules, Scopes, Selection, Test,
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

    /// A condition on a header field: exactly one of `exact`, `one_of` and `prefix`, which are compared letter by letter.
    pub(super) struct RuleHeader {
        /// Its name, in lower case.
        name: RequestField = required,
        /// Its value is this.
        exact: Visible,
        /// Its value is one of these.
        one_of: NonEmptyList<Visible>,
        /// Its value begins so.
        prefix: Visible,
    }

    /// The call of an MCP client: one of `methods`, or `tools/call` of one of `tools`.
    pub(super) struct RuleMcp {
        /// What tells which call it is. `envoy_filter`: Envoy's filter `envoy.filters.http.mcp`, which reads the body and stands before
        /// this one. `header_fields`: `Mcp-Method` and `Mcp-Name`, in a revision of MCP that has servers refuse what differs from
        /// the body (2026-07-28), and your word that this one does. Where it does not tell, the rule does not decide.
        source: CallSource = required,
        /// Methods, `tools/list` say.
        methods: NonEmptyList<Visible>,
        /// Names of tools.
        tools: NonEmptyList<Visible>,
    }

    /// Requirements for a token, all of which it must meet.
    #[derive(Default, PartialEq)]
    pub(super) struct TokenConditions {
        /// `aud` must contain one of these, in addition to what `token.audience` requires.
        audience: NonEmptyList<String>,
        /// The JWT's `scope` must contain all of these.
        scopes: Vec<String>,
        /// And one of these. Put the one that allows the least first: challenges name it alone, so that clients ask for no more.
        scopes_any_of: NonEmptyList<String>,
        /// Conditions on other claims: `{pointer: /department, one_of: [sales]}`, `{pointer: /realm_access/roles, contains:
        /// admin}` or `{pointer: /sub, present: true}`.
        claims: Vec<RuleClaim>,
        /// How the user must have authenticated: `acr` must be one of these.
        acr_values: NonEmptyList<String>,
        /// Maximum time since the user authenticated, by `auth_time`.
        max_age: BoundedDuration<SECOND, YEAR>,
    }

    /// A condition on a claim: exactly one of `present`, `one_of` and `contains`.
    #[derive(PartialEq)]
    pub(super) struct RuleClaim {
        /// JSON Pointer to the claim.
        pointer: ConditionPointer = required,
        /// `true`: the claim must be present.
        present: bool,
        /// The claim must be one of these, or a list that contains one of these.
        one_of: Vec<Value>,
        /// The claim must be this, or a list that contains this.
        contains: Value,
        /// The separator if the server writes a list as one string, as in `admin,staff`: `comma` or `space`. By default such a
        /// string is one value.
        separated_by: Separator,
    }
}

/// `rules[].claims[].separated_by`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Separator {
    Comma,
    Space,
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
    CallSource { EnvoyFilter = "envoy_filter" or HeaderFields = "header_fields" }
    Access { Public = "public", Optional = "optional" or Protected = "protected" }
    PathMatch { Prefix = "prefix" or Exact = "exact" }
    Separator { Comma = "comma" or Space = "space" }
    Delimiter { Slash = "%2F", Percent = "%25", Hash = "%23", QuestionMark = "%3F" or Semicolon = ";" }
}

keywords!(@type RuleDpop, "must be required, or left out", Required = "required");

/// What rules refer to.
pub(super) struct RuleContext<'a> {
    /// The names of the authorization servers.
    pub(super) servers: Vec<&'a str>,
    /// What minted JWTs are like, if there are any.
    pub(super) profile: Option<&'a MintProfile>,
    /// How session ids are bound, if that is said.
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
    }
    Rules::new(all, ignores_port)
}

impl Rule {
    /// One rule for each of its routes and hosts.
    fn settings(
        self,
        place: usize,
        at: FieldPath<'_>,
        context: &RuleContext<'_>,
        errors: &mut ConfigErrors,
    ) -> Vec<policy::Rule> {
        // No field can be forgotten: these select requests, all others are demands.
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
        let hosts = match &hosts {
            None => vec![HostPattern::Any],
            Some(names) => host_patterns(at.field("hosts"), names, errors),
        };
        let narrows = routes.is_some();
        let routes = routes.map_or(vec![None], |routes| routes.into_iter().map(Some).collect());
        let is_exact = path_match.map(|path_match| path_match == PathMatch::Exact);
        let path = errors.check(at.field("path"), PathPattern::parse(&path, is_exact));
        let methods = methods.unwrap_or_default();
        if !methods.iter().all(|method| is_method(method)) {
            errors.note(at.field("methods"), "must be method names in upper case");
        }
        if methods.iter().any(|method| ["*", "ANY", "ALL"].contains(&method.as_str())) {
            errors.note(at.field("methods"), "must be left out if the rule is for all methods");
        }
        let methods = with_head(methods);
        let selection = Selection {
            fields: field_conditions(at.field("headers"), headers.unwrap_or_default(), errors),
            call: mcp.and_then(|mcp| mcp.condition(at.field("mcp"), errors)),
        };
        if selection != Selection::default() {
            // Clients write these as they like, so no place opens by them.
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

        if authorization_server.is_some() && authorization_servers.is_some() {
            errors.note(
                at.field("authorization_servers"),
                "must be left out where there is authorization_server",
            );
        }
        let one = authorization_server.map(|name| (at.field("authorization_server"), name));
        let at_several = at.field("authorization_servers");
        let several = authorization_servers.into_iter().flatten().enumerate();
        let mut servers = Vec::new();
        for (at, name) in
            one.into_iter().chain(several.map(|(index, name)| (at_several.element(index), name)))
        {
            let place = context.servers.iter().position(|server| *server == name).map(ServerId);
            let place = place.ok_or("must be the name of one of authorization_servers");
            let place =
                place.and_then(|id| if servers.contains(&id) { Err("is a duplicate") } else { Ok(id) });
            servers.extend(errors.check(at, place));
        }
        let mint = mint.and_then(|mint| mint.profile(at.field("mint"), context.profile, errors));
        let peers = peers.and_then(|peers| errors.check(at.field("peers"), Peers::new(peers)));
        let resource_metadata = resource.and_then(|resource| {
            let known = context.resource_metadata.iter().find(|metadata| metadata.resource() == resource);
            let url = known.map(|metadata| Arc::clone(metadata.url()));
            errors.check(at.field("resource"), url.ok_or("must be a resource of resource_metadata"))
        });
        let session = bind_session.filter(|binds| *binds).and_then(|_| {
            let at = at.field("bind_session");
            // What is let through without it has no session, or that of another.
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

impl TokenConditions {
    /// As one of several: if it asked for nothing, the others would not count.
    fn alternative(self, at: FieldPath<'_>, errors: &mut ConfigErrors) -> Vec<Condition> {
        let before = errors.iter().count();
        let conditions = self.conditions(at, errors);
        if conditions.is_empty() && errors.iter().count() == before {
            errors.note(at, "must require something: every token meets it");
        }
        conditions
    }

    /// In the order in which they are checked. An empty list requires nothing.
    fn conditions(self, at: FieldPath<'_>, errors: &mut ConfigErrors) -> Vec<Condition> {
        let Self { audience, scopes, scopes_any_of, claims, acr_values, max_age } = self;
        let scopes = scopes.filter(|scopes| !scopes.is_empty());
        let claims = claims.filter(|claims| !claims.is_empty());
        let conditions: [Option<Condition>; 6] = [
            audience.map(|audience| Audience(audience).into()),
            scopes
                .and_then(|scopes| errors.check(at.field("scopes"), Scopes::new(scopes)))
                .map(Condition::from),
            scopes_any_of
                .and_then(|scopes| errors.check(at.field("scopes_any_of"), AnyScopes::new(scopes)))
                .map(Condition::from),
            claims.map(|claims| claim_conditions(at.field("claims"), claims, errors).into()),
            acr_values
                .and_then(|values| errors.check(at.field("acr_values"), AcrValues::new(values)))
                .map(Condition::from),
            max_age.map(|max_age| MaxAge(max_age).into()),
        ];
        conditions.into_iter().flatten().collect()
    }
}

fn field_conditions(
    at: FieldPath<'_>,
    headers: Vec<RuleHeader>,
    errors: &mut ConfigErrors,
) -> Vec<FieldCondition> {
    let mut conditions = Vec::new();
    for (index, RuleHeader { name, exact, one_of, prefix }) in headers.into_iter().enumerate() {
        let tests = [
            exact.map(|value| FieldTest::OneOf(vec![value])),
            one_of.map(FieldTest::OneOf),
            prefix.map(FieldTest::Prefix),
        ];
        let mut tests = tests.into_iter().flatten();
        match (tests.next(), tests.next()) {
            (Some(test), None) => conditions.push(FieldCondition { name, test }),
            _ => errors.note(
                at.element(index).field("name"),
                "needs exactly one of exact, one_of and prefix beside it",
            ),
        }
    }
    conditions
}

impl RuleMcp {
    fn condition(self, at: FieldPath<'_>, errors: &mut ConfigErrors) -> Option<CallCondition> {
        let Self { source, methods, tools } = self;
        let (methods, tools) = (methods.unwrap_or_default(), tools.unwrap_or_default());
        if methods.is_empty() && tools.is_empty() {
            errors.note(at, "needs methods or tools");
        }
        if methods.iter().any(|method| method == policy::TOOLS_CALL) {
            errors
                .note(at.field("methods"), "must not have tools/call, which is any tool: name them in tools");
        }
        Some(CallCondition { source, methods, tools })
    }
}

fn claim_conditions(at: FieldPath<'_>, claims: Vec<RuleClaim>, errors: &mut ConfigErrors) -> ClaimConditions {
    let claims = claims.into_iter().enumerate();
    ClaimConditions(claims.filter_map(|(index, claim)| claim.condition(at.element(index), errors)).collect())
}

impl RuleClaim {
    /// A pointer, and exactly one thing that the claim there has to be.
    fn condition(self, at: FieldPath<'_>, errors: &mut ConfigErrors) -> Option<ClaimCondition> {
        if self.present == Some(false) {
            errors.note(at.field("present"), "must be true");
        }
        if self.one_of.as_ref().is_some_and(Vec::is_empty) {
            errors.note(at.field("one_of"), "must not be empty");
        }
        if self.contains.as_ref().is_some_and(Value::is_array) {
            errors.note(at.field("contains"), "must be one value: use one_of for alternatives");
        }
        if self.present.is_some() && self.separated_by.is_some() {
            errors.note(at.field("separated_by"), "must be left out with present");
        }
        let separator = self.separated_by.map(|separator| match separator {
            Separator::Comma => ',',
            Separator::Space => ' ',
        });
        let tests = [
            self.present.map(|_| Test::Present),
            self.one_of.map(Test::OneOf),
            self.contains.map(|value| Test::OneOf(vec![value])),
        ];
        let mut tests = tests.into_iter().flatten();
        let (Some(test), None) = (tests.next(), tests.next()) else {
            let message = "needs exactly one of present, one_of and contains beside it";
            errors.note(at.field("pointer"), message);
            return None;
        };
        Some(ClaimCondition { pointer: self.pointer, test, separator })
    }
}

fn host_patterns(at: FieldPath<'_>, names: &[String], errors: &mut ConfigErrors) -> Vec<HostPattern> {
    let mut hosts: Vec<HostPattern> = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let at = at.element(index);
        match errors.check(at, host(name)) {
            Some(host) if hosts.contains(&host) => errors.note(at, "is a duplicate"),
            Some(host) => hosts.push(host),
            None => {}
        }
    }
    hosts
}

/// A name of labels, or an address of IPv6 in brackets, as requests have it behind lower-casing.
fn host(name: &str) -> Result<HostPattern, &'static str> {
    let is_label = |label: &str| {
        let is_character =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
        !label.is_empty() && label.bytes().all(is_character)
    };
    let is_address =
        |text: &str| text.parse::<std::net::Ipv6Addr>().is_ok() && text == text.to_ascii_lowercase();
    if let Some(domain) = name.strip_prefix("*.").filter(|domain| domain.split('.').all(is_label)) {
        return Ok(HostPattern::Below(format!(".{domain}")));
    }
    let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match address.map_or_else(|| name.split('.').all(is_label), is_address) {
        true => Ok(HostPattern::Exactly(name.to_owned())),
        false => Err(
            "must be a name in lower case without port, or *. and a domain; left out, it is for all hosts",
        ),
    }
}

/// A rule for GET is for HEAD as well: services answer both by the same code (RFC 9110 §9.3.2).
fn with_head(mut methods: Vec<String>) -> Vec<String> {
    let has = |name: &str| methods.iter().any(|method| method == name);
    if has("GET") && !has("HEAD") {
        methods.push("HEAD".to_owned());
    }
    methods
}

fn is_method(name: &str) -> bool {
    Method::from_bytes(name.as_bytes()).is_ok() && !name.bytes().any(|byte| byte.is_ascii_lowercase())
}

#[cfg(all(test, feature = "schema"))]
mod tests;
