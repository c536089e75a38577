// Two users of one application at a server with sessions, behind a gateway that binds session ids: Alice's client of the SDK holds a session,
// and Bob tries to go on with it. What each request came to is written to standard output, as one JSON object.
//
//   node sessions.mjs http://127.0.0.1:10000/mcp

import { auth } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { consent } from './login.mjs';
import { provider } from './provider.mjs';

const url = process.argv[2];
const REDIRECT = 'http://127.0.0.1:1/callback';
// The users have the same application, so that only their tokens differ.
const registered = {};

const alice = await logIn('alice');
const again = await logIn('alice');
const bob = await logIn('bob');
const transport = new StreamableHTTPClientTransport(new URL(url), { authProvider: alice });
const client = new Client({ name: 'sessions', version: '1.0.0' });
await client.connect(transport);
const id = transport.sessionId;
const own = id.slice(0, id.lastIndexOf('.'));

const seen = { user: await whoami() };
const attempts = { alice: [alice, id], with_a_new_token: [again, id], stolen: [bob, id], without_mac: [alice, own], made_up: [alice, `x${id}`] };
for (const [name, [user, sessionId]] of Object.entries(attempts)) {
  seen[name] = [(await send('POST', user, sessionId)).status];
  // The server has one stream for each session, which is the client's.
  if (sessionId !== id || user === bob) seen[name].push((await send('GET', user, sessionId)).status);
}
const begun = (await send('POST', alice, undefined, 'initialize')).headers.get('mcp-session-id');
seen.stream = (await send('GET', alice, begun)).status;
seen.ended_by_bob = (await send('DELETE', bob, id)).status;
seen.still = await whoami();
seen.of_bob = await (async () => {
  const theirs = new Client({ name: 'sessions', version: '1.0.0' });
  await theirs.connect(new StreamableHTTPClientTransport(new URL(url), { authProvider: bob }));
  const { content } = await theirs.callTool({ name: 'whoami', arguments: {} });
  return content[0].text;
})();
seen.ended_by_alice = (await send('DELETE', alice, id)).status;
console.log(JSON.stringify(seen));
process.exit(0);

// What an application keeps for a user who has logged in.
async function logIn(user) {
  const held = { client: registered.client };
  let granted;
  const application = provider({
    name: 'sessions',
    redirect: REDIRECT,
    held,
    leave: async (authorization) => {
      granted = await consent(authorization, REDIRECT, user);
    },
  });
  await auth(application, { serverUrl: url, scope: 'mcp:read' });
  await auth(application, { serverUrl: url, scope: 'mcp:read', authorizationCode: granted.get('code') });
  registered.client = held.client;
  return application;
}

async function whoami() {
  const { content } = await client.callTool({ name: 'whoami', arguments: {} });
  return content[0].text;
}

// A request of this session. A stream is left as soon as it has begun.
async function send(method, user, sessionId, call = 'tools/list') {
  const leave = new AbortController();
  const headers = {
    authorization: `Bearer ${user.tokens().access_token}`,
    accept: method === 'POST' ? 'application/json, text/event-stream' : 'text/event-stream',
    'content-type': 'application/json',
    'mcp-protocol-version': '2025-11-25',
    ...(sessionId && { 'mcp-session-id': sessionId }),
  };
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'sessions', version: '1.0.0' } };
  const body = method === 'POST' ? JSON.stringify({ jsonrpc: '2.0', id: 7, method: call, params }) : undefined;
  const answer = await fetch(url, { method, headers, body, signal: leave.signal });
  leave.abort();
  return answer;
}
