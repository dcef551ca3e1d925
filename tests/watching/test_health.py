"""Whether a worker lives, has started and is ready."""

import asyncio
import json
import os
import types
from typing import Any

import pytest

from uvicorn.bridge.consumer import Consumer
from uvicorn.watching.board import Sheet
from uvicorn.watching.health import Health, Starvation, reasons_of_all
from uvicorn.watching.settings import HealthSettings


async def application(message):
    raise AssertionError("a health path is not for the application")


class Site:
    """An application of one consumer, or of routes."""

    by_content = False

    def __init__(self, only=True):
        self.only = Consumer(application) if only else None
        self.consumer = Consumer(application)

    def find(self, channel, path, message=None):
        return self.consumer


def asked(health, path, query=b"", client=("10.0.0.1", 5), headers=()):
    """Return the status and the body of an answer."""
    replies = []
    message = {
        "query_string": query,
        "client": None if client is None else list(client),
        "headers": list(headers),
        "reply_channel": types.SimpleNamespace(send=replies.append),
    }
    asyncio.run(health.find("http.request", path, message).call(message))
    [reply] = replies
    assert (b"cache-control", b"no-store") in reply["headers"]
    return reply["status"], reply["content"].decode()


@pytest.fixture
def health():
    made = Health(HealthSettings("/-/health/"), Site(), lambda address: address in (None, "127.0.0.1"))
    made.numbers = lambda: {"pid": 7}
    return made


@pytest.mark.parametrize(("name", "word"), [("live", "live"), ("startup", "started"), ("ready", "ready")])
def test_a_worker_that_serves_is_all_of_it(health, name, word):
    assert asked(health, f"/-/health/{name}") == (200, f"{word}\n")


@pytest.mark.parametrize(
    ("client", "headers", "is_told"),
    [
        (("127.0.0.1", 5), (), True),
        (None, (), True),
        (("10.0.0.1", 5), (), False),
        (("127.0.0.1", 5), ([b"x-forwarded-for", b"1.2.3.4"],), False),  # a proxy passes on somebody's request
    ],
)
def test_numbers_are_for_trusted_peers_alone(health, client, headers, is_told):
    status, body = asked(health, "/-/health/ready", client=client, headers=headers)
    assert status == 200
    if is_told:
        assert json.loads(body) == {"status": "ready", "reasons": [], "pid": 7}
    else:
        assert body == "ready\n"


def test_a_worker_that_stops_or_is_starved_is_not_ready_and_lives(health):
    health.reasons = lambda: ["it stops"]
    assert asked(health, "/-/health/ready") == (503, "not ready\n")
    assert asked(health, "/-/health/live") == (200, "live\n")
    body = asked(health, "/-/health/ready", client=None)[1]
    assert json.loads(body)["reasons"] == ["it stops"]


def test_all_workers_are_asked_if_that_is_wanted(health):
    health.sheets = lambda: [Sheet(os.getpid(), {"is_started": False})]
    assert asked(health, "/-/health/ready")[0] == 200
    assert asked(health, "/-/health/ready", b"x=1&all")[0] == 503
    assert asked(health, "/-/health/ready", b"allx")[0] == 200


def test_what_workers_tell_of_themselves():
    fine = {"is_started": True, "told_at": 99.0, "reasons": []}
    sheets = [
        Sheet(0, {}),
        Sheet(1, fine),
        Sheet(2, {"is_started": False}),
        Sheet(3, {**fine, "told_at": 90.0}),
        Sheet(4, {**fine, "reasons": ["it stops"]}),
    ]
    assert reasons_of_all(sheets, 100.0) == ["worker 2 has not started", "worker 3 is silent", "worker 4: it stops"]


def test_other_paths_and_channels_are_the_applications():
    site = Site()
    health = Health(HealthSettings("/-/health"), site, bool)
    for path in ("/", "/-/health", "/-/health/other", "/-/health/live/"):
        assert health.find("http.request", path) is site.consumer
    assert health.find("websocket.connect", "/-/health/live") is site.consumer
    assert health.find("http.disconnect", "/") is None  # as if there were no health paths
    assert Health(HealthSettings("/x"), Site(only=False), bool).find("http.disconnect", "/") is not None


class Pool:
    name = "consumer"
    oldest = 0.0
    has_free_thread = False


def test_a_pool_is_starved_when_it_was_full_with_a_long_wait_for_the_grace():
    now = [100.0]
    pool: Any = Pool()
    starvation = Starvation([pool], HealthSettings("/x", max_wait=1.0, grace=5.0), lambda: now[0])

    def after(seconds):
        now[0] += seconds
        starvation.tick()
        return starvation.starved()

    assert after(0) == []
    pool.oldest = 99.5
    assert after(0) == []  # it has not waited long
    assert after(2) == []
    assert after(4) == []
    assert after(1) == ["consumer"]
    pool.has_free_thread = True
    assert after(1) == []
    pool.has_free_thread = False
    assert after(4) == []
    assert after(5) == ["consumer"]
    pool.oldest = 0.0
    assert after(1) == []
