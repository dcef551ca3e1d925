"""Our additions to Gunicorn's settings: where a value comes from, and all values together.

The settings themselves, one class each, are in the modules whose names end with `_settings`.

A value is taken from the first of these that gives one: the command line, the Gunicorn config
file, an environment variable given with Gunicorn's `raw_env`, the environment, the default.
Under plain `gunicorn` our settings are not known when its command line is read; the config file and
the environment work there all the same.

`known_settings.py` makes them known to Gunicorn.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from gunicorn.errors import ConfigError

from uvicorn.command.attending_settings import ATTENDING_SETTINGS, AttendingSettings, attending_settings
from uvicorn.command.consumer_settings import CONSUMER_SETTINGS
from uvicorn.command.http2 import HTTP2_SETTINGS, http2_limits
from uvicorn.command.interface_settings import INTERFACE_SETTINGS
from uvicorn.command.layer_settings import LAYER_SETTINGS, LayerSettings
from uvicorn.command.legacy_settings import LEGACY_SETTINGS
from uvicorn.command.limit_settings import LIMIT_SETTINGS, given_limits
from uvicorn.command.proxy_settings import PROXY_SETTINGS
from uvicorn.command.setting_types import OurSetting
from uvicorn.command.watch_settings import WATCH_SETTINGS, watch_settings
from uvicorn.command.websocket_settings import WEBSOCKET_SETTINGS, socket_limits
from uvicorn.watching.settings import WatchSettings
from uvicorn.wire.limits import Limits

if TYPE_CHECKING:
    from gunicorn.config import Config

__all__ = ["DefaultThreads", "Settings", "apply_environment", "are_threads_given"]

_NO_LAYER = LayerSettings()
_MOST_FIELDS = 32768  # what Gunicorn takes a limit_request_fields of 0 for


class DefaultThreads(int):
    """A number of threads that nobody has set."""


def are_threads_given(threads: int) -> bool:
    """Whether somebody has set `threads` to more than 1. (Gunicorn's 1 is its default, too: the two look the same.)"""
    return threads > 1 and not isinstance(threads, DefaultThreads)


OURS = (
    *CONSUMER_SETTINGS, *LIMIT_SETTINGS, *WEBSOCKET_SETTINGS, *LAYER_SETTINGS, *LEGACY_SETTINGS, *INTERFACE_SETTINGS,
    *PROXY_SETTINGS, *HTTP2_SETTINGS, *WATCH_SETTINGS, *ATTENDING_SETTINGS,
)  # fmt: skip


def environment_name(name: str) -> str:
    """Return the environment variable of a setting: `UVICORN_` and its name in capitals."""
    return f"UVICORN_{name.upper()}"


def read(cfg: Config) -> dict[str, Any]:
    """Return the values of our settings: name -> value.

    Raises: ConfigError that names the setting, where its value came from, and what is allowed.
    """
    conf_file = _config_file_names(cfg)
    values: dict[str, Any] = {}
    for setting in OURS:
        known = cfg.settings.get(setting.name)
        given = _given(cfg, setting, conf_file)
        if given is None:
            values[setting.name] = setting.validator(setting.default if known is None else known.default)
        else:
            value, source = given
            values[setting.name] = _checked(setting, value, source) if source else value
    return values


def is_given(cfg: Config, name: str) -> bool:
    """Whether somebody has given one of our settings a value: that may be its default."""
    setting = next(each for each in OURS if each.name == name)
    return _given(cfg, setting, _config_file_names(cfg)) is not None


def apply_environment(cfg: Config) -> None:
    """Put what the environment says into a configuration that knows our settings.

    Raises: ConfigError for a value that is not allowed.
    """
    for name, value in read(cfg).items():
        if not cfg.settings[name].is_given and value != cfg.settings[name].get():
            cfg.set(name, value)


def _given(cfg: Config, setting: type[OurSetting], conf_file: Mapping[str, Any]) -> tuple[Any, str] | None:
    """Return the value that a setting was given, and where; None if nobody has given it one.

    Returns: no place, "", for a value that is checked already.
    """
    name, variable = setting.name, environment_name(setting.name)
    known = cfg.settings.get(name)
    forced: Mapping[str, Any] = getattr(cfg, "uvicorn_given", {})  # by a worker class
    raw_env: Mapping[str, str] = cfg.env
    if name in forced:
        return forced[name], "CONFIG_KWARGS"
    if known is not None and known.is_given:
        return known.get(), ""
    if known is None and name in conf_file:
        return conf_file[name], "the config file"
    if variable in raw_env:
        return raw_env[variable], f"{variable} in raw_env"
    if variable in os.environ and _is_value(setting, os.environ[variable]):
        return setting.from_text(os.environ[variable]), f"the environment variable {variable}"
    return None


def _is_value(setting: type[OurSetting], text: str) -> bool:
    """Whether a variable says anything: an empty one does where a setting may be empty, and else is as none at all."""
    if text:
        return True
    try:
        setting.validator(text)
    except ValueError:
        return False
    return True


def _checked(setting: type[OurSetting], value: Any, source: str) -> Any:
    try:
        return setting.validator(value)
    except ValueError as error:
        raise ConfigError(f"{error} (from {source})") from None


def _config_file_names(cfg: Config) -> Mapping[str, Any]:
    """Return the names in the config file that Gunicorn read, for when it did not know our settings."""
    if "config" not in cfg.settings:
        return {}  # a server in process reads none
    location = str(cfg.settings["config"].get() or "")
    module = sys.modules.get(location.removeprefix("python:") if location.startswith("python:") else "__config__")
    return vars(module) if module is not None else {}


class Settings(NamedTuple):
    """All values of ours that a worker needs."""

    limits: Limits
    queue_size: int  # of the pool without a name
    queue_timeout: float
    stuck_after: float  # 0 for never
    server_header: str
    governor: bool
    switch_interval: float
    interface: str = "auto"  # auto, consumer, wsgi, asgi or asgi2
    given_queue_size: int = -1  # the setting
    framework_threads: bool = True  # frameworks use our pools
    background_threads: int = 0
    layer: LayerSettings = _NO_LAYER
    headers: tuple[tuple[str, str], ...] = ()  # that each response gets
    date_header: bool = True
    limit_concurrency: int = 0  # 0 for none
    proxy_headers: bool = False
    loop_factory: str = "auto"
    use_colors: bool | None = None
    reload_dirs: tuple[str, ...] = ()
    reload_includes: tuple[str, ...] = ()
    reload_excludes: tuple[str, ...] = ()
    reload_delay: float = 0.25
    forwarded_fields: str = ""  # "": no proxy is believed; else which of its fields are read
    http2_engine: str = "auto"
    watch: WatchSettings = WatchSettings()
    metrics_bind: str = ""  # "" for no page
    drain_delay: float = 0.0
    log_format: str = "text"  # text, colour or json
    attending: AttendingSettings = AttendingSettings()

    @classmethod
    def from_config(cls, cfg: Config) -> Settings:
        """Read ours and Gunicorn's settings.

        Raises: ConfigError.
        """
        ours = read(cfg)
        queue_size = ours["queue_size"]
        return cls(
            limits=Limits(
                request_line=max(cfg.limit_request_line, 0),
                request_fields=min(cfg.limit_request_fields or _MOST_FIELDS, _MOST_FIELDS),
                request_field_size=max(cfg.limit_request_field_size, 0),
                body_buffer=ours["body_buffer"],
                write_buffer=ours["write_buffer"],
                keepalive=cfg.keepalive,
                disconnect_grace=cfg.asgi_disconnect_grace_period,
                sockets=socket_limits(ours, cfg.websocket_max_message_size),
                http2=http2_limits(cfg, min(cfg.limit_request_fields or _MOST_FIELDS, _MOST_FIELDS)),
                sendfile=cfg.sendfile,
                **given_limits(ours),
            ),
            queue_size=8 * cfg.threads if queue_size < 0 else queue_size,
            queue_timeout=ours["queue_timeout"],
            stuck_after=ours["stuck_after"] or ours["reply_timeout"],
            server_header=ours["server_header"],
            governor=ours["governor"] == "on",
            switch_interval=ours["switch_interval"],
            interface=ours["interface"].replace("asgi3", "asgi"),
            given_queue_size=queue_size,
            framework_threads=ours["framework_threads"] == "pool",
            background_threads=ours["background_threads"],
            layer=LayerSettings.from_values(ours),
            headers=tuple(
                (name, value.strip()) for name, _, value in (each.partition(":") for each in ours["headers"])
            ),
            date_header=ours["date_header"],
            limit_concurrency=ours["limit_concurrency"],
            proxy_headers=ours["proxy_headers"],
            loop_factory=ours["loop_factory"] or cfg.asgi_loop,
            use_colors=ours["use_colors"],
            reload_dirs=tuple(ours["reload_dirs"]),
            reload_includes=tuple(ours["reload_includes"]),
            reload_excludes=tuple(ours["reload_excludes"]),
            reload_delay=ours["reload_delay"],
            forwarded_fields=ours["forwarded_fields"] if ours["proxy_headers"] else "",
            http2_engine=ours["http2_engine"],
            watch=watch_settings(ours),
            metrics_bind=ours["metrics_bind"],
            drain_delay=ours["drain_delay"],
            log_format=ours["log_format"],
            attending=attending_settings(ours),
        )

    def queue_size_of(self, threads: int) -> int:
        """Return the queue size of a pool of so many threads."""
        return 8 * threads if self.given_queue_size < 0 else self.given_queue_size
