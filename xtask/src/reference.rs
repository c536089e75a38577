//! `docs/reference.md`: a section for each block of the configuration, made from the definitions of its fields, with an example
//! that the tests pass to the filter, and the cost of the block.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use phantom_token_core::DocumentedField;

/// What the page says about a block of the configuration, apart from its fields.
struct Block {
    /// The name of a top-level member; empty for all members that have no fields of their own.
    name: &'static str,
    /// What using the block costs, in addition to a cache hit without it.
    cost: &'static str,
    /// YAML that is complete, or is merged into a configuration with everything that is required.
    example: &'static str,
}

/// Generates the page. Where descriptions quote the title of a section in `pages`, they get a link to it.
///
/// # Errors
/// A block is missing from the table, or the table contains a block that does not exist.
pub fn page(fields: &[DocumentedField], pages: &[(&str, String)]) -> Result<String> {
    let links = pages.iter().flat_map(|(path, text)| links(path, text)).collect::<Vec<_>>();
    let mut page = String::from(HEAD);
    let is_block = |field: &&DocumentedField| {
        let is_inside = |other: &DocumentedField| {
            other.path.strip_prefix(&field.path).is_some_and(|rest| rest.starts_with(['.', '[']))
        };
        !field.path.contains('.') && fields.iter().any(is_inside)
    };
    let blocks: Vec<&DocumentedField> = fields.iter().filter(is_block).collect();
    for Block { name, .. } in BLOCKS.iter().filter(|block| !block.name.is_empty()) {
        ensure!(
            blocks.iter().any(|block| block.path == *name),
            "{name} in BLOCKS is no block of the configuration"
        );
    }

    let is_alone = |field: &&DocumentedField| {
        !field.path.contains(['.', '[']) && blocks.iter().all(|block| block.path != field.path)
    };
    let alone: Vec<&DocumentedField> = fields.iter().filter(is_alone).collect();
    section(&mut page, "Top level", "Fields for the filter as a whole.", &alone, "")?;
    for DocumentedField { path, meaning, .. } in blocks {
        let inside: Vec<&DocumentedField> = fields
            .iter()
            .filter(|field| field.path.strip_prefix(path).is_some_and(|rest| rest.starts_with(['.', '['])))
            .collect();
        section(&mut page, &format!("`{path}`"), meaning, &inside, path)?;
    }
    Ok(links.iter().fold(page, |page, (title, link)| page.replace(title, link)))
}

/// Returns the titles of a page's sections, in quotes, with links to them. The anchor is GitHub's: letters, digits and hyphens.
fn links(path: &str, text: &str) -> Vec<(String, String)> {
    let titles = text.lines().filter_map(|line| line.strip_prefix("## ").or(line.strip_prefix("### ")));
    let link = |title: &str| {
        let kept = title.to_lowercase().replace(' ', "-");
        let anchor: String =
            kept.chars().filter(|letter| letter.is_alphanumeric() || *letter == '-').collect();
        (format!("\"{title}\""), format!("[{title}]({path}#{anchor})"))
    };
    titles.map(link).collect()
}

fn section(
    page: &mut String,
    title: &str,
    meaning: &str,
    fields: &[&DocumentedField],
    name: &str,
) -> Result<()> {
    let block = BLOCKS.iter().find(|block| block.name == name);
    let Block { cost, example, .. } = block.with_context(|| format!("{name} is not in BLOCKS"))?;
    write!(
        page,
        "\n## {title}\n\n{meaning}\n\n```yaml\n{}\n```\n\n*Cost*: {cost}\n\n{COLUMNS}",
        example.trim()
    )?;
    for DocumentedField { path, value, default, meaning } in fields {
        let inside =
            path.strip_prefix(name).unwrap_or(path).trim_start_matches("[].").trim_start_matches('.');
        let anchor = DocumentedField::anchor(path);
        let value = value.as_deref().unwrap_or("section").replace('|', "\\|");
        let (default, meaning) = (default.as_deref().unwrap_or_default(), meaning.replace('|', "\\|"));
        write!(page, "\n| <a id=\"{anchor}\"></a>`{inside}` | {value} | {default} | {meaning} |")?;
    }
    page.push('\n');
    Ok(())
}

const HEAD: &str = "\
# Configuration reference

All fields, block by block. [The guide](configuration.md) leads from what you need to the field for it. `./justw configuration-pages`
generates this page from the field definitions, and the tests pass each example to the filter; the examples leave out a server and a rule.

