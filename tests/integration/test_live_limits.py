"""Slow clients: they are cut off, and the others are served."""

import contextlib
import threading

import pytest
from processes import eventually

POST = b"POST %s HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\n"


@contextlib.contextmanager
def dripping(raws, data=b"x", seconds=0.2):
    """Send a byte to each of them again and again, as long as the server takes it."""
    is_over = threading.Event()

    def drip():
        left = list(raws)
        while not is_over.wait(seconds):
            for raw in tuple(left):
                try:
                    raw.socket.send(data, 0x40)  # MSG_DONTWAIT
                except BlockingIOError:
                    pass
                except OSError:
                    left.remove(raw)

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@contextlib.contextmanager
def sipping(raws, seconds=0.2):
    """Read a byte from each of them again and again, as long as there are any."""
    is_over = threading.Event()

    def sip():
        while not is_over.wait(seconds):
            for raw in raws:
                with contextlib.suppress(OSError):
                    raw.socket.recv(1)

    thread = threading.Thread(target=sip, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@pytest.fixture
def many():
    """Close what a test has opened."""
    with contextlib.ExitStack() as stack:
        yield lambda raws: [stack.enter_context(raw) for raw in raws]


@pytest.mark.slow
def test_dripping_uploads_get_408_when_their_grace_is_over(serve, many):
    server = serve("--min-rate-grace", "1")

    raws = many(server.raw() for _ in range(10))
    for raw in raws:
        raw.send(POST % b"/sync/echo")
    with dripping(raws):
        assert {raw.receive().partition(b"\r\n")[0] for raw in raws} == {b"HTTP/1.1 408 Request Timeout"}


@pytest.mark.slow
def test_drip_readers_of_a_synchronous_stream_do_not_hold_the_pool(serve, many):
    server = serve("--threads", "8", "--min-rate-grace", "1")

    raws = many(server.raw(receive_buffer=4096) for _ in range(8))
    for raw in raws:
        raw.get("/sync/stream?chunks=10000")
    with sipping(raws):
        assert server.get("/sync/hello").status_code == 200  # it waits for a thread
        eventually(lambda: server.state()["calls"].get("sync stream: ChannelClosed") == 8, "all threads to be free")
    for raw in raws:
        with pytest.raises(ConnectionResetError):  # and the system keeps nothing for it
            raw.receive()
    assert "Traceback" not in server.log()


@pytest.mark.slow
def test_a_request_past_request_timeout_is_ended(serve):
    server = serve("--request-timeout", "1", "--reply-timeout", "0")

    assert server.get("/async/never-return").status_code == 504
    server.wait_for_log("A request took more than 1 seconds (request_timeout)")
