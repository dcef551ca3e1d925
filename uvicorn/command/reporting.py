"""What Gunicorn's access log, statsd and request hooks see of an exchange.

Nothing here runs for a request if nobody looks: `Reporter.wanted` and `GunicornHooks.wanted` are asked
once, when the worker starts.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from http import HTTPStatus
from time import monotonic
from typing import Any, Final

from gunicorn.config import PostRequest, PreRequest
from gunicorn.glogging import Logger

from uvicorn.bridge.stacks import thread_name
from uvicorn.bridge.work import Work
from uvicorn.command.log_guard import Episode
from uvicorn.connections.exchange import Exchange, Notice

__all__ = ["GunicornHooks", "Reporter"]

_VERSIONS: Final = {"1.0": (1, 0), "1.1": (1, 1), "2": (2, 0)}
_CLIENT_LEFT: Final = 499  # nginx's status for a client that closed before its answer began


class RequestView:
    """A request in the shape of Gunicorn's own.

    Attributes:
        method, uri, path, query: str; `uri` is the request target as received.
        headers: list of (NAME, value), both str.
        version: (1, 0), (1, 1) or (2, 0).
    """

    def __init__(self, exchange: Exchange) -> None:
        line = exchange.request_line
        self.method = line.method
        self.uri = line.shown_target
        self.path, _, self.query = self.uri.partition("?")
        self.headers = [(name.decode("latin-1").upper(), value.decode("latin-1")) for name, value in exchange.headers]
        self.version = _VERSIONS[line.http_version]
        self.scheme = line.scheme or exchange.carrier.service.scheme


class ResponseView:
    """A response in the shape of Gunicorn's own.

    Attributes:
        status: "200 OK"; "499 Client Left" if the client left before the response began.
        sent: bytes of content that were written.
        headers: list of (name, value), both str, as the consumer sent them.
    """

    def __init__(self, exchange: Exchange) -> None:
        code = exchange.status or _CLIENT_LEFT
        self.status_code = code
        self.status = f"{code} {_phrase(code)}"
        self.sent = exchange.sent_bytes
        self.response_length = exchange.fields.content_length
        lines = exchange.fields.block.decode("latin-1").split("\r\n")
        self.headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines) if name]


def environ_of(exchange: Exchange, request: RequestView) -> dict[str, Any]:
    """Return the environ that Gunicorn's log formats refer to, and keys of ours:

    consumer.name, consumer.mode and consumer.side ("loop" or "pool"), consumer.mount, consumer.thread (its name, if
    the consumer ran in one), consumer.wait and consumer.run (microseconds, int: in the queue, and from the call on),
    consumer.wait_ms (time in the queue, int); of what an ASGI application's framework handed to our threads
    consumer.hops (how many calls), consumer.run_ms (how long they ran), and their wait in consumer.wait_ms.
    uvicorn.request_id, if requests have ids; upstream.wait (microseconds before us), if a trusted proxy says it.
    """
    wait, run = times_of(exchange)
    work: Work | None = getattr(exchange, "work", None)
    client, server = exchange.carrier.addresses()
    client = exchange.request_line.client or client  # a trusted proxy has said it
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "RAW_URI": request.uri,
        "SERVER_PROTOCOL": f"HTTP/{exchange.request_line.http_version}",
        "PATH_INFO": exchange.request_line.path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"),
        "QUERY_STRING": request.query,
        "REMOTE_ADDR": str(client[0]) if client else "",
        "REMOTE_PORT": str(client[1]) if client else "",
        "SERVER_NAME": str(server[0]) if server else "",
        "SERVER_PORT": str(server[1]) if server else "",
        "wsgi.url_scheme": request.scheme,
        "consumer.name": exchange.consumer_name,
        "consumer.mode": "loop" if exchange.job is None else "pool",
        "consumer.side": "loop" if exchange.job is None else "pool",
        "consumer.mount": exchange.consumer.mount if exchange.consumer is not None else "",
        "consumer.thread": _thread_of(exchange),
        "consumer.wait": int(wait * 1_000_000),
        "consumer.run": int(run * 1_000_000),
        "consumer.wait_ms": int(wait * 1000) if work is None else int(work.wait_seconds * 1000),
        "consumer.hops": 0 if work is None else work.hops,
        "consumer.run_ms": 0 if work is None else int(work.run_seconds * 1000),
    }
    attended = exchange.attended
    if attended is not None:
        if attended.request_id is not None:
            environ["uvicorn.request_id"] = attended.request_id
        if attended.upstream_seconds is not None:
            environ["upstream.wait"] = int(attended.upstream_seconds * 1_000_000)
    for name, value in request.headers:
        key = name.replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


class Reporter:
    """The access log, which is also where statsd counts."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._episode = Episode()

    @staticmethod
    def wanted(log: Any) -> bool:
        """Whether anybody looks: a log is written, or the logger counts (statsd) or is somebody's own."""
        return bool(getattr(log, "access_log_enabled", True)) or type(log).access is not Logger.access

    def __call__(self, exchange: Exchange) -> None:
        """Report an exchange that is over, complete or not. Runs on: the loop."""
        duration = timedelta(seconds=max(0.0, exchange.carrier.service.clock() - exchange.started_at))
        try:
            request = RequestView(exchange)
            self._log.access(ResponseView(exchange), request, environ_of(exchange, request), duration)
        except Exception:
            if self._episode.on_failed():
                self._log.error("Error in the access log: told once, until it can be written again", exc_info=True)
        else:
            if self._episode.count:
                lost = self._episode.on_succeeded()
                self._log.error("The access log can be written again; %d lines were lost", lost)


