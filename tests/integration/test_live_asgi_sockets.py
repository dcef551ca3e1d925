"""Sockets of FastAPI and Starlette, with the client of websockets, against real workers."""

import json
import os
import signal

import pytest
from processes import PATIENCE, SHORT_DRAIN, eventually
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

MESSAGES = ["hello", "", "caf\xe9 \U0001f600", b"", b"\0\xff", "x" * 300_000, os.urandom(1 << 20)]


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module(app="live_asgi_sockets:routes")


def opened(server, path, **options):
    url = server.url.replace("http", "ws", 1) + path
    return connect(url, open_timeout=PATIENCE, close_timeout=PATIENCE, proxy=None, max_size=None, **options)


def events_of(server):
    with server.client() as client:
        return client.get("/state").json()["events"]


def close_of(socket):
    """Return code and reason of the server's close frame."""
    with pytest.raises(ConnectionClosed) as caught:
        socket.recv(PATIENCE)
    return caught.value.rcvd.code, caught.value.rcvd.reason


def test_text_bytes_a_subprotocol_and_the_close_code_of_the_client(server):
    with opened(server, "/echo", subprotocols=["one", "two"]) as socket:
        assert socket.subprotocol == "two"
        assert socket.response.headers["x-a"] == "b"
        for message in MESSAGES:
            socket.send(message)
            assert socket.recv(PATIENCE) == message
        socket.close(4001, "done")
    eventually(lambda: ["disconnect", 4001, "done"] in events_of(server), "the disconnect")


def test_a_thousand_messages_come_back_in_order(server):
    with opened(server, "/echo", max_queue=None) as socket:
        for number in range(1000):
            socket.send(str(number))
        assert [socket.recv(PATIENCE) for _ in range(1000)] == [str(number) for number in range(1000)]


def test_the_application_closes_with_code_and_reason(server):
    with opened(server, "/push/3") as socket:
        assert [socket.recv(PATIENCE).split()[0] for _ in range(3)] == ["0", "1", "2"]
        assert close_of(socket) == (4005, "all")


@pytest.mark.parametrize(
    ("path", "status", "body"), [("/denied", 401, b'{"detail":"who are you?"}'), ("/refused", 403, None),
                                 ("/broken/before", 500, None), ("/no-such-socket", 403, None)],
)  # fmt: skip
def test_a_socket_is_refused(server, path, status, body):
    with pytest.raises(InvalidStatus) as caught, opened(server, path):
        pass
    assert caught.value.response.status_code == status
    assert body in (None, caught.value.response.body)


def test_an_application_that_raises_closes_with_1011_and_is_logged(server):
    with opened(server, "/broken/after") as socket:
        assert close_of(socket)[0] == 1011
    server.wait_for_log("LookupError: as the test wants")


def test_a_client_that_vanishes_ends_a_stream_that_waits_for_it(server):
    with server.raw(receive_buffer=4096) as client:
        client.get(
            "/push/1000000",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        )
        client.receive(until=b"\r\n\r\n")
        assert not any(event[0] == "push was cut" for event in events_of(server))
        client.reset()
    [cut] = eventually(lambda: [event for event in events_of(server) if event[0] == "push was cut"], "the cut")
    assert cut[1] < 100_000  # of 1 KB: what the system's buffers take, and ours


def test_requests_and_sockets_of_a_mounted_application_know_their_prefix(server):
    with server.client() as client:
        assert client.get("/star/where").json() == ["/star", "/star/where"]
    with opened(server, "/star/socket") as socket:
        assert json.loads(socket.recv(PATIENCE)) == ["/star", "/star/socket", "star/socket"]
        assert close_of(socket) == (1000, "")


def test_a_worker_that_stops_closes_with_1012_and_lets_the_application_end(serve):
    server = serve(app="live_asgi_sockets:fast")
    with opened(server, "/echo") as socket:
        server.signal(signal.SIGTERM)
        assert close_of(socket)[0] == 1012
    assert server.wait() == 0
    assert "Still running" not in server.log()


def test_a_worker_that_stops_cancels_an_application_that_does_not_end(serve):
    server = serve(app="live_asgi_sockets:fast", config=SHORT_DRAIN)
    with opened(server, "/deaf") as socket:
        server.signal(signal.SIGTERM)
        assert close_of(socket)[0] == 1012
    assert server.wait() == 0
    assert "Still running" in server.log()
    assert "deaf was cancelled" in server.log()
