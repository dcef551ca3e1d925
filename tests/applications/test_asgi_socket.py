"""The sockets of ASGI applications through the real connection code."""

import asyncio

import pytest
from sockets import TEXT, SocketClient, close_frame, frame

from uvicorn import ChannelClosed, mount
from uvicorn.errors import ReplyError, ServerStopping
from uvicorn.wire.limits import SocketLimits

ACCEPT = {"type": "websocket.accept"}
CLOSE = {"type": "websocket.close"}
CONNECT = {"type": "websocket.connect"}


def text(content):
    return {"type": "websocket.send", "text": content}


def received(content):
    return {"type": "websocket.receive", "text": content}


def left(code, reason=""):
    return {"type": "websocket.disconnect", "code": code, "reason": reason}


def start(status=401):
    return {"type": "websocket.http.response.start", "status": status, "headers": [(b"x-a", b"b")]}


def body(content, more=False):
    return {"type": "websocket.http.response.body", "body": content, "more_body": more}


class App:
    """Send `events`, then receive until the end; "receive" among them receives one at once; remember everything."""

    def __init__(self, *events):
        self.events = events
        self.received = []
        self.error = None
        self.is_over = False

    async def __call__(self, scope, receive, send):
        self.scope, self.receive, self.send = scope, receive, send
        try:
            for event in self.events:
                if event == "receive":
                    self.received.append(await receive())
                else:
                    await send(event)
            while not self.received or self.received[-1]["type"] != "websocket.disconnect":
                self.received.append(await receive())
        except BaseException as error:
            self.error = error
            raise
        finally:
            self.is_over = True


class Stepped(App):
    """Do what the test says, one step at a time, in the application's own task."""

    def __init__(self):
        super().__init__()
        self.steps = asyncio.Queue()

    async def __call__(self, scope, receive, send):
        self.receive, self.send = receive, send
        while True:
            step = await self.steps.get()
            if step is None:
                self.is_over = True
                return
            self.received.append(await step())

    def take(self, site, count=1):
        for _ in range(count):
            self.steps.put_nowait(self.receive)
            site.settle()

    def do(self, site, event):
        self.steps.put_nowait(lambda: self.send(event))
        site.settle()


def serve(make_site, app, *fields, path="/chat", **options):
    site = make_site(app, **options)
    return site, SocketClient(site, path, *fields)


def test_the_scope_has_what_the_handshake_says(make_site):
    app = App()
    serve(make_site, app, b"Sec-WebSocket-Protocol: one, two", path="/a%20b?x=1")
    headers = app.scope.pop("headers")
    assert (b"host", b"example.org") in headers
    assert (b"sec-websocket-protocol", b"one, two") in headers
    assert app.scope == {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.5"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": "/a b",
        "raw_path": b"/a%20b",
        "query_string": b"x=1",
        "root_path": "",
        "client": ("192.0.2.7", 50123),
        "server": ("192.0.2.1", 8000),
        "subprotocols": ["one", "two"],
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }


@pytest.mark.parametrize("root_path", ["", "/site"])
def test_the_path_below_a_mount_includes_the_root_path(make_site, root_path):
    app = App()
    serve(make_site, [mount("/api", app)], path="/api/x", root_path=root_path)
    assert (app.scope["root_path"], app.scope["path"]) == (f"{root_path}/api", f"{root_path}/api/x")


def test_an_application_gets_connect_messages_and_the_close_code(make_site):
    app = App("receive", ACCEPT, text("hi"), {"type": "websocket.send", "bytes": b"\0", "text": None})
    site, client = serve(make_site, app)
    assert client.is_open
    client.text("a")
    client.send(frame(2, b"\xff"), close_frame(4001, b"bye"))
    binary = {"type": "websocket.receive", "bytes": b"\xff"}
    assert app.received == [CONNECT, received("a"), binary, left(4001, "bye")]
    assert [found.payload for found in client.frames[:2]] == [b"hi", b"\0"]
    assert app.is_over
    assert site.service.dispatcher.running.is_idle


