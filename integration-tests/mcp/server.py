"""An MCP server of the Python SDK, on loopback at the port of its first argument: revision 2026-07-28 and older ones. It has the tools
of server.mjs."""

import base64
import json
import sys

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("notes")


@server.tool()
def whoami(context: Context) -> str:
    """Tells whose token came."""
    payload = context.request_context.request.headers["authorization"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return f"{claims['sub']}: {claims['scope']}"


@server.tool()
def write_note(note: str) -> str:
    """Writes a note."""
    return f"written: {note}"


server.run("streamable-http", port=int(sys.argv[1]))
