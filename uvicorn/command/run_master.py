"""`uvicorn.run` with several workers, or with `reload`: Gunicorn's master, made of a `Config`."""

from __future__ import annotations

import os
import sys
from typing import Any

from uvicorn.command.arbiter import OrderlyApplication
from uvicorn.command.config import Config
from uvicorn.command.holders import exit_if_taken
from uvicorn.command.listening import bind_host
from uvicorn.command.standard_log import StandardLog

__all__ = ["Master", "run_master"]


def run_master(config: Config) -> None:
    """Serve what a configuration says with workers under Gunicorn's master, until told to stop.

    Raises: SystemExit with what the master ends with, if that is not 0.
    """
    pid = os.getpid()
    try:
        Master(config).run()
    except SystemExit as end:
        if end.code or os.getpid() != pid:  # a worker ends so, too
            raise


class Master(OrderlyApplication):
    """A Gunicorn application made of a `Config`.

    Attributes:
        app_uri: how messages call the application.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.app_uri = config.app if isinstance(config.app, str) else "the application"
        super().__init__(prog="uvicorn")

    def load_config(self) -> None:
        """Take all settings from the `Config`. Called by Gunicorn, also when it reloads."""
        config = self.config
        self.cfg = config.settings()
        if config.ssl_context_factory is not None:
            factory = config.ssl_context_factory
            self.cfg.set("ssl_context", lambda cfg, default_factory: factory(config, default_factory))
        options = {
            "log_config": config.log_config,
            "log_level": config.log_level,
            "access_log": config.access_log,
            "use_colors": config.use_colors,
        }
        self.cfg.set("logger_class", StandardLog.with_options(**options))
        if not (config.uds or config.fd is not None):
            self.cfg.set("bind", _each_address(config.host, config.port))

    def run(self) -> None:
        """Serve; an address that is taken ends it with one sentence."""
        exit_if_taken(self.cfg)
        super().run()

    def load(self) -> Any:
        """Return the application. Runs on: a worker."""
        config = self.config
        if config.should_reload:
            _forget_modules([str(path) for path in config.reload_dirs] or [os.getcwd()])
        config.loaded_app = config._raw_app = config.load_app()
        return config.application()


def _forget_modules(folders: list[str]) -> None:
    """Forget what was imported from these folders before the fork: a tool may have looked for the application there.

    Otherwise a worker that was made anew would serve the code that its master has seen. Runs on: a worker.
    """
    roots = tuple(os.path.join(os.path.abspath(folder), "") for folder in folders)
    for name, module in tuple(sys.modules.items()):
        path = getattr(module, "__file__", None) or ""
        is_kept = name.partition(".")[0] in ("__main__", "__mp_main__", "uvicorn") or f"{os.sep}site-packages" in path
        if not is_kept and os.path.abspath(path).startswith(roots):
            del sys.modules[name]


def _each_address(host: str | None, port: int) -> list[str]:
    """Return an address in Gunicorn's words for each one that a host has: its master binds one for each name."""
    if not port:
        return [f"[{host}]:0" if host and ":" in host else f"{host or '0.0.0.0'}:0"]
    try:
        found = bind_host(host, port)
    except OSError:
        return [f"[{host}]:{port}" if host and ":" in host else f"{host or '0.0.0.0'}:{port}"]  # Gunicorn tells
    addresses = [sock.getsockname()[:2] for sock in found]
    for sock in found:
        sock.close()
    return [f"[{address}]:{number}" if ":" in address else f"{address}:{number}" for address, number in addresses]