def test_acceptance_has_a_subprotocol_and_fields(make_site):
    accept = {**ACCEPT, "subprotocol": "two", "headers": [(b"x-a", b"b")]}
    _, client = serve(make_site, App(accept), b"Sec-WebSocket-Protocol: one, two")
    assert client.response.headers["sec-websocket-protocol"] == "two"
    assert client.response.headers["x-a"] == "b"


@pytest.mark.parametrize(
    ("event", "code", "reason"),
    [(CLOSE, 1000, b""), ({**CLOSE, "code": 1000, "reason": None}, 1000, b""),
     ({**CLOSE, "code": 4009, "reason": "full"}, 4009, b"full")],
)  # fmt: skip
def test_an_application_closes_with_its_code_and_reason(make_site, event, code, reason):
    app = App("receive", ACCEPT, event)
    _, client = serve(make_site, app)
    assert (client.close_code, client.frames[-1].payload[2:]) == (code, reason)
    client.send(close_frame(code))
    assert app.received == [CONNECT, left(code)]


def test_an_application_that_returns_closes_with_1000(make_site):
    async def app(scope, receive, send):
        await send(ACCEPT)

    site, client = serve(make_site, app)
    assert client.close_code == 1000
    client.text("late")
    client.leave()
    assert site.service.dispatcher.running.is_idle


def test_an_application_that_returns_without_accepting_refuses(make_site):
    async def app(scope, receive, send):
        await receive()

    site, client = serve(make_site, app)
    assert client.response.status == 403
    assert site.service.dispatcher.running.is_idle


def test_a_close_before_acceptance_refuses_and_is_followed_by_the_disconnect(make_site):
    app = App("receive", {**CLOSE, "code": 1008})
    _, client = serve(make_site, app)
    assert client.response.status == 403
    assert app.received == [CONNECT, left(1006)]


@pytest.mark.parametrize("bodies", [[body(b"no entry")], [body(b"no ", True), body(b"entry")]])
def test_a_socket_is_refused_with_a_response(make_site, bodies):
    app = App("receive", start(), *bodies)
    site, client = serve(make_site, app)
    response = client.response
    assert (response.status, response.body, response.headers["x-a"]) == (401, b"no entry", "b")
    assert app.received == [CONNECT, left(1006)]
    assert site.service.dispatcher.running.is_idle


@pytest.mark.parametrize(("event", "whole"), [(start(), True), (body(b"x", True), False)])
def test_a_refusal_that_is_not_complete_is_a_failure(make_site, event, whole):
    async def app(scope, receive, send):
        await send(start())
        if not whole:
            await send(event)

    site, client = serve(make_site, app)
    [line] = site.log.take("error")
    assert line.startswith("Error in test_asgi_socket.")
    assert client.is_closed
    assert client.transport.received.startswith(b"HTTP/1.1 500 " if whole else b"HTTP/1.1 401 ")


@pytest.mark.parametrize(("events", "status"), [([], 500), ([ACCEPT], 101)])
def test_an_application_that_raises_is_answered_500_or_closed_with_1011(make_site, events, status):
    async def app(scope, receive, send):
        for event in events:
            await send(event)
        raise LookupError("broken")

    site, client = serve(make_site, app)
    assert client.response.status == status
    if status == 101:
        assert client.close_code == 1011
    [line] = site.log.take("error")
    assert line.startswith("Error in test_asgi_socket.")
    client.leave()
    assert site.service.dispatcher.running.is_idle


