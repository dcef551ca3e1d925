"""Ask an MCP server for a sum. Argument: its URL."""

import asyncio
import sys

from fastmcp import Client


async def main() -> None:
    async with Client(sys.argv[1]) as client:
        print((await client.call_tool("add", {"a": 2, "b": 3})).data)


asyncio.run(main())
