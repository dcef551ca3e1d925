"""`--help`: what there is, in groups, one line each. Ours and what is used most first; `--help-all` has the rest."""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Iterable, Mapping
from typing import Any, Final

__all__ = ["GROUPS", "group_of", "help_text"]

#: heading -> settings and options (by their `dest`), in the order in which they are shown
GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "What is served": (
        "interface", "their_factory", "their_app_dir", "their_env_file", "asgi_lifespan", "root_path", "config",
    ),
    "Where": (
        "bind", "their_host", "their_port", "their_uds", "their_fd", "workers", "backlog", "keyfile", "certfile",
        "keyfile_password",
    ),
    "Threads and queue": (
        "threads", "queue_size", "queue_timeout", "stuck_after", "governor", "switch_interval", "framework_threads",
        "background_threads", "loop_factory",
    ),
    "Limits and timeouts": (
        "worker_connections", "limit_concurrency", "limit_connections_per_address", "max_requests", "keepalive",
        "graceful_timeout", "timeout", "header_timeout", "body_timeout", "write_timeout", "reply_timeout",
        "request_timeout", "min_body_rate", "min_write_rate", "min_rate_grace", "limit_request_body", "body_buffer",
        "write_buffer",
    ),
    "WebSocket": (
        "websocket_max_message_size", "websocket_deflate", "websocket_ping_interval", "websocket_ping_timeout",
        "websocket_queue_size", "websocket_queue_bytes", "websocket_max_fragments", "websocket_backlog_timeout",
        "websocket_handshake_timeout", "websocket_close_timeout", "wsgi_sockets",
    ),
    "HTTP/2": (
        "http_protocols", "http2_cleartext", "http2_engine", "http2_max_concurrent_streams",
        "http2_initial_window_size", "http2_max_frame_size", "http2_max_header_list_size",
    ),
    "Proxies and headers": (
        "proxy_headers", "forwarded_fields", "forwarded_allow_ips", "proxy_protocol", "headers", "server_header",
        "date_header",
    ),
    "Watching": (
        "loop_block_warning", "pool_wait_warning", "slow_consumer_warning", "metrics_bind", "status_dir", "health_path",
        "ready_max_wait", "ready_grace", "drain_delay", "otel", "request_start", "max_rss", "max_rss_hard", "max_age",
    ),
    "Logs": (
        "loglevel", "log_format", "request_id", "their_access_log", "accesslog", "access_log_format", "errorlog",
        "logconfig", "use_colors",
    ),
    "Development": (
        "reload", "reload_dirs", "reload_includes", "reload_excludes", "reload_delay", "check_config", "print_config",
    ),
}  # fmt: skip
#: what is said of options whose first sentence is too long for a line, or Gunicorn's
_TEXTS: Final[dict[str, str]] = {
    "asgi_lifespan": "The lifespan of ASGI applications: auto, on or off.",
    "root_path": "Where a proxy has mounted it: root_path, SCRIPT_NAME.",
    "config": "A config file in Python.",
    "workers": "Worker processes.",
    "backlog": "Connections that may wait to be accepted.",
    "keyfile": "The TLS key.",
    "certfile": "The TLS certificate.",
    "threads": "Threads for synchronous consumers, per worker.",
    "max_requests": "Requests after which a worker is replaced; 0 for never.",
    "websocket_max_message_size": "Largest WebSocket message, in bytes.",
    "forwarded_allow_ips": "Trusted proxies; * for all.",
    "proxy_protocol": "Read PROXY headers: off, v1, v2 or auto.",
    "loglevel": "debug, info, warning, error or critical.",
    "accesslog": "File of the access log; - for the standard output.",
    "errorlog": "File of the error log; - for the standard error.",
    "logconfig": "Configuration of logging: .ini, .json or .yaml.",
    "reload": "Start anew when code changes.",
    "check_config": "Check settings and application, and exit.",
    "print_config": "Show all settings, check them, and exit.",
    "interface": "auto, consumer, wsgi, asgi or asgi2.",
    "bind": "Listen here, as often as needed: HOST:PORT, unix:PATH.",
    "queue_size": "Requests that may wait for a thread; -1: 8 x threads.",
    "queue_timeout": "Seconds that they may wait; then 503.",
    "stuck_after": "Seconds until a silent thread is stuck; 0: reply_timeout.",
    "governor": "Hold computing threads back for the event loop, or off.",
    "switch_interval": "Seconds that a computing thread keeps the interpreter.",
    "framework_threads": "pool: frameworks use our threads; own: their own.",
    "background_threads": "A pool of its own for background tasks.",
    "loop_factory": "auto, uvloop, asyncio, or module:factory.",
    "limit_concurrency": "Open connections past which requests get 503.",
    "limit_connections_per_address": "Open connections of one client address.",
    "worker_connections": "Open connections past which others wait.",
    "keepalive": "Seconds of silence between two requests.",
    "graceful_timeout": "Seconds for what runs when a worker stops.",
    "timeout": "Seconds of a silent loop until a worker is killed.",
    "header_timeout": "Seconds for the head of a request.",
    "body_timeout": "Longest pause in a body, seconds.",
    "write_timeout": "Longest pause of a client that is behind, seconds.",
    "reply_timeout": "Longest silence of a consumer, seconds.",
    "request_timeout": "Seconds for a whole request; 0 for no limit.",
    "min_body_rate": "Bytes a second that a client must send of a body.",
    "min_write_rate": "Bytes a second that a client must take.",
    "min_rate_grace": "Seconds for which it may be slower.",
    "limit_request_body": "Largest body, in bytes; 0 for no limit.",
    "body_buffer": "Bytes up to which a body arrives whole.",
    "write_buffer": "Bytes that may wait for a slow client.",
    "websocket_deflate": "Do not compress messages.",
    "websocket_ping_interval": "Seconds of silence until a ping.",
    "websocket_ping_timeout": "Seconds for the answer to a ping.",
    "websocket_queue_size": "Messages that may wait for a consumer.",
    "websocket_queue_bytes": "Their bytes.",
    "websocket_max_fragments": "Most fragments of one message.",
    "websocket_backlog_timeout": "Seconds that they may wait.",
    "websocket_handshake_timeout": "Seconds for the answer to a handshake.",
    "websocket_close_timeout": "Seconds for the answer to a close.",
    "wsgi_sockets": "Raw sockets of WSGI applications, per worker.",
    "http_protocols": "h1, h2, or both; by default h2,h1 with TLS.",
    "http2_cleartext": "Without TLS: off, prior-knowledge or both.",
    "http2_engine": "auto, ngh2 or h2.",
    "http2_max_concurrent_streams": "Open requests of one connection.",
    "http2_initial_window_size": "Bytes that a body may be ahead.",
    "http2_max_frame_size": "Largest frame, in bytes.",
    "http2_max_header_list_size": "Largest head, in bytes.",
    "proxy_headers": "Believe what trusted proxies say of clients.",
    "forwarded_fields": "Of X-Forwarded-* and Forwarded: auto, or one of them.",
    "headers": "A header of each response; as often as needed.",
    "server_header": "The server header.",
    "loop_block_warning": "Seconds; then a blocked loop is told; 0: never.",
    "pool_wait_warning": "Seconds of waiting; then a dry pool is told; 0: never.",
    "slow_consumer_warning": "Seconds; then a slow consumer is told; 0: never.",
    "metrics_bind": "HOST:PORT of the page for Prometheus.",
    "status_dir": "Where uvicorn status, top and dump ask; or off.",
    "health_path": "Path of live, ready and startup.",
    "ready_max_wait": "Seconds of waiting that a ready worker may have.",
    "ready_grace": "Seconds for which it may have more.",
    "drain_delay": "Seconds of accepting after TERM, not ready.",
    "max_rss": "Bytes of memory past which a worker is replaced.",
    "max_rss_hard": "Bytes past which it leaves at once.",
    "max_age": "Seconds after which a worker is replaced.",
    "log_format": "text, colour or json.",
    "request_start": "Measure the time from a proxy to us.",
    "otel": "Spans and metrics of OpenTelemetry.",
    "request_id": "Give each request an id, for logs.",
    "access_log_format": "Format of the access log.",
    "reload_dirs": "A folder to watch; as often as needed.",
    "reload_includes": "Watch these files, too.",
    "reload_excludes": "Do not watch these.",
    "reload_delay": "Seconds between two looks.",
    "group_backlog": "Bytes of group messages that may wait for a member.",
    "group_backlog_messages": "Group messages that may wait for a member.",
    "channel_capacity": "Messages that may wait in a channel.",
    "channel_expiry": "Seconds that they may wait for a consumer.",
    "exclude_channels": "Do not consume channels that match.",
    "group_backlog_policy": "What is done with a member that is too far behind.",
    "message_expiry": "Seconds that a message may wait for a client.",
    "group_expiry": "Seconds after which a member is none any more.",
    "channel_deliveries": "How often a message of a channel is delivered at most.",
    "only_channels": "Consume channels that match, and serve no HTTP.",
    "channels1": "Run a project of Channels 1 as it is.",
}
_REST: Final = "Gunicorn's"
_OTHERS: Final = "Other names"
_LONGEST_DEFAULT: Final = 24
_COLUMN: Final = 41  # where the texts begin
_MARKUP: Final = re.compile(r":\w+:`~?([^`]*)`|``?([^`]*)``?|\*\*?([^*]+)\*\*?")
_DEFAULT: Final = re.compile(r" \[[^\]]*\]*$")
_EMPTY: Final = re.compile(r" \[(None|False|True|\[\]|)\]$")  # says nothing, or what the option says


