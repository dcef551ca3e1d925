"""`Server`, by the name under which other packages import it."""

from __future__ import annotations

import logging
import signal
from typing import Final

from uvicorn._compat import asyncio_run
from uvicorn.command.config import Config
from uvicorn.command.run import STARTUP_FAILURE
from uvicorn.command.server import Server
from uvicorn.command.server_state import ServerState

__all__ = ["HANDLED_SIGNALS", "STARTUP_FAILURE", "Config", "Server", "ServerState", "asyncio_run", "logger"]

HANDLED_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
logger: Final = logging.getLogger("uvicorn.error")