class GunicornHooks:
    """Gunicorn's `pre_request` and `post_request`, called on the side where the consumer runs."""

    def __init__(self, cfg: Any, worker: Any, log: Any) -> None:
        self._before = cfg.pre_request
        self._after = cfg.post_request
        self._worker = worker
        self._log = log

    @staticmethod
    def wanted(cfg: Any, log: Any) -> bool:
        """Whether a hook is set; Gunicorn's default `pre_request` logs each request at level debug."""
        is_set = cfg.pre_request is not PreRequest.default or cfg.post_request is not PostRequest.default
        return is_set or log.loglevel <= logging.DEBUG

    def before(self, exchange: Exchange) -> None:
        """Call `pre_request`; what it raises is answered with 500. A client that has left is no request."""
        if isinstance(exchange, Notice):
            return
        self._before(self._worker, RequestView(exchange))

    def after(self, exchange: Exchange) -> None:
        """Call `post_request`."""
        try:
            request = RequestView(exchange)
            self._after(self._worker, request, environ_of(exchange, request), ResponseView(exchange))
        except Exception:
            self._log.error("Exception in post_request hook", exc_info=True)


def _phrase(code: int) -> str:
    if code == _CLIENT_LEFT:
        return "Client Left"
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return ""


def times_of(exchange: Exchange) -> tuple[float, float]:
    """Return how long a request has waited for a thread, and how long ago its consumer was called; seconds."""
    job = exchange.job
    if job is not None:
        now = monotonic()
        return (job.started_at or now) - job.submitted_at, now - job.started_at if job.started_at else 0.0
    if exchange.consumer is None:
        return 0.0, 0.0
    return 0.0, max(0.0, exchange.carrier.service.clock() - exchange.started_at)


_names: Final[dict[int, str]] = {}  # of threads, by their identifiers; those of pools last as long as the worker


def _thread_of(exchange: Exchange) -> str:
    thread_id = 0 if exchange.job is None else exchange.job.thread_id
    if not thread_id:
        return ""
    name = _names.get(thread_id)
    if name is None:
        name = _names[thread_id] = thread_name(thread_id)
    return name
