"""WebSocket over HTTP/2 (RFC 8441): the consumer of a socket sees no difference, with either engine."""

from __future__ import annotations

from contextlib import suppress

import pytest
from h2_clients import connect
from websockets.frames import Frame, Opcode

from uvicorn import ChannelClosed, ChannelFull, route

SOCKET = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", "example.org")]


class SocketClient:
    """A socket on one stream."""

    def __init__(self, client, path="/chat", headers=(("sec-websocket-version", "13"),)):
        self.client = client
        self.stream = client.h2.get_next_available_stream_id()
        client.h2.send_headers(self.stream, [*SOCKET, (":path", path), *headers])
        client.flush()

    @property
    def answer(self):
        return self.client.answers[self.stream]

    def send(self, text):
        self.raw(Frame(Opcode.TEXT, text.encode()).serialize(mask=True))

    def close(self, code=1000):
        self.raw(Frame(Opcode.CLOSE, code.to_bytes(2, "big")).serialize(mask=True))

    def raw(self, data, ends=False):
        self.client.data(self.stream, data, ends)
        self.client.site.settle()
        self.client.flush()


class Silent:
    """Accept no socket until told."""

    def __init__(self):
        self.messages = []

    async def __call__(self, message):
        self.messages.append(message)


class Chat:
    """Accept every socket, answer each message with itself, and remember what came."""

    def __init__(self):
        self.messages = []

    async def connected(self, message):
        self.messages.append(message)
        message["reply_channel"].send({"accept": True})

    async def received(self, message):
        self.messages.append(message)
        if message["text"] == "bye":
            message["reply_channel"].send({"close": 4000})
        else:
            await message["reply_channel"].send(
                {"text": message["text"] * (10_000 if message["text"] == "much" else 1)}
            )

    async def left(self, message):
        self.messages.append(message)

    @property
    def routes(self):
        return [
            route("websocket.connect", self.connected),
            route("websocket.receive", self.received),
            route("websocket.disconnect", self.left),
        ]


@pytest.fixture
def chat():
    return Chat()


def test_a_socket_is_accepted_with_200_and_echoes(make_http2, chat):
    client = connect(make_http2(chat.routes))
    socket = SocketClient(client)
    assert (socket.answer.status, socket.answer.is_complete) == (200, False)
    assert "sec-websocket-accept" not in socket.answer.headers
    connected = chat.messages[0]
    assert (connected["scheme"], connected["path"], connected["http_version"]) == ("ws", "/chat", "2")
    socket.send("hello")
    assert socket.answer.body == b"\x81\x05hello"
    socket.close()
    assert socket.answer.is_complete
    assert chat.messages[-1]["code"] == 1000
    assert not client.site.service.sockets
    assert client.transport.is_lost is False


def test_many_sockets_and_requests_share_a_connection(make_http2, chat):
    async def hello(message):
        message["reply_channel"].send({"status": 200, "content": b"hello"})

    client = connect(make_http2([*chat.routes, route("http.request", hello)]))
    sockets = [SocketClient(client) for _ in range(5)]
    for number, socket in enumerate(sockets):
        socket.send(str(number))
    assert client.get().body == b"hello"
    assert [socket.answer.body for socket in sockets] == [b"\x81\x01%d" % number for number in range(5)]


def test_the_server_closes_a_socket(make_http2, chat):
    client = connect(make_http2(chat.routes))
    socket = SocketClient(client)
    socket.send("bye")
    assert socket.answer.body == b"\x88\x02\x0f\xa0"
    socket.close(4000)
    assert socket.answer.is_complete
    assert [message["channel"] for message in chat.messages][-1] == "websocket.disconnect"


def test_a_client_that_resets_its_stream_has_left(make_http2, chat):
    client = connect(make_http2(chat.routes))
    socket = SocketClient(client)
    client.reset(socket.stream)
    client.site.settle()
    assert chat.messages[-1]["code"] == 1006
    assert not client.site.service.sockets


