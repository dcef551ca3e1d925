"""What is bounded, and what a client sees at the bound."""

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from processes import PATIENCE, eventually, socket_to


def nothing_comes(raw):
    """Whether nothing can be read just now."""
    raw.socket.setblocking(False)
    try:
        raw.socket.recv(1)
    except BlockingIOError:
        return True
    finally:
        raw.socket.setblocking(True)
        raw.socket.settimeout(PATIENCE)
    return False


@pytest.mark.parametrize("way", ["close", "reset"])
def test_a_third_connection_waits_until_one_of_two_busy_ones_closes(serve, way):
    server = serve("--worker-connections", "2")

    with server.raw() as first, server.raw() as second:
        for raw in (first, second):
            raw.get("/async/hold?name=busy")
        with server.raw() as third:
            third.get("/async/hello")  # in the backlog: the kernel has taken it
            server.wait_for_log("All 2 connections are open")
            assert nothing_comes(third)
            if way == "reset":
                first.reset()
            else:
                first.socket.close()
            assert third.receive(until=b"loop").startswith(b"HTTP/1.1 200 OK")


def test_each_worker_takes_its_own_share_of_connections(serve):
    server = serve("--worker-connections", "1", "--workers", "2")

    # Both requests at once, and before the next client comes: an idle connection would be closed for that.
    both = b"".join(b"GET /async/%b HTTP/1.1\r\nHost: test\r\n\r\n" % path for path in (b"describe", b"hold?name=busy"))
    with contextlib.ExitStack() as stack:
        raws = (stack.enter_context(server.raw()) for _ in range(2))
        answers = [raw.send(both).receive(until=b"}") for raw in raws]
        pids = {json.loads(answer.rpartition(b"\r\n")[2])["pid"] for answer in answers}

    assert len(pids) == 2


def test_a_request_that_finds_pool_and_queue_full_gets_503_and_may_come_again(serve):
    server = serve("--threads", "1", "--queue-size", "2")

    with ThreadPoolExecutor(3) as clients:
        held = [clients.submit(server.get, "/sync/hold?name=full") for _ in range(3)]
        eventually(lambda: server.state()["objects"]["ConsumerJob"] == 3, "one running and two queued")
        refused = server.get("/sync/hello")
        assert (refused.status_code, refused.headers["connection"]) == (503, "close")
        assert int(refused.headers["retry-after"]) > 0
        # The loop is not concerned.
        assert server.get("/async/hello").status_code == 200
        server.get("/release?name=full")
        assert [answer.result().status_code for answer in held] == [200] * 3

    assert server.get("/sync/hello").status_code == 200
    server.wait_for_log("Rejected 1 requests")


def test_a_queue_of_size_0_lets_nothing_wait(serve):
    server = serve("--threads", "1", "--queue-size", "0")

    with ThreadPoolExecutor(1) as clients:
        held = clients.submit(server.get, "/sync/hold?name=one")
        eventually(lambda: server.state()["holding"], "the thread to be busy")
        assert server.get("/sync/hello").status_code == 503
        server.get("/release?name=one")
        assert held.result().status_code == 200

    # Its thread may be still about to return from the consumer, whose answer is here.
    eventually(lambda: server.get("/sync/hello").status_code == 200, "the thread to be free")


def test_a_request_that_waits_too_long_for_a_thread_gets_503(serve):
    server = serve("--threads", "1", "--queue-timeout", "0.5")

    with ThreadPoolExecutor(1) as clients:
        held = clients.submit(server.get, "/sync/hold?name=one")

        def is_busy():
            nonlocal held
            if held.done():  # the worker stood still before its thread began: this one has waited too long, too
                held = clients.submit(server.get, "/sync/hold?name=one")
            return server.state()["holding"]

        eventually(is_busy, "the thread to be busy")
        refused = server.get("/sync/hello")
        assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
        server.get("/release?name=one")
        assert held.result().status_code == 200  # a request that runs is not concerned


@pytest.mark.parametrize("path", ["/sync/digest", "/async/digest", "/sync/digest-as-it-comes"])
@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
def test_a_body_past_the_limit_gets_413(serve_limited, path, is_chunked):
    body = b"x" * 300_000
    with serve_limited.client() as client:
        response = client.post(path, content=iter([body]) if is_chunked else body)

    assert response.status_code == 413
    assert response.headers["connection"] == "close"


@pytest.mark.parametrize("path", ["/sync/digest", "/async/digest", "/sync/digest-as-it-comes"])
def test_a_body_at_the_limit_is_taken(serve_limited, path):
    with serve_limited.client() as client:
        assert client.post(path, content=b"x" * 200_000).json()[0] == 200_000


@pytest.fixture(scope="module")
def serve_limited(serve_module):
    return serve_module("--limit-request-body", "200000")


def test_the_listening_backlog_is_that_of_the_settings(serve):
    server = serve("--worker-connections", "1", "--backlog", "5")
    made = []
    try:
        with server.raw() as first:
            first.get("/async/hold?name=busy")
            with server.raw():  # the second one: it tells when the first one is accepted
                server.wait_for_log("All 1 connections are open")
            for _ in range(20):
                try:
                    made.append(socket_to(server.address, patience=PATIENCE if len(made) < 5 else 0.3))
                except TimeoutError:  # the kernel drops a SYN when the backlog is full
                    break
        assert 5 <= len(made) <= 10
    finally:
        for sock in made:
            sock.close()


@pytest.mark.parametrize("path", ["/sync/hello", "/async/hello"])
def test_max_requests_of_one_worker_makes_a_new_one(serve, path):
    server = serve("--max-requests", "5")
    [old] = server.workers()

    with server.client() as client:
        answers = [client.get(path) for _ in range(12)]

    assert {answer.status_code for answer in answers} == {200}
    eventually(lambda: old not in server.workers(), "the old worker to leave")
    assert "Autorestarting worker after current request." in server.log()
