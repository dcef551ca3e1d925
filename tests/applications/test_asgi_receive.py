"""What `receive` gives an ASGI application: its body, and then the end of its client or of its response."""

import asyncio

import pytest
from asgi_apps import App, body, serve, start

from uvicorn import ChannelClosed


def test_an_empty_body_is_received_once(make_site):
    app = App(start(), body(), receives=1)
    serve(make_site, app)
    assert app.received == [{"type": "http.request", "body": b"", "more_body": False}]


def test_a_body_that_is_here_is_received_whole(make_site):
    app = App(start(), body(), receives=1)
    serve(make_site, app, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
    assert app.received == [{"type": "http.request", "body": b"hello", "more_body": False}]


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_large_body_is_received_as_it_comes(make_site, framing):
    parts = []

    async def app(scope, receive, send):
        more = True
        while more:
            event = await receive()
            assert event["type"] == "http.request"
            parts.append(event["body"])
            more = event["more_body"]
        await send(start())
        await send(body(b"done"))

    content = bytes(range(256)) * 40
    if framing == "length":
        request = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content)
    else:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        request = head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)
    client = make_site(app, body_buffer=1000).connect()
    client.send(request, piece=700)
    assert client.statuses() == [200]
    assert b"".join(parts) == content
    assert len(parts) > 2


def test_after_the_body_comes_the_disconnect_when_the_client_leaves(make_site):
    app = App(receives=2)
    client = serve(make_site, app)
    assert len(app.received) == 1
    client.leave()
    assert app.received[1:] == [{"type": "http.disconnect"}]


def test_after_the_body_comes_the_disconnect_when_the_response_is_complete(make_site):
    received = []

    async def app(scope, receive, send):
        await receive()
        waiting = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        await send(start())
        await send(body(b"x", True))
        await asyncio.sleep(0)
        received.append(waiting.done())
        await send(body())
        received.append(await waiting)
        received.append(await receive())

    client = serve(make_site, app)
    assert client.statuses() == [200]
    assert received == [False, {"type": "http.disconnect"}, {"type": "http.disconnect"}]


def test_a_client_that_leaves_in_its_body_is_a_disconnect(make_site):
    app = App(receives=3)
    client = make_site(app, body_buffer=100).connect()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n" + bytes(200))
    client.leave()
    assert [event["type"] for event in app.received] == ["http.request", "http.disconnect", "http.disconnect"]


def test_sending_to_a_client_that_has_left_is_an_os_error(make_site):
    raised = []

    async def app(scope, receive, send):
        await receive()
        await receive()
        await send(start())
        try:
            await send(body(b"x"))
        except OSError as error:
            raised.append(error)
            raise

    serve(make_site, app).leave()
    assert isinstance(raised[0], ChannelClosed)
