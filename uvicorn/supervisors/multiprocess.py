"""Several processes that serve at the same sockets."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, NoReturn

from uvicorn.command.missing import refuse, refuse_attribute
from uvicorn.supervisors.processes import ServerProcess, Supervisor

__all__ = ["Multiprocess"]

logger: Final = logging.getLogger("uvicorn.error")

_INSTEAD: Final = dict.fromkeys(
    ("Process", "SIGNALS", "get_subprocess"),
    "Multiprocess.processes are what it has started; set its should_exit to stop them",
)
_NOT_METHODS: Final = {
    **dict.fromkeys(
        ("handle_hup", "handle_ttin", "handle_ttou", "restart_all", "processes_num"),
        "serve with uvicorn.run(workers=...), whose master takes HUP, TTIN and TTOU",
    ),
    **dict.fromkeys(
        (
            "handle_break", "handle_int", "handle_signals", "handle_term", "init_processes", "join_all",
            "keep_subprocess_alive", "signal_queue", "terminate_all",
        ),
        "override start, look and stop; handle_exit is called for INT and TERM",
    ),
}  # fmt: skip


class Multiprocess(Supervisor):
    """As many processes as `config.workers`; one that ends is made anew."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.processes: list[ServerProcess] = []

    def start(self) -> None:
        """Start them."""
        self.processes = [self.make() for _ in range(self.config.workers)]

    def look(self) -> None:
        """Replace those that have ended."""
        for place, process in enumerate(self.processes):
            if not process.is_alive:
                logger.info("Child process [%s] died", process.pid)
                process.stop()
                self.processes[place] = self.make()

    def stop(self) -> None:
        """Stop them."""
        for process in self.processes:
            if process.is_alive:
                process.process.terminate()
        for process in self.processes:
            process.stop(self.config.timeout_graceful_shutdown)
        self.processes = []

    if not TYPE_CHECKING:  # or every name would be one

        def __getattr__(self, name: str) -> NoReturn:
            refuse_attribute(self, name, _NOT_METHODS)


def __getattr__(name: str) -> Any:
    return refuse(__name__, name, _INSTEAD)
