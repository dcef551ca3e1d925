"""ASGI applications whose answer is complete before the body of the request has come."""

import asyncio

import pytest
from asgi_apps import body, start
from asgi_bodies import DISCONNECT, LAST, NEXT, Early, chunk, post
from clients import Kept

from uvicorn import mount


@pytest.mark.parametrize("framed", [(post(10), b"helloworld"), (post(), chunk(b"helloworld") + LAST)])
@pytest.mark.parametrize("piece", [None, 1])
def test_an_early_answer_keeps_the_connection_if_the_rest_is_short(connect, framed, piece):
    app = Early()
    client = connect(app)
    head, rest = framed
    client.send(head)
    [response] = client.responses()
    assert (response.status, response.body, response.headers.get("connection")) == (401, b"no", None)
    assert app.events == [DISCONNECT]
    client.send(rest + NEXT, piece)
    assert client.statuses() == [401, 401]
    assert not client.is_closed


def test_an_early_answer_in_parts_keeps_the_connection_too(connect):
    async def app(scope, receive, send):
        await send(start())
        await send(body(b"a", True))
        await send(body(b"b"))

    client = connect(app)
    client.send(post(5) + b"he")
    client.send(b"llo" + NEXT)
    assert [response.body for response in client.responses()] == [b"ab", b"ab"]


def test_an_early_answer_closes_if_much_is_missing(connect):
    client = connect(Early(), body_buffer=100)
    client.send(post(101))
    [response] = client.responses()
    assert (response.status, response.headers["connection"]) == (401, "close")
    client.site.pass_time(4)
    assert client.is_closed


def test_the_connection_is_closed_if_more_comes_than_it_is_worth(connect):
    client = connect(Early(), body_buffer=100)
    client.send(post())
    client.send(chunk(b"x" * 100))
    assert not client.transport.is_eof_written
    client.send(chunk(b"x"))
    assert client.transport.is_eof_written
    client.site.pass_time(4)
    assert client.is_closed
    assert client.statuses() == [401]


def test_the_connection_is_closed_if_the_rest_is_malformed(connect):
    client = connect(Early())
    client.send(post())
    client.send(b"nonsense\r\n")
    assert client.transport.is_eof_written
    client.site.pass_time(4)
    assert client.is_closed
    assert client.statuses() == [401]


def test_the_connection_is_closed_if_the_rest_does_not_come(connect):
    client = connect(Early(), body_timeout=10)
    client.send(post(10) + b"hello")
    client.site.pass_time(15)
    assert client.transport.is_eof_written
    client.site.pass_time(4)
    assert client.is_closed
    assert client.statuses() == [401]


def test_reading_goes_on_for_the_rest_of_a_body_that_nobody_reads(connect):
    waits = asyncio.Event()

    async def app(scope, receive, send):
        await waits.wait()
        await Early()(scope, receive, send)

    client = connect(app, body_buffer=10)
    client.send(post(30) + b"x" * 5)
    client.send(b"x" * 20)
    assert client.transport.is_paused
    client.site.loop.call_soon(waits.set)
    client.site.settle()
    assert not client.transport.is_paused
    client.send(b"x" * 5 + NEXT)
    assert client.statuses() == [401, 401]


def test_early_answers_keep_their_order(make_site):
    kept = Kept()
    site = make_site([mount("/a", Early()), mount("/", kept)])
    client = site.connect()
    client.send(NEXT + post(5))
    assert client.take() == b""
    client.send(b"hel")
    kept.reply(0, status=200)
    assert client.statuses() == [200, 401]
    client.send(b"lo" + NEXT)
    kept.reply(1, status=204)
    assert client.statuses() == [200, 401, 204]


def test_a_worker_that_stops_keeps_no_connection_for_the_rest_of_a_body(connect):
    client = connect(Early())
    client.site.service.begin_stopping()
    client.send(post(10))
    [response] = client.responses()
    assert response.headers["connection"] == "close"
