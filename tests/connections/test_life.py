"""The life of a connection: one table, every state and every event."""

from __future__ import annotations

import pytest

from uvicorn.connections.life import (
    BODY,
    CLOSING,
    DEAF,
    HEAD,
    LAST,
    LAST_BODY,
    LINGERING,
    LOST,
    PREFACE,
    PROXY,
    SOCKET,
    STATES,
    Life,
)

EVENTS = (
    "proxy_read", "body_begins", "body_ended", "upgrades", "ends_here", "is_cut_short", "lingers", "closes", "lost",
    "awaits_preface", "preface_read",
)  # fmt: skip
_ = None
TABLE = {
    PROXY: (HEAD, _, _, _, LAST, DEAF, LINGERING, CLOSING, LOST, _, _),
    PREFACE: (_, _, _, _, LAST, DEAF, LINGERING, CLOSING, LOST, _, HEAD),
    HEAD: (_, BODY, _, SOCKET, LAST, DEAF, LINGERING, CLOSING, LOST, PREFACE, _),
    BODY: (_, _, HEAD, _, LAST_BODY, DEAF, LINGERING, CLOSING, LOST, _, _),
    LAST_BODY: (_, _, LAST, _, _, DEAF, LINGERING, CLOSING, LOST, _, _),
    SOCKET: (_, _, _, _, LAST, DEAF, LINGERING, CLOSING, LOST, _, _),
    LAST: (_, _, _, _, _, DEAF, LINGERING, CLOSING, LOST, _, _),
    DEAF: (_, _, _, _, _, _, LINGERING, CLOSING, LOST, _, _),
    LINGERING: (_, _, _, _, _, _, _, CLOSING, LOST, _, _),
    CLOSING: (_, _, _, _, _, _, _, _, LOST, _, _),
    LOST: (_, _, _, _, _, _, _, _, _, _, _),
}


@pytest.mark.parametrize("state", TABLE, ids=STATES)
@pytest.mark.parametrize("event", EVENTS)
def test_each_event_leads_where_the_table_says(state, event):
    life = Life(False, False)
    life.state = state
    expected = TABLE[state][EVENTS.index(event)]
    assert life.on(event) is (expected is not None)
    assert life.state == (state if expected is None else expected)


@pytest.mark.parametrize(("has_proxy_header", "state"), [(True, PROXY), (False, HEAD)])
def test_a_connection_begins_with_a_proxy_header_or_with_a_head(has_proxy_header, state):
    assert Life(has_proxy_header, False).state == state


def test_who_has_left_or_sends_nothing_more_gets_no_promise_of_another_answer():
    life = Life(False, False)
    assert not life.is_ending
    life.on_half_closed()
    assert (life.is_ending, life.is_half_closed, life.is_lost) == (True, True, False)
    life = Life(False, False)
    life.on("lost")
    assert (life.is_ending, life.is_half_closed, life.is_lost) == (True, False, True)
    assert Life(False, is_ending=True).is_ending


def test_the_state_is_shown_in_words():
    life = Life(False, False)
    life.on_half_closed()
    assert repr(life) == "<Life HEAD half closed>"
