//! References between Istio's resources. No schema checks them, and the mesh does not report them either: a dangling name means a gateway
//! without the filter, or a 503 for every request.

use serde_json::{Value, json};

use super::{
    Errors, Manifests, NAMESPACE_LABEL, entries, has_port, has_several_audiences, origin, secret_variables,
    targets, text,
};

/// The filter, as a WasmPlugin or as a TrafficExtension.
pub struct Filter<'a> {
    pub resource: &'a Value,
    /// The part of the resource with the module and its configuration.
    pub wasm: &'a Value,
}

/// The filter's resource. `None` unless there is exactly one.
pub fn filter(manifests: &Manifests) -> Option<Filter<'_>> {
    let plugins = manifests.of_kind("WasmPlugin").map(|one| Filter { resource: one, wasm: &one["spec"] });
    let extensions =
        manifests.of_kind("TrafficExtension").map(|one| Filter { resource: one, wasm: &one["spec"]["wasm"] });
    let mut filters = plugins.chain(extensions);
    filters.next().filter(|_| filters.next().is_none())
}

/// Returns the inconsistencies between the resources.
pub fn errors(manifests: &Manifests) -> Vec<String> {
    let mut errors = Errors::default();
    manifests.loose_ends(&mut errors);
    let Some(filter) = filter(manifests) else { return vec!["not one filter".to_owned()] };
    let namespace = &filter.resource["metadata"]["namespace"];
    let gateway = manifests.of_kind("Gateway").find(|gateway| {
        gateway["metadata"]["namespace"] == *namespace
            && targets(filter.resource, "Gateway", &gateway["metadata"]["name"])
    });
    let Some(gateway) = gateway else { return vec!["no Gateway that the filter is at".to_owned()] };
    filter_errors(&filter, manifests, gateway, &mut errors);
    authorization_server_errors(&filter, manifests, gateway, &mut errors);
    zero_trust_errors(&filter, manifests, gateway, &mut errors);
    ambient_errors(manifests, &mut errors);
    errors.into_inner()
}

/// What Istio merges into the Deployment of a Gateway.
pub fn deployment(manifests: &Manifests, gateway: &Value) -> Value {
    let parameters = &gateway["spec"]["infrastructure"]["parametersRef"]["name"];
    let options = manifests.find("ConfigMap", &gateway["metadata"]["namespace"], parameters);
    let text = options.map_or("", |options| text(&options["data"]["deployment"]));
    serde_saphyr::from_str(text).unwrap_or_default()
}

/// The identity of the proxies of a Gateway.
pub fn identity(gateway: &Value) -> String {
    let name = text(&gateway["metadata"]["name"]);
    let account = if gateway["spec"]["gatewayClassName"] == "istio" {
        format!("{name}-istio")
    } else {
        name.to_owned()
    };
    format!("cluster.local/ns/{}/sa/{account}", text(&gateway["metadata"]["namespace"]))
}

fn filter_errors(filter: &Filter<'_>, manifests: &Manifests, gateway: &Value, errors: &mut Errors) {
    errors.unless(filter.resource["spec"]["phase"] == "AUTHN", || "phase: after jwt_authn".to_owned());
    let strategy = &filter.wasm["failStrategy"];
    errors.unless(strategy == "FAIL_CLOSE" || strategy == "FAIL_RELOAD", || {
        format!("failStrategy: {strategy}")
    });
    let variables: Vec<&Value> = entries(&filter.wasm["vmConfig"]["env"])
        .iter()
        .filter(|one| one["valueFrom"] == "HOST")
        .map(|one| &one["name"])
        .collect();
    let deployment = deployment(manifests, gateway);
    let containers = entries(&deployment["spec"]["template"]["spec"]["containers"]);
    let proxy = containers.iter().find(|one| one["name"] == "istio-proxy");
    let of_proxy = proxy.map(secret_variables).unwrap_or_default();
    for variable in &variables {
        errors.unless(of_proxy.contains(variable), || format!("not of the gateway's container: {variable}"));
    }
    errors.parse(&filter.wasm["pluginConfig"], &variables);
    let metadata = &gateway["metadata"];
    let is_edge = manifests.of_kind("EnvoyFilter").any(|one| {
        one["metadata"]["namespace"] == metadata["namespace"] && targets(one, "Gateway", &metadata["name"])
    });
    errors.unless(is_edge, || "requests that nobody answers never end".to_owned());
}

