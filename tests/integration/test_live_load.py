"""Many clients at once: every answer is checked, also while workers come and go."""

import asyncio
import hashlib
import http.client
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from plain_http import PLAIN
from processes import PATIENCE, address_of, eventually

from uvicorn.connections.quiet import LINGER_SECONDS

LARGE = os.urandom(1 << 16) * 4
PIECE = bytes(range(256)) * 256

# path, body, expected status, expected content or None
MIX = [
    ("/sync/hello", b"", 200, b"hello from a thread"),
    ("/async/hello", b"", 200, b"hello from the loop"),
    ("/sync/echo", b"small", 200, b"small"),
    ("/async/echo", LARGE, 200, LARGE),
    ("/sync/digest", LARGE, 200, b'[%d, "%s"]' % (len(LARGE), hashlib.md5(LARGE).hexdigest().encode())),
    ("/sync/digest-as-it-comes", LARGE, 200, b'[%d, "%s"]' % (len(LARGE), hashlib.md5(LARGE).hexdigest().encode())),
    ("/sync/stream?chunks=7", b"", 200, PIECE * 7),
    ("/async/stream?chunks=5&length=1", b"", 200, PIECE * 5),
    ("/sync/slow?seconds=0.05", b"", 200, b"slept in a thread"),
    ("/async/slow?seconds=0.05", b"", 200, b"slept on the loop"),
    ("/sync/spin", b"", 200, b"spun"),
    ("/sync/later", b"", 200, b"later, from another thread"),
    ("/async/later", b"", 200, b"later, from the loop"),
    ("/sync/fail", b"", 500, None),
    ("/async/drop", b"", 500, None),
    ("/nowhere", b"", 404, None),
    ("/status?code=204", b"", 204, b""),
]


@pytest.mark.slow
def test_two_hundred_concurrent_mixed_requests_are_all_answered_right(serve):
    server = serve("--workers", "2", "--threads", "8", "--queue-size", "200")
    requests = [MIX[number % len(MIX)] for number in range(200)]

    async def ask(client, path, body):
        response = await client.request("POST" if body else "GET", path, content=body)
        return response.status_code, response.content

    async def ask_all():
        limits = httpx.Limits(max_connections=200)
        async with httpx.AsyncClient(base_url=server.url, limits=limits, **PLAIN) as client:
            return await asyncio.gather(*(ask(client, path, body) for path, body, _, _ in requests))

    for (path, _, status, content), (got_status, got_content) in zip(requests, asyncio.run(ask_all()), strict=True):
        assert got_status == status, path
        assert content is None or got_content == content, path


class Load:
    """Clients that ask without a pause until `stop`; the odd ones keep their connections."""

    def __init__(self, address, clients=6):
        self.answers = 0
        self.refused = 0  # the kernel said that nobody listens
        self.failures = []
        self._address = address
        self._is_stopping = False
        self._counting = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._is_stopping = True
        for thread in self._threads:
            thread.join(PATIENCE)

    @property
    def is_over(self):
        return not any(thread.is_alive() for thread in self._threads)

    def wait_for_answers(self, more):
        target = self.answers + more
        eventually(lambda: self.answers >= target or self.failures, f"{more} more answers")

    def _run(self, number):
        connection = None
        turn = number
        while not self._is_stopping:
            turn += 1
            path, _, status, content = MIX[turn % 2] if turn % 4 else MIX[8 + turn % 3]
            is_reused = connection is not None
            if not is_reused:
                connection = http.client.HTTPConnection(*self._address, timeout=PATIENCE)
            try:
                connection.request("GET", path)
                response = connection.getresponse()
                got = response.read()
            except ConnectionRefusedError:
                with self._counting:
                    self.refused += 1
                return
            except (ConnectionError, http.client.HTTPException, OSError) as error:
                connection.close()
                connection = None
                # A client may ask again, if a connection that it had kept was closed before any byte came.
                if not (is_reused and isinstance(error, (ConnectionError, http.client.RemoteDisconnected))):
                    with self._counting:
                        self.failures.append(f"{path} {'kept' if is_reused else 'new'}: {error!r}")
                continue
            with self._counting:
                self.answers += 1
                if (response.status, got) != (status, content):
                    self.failures.append(f"{path}: {response.status} {got[:50]!r}")
            if response.will_close or number % 2 == 0:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()


