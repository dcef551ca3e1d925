"""What consumers, the system and the operator do to a worker: others go on being served."""

import contextlib
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time

import httpx
import pytest
from ports import free_port
from processes import HERE, NEVER, PATIENCE, SHORT_DRAIN, eventually, socket_to
from test_live_signals import has_left
from websockets.sync.client import connect

APP = "fault_consumers:routes"


def served_by(server, path="/hello-async"):
    """Return the process that answers, as soon as one does."""

    def ask():
        try:
            answer = server.get(path)
        except httpx.TransportError:  # the worker that took the connection has died
            return 0
        return int(answer.text.rpartition(" ")[2]) if answer.status_code == 200 else 0

    return eventually(ask, "an answer")


# ---- consumers ----


@pytest.mark.parametrize("path", ["/raise-exit", "/raise-exit-async", "/raise-interrupt"])
def test_a_consumer_that_wants_to_exit_gets_500_and_its_worker_lives(serve, path):
    server = serve("--threads", "2", app=APP)
    [worker] = server.workers()
    for _ in range(5):
        assert server.get(path).status_code == 500
    assert served_by(server, "/hello") == served_by(server) == worker
    assert server.log().count(f"Error in fault_consumers.{path[1:].replace('-', '_')}: GET {path}") == 5


def test_a_consumer_that_ends_the_process_costs_its_worker_and_no_other(serve):
    server = serve("--workers", "2", "--threads", "2", app=APP)
    eventually(lambda: len(server.workers()) == 2, "two workers")
    before = set(server.workers())
    with server.raw() as raw:
        assert raw.get("/exit-process?code=7").receive() == b""
    eventually(lambda: len(set(server.workers()) - before) == 1, "a new worker")
    assert len(before & set(server.workers())) == 1
    assert served_by(server)
    assert "exited with code 7" in server.log()
    assert server.stop() == 0


@pytest.mark.parametrize("code", [3, 4])
def test_a_consumer_that_ends_the_process_as_if_it_had_not_booted_stops_the_server_as_gunicorn_does(serve, code):
    server = serve(app=APP)
    with server.raw() as raw:
        raw.get(f"/exit-process?code={code}").receive()
    assert server.wait() == code


@pytest.mark.parametrize("path", ["/fork", "/fork?seconds=3"])
def test_a_consumer_that_forks_serves_on_in_the_parent(serve, path):
    server = serve("--threads", "2", app=APP)
    [worker] = server.workers()
    for _ in range(3):
        assert server.get(path).text == "forked"
    assert served_by(server, "/hello") == worker
    assert server.stop() == 0


def test_a_forked_child_that_returns_from_its_consumer_answers_nobody(serve):
    server = serve("--threads", "2", app=APP)
    [worker] = server.workers()
    for _ in range(3):
        with server.raw() as raw:
            answer = raw.get("/return-twice", "Connection: close").receive(until=b"parent")
            assert answer.endswith(b"the parent")
            assert b"the child" not in answer
    assert served_by(server, "/hello") == worker
    assert server.stop() == 0


def test_a_consumer_that_closes_all_descriptors_costs_its_worker_alone(serve):
    server = serve("--workers", "2", "--threads", "2", "--graceful-timeout", "2", app=APP)
    eventually(lambda: len(server.workers()) == 2, "two workers")
    before = set(server.workers())
    with server.raw() as raw:
        raw.get("/close-descriptors")
        eventually(lambda: set(server.workers()) - before, "a new worker")
    eventually(lambda: len(server.workers()) == 2, "two workers")
    assert len(before & set(server.workers())) == 1
    assert served_by(server, "/hello")
    assert server.stop() == 0


def test_a_consumer_that_closes_the_descriptor_of_its_connection_hurts_no_other(serve):
    server = serve("--threads", "2", app=APP)
    with server.client() as other:
        assert other.get("/hello").status_code == 200
        with server.raw() as raw:
            raw.get("/close-own-socket")
            eventually(lambda: server.log().count("closed its socket"), "the descriptor to be closed")
        for _ in range(20):
            assert other.get("/hello").status_code == 200
    assert served_by(server)


# ---- the system ----


def test_a_worker_without_free_descriptors_accepts_again_when_there_are_some(serve):
    server = serve("--threads", "2", app=APP)
    resource.prlimit(server.worker(), resource.RLIMIT_NOFILE, (100, 100))
    raws = [server.raw() for _ in range(150)]
    try:
        server.wait_for_log("Cannot accept: ")
        assert served_on(raws[0]) == b"HTTP/1.1 200"
        for raw in raws[1:120]:
            raw.socket.close()
        for raw in raws[120:]:
            assert served_on(raw) == b"HTTP/1.1 200"
    finally:
        for raw in raws:
            raw.socket.close()
    assert served_by(server) == server.worker()
    assert "Traceback" not in server.log()


def served_on(raw):
    return raw.get("/hello-async").receive(size=12)


def test_a_consumer_that_takes_all_descriptors_fails_nobody_who_is_connected(serve):
    server = serve("--threads", "4", app=APP)
    resource.prlimit(server.worker(), resource.RLIMIT_NOFILE, (100, 100))
    with server.client() as client, server.raw() as greedy:
        assert client.get("/hello").status_code == 200
        greedy.get("/open-files?seconds=1")
        waiting = [server.raw().get("/hello") for _ in range(5)]
        for _ in range(20):
            assert client.get("/hello").status_code == 200
            assert client.get("/hello-async").status_code == 200
        assert b"Too many open files" in greedy.receive(until=b"open files")
        for raw in waiting:
            assert raw.receive(size=12) == b"HTTP/1.1 200"
            raw.socket.close()


