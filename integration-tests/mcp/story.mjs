// Runs the published SDKs of MCP through a real Envoy with `envoy-config/mcp.yaml`, each in front of a server of its own, against
// oidc-provider: `./justw mcp`. It fails at the first outcome that is not as the table below has it, and writes what each client saw,
// exchange by exchange, to target/mcp/.

import { spawn } from 'node:child_process';
import { mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const out = `${root}/target/mcp`;
const python = `${root}/.tools/mcp-python/bin/python`;
const secret = 'secret of the gateway';
const children = [];
// What lets the metadata past Envoy's filter for MCP.
const OVERRIDE = / +typed_per_filter_config:\n +envoy\.filters\.http\.mcp:.*?PASS_THROUGH\n/s;
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));

// What each client comes to, by where the gateway takes the call from and the server's SDK. `write_note` needs a step-up; ts1 takes a
// refresh for one as long as it has a refresh token (modelcontextprotocol/typescript-sdk#2255).
const STEPPED_UP = { whoami: 'alice: mcp:read', write_note: 'written: a', second_scope: 'mcp:read mcp:write' };
const AT_ONCE = { whoami: 'alice: mcp:read mcp:write', write_note: 'written: a', first_scope: 'mcp:read mcp:write' };
const NO_STEP_UP = { whoami: 'alice: mcp:read', write_note: 'failed: Streamable HTTP error: Server returned 403 after trying upscoping' };
// A page that is a client, where the older SDK registers without refresh tokens. Another page of the same browser reads the metadata as well.
const ON_A_PAGE = { ...STEPPED_UP, revision: '2025-11-25', revoked: 200, another_page: true };
// Gateways may route the metadata's path as well. Then Envoy's filter for CORS writes one page's origin in the place of `*`.
const ROUTED = ['direct_response: { status: 404 }', 'route: { cluster: mcp-server }'];
const TABLE = [
  ['envoy_filter', 'ts', 'ts1', NO_STEP_UP],
  ['envoy_filter', 'ts', 'ts2', STEPPED_UP],
  ['envoy_filter', 'ts', 'py', STEPPED_UP],
  ['envoy_filter', 'py', 'ts1', NO_STEP_UP],
  ['envoy_filter', 'py', 'ts2', STEPPED_UP],
  ['envoy_filter', 'py', 'py', STEPPED_UP],
  // By fields, a client of an older revision needs all scopes from the beginning.
  ['header_fields', 'py', 'ts1', AT_ONCE],
  ['header_fields', 'py', 'ts2', STEPPED_UP],
  ['header_fields', 'py', 'py', STEPPED_UP],
  ['envoy_filter', 'ts', 'page-ts1', ON_A_PAGE, ROUTED],
  ['envoy_filter', 'ts', 'page-ts2', ON_A_PAGE],
  ['envoy_filter', 'py', 'page-ts2', { ...ON_A_PAGE, revision: '2026-07-28' }],
  ['header_fields', 'py', 'page-ts2', { ...ON_A_PAGE, revision: '2026-07-28' }],
];

// What a session comes to, by POST and by GET, with whose token and which id. The SDK's server takes ids from whoever sends them.
const SESSIONS = {
  user: 'alice: mcp:read',
  alice: [200],
  with_a_new_token: [200],
  stolen: [404, 404],
  without_mac: [404, 404],
  made_up: [404, 404],
  stream: 200,
  ended_by_bob: 404,
  still: 'alice: mcp:read',
  of_bob: 'bob: mcp:read',
  ended_by_alice: 200,
};

mkdirSync(out, { recursive: true });
let failures = 0;
for (const [source, kind, sdk, expected, ...changes] of TABLE) {
  const name = `${out}/${source}-${kind}-${sdk}`;
  const url = await gateway(source, kind, name, changes);
  const [program, file, own] = client(sdk);
  const seen = await run(program, [`${root}/integration-tests/mcp/${file}`, own, url, 'verbose']);
  writeFileSync(`${name}.json`, JSON.stringify(seen, null, 2));
  const wrong = Object.entries(expected).filter(([member, value]) => seen[member] !== value);
  const revived = sdk === 'py' || (seen.has_new_token && seen.after_revocation?.startsWith('alice'));
  failures += wrong.length > 0 || !revived ? 1 : 0;
  console.log(
    `${wrong.length || !revived ? 'NO ' : 'yes'} ${source}, server ${kind}, client ${sdk}:`,
    JSON.stringify({ ...seen, exchanges: undefined }),
    ...wrong.map(([member, value]) => `\n    expected ${member}: ${value}`),
  );
  for (const child of children.splice(0)) child.kill('SIGKILL');
}
const seen = await run('node', [`${root}/integration-tests/mcp/sessions.mjs`, await gateway('envoy_filter', 'ts', `${out}/sessions`)]);
const isWrong = ([member, value]) => JSON.stringify(seen[member]) !== JSON.stringify(value);
const wrong = Object.entries(SESSIONS).filter(isWrong);
console.log(`${wrong.length ? 'NO ' : 'yes'} sessions:`, JSON.stringify(seen), ...wrong.map(([member]) => `\n    wrong: ${member}`));
process.exit(failures || wrong.length ? 1 : 0);

