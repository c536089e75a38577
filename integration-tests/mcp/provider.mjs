// What an application of an SDK's keeps for its user (`held`), how it registers, and how it leaves for the authorization server.

export function provider({ name, redirect, held, leave, refreshes = true }) {
  return {
    redirectUrl: redirect,
    clientMetadata: {
      client_name: name,
      redirect_uris: [redirect],
      grant_types: ['authorization_code', ...(refreshes ? ['refresh_token'] : [])],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    },
    clientInformation: () => held.client,
    saveClientInformation: (client) => void (held.client = client),
    tokens: () => held.tokens,
    saveTokens: (tokens) => void (held.tokens = tokens),
    codeVerifier: () => held.verifier,
    saveCodeVerifier: (verifier) => void (held.verifier = verifier),
    // Which server the user was sent to, so that no other one's code is taken (SEP-2352).
    discoveryState: () => held.discovery,
    saveDiscoveryState: (discovery) => void (held.discovery = discovery),
    invalidateCredentials: (scope) => {
      if (['all', 'tokens'].includes(scope)) held.tokens = undefined;
      if (['all', 'discovery'].includes(scope)) held.discovery = undefined;
    },
    redirectToAuthorization: leave,
  };
}
