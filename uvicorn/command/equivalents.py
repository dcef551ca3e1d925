"""What the parameters of the other package's `run` mean here: from a parameter to Gunicorn's and our settings.

`uvicorn.run`, `uvicorn.Config`, the command's options and its environment variables all go through this one table. A
parameter that cannot do what it says gives a line that names what takes its place; `docs/compatibility.md` says the
same in words.
"""

from __future__ import annotations

import inspect
import ipaddress
import ssl
from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = ["DEFAULTS", "Equivalents", "equivalents"]

#: parameter -> the default of release 0.54; those without an equivalent setting are used by `Config` itself
DEFAULTS: Final[dict[str, Any]] = {
    "host": "127.0.0.1", "port": 8000, "uds": None, "fd": None, "loop": "auto", "http": "auto", "http2": False,
    "ws": "auto", "ws_max_size": 16777216, "ws_max_queue": 32, "ws_ping_interval": 20.0, "ws_ping_timeout": 20.0,
    "ws_per_message_deflate": True, "lifespan": "auto", "env_file": None, "log_level": None, "access_log": True,
    "use_colors": None, "interface": "auto", "reload": False, "reload_dirs": None, "reload_delay": 0.25,
    "reload_includes": None, "reload_excludes": None, "workers": None, "proxy_headers": True, "server_header": True,
    "date_header": True, "forwarded_allow_ips": None, "root_path": "", "limit_concurrency": None,
    "limit_max_requests": None, "limit_max_requests_jitter": 0, "backlog": 2048, "timeout_keep_alive": 5,
    "timeout_notify": 30, "timeout_graceful_shutdown": None, "timeout_worker_healthcheck": 5, "callback_notify": None,
    "ssl_keyfile": None, "ssl_certfile": None, "ssl_keyfile_password": None, "ssl_version": ssl.PROTOCOL_TLS_SERVER,
    "ssl_cert_reqs": ssl.CERT_NONE, "ssl_ca_certs": None, "ssl_ciphers": None, "ssl_context_factory": None,
    "headers": None, "factory": False, "h11_max_incomplete_event_size": None, "reset_contextvars": False,
    "app_dir": None, "log_config": None,
}  # fmt: skip

_SOCKETS: Final = ("auto", "websockets", "websockets-sansio")
_PARSERS: Final = ("auto", "httptools")


class Equivalents:
    """What some parameters come to.

    Attributes:
        settings: name of a setting, Gunicorn's or ours -> value.
        warnings: a sentence for each parameter that does not do what it says, with what takes its place.
    """

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self.warnings: list[str] = []


def equivalents(given: Mapping[str, Any]) -> Equivalents:
    """Translate the parameters that somebody has given; those that are at their default may be left out.

    Raises: ValueError for a value that is not allowed; TypeError for a name that is no parameter.
    """
    found = Equivalents()
    unknown = [name for name in given if name not in DEFAULTS]
    if unknown:
        raise TypeError(f"there is no parameter {', '.join(map(repr, unknown))}")
    bind = _bind(given)
    if bind is not None:
        found.settings["bind"] = [bind]
    if given.get("proxy_headers") is False:
        found.settings["secure_scheme_headers"] = {}  # Gunicorn's own way to believe a proxy
    for name, value in given.items():
        if name in _SETTINGS:
            setting, convert = _SETTINGS[name]
            found.settings[setting] = convert(value)
        if name in _WARNINGS:
            warning = _WARNINGS[name](value)
            if warning:
                found.warnings.append(warning)
    return found


def _bind(given: Mapping[str, Any]) -> str | None:
    """Return where to listen, as Gunicorn says it; None if nothing is said of it."""
    if given.get("uds"):
        return f"unix:{given['uds']}"
    if given.get("fd") is not None:
        return f"fd://{given['fd']}"
    if "host" not in given and "port" not in given:
        return None
    host, port = given.get("host", DEFAULTS["host"]), given.get("port", DEFAULTS["port"])
    host = "0.0.0.0" if host in (None, "") else host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _same(value: Any) -> Any:
    return value


def _or_zero(value: Any) -> Any:
    return 0 if value is None else value


def _path(value: Any) -> str | None:
    return None if value is None else str(value)


def _list(value: Any) -> list[str]:
    if value is None:
        return []
    return [value] if isinstance(value, str) else [str(each) for each in value]


def _addresses(value: Any) -> str:
    """Return the addresses and networks in a list, or in a text with commas between them."""
    return ",".join(each for each in _each_peer(value) if _is_network(each))


def _each_peer(value: Any) -> list[str]:
    return [each.strip() for each in (value.split(",") if isinstance(value, str) else value) if each.strip()]


