"""Sockets of real clients that nobody here wrote, against real workers."""

import asyncio
import contextlib
import json
import os
import signal
import ssl

import aiohttp
import pytest
from browsers import browsing, needs_browser
from certificates import Files
from processes import NEVER, PATIENCE, PATIENT_MASTER, SHORT_DRAIN, eventually
from tls_sockets import TLSSocket
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect, unix_connect

APP = "socket_consumers:routes"
SIDES = ("sync", "async")


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("--threads", "4", app=APP)


def url_of(server, path):
    return server.url.replace("http", "ws", 1) + path


def opened(server, path, **options):
    return connect(url_of(server, path), open_timeout=PATIENCE, close_timeout=PATIENCE, proxy=None, **options)


MESSAGES = ["hello", "", "caf\xe9 \U0001f600", b"", b"\0\xff", "x" * 300_000, os.urandom(1 << 20)]


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("compression", ["deflate", None])
def test_messages_come_back_to_the_client_of_websockets(server, side, compression):
    with opened(server, f"/{side}/echo", compression=compression, max_size=None) as socket:
        for message in MESSAGES:
            socket.send(message)
            assert socket.recv(PATIENCE) == message
        socket.send(iter(["frag", "ments"]))
        assert socket.recv(PATIENCE) == "fragments"
        assert socket.ping().wait(PATIENCE)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("compress", [0, 15])
def test_messages_come_back_to_the_client_of_aiohttp(server, side, compress):
    async def talk():
        async with aiohttp.ClientSession() as session:
            url = url_of(server, f"/{side}/echo")
            patience = aiohttp.ClientWSTimeout(ws_close=PATIENCE)  # else it is ten seconds, and then 1006
            async with session.ws_connect(
                url, timeout=patience, compress=compress, protocols=["one", "two"], max_msg_size=0
            ) as socket:
                assert socket.protocol == "two"
                assert bool(socket.compress) == bool(compress)
                for message in MESSAGES:
                    await (socket.send_str(message) if isinstance(message, str) else socket.send_bytes(message))
                    assert (await socket.receive(PATIENCE)).data == message
                await socket.close(code=4002)
                assert socket.close_code == 4002

    asyncio.run(talk())
    eventually(lambda: ["websocket.disconnect", f"/{side}/echo", 4002] in server.state()["events"], "the disconnect")


@pytest.mark.parametrize("side", SIDES)
def test_a_request_reaches_a_socket_that_was_kept(server, side):
    with opened(server, f"/{side}/echo?kept") as socket:
        socket.send("x")
        assert socket.recv(PATIENCE) == "x"
        assert server.get(f"/push?/{side}/echo").content == b"done"
        assert socket.recv(PATIENCE) == "pushed"


def test_a_site_of_requests_refuses_a_socket_with_its_answer(server):
    with pytest.raises(InvalidStatus) as caught, opened(server, "/nothing-here"):
        pass
    assert caught.value.response.status_code == 403


def test_ten_thousand_sends_from_twenty_threads_arrive_whole_and_in_order(server):
    with opened(server, "/sync/from-threads", max_queue=None) as socket:
        socket.send("20 10000")
        seen = [0] * 20
        for _ in range(200_000):
            thread, number = map(int, socket.recv(PATIENCE).split())
            assert number == seen[thread]
            seen[thread] += 1
    assert seen == [10_000] * 20


def test_many_sockets_share_few_threads(server):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(opened(server, "/sync/echo")) for _ in range(50)]
        for number in range(10):
            for socket in sockets:
                socket.send(str(number))
        assert [[socket.recv(PATIENCE) for _ in range(10)] for socket in sockets] == [list("0123456789")] * 50
        # The threads of a consumer of another test may be about to end.
        eventually(lambda: server.state()["threads"] < 20, "few threads")


def test_a_client_that_does_not_read_blocks_its_thread_and_is_closed_with_1013(serve):
    server = serve("--threads", "1", "--write-timeout", "1", "--websocket-close-timeout", "1", app=APP)
    with server.raw(receive_buffer=4096) as client:
        client.get(
            "/sync/flood",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        )
        client.receive(until=b"\r\n\r\n")
        client.send(b"\x81\x82\0\0\0\0go")
        ended = ["flood ended", "/sync/flood", 1013]
        eventually(lambda: ended in server.state()["events"], "the end of the socket")
    [flood] = [event for event in server.state()["events"] if event[0] == "flood"]
    assert flood[1] < 200  # of 64 KiB: what the system's buffers take, and ours
    assert flood[2] == "ChannelClosed"


@pytest.mark.parametrize("side", SIDES)
def test_sockets_over_tls_are_told_to_be_wss(serve, tmp_path, side):
    files = Files(tmp_path)
    server = serve(*files.args(), "--threads", "2", app=APP)
    url = server.url.replace("https", "wss", 1) + f"/{side}/echo"
    context = files.context()
    assert isinstance(context, ssl.SSLContext)
    with TLSSocket(url, context) as socket:
        for message in MESSAGES:
            socket.send(message)
            assert socket.recv(PATIENCE) == message


def test_sockets_over_a_unix_socket(serve, tmp_path):
    path = tmp_path / "s"
    serve(binds=[f"unix:{path}"], app=APP)
    with unix_connect(str(path), "ws://localhost/async/echo", open_timeout=PATIENCE) as socket:
        socket.send("hello")
        assert socket.recv(PATIENCE) == "hello"


@pytest.mark.parametrize("side", SIDES)
def test_a_worker_that_stops_closes_with_1012_and_lets_disconnect_run(serve, side):
    server = serve(app=APP)
    with opened(server, f"/{side}/slow-end") as socket:
        server.signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(PATIENCE)
        assert caught.value.rcvd.code == 1012
    assert server.wait() == 0
    assert f"end of /{side}/slow-end with 1012" in server.log()


def test_a_client_that_ignores_the_close_does_not_hold_a_worker_that_stops(serve):
    server = serve("--websocket-close-timeout", str(NEVER), app=APP, config=SHORT_DRAIN)
    with server.raw() as client:
        client.get(
            "/async/slow-end",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        )
        client.receive(until=b"\r\n\r\n")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert b"\x03\xf4service restart" in client.receive()


def test_a_consumer_that_blocks_the_loop_is_named_when_its_worker_is_aborted(serve):
    server = serve("--timeout", "2", app=APP, config=PATIENT_MASTER)
    with opened(server, "/async/block-the-loop") as socket:
        socket.send("x")
        server.wait_for_log("the loop is blocked")
        (server.folder / "may-abort").touch()
        log = server.wait_for_log("Worker aborted")
    line = "websocket.receive /async/block-the-loop in socket_consumers.block_the_loop (loop) for "
    assert line in log or line in server.wait_for_log(line)


# ---- a browser ----


@needs_browser
def test_a_page_in_a_browser_talks_to_both_kinds(serve, tmp_path):
    server = serve("--threads", "2", app=APP)
    with browsing(f"{server.url}/page", tmp_path / "profile"):
        [report] = eventually(lambda: server.state()["reports"], "a report of the browser")
    assert [result[:2] + result[3:] for result in json.loads(report)] == [
        [f"/{side}/echo", "two", ["hello", True, "0,255"], 4321, True] for side in ("async", "sync")
    ]
    assert "permessage-deflate" in report
