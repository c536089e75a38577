// The client of page/ in Chromium, on an origin of its own, and its user: enters the URL of an MCP server, logs in and consents at the
// authorization server's pages, calls tools. It writes what the user saw to standard output, as one JSON object, and every exchange of the
// browser with gateway and server, preflights included.
//
//   node page.mjs ts2 http://127.0.0.1:10000/mcp

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';

const [, , sdk, url] = process.argv;
const folder = fileURLToPath(new URL('page', import.meta.url));
const page = readFileSync(`${folder}/index.html`);
const { outputFiles } = await build({ entryPoints: [`${folder}/page.js`], bundle: true, format: 'esm', write: false });
const [origin, another] = [await serve(), await serve()];

const browser = await chromium.launch({
  executablePath: fileURLToPath(new URL('../../.tools/chromium', import.meta.url)),
  args: ['--no-sandbox', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'],
});
const context = await browser.newContext();
const tab = await context.newPage();
const exchanges = await watch(tab);
await tab.goto(origin);
await tab.fill('#sdk', sdk);
await tab.fill('#url', url);
const { tools, revision, scope, registered, refreshes } = await act('connect');
const seen = { tools, revision, registered, has_refresh_token: refreshes, first_scope: scope };
seen.whoami = (await act('whoami')).text;
const written = await act('write_note');
seen.write_note = written.text ?? `failed: ${written.failed}`;
seen.second_scope = written.scope;
seen.revoked = (await act('revoke')).status;
const again = await act('whoami');
seen.after_revocation = again.text;
seen.has_new_token = again.is_new;
seen.another_page = (await ofAnother()) === url;
await browser.close();
console.log(JSON.stringify({ ...seen, exchanges }));
process.exit(0);

async function serve() {
  const server = createServer((request, response) => {
    const isScript = request.url === '/page.js';
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    response.end(isScript ? outputFiles[0].contents : page);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `http://127.0.0.1:${server.address().port}`;
}

// Clicks, does what the authorization server's pages ask for, and gives what came of it.
async function act(name) {
  await tab.click(`#${name}`);
  for (;;) {
    await tab.locator('#happened:not(:empty), input[name=prompt]').first().waitFor({ state: 'attached', timeout: 60_000 });
    const happened = tab.locator('#happened');
    if (await happened.count()) return JSON.parse(await happened.textContent())[name];
    if (await tab.locator('input[name=login]').count()) {
      await tab.fill('input[name=login]', 'alice');
      await tab.fill('input[name=password]', 'any');
    }
    const before = tab.url();
    await tab.click('button[type=submit]');
    await tab.waitForURL(({ href }) => href !== before);
  }
}

// What a page of another origin, of the same site, reads of the metadata in the same browser.
async function ofAnother() {
  const other = await context.newPage();
  await other.goto(another);
  const { pathname } = new URL(url);
  const metadata = String(new URL(`/.well-known/oauth-protected-resource${pathname}`, url));
  return other.evaluate(async (metadata) => {
    const answer = await fetch(metadata).catch((error) => ({ json: () => ({ resource: error.message }) }));
    return (await answer.json()).resource;
  }, metadata);
}

// What a page in this tab sends and receives, and what the browser asks before: preflights.
async function watch(tab) {
  const [exchanges, requests] = [[], new Map()];
  const session = await context.newCDPSession(tab);
  session.on('Network.requestWillBeSent', ({ requestId, request, type }) => {
    if (type !== 'Fetch' && request.method !== 'OPTIONS') return;
    const asked = Object.entries(request.headers).find(([name]) => name.toLowerCase() === 'access-control-request-headers');
    const exchange = { request: `${request.method} ${request.url}`, fields: asked?.[1], body: request.postData };
    exchanges.push(exchange);
    requests.set(requestId, exchange);
  });
  session.on('Network.responseReceived', ({ requestId, response }) => {
    const exchange = requests.get(requestId);
    if (!exchange) return;
    exchange.status = response.status;
    const fields = Object.fromEntries(Object.entries(response.headers).map(([name, value]) => [name.toLowerCase(), value]));
    exchange.challenge = fields['www-authenticate'];
  });
  await session.send('Network.enable');
  return exchanges;
}
