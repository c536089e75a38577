//! The host features that the filter relies on (listed in docs/hosts.md), removed one by one from Envoy, with either package. The other
//! scenarios cover Kong's host, which lacks nearly all of them.

use anyhow::{Result, ensure};
use integration_tests::deterministic_host::fixture::{ISSUER, orders_of};
use integration_tests::deterministic_host::{
    Answer, Guarantee, HeaderMap, Host, Package, Request, Setup, State, Status, StreamId,
};
use integration_tests::jwt;
use serde_json::{Value, json};

use crate::story::configured;

/// If this failed, a host that does less than Envoy would let something through with Kong's package, which is for such hosts.
#[test]
fn r146_kongs_package_relies_on_no_guarantee() -> Result<()> {
    for guarantee in Guarantee::ALL {
        let lacks = vec![Guarantee::Switches, *guarantee];
        let opened = what_opens(Package::Kong, lacks.clone())?;
        ensure!(opened.is_empty(), "without {guarantee:?}: {opened:#?}");
        // A write to shared data that is full traps, which no filter can foresee.
        let may_serve_nobody = *guarantee == Guarantee::Evicts;
        ensure!(may_serve_nobody || serves(Package::Kong, lacks)?, "without {guarantee:?}, nobody is served");
    }
    Ok(())
}

/// If this failed, Envoy's package would mistake another host for Envoy, and let through the attacks below.
#[test]
fn r142_r146_a_package_on_the_wrong_host_denies_every_request() -> Result<()> {
    for guarantee in Guarantee::ALL {
        let lacks = vec![Guarantee::Switches, *guarantee];
        let opened = what_opens(Package::Envoy, lacks.clone())?;
        ensure!(opened.is_empty(), "without {guarantee:?}: {opened:#?}");
        ensure!(!serves(Package::Envoy, lacks)?, "without {guarantee:?}, somebody is served");
    }
    // Envoy keeps its earlier configuration; without one, it serves no request.
    let setup = Setup { package: Some(Package::Kong), ..Setup::new(configured(json!({}))) };
    ensure!(Host::start(setup).is_err());
    Ok(())
}

/// If this failed, the list of features that are assumed only of Envoy would be too long or too short.
#[test]
fn r146_envoys_package_relies_on_the_listed_guarantees_only() -> Result<()> {
    for guarantee in Guarantee::ALL {
        let opened = what_opens(Package::Envoy, vec![*guarantee])?;
        let is_listed = OF_ENVOY.contains(guarantee);
        ensure!(opened.is_empty() != is_listed, "without {guarantee:?}, these open: {opened:#?}");
    }
    Ok(())
}

/// Only Envoy is trusted to have these; tests in real Envoys show each (docs/hosts.md). A lack of `ListsAll` is noticed where the count is
/// right.
const OF_ENVOY: &[Guarantee] = &[
    Guarantee::Removes,
    Guarantee::ListsAll,
    Guarantee::RawPath,
    Guarantee::SetsPath,
    Guarantee::ClientAuthority,
    Guarantee::TellsConnections,
];

/// Whether a request with a valid token is served.
fn serves(package: Package, lacks: Vec<Guarantee>) -> Result<bool> {
    let mut host = host(package, lacks, json!({}))?;
    let Ok(id) = host.request(0, &orders_of("opaque-1")) else { return Ok(false) };
    answer(&mut host, Answer::jwt(&active()));
    Ok(forwarded(&host, id).is_some_and(|headers| headers.has_value("authorization")))
}

/// Returns all attacks that succeed.
fn what_opens(package: Package, lacks: Vec<Guarantee>) -> Result<Vec<String>> {
    let mut opened = Vec::new();
    for (name, edits, attack) in ATTACKS {
        let mut host = host(package, lacks.clone(), edits())?;
        attack(&mut host);
        for id in host.streams() {
            let Some(headers) = forwarded(&host, id) else { continue };
            if let Some(what) = leak(&headers) {
                opened.push(format!("{name}: {what}"));
            }
        }
    }
    Ok(opened)
}

/// Returns what a service must not receive: the client's token, a forged claim, or a request that has to be refused. `None` if there is
/// none of these.
fn leak(headers: &HeaderMap) -> Option<&'static str> {
    let any = |text: &str| headers.iter().any(|(_, value)| String::from_utf8_lossy(value).contains(text));
    match () {
        () if any("opaque-") => Some("the token goes on"),
        () if any("forged") => Some("a forged field goes on"),
        () if headers.has_value("x-must-be-refused") => Some("it goes on without leave"),
        () => None,
    }
}

