// An MCP server of the SDK's, streamable HTTP with sessions, on loopback at the port of its first argument. It writes its URL to
// standard output, and has two tools: `whoami`, which tells whose JWT came, and `write_note`.

import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { z } from 'zod';

const sessions = new Map();
const server = createServer(async (request, response) => {
  const session = sessions.get(request.headers['mcp-session-id']);
  const transport = session ?? (await begin());
  await transport.handleRequest(request, response);
});
server.listen(Number(process.argv[2] ?? 0), '127.0.0.1');
await once(server, 'listening');
console.log(`http://127.0.0.1:${server.address().port}`);

async function begin() {
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => sessions.set(id, transport),
    onsessionclosed: (id) => sessions.delete(id),
  });
  await tools().connect(transport);
  return transport;
}

function tools() {
  const mcp = new McpServer({ name: 'notes', version: '1.0.0' });
  mcp.registerTool('whoami', { description: 'Tells whose token came.' }, ({ requestInfo }) => {
    const [, payload] = String(requestInfo.headers.authorization).split('.');
    const { sub, scope } = JSON.parse(Buffer.from(payload, 'base64url'));
    return text(`${sub}: ${scope}`);
  });
  mcp.registerTool('write_note', { inputSchema: { note: z.string() } }, ({ note }) => text(`written: ${note}`));
  return mcp;
}

function text(text) {
  return { content: [{ type: 'text', text }] };
}
