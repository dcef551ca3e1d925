"""How the sockets of ASGI applications end: who closes, who has left, and what still waits then."""

import asyncio

import pytest
from socket_apps import ACCEPT, CLOSE, CONNECT, App, Stepped, left, received, serve, text
from sockets import TEXT, close_frame, frame

from uvicorn import ChannelClosed
from uvicorn.wire.limits import SocketLimits


def test_a_client_that_has_left_is_told_by_receive_and_by_send(make_site):
    app = Stepped()
    site, client = serve(make_site, app)
    app.do(site, ACCEPT)
    client.leave()
    app.take(site)
    assert app.received[-2:] == [None, CONNECT]
    app.take(site)
    assert app.received[-1] == left(1006)
    app.steps.put_nowait(lambda: app.send(text("x")))
    site.settle()
    assert site.service.dispatcher.running.is_idle
    assert not site.log.take("error")


@pytest.mark.parametrize("event", [ACCEPT, CLOSE, text("x")])
def test_send_after_the_client_has_left_raises_an_os_error(make_site, event):
    app = App(*([] if event is ACCEPT else [ACCEPT]))
    site, client = serve(make_site, app)
    client.leave()
    with pytest.raises(ChannelClosed) as caught:
        site.loop.run_until_complete(app.send(event))
    assert isinstance(caught.value, OSError)


@pytest.mark.parametrize("closes", [True, False])
@pytest.mark.parametrize("was_behind", [True, False])
def test_receive_tells_before_acceptance_that_the_client_left_or_waited_too_long(make_site, closes, was_behind):
    app = App("receive")
    limits = SocketLimits(handshake_timeout=5)
    site, client = serve(make_site, app, sockets=limits)
    assert not app.is_over
    if was_behind:
        client.transport.protocol.pause_writing()
        client.transport.protocol.resume_writing()
    if closes:
        client.leave()
    else:
        for _ in range(8):
            site.pass_time(1)
        assert client.response.status == 504
    assert app.received == [CONNECT, left(1006)]
    assert site.service.dispatcher.running.is_idle


def test_an_acceptance_that_comes_while_the_worker_stops_is_followed_by_the_disconnect(make_site):
    app = Stepped()
    site, client = serve(make_site, app)
    app.take(site)
    site.service.begin_stopping()
    app.do(site, ACCEPT)
    assert client.response.status == 503
    app.take(site)
    assert app.received == [CONNECT, None, left(1006)]
    app.steps.put_nowait(None)
    site.settle()
    assert site.service.dispatcher.running.is_idle


def test_a_close_after_messages_that_wait_comes_after_them(make_site):
    app = Stepped()
    site, client = serve(make_site, app)
    app.do(site, ACCEPT)
    client.send(frame(TEXT, b"a"), frame(TEXT, b"b"), close_frame(1001, "caf\xe9".encode()))
    app.take(site, 4)
    assert app.received == [None, CONNECT, received("a"), received("b"), left(1001, "caf\xe9")]


def test_messages_that_wait_when_the_application_returns_are_let_go(make_site):
    app = Stepped()
    site, client = serve(make_site, app)
    app.do(site, ACCEPT)
    for number in range(3):
        client.text(str(number))
    app.steps.put_nowait(None)
    site.settle()
    assert client.close_code == 1000
    client.send(close_frame(1000))
    assert site.service.dispatcher.running.is_idle


def test_receive_raises_after_the_disconnect(make_site):
    app = App(ACCEPT)
    site, client = serve(make_site, app)
    client.leave()
    with pytest.raises(ChannelClosed):
        site.loop.run_until_complete(app.receive())


# ---- replies to what came just before the client's close frame ----


def stepped(make_site):
    """Return site, client and application: it has taken a message, and the client has closed."""
    app = Stepped()
    site, client = serve(make_site, app)
    app.do(site, ACCEPT)
    app.take(site)
    client.send(frame(TEXT, b"a"), close_frame(4001))
    app.take(site)
    assert app.received[-1] == received("a")
    assert client.frames == []
    return site, client, app


def test_the_close_frame_is_answered_when_the_application_asks_for_more(make_site):
    site, client, app = stepped(make_site)
    app.do(site, text("one"))
    app.do(site, text("two"))
    assert (client.texts, client.close_code) == (["one", "two"], None)
    app.take(site)
    assert (client.texts, client.close_code) == (["one", "two"], 4001)
    assert app.received[-1] == left(4001)
    assert client.is_closed


@pytest.mark.parametrize("ends", ["returns", "raises", "closes"])
def test_the_close_frame_is_answered_when_the_application_ends(make_site, ends):
    site, client, app = stepped(make_site)
    app.do(site, text("one"))
    if ends == "closes":
        app.do(site, CLOSE)
    else:
        app.steps.put_nowait(None if ends == "returns" else "no step")
        site.settle()
    assert (client.texts, client.close_code) == (["one"], 4001)
    assert client.is_closed
    assert len(site.log.take("error")) == (ends == "raises")


def test_the_close_frame_is_answered_at_once_if_the_application_waits_for_more(make_site):
    app = App("receive", ACCEPT)
    _, client = serve(make_site, app)
    client.text("a")
    client.send(close_frame(4001))
    assert client.close_code == 4001
    assert app.received == [CONNECT, received("a"), left(4001)]


def test_messages_that_wait_are_replied_to_before_the_answer(make_site):
    async def app(scope, receive, send):
        assert await receive() == CONNECT
        await send(ACCEPT)
        while "text" in (event := await receive()):
            await asyncio.sleep(0)
            await send(text(event["text"]))

    _, client = serve(make_site, app)
    client.send(*(frame(TEXT, b"%d" % number) for number in range(5)), close_frame(4001))
    assert (client.texts, client.close_code) == (list("01234"), 4001)


def test_an_application_that_goes_on_is_not_waited_for_longer_than_for_a_client(make_site):
    site, client, app = stepped(make_site)
    site.pass_time(9)
    assert client.close_code is None
    site.pass_time(3)
    assert client.close_code == 4001
    assert client.is_closed
    app.take(site)
    assert app.received[-1] == left(4001)


def test_a_stream_that_was_asked_for_long_ago_does_not_hold_up_the_answer(make_site):
    app = Stepped()
    site, client = serve(make_site, app)
    app.do(site, ACCEPT)
    client.text("subscribe")
    app.take(site, 2)
    site.pass_time(5)
    app.do(site, text("one"))
    client.send(close_frame(4001))
    assert (client.texts, client.close_code) == (["one"], 4001)
    assert client.is_closed


def test_an_application_learns_of_a_loss_while_its_answer_is_waited_for(make_site):
    site, client, app = stepped(make_site)
    client.leave()
    app.take(site)
    assert app.received[-1] == left(4001)
    app.steps.put_nowait(None)
    site.settle()
    assert site.service.dispatcher.running.is_idle