@pytest.mark.slow
def test_hup_under_load_loses_no_answer(serve):
    server = serve("--workers", "2", "--threads", "4")

    with Load(server.address) as load:
        for _ in range(3):
            old = set(eventually(lambda: len(server.workers()) == 2 and server.workers()))
            load.wait_for_answers(100)
            server.signal(signal.SIGHUP)
            eventually(lambda old=old: not old & set(server.workers()), "the old workers to leave")
        load.wait_for_answers(100)

    assert load.failures == []
    assert load.refused == 0
    assert server.log().count("Worker stopping") == 6


@pytest.mark.slow
def test_max_requests_under_load_loses_no_answer(serve):
    server = serve("--workers", "2", "--threads", "4", "--max-requests", "100", "--max-requests-jitter", "50")

    with Load(server.address) as load:
        restarts = "Autorestarting worker after current request."
        eventually(lambda: server.log().count(restarts) >= 5 or load.failures, "five workers that leave")
        load.wait_for_answers(100)

    assert load.failures == []
    assert load.refused == 0


def test_term_under_load_loses_no_answer(serve):
    server = serve("--workers", "2", "--threads", "4")

    with Load(server.address) as load:
        load.wait_for_answers(200)
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        eventually(lambda: load.is_over, "the clients to be refused")

    assert load.refused == 6
    assert [failure for failure in load.failures if " new: ConnectionResetError" not in failure] == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["term", "hup"])
def test_what_runs_and_what_waits_is_answered_before_the_worker_leaves(serve, number):
    server = serve("--threads", "2")
    [old] = server.workers()
    paths = [*["/sync/hold?name=drain"] * 6, *["/async/hold?name=drain"] * 3]

    with ThreadPoolExecutor(len(paths)) as clients, server.client() as kept, server.raw() as releasing:
        answers = [clients.submit(server.get, path) for path in paths]
        eventually(lambda: kept.get("/state").json()["holding"].get("drain") == 5, "two threads and three tasks")
        eventually(lambda: kept.get("/state").json()["objects"]["Exchange"] == 10, "four queued")
        releasing.begin("/release?name=drain")
        server.signal(number)
        server.wait_for_log("Worker stopping")
        assert b"connection: close" in releasing.end().receive()
        responses = [answer.result() for answer in answers]

    assert [response.status_code for response in responses] == [200] * 9
    assert {response.headers["connection"] for response in responses} == {"close"}
    eventually(lambda: old not in server.workers(), "the old worker to leave")


def test_a_stopping_server_refuses_new_connections_while_it_answers(serve):
    server = serve("--threads", "2")

    with ThreadPoolExecutor(1) as clients, server.raw() as releasing:
        answer = clients.submit(server.get, "/sync/hold?name=last")
        eventually(lambda: server.state()["holding"], "the request to run")
        releasing.begin("/release?name=last")
        server.signal(signal.SIGTERM)
        server.wait_for_log("Worker stopping")

        def is_refused():
            try:
                server.raw(address_of(server.url)).socket.close()
            except ConnectionRefusedError:
                return True

        try:
            eventually(is_refused, "a refused connection")
        finally:
            releasing.end().receive()
        assert answer.result().status_code == 200
    assert server.wait() == 0


def test_a_request_on_its_way_to_a_kept_connection_is_answered_after_term(serve):
    def is_answered():
        server = serve()
        with server.client() as kept, server.client() as other:
            began = time.monotonic()
            assert kept.get("/sync/hello").status_code == other.get("/async/hello").status_code == 200
            server.signal(signal.SIGTERM)
            server.wait_for_log("Worker stopping")
            try:
                answers = [client.get(path) for client, path in ((kept, "/sync/hello"), (other, "/async/hello"))]
            except httpx.TransportError:
                if time.monotonic() - began < LINGER_SECONDS:
                    raise
                return False  # this machine was slow, or stood still: then they are closed, and rightly
        assert [answer.status_code for answer in answers] == [200, 200]
        assert [answer.headers["connection"] for answer in answers] == ["close", "close"]
        assert server.wait() == 0
        return True

    eventually(is_answered, "two requests within two seconds")


def test_workers_can_be_added_and_taken_away_under_load(serve):
    server = serve("--threads", "2")

    with Load(server.address, clients=4) as load:
        server.signal(signal.SIGTTIN)
        eventually(lambda: len(server.workers()) == 2, "a second worker")
        load.wait_for_answers(50)
        server.signal(signal.SIGTTOU)
        eventually(lambda: len(server.workers()) == 1, "one worker to leave")
        load.wait_for_answers(50)

    assert (load.failures, load.refused) == ([], 0)