@pytest.mark.parametrize(
    ("events", "said"),
    [([text("x")], "'websocket.send' before websocket.accept"),
     ([ACCEPT, ACCEPT], "'websocket.accept' after websocket.accept"),
     ([ACCEPT, start()], "'websocket.http.response.start' after websocket.accept"),
     ([body(b"")], "'websocket.http.response.body' before"),
     ([start(), ACCEPT], "'websocket.accept' in a response"),
     ([{"type": "websocket.http.response.start"}], "websocket.http.response.start needs a status"),
     ([ACCEPT, CLOSE, text("x")], "'websocket.send' after the socket was closed"),
     ([ACCEPT, CLOSE, CLOSE], "'websocket.close' after the socket was closed"),
     ([CLOSE, ACCEPT], "'websocket.accept' after the socket was closed or refused"),
     ([ACCEPT, {"type": "http.response.start"}], "cannot send 'http.response.start'"),
     ([ACCEPT, {"type": "websocket.send"}], "needs text, bytes or close"),
     ([ACCEPT, {"type": "websocket.send", "text": "a", "bytes": b"b"}], "not both"),
     ([{**ACCEPT, "subprotocol": "x"}], "was not offered")],
)  # fmt: skip
def test_what_is_out_of_order_raises_on_its_own_line(make_site, events, said):
    app = App(*events)
    site, _ = serve(make_site, app)
    assert isinstance(app.error, ReplyError)
    assert said in str(app.error)
    assert len(site.log.take("error")) == 1


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


def test_a_cancelled_receive_loses_nothing(make_site):
    app = Stepped()
    site, client = serve(make_site, app)
    app.do(site, ACCEPT)
    app.take(site)

    async def cancelled():
        task = asyncio.ensure_future(app.receive())
        await asyncio.sleep(0)
        client.transport.feed(frame(TEXT, b"a"))
        for _ in range(10):
            await asyncio.sleep(0)
            if task.done():
                break
            task.cancel()
        return task

    site.loop.run_until_complete(cancelled())
    client.text("b")
    seen = [site.loop.run_until_complete(app.receive()) for _ in range(2)]
    assert seen == [received("a"), received("b")]


def test_two_tasks_cannot_receive_at_once(make_site):
    app = App(ACCEPT)
    site, _ = serve(make_site, app)
    with pytest.raises(RuntimeError, match="another task"):
        site.loop.run_until_complete(app.receive())


def test_the_server_stops_reading_while_the_application_takes_nothing(make_site):
    app = Stepped()
    site, client = serve(make_site, app, sockets=SocketLimits(queue_size=4))
    app.do(site, ACCEPT)
    app.take(site)
    for number in range(20):
        client.text(str(number))
    assert client.transport.is_paused
    app.take(site, 20)
    assert app.received[2:] == [received(str(number)) for number in range(20)]
    assert not client.transport.is_paused


def test_send_waits_while_the_client_is_behind(make_site):
    app = Stepped()
    site, client = serve(make_site, app)
    app.do(site, ACCEPT)
    client.transport.is_stalled = True
    app.do(site, text("x" * 1_000_000))
    app.take(site)
    assert app.received == [None]
    client.transport.drain()
    site.settle()
    assert app.received == [None, None, CONNECT]


def test_a_worker_that_stops_waits_for_the_application_and_cancels_it_at_last(make_site):
    app = Stepped()
    site, client = serve(make_site, app)
    app.do(site, ACCEPT)
    site.service.begin_stopping()
    assert client.close_code == 1012
    client.send(close_frame(1012))
    assert not site.service.dispatcher.running.is_idle
    [(_, task)] = site.service.dispatcher.running.calls()
    site.abort_calls()
    site.settle()
    assert task.cancelled()
    assert site.service.dispatcher.running.is_idle


def test_an_abort_raises_server_stopping_in_send(make_site):
    app = App(ACCEPT)
    site, _ = serve(make_site, app)
    [socket] = site.service.sockets
    socket.abort()
    with pytest.raises(ServerStopping):
        site.loop.run_until_complete(app.send(text("x")))


def test_each_socket_has_a_task_of_its_own_with_a_fresh_context(make_site):
    seen = []

    async def app(scope, receive, send):
        seen.append(asyncio.current_task())
        await send(ACCEPT)
        await receive()
        await receive()

    site = make_site(app)
    clients = [SocketClient(site) for _ in range(2)]
    assert len({id(task) for task in seen}) == 2
    assert all("app" in task.get_name() for task in seen)
    for client in clients:
        client.leave()


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
