// @jmondi/oauth2-server with its clients and alice in memory.
//
// The secrets come as variables.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { AuthorizationServer, DateInterval } from "@jmondi/oauth2-server";
import { handleVanillaError } from "@jmondi/oauth2-server/vanilla";

const { ALICE_PASSWORD, APP_CLIENT_SECRET, INTROSPECTION_CLIENT_SECRET, JWT_SECRET } = process.env;
const alice = { id: "alice" };
const scopes = ["orders:read", "orders:write", "payments:read"].map((name) => ({ name }));
const grants = ["client_credentials", "password", "refresh_token"];
const client = (id, secret) => ({ id, name: id, secret, redirectUris: [], allowedGrants: grants, scopes });
const clients = [
  client("app", APP_CLIENT_SECRET),
  client("app-brief", APP_CLIENT_SECRET),
  client("gateway", INTROSPECTION_CLIENT_SECRET),
];
const tokens = new Map();
const within = (seconds) => new Date(Date.now() + seconds * 1000);
const find = (key, value) => {
  const token = [...tokens.values()].find((token) => token[key] === value);
  if (!token) throw new Error("no such token");
  return token;
};

const server = new AuthorizationServer(
  {
    getByIdentifier: async (id) => clients.find((client) => client.id === id),
    isClientValid: async (_, client, secret) => client.secret === secret,
  },
  {
    issueToken: async (client, scopes, user) => ({ accessToken: randomUUID(), client, scopes, user }),
    issueRefreshToken: async (token) => {
      Object.assign(token, { refreshToken: randomUUID(), refreshTokenExpiresAt: within(3600) });
      return token;
    },
    persist: async (token) => {
      // A grant has one lifetime for all clients.
      if (token.client.id === "app-brief") token.accessTokenExpiresAt = within(3);
      tokens.set(token.accessToken, token);
    },
    revoke: async (token) => tokens.delete(token.accessToken),
    isRefreshTokenRevoked: async (token) => !tokens.has(token.accessToken),
    getByAccessToken: async (id) => find("accessToken", id),
    getByRefreshToken: async (id) => find("refreshToken", id),
  },
  {
    getAllByIdentifiers: async (names) => scopes.filter(({ name }) => names.includes(name)),
    finalize: async (scopes) => scopes,
  },
  JWT_SECRET,
);
const getUserByCredentials = async (name, password) =>
  name === alice.id && password === ALICE_PASSWORD ? alice : undefined;
server.enableGrantType({ grant: "password", userRepository: { getUserByCredentials } }, new DateInterval("10m"));

const endpoints = {
  "/token": (request) => server.respondToAccessTokenRequest(request),
  "/revoke": (request) => server.revoke(request),
  "/introspect": (request) => server.introspect(request),
};

createServer(async (request, response) => {
  const endpoint = endpoints[request.url];
  if (!endpoint) return response.writeHead(404).end();
  const chunks = await request.toArray();
  const body = Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString()));
  const oauthRequest = { query: {}, headers: request.headers, body };
  const answer = await endpoint(oauthRequest).catch(handleVanillaError);
  response.writeHead(answer.status, { "content-type": "application/json", ...answer.headers });
  response.end(JSON.stringify(answer.body));
}).listen(0, "127.0.0.1", function () {
  console.log(`http://127.0.0.1:${this.address().port}`);
});
