//! MCP servers behind the gateway, with Envoy's own MCP filter in front of this one, or by the header fields of the newest revision. The
//! tests with published clients and servers are in `integration-tests/mcp`.

use anyhow::Result;
use fastrand::Rng;
use integration_tests::envoy;
use integration_tests::shared;
use integration_tests::testkit::{Outcome, World};
use serde_json::{Value, json};

shared!(world: World = start);
shared!(lenient: World = start_lenient);

const RESOURCE: &str = "https://gw.example.com/mcp";

async fn start() -> Result<World> {
    start_behind("mcp", "REJECT_NO_MCP").await
}

/// A world where Envoy's MCP filter rejects nothing, as where other services share the listener.
async fn start_lenient() -> Result<World> {
    start_behind("mcp-lenient", "PASS_THROUGH").await
}

async fn start_behind(name: &str, traffic_mode: &str) -> Result<World> {
    let per_tool = |source: &str| {
        json!({
            "rules": null,
            "mcp": {
                "authorization_servers": ["https://login.example.com"],
                "servers": [
                    {
                        "resource": RESOURCE, "scopes": ["mcp:read"],
                        "per_tool": {"source": source, "harmless_tools": ["whoami"], "other_scopes": ["mcp:write"]},
                    },
                    {"resource": "https://gw.example.com/two/mcp", "scopes": ["two"]},
                ],
            },
        })
    };
    let filter = json!({
        "name": "envoy.filters.http.mcp",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.mcp.v3.Mcp",
            "traffic_mode": traffic_mode,
            "reject_duplicate_keys": true,
        },
    });
    let world = World::scripted(name)?.listener("by-fields", per_tool("header_fields"));
    if !tells_calls()? {
        return world.start().await;
    }
    let world = world.listener("by-filter", per_tool("envoy_filter"));
    world.envoy(|envoy| envoy.preceded_by(&[filter])).start().await
}

/// Whether this Envoy's MCP filter reports what servers read.
fn tells_calls() -> Result<bool> {
    Ok(envoy::version()? >= (1, 40))
}

/// Before 1.40, Envoy's MCP filter takes `x.name` for `name` (envoyproxy/envoy#46730): if such an Envoy were trusted, a single key in a
/// client's request would open every tool.
#[test]
fn r286_what_an_envoy_before_1_40_tells_of_a_call_is_not_believed() -> Result<()> {
    let rule = json!({"path": "/mcp", "mcp": {"source": "envoy_filter", "methods": ["tools/list"]}});
    let world =
        World::scripted("mcp-versions")?.listener("gateway", json!({"rules": [{"path": "/mcp"}, rule]}));
    let (accepted, output) = world.validate()?;
    assert_eq!(accepted, tells_calls()?, "{output}");
    let error = "rules[1].mcp.source: must not be envoy_filter in Envoy before 1.40";
    assert_eq!(output.contains(error), !accepted, "{output}");
    Ok(())
}

fn token(world: &World, resource: &str, scope: &str) -> String {
    world.active_with(json!({"aud": ["orders-api", resource], "scope": scope}))
}

async fn post(
    world: &World,
    listener: &str,
    token: &str,
    body: &str,
    fields: &[(&str, &str)],
) -> Result<Outcome> {
    let call = world.post("/mcp", body).at(listener).bearer(token).case(body.get(..120).unwrap_or(body));
    let defaults = [("content-type", "application/json"), ("accept", "application/json, text/event-stream")];
    let defaults = defaults.iter().filter(|(name, _)| fields.iter().all(|(own, _)| own != name));
    fields.iter().chain(defaults).fold(call, |call, (name, value)| call.header(name, value)).await
}

fn message(method: &str, parameters: &Value) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}).to_string()
}

fn calling(tool: &str) -> String {
    message("tools/call", &json!({"name": tool, "arguments": {}}))
}

