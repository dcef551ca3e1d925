"""The other package's options of the command, where Gunicorn's and our settings have none of that name.

Each is a parameter of `equivalents.py`, said on a command line or in an environment variable: `--port 80`,
`UVICORN_PORT=80`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from uvicorn.command.setting_types import true_or_false

__all__ = ["OPTIONS", "Option", "add_options", "from_environment"]


class Option(NamedTuple):
    """An option of the command.

    Attributes:
        param: a parameter of `uvicorn.run`.
        kind: what reads its value; None for a switch that is on when it is given.
        off: the option that switches it off, if there is one.
        instead: the setting that it is another name of, if it is no more than that: `--help` shows that one.
    """

    flag: str
    param: str
    kind: Callable[[str], Any] | None
    text: str
    meta: str = ""
    off: str = ""
    instead: str = ""


def port(text: str) -> int:
    """Read the number of a port. Raises: ValueError."""
    number = int(text) if text.strip().isdecimal() else -1
    if not 0 <= number <= 65535:
        raise ValueError(f"it must be a number of a port, 0 to 65535, not {text!r}")
    return number


OPTIONS: Final = (
    Option("--host", "host", str, "Listen at this address.", "TEXT"),
    Option("--port", "port", port, "Listen at this port; 0 for a free one.", "INT"),
    Option("--uds", "uds", str, "Listen at this Unix socket.", "PATH"),
    Option("--fd", "fd", int, "Listen at this descriptor of a socket that is bound.", "INT"),
    Option("--factory", "factory", None, "What is named makes the application: it is called."),
    Option("--app-dir", "app_dir", str, "Look for modules in this folder first.", "PATH"),
    Option("--env-file", "env_file", str, "Read environment variables from this file.", "PATH"),
    Option("--access-log", "access_log", None, "Write a line for each request.", off="--no-access-log"),
    Option("--lifespan", "lifespan", str, "", "NAME", instead="asgi_lifespan"),
    Option("--http", "http", str, "Taken, and without effect: httptools parses all requests.", "NAME"),
    Option("--http2", "http2", None, "The same as --http-protocols h2,h1."),
    Option("--ws", "ws", str, "Taken, and without effect: the library websockets reads all frames.", "NAME"),
    Option("--ws-max-size", "ws_max_size", int, "", "BYTES", instead="websocket_max_message_size"),
    Option("--ws-max-queue", "ws_max_queue", int, "", "INT", instead="websocket_queue_size"),
    Option("--ws-ping-interval", "ws_ping_interval", float, "", "SECONDS", instead="websocket_ping_interval"),
    Option("--ws-ping-timeout", "ws_ping_timeout", float, "", "SECONDS", instead="websocket_ping_timeout"),
    Option(
        "--ws-per-message-deflate", "ws_per_message_deflate", true_or_false,
        "Whether WebSocket messages are compressed: false is the same as --no-websocket-deflate.", "BOOL",
    ),
    Option("--limit-max-requests", "limit_max_requests", int, "", "INT", instead="max_requests"),
    Option("--limit-max-requests-jitter", "limit_max_requests_jitter", int, "", "INT", instead="max_requests_jitter"),
    Option("--timeout-keep-alive", "timeout_keep_alive", int, "", "SECONDS", instead="keepalive"),
    Option("--timeout-graceful-shutdown", "timeout_graceful_shutdown", int, "", "SECONDS", instead="graceful_timeout"),
    Option("--timeout-worker-healthcheck", "timeout_worker_healthcheck", int, "", "SECONDS", instead="timeout"),
    Option("--ssl-keyfile", "ssl_keyfile", str, "", "PATH", instead="keyfile"),
    Option("--ssl-certfile", "ssl_certfile", str, "", "PATH", instead="certfile"),
    Option("--ssl-cert-reqs", "ssl_cert_reqs", int, "", "INT", instead="cert_reqs"),
    Option("--ssl-ca-certs", "ssl_ca_certs", str, "", "PATH", instead="ca_certs"),
    Option("--ssl-ciphers", "ssl_ciphers", str, "", "TEXT", instead="ciphers"),
    Option(
        "--h11-max-incomplete-event-size", "h11_max_incomplete_event_size", int,
        "Taken, and without effect: limit_request_line and its neighbours bound a head.", "INT",
    ),
    Option("--reset-contextvars", "reset_contextvars", None, "Taken: each request has a fresh context anyhow."),
)  # fmt: skip

#: parameters that have no option in the table, because a setting has it, and an environment variable of their own
_MORE: Final[dict[str, Callable[[str], Any]]] = {
    "workers": int, "reload": true_or_false, "backlog": int, "log_level": str, "root_path": str,
    "forwarded_allow_ips": str, "log_config": str,
}  # fmt: skip
#: the environment variables of settings of ours that were called otherwise
_RENAMED: Final = {"loop": "loop_factory", "ssl_keyfile_password": "keyfile_password"}


def add_options(add: Callable[[Option, dict[str, Any]], Any]) -> None:
    """Add the options to a parser.

    Args:
        add: called with each option, and with the arguments for `argparse`'s `add_argument`.
    """
    for option in OPTIONS:
        destination = {"dest": f"their_{option.param}", "default": None}
        if option.kind is None:
            add(option, {**destination, "action": "store_const", "const": True})
        else:
            add(option, {**destination, "type": option.kind, "metavar": option.meta})
        if option.off:
            off = option._replace(flag=option.off, off="", text=f"The opposite of {option.flag}.")
            add(off, {**destination, "action": "store_const", "const": False})


def from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return what environment variables say: parameter -> value, without those that settings of ours read themselves.

    An empty one is as none at all.

    Raises: ValueError that names the variable.
    """
    kinds = {option.param: option.kind or true_or_false for option in OPTIONS} | _MORE | dict.fromkeys(_RENAMED, str)
    given: dict[str, Any] = {}
    for param, kind in kinds.items():
        name = f"UVICORN_{param.upper()}"
        if not environ.get(name):
            continue
        try:
            given[param] = kind(environ[name])
        except ValueError as error:
            what = "a whole number" if kind is int else "a number" if kind is float else ""
            text = f"it must be {what}, not {environ[name]!r}" if what else error
            raise ValueError(f"the environment variable {name}: {text}") from None
    return given
