"""`Server`, by the name under which other packages import it."""

from uvicorn.command.server import Server
from uvicorn.command.server_state import ServerState

__all__ = ["Server", "ServerState"]