/// If one of these were admitted with `mcp:read`, the scope of the harmless tools would open every tool.
#[tokio::test]
async fn r235_no_body_is_a_way_around_the_scopes_of_a_tool() -> Result<()> {
    if !tells_calls()? {
        // The configuration is refused.
        return Ok(());
    }
    let long = "x".repeat(20_000);
    let write = r#"{"name":"write_note","arguments":{}}"#;
    let harmless = r#"{"name":"whoami","arguments":{},"_meta":{}}"#;
    let bodies = [
        calling("write_note"),
        calling("Whoami"),
        calling(" whoami"),
        message("resources/read", &json!({"uri": "note://1"})),
        message("Tools/List", &json!({})),
        json!({"jsonrpc": "2.0", "id": 1, "result": {}}).to_string(),
        // A long member before the relevant one, and before a second, contradicting one.
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"arguments":{{"a":"{long}"}},"name":"write_note"}}}}"#),
        format!(r#"{{"a":"{long}","jsonrpc":"2.0","id":1,"method":"tools/call","params":{write}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","a":"{long}","method":"tools/call","params":{write}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{harmless},"a":"{long}","params":{write}}}"#),
        // Duplicate members in either order, also after everything that the filter looks for.
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call","params":{write}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{write},"method":"tools/call"}}"#),
        format!(r#"{{"method":"tools/list","jsonrpc":"2.0","id":1,"params":{{"_meta":{{}}}},"method":"tools/call","params":{write}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{harmless},"params":{write}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{write},"params":{harmless}}}"#),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","name":"write_note"}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami","n\u0061me":"write_note"}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"m\u0065thod":"tools/call","method":"tools/list","params":{"name":"write_note"}}"#.to_owned(),
        // Keys that look like a path of keys, and keys at other places.
        format!(r#"{{"params.name":"whoami","jsonrpc":"2.0","id":1,"method":"tools/call","params":{write}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{write},"params.name":"whoami"}}"#),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"write_note","x.name":"whoami"}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"x.name":"whoami","name":"write_note"}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"write_note",".name":"whoami"}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"write_note","a.b":{"name":"whoami"},"x":{"name":"whoami"}}}"#.to_owned(),
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{write},"x.method":"tools/list"}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,"x.method":"tools/list","method":"tools/call","params":{write}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{write},"x.params":{{"name":"whoami"}}}}"#),
        format!(r#"{{"":{{"method":"tools/list"}},"jsonrpc":"2.0","id":1,"method":"tools/call","params":{write}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{write},"":{{"method":"tools/list"}}}}"#),
        format!(r#"{{"a":[{{"method":"tools/list"}}],"jsonrpc":"2.0","id":1,"method":"tools/call","params":{write}}}"#),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"":{"name":"whoami"},"name":"write_note"}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"write_note","arguments":{"name":"whoami"}}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":[{"name":"whoami"},{"name":"write_note"}]}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":["whoami","write_note"]}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":["tools/list"],"params":{"name":"write_note"}}"#.to_owned(),
        // Names that some servers truncate or fold.
        message("tools/call", &json!({"name": "whoami\u{0}write_note"})),
        message("tools/call", &json!({"name": "whoami\u{200b}"})),
        message("tools/call", &json!({"name": "who\u{0430}mi"})),
        message("tools/list\u{0}", &json!({})),
        message("tools//list", &json!({})),
        // Bodies that only lenient parsers read.
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list",/*"*/"method":"tools/call","params":{write}/*"*/}}"#),
        format!(r#"{{jsonrpc:"2.0",id:1,method:"tools/call",params:{write}}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{write},}}"#),
        // Batches, and bodies that are not an object.
        format!("[{},{}]", message("tools/list", &json!({})), calling("write_note")),
        format!("[{}]", calling("write_note")),
        format!("{}{}", message("ping", &json!({})), calling("write_note")),
        format!("\u{feff}{}", calling("write_note")),
        String::new(),
    ];
    for world in [world().await, lenient().await] {
        let read = token(world, RESOURCE, "mcp:read");
        for body in &bodies {
            let outcome = post(world, "by-filter", &read, body, &[]).await?;
            assert!(matches!(outcome.status, 400 | 403), "{outcome}");
            let status = outcome.status;
            outcome.has_status(status);
        }
        for fields in [
            &[("content-type", "Application/JSON")][..],
            &[("content-type", "text/plain")],
            &[("content-type", "application/json-rpc")],
            &[("accept", "text/html")],
            &[("content-encoding", "gzip"), ("content-type", "application/json; charset=utf-16")],
            &[("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/list"), ("mcp-name", "whoami")],
        ] {
            let outcome = post(world, "by-filter", &read, &calling("write_note"), fields).await?;
            assert!(matches!(outcome.status, 400 | 403), "{fields:?}: {outcome}");
            let status = outcome.status;
            outcome.has_status(status);
        }
        // Harmless calls pass, and others pass with their scope.
        for body in [calling("whoami"), message("tools/list", &json!({})), message("initialize", &json!({}))]
        {
            post(world, "by-filter", &read, &body, &[]).await?.is_served();
        }
        let both = token(world, RESOURCE, "mcp:read mcp:write");
        post(world, "by-filter", &both, &calling("write_note"), &[]).await?.is_served();
        let stream = world.get("/mcp").at("by-filter").bearer(&read).header("accept", "text/event-stream");
        stream.await?.is_served();
    }
    Ok(())
}

/// Envoy's filter and the server each parse the body on their own. If one of these were harmless only to the filter, a client would find
/// it: in Envoy 1.39, one in eighty is.
#[tokio::test]
async fn r235_no_random_body_is_another_call_to_envoy_than_to_servers() -> Result<()> {
    if !tells_calls()? {
        // The configuration is refused.
        return Ok(());
    }
    for (seed, world) in [(1, world().await), (2, lenient().await)] {
        let read = token(world, RESOURCE, "mcp:read");
        let mut rng = Rng::with_seed(seed);
        for _ in 0..RANDOM_BODIES {
            let body = random_call(&mut rng);
            let outcome = post(world, "by-filter", &read, &body, &[]).await?;
            assert!(matches!(outcome.status, 400 | 403), "{body}: {outcome}");
            let status = outcome.status;
            outcome.has_status(status);
        }
    }
    Ok(())
}