@pytest.fixture(scope="module")
def wall_clock(tmp_path_factory):
    """Build what moves the wall clock of a process, below Python; the monotonic clocks stay."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("there is no C compiler here")
    library = tmp_path_factory.mktemp("clock") / "wall_clock.so"
    words = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(HERE / "wall_clock.c"), "-ldl"]
    subprocess.run(words, check=True)
    return library


@pytest.mark.parametrize("loop", ["auto", "asyncio"])
@pytest.mark.parametrize("days", [-400, 400])
def test_the_wall_clock_jumps_and_nobody_is_cut(serve, wall_clock, tmp_path, loop, days):
    offset = tmp_path / "offset"
    offset.write_bytes(struct.pack("=q", 0))
    server = serve(
        "--threads",
        "2",
        "--stuck-after",
        str(NEVER),
        "--asgi-loop",
        loop,
        app=APP,
        env={"LD_PRELOAD": str(wall_clock), "WALL_CLOCK_FILE": str(offset)},
    )
    [worker] = server.workers()

    def year(client):
        return client.get("/hello-async").headers["date"][12:16]

    with server.client() as client, server.raw() as half, server.raw() as queued:
        half.send(b"GET /hello HTTP/1.1\r\nHost: t")
        queued.get("/wait?seconds=3")
        now = year(client)
        with offset.open("r+b") as file:
            file.write(struct.pack("=q", days * 86400))
        eventually(lambda: year(client) not in ("", now), "the new date")
        # What would be cut by it would be so at the next two ticks.
        assert queued.receive(until=b"waited").endswith(b"waited")
        assert client.get("/hello").text == f"from a thread, {worker}"
        assert half.send(b"est\r\n\r\n").receive(size=12) == b"HTTP/1.1 200"
    assert server.workers() == [worker]
    assert "stuck" not in server.log()
    assert "TIMEOUT" not in server.log()
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert "SIGKILL" not in server.log()


def test_a_worker_that_was_stopped_for_a_while_blames_nobody(serve):
    server = serve(
        "--threads",
        "2",
        "--timeout",
        "60",
        "--keep-alive",
        "4",
        "--stuck-after",
        "4",
        app=APP,
        env={"UVICORN_HEADER_TIMEOUT": "4", "UVICORN_BODY_TIMEOUT": "4"},
    )
    worker = server.worker()
    with contextlib.ExitStack() as stack:
        kept = stack.enter_context(server.client())
        assert kept.get("/hello").status_code == 200
        late = stack.enter_context(server.raw())
        late.send(b"GET /hello HTTP/1.1\r\nHo")
        os.kill(worker, signal.SIGSTOP)
        try:
            time.sleep(8)  # the clock of the worker jumps by it
            late.send(b"st: test\r\n\r\n")
        finally:
            os.kill(worker, signal.SIGCONT)
        assert late.receive(size=12) == b"HTTP/1.1 200"
    assert server.workers() == [worker]
    assert "stuck" not in server.log()


# ---- the operator ----


def test_a_worker_that_is_killed_fails_its_own_requests_alone(serve):
    server = serve("--workers", "2", "--threads", "2", app=APP)
    eventually(lambda: len(server.workers()) == 2, "two workers")
    kept = {}  # one connection to each worker
    while len(kept) < 2:
        client = server.client()
        pid = int(client.get("/hello").text.rpartition(" ")[2])
        if pid in kept:
            client.close()
        else:
            kept[pid] = client
    killed, other = kept
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: len(server.workers()) == 2 and killed not in server.workers(), "a new worker")
    for _ in range(20):
        assert int(kept[other].get("/hello").text.rpartition(" ")[2]) == other
        assert served_by(server)
    for client in kept.values():
        client.close()


def test_a_master_that_is_killed_leaves_the_address_to_the_next_one(serve):
    address = f"127.0.0.1:{free_port()}"
    server = serve("--workers", "2", "--threads", "2", "--graceful-timeout", "3", app=APP, binds=(address,))
    orphans = eventually(lambda: len(server.workers()) == 2 and server.workers(), "two workers")
    with server.raw() as hanging:
        hanging.get("/hang")
        server.process.kill()
        server.wait()
        for orphan in orphans:
            eventually(lambda pid=orphan: has_left(pid), "the workers to leave")
    again = serve(app=APP, binds=(address,))
    assert served_by(again)


@pytest.mark.parametrize("asgi_loop", ["auto", "asyncio"])
def test_term_ends_streams_sockets_and_stuck_threads_in_time(serve, asgi_loop):
    address = f"127.0.0.1:{free_port()}"  # nobody else is given it when it is free again
    server = serve("--threads", "6", "--asgi-loop", asgi_loop, app=APP, config=SHORT_DRAIN, binds=(address,))
    url = server.url.replace("http", "ws")
    with contextlib.ExitStack() as stack:
        raws = [stack.enter_context(server.raw()) for _ in range(3)]
        slow = stack.enter_context(server.raw(receive_buffer=4096))
        socket = stack.enter_context(connect(f"{url}/socket", open_timeout=PATIENCE, proxy=None))
        for raw, path in zip(raws, ["/hang", "/burn", "/stream-for-ever"], strict=True):
            raw.get(path)
        slow.get("/stream-for-ever").receive(size=100)
        eventually(lambda: server.get("/hanging").text == "2", "the threads to be taken")
        server.signal(signal.SIGTERM)
        with pytest.raises(Exception, match="1012"):
            socket.recv(timeout=PATIENCE)
        assert server.wait() == 0
    log = server.log()
    assert "SIGKILL" not in log  # the worker left by itself
    assert "Leaving without waiting for threads: " in log
    assert "Still running: GET /burn in fault_consumers.burn" in log
    with pytest.raises(OSError, match="refused"):
        socket_to(server.address)
