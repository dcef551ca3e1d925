"""`uvicorn.run`: serve from Python, in this process or under Gunicorn's master."""

from __future__ import annotations

import inspect
import logging
import os
import sys
from typing import Any, Final

from uvicorn.command.arbiter import OrderlyApplication
from uvicorn.command.config import Config
from uvicorn.command.listening import bind_host
from uvicorn.command.server import Server
from uvicorn.command.standard_log import StandardLog

__all__ = ["Master", "run", "run_master"]

logger: Final = logging.getLogger("uvicorn.error")

STARTUP_FAILURE: Final = 3


def run(app: Any, *, app_dir: str | None = None, **options: Any) -> None:
    """Serve an application until told to stop.

    With one worker and without `reload` it is served in this process and this thread; otherwise by workers under
    Gunicorn's master, which this process becomes meanwhile. What is after the call is executed either way.

    Args:
        app: an application of any kind that this server knows, or its name, "module:name".
        app_dir: a folder in which modules are looked for first.
        options: the parameters of `Config`; and settings, by their names.

    Raises: TypeError for an unknown parameter; SystemExit if the application cannot be loaded or started, or the
        server cannot listen. Blocks: until the server has stopped.
    """
    if app_dir is not None:
        sys.path.insert(0, app_dir)
    config = Config(app, **options)
    if config.reload and not isinstance(app, str):
        logger.warning("You must pass the application as an import string to enable 'reload' or 'workers'.")
        sys.exit(1)
    try:
        if config.use_subprocess:
            run_master(config)
            return
        server = Server(config)
        try:
            server.run()
        except KeyboardInterrupt:
            pass  # the INT that has stopped it
    finally:
        if config.uds and os.path.exists(config.uds):
            os.remove(config.uds)
    if not server.started:
        sys.exit(STARTUP_FAILURE)


def _signature() -> inspect.Signature:
    """Return the signature of `run`: the parameters of `Config`, by their names."""
    own, *others = inspect.signature(Config).parameters.values()
    named = [each.replace(kind=each.KEYWORD_ONLY) if each.kind != each.VAR_KEYWORD else each for each in others]
    folder = inspect.signature(run).parameters["app_dir"]
    return inspect.Signature([own, *named[:-1], folder, named[-1]], return_annotation="None")


run.__signature__ = _signature()  # type: ignore[attr-defined]  # what help() and editors show


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