def group_of(destination: str, is_ours: bool = False) -> str:
    """Return the heading under which an option stands. Those of ours that have no place yet are limits."""
    for heading, names in GROUPS.items():
        if destination in names:
            return heading
    if destination.startswith("their_"):
        return _OTHERS
    return "Limits and timeouts" if is_ours else _REST


def help_text(usage: str, actions: Iterable[argparse.Action], is_ours: Any, is_complete: bool) -> str:
    """Return the whole text.

    Args:
        is_ours: tells of a `dest` whether it is a setting of ours.
        is_complete: with Gunicorn's own options, and the other names of options.
    """
    width = max(103, min(shutil.get_terminal_size().columns, 120))
    listed: dict[str, list[argparse.Action]] = {heading: [] for heading in (*GROUPS, _REST, _OTHERS)}
    actions = list(actions)
    offs = {action.dest: action for action in actions if action.const is False}
    for action in actions:
        if action in offs.values() and any(other.dest == action.dest and other.const is True for other in actions):
            continue  # stands beside the other one
        if action.option_strings and action.help is not argparse.SUPPRESS and action.dest not in ("help", "help_all"):
            listed[group_of(action.dest, is_ours(action.dest))].append(action)
    parts = [f"Usage: {usage}", ""]
    for heading, found in listed.items():
        if not is_complete and heading in (_REST, _OTHERS):
            continue
        order = GROUPS.get(heading, ())
        found.sort(key=lambda action: order.index(action.dest) if action.dest in order else len(order))
        parts += [f"{heading}:", *(line for action in found for line in _lines(action, offs, width)), ""]
    parts.append(
        "Every option is a setting, too: in a config file (-c) and, for ours, as an environment variable UVICORN_NAME."
    )
    if not is_complete:
        parts.append("--help-all shows Gunicorn's own options, and other names of those above.")
    return "\n".join(parts) + "\n"