A *duration* is a number with its unit, such as `500ms`, `5s`, `1h 30m`. A *secret* is a text, `{ env: NAME }`, a variable of the proxy's
environment, or in the native module `{ sds: { name: NAME } }`, [a secret that Envoy delivers](hosts/envoy-module.md#secrets-that-rotate).
The elements of a list have the fields below it, whose paths contain `[]`.

*Cost* is what the block adds to a cache hit. Calls between the host and the filter are most of a hit;
[budget.json](../integration-tests/budget.json) counts them for each kind of request, and [Performance](performance.md) has the times.
";

const COLUMNS: &str = "| field | type | default | description |\n|---|---|---|---|";

const BLOCKS: &[Block] = &[
    Block {
        name: "",
        cost: "none; but `log_level: debug` writes a line for each request, which costs more than a cache hit.",
        example: "
realm: api
jwt_header: x-identity
log_level: debug",
    },
    Block {
        name: "introspection",
        cost: "a request to the server for each token that is neither cached nor already being introspected. `private_key_jwt` adds a \
               signature: about 1 ms of the worker's time with P-256, 20 ms with RSA.",
        example: "
introspection:
  endpoint: https://login.example.com/introspect
  upstream: authorization-server
  client_id: gateway
  client_secret: { env: INTROSPECTION_CLIENT_SECRET }
  response: { accept: application/json, jwt_field: jwt }
  circuit_breaker: { failures: 5, open_for: 5s }
rules: [{ path: / }]",
    },
    Block {
        name: "userinfo",
        cost: "as `introspection`.",
        example: "
userinfo:
  endpoint: https://login.example.com/userinfo
  upstream: authorization-server
  allow_any_client: true
mint:
  issuer: https://gateway.example.com
  audience: orders-api
  keys: [{ private_key: { env: MINT_KEY } }]
rules: [{ path: / }]",
    },
    Block {
        name: "token",
        cost: "none for introspected tokens. With `jwts: verify`, a signature verification for each JWT that is not cached; \
               with `dpop`, one for each request.",
        example: "
token:
  issuer: https://login.example.com
  audience: [orders-api]
  leeway: 5s
  require_token_type: true",
    },
    Block {
        name: "keys",
        cost: "one fetch per `max_age`, by one worker for all; and once per second, each worker checks whether another has newer keys.",
        example: "
keys:
  jwks_uri: https://login.example.com/jwks
  upstream: authorization-server
  algorithms: [ES256, RS256]
  max_age: 10m",
    },
    Block {
        name: "authorization_servers",
        cost: "a separate cache, limits and circuit breaker for each. With several in one rule, a token of the second is introspected twice.",
        example: "
authorization_servers:
  - name: staff
    introspection:
      endpoint: https://staff.example.com/introspect
      upstream: staff
      client_id: gateway
      client_secret: { env: STAFF_CLIENT_SECRET }
  - name: partners
    profile: curity
    introspection:
      endpoint: https://partners.example.com/introspect
      upstream: partners
      client_id: gateway
      client_secret: { env: PARTNERS_CLIENT_SECRET }
rules:
  - { path: /desk, authorization_server: staff }
  - { path: /orders, authorization_servers: [staff, partners] }",
    },
    Block {
        name: "token_sources",
        cost: "none: all fields of a request come in one call.",
        example: "
token_sources:
  cookie: session
  websocket_protocol: access_token.",
    },
    Block {
        name: "dpop",
        cost: "a signature verification for each request with a proof, and an access to the shared data for each proof.",
        example: "
token: { issuer: https://login.example.com, dpop: allowed }
dpop:
  origins: [https://api.example.com]
  max_age: 1m",
    },
    Block {
        name: "mint",
        cost: "a signature for each response; a cache hit signs nothing.",
        example: "
mint:
  issuer: https://gateway.example.com
  audience: orders-api
  lifetime: 5m
  keys: [{ private_key: { env: MINT_KEY } }]
  claims: [{ name: department, pointer: /department }]",
    },
    Block {
        name: "claim_to_headers",
        cost: "a host call for each claim that is present.",
        example: "
claim_to_headers:
  - { header: x-user, pointer: /sub }
  - { header: x-groups, pointer: /groups, encoding: comma_separated }",
    },
    Block {
        name: "filter_state",
        cost: "a host call for each claim that is present.",
        example: "
filter_state: [{ name: user, pointer: /sub }]",
    },
    Block {
        name: "cache",
        cost: "memory: [Sizing](sizing.md) has the formula. The first hit on an entry of another worker costs one more call.",
        example: "
cache:
  max_entries: 10000
  max_ttl: 5m
  no_store_ttl: 30s
  stale_if_error: 1m",
    },
    Block {
        name: "cors",
        cost: "none for forwarded requests.",
        example: "
cors: { allow_origins: [https://app.example.com] }",
    },
    Block {
        name: "resource_metadata",
        cost: "none; the document is created when the filter starts.",
        example: "
resource_metadata:
  - resource: https://api.example.com
    authorization_servers: [https://login.example.com]
    scopes_supported: [orders:read]",
    },
    Block {
        name: "mcp",
        cost: "that of the rules and documents that it comes to. Scopes per tool by `envoy_filter` take three host calls for each call.",
        example: "
mcp:
  authorization_servers: [https://login.example.com]
  servers:
    - resource: https://api.example.com/mcp
      scopes: [mcp:read]
      per_tool:
        source: header_fields
        harmless_tools: [whoami, search]
        other_scopes: [mcp:write]",
    },
    Block {
        name: "session_binding",
        cost: "none, but for a request below a rule with `bind_session`: one call of the host and one MAC, and two calls for its response.",
        example: "
session_binding: { secret: { env: MCP_SESSION_SECRET } }
rules:
  - { path: /mcp, scopes: [mcp], bind_session: true }",
    },
    Block {
        name: "rules",
        cost: "the same with one rule as with a thousand. Conditions that need more than the fields of a request (`peers`, `routes`) \
               take a host call each.",
        example: "
rules:
  - { path: /health, access: public }
  - { path: /orders, methods: [GET], scopes: [orders:read] }
  - path: /admin
    hosts: [api.example.com]
    claims: [{ pointer: /groups, contains: staff }]
    max_age: 1h",
    },
    Block {
        name: "error_body",
        cost: "none for forwarded requests.",
        example: r#"
error_body:
  media_type: application/problem+json
  template: '{"status": "{status}", "title": "{error}", "detail": "{error_description}", "reason": "{reason}"}'"#,
    },
];
