"""`uvicorn.Config`: what a server is told, with the parameters of release 0.54 of the other package."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from configparser import RawConfigParser
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NoReturn

from uvicorn.applications.router import Router, SingleConsumer
from uvicorn.command.config_application import application_of, exit_if_wrong, imported, made_by_factory
from uvicorn.command.config_listening import bound_socket, made_ssl_context
from uvicorn.command.config_settings import checked, settings_in_process_of, settings_of, several, warnings_of
from uvicorn.command.environment_file import load_environment
from uvicorn.command.legacy import prepare, with_layer
from uvicorn.command.log_presets import dress_standard
from uvicorn.command.log_setup import LOGGING_CONFIG, configure
from uvicorn.command.loops import loop_factory
from uvicorn.command.missing import refuse_attribute
from uvicorn.command.settings import Settings, environment_name

__all__ = ["Config"]

logger: Final = logging.getLogger("uvicorn.error")

#: attributes of the other package's -> what to do instead
_INSTEAD: Final = {
    "http_protocol_class": "httptools parses all requests, and there is no choice",
    "ws_protocol_class": "the library websockets reads all frames, and there is no choice",
    "lifespan_class": "`lifespan` says whether there is one; uvicorn.Server runs it",
}


class Config:
    """What a server is told. The parameters are those of release 0.54; docs/compatibility.md says what each means here.

    Args:
        app: an application of any kind that this server knows, or its name, "module:name".
        settings: Gunicorn's and our settings, by their names: `threads=8`, `queue_size=100`.

    Raises: TypeError for a parameter that is not known; ValueError for a value that is not allowed.

    Attributes:
        loaded_app: the application, when it is loaded. A subclass may put another one around it.
    """

    def __init__(
        self,
        app: Any,
        host: str | None = "127.0.0.1",
        port: int = 8000,
        uds: str | None = None,
        fd: int | None = None,
        loop: str | Callable[[], asyncio.AbstractEventLoop] = "auto",
        http: Any = "auto",
        http2: bool = False,
        ws: Any = "auto",
        ws_max_size: int = 16777216,
        ws_max_queue: int = 32,
        ws_ping_interval: float | None = 20.0,
        ws_ping_timeout: float | None = 20.0,
        ws_per_message_deflate: bool = True,
        lifespan: str = "auto",
        env_file: str | os.PathLike[str] | None = None,
        log_config: dict[str, Any] | str | os.PathLike[str] | RawConfigParser | IO[Any] | None = LOGGING_CONFIG,
        log_level: str | int | None = None,
        access_log: bool = True,
        use_colors: bool | None = None,
        interface: str = "auto",
        reload: bool = False,
        reload_dirs: list[str] | str | None = None,
        reload_delay: float = 0.25,
        reload_includes: list[str] | str | None = None,
        reload_excludes: list[str] | str | None = None,
        workers: int | None = None,
        proxy_headers: bool = True,
        server_header: bool | str = True,
        date_header: bool = True,
        forwarded_allow_ips: list[str] | str | None = None,
        root_path: str = "",
        limit_concurrency: int | None = None,
        limit_max_requests: int | None = None,
        limit_max_requests_jitter: int = 0,
        backlog: int = 2048,
        timeout_keep_alive: int = 5,
        timeout_notify: int = 30,
        timeout_graceful_shutdown: int | None = None,
        timeout_worker_healthcheck: int = 5,
        callback_notify: Callable[..., Awaitable[None]] | None = None,
        ssl_keyfile: str | os.PathLike[str] | None = None,
        ssl_certfile: str | os.PathLike[str] | None = None,
        ssl_keyfile_password: str | None = None,
        ssl_version: int = ssl.PROTOCOL_TLS_SERVER,
        ssl_cert_reqs: int = ssl.CERT_NONE,
        ssl_ca_certs: str | os.PathLike[str] | None = None,
        ssl_ciphers: str | None = None,
        ssl_context_factory: Callable[[Config, Callable[[], ssl.SSLContext]], ssl.SSLContext] | None = None,
        headers: list[tuple[str, str]] | None = None,
        factory: bool = False,
        h11_max_incomplete_event_size: int | None = None,
        reset_contextvars: bool = False,
        **settings: Any,
    ) -> None:
        self.app = app
        self.host = host
        self.port = port
        self.uds = uds
        self.fd = fd
        self.loop = loop
        self.http = http
        self.http2 = http2
        self.ws = ws
        self.ws_max_size = ws_max_size
        self.ws_max_queue = ws_max_queue
        self.ws_ping_interval = ws_ping_interval
        self.ws_ping_timeout = ws_ping_timeout
        self.ws_per_message_deflate = ws_per_message_deflate
        self.lifespan = lifespan
        self.env_file = env_file
        self.log_config = log_config
        self.log_level = log_level
        self.access_log = access_log
        self.use_colors = use_colors
        self.interface = interface
        self.reload = reload
        self.reload_delay = reload_delay
        self.proxy_headers = proxy_headers
        self.server_header = server_header
        self.date_header = date_header
        self.root_path = root_path
        self.limit_concurrency = limit_concurrency
        self.limit_max_requests = limit_max_requests
        self.limit_max_requests_jitter = limit_max_requests_jitter
        self.backlog = backlog
        self.timeout_keep_alive = timeout_keep_alive
        self.timeout_notify = timeout_notify
        self.timeout_graceful_shutdown = timeout_graceful_shutdown
        self.timeout_worker_healthcheck = timeout_worker_healthcheck
        self.callback_notify = callback_notify
        self.ssl_keyfile = ssl_keyfile
        self.ssl_certfile = ssl_certfile
        self.ssl_keyfile_password = ssl_keyfile_password
        self.ssl_version = ssl_version
        self.ssl_cert_reqs = ssl_cert_reqs
        self.ssl_ca_certs = ssl_ca_certs
        self.ssl_ciphers = ssl_ciphers
        self.ssl_context_factory = ssl_context_factory
        self.factory = factory
        self.h11_max_incomplete_event_size = h11_max_incomplete_event_size
        self.reset_contextvars = reset_contextvars
        self.more_settings = checked(settings)
        self.headers = list(headers or [])
        if env_file is not None:
            load_environment(env_file)
        self.workers = int(os.environ.get("WEB_CONCURRENCY") or 1) if workers is None else workers
        if forwarded_allow_ips is None:
            forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "127.0.0.1,::1")
        self.forwarded_allow_ips = forwarded_allow_ips
        self.reload_dirs: Any = [Path(path) for path in several(reload_dirs)]
        missing: list[str] = []
        if self.reload:
            from uvicorn.command.named import missing_folders  # in development

            missing = missing_folders(self.reload_dirs)
            self.reload_dirs = [path for path in self.reload_dirs if path.is_dir()]
        self.reload_dirs_excludes: list[Path] = []
        self.reload_includes: Any = several(reload_includes)
        self.reload_excludes: Any = several(reload_excludes)
        self.loaded = False
        self.loaded_app: Any = None
        self.ssl: ssl.SSLContext | None = None
        self.encoded_headers: list[tuple[bytes, bytes]] = []
        self._raw_app: Any = None
        self.configure_logging()
        for warning in (*missing, *warnings_of(self)):
            logger.warning("%s", warning)
        if self.reload and self.workers > 1:
            logger.warning('"workers" flag is ignored when reloading is enabled.')

    # ---- what it says ----

    @property
    def asgi_version(self) -> str:
        """The version of ASGI that an application is called with."""
        return "2.0" if self.interface == "asgi2" else "3.0"

    @property
    def is_ssl(self) -> bool:
        """Whether connections are encrypted."""
        return bool(self.ssl_keyfile or self.ssl_certfile or self.ssl_context_factory)

    @property
    def should_reload(self) -> bool:
        """Whether files are watched: there must be something to import again."""
        return isinstance(self.app, str) and self.reload

    @property
    def use_subprocess(self) -> bool:
        """Whether the application runs in other processes than the one that starts it."""
        return bool(self.reload or self.workers > 1)

    def settings(self) -> Any:
        """Return Gunicorn's configuration, with its and our settings as the attributes say now.

        Raises: ValueError, TypeError, ConfigError for what is not allowed.
        """
        return settings_of(self)

    def settings_in_process(self) -> Any:
        """Return the same without Gunicorn, where it is not needed to check what was set. Raises: as `settings`."""
        return settings_in_process_of(self)

    # ---- what it does ----

    def configure_logging(self) -> None:
        """Configure `logging` as `log_config`, `log_level`, `access_log` and `use_colors` say."""
        configure(self.log_config, self.log_level, self.access_log, self.use_colors)
        names = ("log_format", "request_id")
        if any(name in self.more_settings or environment_name(name) in os.environ for name in names):
            dress_standard(Settings.from_config(self.settings_in_process()), self.log_config)

    def load(self) -> None:
        """Load the application and the TLS certificates.

        Raises: SystemExit, with one line in the log, if the application cannot be imported.
        """
        assert not self.loaded
        self.encoded_headers = [(name.lower().encode("latin1"), value.encode("latin1")) for name, value in self.headers]
        self.ssl = made_ssl_context(self) if self.is_ssl else None
        self.loaded_app = self._raw_app = self.load_app()
        self.loaded = True

    def load_app(self) -> Any:
        """Return the application: imported, and made by its factory.

        Raises: SystemExit, with one line in the log; what the application's own import raises.
        """
        app = self.app
        if isinstance(app, str):
            with exit_if_wrong():
                if "channels1" in self.more_settings or "UVICORN_CHANNELS1" in os.environ:
                    prepare(self.settings_in_process())
                app = imported(app, self.interface)
        return made_by_factory(app, self.factory)

    def application(self) -> Router | SingleConsumer:
        """Return what is served, of what is loaded now.

        Raises: SystemExit, with one line in the log, if it cannot be served.
        """
        # What a subclass has put around it speaks ASGI, whatever the application itself does.
        interface = self.interface if self.loaded_app is self._raw_app else "asgi"
        uri = self.app if isinstance(self.app, str) else "the application"
        return application_of(self.loaded_app, interface, uri)

    def checked_settings(self, cfg: Any) -> Settings:
        """Return our settings, when the application is loaded: with `channels1` it may say which layer there is.

        Raises: ConfigError for what is not allowed; SystemExit, with one line in the log, for a wrong layer.
        """
        with exit_if_wrong():
            return with_layer(Settings.from_config(cfg), cfg)

    def bind_socket(self) -> socket.socket:
        """Return a socket that is bound where the server shall listen; `Server.run(sockets=[...])` takes it.

        Raises: SystemExit, with one line in the log, if it cannot be bound.
        """
        return bound_socket(self)

    def get_loop_factory(self) -> Callable[[], asyncio.AbstractEventLoop] | None:
        """Return what makes the loop of `Server.run`; None for asyncio's own choice. Raises: ValueError."""
        return loop_factory(self.loop)

    if not TYPE_CHECKING:  # or every name would be one

        def __getattr__(self, name: str) -> NoReturn:
            refuse_attribute(self, name, _INSTEAD)

    def setup_event_loop(self) -> None:
        """Raise: loops are made, and not set. Raises: AttributeError."""
        raise AttributeError("setup_event_loop is no more: give what get_loop_factory() returns to asyncio.Runner")