type Attack = (&'static str, fn() -> Value, fn(&mut Host));

const ATTACKS: &[Attack] = &[
    (
        "a token on a public route",
        || json!({}),
        |host| {
            send(host, &Request::get("/public").bearer("opaque-1"));
        },
    ),
    ("a forged field", claims, |host| {
        send(host, &Request::get("/public").header("x_user_id", "forged"));
    }),
    ("forged fields of one name", claims, |host| {
        let request = orders_of("opaque-1").header("x-user-id", "a").header("x-user-id", "forged");
        send(host, &request);
        answer(host, Answer::jwt(&active()));
    }),
    ("a forged field behind a hundred", claims, |host| {
        let many = (0..92).fold(Request::get("/public"), |request, n| request.header(&format!("a{n}"), ""));
        send(host, &many.header("x_user_id", "forged"));
    }),
    (
        "a path that others read otherwise",
        || json!({}),
        |host| {
            send(host, &Request::get("/orders%2F..%2Fpublic").header("x-must-be-refused", "yes"));
        },
    ),
    ("another host", hosts, |host| {
        let fields = [
            (":authority", "admin.example.com"),
            (":path", "/"),
            (":method", "GET"),
            (":scheme", "https"),
            ("x-must-be-refused", "yes"),
        ];
        send(host, &Request::of(fields.map(|(name, value)| (name, value.as_bytes()))));
    }),
    (
        "a token in the query",
        || json!({"token_sources": {"query_parameter": "access_token"}}),
        |host| {
            send(host, &Request::get("/orders?access_token=opaque-1"));
            answer(host, Answer::jwt(&active()));
        },
    ),
    ("a route that asks for more", routes, |host| {
        let request = orders_of("opaque-1").property(&["xds", "route_name"], "admin");
        send(host, &request.header("x-must-be-refused", "yes"));
        answer(host, Answer::jwt(&active()));
    }),
    ("a workload that is none", peers, |host| {
        send(host, &orders_of("opaque-1").header("x-must-be-refused", "yes"));
        answer(host, Answer::jwt(&active()));
    }),
    (
        "a refusal that cannot be written",
        || json!({}),
        |host| {
            send(host, &orders_of("opaque-1"));
            host.refuse("proxy_send_local_response", Status::InternalFailure, 1);
            answer(host, Answer::Reset);
        },
    ),
    (
        "a trap while others wait",
        || json!({}),
        |host| {
            send(host, &orders_of("opaque-1"));
            host.trap("proxy_get_current_time_nanoseconds");
            send(host, &orders_of("opaque-2"));
            answer(host, Answer::Reset);
        },
    ),
    (
        "the timer",
        || json!({}),
        |host| {
            send(host, &orders_of("opaque-1"));
            host.advance(std::time::Duration::from_secs(1));
            // If this traps, waiting requests continue by themselves.
            let _ = host.tick();
            answer(host, Answer::response(200, "application/json", r#"{"active":false}"#));
        },
    ),
    (
        "requests with one token, and one who leaves",
        || json!({}),
        |host| {
            let ids = [0, 1, 2].map(|_| send(host, &orders_of("opaque-1")));
            if let Some(first) = ids[0] {
                let _ = host.disconnect(first);
            }
            answer(host, Answer::response(200, "application/json", r#"{"active":false}"#));
        },
    ),
    (
        "no shared data, or a full one",
        || json!({}),
        |host| {
            send(host, &orders_of("opaque-1"));
            answer(host, Answer::jwt(&active()));
        },
    ),
    ("upstreams that are none", malformed, |host| {
        send(host, &orders_of("opaque-1"));
        answer(host, Answer::jwt(&active()));
    }),
];

fn claims() -> Value {
    json!({"claim_to_headers": [{"header": "x-user-id", "pointer": "/sub"}]})
}

fn hosts() -> Value {
    json!({"rules": [{"path": "/", "access": "public"}, {"path": "/", "hosts": ["admin.example.com"]}]})
}

fn routes() -> Value {
    let rules = [json!({"path": "/orders"}), json!({"path": "/", "routes": ["admin"], "scopes": ["admin"]})];
    json!({"rules": rules})
}

fn peers() -> Value {
    json!({"rules": [{"path": "/orders", "peers": ["spiffe://example.com/orders"]}]})
}

fn malformed() -> Value {
    json!({"keys": {"jwks_uri": "https://login.example.com/jwks", "upstream": "host:99999"}})
}

fn host(package: Package, lacks: Vec<Guarantee>, edits: Value) -> Result<Host> {
    let has_zone = !lacks.contains(&Guarantee::HasSharedData);
    let zone_keys = if lacks.contains(&Guarantee::Evicts) { 0 } else { usize::MAX };
    let mut configuration = configured(edits);
    if package == Package::Kong && !has_zone {
        configuration["cache"] = json!({"shared": false});
    }
    Host::start(Setup { package: Some(package), lacks, has_zone, zone_keys, ..Setup::new(configuration) })
}

/// Sends a request. `None` if it stops the module, whereupon the host does what it does in that case.
fn send(host: &mut Host, request: &Request) -> Option<StreamId> {
    host.request(0, request).ok()
}

fn answer(host: &mut Host, answer: Answer) {
    for callout in host.open_callouts() {
        let _ = host.answer(callout, answer.clone());
    }
}

fn active() -> String {
    let exp = 2_000_000_000 + 3600;
    jwt::with_claims(&json!({
        "iss": ISSUER, "aud": "orders-api", "sub": "alice", "scope": "orders:read", "exp": exp,
    }))
}

fn forwarded(host: &Host, id: StreamId) -> Option<HeaderMap> {
    match host.stream(id).state() {
        State::Forwarded { headers } => Some(headers.clone()),
        _ => None,
    }
}
