//! A listener: the filter, the route to its upstream, and further settings.

use serde_json::{Value, json};

use super::cluster::{address, seconds};
use crate::artefact::{self, Artefact};
use crate::eventually::PATIENCE;

/// The settings of a listener other than the filter's configuration.
#[derive(Clone, Copy)]
pub struct Listener {
    /// Whether a pause of the filter holds back only the headers, not the body (`allow_on_headers_stop_iteration`).
    pub stops_head_only: bool,
    /// Whether a handshake may turn the connection into a WebSocket.
    pub upgrades_to_web_socket: bool,
    /// The port on loopback; 0 selects a free one.
    pub port: u16,
    /// The cluster behind the listener.
    pub upstream: &'static str,
    /// The format of access log lines in Envoy's log. `None` if there is no access log.
    pub access_log: Option<&'static str>,
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            stops_head_only: false,
            upgrades_to_web_socket: false,
            port: 0,
            upstream: "api",
            access_log: None,
        }
    }
}

pub(super) fn phantom_token(
    artefact: Artefact,
    name: &str,
    configuration: &Value,
    listener: Listener,
    variables: &[&str],
) -> Value {
    let configuration = json!({
        "@type": "type.googleapis.com/google.protobuf.StringValue",
        "value": configuration.to_string(),
    });
    let typed_config = match artefact {
        Artefact::Module | Artefact::PanickingModule => json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
            "dynamic_module_config": {
                "module": {"local": {"filename": FILTER}},
                "do_not_close": true,
                "metrics_namespace": artefact::METRICS_NAMESPACE,
            },
            "filter_name": name,
            "filter_config": configuration,
        }),
        Artefact::Wasm => json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": name,
                "root_id": name,
                "allow_on_headers_stop_iteration": listener.stops_head_only,
                "vm_config": {
                    "vm_id": "phantom-token",
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": FILTER}},
                    "environment_variables": {"host_env_keys": variables},
                },
                "configuration": configuration,
            },
        }),
    };
    json!({"name": "phantom-token", "typed_config": typed_config})
}

pub(super) fn listener_json(artefact: Artefact, name: &str, filters: &[Value], listener: Listener) -> Value {
    let router = json!({
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
    });
    let access_log = listener.access_log.map(|format| {
        let format = artefact.filter_state_in(format);
        json!({
            "name": "envoy.access_loggers.stderr",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StderrAccessLog",
                "log_format": {"text_format_source": {"inline_string": format!("{format}\n")}},
            },
        })
    });
    let filters: Vec<&Value> = filters.iter().chain([&router]).collect();
    json!({
        "name": name,
        "stat_prefix": name,
        "address": address(listener.port),
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
                "stat_prefix": name,
                "stream_idle_timeout": seconds(2 * PATIENCE),
                "access_log": access_log.into_iter().collect::<Vec<_>>(),
                "http_protocol_options": {"enable_trailers": true},
                "upgrade_configs": [{"upgrade_type": "websocket", "enabled": listener.upgrades_to_web_socket}],
                "http_filters": filters,
                "route_config": {"virtual_hosts": [{
                    "name": "api",
                    "domains": ["*"],
                    "routes": [{
                        "match": {"prefix": "/"},
                        "route": {"cluster": listener.upstream, "timeout": seconds(PATIENCE)},
                    }],
                }]},
            },
        }]}],
    })
}

/// Returns the configuration with a long timeout for each server that has none.
pub(super) fn patient(configuration: &Value) -> Value {
    let mut patient = configuration.clone();
    give_time(&mut patient);
    let servers = patient.get_mut("authorization_servers").and_then(Value::as_array_mut);
    for server in servers.into_iter().flatten() {
        give_time(server);
    }
    patient
}

fn give_time(server: &mut Value) {
    for section in ["introspection", "keys"] {
        let section = server.get_mut(section).and_then(Value::as_object_mut);
        if let Some(section) = section {
            section.entry("timeout").or_insert_with(|| json!(CALLOUT_TIMEOUT));
        }
    }
}

/// Returns the JSON pointer to the filter's configuration in a listener.
pub(super) fn configuration_pointer(artefact: Artefact) -> String {
    let filter = match artefact {
        Artefact::Wasm => "config/configuration",
        Artefact::Module | Artefact::PanickingModule => "filter_config",
    };
    format!("{FILTERS}/0/typed_config/{filter}")
}

pub(super) const MANAGER: &str = "/filter_chains/0/filters/0/typed_config";
pub(super) const FILTERS: &str = "/filter_chains/0/filters/0/typed_config/http_filters";
pub(super) const ROUTES: &str = "/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/routes";

/// Stands for the path of the filter until Envoy starts.
pub(super) const FILTER: &str = "PHANTOM_TOKEN_WASM";

/// How long a server has to respond to the filter, unless a test says otherwise: a busy machine is not a failure of the server.
const CALLOUT_TIMEOUT: &str = "1m";
