"""Replies on the wire: framing, persistence, HEAD, streams."""

from __future__ import annotations

import pytest
from clients import Kept

from uvicorn import ReplyError, route

HEAD_END = b"server: uvicorn\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"


def request(method=b"GET", version=b"1.1", fields=b"", path=b"/"):
    return b"%b %b HTTP/%b\r\nHost: a\r\n%b\r\n" % (method, path, version, fields)


def exchange(make_site, request_bytes, *replies, **options):
    """Send one request, reply to it, and return the client."""
    kept = Kept()
    client = make_site(kept, **options).connect()
    client.send(request_bytes)
    for reply in replies:
        kept.reply(0, **reply)
    client.site.settle()
    return client


WHOLE = {"status": 200, "content": b"hello"}
STREAM = [
    {"status": 200, "content": b"he", "more_content": True},
    {"content": b"", "more_content": True},
    {"content": b"llo", "more_content": True},
    {},
]
PROMISED = [{**STREAM[0], "headers": [(b"content-length", b"5")]}, *STREAM[1:]]
NOTHING_NEW = {"status": 304, "headers": [(b"content-length", b"5"), (b"etag", b"x")]}

WIRE = {
    "whole": (request(), [WHOLE], b"200 OK", b"content-length: 5\r\n\r\nhello"),
    "whole, empty": (request(), [{"status": 404}], b"404 Not Found", b"content-length: 0\r\n\r\n"),
    "whole, HEAD": (request(b"HEAD"), [WHOLE], b"200 OK", b"content-length: 5\r\n\r\n"),
    "whole, 1.0": (request(version=b"1.0"), [WHOLE], b"200 OK", b"content-length: 5\r\nconnection: close\r\n\r\nhello"),
    "whole, 1.0, kept": (
        request(version=b"1.0", fields=b"Connection: Keep-Alive\r\n"), [WHOLE], b"200 OK",
        b"content-length: 5\r\nconnection: keep-alive\r\n\r\nhello",
    ),
    "whole, close": (
        request(fields=b"Connection: close\r\n"), [WHOLE], b"200 OK",
        b"content-length: 5\r\nconnection: close\r\n\r\nhello",
    ),
    "whole, the consumer closes": (
        request(), [{**WHOLE, "headers": [(b"Connection", b"Close")]}], b"200 OK",
        b"content-length: 5\r\nconnection: close\r\n\r\nhello",
    ),
    "204": (request(), [{"status": 204, "content": b"x"}], b"204 No Content", b"\r\n"),
    "204 with a length": (
        request(), [{"status": 204, "headers": [(b"Content-Length", b"0"), (b"x", b"1")]}], b"204 No Content",
        b"x: 1\r\n\r\n",
    ),
    "204, streamed": (
        request(), [{"status": 204, "more_content": True}, {"content": b"x"}], b"204 No Content", b"\r\n",
    ),
    "304": (request(), [NOTHING_NEW], b"304 Not Modified", b"content-length: 5\r\netag: x\r\n\r\n"),
    "304, the length of its own content": (
        request(), [{**NOTHING_NEW, "headers": [(b"Content-Length", b"0"), (b"etag", b"x")]}], b"304 Not Modified",
        b"etag: x\r\n\r\n",
    ),
    "whole, with its length": (
        request(), [{**WHOLE, "headers": [(b"Content-Length", b"5"), (b"a", b"b")]}], b"200 OK",
        b"Content-Length: 5\r\na: b\r\n\r\nhello",
    ),
    "304 with content": (request(), [{"status": 304, "content": b"x"}], b"304 Not Modified", b"\r\n"),
    "304, 1.0": (
        request(version=b"1.0"), [{"status": 304}], b"304 Not Modified", b"connection: close\r\n\r\n",
    ),
    "stream": (
        request(), STREAM, b"200 OK",
        b"transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    ),
    "stream, empty": (
        request(), [{"status": 200, "more_content": True}, {}], b"200 OK",
        b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "stream, content at the end": (
        request(), [{"status": 200, "more_content": True}, {"content": b"a" * 26}], b"200 OK",
        b"transfer-encoding: chunked\r\n\r\n1a\r\n" + b"a" * 26 + b"\r\n0\r\n\r\n",
    ),
    "stream, the consumer says chunked": (
        request(), [{**STREAM[0], "headers": [(b"Transfer-Encoding", b"chunked")]}, *STREAM[1:]], b"200 OK",
        b"transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    ),
    "stream, close": (
        request(fields=b"Connection: close\r\n"), STREAM, b"200 OK",
        b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    ),
    "stream, promised": (request(), PROMISED, b"200 OK", b"content-length: 5\r\n\r\nhello"),
    "stream, promised, 1.0 kept": (
        request(version=b"1.0", fields=b"Connection: keep-alive\r\n"), PROMISED, b"200 OK",
        b"content-length: 5\r\nconnection: keep-alive\r\n\r\nhello",
    ),
    "stream, HEAD": (request(b"HEAD"), STREAM, b"200 OK", b"\r\n"),
    "stream, 1.0": (
        request(version=b"1.0", fields=b"Connection: keep-alive\r\n"), STREAM, b"200 OK",
        b"connection: close\r\n\r\nhello",
    ),
    "no reason phrase": (request(), [{"status": 599}], b"599 ", b"content-length: 0\r\n\r\n"),
    "own date and server": (
        request(), [{**WHOLE, "headers": [(b"Date", b"today"), (b"SERVER", b"me")]}], b"200 OK",
        b"Date: today\r\nSERVER: me\r\ncontent-length: 5\r\n\r\nhello",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WIRE)
def test_replies_are_written_as(make_site, name):
    request_bytes, replies, status_line, rest = WIRE[name]
    client = exchange(make_site, request_bytes, *replies)
    start = b"HTTP/1.1 %b\r\n" % status_line + (b"" if name == "own date and server" else HEAD_END)
    assert bytes(client.transport.received) == start + rest
    assert client.is_closed == (b"connection: close" in rest)


@pytest.mark.parametrize("name", [name for name in WIRE if b"connection: close" not in WIRE[name][3]])
def test_the_next_request_is_served_after(make_site, name):
    request_bytes, replies, _, _ = WIRE[name]
    kept = Kept()
    client = make_site(kept).connect()
    client.send(request_bytes + request(path=b"/next"))
    for reply in replies:  # type: ignore[attr-defined]
        kept.reply(0, **reply)
    kept.reply(1, status=418, content=b"next")
    _, second = client.responses(request_bytes.split(b" ")[0].decode())
    assert (second.status, second.body) == (418, b"next")


def test_a_large_content_is_written_whole(make_site):
    content = bytes(range(256)) * 1000
    client = exchange(make_site, request(), {"status": 200, "content": content})
    assert client.responses()[0].body == content


def test_large_chunks_are_written_whole(make_site):
    content = bytes(range(256)) * 1000
    client = exchange(
        make_site,
        request(),
        {"status": 200, "content": content, "more_content": True},
        {"content": content, "more_content": True},
        {},
    )
    assert client.responses()[0].body == content * 2


def test_content_is_copied_where_the_consumer_may_change_it(make_site):
    kept = Kept()
    client = make_site(kept).connect()
    client.transport.is_stalled = True
    client.send(request())
    buffer = bytearray(b"hello")
    kept.reply(0, status=200, content=memoryview(buffer))
    buffer[:] = b"WORLD"
    client.transport.drain()
    assert client.responses()[0].body == b"hello"


def test_connections_are_not_kept_if_keepalive_is_off(make_site):
    client = exchange(make_site, request() + request(), WHOLE, keepalive=0)
    (response,) = client.responses()
    assert response.headers["connection"] == "close"
    client.half_close()
    assert client.is_closed


def test_a_request_behind_one_that_closes_is_not_served(make_site):
    kept = Kept()
    client = make_site(kept).connect()
    client.send(request(fields=b"Connection: close\r\n") + request(path=b"/next"))
    assert kept.paths == ["/"]


def test_a_request_after_a_reply_that_said_close_is_not_served(make_site):
    """RFC 9112 section 9.6: no further request is processed after "close" was sent."""
    kept = Kept()
    client = make_site(kept).connect()
    client.send(request())
    kept.reply(0, status=200, headers=[(b"connection", b"close")], more_content=True)
    client.send(request(path=b"/next"))
    kept.reply(0)
    client.site.settle()
    assert kept.paths == ["/"]
    assert client.statuses() == [200]
    client.half_close()
    assert client.is_closed


def test_no_request_is_taken_after_close_was_said_though_others_wait_already(make_site):
    kept = Kept()
    client = make_site(kept).connect()
    client.send(request() + request(path=b"/waits"))
    kept.reply(0, status=200, headers=[(b"connection", b"close")], more_content=True)
    client.send(request(path=b"/next"))
    assert kept.paths == ["/", "/waits"]


def test_a_client_that_sends_on_after_close_can_read_its_answer(make_site):
    """Closing a socket with unread bytes would reset it: RFC 9112 section 9.6."""
    kept = Kept()
    site = make_site(kept)
    client = site.connect()
    client.send(request(fields=b"Connection: close\r\n") + request(path=b"/next"))
    kept.reply(0, status=200)
    site.settle()
    assert client.transport.is_eof_written
    assert not client.is_closed
    site.pass_time(3)
    assert client.is_closed


def test_nothing_is_written_behind_a_reply_that_closes(make_site):
    kept = Kept()
    client = make_site(kept).connect()
    client.send(request() + request(path=b"/next"))
    client.transport.is_stalled = True
    kept.reply(0, status=200, headers=[(b"connection", b"close")])
    with pytest.raises(ConnectionError):
        kept.reply(1, status=200)
    client.transport.drain()
    client.site.settle()
    assert client.statuses() == [200]
    assert client.is_closed


def test_a_bad_reply_raises_in_the_consumer_and_writes_nothing(make_site):
    kept = Kept()
    client = make_site(kept).connect()
    client.send(request())
    with pytest.raises(ReplyError):
        kept.reply(0, status=200, headers=[(b"x", b"a\r\nSet-Cookie: b")])
    assert client.responses() == []
    kept.reply(0, status=200)
    assert client.statuses() == [200]


def test_a_reply_before_the_body_is_complete_closes_the_connection(make_site):
    kept = Kept()
    client = make_site(kept, body_buffer=4).connect()
    client.send(request(b"POST", fields=b"Content-Length: 10\r\n") + b"12345")
    kept.reply(0, status=403)
    client.send(b"67890" + request(path=b"/next"))
    assert kept.paths == ["/"]
    (response,) = client.responses()
    assert (response.status, response.headers["connection"]) == (403, "close")
    assert client.transport.is_eof_written
    client.half_close()
    assert client.is_closed


def test_a_stream_that_began_before_the_body_was_complete_may_keep_the_connection(make_site):
    kept = Kept()
    client = make_site(kept, body_buffer=8).connect()
    client.send(request(b"POST", fields=b"Content-Length: 10\r\n") + b"12345")
    kept.reply(0, status=200, more_content=True)
    client.send(b"67890")
    kept.reply(0)
    client.send(request(path=b"/next"))
    kept.reply(1, status=200)
    assert client.statuses() == [200, 200]


def test_sending_after_the_client_has_left_raises(make_site):
    kept = Kept()
    client = make_site(kept).connect()
    client.send(request())
    client.leave()
    with pytest.raises(ConnectionError):
        kept.reply(0, status=200)


def test_a_stopping_server_says_close_with_the_last_response(make_site):
    kept = Kept()
    client = make_site(kept).connect()
    client.send(request() + request())
    client.site.service.begin_stopping()
    kept.reply(0, status=200)
    kept.reply(1, status=200)
    client.site.settle()
    assert [response.headers.get("connection") for response in client.responses()] == [None, "close"]
    assert client.is_closed


@pytest.mark.parametrize("before", [0, 10])  # bytes that were sent before it stops
@pytest.mark.parametrize("requests", [1, 2])
def test_an_answer_that_is_given_while_its_head_is_taken_says_close_when_the_server_stops(make_site, before, requests):
    """As that of a consumer which begins at once, from Python 3.12 on; here nobody has the path."""
    client = make_site([route("http.request", Kept(), path="^/there$")]).connect()
    data = request() * requests
    if before:
        client.send(data[:before])
    client.site.service.begin_stopping()
    client.send(data[before:])
    client.site.settle()
    assert [response.status for response in client.responses()] == [404] * requests
    assert [response.headers.get("connection") for response in client.responses()] == [None, "close"][-requests:]
    assert client.is_closed


def test_a_connection_that_is_made_while_the_server_stops_is_told_to_close(make_site):
    kept = Kept()
    site = make_site(kept)
    site.service.begin_stopping()
    client = site.connect()
    client.send(request())
    kept.reply(0, status=200)
    site.settle()
    assert client.responses()[0].headers["connection"] == "close"
    assert client.is_closed
