"""The attacks of `scripts/proxies`, on doubles: what follows one on its connection is served, or never."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from clients import Echo

sys.path.append(str(Path(__file__).resolve().parents[2] / "scripts"))

from attacks.corpus import CORPUS, MALFORMED, WHOLE

NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"


def cut(kind):
    """Return the cases of this kind: whole, and those that are not long in pieces."""
    return [
        pytest.param(case, piece, id=f"{case.name}, {piece or 'whole'}")
        for case in CORPUS
        for piece in (None, 7, 1)
        if case.kind == kind and (piece is None or sum(map(len, case.parts)) < 3000)
    ]


@pytest.mark.parametrize(("case", "piece"), cut(WHOLE))
def test_a_whole_message_leaves_its_neighbours_alone(make_site, case, piece):
    client = make_site(Echo()).connect()
    method = "HEAD" if case.is_head else "GET"
    client.send(NEXT)
    client.send(b"".join(case.parts), piece)
    first, *own = client.responses("GET", method)
    [answer] = [response for response in own if response.status >= 200]
    assert (first.body, answer.status) == (b"GET /next ", 200)
    if answer.headers.get("connection") == "close":
        return
    client.send(NEXT, piece)
    client.send(NEXT)
    assert [response.body for response in client.responses("GET", method)[-2:]] == [b"GET /next "] * 2


@pytest.mark.parametrize(("case", "piece"), cut(MALFORMED))
def test_a_malformed_message_is_refused_once_and_nothing_behind_it_is_served(make_site, case, piece):
    echo = Echo()
    site = make_site(echo)
    client = site.connect()
    client.send(b"".join(case.parts) + NEXT, piece)
    [response] = client.responses()
    assert response.status >= 400
    assert response.headers["connection"] == "close"
    assert echo.messages == []
    site.pass_time(3)
    assert client.is_closed


def test_no_two_attacks_have_one_name():
    assert len({case.name for case in CORPUS}) == len(CORPUS)
