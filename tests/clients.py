"""A whole site in one thread: the real connection code on top of the doubles.

`Site(consumer).connect()` gives a `Client`, which sends bytes and reads responses. Time stands still until
`site.pass_time` moves it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from doubles import FakeLog, FakeLoop, FakePeers, FakeTransport, ManualFiles, ManualPool, ManualSpools

from uvicorn.applications.mounting import as_application
from uvicorn.bridge.dispatcher import Dispatcher
from uvicorn.bridge.outbox import Outbox
from uvicorn.connections.attendants import Attendants
from uvicorn.connections.connection import HTTPConnection
from uvicorn.connections.service import Service
from uvicorn.wire.encoder import Encoder
from uvicorn.wire.limits import Http2Limits, Limits

CLIENT = ["192.0.2.7", 50123]
SERVER = ["192.0.2.1", 8000]


@dataclass
class Response:
    """One response as a client reads it; `is_complete` is False if the connection broke off."""

    status: int
    version: str
    headers: dict
    body: bytes
    is_complete: bool = True


def read_responses(data, methods=(), is_closed=False):
    """Read all responses in these bytes, strictly; `methods` are those of the requests, GET where none is given."""
    data, responses, methods = bytes(data), [], deque(methods)
    while data:
        head, end, data = data.partition(b"\r\n\r\n")
        assert end, f"half a head: {head!r}"
        response = _read_head(head)
        responses.append(response)
        if response.status < 200:
            continue
        method = methods.popleft() if methods else "GET"
        if method == "HEAD" or response.status in (204, 304):
            continue
        if "chunked" in response.headers.get("transfer-encoding", ""):
            assert "content-length" not in response.headers
            response.body, data, response.is_complete = _read_chunks(data)
        elif "content-length" in response.headers:
            size = int(response.headers["content-length"])
            response.body, data = data[:size], data[size:]
            response.is_complete = len(response.body) == size
        else:
            assert response.headers.get("connection") == "close"
            response.body, data, response.is_complete = data, b"", is_closed
    return responses


def _read_head(head):
    first, *lines = head.decode("latin-1").split("\r\n")
    version, status, _ = first.split(" ", 2)
    pairs = [line.split(": ", 1) for line in lines]
    headers = {name.lower(): value for name, value in pairs}
    assert len(headers) == len(pairs), f"a field is doubled: {head!r}"
    return Response(int(status), version, headers, b"")


def _read_chunks(data):
    body = b""
    while True:
        size, end, data = data.partition(b"\r\n")
        if not end:
            return body, b"", False
        count = int(size, 16)
        if len(data) < count + 2:
            return body + data, b"", False
        assert data[count : count + 2] == b"\r\n"
        body, data = body + data[:count], data[count + 2 :]
        if not count:
            return body, data, True


class Client:
    """One connection, seen from the client."""

    def __init__(self, site, client=CLIENT, has_eof=True, server=SERVER):
        self.site = site
        self.connection = HTTPConnection(site.service, client, server)
        self.transport = FakeTransport(site.loop, self.connection, has_eof)
        self.prepare()
        self.connection.connection_made(self.transport)

    def prepare(self):
        """Change the transport before the connection is made."""

    def send(self, data, piece=None):
        """Send bytes, in pieces of this size if one is given, and let the server work."""
        for at in range(0, len(data), piece or len(data)):
            self._do(self.transport.feed, data[at : at + (piece or len(data))])

    def half_close(self):
        self._do(self.transport.feed_eof)

    def leave(self):
        """Go away without a word."""
        self._do(self.transport.break_off)

    def _do(self, function, *args):
        """Do something where the transport would: on the running loop."""
        self.site.loop.call_soon(function, *args)
        self.site.settle()

    @property
    def is_closed(self):
        return self.transport.is_lost

    def responses(self, *methods):
        return read_responses(self.transport.received, methods, self.is_closed)

    def statuses(self, *methods):
        return [response.status for response in self.responses(*methods)]

    def take(self):
        """Return what came since the last time."""
        data = bytes(self.transport.received)
        self.transport.received.clear()
        return data


class Site:
    """A worker's service for one application, on doubles.

    Args:
        application: a consumer or a list of routes.
        make_pool: makes the pool, of the loop and the log; a `ManualPool` if it is None.
        hooks, queue_timeout: as for the dispatcher.
        http2: as for the service; `http2_limits` are the numbers of its connections.
        attendants: what goes with each request.
        limits: values of `Limits` that are not the default. `sendfile` is off: it goes past the transport.
    """

    def __init__(
        self,
        application,
        peers=None,
        scheme="http",
        root_path="",
        shows_errors=False,
        make_pool=None,
        hooks=None,
        queue_timeout=30.0,
        http2=None,
        http2_limits=None,
        attendants=(),
        **limits,
    ):
        self.loop = FakeLoop()
        self.log = FakeLog()
        self.pool = ManualPool() if make_pool is None else make_pool(self.loop, self.log)
        self.spools = ManualSpools()
        self.clients = []
        self.reports = []
        outbox = Outbox(self.loop, self.log)
        dispatcher = Dispatcher(self.pool, outbox, self.log, queue_timeout, hooks)
        dispatcher.is_attended = bool(attendants)
        attending = Attendants(attendants, dispatcher.context, self.reports.append, self.log) if attendants else None
        self.service = Service(
            self.loop,
            Limits(http2=http2_limits or Http2Limits(), **{"sendfile": False, **limits}),
            as_application(application),
            dispatcher,
            outbox,
            Encoder(),
            self.spools,
            peers or FakePeers(),
            self.log,
            scheme=scheme,
            root_path=root_path,
            report=self.reports.append if attending is None else attending.report,
            attendants=attending,
            shows_errors=shows_errors,
            http2=http2,
        )
        self.files = self.service.files = ManualFiles(self.loop)

    @property
    def request_count(self):
        return self.service.requests

    def connect(self, client=CLIENT, has_eof=True, server=SERVER):
        self.clients.append(Client(self, client, has_eof, server))
        return self.clients[-1]

    def settle(self):
        self.loop.settle()

    def run_job(self, in_thread=False):
        """Run the consumer that waits longest for a thread, and let the loop see what it did."""
        self.pool.run(in_thread)
        self.settle()

    def pass_time(self, seconds):
        """Move the clock, and do what the server does at each tick, four times a second here."""
        end = self.loop.now + seconds
        while self.loop.now < end:
            self.loop.now = min(self.loop.now + 0.25, end)
            self.settle()
            self.loop.call_soon(self._tick)
            self.settle()

    def abort_calls(self):
        """End what runs, as a worker that stops does at its deadline."""
        self.service.dispatcher.abort()
        self.service.call_runner.abort()

    def _tick(self):
        now = self.service.now = self.loop.time()
        self.service.dispatcher.tick()
        self.service.call_runner.tick()
        for connection in (*self.service.connections, *self.service.sockets):
            connection.watch.tick(now)

    def end(self):
        """Close everything; check that nothing was logged as an error, nor written after the end."""
        try:
            for client in self.clients:
                client.leave()
            self.pool.queue.clear()
            self.loop.settle()
            self.abort_calls()
            self.loop.settle()
        finally:
            self.loop.end()
            for client in self.clients:
                client.transport.end()
        assert [client.transport.misuse for client in self.clients if client.transport.misuse] == []
        assert not self.service.connections
        assert not self.service.sockets
        errors = self.log.take("error")
        assert errors == []


class Kept:
    """Keep every message and answer none: the test replies through `replies`. Runs on the loop."""

    def __init__(self):
        self.messages = []

    async def __call__(self, message):
        self.messages.append(message)

    def reply(self, number, **reply):
        """Reply to the message of this number."""
        return self.messages[number]["reply_channel"].send(reply)

    @property
    def paths(self):
        return [message["path"] for message in self.messages]


class Silent:
    """A consumer that never answers, and knows the paths of those whose tasks were cancelled. Runs on the loop."""

    def __init__(self):
        self.cancelled = []

    async def __call__(self, message):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.append(message["path"])
            raise


class Echo:
    """Answer with the method, the path and the body, and remember the messages. Runs on the loop."""

    def __init__(self):
        self.messages = []

    async def __call__(self, message):
        self.messages.append(message)
        body = message["body"]
        if message["body_channel"] is not None:
            body += await message["body_channel"].read(1 << 24)
        content = b"%b %b %b" % (message["method"].encode(), message["raw_path"], body)
        message["reply_channel"].send({"status": 200, "content": content})


def in_pool(message):
    """Answer from a thread of the pool."""
    message["reply_channel"].send({"status": 200, "content": message["raw_path"]})