def _is_network(text: str) -> bool:
    try:
        return text == "*" or bool(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return False


def _peers(value: Any) -> str:
    names = [each for each in _each_peer(value or ()) if not _is_network(each) and not each.startswith("/")]
    if not names:
        return ""  # a path is that of a Unix socket, whose peers are trusted always
    return f"forwarded_allow_ips={', '.join(names)} has no effect: give addresses or networks, or '*' for all"


def _fields(value: Any) -> list[str]:
    return [each if isinstance(each, str) else f"{each[0]}:{each[1]}" for each in value or ()]


def _server_header(value: Any) -> Any:
    """Return the text of the header; it was a switch there, and is a text here."""
    if isinstance(value, bool):
        return "uvicorn" if value else ""
    return value


def _level(value: Any) -> Any:
    if isinstance(value, int):
        names = {50: "critical", 40: "error", 30: "warning", 20: "info", 10: "debug"}
        return names.get(value, "debug" if value < 20 else "info")
    return "debug" if value == "trace" else value or "info"


def _loop(value: Any) -> str:
    return value if isinstance(value, str) and value != "none" else "auto"


def _graceful(value: Any) -> int:
    # Gunicorn's master waits for so long, and kills what is left: it has no "for ever".
    return 30 if value is None else max(1, int(value))


#: parameter -> setting, and how its value is said there
_SETTINGS: Final[dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "loop": ("loop_factory", _loop),
    "http2": ("http_protocols", lambda value: "h2,h1" if value else "h1"),
    "ws_max_size": ("websocket_max_message_size", _same),
    "ws_max_queue": ("websocket_queue_size", lambda value: max(1, value)),
    "ws_ping_interval": ("websocket_ping_interval", _or_zero),
    "ws_ping_timeout": ("websocket_ping_timeout", _or_zero),
    "ws_per_message_deflate": ("websocket_deflate", bool),
    "lifespan": ("asgi_lifespan", _same),
    "log_level": ("loglevel", _level),
    "access_log": ("accesslog", lambda value: "-" if value else None),
    "use_colors": ("use_colors", _same),
    "interface": ("interface", _same),
    "reload": ("reload", bool),
    "reload_dirs": ("reload_dirs", _list),
    "reload_delay": ("reload_delay", _same),
    "reload_includes": ("reload_includes", _list),
    "reload_excludes": ("reload_excludes", _list),
    "proxy_headers": ("proxy_headers", bool),
    "server_header": ("server_header", _server_header),
    "date_header": ("date_header", bool),
    "forwarded_allow_ips": ("forwarded_allow_ips", _addresses),
    "root_path": ("root_path", _same),
    "limit_concurrency": ("limit_concurrency", _or_zero),
    "limit_max_requests": ("max_requests", _or_zero),
    "limit_max_requests_jitter": ("max_requests_jitter", _same),
    "backlog": ("backlog", _same),
    "timeout_keep_alive": ("keepalive", _same),
    "timeout_graceful_shutdown": ("graceful_timeout", _graceful),
    "timeout_worker_healthcheck": ("timeout", _same),
    "ssl_keyfile": ("keyfile", _path),
    "ssl_certfile": ("certfile", _path),
    "ssl_keyfile_password": ("keyfile_password", _same),
    "ssl_cert_reqs": ("cert_reqs", int),
    "ssl_ca_certs": ("ca_certs", _path),
    "ssl_ciphers": ("ciphers", _same),
    "headers": ("headers", _fields),
    "app_dir": ("pythonpath", lambda value: value or None),
}


def _http(value: Any) -> str:
    if value in _PARSERS:
        return ""
    return f"http={_shown(value)} has no effect: httptools parses all requests, and what it lets pass is checked"


def _ws(value: Any) -> str:
    if value in _SOCKETS:
        return ""
    if value == "none":
        return "ws='none' has no effect: an application that takes no sockets refuses them with 403 itself"
    return f"ws={_shown(value)} has no effect: the library websockets, without its own I/O, reads all frames"


def _h11(value: Any) -> str:
    if value is None:
        return ""
    return (
        "h11_max_incomplete_event_size has no effect: h11 is not used; limit_request_line, limit_request_fields and "
        "limit_request_field_size bound a head"
    )


def _ssl_version(value: Any) -> str:
    if value in (None, ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS):
        return ""
    return (
        f"ssl_version={int(value)} has no effect: TLS 1.2 and later are spoken; ssl_context_factory can set "
        "minimum_version and maximum_version"
    )


_WARNINGS: Final[dict[str, Callable[[Any], str]]] = {
    "http": _http,
    "ws": _ws,
    "h11_max_incomplete_event_size": _h11,
    "ssl_version": _ssl_version,
    "forwarded_allow_ips": _peers,
}


def _shown(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}" if inspect.isclass(value) else repr(value)
