"""The sockets of ASGI applications through the real connection code."""

import asyncio

import pytest
from socket_apps import ACCEPT, CLOSE, CONNECT, App, Stepped, body, left, received, serve, start, text
from sockets import TEXT, SocketClient, close_frame, frame

from uvicorn import mount
from uvicorn.errors import ReplyError, ServerStopping
from uvicorn.wire.limits import SocketLimits


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
