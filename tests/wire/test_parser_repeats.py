"""A parser that has read any heads before reads the next one like a fresh one."""

from __future__ import annotations

import random

import pytest
from http_grammar import head
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uvicorn.errors import ClientError
from uvicorn.wire.head import HeaderPolicy
from uvicorn.wire.limits import Limits
from uvicorn.wire.parser import RequestParser

BASE = {"channel": "http.request", "scheme": "http", "root_path": "", "client": ["a", 1], "server": ["b", 2]}
FACTS = ("content_length", "is_chunked", "expects_continue", "persists", "asks_for_socket", "scheme")
LINE = ("method", "target", "http_version", "path", "is_head", "is_http10", "is_usual")


def parser(is_trusted, header_map, client):
    policy = HeaderPolicy({b"x-forwarded-proto": b"https"}, frozenset({b"script_name", b"x_y"}), header_map, is_trusted)
    requests = RequestParser(BASE, policy, Limits())
    if client is not None:  # a PROXY header said so
        requests.set_base({**BASE, "client": client})
    return requests


def reading(requests, data, method="head"):
    """Return all that a head says; and have a consumer spoil its message."""
    try:
        message = getattr(requests, method)(data)
    except ClientError as error:
        return error.status, error.reason
    seen = {**message, "headers": [list(field) for field in message["headers"]], "client": [*message["client"]]}
    for field in message["headers"]:
        field[:] = [b"transfer-encoding", b"chunked"]
    message["headers"].append([b"connection", b"close"])
    message["client"].clear()
    message["channel_session"]["user"] = 1
    return (
        seen,
        [getattr(requests.special, name) for name in FACTS],
        [getattr(requests.request_line, name) for name in LINE],
    )


@settings(max_examples=300, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32),  # of a choice of our own: drawing each part of a head takes twenty times as long
    is_trusted=st.booleans(),
    header_map=st.sampled_from(["drop", "refuse", "dangerous"]),
    client=st.sampled_from([None, ["192.0.2.1", 9]]),
)
def test_a_warm_parser_reads_like_a_fresh_one(seed, is_trusted, header_map, client):
    chance = random.Random(seed)
    warm = parser(is_trusted, header_map, client)
    data = b""
    for _ in range(8):
        data = data if data and chance.random() < 0.3 else head(chance)
        expected = reading(parser(is_trusted, header_map, client), data)
        if len(expected) == 2:
            assert reading(parser(is_trusted, header_map, client), data) == expected
            continue  # a connection ends with a refusal
        assert reading(warm, data) == expected


BEHIND = [
    b"",
    b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /second HTTP/1.1\r\nHost a\r\n\r\n",  # no head
    b"abc\r\n\r\n",
    b"0\r\n\r\n",
    b"3\r\nabc\r\n0\r\nHost: b\r\n\r\n",
    b"\r\n\r\n",
]


@settings(max_examples=300, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32), is_trusted=st.booleans())
def test_what_is_sent_at_once_is_taken_as_a_head_if_it_is_one_alone_and_else_not_at_all(seed, is_trusted):
    chance = random.Random(seed)
    warm, fresh = parser(is_trusted, "refuse", None), parser(is_trusted, "refuse", None)
    for _ in range(8):
        first, behind = head(chance), chance.choice(BEHIND)
        if first.find(b"\r\n\r\n") + 4 != len(first) or first[-5] in b"\n\v\f\r":
            continue  # it is broken: more than a head, or not taken for one at once
        if behind:
            assert warm.lone_head(first + behind) is None
        expected = reading(fresh, first)
        found = reading(warm, first, "lone_head")
        assert found == expected
        if len(expected) == 2:
            warm, fresh = parser(is_trusted, "refuse", None), parser(is_trusted, "refuse", None)


@pytest.mark.parametrize("behind", BEHIND[1:])
@pytest.mark.parametrize(
    "fields", [b"", b"Content-Length: 7\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n"]
)
def test_more_heads_than_a_head_may_be_long_are_no_head_that_is_too_long(fields, behind):
    requests = RequestParser(BASE, HeaderPolicy({}, frozenset(), "drop", False), Limits(request_fields=2))
    first = b"GET / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n"
    assert requests.lone_head((first + behind) * 400) is None
    assert requests.lone_head(first + behind) is None
    assert requests.lone_head(first)["headers"][0] == [b"host", b"a"]
