//! Settings of a host that let requests pass unchecked where this filter is missing, has failed or is turned off.

use phantom_token_core::HostKind;

use crate::document::{Content, Node, Position};
use crate::http_filters::Risk;

/// A setting that fails open.
#[derive(Clone, Debug)]
pub struct FailOpen {
    /// Its name as it is written, or its path in the configuration around the filter's.
    pub path: String,
    /// Where it is.
    pub at: Position,
    /// Whether requests certainly pass, or only depending on more than the file.
    pub risk: Risk,
    /// When requests pass, and how to prevent it.
    pub message: &'static str,
}

impl FailOpen {
    /// Returns the settings in the object that has the configuration: Envoy's `PluginConfig`, a dynamic module's filter, or a plugin in a
    /// Kubernetes resource. `documents` are all documents of the file.
    pub fn of_plugin(plugin: &Node, host: HostKind, documents: &[Node]) -> Vec<Self> {
        let mut found = Self::of_table(if host == HostKind::Kong { KONG } else { PLUGIN }, plugin);
        let module = plugin.field("dynamic_module_config");
        let waits = |module: &&Node| module.field("nack_on_cache_miss").is_some_and(Node::is_true);
        let remote =
            module.filter(|module| !waits(module)).and_then(|module| module.find(&["module", "remote"]));
        let name = plugin.text_of("name").filter(|_| host == HostKind::EnvoyModule);
        let of_gateway = name.and_then(|name| remote_source(name, documents));
        for (node, path, message) in [
            (remote, "dynamic_module_config.module.remote", REMOTE),
            (of_gateway, "source.type", REMOTE_OF_GATEWAY),
        ] {
            let found_at =
                |node: &Node| Self { path: path.to_owned(), at: node.at, risk: Risk::Certain, message };
            found.extend(node.map(found_at));
        }
        found
    }

    /// Returns the settings in the filter's entry among the HTTP filters of Envoy's connection manager, and in routes of the file that turn
    /// the filter off.
    pub fn of_http_filter(entry: &Node, documents: &[Node]) -> Vec<Self> {
        let mut found = Self::of_table(HTTP_FILTER, entry);
        let mut switches = Vec::new();
        if let Some(name) = entry.text_of("name") {
            documents.iter().for_each(|document| collect_switches(name, document, &mut switches));
        }
        let off_route = |at| Self { path: ROUTE.to_owned(), at, risk: Risk::Possible, message: OFF_ROUTE };
        found.extend(switches.into_iter().map(off_route));
        found
    }

    /// Returns the settings in one of Kong's filter chains.
    pub fn of_filter_chain(chain: &Node) -> Vec<Self> {
        Self::of_table(KONG, chain)
    }

    fn of_table(table: &[Setting], node: &Node) -> Vec<Self> {
        let found = |setting: &Setting| {
            let member = node.members().iter().find(|member| member.is_field(setting.name))?;
            let Setting { is_open, risk, message, .. } = *setting;
            let found = Self { path: member.name.clone(), at: member.value.at, risk, message };
            is_open(&member.value).then_some(found)
        };
        table.iter().filter_map(found).collect()
    }
}

struct Setting {
    name: &'static str,
    is_open: fn(&Node) -> bool,
    risk: Risk,
    message: &'static str,
}

const fn setting(
    name: &'static str,
    is_open: fn(&Node) -> bool,
    risk: Risk,
    message: &'static str,
) -> Setting {
    Setting { name, is_open, risk, message }
}

/// Settings of Envoy, Istio and Envoy Gateway, by the names of Envoy's API where they have any.
const PLUGIN: &[Setting] = &[
    setting("failure_policy", is_fail_open, Risk::Certain, VM),
    setting("fail_open", Node::is_true, Risk::Certain, VM_OF_SWITCH),
    setting("failStrategy", is_fail_open, Risk::Certain, VM),
];

const HTTP_FILTER: &[Setting] = &[
    setting("is_optional", Node::is_true, Risk::Certain, OPTIONAL),
    setting("disabled", Node::is_true, Risk::Possible, DISABLED),
];

/// Settings of a filter chain, and of a filter in the chain.
const KONG: &[Setting] = &[setting("enabled", is_false, Risk::Possible, NOT_ENABLED)];

/// Collects where routes, virtual hosts and weighted clusters turn off the filter of this name.
fn collect_switches(name: &str, node: &Node, found: &mut Vec<Position>) {
    let switch = node.field(ROUTE).and_then(|settings| settings.find(&[name, "disabled"]));
    found.extend(switch.filter(|switch| switch.is_true()).map(|switch| switch.at));
    node.children().for_each(|child| collect_switches(name, child, found));
}

/// Returns the source type of the module that an `EnvoyProxy` among the documents registers under this name, if Envoy downloads the module.
fn remote_source<'d>(name: &str, documents: &'d [Node]) -> Option<&'d Node> {
    let proxies = documents.iter().filter(|document| document.text_of("kind") == Some("EnvoyProxy"));
    let mut modules =
        proxies.filter_map(|proxy| proxy.find(&["spec", "dynamicModules"])).flat_map(Node::elements);
    let kind = modules.find(|module| module.text_of("name") == Some(name))?.find(&["source", "type"])?;
    (kind.text() == Some("Remote")).then_some(kind)
}

fn is_false(node: &Node) -> bool {
    matches!(&node.content, Content::Plain(value) if value == false)
}

/// Whether Envoy reads the value as `FAIL_OPEN`: it accepts the name in any letter case, and the number, also as a text.
fn is_fail_open(node: &Node) -> bool {
    match &node.content {
        Content::Text(text) => text.eq_ignore_ascii_case("FAIL_OPEN") || text.parse::<f64>() == Ok(FAIL_OPEN),
        Content::Plain(value) => value.as_f64() == Some(FAIL_OPEN),
        Content::List(_) | Content::Object(_) => false,
    }
}

const FAIL_OPEN: f64 = 3.0;

/// What routes, virtual hosts and weighted clusters say about filters.
const ROUTE: &str = "typed_per_filter_config";

const VM: &str = "lets requests pass unchecked once the VM has failed: use FAIL_RELOAD, or leave it off";

const VM_OF_SWITCH: &str = "lets requests pass unchecked once the VM has failed: leave it off";

const OPTIONAL: &str = "lets requests pass unchecked in an Envoy without this extension: leave it off";

const DISABLED: &str = "lets requests pass unchecked on routes that do not turn the filter on: leave it off";

const OFF_ROUTE: &str =
    "lets requests of this route pass unchecked, with their tokens: use a rule with access: public";

const NOT_ENABLED: &str = "lets requests pass unchecked: set it to true";

const REMOTE: &str = "lets requests pass unchecked until Envoy has downloaded the module, and until the next configuration if it cannot: \
     use a local file, or nack_on_cache_miss: true";

const REMOTE_OF_GATEWAY: &str = "lets requests pass unchecked until Envoy has downloaded the module, since Envoy Gateway sets no nack_on_cache_miss: use type: Local";
