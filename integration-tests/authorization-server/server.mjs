// The authorization server of the demo and the tests: oidc-provider, which is certified by the OpenID Foundation, with
// opaque access tokens and one addition: introspection answers `Accept: application/jwt` as the Curity Identity Server
// does, with the JWT of an active token and with 204 for any other.
//
// It listens on loopback at the port of its first argument (0: any that is free) and writes its issuer to standard
// output.

import { createServer } from 'node:http';
import { once } from 'node:events';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';

const AUDIENCE = 'orders-api';
const SCOPES = 'orders:read orders:write';
const INTROSPECTION = '/token/introspection';

const server = createServer();
server.listen(Number(process.argv[2] ?? 0), '127.0.0.1');
await once(server, 'listening');
const issuer = `http://127.0.0.1:${server.address().port}`;

const { privateKey } = await generateKeyPair('ES256', { extractable: true });
const signingKey = { ...(await exportJWK(privateKey)), alg: 'ES256', use: 'sig', kid: 'demo' };

const provider = new Provider(issuer, {
  clients: [
    client('app', process.env.APP_CLIENT_SECRET, ['client_credentials']),
    client('gateway', process.env.INTROSPECTION_CLIENT_SECRET, []),
    {
      ...client('gateway-post', process.env.INTROSPECTION_CLIENT_SECRET, []),
      token_endpoint_auth_method: 'client_secret_post',
    },
  ],
  cookies: { keys: ['not used: no user logs in here'] },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => 'https://orders.example.com',
      getResourceServerInfo: () => ({
        accessTokenFormat: 'opaque',
        accessTokenTTL: 600,
        audience: AUDIENCE,
        scope: SCOPES,
      }),
    },
    revocation: { enabled: true },
  },
  jwks: { keys: [signingKey] },
  scopes: SCOPES.split(' '),
});

function client(client_id, client_secret, grant_types) {
  const id_token_signed_response_alg = signingKey.alg;
  return { client_id, client_secret, grant_types, id_token_signed_response_alg, redirect_uris: [], response_types: [] };
}

const introspections = new Map();

provider.use(async function countIntrospections(ctx, next) {
  if (ctx.path === '/introspections') {
    ctx.body = introspections.get(ctx.get('token')) ?? { count: 0 };
    return;
  }
  await next();
  const token = ctx.path === INTROSPECTION && ctx.oidc?.params?.token;
  if (token) {
    const { count } = introspections.get(token) ?? { count: 0 };
    introspections.set(token, { count: count + 1, authorization: ctx.get('authorization') });
  }
});

provider.use(async function answerWithJwt(ctx, next) {
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
    .setProtectedHeader({ alg: signingKey.alg, kid: signingKey.kid, typ: 'at+jwt' })
    .setJti(crypto.randomUUID())
    .sign(privateKey);
  ctx.type = 'application/jwt';
  ctx.body = jwt;
});

server.on('request', provider.callback());
console.log(issuer);
