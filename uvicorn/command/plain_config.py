"""What a server in the caller's process is told, in the shape of Gunicorn's configuration, and without Gunicorn.

To import Gunicorn's configuration, with all that it needs, is a sixth of the time of a start. A server without a master
asks for a few of its settings only. Their defaults are here; what else somebody has set, or in another way than most
do, is left to Gunicorn (`plain_config` returns None then), which checks it and says what is wrong.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from uvicorn.command.settings import OURS

__all__ = ["PLAIN_NAMES", "PlainConfig", "plain_config"]

#: Gunicorn's settings that a server in process asks for -> their defaults (a test compares them)
DEFAULTS: Final[dict[str, Any]] = {
    "asgi_disconnect_grace_period": 3,
    "asgi_lifespan": "auto",
    "asgi_loop": "auto",
    "forwarder_headers": ["SCRIPT_NAME", "PATH_INFO"],
    "header_map": "drop",
    "http2_cleartext": "off",
    "http2_initial_window_size": 65535,
    "http2_max_concurrent_streams": 100,
    "http2_max_frame_size": 16384,
    "http2_max_header_list_size": 65536,
    "http_protocols": ["h1"],
    "keepalive": 2,
    "limit_request_field_size": 8190,
    "limit_request_fields": 100,
    "limit_request_line": 4094,
    "loglevel": "info",
    "max_requests": 0,
    "max_requests_jitter": 0,
    "preload_app": False,
    "proxy_allow_ips": ["127.0.0.1", "::1"],
    "proxy_protocol": "off",
    "reload": False,
    "secure_scheme_headers": {"X-FORWARDED-PROTOCOL": "ssl", "X-FORWARDED-PROTO": "https", "X-FORWARDED-SSL": "on"},
    "sendfile": True,
    "timeout": 30,
    "tmp_upload_dir": None,
    "websocket_max_message_size": 16777216,
    "worker_connections": 1000,
}
_OURS: Final = {setting.name: setting for setting in OURS}


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


#: Gunicorn's settings that may have been set -> what their values are like, if they need no more than to be kept
_TAKEN: Final[dict[str, Callable[[Any], bool]]] = {
    "accesslog": lambda value: value in (None, "-"),
    "asgi_lifespan": lambda value: value in ("auto", "on", "off"),
    "backlog": _is_number,
    "bind": lambda value: True,  # `Config` itself listens there
    "forwarded_allow_ips": _is_text,
    "graceful_timeout": _is_number,
    "keepalive": _is_number,
    "loglevel": _is_text,
    "max_requests": _is_number,
    "max_requests_jitter": _is_number,
    "root_path": _is_text,
    "secure_scheme_headers": lambda value: value == {},
    "threads": _is_number,
    "timeout": _is_number,
    "websocket_max_message_size": _is_number,
    "worker_connections": _is_number,
}

PLAIN_NAMES: Final = frozenset((*_OURS, *_TAKEN))


class PlainConfig:
    """The settings of a server in process; as attributes those of Gunicorn's that it asks for.

    Attributes:
        settings: those of ours that somebody has set.
    """

    env: Final[dict[str, str]] = {}
    is_ssl: Final = False

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.settings: Final = {name: _Given(_OURS[name], value) for name, value in given.items() if name in _OURS}
        for name, value in {**DEFAULTS, **given}.items():
            if name not in _OURS:
                setattr(self, name, value)
        self.forwarded_allow_ips: Final = _split(given["forwarded_allow_ips"])

    def forwarded_allow_networks(self) -> list[Any]:
        """Return the networks of `forwarded_allow_ips`."""
        return [ipaddress.ip_network(each) for each in self.forwarded_allow_ips if each != "*"]

    def proxy_allow_networks(self) -> list[Any]:
        """Return the networks of `proxy_allow_ips`."""
        return [ipaddress.ip_network(each) for each in DEFAULTS["proxy_allow_ips"]]


def plain_config(given: Mapping[str, Any]) -> PlainConfig | None:
    """Return the configuration; None if it is not for this module.

    Args:
        given: settings, Gunicorn's and ours: name -> value.

    Raises: ValueError for a value of ours that is not allowed.
    """
    if "SENDFILE" in os.environ or not {"threads", "forwarded_allow_ips"} <= given.keys():
        return None
    if any(name not in _OURS and not (name in _TAKEN and _TAKEN[name](value)) for name, value in given.items()):
        return None
    made = PlainConfig(given)
    try:
        made.forwarded_allow_networks()
    except ValueError:
        return None
    return made


class _Given:
    """A setting of ours that somebody has set, as Gunicorn's configuration has it."""

    is_given: Final = True
    default = None

    def __init__(self, setting: Any, value: Any) -> None:
        self._value = setting.validator(value)

    def get(self) -> Any:
        return self._value


def _split(text: str) -> list[str]:
    return [each.strip() for each in text.split(",") if each]