fn authorization_server_errors(
    filter: &Filter<'_>,
    manifests: &Manifests,
    gateway: &Value,
    errors: &mut Errors,
) {
    let introspection = &filter.wasm["pluginConfig"]["introspection"];
    let upstream: Vec<&str> = text(&introspection["upstream"]).split('|').collect();
    let (["outbound", port, "", host], Some(endpoint)) =
        (upstream.as_slice(), origin(text(&introspection["endpoint"])))
    else {
        return errors.unless(false, || format!("no cluster of Istio: {upstream:?}"));
    };
    let port: u64 = port.parse().unwrap_or_default();
    errors
        .unless(endpoint == (*host, port), || format!("endpoint {endpoint:?} is not upstream {host} {port}"));
    let namespace = &gateway["metadata"]["namespace"];
    let entry = manifests.of_kind("ServiceEntry").find(|entry| {
        entry["metadata"]["namespace"] == *namespace
            && entries(&entry["spec"]["hosts"]).contains(&json!(host))
            && entries(&entry["spec"]["ports"])
                .iter()
                .any(|one| one["number"] == port && one["protocol"] == "HTTP")
    });
    let service = manifests.of_kind("Service").find(|service| {
        let name = text(&service["metadata"]["name"]);
        let namespace = text(&service["metadata"]["namespace"]);
        *host == format!("{name}.{namespace}.svc.cluster.local") && has_port(service, &json!(port))
    });
    match (entry, service) {
        (Some(_), None) => errors.unless(has_verified_tls(manifests, namespace, host), || {
            format!("no DestinationRule with verified TLS: {host}")
        }),
        (None, Some(service)) => internal_errors(manifests, gateway, service, port, errors),
        _ => errors.unless(false, || format!("no ServiceEntry or Service: {host} {port}")),
    }
}

fn has_verified_tls(manifests: &Manifests, namespace: &Value, host: &str) -> bool {
    manifests.of_kind("DestinationRule").any(|rule| {
        let tls = &rule["spec"]["trafficPolicy"]["tls"];
        rule["metadata"]["namespace"] == *namespace
            && rule["spec"]["host"] == host
            && tls["mode"] == "SIMPLE"
            && tls["sni"] == host
            && tls["subjectAltNames"] == json!([host])
            && tls["insecureSkipVerify"] != true
    })
}

/// Checks an authorization server in the mesh: only the gateway may call it, and only with mutual TLS.
fn internal_errors(manifests: &Manifests, gateway: &Value, service: &Value, port: u64, errors: &mut Errors) {
    let (namespace, pods) = (&service["metadata"]["namespace"], &service["spec"]["selector"]);
    errors.unless(is_strict(manifests, namespace), || format!("no mutual TLS in {namespace}"));
    let client = &gateway["metadata"];
    let by_address = manifests.of_kind("NetworkPolicy").any(|policy| {
        let spec = &policy["spec"];
        let from = json!([{
            "namespaceSelector": {"matchLabels": {NAMESPACE_LABEL: client["namespace"]}},
            "podSelector": {"matchLabels": {"gateway.networking.k8s.io/gateway-name": client["name"]}},
        }]);
        policy["metadata"]["namespace"] == *namespace
            && spec["podSelector"]["matchLabels"] == *pods
            && spec["policyTypes"] == json!(["Ingress"])
            && spec["ingress"] == json!([{"from": from, "ports": [{"port": port, "protocol": "TCP"}]}])
    });
    errors.unless(by_address, || "no NetworkPolicy for the gateway alone".to_owned());
    let by_identity = manifests.of_kind("AuthorizationPolicy").any(|policy| {
        let rule = json!([{
            "from": [{"source": {"notPrincipals": [identity(gateway)]}}],
            "to": [{"operation": {"ports": [port.to_string()]}}],
        }]);
        policy["metadata"]["namespace"] == *namespace
            && policy["spec"]["action"] == "DENY"
            && policy["spec"]["selector"]["matchLabels"] == *pods
            && policy["spec"]["rules"] == rule
    });
    errors.unless(by_identity, || "no AuthorizationPolicy for the gateway alone".to_owned());
}

fn zero_trust_errors(filter: &Filter<'_>, manifests: &Manifests, gateway: &Value, errors: &mut Errors) {
    let token = &filter.wasm["pluginConfig"]["token"];
    let from_gateway = json!([identity(gateway)]);
    for route in manifests.of_kind("HTTPRoute") {
        let namespace = &route["metadata"]["namespace"];
        errors.unless(is_strict(manifests, namespace), || format!("no mutual TLS in {namespace}"));
        let of_namespace = |resource: &&Value| resource["metadata"]["namespace"] == *namespace;
        let jwt_rules: Vec<&Value> = manifests
            .of_kind("RequestAuthentication")
            .filter(of_namespace)
            .flat_map(|authentication| entries(&authentication["spec"]["jwtRules"]))
            .collect();
        errors.unless(!jwt_rules.is_empty(), || format!("no RequestAuthentication in {namespace}"));
        for rule in jwt_rules {
            let is_same = rule["issuer"] == token["issuer"] && rule["audiences"] == token["audience"];
            errors.unless(is_same, || format!("not the filter's issuer and audience: {rule}"));
            errors.unless(rule["forwardOriginalToken"] == true, || "the API receives no JWT".to_owned());
        }
        let policies: Vec<&Value> = manifests.of_kind("AuthorizationPolicy").filter(of_namespace).collect();
        let closes_all = policies.iter().any(|policy| policy["spec"] == json!({}));
        errors.unless(closes_all, || format!("{namespace} is open to what no policy names"));
        let principal = json!([format!("{}/*", text(&token["issuer"]))]);
        let rules: Vec<&Value> = policies
            .iter()
            .filter(|policy| is_enforced(manifests, policy))
            .flat_map(|policy| entries(&policy["spec"]["rules"]))
            .filter(|rule| {
                entries(&rule["from"]).iter().all(|from| from["source"]["principals"] == from_gateway)
            })
            .collect();
        let with_jwt = rules
            .iter()
            .any(|rule| rule["from"][0]["source"]["requestPrincipals"] == principal && rule["to"].is_null());
        errors.unless(with_jwt, || format!("no policy for the JWTs of {principal} by {from_gateway}"));
        for rule in rules.iter().filter(|rule| rule["from"][0]["source"]["requestPrincipals"].is_array()) {
            let is_for_one = !has_several_audiences(&filter.wasm["pluginConfig"])
                || entries(&rule["when"]).iter().any(|when| when["key"] == "request.auth.audiences");
            errors.unless(is_for_one, || format!("for the JWTs of every audience: {rule}"));
        }
        for public in public_paths(&filter.wasm["pluginConfig"]) {
            let is_open = rules.iter().any(|rule| {
                let paths = entries(&rule["to"][0]["operation"]["paths"]);
                rule["from"][0]["source"]["requestPrincipals"].is_null() && paths.contains(public)
            });
            errors.unless(is_open, || format!("public at the ingress, refused in {namespace}: {public}"));
        }
    }
}

