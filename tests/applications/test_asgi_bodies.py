"""How the body of a request comes to an ASGI application: as it comes, from the head on."""

import asyncio

import pytest
from asgi_apps import body, start
from asgi_bodies import CONTINUE, DISCONNECT, EXPECT, LAST, NEXT, Early, Reader, chunk, part, post
from clients import Echo

from uvicorn import ChannelClosed

# ---- as it comes ----


def test_the_application_is_called_at_the_head_and_gets_the_body_as_it_comes(connect):
    app = Reader()
    client = connect(app)
    client.send(post(10))
    assert (app.calls, app.events) == (1, [])
    client.send(b"hello")
    assert app.events == [part(b"hello", True)]
    client.send(b"world")
    assert app.events == [part(b"hello", True), part(b"world", False)]
    assert client.responses()[0].body == b"10"


@pytest.mark.parametrize("data", [post(5) + b"hello", post() + chunk(b"he") + chunk(b"llo") + LAST])
@pytest.mark.parametrize("options", [{}, {"body_buffer": 2}])
def test_head_and_body_in_one_read_are_one_event(connect, data, options):
    app = Reader()
    client = connect(app, **options)
    client.send(data + data)
    assert app.events == [part(b"hello", False)] * 2
    assert client.statuses() == [200, 200]


def test_more_chunks_than_a_turn_takes_come_as_they_are_taken(connect):
    app = Reader()
    client = connect(app)
    client.send(post() + chunk(b"x") * 5000 + LAST)
    assert 1 < len(app.events) < 100
    assert client.responses()[0].body == b"5000"


@pytest.mark.parametrize("known", [0, 3])
def test_what_came_with_the_head_is_the_first_event(connect, known):
    app = Reader()
    client = connect(app)
    for _ in range(known):  # of a head that was seen before
        client.send(post(10) + b"helloworld")
    app.events.clear()
    client.send(post(10) + b"hello")
    assert app.events == [part(b"hello", True)]
    client.send(b"world")
    assert app.events == [part(b"hello", True), part(b"world", False)]
    assert client.statuses() == [200] * (known + 1)


@pytest.mark.parametrize("piece", [1, 7, 100])
@pytest.mark.parametrize("size", [10, 1000])
def test_the_body_is_whole_however_it_is_cut(connect, piece, size):
    app = Reader()
    content = bytes(range(250)) * 4
    client = connect(app, body_buffer=100)
    client.send(post(size) + content[:size] + post() + chunk(content[:size]) + LAST + NEXT, piece)
    assert b"".join(event["body"] for event in app.events) == content[:size] * 2
    assert [response.body for response in client.responses()] == [b"%d" % size] * 2 + [b"0"]


def test_both_sides_stream_at_the_same_time(connect):
    async def app(scope, receive, send):
        await send(start())
        more = True
        while more:
            event = await receive()
            more = event["more_body"]
            await send(body(event["body"].upper(), more))

    client = connect(app)
    client.send(post())
    for word in (b"one", b"two"):
        client.send(chunk(word))
        assert client.responses()[0].body.endswith(word.upper())
        assert not client.responses()[0].is_complete
    client.send(LAST + post(1) + b"x")
    assert [response.body for response in client.responses()] == [b"ONETWO", b"X"]
    assert not client.is_closed


def test_reading_stops_while_the_application_is_behind(connect):
    async def app(scope, receive, send):
        await asyncio.Event().wait()

    client = connect(app, body_buffer=10)
    client.send(post(100))
    for _ in range(10):
        client.send(b"0123456789")
    assert client.transport.is_paused
    client.leave()
    client.site.pass_time(10)


def test_a_message_consumer_gets_a_small_body_whole(make_site):
    echo = Echo()
    client = make_site(echo, body_buffer=5).connect()
    client.send(post(5))
    client.send(b"he")
    assert echo.messages == []
    client.send(b"llo")
    assert [(message["body"], message["body_channel"]) for message in echo.messages] == [(b"hello", None)]


# ---- Expect ----


def test_the_body_is_asked_for_when_it_is_received(connect):
    wants = asyncio.Event()

    async def app(scope, receive, send):
        await wants.wait()
        await Reader()(scope, receive, send)

    client = connect(app)
    client.send(post(5, EXPECT))
    assert client.take() == b""
    client.site.loop.call_soon(wants.set)
    client.site.settle()
    assert client.take() == CONTINUE
    client.send(b"hello")
    assert client.responses()[0].body == b"5"


def test_a_body_that_came_unasked_is_not_asked_for(connect):
    client = connect(Reader())
    client.send(post(5, EXPECT) + b"hello")
    assert client.statuses() == [200]


def test_a_client_that_waits_with_its_body_is_refused_without_it(connect):
    app = Early()
    client = connect(app)
    client.send(post(5, EXPECT))
    [response] = client.responses()
    assert (response.status, response.headers["connection"]) == (401, "close")  # it may send the body, or not
    assert app.events == [DISCONNECT]


# ---- a body that does not end ----


def test_an_application_learns_that_the_client_left_in_the_middle_of_its_body(connect):
    app = Reader()
    client = connect(app)
    client.send(post(10) + b"01234")
    client.leave()
    assert app.events == [part(b"01234", True), DISCONNECT]


def test_a_body_that_pauses_too_long_gets_408(connect):
    app = Reader()
    client = connect(app, body_timeout=10)
    client.send(post(10) + b"01234")
    client.site.pass_time(15)
    assert client.statuses() == [408]
    assert app.events == [part(b"01234", True), DISCONNECT]


def test_a_body_above_the_limit_gets_413_while_it_comes(connect):
    app = Reader()
    client = connect(app, request_body=8)
    client.send(post() + chunk(b"01234"))
    client.send(chunk(b"56789"))
    assert client.statuses() == [413]
    assert app.events == [part(b"01234", True), DISCONNECT]


def test_sending_to_a_client_that_left_in_its_body_raises(connect):
    errors = []

    async def app(scope, receive, send):
        while (await receive()) != DISCONNECT:
            pass
        try:
            await send(start())
            await send(body())
        except ChannelClosed as error:
            errors.append(error)

    client = connect(app)
    client.send(post(10))
    client.leave()
    assert len(errors) == 1
