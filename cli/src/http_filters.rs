//! The HTTP filters that run before this one, as far as a file shows. A rule with `routes` is matched against the route that
//! Envoy had selected when a filter last asked for it. A filter that changes fields can lead the request to another route,
//! which Envoy selects once the cached route is cleared and requested again: by the router, or by a filter right before this
//! one (R133).

use crate::configuration::Configuration;
use crate::document::Node;

/// The HTTP filters that run before this one.
#[derive(Clone, Debug, Default)]
pub enum Before {
    /// The configuration stands alone, or in a host without routes.
    #[default]
    Unknown,
    /// The host adds this filter to others, which the file does not contain.
    Elsewhere,
    /// All filters before this one, in their order, except disabled ones.
    Known(Vec<Filter>),
}

/// An HTTP filter.
#[derive(Clone, Debug)]
pub struct Filter {
    name: String,
    effect: Effect,
    /// Whether it is Envoy's MCP filter and checks for duplicate keys: it rejects a body with such keys, or reports that it would have.
    reads_calls_once: bool,
}

/// What a filter does to the route of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// Clears the cached route, and requests the route again.
    Selects,
    /// Requests the route, which Envoy then selects if it was cleared: the CORS filter.
    Asks,
    /// Changes what routes match on, and clears the cached route.
    Clears,
    /// Changes what routes match on. The cached route stays until another filter clears it, as this one does.
    Changes,
    /// May do the same as [`Self::Changes`].
    Unknown,
}

/// How certain it is that the configuration around the filter's lets requests pass that the rules would refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Risk {
    /// It depends on more than the file.
    Possible,
    /// It is certain.
    Certain,
}

impl Before {
    /// Returns the filters of a list that come before this index.
    pub fn place(filters: &[Node], index: usize) -> Self {
        let before =
            filters.iter().take(index).filter(|filter| !filter.get("disabled").is_some_and(Node::is_true));
        Self::Known(before.map(Filter::read).collect())
    }

    /// Returns the risk of a stale route, and the reason.
    fn risk(&self) -> Option<(Risk, String)> {
        let filters = match self {
            Self::Unknown => return None,
            Self::Elsewhere => {
                let message = format!("this file does not show which filters run before this one: {REMEDY}");
                return Some((Risk::Possible, message));
            }
            Self::Known(filters) => filters,
        };
        let mut stale: Option<&Filter> = None;
        for filter in filters {
            stale = match (filter.effect, stale.map(|stale| stale.effect)) {
                (Effect::Selects, _) | (Effect::Asks, Some(Effect::Clears)) => None,
                (Effect::Clears, _) | (Effect::Changes, _) | (Effect::Unknown, None) => Some(filter),
                (Effect::Asks | Effect::Unknown, _) => stale,
            };
        }
        let Filter { name, effect, .. } = stale?;
        let (risk, verb) = match effect {
            Effect::Unknown => (Risk::Possible, "may change"),
            _ => (Risk::Certain, "changes"),
        };
        let message = format!("{name} runs before this filter and {verb} the route of requests: {REMEDY}");
        Some((risk, message))
    }
}

impl Filter {
    fn read(filter: &Node) -> Self {
        let name = filter.text_of("name").unwrap_or("a filter without a name").to_owned();
        let configuration = filter.field("typed_config");
        let of_type = configuration.and_then(|node| node.text_of("@type")).unwrap_or_default();
        let is = |type_name: &str| of_type.ends_with(type_name);
        let says = |calls: &[&str]| configuration.is_some_and(|node| has_text(node, calls));
        let effect = if is(".lua.v3.Lua") && says(&[CLEAR]) && says(&[":metadata()"]) {
            Effect::Selects
        } else if is(".cors.v3.Cors") || (of_type.is_empty() && name == "envoy.filters.http.cors") {
            Effect::Asks
        } else if configuration.is_some_and(clears_route_cache) || says(SCRIPTED) {
            Effect::Clears
        } else if is(".header_mutation.v3.HeaderMutation") {
            Effect::Changes
        } else {
            Effect::Unknown
        };
        let reads_calls_once = is(".mcp.v3.Mcp")
            && configuration.and_then(|node| node.field("reject_duplicate_keys")).is_some_and(Node::is_true);
        Self { name, effect, reads_calls_once }
    }
}

/// Returns a note about the filter that answers preflights before this one, as far as the file shows one.
pub fn of_preflights(configuration: &Configuration) -> Option<String> {
    let Before::Known(filters) = configuration.before() else { return None };
    let Filter { name, .. } = filters.iter().find(|filter| filter.effect == Effect::Asks)?;
    Some(format!(
        "{name} comes before, and answers preflights of the origins that its policy for the route allows: what follows is about others"
    ))
}

/// If a configuration has rules with `routes`, returns the risk that they are matched against a stale route, with the path of the first
/// such field and the reason.
pub fn stale_route(configuration: &Configuration) -> Option<(Risk, String, String)> {
    let rules = configuration.node()?.get("rules")?.elements();
    let index = rules.iter().position(|rule| rule.get("routes").is_some())?;
    let (risk, message) = configuration.before().risk()?;
    Some((risk, format!("rules[{index}].routes"), message))
}

/// If a configuration relies on Envoy's MCP filter, returns the risk that the filter's metadata is missing or wrong, with the path of the
/// first field that relies on it and the reason.
pub fn unread_call(configuration: &Configuration) -> Option<(Risk, String, String)> {
    let node = configuration.node()?;
    let is_envoys = |at: Option<&Node>| at.and_then(Node::text) == Some("envoy_filter");
    let of = |list: Option<&Node>, field: &str, at: &str| {
        let mut elements = list?.elements().iter();
        let index = elements.position(|element| is_envoys(element.find(&[field, "source"])))?;
        Some(format!("{at}[{index}].{field}.source"))
    };
    let of_rules = of(node.get("rules"), "mcp", "rules");
    let path = of_rules.or_else(|| of(node.find(&["mcp", "servers"]), "per_tool", "mcp.servers"))?;
    match configuration.before() {
        Before::Unknown => None,
        Before::Elsewhere => Some((
            Risk::Possible,
            path,
            format!("this file does not tell which filters stand before this one: {READER}"),
        )),
        Before::Known(filters) if filters.iter().any(|filter| filter.reads_calls_once) => None,
        Before::Known(_) => {
            Some((Risk::Certain, path, format!("no filter before this one reads each call once: {READER}")))
        }
    }
}

/// Whether a filter sets the option `clear_route_cache`, which several filters have.
fn clears_route_cache(node: &Node) -> bool {
    node.field("clear_route_cache").is_some_and(Node::is_true) || node.children().any(clears_route_cache)
}

fn has_text(node: &Node, parts: &[&str]) -> bool {
    node.text().is_some_and(|text| parts.iter().any(|part| text.contains(part)))
        || node.children().any(|child| has_text(child, parts))
}

const CLEAR: &str = ":clearRouteCache()";

/// The calls by which a Lua script changes the request head, after which Envoy clears the route, or by which it clears the route itself.
const SCRIPTED: &[&str] = &[":add(", ":replace(", ":remove(", CLEAR];

const READER: &str = "put envoy.filters.http.mcp of Envoy 1.40 or later, with reject_duplicate_keys: true, before \
     this one, as envoy-config/mcp.yaml does";

const REMEDY: &str =
    "put a Lua filter right before this one that selects the route again, as docs/hosts/envoy.md shows";
