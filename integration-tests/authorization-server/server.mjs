// The authorization server of the demo and the tests: oidc-provider, which is certified by the OpenID Foundation, with
// opaque access tokens or JWTs (RFC 9068), by the resource that they are for, bound to a key (RFC 9449) or a certificate
// (RFC 8705) if the client shows one, signed introspection responses (RFC 9701),
// and one addition: introspection answers `Accept: application/jwt` as the Curity Identity Server does, with the JWT of an
// active token and with 204 for any other.
//
// It listens on loopback at the port of its first argument (0: any that is free) and writes its URL to standard output. That is
// its issuer, unless the variable ISSUER has another: the name of a proxy in front. What tests ask of it beside OAuth is at `/test/`: what it was asked, ID tokens, and that it rotates its keys or
// publishes them later or not at all.

import { X509Certificate } from 'node:crypto';
import { createServer } from 'node:http';
import { EventEmitter, once } from 'node:events';
import { SignJWT, calculateJwkThumbprint, exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';

const SCOPES = 'orders:read orders:write';
const INTROSPECTION = '/token/introspection';
const RESOURCES = {
  'https://orders.example.com': opaque(),
  'https://jwt.orders.example.com': jwt('orders-api', 600),
  'https://brief.orders.example.com': jwt('orders-api', 5),
  'https://payments.example.com': jwt('payments-api', 600),
};
// An MCP server, whose clients register themselves (RFC 7591).
const mcpResource = process.env.MCP_RESOURCE;
if (mcpResource) {
  RESOURCES[mcpResource] = { ...opaque(), audience: mcpResource, scope: 'mcp:read mcp:write' };
}
const DOCUMENTS = { '/jwks': 'keys', '/.well-known/openid-configuration': 'metadata' };

// On a busy machine, Envoy would send a request by a connection that is just being closed, which is no concern of any test.
const server = createServer({ keepAliveTimeout: 600_000 });
server.listen(Number(process.argv[2] ?? 0), '127.0.0.1');
await once(server, 'listening');
const url = `http://127.0.0.1:${server.address().port}`;
const issuer = process.env.ISSUER ?? url;

const introspections = new Map();
const fetches = { keys: 0, metadata: 0 };
const publication = Object.assign(new EventEmitter(), { state: 'serving' });
publication.setMaxListeners(0);
const storage = new Map();
let serve = await provide();

server.on('request', async (request, response) => {
  if (mcpResource && request.method === 'POST' && request.url === '/reg') {
    // The clients of MCP register the scopes of their first challenge, and the provider would hold them to that at a step-up.
    let body = '';
    for await (const part of request) body += part;
    request.body = { ...JSON.parse(body), scope: undefined };
  }
  serve(request, response);
});
console.log(url);

// The provider with new keys. What it issued before lives on in the storage.
async function provide() {
  const [elliptic, rsa] = await Promise.all(['ES256', 'RS256'].map(newKey));
  const provider = new Provider(issuer, {
    adapter: Storage,
    clients: [
      client('app', process.env.APP_CLIENT_SECRET, { grant_types: ['client_credentials'] }),
      client('app-with-certificate', process.env.APP_CLIENT_SECRET, {
        grant_types: ['client_credentials'],
        tls_client_certificate_bound_access_tokens: true,
      }),
      client('gateway', process.env.INTROSPECTION_CLIENT_SECRET),
      client('gateway-post', process.env.INTROSPECTION_CLIENT_SECRET, {
        token_endpoint_auth_method: 'client_secret_post',
      }),
      ...['ES256', 'RS256'].map((alg) =>
        client(`gateway-signed-${alg}`, process.env.INTROSPECTION_CLIENT_SECRET, {
          introspection_signed_response_alg: alg,
        }),
      ),
      ...Object.entries(JSON.parse(process.env.GATEWAY_KEYS ?? '{}')).map(([alg, key]) =>
        client(`gateway-key-${alg}`, undefined, {
          token_endpoint_auth_method: 'private_key_jwt',
          token_endpoint_auth_signing_alg: alg,
          jwks: { keys: [key] },
        }),
      ),
      ...(process.env.WEB_APP ? [webApp(process.env.WEB_APP)] : []),
    ],
    clientBasedCORS: (ctx, origin, { redirectUris }) => redirectUris.includes(`${origin}/`),
    cookies: { keys: ['of sessions that end with the tests'] },
    features: {
      clientCredentials: { enabled: true },
      // Its pages to log in and to consent, which take any name and password.
      devInteractions: { enabled: Boolean(process.env.WEB_APP ?? mcpResource) },
      introspection: { enabled: true },
      registration: { enabled: Boolean(mcpResource) },
      jwtIntrospection: { enabled: true },
      mTLS: { enabled: true, certificateBoundAccessTokens: true, getCertificate },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'https://orders.example.com',
        getResourceServerInfo: (ctx, resource) => RESOURCES[resource],
        useGrantedResource: () => true,
      },
      revocation: { enabled: true },
    },
    issueRefreshToken: (ctx, client) =>
      client.grantTypeAllowed('refresh_token') && (client.clientId === 'web' || Boolean(mcpResource)),
    jwks: { keys: [elliptic.jwk, rsa.jwk] },
    scopes: SCOPES.split(' '),
  });
  if (mcpResource) provider.use(letPagesRegister);
  provider.use(answerTests(provider));
  provider.use(publish);
  provider.use(countIntrospections);
  provider.use(answerWithJwt(elliptic));
  return provider.callback();
}

