"""How long requests were on their way to us."""

from __future__ import annotations

import pytest
from clients import Echo
from doubles import FakePeers

from uvicorn.command.reporting import RequestView, environ_of
from uvicorn.watching.families import FAMILIES, HISTOGRAM
from uvicorn.watching.upstream import UpstreamTimes, read_start

NOW = 1700000000.5


@pytest.fixture
def make_measured(make_site):
    def make(is_trusted=True):
        return make_site(Echo(), peers=FakePeers(is_trusted=is_trusted), attendants=[UpstreamTimes(lambda: NOW)])

    return make


def ask(site, *fields):
    head = b"".join(b"%b\r\n" % field for field in (b"GET / HTTP/1.1", b"Host: a", *fields))
    client = site.connect()
    client.send(head + b"\r\n")
    assert client.statuses() == [200]
    return site.reports[-1].attended.upstream_seconds


@pytest.mark.parametrize(
    ("value", "start"),
    [
        (b"t=1700000000.123", 1700000000.123),
        (b"1700000000.123", 1700000000.123),
        (b"t=1700000000", 1700000000.0),
        (b"1700000000123", 1700000000.123),
        (b"t=1700000000123.4", 1700000000.1234),
        (b"t=1700000000123456", 1700000000.123456),
        (b"1700000000123456789", 1700000000.1234567),
    ],
)
def test_each_unit_is_read(value, start):
    assert read_start(value) == pytest.approx(start, abs=1e-6)


@pytest.mark.parametrize(
    "value",
    [b"", b"t=", b"now", b"170000000", b"17000000001", b"-1700000000", b"1700000000.", b"1e9", b"t=1700000000s",
     b"1700000000, 1700000001", b"1" * 40, b"t=nan", b"\xff"],
)  # fmt: skip
def test_what_says_no_time_says_nothing(make_measured, value):
    assert read_start(value) is None
    assert ask(make_measured(), b"X-Request-Start: " + value) is None


def test_the_time_before_us_is_measured(make_measured):
    site = make_measured()
    assert ask(site, b"X-Request-Start: t=1700000000.25") == pytest.approx(0.25)
    assert ask(site, b"X-Queue-Start: 1700000000000") == pytest.approx(0.5)
    assert ask(site) is None
    [[total, *counts]] = site.service.attendants.figures()["upstream_seconds"].values()
    assert (total, sum(counts)) == (pytest.approx(0.75), 2)
    assert FAMILIES["upstream_seconds"].kind is HISTOGRAM


def test_the_nearest_proxy_is_believed(make_measured):
    assert ask(make_measured(), b"X-Request-Start: 1600000000", b"X-Request-Start: 1700000000") == 0.5


def test_a_client_that_is_not_trusted_says_nothing(make_measured):
    assert ask(make_measured(is_trusted=False), b"X-Request-Start: t=1700000000.25") is None


@pytest.mark.parametrize(
    ("start", "seconds"), [(b"1700000001", 0.0), (b"1700000002", None), (b"1699996401", 3599.5), (b"1699990000", None)]
)
def test_clocks_differ(make_measured, start, seconds):
    assert ask(make_measured(), b"X-Request-Start: " + start) == seconds


def test_the_access_log_has_it_in_microseconds(make_measured):
    site = make_measured()
    ask(site, b"X-Request-Start: t=1700000000.25")
    exchange = site.reports[-1]
    assert environ_of(exchange, RequestView(exchange))["upstream.wait"] == 250_000