/// Checks that in ambient mode, everything that reaches a workload comes through the waypoint, where the JWTs are verified.
fn ambient_errors(manifests: &Manifests, errors: &mut Errors) {
    let is_ambient = |one: &&Value| one["metadata"]["labels"]["istio.io/dataplane-mode"] == "ambient";
    for namespace in manifests.of_kind("Namespace").filter(is_ambient) {
        let (name, labels) = (&namespace["metadata"]["name"], &namespace["metadata"]["labels"]);
        let waypoint = manifests.find("Gateway", name, &labels["istio.io/use-waypoint"]);
        let Some(waypoint) = waypoint.filter(|one| one["spec"]["gatewayClassName"] == "istio-waypoint")
        else {
            errors.unless(false, || format!("no waypoint for {name}"));
            continue;
        };
        let of_namespace = |resource: &&Value| resource["metadata"]["namespace"] == *name;
        let is_at_waypoint = |one: &Value| targets(one, "Gateway", &waypoint["metadata"]["name"]);
        let mut authentications = manifests.of_kind("RequestAuthentication").filter(of_namespace);
        errors.unless(authentications.all(is_at_waypoint), || format!("ztunnel knows no JWTs: {name}"));
        for service in manifests.of_kind("Service").filter(of_namespace) {
            let from_ingress = &service["metadata"]["labels"]["istio.io/ingress-use-waypoint"];
            errors.unless(from_ingress == "true", || format!("from the ingress around the waypoint: {name}"));
            let only_waypoint = json!([{"from": [{"source": {"principals": [identity(waypoint)]}}]}]);
            let mut of_pods = manifests
                .of_kind("AuthorizationPolicy")
                .filter(of_namespace)
                .filter(|policy| policy["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]);
            let is_closed = of_pods.next().is_some_and(|one| one["spec"]["rules"] == only_waypoint);
            errors.unless(is_closed && of_pods.next().is_none(), || {
                format!("open around the waypoint: {name}")
            });
        }
    }
}

/// Whether a policy applies anywhere: to the pods of a Service, or to a Gateway in its own namespace.
fn is_enforced(manifests: &Manifests, policy: &Value) -> bool {
    let namespace = &policy["metadata"]["namespace"];
    let of_namespace = |resource: &&Value| resource["metadata"]["namespace"] == *namespace;
    let pods = &policy["spec"]["selector"]["matchLabels"];
    manifests.of_kind("Service").filter(of_namespace).any(|service| service["spec"]["selector"] == *pods)
        || manifests
            .of_kind("Gateway")
            .filter(of_namespace)
            .any(|gateway| targets(policy, "Gateway", &gateway["metadata"]["name"]))
}

fn is_strict(manifests: &Manifests, namespace: &Value) -> bool {
    let is_meshed = manifests.find("Namespace", &Value::Null, namespace).is_some_and(|one| {
        let labels = &one["metadata"]["labels"];
        labels["istio-injection"] == "enabled" || labels["istio.io/dataplane-mode"] == "ambient"
    });
    let authentications = manifests.of_kind("PeerAuthentication");
    let mut of_namespace = authentications.filter(|one| one["metadata"]["namespace"] == *namespace);
    is_meshed && of_namespace.any(|one| one["spec"] == json!({"mtls": {"mode": "STRICT"}}))
}

fn public_paths(configuration: &Value) -> impl Iterator<Item = &Value> {
    entries(&configuration["rules"])
        .iter()
        .filter(|rule| rule["access"] == "public")
        .map(|rule| &rule["path"])
}
