"""What a `Config` comes to: Gunicorn's and our settings, of the attributes that it has now.

The table from parameters to settings is in `equivalents.py`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from uvicorn.command.equivalents import DEFAULTS, equivalents
from uvicorn.command.plain_config import PLAIN_NAMES, plain_config
from uvicorn.command.settings import DefaultThreads, apply_environment
from uvicorn.command.threads import default_threads

__all__ = ["checked", "settings_in_process_of", "settings_of", "several", "warnings_of"]

#: differ from Gunicorn's defaults, and from those of our settings
_ALWAYS: Final = ("proxy_headers", "timeout_keep_alive", "access_log", "timeout_graceful_shutdown")
_NOT_SETTINGS: Final = (
    "env_file",
    "log_config",
    "app_dir",
    "factory",
    "workers",
    "timeout_notify",
    "callback_notify",
    "ssl_context_factory",
)


def settings_of(config: Any) -> Any:
    """Return Gunicorn's configuration, with its and our settings.

    Args:
        config: a `Config`.

    Raises: ValueError, TypeError, ConfigError for what is not allowed.
    """
    from gunicorn.config import Config

    from uvicorn.command import known_settings  # noqa: F401  # registers ours

    cfg = Config()
    cfg.set("worker_class", "uvicorn.ASGIWorker")
    cfg.set("threads", default_threads())
    cfg.settings["threads"].value = DefaultThreads(default_threads())
    cfg.set("control_socket_disable", True)
    cfg.set("workers", 1 if config.reload else config.workers)
    for name, value in _set(config).items():
        cfg.set(name, value)
    apply_environment(cfg)
    cfg.validate()
    return cfg


def settings_in_process_of(config: Any) -> Any:
    """Return the same without Gunicorn, where it is not needed to check what was set. Raises: as `settings_of`."""
    given = {"threads": DefaultThreads(default_threads()), **_set(config)}
    return plain_config(given) or settings_of(config)


def _set(config: Any) -> dict[str, Any]:
    return {**equivalents(_given(config)).settings, **config.more_settings}


def warnings_of(config: Any) -> list[str]:
    """Return a sentence for each parameter that does not do what it says."""
    return equivalents(_given(config)).warnings


def _given(config: Any) -> dict[str, Any]:
    """Return the parameters that say something else than a default does."""
    given = {
        name: getattr(config, name)
        for name, default in DEFAULTS.items()
        if name not in _NOT_SETTINGS and (name in _ALWAYS or getattr(config, name) not in (default, [], None))
    }
    given["host"], given["port"] = config.host, config.port
    for name in ("timeout_keep_alive", "ws_ping_interval", "ws_ping_timeout"):
        given[name] = getattr(config, name)
    return given


def several(value: Any) -> list[Any]:
    """Return the values that were given: one, several, or none."""
    if value is None:
        return []
    return [value] if isinstance(value, (str, os.PathLike)) else list(value)


def checked(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return Gunicorn's and our settings that were given by their names. Raises: TypeError if there is no such one."""
    others = [name for name in settings if name not in PLAIN_NAMES]
    if others:
        from gunicorn.config import make_settings

        names = make_settings()
        for name in others:
            if name not in names:
                raise TypeError(f"there is no parameter and no setting {name!r}: see docs/compatibility.md")
    return dict(settings)
