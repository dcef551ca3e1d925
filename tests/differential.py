"""Our connection beside other readings of the same bytes: the fuzzer's bench.

`check(data, ...)` fails with all that was seen if

- another way to cut the bytes, or a connection that has served before, gives other messages or another verdict;
- a strict reading of RFC 9112 (`strict_http.py`) does;
- llhttp or h11, given the bytes of one request that was served, read another request, or another end.
"""

from __future__ import annotations

import re
from itertools import pairwise

import h11
import httptools
import strict_http
from clients import CLIENT, SERVER, Site
from doubles import FakeTransport

from uvicorn.connections.connection import HTTPConnection
from uvicorn.wire.limits import Limits
from uvicorn.wire.reply import NO_FIELDS

WARM = (
    b"POST /warm HTTP/1.1\r\nHost: a\r\nProxy-Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"1\r\na\r\n0\r\nConnection: close\r\n\r\n"
)  # all that llhttp would remember
TIGHT = {"request_line": 80, "request_fields": 7, "request_field_size": 100, "request_body": 40}  # to be met often
_FRAMING_FIELD = re.compile(rb"(?im)^((?:content-length|transfer-encoding):[^\r]*?)[ \t]+(?=\r|\Z)")
_STATUS = re.compile(rb"HTTP/1\.1 ([2-5]\d\d) ")


class Recorder:
    """A dispatcher that answers each request at once, when its body is there."""

    hooks = None

    def __init__(self):
        self.messages = []

    def dispatch(self, consumer, message, exchange):
        if message["body_channel"] is not None:  # it is longer than all that will come
            return
        request = exchange.request_line
        fields = [[bytes(part) for part in pair] for pair in message["headers"]]
        self.messages.append((request.method, request.target, message["http_version"], fields, message["body"]))
        for pair in message["headers"]:  # what a consumer does to its message is nobody's business
            pair[:] = [b"connection", b"close"]
        message.clear()
        exchange.reply((200, NO_FIELDS, b"", False))

    def on_response_ended(self, exchange):
        """Nothing runs."""

    def cancel(self, exchange, grace):
        """Nothing runs."""

    def tick(self):
        """Nothing waits."""

    def abort(self):
        """Nothing runs."""


async def _never(message):
    raise AssertionError("the recorder calls no consumer")


class Bench:
    """One site, for any number of connections."""

    def __init__(self, **limits):
        self.limits = Limits(**limits)
        self.site = Site(_never, **limits)
        self.recorder = self.site.service.dispatcher = Recorder()
        self.inputs = self.connections = self.served = self.refused = 0

    def close(self):
        self.site.end()

    def talk(self, pieces, is_warm=False):
        """Send these pieces over a connection of their own.

        Returns: what was served, the status of the refusal or None, and whether the connection was closed.
        """
        site, recorder = self.site, self.recorder
        self.connections += 1
        connection = HTTPConnection(site.service, CLIENT, SERVER)
        transport = FakeTransport(site.loop, connection)
        connection.connection_made(transport)
        recorder.messages = []
        if is_warm:
            transport.feed(WARM)
            assert [message[1] for message in recorder.messages] == [b"/warm"]
            recorder.messages.clear()
        before = len(transport.received)
        for piece in pieces:
            transport.feed(piece)
            if site.loop._is_busy:
                site.settle()
        statuses = [int(status) for status in _STATUS.findall(bytes(transport.received[before:]))]
        served = recorder.messages
        assert statuses[: len(served)] == [200] * len(served)
        assert len(statuses) <= len(served) + 1
        refused = statuses[-1] if len(statuses) > len(served) else None
        is_closed = transport.is_eof_written or transport.is_lost or transport.is_closing()
        transport.break_off()
        site.settle()
        assert site.log.take("error") == []
        site.log.lines.clear()
        return served, refused, is_closed

    def check(self, data, slicings):
        """Compare all readings of these bytes. `slicings` are lists of places to cut at."""
        self.inputs += 1
        expected, verdict = strict_http.read(data, self.limits)
        served, refused, is_closed = whole = self.talk([data])
        shown = f"\n{data!r}\nstrictly: {verdict}, {expected}\n"
        assert served == [
            (request.method, request.target, request.version, request.headers, request.body) for request in expected
        ], shown + repr(whole)
        if isinstance(verdict, set):
            assert refused in verdict, shown + repr(whole)
        else:
            assert refused is None, shown + repr(whole)
            assert is_closed is (verdict == "closed"), shown + repr(whole)
        for slicing in slicings:
            for is_warm in (False, True):
                places = [0, *slicing, len(data)]
                pieces = [data[start:end] for start, end in pairwise(places) if start < end]
                other = self.talk(pieces, is_warm)
                assert other == whole, f"{shown}{slicing} {is_warm}\n{whole}\n{other}"
        for request in expected:
            # Both refuse white space around chunk extensions, and trailers that look like framing.
            if not (request.has_bad_white_space or {b"content-length", b"transfer-encoding"} & set(request.trailers)):
                _check_llhttp(data[request.start : request.end], request)
                _check_h11(data[request.start : request.end], request)
        self.served += len(expected)
        self.refused += isinstance(verdict, set)


