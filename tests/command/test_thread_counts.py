"""Counters of what threads do, for statsd."""

import socket
from collections import Counter
from types import SimpleNamespace

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.instrument.statsd import Statsd

from uvicorn.command.thread_counts import ThreadCounts


@pytest.fixture
def received():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)

        def take():
            found = set()
            while True:
                try:
                    found.add(server.recv(1000).decode())
                except BlockingIOError:
                    return found

        yield SimpleNamespace(take=take, address=server.getsockname())


def test_statsd_is_told_what_has_come_since_the_last_time(received):
    cfg = Config()
    cfg.set("statsd_host", "{}:{}".format(*received.address))
    log = Statsd(cfg)
    first = SimpleNamespace(calls=Counter(request=3, extra=1))
    second = SimpleNamespace(calls=Counter(request=2, sensitive=4))
    dispatcher = SimpleNamespace(frameworks={"a": first, "b": second}, rejected=0)
    assert ThreadCounts.wanted(log)
    counts = ThreadCounts(log, dispatcher)
    counts.tick()
    assert received.take() == {
        "uvicorn.calls.request:5|c|@1.0", "uvicorn.calls.extra:1|c|@1.0", "uvicorn.calls.sensitive:4|c|@1.0",
    }  # fmt: skip
    counts.tick()
    assert received.take() == set()
    second.calls["request"] += 1
    dispatcher.rejected = 2
    counts.tick()
    assert received.take() == {"uvicorn.calls.request:1|c|@1.0", "uvicorn.rejected:2|c|@1.0"}
    log.sock.close()


def test_nobody_counts_for_a_logger_that_does_not():
    assert not ThreadCounts.wanted(Logger(Config()))
