//! The fields of a rule that select requests: `hosts`, `methods`, `headers` and `mcp`.

use http::Method;

use super::texts::RequestField;
use crate::fields::{ConfigErrors, FieldPath, NonEmptyList, Visible, keywords, section};
use crate::policy::{
    CallCondition, CallSource, FieldCondition, FieldTest, HostPattern, Selection, TOOLS_CALL,
};

section! {
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
}

keywords! {
    CallSource { EnvoyFilter = "envoy_filter" or HeaderFields = "header_fields" }
}

/// Returns the conditions on a request beyond its host, path and method.
pub(super) fn selection(
    at: FieldPath<'_>,
    headers: Option<Vec<RuleHeader>>,
    mcp: Option<RuleMcp>,
    errors: &mut ConfigErrors,
) -> Selection {
    Selection {
        fields: field_conditions(at.field("headers"), headers.unwrap_or_default(), errors),
        call: mcp.and_then(|mcp| mcp.condition(at.field("mcp"), errors)),
    }
}

/// Returns the hosts, each once. `None` means all hosts.
pub(super) fn host_patterns(
    at: FieldPath<'_>,
    names: Option<Vec<String>>,
    errors: &mut ConfigErrors,
) -> Vec<HostPattern> {
    let Some(names) = names else { return vec![HostPattern::Any] };
    let mut hosts: Vec<HostPattern> = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let at = at.element(index);
        match errors.check(at, HostPattern::parse(name)) {
            Some(host) if hosts.contains(&host) => errors.note(at, "is a duplicate"),
            Some(host) => hosts.push(host),
            None => {}
        }
    }
    hosts
}

/// Returns the methods. A rule for GET applies to HEAD as well: services answer both with the same code (RFC 9110 §9.3.2).
pub(super) fn with_head(
    at: FieldPath<'_>,
    mut methods: Vec<String>,
    errors: &mut ConfigErrors,
) -> Vec<String> {
    let is_method = |name: &String| {
        Method::from_bytes(name.as_bytes()).is_ok() && !name.bytes().any(|byte| byte.is_ascii_lowercase())
    };
    if !methods.iter().all(is_method) {
        errors.note(at, "must be method names in upper case");
    }
    if methods.iter().any(|method| ["*", "ANY", "ALL"].contains(&method.as_str())) {
        errors.note(at, "must be left out if the rule is for all methods");
    }
    let has = |name: &str| methods.iter().any(|method| method == name);
    if has("GET") && !has("HEAD") {
        methods.push("HEAD".to_owned());
    }
    methods
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
        if methods.iter().any(|method| method == TOOLS_CALL) {
            errors
                .note(at.field("methods"), "must not have tools/call, which is any tool: name them in tools");
        }
        Some(CallCondition { source, methods, tools })
    }
}