class _Heard:
    """What llhttp tells of one message."""

    def __init__(self):
        self.target, self.fields, self.body, self.ends = b"", [], b"", 0

    def on_url(self, url):
        self.target += url

    def on_header(self, name, value):
        self.fields.append([name.lower(), value.rstrip(b" \t")])

    def on_headers_complete(self):
        self.head = [pair for pair in self.fields if b"_" not in pair[0]]

    def on_body(self, body):
        self.body += body

    def on_message_complete(self):
        self.ends += 1


def _check_llhttp(data, request):
    """Have llhttp read one request; it must end with its last byte.

    Not compared: a tab behind the value of a field of framing, which it refuses, and what follows a head that asks for
    another protocol, which it leaves alone.
    """
    names = {name for name, _ in request.headers}
    head, end, body = data.partition(b"\r\n\r\n")
    data = _FRAMING_FIELD.sub(rb"\1", head) + end + body
    heard = _Heard()
    parser = httptools.HttpRequestParser(heard)
    try:
        parser.feed_data(data[:-1])
        assert not heard.ends, f"llhttp: too early\n{data!r}"
        parser.feed_data(data[-1:])
    except httptools.HttpParserUpgrade:
        assert b"upgrade" in names
        return
    assert heard.ends == 1, f"llhttp: not at its end\n{data!r}"
    fields = _without_host(request, heard.head)
    assert (parser.get_method().decode(), heard.target, heard.body) == (request.method, request.target, request.body)
    assert fields == _without_host(request, request.headers), f"llhttp: {data!r}"


def _without_host(request, fields):
    """Leave Host out where the target says another one."""
    return fields if request.target[:1] in b"/*" else [pair for pair in fields if pair[0] != b"host"]


def _check_h11(data, request):
    """Have h11 read one request; it must end with its last byte."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(data)
    event = connection.next_event()
    assert isinstance(event, h11.Request), (event, data)
    body = b""
    while True:
        part = connection.next_event()
        if isinstance(part, h11.EndOfMessage):
            break
        assert isinstance(part, h11.Data), (part, data)
        body += part.data
    fields = [[bytes(name), bytes(value)] for name, value in event.headers if b"_" not in name]
    expected = [[name, value.lower() if name == b"transfer-encoding" else value] for name, value in request.headers]
    assert (event.method.decode(), event.target, event.http_version.decode()) == (
        request.method,
        request.target,
        request.version,
    )
    assert bytes(body) == request.body, f"h11: {data!r}"
    assert _without_host(request, fields) == _without_host(request, expected), f"h11: {data!r}"
    assert not connection.trailing_data[0], f"h11: not at its end\n{data!r}"
