"""What is on its way when a worker is asked to leave, by TERM or by HUP, arrives."""

import os
import signal
import ssl

import pytest
from certificates import Files
from processes import eventually

SIGNALS = {"term": signal.SIGTERM, "hup": signal.SIGHUP}
PIECE = bytes(range(256)) * 256  # as live_consumers.PIECE


@pytest.fixture
def server(serve):
    return serve("--threads", "2", "--queue-size", "100")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return Files(tmp_path_factory.mktemp("certificates"))


def ask_to_leave(server, name):
    server.signal(SIGNALS[name])
    server.wait_for_log("Worker stopping")


@pytest.fixture(params=SIGNALS)
def leave(request):
    return lambda server: ask_to_leave(server, request.param)


@pytest.mark.parametrize("path", ["/sync/digest", "/sync/digest-as-it-comes", "/async/digest", "/sync/echo"])
def test_an_upload_that_has_begun_is_taken_to_its_end(server, leave, path):
    with server.raw() as raw:
        raw.send(f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: 300000\r\n\r\n".encode(), b"x" * 200_000)
        eventually(lambda: server.state()["objects"]["RequestBody"], "the body to come in")
        leave(server)
        answer = raw.send(b"x" * 100_000).receive()

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert b"connection: close" in head
    assert body.startswith(b"[300000, ") or len(body) == 300_000


def test_a_head_that_has_begun_is_taken_to_its_end(server, leave):
    with server.raw() as raw:
        raw.send(b"GET /sync/hello HTTP/1.1\r\n")
        eventually(lambda: server.state()["objects"]["HTTPConnection"] > 1, "the connection")
        leave(server)
        assert raw.send(b"Host: test\r\n\r\n").receive().endswith(b"hello from a thread")


@pytest.mark.parametrize("side", ["sync", "async"])
def test_a_stream_that_has_begun_is_sent_to_its_end(server, leave, side):
    with server.raw(receive_buffer=4096) as raw:
        raw.get(f"/{side}/stream?chunks=60&length=1")
        begun = raw.receive(size=1000)
        leave(server)
        answer = begun + raw.receive()

    assert answer.partition(b"\r\n\r\n")[2] == PIECE * 60


def test_an_answer_that_waits_for_a_slow_reader_is_sent_to_its_end(server, leave):
    with server.raw(receive_buffer=4096) as raw:
        raw.send(b"POST /async/echo HTTP/1.1\r\nHost: test\r\nContent-Length: 3000000\r\n\r\n", b"x" * 3_000_000)
        begun = raw.receive(size=1000)
        leave(server)
        answer = begun + raw.receive()

    assert answer.partition(b"\r\n\r\n")[2] == b"x" * 3_000_000


def test_every_pipelined_request_that_was_received_is_answered(server, leave):
    paths = ["sync/hold?name=first", *(f"{'sync' if number % 2 else 'async'}/hello?{number}" for number in range(40))]
    with server.raw() as raw, server.raw() as releasing:
        # At once: while 16 are in flight nothing is read, and what comes later may not have been received.
        raw.send(*(f"GET /{path} HTTP/1.1\r\nHost: test\r\n\r\n".encode() for path in paths))
        releasing.send(b"GET /release?name=first HTTP/1.1\r\n")  # it has begun: an idle connection may be closed
        eventually(lambda: server.state()["holding"], "the first to run")
        leave(server)
        releasing.send(b"Host: test\r\n\r\n")
        answer = raw.receive()

    assert answer.count(b"HTTP/1.1 200 OK") == 41
    assert answer.count(b"hello from the loop") == answer.count(b"hello from a thread") == 20
    assert answer.count(b"connection: close") == 1


@pytest.mark.parametrize("path", ["/sync/later", "/async/later"])
def test_a_reply_after_the_consumer_has_returned_is_waited_for(server, leave, path):
    with server.raw() as raw:
        raw.get(path)
        leave(server)
        assert b"later, from" in raw.receive()


@pytest.mark.slow
def test_idle_connections_do_not_hold_a_worker_up(server):
    idle = [server.raw() for _ in range(10)]
    try:
        for raw in idle[:5]:
            raw.get("/async/hello").receive(until=b"loop")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0  # long before graceful_timeout
        assert all(raw.is_closed() for raw in idle)
    finally:
        for raw in idle:
            raw.socket.close()


@pytest.mark.parametrize("count", [1, 30])
def test_connections_that_the_kernel_has_accepted_are_answered(server, leave, count):
    """The worker is stopped, so that connections, requests and the signal come to it all at once."""
    pid = server.worker()
    os.kill(pid, signal.SIGSTOP)
    raws = [server.raw().get("/sync/hello") for _ in range(count)]
    try:
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGCONT)
        leave(server)
        answers = [raw.receive() for raw in raws]
    finally:
        for raw in raws:
            raw.socket.close()

    assert [answer[:15] for answer in answers] == [b"HTTP/1.1 200 OK"] * count


def test_a_tls_handshake_that_has_begun_is_taken_to_its_request(serve, files, leave):
    server = serve(*files.args())
    coming, going = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = files.context().wrap_bio(coming, going, server_hostname="localhost")
    with server.raw() as raw:
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        raw.send(going.read())
        coming.write(raw.socket.recv(65536))  # the server is in the middle of it
        leave(server)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                coming.write(raw.socket.recv(65536))
        tls.write(b"GET /sync/hello HTTP/1.1\r\nHost: test\r\n\r\n")
        raw.send(going.read())
        coming.write(raw.receive())

    assert tls.read(65536).startswith(b"HTTP/1.1 200 OK")


FORGETFUL = """
import asyncio

left = set()

async def forever(is_stubborn):
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            if not is_stubborn:
                raise

async def failing():
    try:
        await asyncio.sleep(1000)
    finally:
        raise RuntimeError("failed at the end")

def app(message):
    from uvicorn.bridge import run_on_loop
    run_on_loop(begin())
    message["reply_channel"].send({"status": 200, "content": b"begun"})

async def begin():
    for coroutine in (forever(False), forever(True), failing()):
        left.add(asyncio.create_task(coroutine))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_tasks_that_the_application_leaves_behind_are_cancelled_and_not_destroyed(serve, tmp_path, number):
    (tmp_path / "forgetful.py").write_text(FORGETFUL)
    server = serve("--pythonpath", str(tmp_path), app="forgetful:app")
    assert server.get("/").text == "begun"
    server.signal(number)
    assert server.wait() == 0
    log = server.log()
    assert "Leaving without waiting for a task that was cancelled" in log
    assert "RuntimeError: failed at the end" in log
    assert "destroyed" not in log
