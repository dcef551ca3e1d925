"""An MCP server over HTTP. Arguments: "mcp" or "fastmcp", and the port."""

import sys

kind, port = sys.argv[1], int(sys.argv[2])
if kind == "fastmcp":
    from fastmcp import FastMCP

    server = FastMCP("sums")
else:
    try:
        from mcp.server.fastmcp import FastMCP

        server = FastMCP("sums", host="127.0.0.1", port=port)
    except ImportError:  # its name since 2.0
        from mcp.server.mcpserver import MCPServer

        server = MCPServer("sums")


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


if __name__ == "__main__":
    if kind == "fastmcp":
        server.run(transport="http", host="127.0.0.1", port=port, show_banner=False)
    elif type(server).__name__ == "FastMCP":
        server.run(transport="streamable-http")
    else:
        server.run(transport="streamable-http", host="127.0.0.1", port=port)
