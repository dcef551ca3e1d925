"""The command as a function: `uvicorn.main()`; and `run`, by the name under which other packages import it.

The module itself can be called, since the other package has a function of this name in place of it.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Sequence
from typing import Any, Final

from uvicorn.command.config import Config
from uvicorn.command.missing import found_elsewhere, refuse
from uvicorn.command.run import STARTUP_FAILURE, run
from uvicorn.command.server import Server
from uvicorn.command.server_state import ServerState

__all__ = ["STARTUP_FAILURE", "Config", "Server", "ServerState", "main", "run"]

_ELSEWHERE: Final = {
    **dict.fromkeys(
        (
            "INTERFACES", "LIFESPAN", "LOGGING_CONFIG", "LOG_LEVELS", "SSL_PROTOCOL_VERSION", "HTTPProtocolType",
            "InterfaceType", "LifespanType", "LoopFactoryType", "WSProtocolType", "logger",
        ),
        "uvicorn.config",
    ),
    **dict.fromkeys(("ChangeReload", "Multiprocess"), "uvicorn.supervisors"),
    "ASGIApplication": "uvicorn._types",
}  # fmt: skip
_INSTEAD: Final = dict.fromkeys(
    (
        "params", "callback", "make_context", "commands", "invoke", "parse_args", "get_params", "context_settings",
        "LEVEL_CHOICES", "LIFESPAN_CHOICES", "INTERFACE_CHOICES", "print_version",
    ),
    "the command is no object of click; give its arguments to uvicorn.main([...]), or call uvicorn.run",
)  # fmt: skip


def main(args: Sequence[str] | None = None) -> None:
    """Run the `uvicorn` command; `args` are its arguments, None for those of this process."""
    from uvicorn.command.cli import main as command

    if args is not None:
        sys.argv[1:] = args  # Gunicorn's master reads them itself, also to start anew
    command()


class _Command(types.ModuleType):
    """A module that is the command, too."""

    def __call__(self, args: Sequence[str] | None = None, *_: Any, **__: Any) -> None:
        main(args)

    def main(self, args: Sequence[str] | None = None, *_: Any, **__: Any) -> None:
        """Run the `uvicorn` command."""
        main(args)

    def __getattr__(self, name: str) -> Any:
        return found_elsewhere(name, _ELSEWHERE) if name in _ELSEWHERE else refuse(self.__name__, name, _INSTEAD)


sys.modules[__name__].__class__ = _Command