def _lines(action: argparse.Action, offs: Mapping[str, argparse.Action], width: int) -> list[str]:
    names = ", ".join(action.option_strings)
    off = offs.get(action.dest)
    if off is not None and off is not action and action.const is True:
        names += f" / {off.option_strings[0]}"
    meta = str(action.metavar or action.dest.upper())
    left = f"  {names}" if action.nargs == 0 else f"  {names} {meta}"
    text = action.help or ""
    default = _DEFAULT.search(text)
    if action.dest in _TEXTS and not (action.const == "" and action.nargs == 0):  # an option that takes it away
        shown = "" if default is None or len(default[0]) > _LONGEST_DEFAULT else default[0]
        text = _TEXTS[action.dest] + shown
    text = _EMPTY.sub("", _MARKUP.sub(_plain, text.replace("%%", "%")))
    text = " ".join(text.split())
    room = width - _COLUMN
    if len(text) > room:
        text = _DEFAULT.sub("", text)
    if len(text) > room:
        text = text[: room - 1].rsplit(" ", 1)[0].rstrip(" ,;:[") + "…"
    if len(left) > _COLUMN - 2:
        return [left, " " * _COLUMN + text]
    return [left.ljust(_COLUMN) + text]


def _plain(found: re.Match[str]) -> str:
    text = next(group for group in found.groups() if group is not None)
    return text.partition("<")[0] or text
