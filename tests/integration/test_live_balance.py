"""How connections are spread over the workers of one master."""

import contextlib
import json
import os
import signal
from collections import Counter

import pytest
from processes import NEVER, eventually, halt

WORKERS = 4
CONNECTIONS = 200
WAVES = 4


COMMANDS = ["uvicorn", "gunicorn"]
# Siblings are waited for, however long it takes until they get a processor: a busy machine decides nothing.
PATIENT = f"""
from uvicorn.command import balance
from uvicorn.connections import listener

balance._PATIENCE_SECONDS = listener._LONGEST_SECONDS = {NEVER}
"""


@pytest.fixture(scope="module", params=COMMANDS)
def server(serve_module, request):
    return all_accept(serve_module, request.param, PATIENT)


def all_accept(serve, command, config):
    """Start a server, whose master aborts no worker; return it when all of them have accepted a connection."""
    args = ("--workers", str(WORKERS), "--threads", "2", "--timeout", str(NEVER))
    started = serve(*args, command=command, config=config)
    eventually(lambda: len(started.workers()) == WORKERS, "all workers")
    seen = set()

    def are_all_seen():
        with started.raw() as raw:
            seen.add(pid_of(raw))
        return seen == set(started.workers())

    eventually(are_all_seen, "all workers to accept")
    return started


def pid_of(raw):
    """Return which worker has this connection."""
    answer = raw.get("/async/describe").receive(until=b"}")
    return json.loads(answer.rpartition(b"\r\n")[2])["pid"]


def check_even(connect):
    """Have connections made until those of all waves are spread; a busy machine may give a worker no time for one.

    Args:
        connect: called with an ExitStack that closes the connections; returns which worker has how many.
    """
    counts = Counter()
    for _ in range(WAVES):
        with contextlib.ExitStack() as stack:
            counts += connect(stack)
        if len(counts) == WORKERS and max(counts.values()) <= 1.5 * min(counts.values()):
            return
    raise AssertionError(counts)


def test_kept_connections_that_are_made_at_once_are_spread(server):
    check_even(lambda stack: Counter(map(pid_of, [stack.enter_context(server.raw()) for _ in range(CONNECTIONS)])))


def test_kept_connections_that_are_made_one_after_the_other_are_spread(server):
    check_even(lambda stack: Counter(pid_of(stack.enter_context(server.raw())) for _ in range(CONNECTIONS)))


def test_connections_that_come_and_go_are_spread(server):
    def connect(stack):
        counts = Counter()
        for _ in range(2 * CONNECTIONS):
            with server.raw() as raw:
                counts[pid_of(raw)] += 1
        return counts

    check_even(connect)


def test_a_worker_whose_pool_is_full_leaves_new_connections_to_the_others(server):
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(server.client())  # keeps its one connection
        pid = client.get("/async/describe").json()["pid"]
        held = []
        stack.callback(client.get, "/release?name=balance")  # a failure here must not fill the pool for other tests
        while len(held) < 2:
            raw = stack.enter_context(server.raw())
            if pid_of(raw) == pid:
                held.append(raw.get("/sync/hold?name=balance"))
        eventually(lambda: client.get("/state").json()["holding"].get("balance") == 2, "a full pool")
        counts = Counter(pid_of(stack.enter_context(server.raw())) for _ in range(CONNECTIONS))
        assert counts[pid] <= 0.05 * CONNECTIONS, counts
        client.get("/release?name=balance")
        for raw in held:
            assert raw.receive(until=b"balance").startswith(b"HTTP/1.1 200")


def test_connections_go_on_when_all_pools_are_full(server):
    with contextlib.ExitStack() as stack:
        raws = {}
        while len(raws) < WORKERS or any(len(found) < 3 for found in raws.values()):
            raw = stack.enter_context(server.raw())
            raws.setdefault(pid_of(raw), []).append(raw)
        for first, second, _ in (found[:3] for found in raws.values()):
            for raw in (first, second):
                raw.get("/sync/hold?name=all")
        check_even(lambda stack: Counter(pid_of(stack.enter_context(server.raw())) for _ in range(CONNECTIONS)))
        for first, second, third, *_ in raws.values():
            third.get("/release?name=all").receive(until=b"released")
            for raw in (first, second):
                assert raw.receive(until=b"all").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("command", COMMANDS)
def test_others_take_what_a_stopped_worker_cannot(serve, command):
    server = all_accept(serve, command, "")
    with contextlib.ExitStack() as stack:
        for _ in range(CONNECTIONS):  # the others have more than the one that is stopped
            stack.enter_context(server.raw())
        with server.raw() as raw:
            stopped = pid_of(raw)
        halt(stopped)
        stack.callback(os.kill, stopped, signal.SIGCONT)
        counts = Counter(pid_of(stack.enter_context(server.raw())) for _ in range(CONNECTIONS))
    assert sum(counts.values()) == CONNECTIONS
    assert stopped not in counts
