// The SDKs for clients, by the names that the table in story.mjs has for them.

export async function load(sdk) {
  if (sdk === 'ts2') return import('@modelcontextprotocol/client');
  const parts = [import('@modelcontextprotocol/sdk/client/index.js'), import('@modelcontextprotocol/sdk/client/streamableHttp.js')];
  const [one, two] = await Promise.all(parts);
  return { ...one, ...two };
}
