"""`Server`, by the name under which other packages import it."""

from uvicorn.command.server import Server, ServerState

__all__ = ["Server", "ServerState"]