function client(client_id, client_secret, metadata) {
  return {
    client_id,
    client_secret,
    id_token_signed_response_alg: 'ES256',
    grant_types: [],
    redirect_uris: [],
    response_types: [],
    ...metadata,
  };
}

// An application in a browser, at this URL: it has no secret (RFC 6749 §2.1).
function webApp(redirectUri) {
  return client('web', undefined, {
    token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token'],
    redirect_uris: [redirectUri],
    response_types: ['code'],
  });
}

function opaque() {
  return { accessTokenFormat: 'opaque', accessTokenTTL: 600, audience: 'orders-api', scope: SCOPES };
}

function jwt(audience, accessTokenTTL) {
  return { accessTokenFormat: 'jwt', accessTokenTTL, audience, scope: SCOPES, jwt: { sign: { alg: 'ES256' } } };
}

// The certificate that a client showed to the proxy which would end TLS in front.
function getCertificate(ctx) {
  const certificate = ctx.get('x-client-certificate');
  return certificate ? new X509Certificate(Buffer.from(certificate, 'base64')) : undefined;
}

async function newKey(alg) {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  const jwk = await exportJWK(privateKey);
  return { privateKey, jwk: { ...jwk, alg, use: 'sig', kid: await calculateJwkThumbprint(jwk) } };
}

// What the provider keeps, in memory. It looks at dates of expiry itself.
function Storage(model) {
  const key = (id) => `${model}:${id}`;
  return {
    upsert: async (id, payload) => void storage.set(key(id), payload),
    find: async (id) => storage.get(key(id)),
    findByUid: async (uid) => values(model).find((value) => value.uid === uid),
    consume: async (id) => void (storage.get(key(id)).consumed = true),
    destroy: async (id) => void storage.delete(key(id)),
    revokeByGrantId: async (grantId) => {
      storage.forEach((value, key) => value.grantId === grantId && storage.delete(key));
    },
  };
}

function values(model) {
  return [...storage].filter(([key]) => key.startsWith(`${model}:`)).map(([, value]) => value);
}

function answerTests(provider) {
  return async function answerTest(ctx, next) {
    if (ctx.path === '/test/introspections') {
      ctx.body = introspections.get(ctx.get('token')) ?? { count: 0 };
    } else if (ctx.path === '/test/fetches') {
      ctx.body = fetches;
    } else if (ctx.path === '/test/publication') {
      publication.state = ctx.get('state');
      publication.emit('change');
      ctx.status = 204;
    } else if (ctx.path === '/test/rotation') {
      serve = await provide();
      ctx.status = 204;
    } else if (ctx.path === '/test/refresh-token') {
      const app = await provider.Client.find('app');
      const grant = new provider.Grant({ accountId: 'alice', clientId: 'app' });
      grant.addOIDCScope('orders:read');
      const grantId = await grant.save();
      const scope = 'orders:read';
      const token = new provider.RefreshToken({ client: app, accountId: 'alice', grantId, scope, gty: 'authorization_code' });
      ctx.body = await token.save();
    } else if (ctx.path === '/test/id-token') {
      const app = await provider.Client.find('app');
      const token = new provider.IdToken({ sub: 'alice', client_id: 'app' }, { client: app });
      token.scope = 'openid';
      token.set('nonce', 'n-0S6_WzA2Mj');
      ctx.body = await token.issue({ use: 'idtoken' });
    } else {
      await next();
    }
  };
}

// MCP clients that are pages register as others do. Registration is the one endpoint for which the provider has no CORS.
async function letPagesRegister(ctx, next) {
  if (ctx.path !== '/reg') return next();
  ctx.set('access-control-allow-origin', '*');
  if (ctx.method !== 'OPTIONS') return next();
  ctx.set('access-control-allow-headers', 'content-type, mcp-protocol-version');
  ctx.status = 204;
}

async function publish(ctx, next) {
  const name = DOCUMENTS[ctx.path];
  if (!name) return next();
  fetches[name] += 1;
  while (publication.state === 'held') await once(publication, 'change');
  if (publication.state === 'serving') return next();
  ctx.status = 503;
}

async function countIntrospections(ctx, next) {
  await next();
  const token = ctx.path === INTROSPECTION && ctx.oidc?.params?.token;
  if (token) {
    const { count } = introspections.get(token) ?? { count: 0 };
    const assertion = ctx.oidc.params.client_assertion;
    introspections.set(token, { count: count + 1, authorization: ctx.get('authorization'), assertion });
  }
}

function answerWithJwt({ privateKey, jwk: { alg, kid } }) {
  return async function answerIntrospectionWithJwt(ctx, next) {
    if (ctx.path !== INTROSPECTION || ctx.get('accept') !== 'application/jwt') return next();
    ctx.req.headers.accept = 'application/json';
    await next();
    if (ctx.status !== 200) return;
    if (!ctx.body.active) {
      ctx.status = 204;
      return;
    }
    const { active, token_type, ...claims } = ctx.body;
    const jwt = await new SignJWT({ sub: claims.client_id, ...claims })
      .setProtectedHeader({ alg, kid, typ: 'at+jwt' })
      .setJti(crypto.randomUUID())
      .sign(privateKey);
    ctx.type = 'application/jwt';
    ctx.body = jwt;
  };
}
