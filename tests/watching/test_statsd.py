"""Numbers that go out through Gunicorn's statsd."""

import socket
import types
from collections import Counter
from typing import Any

from gunicorn.glogging import Logger
from gunicorn.instrument.statsd import Statsd
from kept_logging import logging_as_before
from patience import PATIENCE_SECONDS

from uvicorn.bridge.garbage import GarbagePauses
from uvicorn.connections.numbers import Numbers
from uvicorn.watching.collector import Collector
from uvicorn.watching.families import Figures
from uvicorn.watching.statsd import StatsdNumbers

FIRST: Figures = {
    "refused": {("queue_size",): 2},
    "consumer_errors": {("a", "", "loop"): 1, ("b", "", "loop"): 2},
    "framework_calls": {("request",): 5, ("sensitive",): 4},
    "loop_lag_seconds": {(): [0.5, 10, 0]},
    "pool_busy": {("one",): 2, ("two",): 1},
    "pool_oldest_wait_seconds": {("one",): 0.25, ("two",): 1.5},
}


class Sending:
    def __init__(self):
        self.sent = []

    def info(self, text, extra):
        assert text == ""  # or it would be a line of the log
        self.sent.append((extra["metric"], extra["value"], extra["mtype"]))

    def take(self):
        sent, self.sent = self.sent, []
        return sent


def test_counters_are_sent_by_what_they_have_grown_and_states_by_one_worker():
    log = Sending()
    numbers = StatsdNumbers(log)
    numbers.send(FIRST, FIRST)
    assert log.take() == [
        ("uvicorn.consumer.errors", 3, "counter"),
        ("uvicorn.refused.queue_size", 2, "counter"),
        ("uvicorn.calls.request", 5, "counter"),
        ("uvicorn.calls.sensitive", 4, "counter"),
        ("uvicorn.loop.lag", 50.0, "timer"),
        ("uvicorn.pool.busy", 3, "gauge"),
        ("uvicorn.pool.oldest_wait_ms", 1500.0, "gauge"),
    ]
    numbers.send(FIRST, None)
    assert log.take() == []
    numbers.send(
        {**FIRST, "refused": {("queue_size",): 5, ("other",): 1}, "loop_lag_seconds": {(): [0.6, 12, 0]}}, None
    )
    assert log.take() == [
        ("uvicorn.refused.queue_size", 3, "counter"),
        ("uvicorn.refused.other", 1, "counter"),
        ("uvicorn.loop.lag", 50.0, "timer"),
    ]


@logging_as_before()
def test_gunicorns_logger_sends_them():
    from gunicorn.config import Config

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(PATIENCE_SECONDS)
        cfg = Config()
        cfg.set("statsd_host", f"127.0.0.1:{receiver.getsockname()[1]}")
        cfg.set("errorlog", None)
        log = Statsd(cfg)
        try:
            assert StatsdNumbers.wanted(log)
            StatsdNumbers(log).send({"refused": {("queue_size",): 2}}, {"pool_busy": {("one",): 2}})
            assert {receiver.recv(100), receiver.recv(100)} == {
                b"uvicorn.refused.queue_size:2|c|@1.0",
                b"uvicorn.pool.busy:2|g",
            }
        finally:
            log.sock.close()
        assert not StatsdNumbers.wanted(Logger(Config()))
        assert not StatsdNumbers.wanted(types.SimpleNamespace())


def test_the_calls_that_frameworks_hand_to_threads_are_counted_by_kind():
    first = types.SimpleNamespace(calls=Counter(request=3, extra=1))
    second = types.SimpleNamespace(calls=Counter(request=2, sensitive=4))
    dispatcher = types.SimpleNamespace(
        frameworks={"a": first, "b": second}, measured=types.SimpleNamespace(take=bool), all_pools=(), governors=()
    )
    service: Any = types.SimpleNamespace(
        dispatcher=dispatcher, numbers=Numbers(), requests=0, connections=(), sockets=(),
        addresses=types.SimpleNamespace(refused=0),
        attendants=None,
    )  # fmt: skip
    watch: Any = types.SimpleNamespace(episodes=0, found=0)
    figures = Collector(service, list, None, GarbagePauses(), watch, watch).collect()
    assert figures["framework_calls"] == {("extra",): 1, ("request",): 5, ("sensitive",): 4}