// What runs a client: the program, its file, and the SDK by its own name.
function client(sdk) {
  if (sdk === 'py') return [python, 'client.py', sdk];
  return sdk.startsWith('page-') ? ['node', 'page.mjs', sdk.replace('page-', '')] : ['node', 'client.mjs', sdk];
}

// Starts the parts of a run, and gives the URL of the MCP server at the gateway.
async function gateway(source, kind, name, further = []) {
  const [gateway, admin, server, authorization] = await Promise.all([port(), port(), port(), port()]);
  const url = `http://127.0.0.1:${gateway}/mcp`;
  const environment = { MCP_RESOURCE: url, INTROSPECTION_CLIENT_SECRET: secret, APP_CLIENT_SECRET: 'not used' };
  start('node', [`${root}/integration-tests/authorization-server/server.mjs`, authorization], environment);
  if (kind === 'ts') start('node', [`${root}/integration-tests/mcp/server.mjs`, server]);
  else start(python, [`${root}/integration-tests/mcp/server.py`, server]);
  writeFileSync(`${name}.yaml`, configuration({ source, gateway, admin, server, authorization, further }));
  start(`${root}/.tools/envoy/envoy`, ['-c', `${name}.yaml`, '--use-dynamic-base-id', '-l', 'error'], environment);
  await Promise.all([gateway, server, authorization].map(listening));
  return url;
}

function configuration({ source, gateway, admin, server, authorization, further }) {
  const changes = [
    ['port_value: 10000', `port_value: ${gateway}`],
    ['port_value: 9901', `port_value: ${admin}`],
    ['port_value: 8080', `port_value: ${server}`],
    ['port_value: 9000', `port_value: ${authorization}`],
    ['http://127.0.0.1:9000', `http://127.0.0.1:${authorization}`],
    ['http://127.0.0.1:10000', `http://127.0.0.1:${gateway}`],
    ['target/phantom_token.wasm', `${root}/target/phantom_token.wasm`],
    ['"timeout": "2s"', '"timeout": "20s"'],
    // A token that is revoked is to be dead at once.
    [', "no_store_ttl": "30s"', ''],
    ['"source": "envoy_filter"', `"source": "${source}"`],
    // All that clients do, they do with sessions that are bound.
    ['"mcp": {', '"session_binding": { "secret": "a secret of at least thirty-two bytes" }, "mcp": {'],
    ['"scopes": ["mcp:read"],', '"scopes": ["mcp:read"], "bind_session": true,'],
    ...further,
  ];
  let text = readFileSync(`${root}/envoy-config/mcp.yaml`, 'utf8');
  for (const [written, here] of changes) {
    if (!text.includes(written)) throw new Error(`envoy-config/mcp.yaml has no ${written}`);
    text = text.replaceAll(written, here);
  }
  // By fields, no body is read at the gateway, and the server has to compare.
  return source === 'header_fields' ? without(/ +# Reads which method.*?max_request_body_size: \d+\n/s, without(OVERRIDE, text)) : text;
}

function without(part, text) {
  if (!part.test(text)) throw new Error(`envoy-config/mcp.yaml has no ${part}`);
  return text.replace(part, '');
}

function start(program, parameters, environment = {}) {
  const child = spawn(program, parameters.map(String), {
    cwd: root,
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'ignore', openSync(`${out}/servers.log`, 'a')],
  });
  children.push(child);
}

async function run(program, parameters) {
  const child = spawn(program, parameters, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  let text = '';
  for await (const part of child.stdout) text += part;
  try {
    return JSON.parse(text);
  } catch {
    return { failed: text };
  }
}

async function port() {
  const server = createServer();
  await new Promise((listen) => server.listen(0, '127.0.0.1', listen));
  const { port } = server.address();
  await new Promise((closed) => server.close(closed));
  return port;
}

async function listening(port) {
  const end = Date.now() + 120_000;
  for (;;) {
    try {
      await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(2_000) });
      return;
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((later) => setTimeout(later, 100));
    }
  }
}