def test_a_socket_that_is_refused_is_403_and_the_connection_goes_on(make_http2):
    async def refuse(message):
        message["reply_channel"].send({"close": True})

    client = connect(make_http2([route("websocket.connect", refuse)]))
    socket = SocketClient(client)
    client.site.settle()
    client.flush()
    assert (socket.answer.status, socket.answer.is_complete) == (403, True)
    assert client.get().status == 404
    assert not client.site.service.sockets


@pytest.mark.parametrize(("headers", "status"), [((), 426), ((("sec-websocket-version", "12"),), 426)])
def test_another_version_is_refused_as_over_http11(make_http2, chat, headers, status):
    client = connect(make_http2(chat.routes))
    socket = SocketClient(client, headers=headers)
    assert socket.answer.status in (400, status)
    assert chat.messages == []


def test_without_a_route_a_socket_is_403(make_http2):
    client = connect(make_http2([route("http.request", Chat().left)]))
    assert SocketClient(client).answer.status == 403


def test_the_windows_of_a_socket_hold_back_its_sender_and_its_client(make_http2, chat):
    client = connect(make_http2(chat.routes, write_buffer=10_000), is_automatic=False)
    socket = SocketClient(client)
    for _ in range(5):
        socket.send("much")
    assert len(socket.answer.body) == 65_535
    client.h2.increment_flow_control_window(1 << 20)
    client.h2.increment_flow_control_window(1 << 20, socket.stream)
    client.flush()
    client.site.settle()
    client.flush()
    assert socket.answer.body == (b"\x81\x7e" + (40_000).to_bytes(2, "big") + b"much" * 10_000) * 5


def test_a_stopping_worker_closes_sockets_with_1012_and_then_the_connection(make_http2, chat):
    client = connect(make_http2(chat.routes))
    socket = SocketClient(client)
    client.site.service.begin_stopping()
    client.site.settle()
    datas = [frame for frame in client.frames() if type(frame).__name__ == "DataFrame"]
    assert datas[0].data[:4] == b"\x88\x11\x03\xf4"
    close = Frame(Opcode.CLOSE, (1012).to_bytes(2, "big")).serialize(mask=True)
    client.raw(len(close).to_bytes(3, "big") + b"\0\1" + socket.stream.to_bytes(4, "big") + close)
    client.site.pass_time(3)
    assert client.transport.is_eof_written or client.is_closed
    assert chat.messages[-1]["channel"] == "websocket.disconnect"


def test_a_lost_connection_ends_all_its_sockets(make_http2, chat):
    client = connect(make_http2(chat.routes))
    SocketClient(client)
    SocketClient(client)
    client.leave()
    client.site.settle()
    assert [message["channel"] for message in chat.messages].count("websocket.disconnect") == 2


def test_sockets_that_never_await_share_the_bound_of_their_connection(make_http2):
    sent = []

    async def pour(message):
        send = message["reply_channel"].send
        if message["channel"] == "websocket.connect":
            send({"accept": True})
            return
        at = len(sent)
        sent.append(0)
        with suppress(ChannelFull):
            for _ in range(9999):
                send({"bytes": b"x" * 1000})
                sent[at] += 1000

    routes = [route("websocket.connect", pour), route("websocket.receive", pour)]
    client = connect(make_http2(routes, write_buffer=1000, numbers={"streams": 20}), is_automatic=False)
    sockets = [SocketClient(client) for _ in range(10)]
    for socket in sockets:
        socket.send("pour")
    assert len(sent) == 10
    most = 256 * 1000
    assert sum(sent) <= 65_535 + most + 10 * (most // 20 + 2000)
    assert min(sent) >= most // 20


def test_a_client_that_ends_its_side_before_the_socket_is_accepted_is_reset_and_gets_no_content(make_http2):
    silent = Silent()
    client = connect(make_http2([route("websocket.connect", silent)]))
    socket = SocketClient(client)
    socket.raw(b"", ends=True)
    assert socket.answer.reset is not None
    assert (socket.answer.status, socket.answer.body) == (0, b"")
    with suppress(ChannelClosed):
        silent.messages[0]["reply_channel"].send({"accept": True})
    client.site.settle()
    client.flush()
    assert socket.answer.status == 0
