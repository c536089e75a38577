// A client of an MCP SDK, `ts1` or `ts2`, that comes to an MCP server knowing nothing but its URL: discovery, registration, consent, a
// tool, a step-up, refresh and revocation. It writes what it saw to standard output, as one JSON object; with a third argument, every
// exchange as well.
//
//   node client.mjs ts1 http://127.0.0.1:10000/mcp

import { consent } from './login.mjs';
import { provider } from './provider.mjs';
import { load } from './sdk.mjs';

const [, , sdk, url, verbose] = process.argv;
const { Client, StreamableHTTPClientTransport } = await load(sdk);
const REDIRECT = 'http://127.0.0.1:1/callback';

const exchanges = [];
const held = {};
// What the authorization server has sent the user back with.
let granted;

const application = provider({
  name: sdk,
  redirect: REDIRECT,
  held,
  leave: async (authorization) => {
    granted = await consent(authorization, REDIRECT, 'alice');
  },
});

const seen = {};
let [client, transport] = [];
await withLogin(connect);
seen.tools = (await withLogin(() => client.listTools())).tools.map(({ name }) => name);
seen.whoami = await call('whoami', {});
seen.registered = Boolean(held.client.client_id);
seen.first_scope = held.tokens.scope;
const refresh = held.tokens.refresh_token;
seen.has_refresh_token = Boolean(refresh);
try {
  seen.write_note = await call('write_note', { note: 'a' });
  seen.second_scope = held.tokens.scope;
} catch (error) {
  seen.write_note = `failed: ${error.message}`;
}
await revoke('access_token');
const revoked = held.tokens.access_token;
seen.after_revocation = await call('whoami', {});
seen.has_new_token = held.tokens.access_token !== revoked;
await transport.terminateSession?.();
await client.close();
console.log(JSON.stringify(verbose ? { ...seen, exchanges } : seen));
process.exit(0);

async function connect() {
  // ts2 speaks 2025-11-25 unless it is told to find out.
  client = new Client({ name: sdk, version: '1.0.0' }, { versionNegotiation: { mode: 'auto' } });
  transport = new StreamableHTTPClientTransport(new URL(url), { authProvider: application, fetch: watched });
  await client.connect(transport);
}

// Does it, and once more behind a login, if that is what it takes.
async function withLogin(step) {
  try {
    return await step();
  } catch (error) {
    if (!granted) throw error;
    const [code, iss] = ['code', 'iss'].map((name) => granted.get(name));
    granted = undefined;
    await transport.finishAuth(code, iss);
    if (step !== connect && !client.transport) await connect();
    return step();
  }
}

async function call(name, parameters) {
  const { content } = await withLogin(() => client.callTool({ name, arguments: parameters }));
  return content[0].text;
}

async function revoke(kind) {
  const metadata = await (await fetch(await server())).json();
  const body = new URLSearchParams({ token: held.tokens[kind], client_id: held.client.client_id });
  const { status } = await fetch(metadata.revocation_endpoint, { method: 'POST', body });
  if (status !== 200) throw new Error(`the token was not revoked: ${status}`);
}

async function server() {
  const at = new URL(url);
  const document = await (await fetch(new URL(`/.well-known/oauth-protected-resource${at.pathname}`, at))).json();
  return `${document.authorization_servers[0]}/.well-known/openid-configuration`;
}

async function watched(input, init) {
  const answer = await fetch(input, init);
  const { method = 'GET', body, headers } = init ?? {};
  exchanges.push({
    request: `${method} ${input}`,
    fields: Object.fromEntries([...new Headers(headers)].filter(([name]) => name.startsWith('mcp-'))),
    body: typeof body === 'string' ? body : body?.toString(),
    status: answer.status,
    challenge: answer.headers.get('www-authenticate') ?? undefined,
  });
  return answer;
}
