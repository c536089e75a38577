//! A cluster: hosts on loopback, and their protocol.

use std::time::Duration;

use serde_json::{Value, json};

use crate::certificates::Certificate;
use crate::eventually::PATIENCE;

/// A cluster with these ports of loopback as its hosts.
pub(super) fn cluster(name: &str, ports: &[u16]) -> Value {
    let endpoints: Vec<Value> =
        ports.iter().map(|port| json!({"endpoint": {"address": address(*port)}})).collect();
    json!({
        "name": name,
        "connect_timeout": seconds(PATIENCE),
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
    })
}

pub(super) fn cluster_with(name: &str, ports: &[u16], mut options: Value) -> Value {
    options["@type"] = json!("type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions");
    let mut cluster = cluster(name, ports);
    cluster["typed_extension_protocol_options"] =
        json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options});
    cluster
}

pub(super) fn tls(side: &str, context: &Value) -> Value {
    let mut context = context.clone();
    context["@type"] =
        json!(format!("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{side}TlsContext"));
    json!({"name": "envoy.transport_sockets.tls", "typed_config": context})
}

pub(super) fn pair(own: &Certificate) -> Value {
    json!({
        "certificate_chain": {"inline_string": own.pem()},
        "private_key": {"inline_string": own.key_pem()},
    })
}

pub(super) fn address(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

/// A duration as Envoy writes it.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{}s", duration.as_secs())
}
