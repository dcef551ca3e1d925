"""Several processes that serve at the same sockets."""

from __future__ import annotations

import logging
from typing import Any, Final

from uvicorn.supervisors.processes import ServerProcess, Supervisor

__all__ = ["Multiprocess"]

logger: Final = logging.getLogger("uvicorn.error")


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
