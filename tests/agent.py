"""An agent: a real MCP client that calls the tools of a service."""

import asyncio

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client


def ask(url, *calls, key=None, mode="auto"):
    """Return the results of calls of tools, `(name, arguments)`; of the list of tools without calls."""

    async def talk():
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=90) as http,
            Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=mode) as client,
        ):
            return [await client.call_tool(*call) for call in calls] or (await client.list_tools()).tools

    return asyncio.run(talk())