/// A call of `write_note`, with further members in any order and depth, whose keys could be mistaken for others.
fn random_call(rng: &mut Rng) -> String {
    let params = random_object(rng, 1, vec![("name", json!("write_note").to_string())]);
    let text = |text: &str| json!(text).to_string();
    let own = vec![
        ("jsonrpc", text("2.0")),
        ("id", "1".to_owned()),
        ("method", text("tools/call")),
        ("params", params),
    ];
    random_object(rng, 0, own)
}

/// An object with these members and random others, each once.
fn random_object(rng: &mut Rng, depth: u8, mut members: Vec<(&'static str, String)>) -> String {
    for _ in 0..rng.u8(..6) {
        let key = KEYS[rng.usize(..KEYS.len())];
        if members.iter().all(|(other, _)| *other != key) {
            members.push((key, random_value(rng, depth + 1)));
        }
    }
    rng.shuffle(&mut members);
    let members: Vec<String> = members.iter().map(|(key, value)| format!("{}:{value}", json!(key))).collect();
    format!("{{{}}}", members.join(","))
}

fn random_value(rng: &mut Rng, depth: u8) -> String {
    match rng.u8(..20) {
        0..9 if depth < 5 => random_object(rng, depth, Vec::new()),
        9..11 if depth < 5 => {
            let elements: Vec<String> = (0..rng.u8(..3)).map(|_| random_value(rng, depth + 1)).collect();
            format!("[{}]", elements.join(","))
        }
        11 => "null".to_owned(),
        _ => json!(VALUES[rng.usize(..VALUES.len())]).to_string(),
    }
}

const RANDOM_BODIES: u32 = 500;

const KEYS: &[&str] = &[
    "",
    ".",
    "..",
    "\0",
    "a",
    "a.b",
    "x.name",
    "x.method",
    "x.params",
    "params.name",
    "name.",
    "params.",
    ".name",
    ".method",
    ".params",
    "name",
    "method",
    "params",
    "arguments",
    "_meta",
    "id",
    "jsonrpc",
];

const VALUES: &[&str] = &["whoami", "write_note", "tools/list", "tools/call", "2.0", ""];

/// A client that learned only one scope of two would log in twice; one that learned another server's metadata would not log in at all.
#[tokio::test]
async fn r231_r232_a_challenge_tells_where_to_log_in_and_for_what() -> Result<()> {
    let world = world().await;
    let read = token(world, RESOURCE, "mcp:read");
    let of_write = r#"error="insufficient_scope""#;
    let scopes = r#"scope="mcp:read mcp:write", resource_metadata="https://gw.example.com/.well-known/oauth-protected-resource/mcp""#;
    let refused = post(world, "by-fields", &read, &calling("write_note"), &[]).await?;
    refused.is_refused(403, "insufficient_scope").is_challenged_by(of_write).is_challenged_by(scopes);
    let of_two = r#"resource_metadata="https://gw.example.com/.well-known/oauth-protected-resource/two/mcp""#;
    let unknown = world.post("/two/mcp", calling("whoami")).at("by-fields").await?;
    unknown.is_refused(401, "missing_credentials").is_challenged_by(r#"Bearer realm="api", scope="two", "#);
    let of_one = world.post("/two/mcp", calling("whoami")).at("by-fields").bearer(&read).await?;
    of_one.is_refused(401, "wrong_audience").is_challenged_by(of_two);
    for path in ["/mcp", "/two/mcp"] {
        let document =
            world.get(format!("/.well-known/oauth-protected-resource{path}")).at("by-fields").await?;
        assert_eq!(document.status, 200, "{document}");
        assert_eq!(document.json()?["resource"], format!("https://gw.example.com{path}"));
    }
    Ok(())
}

/// The same with header fields, which the server has to check: the gateway reads no body here.
#[tokio::test]
async fn r235_no_field_is_a_way_around_the_scopes_of_a_tool() -> Result<()> {
    let world = world().await;
    let read = token(world, RESOURCE, "mcp:read");
    const NOW: (&str, &str) = ("mcp-protocol-version", "2026-07-28");
    let call = ("mcp-method", "tools/call");
    for (fields, status) in [
        (&[NOW, call, ("mcp-name", "whoami")][..], 200),
        (&[NOW, ("mcp-method", "tools/list")], 200),
        (&[NOW, call, ("mcp-name", "write_note")], 403),
        (&[NOW, call, ("mcp-name", "=?base64?d3JpdGVfbm90ZQ==?=")], 403),
        (&[("mcp-protocol-version", "2025-11-25"), call, ("mcp-name", "whoami")], 403),
        (&[call, ("mcp-name", "whoami")], 403),
        (&[NOW, call, ("mcp-name", "whoami"), ("mcp-name", "write_note")], 400),
        (&[NOW, call, ("mcp-name", "whoami"), ("mcp_name", "write_note")], 400),
        (&[NOW, ("mcp-method", "tools/list"), call, ("mcp-name", "write_note")], 400),
    ] {
        post(world, "by-fields", &read, &calling("write_note"), fields).await?.has_status(status);
    }
    Ok(())
}
