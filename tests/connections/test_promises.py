"""Sentences of docs/server-behavior.md that no other file tries to break."""

from __future__ import annotations

import re

import pytest
from clients import Echo, Kept, in_pool
from doubles import FakePeers
from sockets import TEXT, SocketClient, frame
from test_http_refusals import ACCEPTED, REFUSED

from uvicorn import route

HOST = b"Host: a\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
UPLOAD = b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 10\r\n\r\n"


def a_line(data, **options):
    """Return how to make a server answer by itself: to these bytes."""
    return data, Echo, options, 0


def refusals():
    """Return, for each status of the server's own: what is sent, the consumer, the site's options, seconds to wait."""

    async def silent(message):
        kept.append(message)

    def raises(message):
        raise LookupError("a secret")

    kept = []
    return {
        400: a_line(b"GET / HTTP/1.1\r\n\r\n"),
        403: a_line(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 1\r\n" + GET, peers=FakePeers("v1", may_proxy=False)),
        404: (UPLOAD, lambda: [route("http.request", in_pool, path="^/other$")], {}, 0),
        408: (b"GET", Echo, {}, 12),
        413: a_line(UPLOAD, request_body=9),
        414: a_line(b"GET /%b HTTP/1.1\r\n" % (b"a" * 5000) + HOST + b"\r\n"),
        417: a_line(b"POST / HTTP/1.1\r\n" + HOST + b"Expect: nothing\r\nContent-Length: 1\r\n\r\n"),
        431: a_line(b"GET / HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 101 + b"\r\n"),
        500: (GET, lambda: raises, {}, 0),
        501: a_line(b"CONNECT a:1 HTTP/1.1\r\n" + HOST + b"\r\n"),
        503: (GET, lambda: in_pool, {}, 0),
        504: (GET, lambda: silent, {"reply_timeout": 5.0}, 8),
        505: a_line(b"GET / HTTP/2.0\r\n" + HOST + b"\r\n"),
    }


KEPT = {500}  # and 404 without a body


@pytest.mark.parametrize("status", refusals())
def test_an_answer_of_the_server_is_one_line_and_says_close(make_site, status):
    data, make_consumer, options, seconds = refusals()[status]
    site = make_site(make_consumer(), **options)
    client = site.connect()
    site.pool.is_full = status == 503
    client.send(data)
    if status == 500:
        site.run_job()
        site.log.take("error")
    site.pass_time(seconds)
    (response,) = client.responses()
    assert response.status == status
    assert re.fullmatch(rf"{status} [A-Z][A-Za-z -]+\n", response.body.decode())
    assert (response.headers.get("connection") == "close") is (status not in KEPT)
    assert response.headers.get("retry-after") == ("1" if status == 503 else None)
    site.pass_time(5)  # keepalive is over for who is kept
    assert client.is_closed
    site.log.take("error")


def test_an_answer_to_http_1_0_says_http_1_1(make_site):
    client = make_site(Echo()).connect()
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    (response,) = client.responses()
    assert (response.status, response.version) == (200, "HTTP/1.1")


@pytest.mark.parametrize("name", [*REFUSED, *ACCEPTED])
def test_the_same_bytes_get_the_same_answer_however_they_are_cut(make_site, name):
    data = REFUSED[name][1] if name in REFUSED else ACCEPTED[name]

    def answered(*pieces):
        client = make_site(Echo()).connect()
        for piece in pieces:
            client.send(piece)
        return [(response.status, response.body) for response in client.responses()]

    whole = answered(data)
    assert answered(*(data[at : at + 1] for at in range(len(data)))) == whole
    step = max(1, len(data) // 12)
    for at in range(1, len(data), step):
        assert answered(data[:at], data[at:]) == whole, at


@pytest.mark.parametrize("target", [b"//a", b"/a/../b", b"/./a", b"/a%2e%2e/b", b"/%2F/a", b"/a//b?c=//"])
def test_a_path_is_passed_on_as_it_came(make_site, target):
    echo = Echo()
    make_site(echo).connect().send(b"GET %b HTTP/1.1\r\n" % target + HOST + b"\r\n")
    [message] = echo.messages
    assert message["raw_path"] == target.partition(b"?")[0]


@pytest.mark.parametrize("data", [b"GET / HT", UPLOAD + b"x", GET], ids=["head", "body", "waiting"])
def test_a_worker_that_was_held_up_looks_at_its_sockets_before_it_blames_a_client(make_site, data):
    kept = Kept()
    site = make_site(kept, header_timeout=5, body_timeout=5, write_timeout=5, keepalive=5)
    client = site.connect()
    client.send(data)
    site.loop.now += 100  # the loop was blocked: it could not read what came meanwhile
    site.service.now = site.loop.now
    for connection in list(site.service.connections):
        connection.watch.tick(site.loop.now)
    site.settle()
    assert client.responses() == []
    assert not client.is_closed
    rest = {b"GET / HT": b"TP/1.1\r\nHost: a\r\n\r\n", UPLOAD + b"x": b"x" * 9}.get(data, b"")
    if rest:
        client.send(rest)
    kept.reply(0, status=200)
    assert client.statuses() == [200]


def test_messages_of_a_socket_are_neither_logged_nor_counted(make_site):
    async def consumer(message):
        if message["channel"] == "websocket.connect":
            message["reply_channel"].send({"accept": True})

    site = make_site(consumer)
    client = SocketClient(site)
    client.send(*[frame(TEXT, b"x")] * 10)
    site.settle()
    assert (len(site.reports), site.request_count) == (1, 1)


def test_no_tracebacks_nor_words_of_the_error_reach_a_client(make_site):
    def raises(message):
        raise LookupError("a secret")

    site = make_site(raises)
    client = site.connect()
    client.send(GET)
    site.run_job()
    assert b"secret" not in client.take()
    assert site.log.take("error")
