// An MCP client that is a page, as inspectors and chats are: all it knows is the URL of a server that its user enters. It leaves for the
// authorization server and comes back, so what it keeps is in the session's storage.

import { provider } from '../provider.mjs';
import { load } from '../sdk.mjs';

const HERE = `${location.origin}/`;
const held = new Proxy(sessionStorage, {
  get: (storage, name) => JSON.parse(storage.getItem(name) ?? 'null') ?? undefined,
  set: (storage, name, value) => {
    if (value === undefined) storage.removeItem(name);
    else storage.setItem(name, JSON.stringify(value));
    return true;
  },
});
let [client, transport, isLeaving] = [];

const actions = {
  connect: async () => {
    await connect();
    const { tools } = await client.listTools();
    return { tools: tools.map(({ name }) => name), revision: transport.protocolVersion };
  },
  whoami: () => call('whoami', {}),
  write_note: () => call('write_note', { note: 'a' }),
  revoke: async () => {
    const at = new URL(held.url);
    const resource = await (await fetch(new URL(`/.well-known/oauth-protected-resource${at.pathname}`, at))).json();
    const server = await (await fetch(`${resource.authorization_servers[0]}/.well-known/openid-configuration`)).json();
    held.revoked = held.tokens.access_token;
    const body = new URLSearchParams({ token: held.revoked, client_id: held.client.client_id });
    return { status: (await fetch(server.revocation_endpoint, { method: 'POST', body })).status };
  },
};

async function connect() {
  if (client) return;
  const { Client, StreamableHTTPClientTransport } = await load(held.sdk);
  const begun = new Client({ name: 'a page', version: '1.0.0' }, { versionNegotiation: { mode: 'auto' } });
  const authProvider = provider({
    name: 'a page',
    redirect: HERE,
    held,
    leave: (authorization) => {
      isLeaving = true;
      location.assign(authorization);
    },
    // The older SDK takes a refresh for a step-up as long as it has a refresh token.
    refreshes: held.sdk === 'ts2',
  });
  transport = new StreamableHTTPClientTransport(new URL(held.url), { authProvider });
  if (held.granted) {
    const { code, iss } = held.granted;
    held.granted = undefined;
    await transport.finishAuth(code, iss);
  }
  await begun.connect(transport);
  client = begun;
}

async function call(name, parameters) {
  await connect();
  const { content } = await client.callTool({ name, arguments: parameters });
  return { text: content[0].text };
}

// Does it, and shows what came of it. The page may be left meanwhile: then it does it again behind the user's consent.
async function act(name) {
  held.doing = name;
  let outcome;
  try {
    outcome = await actions[name]();
  } catch (error) {
    if (isLeaving) return;
    outcome = { failed: error.message };
  }
  held.doing = undefined;
  const { tokens, revoked, client: registration } = held;
  const about = {
    registered: Boolean(registration?.client_id),
    scope: tokens?.scope,
    refreshes: Boolean(tokens?.refresh_token),
    is_new: tokens?.access_token !== revoked,
  };
  document.querySelector('#happened').textContent = JSON.stringify({ [name]: { ...outcome, ...about } });
}

for (const name of Object.keys(actions)) {
  document.querySelector(`#${name}`).addEventListener('click', () => {
    document.querySelector('#happened').textContent = '';
    if (name === 'connect') {
      for (const field of ['sdk', 'url']) held[field] = document.querySelector(`#${field}`).value;
    }
    act(name);
  });
}
const granted = new URLSearchParams(location.search);
if (granted.has('code')) {
  held.granted = Object.fromEntries(granted);
  history.replaceState(null, '', HERE);
  act(held.doing);
}
