"""Clients and consumers that are too slow, and those that are slow and served all the same.

Deadlines that are to run out are short, on one server. Those that must not are far from running out, on another.
"""

import threading
import time
from itertools import pairwise

import pytest
from processes import eventually

LONG_SECONDS = 2.0  # for a step that takes half a second, and less than the deadlines that are not to run out

PARTS = {
    "nothing": b"",
    "a letter": b"G",
    "a line": b"GET /sync/hello HTTP/1.1\r\n",
    "almost all": b"GET /sync/hello HTTP/1.1\r\nHost: test\r\n",
}
BODY = b"POST %s HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"POST %s HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"

SLOW_BODIES = {
    "small, sync": BODY % (b"/sync/echo", 10) + b"x",
    "small, async": BODY % (b"/async/echo", 10) + b"x",
    "large, sync": BODY % (b"/sync/digest", 1_000_000) + b"x" * 100_000,
    "large, async": BODY % (b"/async/digest", 1_000_000) + b"x" * 100_000,
    "large, sync as it comes": BODY % (b"/sync/digest-as-it-comes", 1_000_000) + b"x" * 100_000,
    "chunked": CHUNKED % b"/sync/echo" + b"5\r\nhel",
}


@pytest.fixture(scope="module")
def server(serve_module):
    server = serve_module(
        "--header-timeout",
        "1",
        "--body-timeout",
        "1",
        "--reply-timeout",
        "1",
        "--write-timeout",
        "1",
        "--keep-alive",
        "1",
        "--threads",
        "4",
        "--asgi-disconnect-grace-period",
        "0",
    )
    yield server
    server.get("/release?name=silent")


@pytest.fixture(scope="module")
def patient(serve_module):
    """A server for what takes longer than one of its deadlines as a whole, and never as long in between."""
    return serve_module(
        "--header-timeout",
        "4",
        "--body-timeout",
        "4",
        "--write-timeout",
        "4",
        "--keep-alive",
        "4",
        "--threads",
        "4",
    )


@pytest.fixture(scope="module")
def slow_heads(server):
    """Wait for all of them at once."""
    raws = {name: server.raw().send(part) for name, part in PARTS.items()}
    yield {name: raw.receive() for name, raw in raws.items()}
    for raw in raws.values():
        raw.socket.close()


@pytest.mark.parametrize("part", [name for name in PARTS if name != "nothing"])
def test_a_head_that_takes_too_long_gets_408(slow_heads, part):
    assert slow_heads[part].startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"connection: close" in slow_heads[part]


def test_a_connection_without_a_request_is_closed_without_a_word(slow_heads):
    assert slow_heads["nothing"] == b""


@pytest.fixture(scope="module")
def slow_bodies(server):
    raws = {name: server.raw().send(part) for name, part in SLOW_BODIES.items()}
    yield {name: raw.receive() for name, raw in raws.items()}
    for raw in raws.values():
        raw.socket.close()


@pytest.mark.parametrize("name", SLOW_BODIES)
def test_a_body_that_stands_still_gets_408(slow_bodies, name):
    assert slow_bodies[name].startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert slow_bodies[name].count(b"HTTP/1.1") == 1


@pytest.mark.slow
@pytest.mark.parametrize("side", ["sync", "async"])
def test_an_idle_connection_is_closed_after_keepalive(server, side):
    with server.raw() as raw:
        raw.get(f"/{side}/hello").receive(size=100)
        assert raw.receive().endswith((b"thread", b"loop"))  # and then the end


def unless_it_stood_still(attempt):
    """Do something in short steps; once more if it failed and a step was long.

    A machine that is slow, or a process that stood still, lets the deadlines of a client run out, and rightly.

    Args:
        attempt: called with a function, which it calls after each step.
    """

    def has_succeeded():
        times = [time.monotonic()]
        try:
            attempt(lambda: times.append(time.monotonic()))
        except (AssertionError, OSError):
            times.append(time.monotonic())
            if max(after - before for before, after in pairwise(times)) < LONG_SECONDS:
                raise
            return False
        return True

    eventually(has_succeeded, "a try without a long step")


@pytest.mark.slow
def test_a_connection_that_is_used_is_kept(patient):
    def use(step):
        with patient.raw() as raw:
            for _ in range(10):  # 5 seconds, longer than keepalive
                assert raw.get("/sync/slow?seconds=0.5").receive(until=b"thread").endswith(b"slept in a thread")
                step()

    unless_it_stood_still(use)


@pytest.mark.slow
def test_a_request_that_runs_longer_than_the_client_timeouts_is_answered(patient):
    with patient.raw() as raw:
        answer = raw.get("/async/slow?seconds=5", "Connection: close").receive()

    assert answer.endswith(b"slept on the loop")


@pytest.mark.parametrize("path", ["/async/never-return", "/async/keep", "/sync/hold?name=silent"])
def test_a_consumer_that_stays_silent_is_cut_with_504(server, path):
    with server.raw() as raw:
        answer = raw.get(path).receive()

    assert answer.startswith(b"HTTP/1.1 504 Gateway Timeout\r\n")
    server.wait_for_log("was silent for 1 seconds (reply_timeout)")


@pytest.mark.slow
def test_a_client_that_takes_nothing_is_cut_and_its_thread_is_free(server):
    with server.raw(receive_buffer=4096) as raw:
        raw.get("/sync/stream?chunks=100000")
        eventually(lambda: server.state()["calls"].get("sync stream: ChannelClosed"), "the thread to be released")
        with pytest.raises(ConnectionResetError):  # and the system keeps nothing for it
            raw.receive()


def test_other_requests_are_served_all_the_while(server):
    raws = [server.raw().send(part) for part in (*PARTS.values(), *SLOW_BODIES.values())]
    try:
        assert server.get("/sync/hello").status_code == 200
        assert server.get("/async/hello").status_code == 200
    finally:
        for raw in raws:
            raw.socket.close()


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/async/digest", "/sync/digest-as-it-comes", "/sync/digest"])
def test_an_upload_that_takes_longer_than_its_deadlines_is_read_to_its_end(serve, path):
    """The client sends a piece every 25 ms, for 5 seconds."""
    server = serve("--body-timeout", "4", "--reply-timeout", "4")
    pace = threading.Event()

    def upload(step):
        with server.raw() as raw:
            raw.send(BODY % (path.encode(), 70_000 + 200), b"x" * 70_000)
            for _ in range(200):
                raw.send(b"x")
                pace.wait(0.025)
                step()
            assert b"[70200, " in raw.receive(until=b"]")

    unless_it_stood_still(upload)
