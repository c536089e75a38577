"""A client of the Python SDK that comes to an MCP server knowing nothing but its URL, as client.mjs.

python client.py py http://127.0.0.1:10000/mcp
"""

import asyncio
import json
import re
import sys
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.oauth2 import AuthorizationCodeResult
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata

REDIRECT = "http://127.0.0.1:1/callback"
URL = sys.argv[2]


class Storage:
    """What an application keeps for its user."""

    tokens = None
    client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


class User:
    """The user at a browser: the provider's own pages to log in and to consent."""

    async def go(self, authorization):
        async with httpx2.AsyncClient() as browser:
            answer = await browser.get(authorization)
            for _ in range(20):
                location = answer.headers.get("location")
                if location:
                    location = urljoin(str(answer.url), location)
                    if location.startswith(REDIRECT):
                        self.granted = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
                        return
                    answer = await browser.get(location)
                    continue
                prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)[1]
                action = re.search(r'action="([^"]+)"', answer.text)[1]
                form = {"prompt": prompt, "login": "alice", "password": "any"}
                answer = await browser.post(urljoin(str(answer.url), action), data=form)
        raise RuntimeError("the provider goes round in circles")

    async def come_back(self):
        granted = self.granted
        return AuthorizationCodeResult(code=granted["code"], state=granted.get("state"), iss=granted.get("iss"))


async def main():
    storage, user, seen = Storage(), User(), {}
    metadata = OAuthClientMetadata(
        client_name="py",
        redirect_uris=[REDIRECT],
        grant_types=["authorization_code", "refresh_token"],
        token_endpoint_auth_method="none",
    )
    provider = OAuthClientProvider(URL, metadata, storage, user.go, user.come_back)
    async with httpx2.AsyncClient(auth=provider, timeout=60) as http:
        async with Client(streamable_http_client(URL, http_client=http)) as client:
            seen["tools"] = [tool.name for tool in (await client.list_tools()).tools]
            seen["whoami"] = (await client.call_tool("whoami", {})).content[0].text
            seen["registered"] = bool(storage.client.client_id)
            seen["first_scope"] = storage.tokens.scope
            try:
                seen["write_note"] = (await client.call_tool("write_note", {"note": "a"})).content[0].text
                seen["second_scope"] = storage.tokens.scope
            except Exception as error:
                seen["write_note"] = f"failed: {error}"
    print(json.dumps(seen))


asyncio.run(main())
