"""Our worker under the names that existing command lines use: `gunicorn -k uvicorn.workers.UvicornWorker`."""

from __future__ import annotations

from random import randint
from typing import Any, ClassVar, Final

from uvicorn.command.equivalents import equivalents
from uvicorn.command.log_setup import configure
from uvicorn.command.worker import ASGIWorker

__all__ = ["UvicornH11Worker", "UvicornWorker"]

#: parameters about which Gunicorn's master has decided before there is a worker
_MASTERS: Final = frozenset({
    "app", "host", "port", "uds", "fd", "backlog", "workers", "reload", "reload_dirs", "reload_delay",
    "reload_includes", "reload_excludes", "env_file", "app_dir", "factory", "ssl_context_factory", "timeout_notify",
    "callback_notify", "timeout_worker_healthcheck", "timeout_graceful_shutdown",
})  # fmt: skip


class UvicornWorker(ASGIWorker):
    """The worker, with the parameters of `uvicorn.Config` that a subclass gives in CONFIG_KWARGS.

    They go before the settings of Gunicorn and ours, as they do in the other package. Those of which Gunicorn's master
    has made something already are told in the log, and have no effect.
    """

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {}

    def init_process(self) -> None:
        """Obey CONFIG_KWARGS; then do what every worker does. Runs in the child: the master's settings stay."""
        given = dict(self.CONFIG_KWARGS)
        late = sorted(_MASTERS.intersection(given))
        if late:
            self.log.warning("CONFIG_KWARGS: %s are for Gunicorn's own settings, and have no effect", ", ".join(late))
        if "log_config" in given:
            configure(given.pop("log_config"), given.get("log_level"))
        found = equivalents({name: value for name, value in given.items() if name not in _MASTERS})
        for warning in found.warnings:
            self.log.warning("CONFIG_KWARGS: %s", warning)
        self.cfg.uvicorn_given = found.settings
        for name, value in found.settings.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)
        if "limit_max_requests" in given and self.cfg.max_requests:
            self.max_requests = self.cfg.max_requests + randint(0, self.cfg.max_requests_jitter)
        if "log_level" in given and hasattr(self.log, "error_log"):
            self.log.error_log.setLevel(self.cfg.loglevel.upper())
        super().init_process()


class UvicornH11Worker(UvicornWorker):
    """The same worker: there is one parser, httptools."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {"loop": "asyncio"}
