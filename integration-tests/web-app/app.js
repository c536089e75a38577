// An application without a backend. Its user logs in by authorization code with PKCE (RFC 9700 §2.1.1); it calls the API with the opaque
// access token, asks for more scopes when the API refuses for want of them (RFC 6750 §3.1), refreshes the token, and revokes it at the end.

import * as oauth from '/oauth4webapi.js';

const { issuer, api } = await (await fetch('/settings.json')).json();
const insecure = { [oauth.allowInsecureRequests]: true }; // Issuer and page are on loopback here.
const client = { client_id: 'web' };
const here = `${location.origin}/`;
const server = await discover();
let tokens;

async function discover() {
  const url = new URL(issuer);
  return oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, insecure));
}

// Leaves for the authorization server, to come back with these scopes and do this.
async function authorize(scope, then) {
  const [verifier, state] = [oauth.generateRandomCodeVerifier(), oauth.generateRandomState()];
  sessionStorage.journey = JSON.stringify({ verifier, state, then });
  const url = new URL(server.authorization_endpoint);
  url.search = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: here,
    response_type: 'code',
    scope: `openid ${scope}`,
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  });
  location.assign(url);
}

async function comeBack() {
  const { verifier, state, then } = JSON.parse(sessionStorage.journey);
  sessionStorage.removeItem('journey');
  const parameters = oauth.validateAuthResponse(server, client, new URL(location.href), state);
  history.replaceState(null, '', here);
  const response = await oauth.authorizationCodeGrantRequest(
    server, client, oauth.None(), parameters, here, verifier, insecure);
  tokens = await oauth.processAuthorizationCodeResponse(server, client, response);
  await actions[then]();
}

async function call(method, then) {
  let response;
  try {
    response = await oauth.protectedResourceRequest(
      tokens?.access_token ?? 'none', method, new URL(`${api}/orders`), new Headers(), null, insecure);
  } catch (error) {
    if (!(error instanceof oauth.WWWAuthenticateChallengeError)) throw error;
    const [challenge] = error.cause;
    if (challenge.parameters.error === 'insufficient_scope') {
      return authorize(`orders:read ${challenge.parameters.scope}`, then);
    }
    return happened(`${method}: ${error.status} ${challenge.parameters.error}`);
  }
  happened(`${method}: ${response.status}, ${(await response.json()).subject} was served`);
}

function happened(what) {
  document.querySelector('#happened').textContent = what;
}

const actions = {
  'log-in': () => authorize('orders:read', 'list'),
  list: () => call('GET', 'list'),
  order: () => call('POST', 'order'),
  async refresh() {
    const response = await oauth.refreshTokenGrantRequest(server, client, oauth.None(), tokens.refresh_token, insecure);
    tokens = { ...tokens, ...(await oauth.processRefreshTokenResponse(server, client, response)) };
    happened('the token is a new one');
  },
  async 'log-out'() {
    const response = await oauth.revocationRequest(server, client, oauth.None(), tokens.refresh_token, insecure);
    await oauth.processRevocationResponse(response);
    happened('the tokens are revoked');
  },
};

// Does it, and shows what went wrong instead of nothing.
function attempt(action) {
  return action().catch((error) => happened(`${error.name}: ${error.message}`));
}

for (const [id, action] of Object.entries(actions)) {
  document.querySelector(`#${id}`).addEventListener('click', () => attempt(action));
}
if (sessionStorage.journey) await attempt(comeBack);
document.body.dataset.ready = 'true';
