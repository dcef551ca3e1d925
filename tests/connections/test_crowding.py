"""Who has to leave a full worker, and in which order: tables."""

from __future__ import annotations

import pytest

from uvicorn.connections.crowding import (
    CLOSING,
    EVENTS,
    HANDSHAKE,
    IDLE,
    NEW,
    SENDING,
    SOCKET,
    TAKING,
    WAITING,
    Standing,
    describe,
    may_leave,
    order,
)


@pytest.mark.parametrize(
    ("standing", "at_once", "pressing"),
    [
        (Standing(IDLE, 0.0), True, True),
        (Standing(IDLE, 60.0), True, True),
        (Standing(NEW, 60.0), False, True),
        (Standing(NEW, 2.0), False, True),
        (Standing(NEW, 1.9), False, False),  # its request may be on its way
        (Standing(CLOSING, 1.0), False, True),
        (Standing(CLOSING, 0.9), False, False),
        (Standing(SENDING, 5.0, 300.0), False, True),
        (Standing(SENDING, 1.0, 0.0), False, False),  # nobody knows yet
        (Standing(SENDING, 5.0, 4095.0), False, True),
        (Standing(SENDING, 5.0, 4096.0), False, False),  # fair
        (Standing(SENDING, 5.0, 0.0, is_declared=True), False, True),
        (Standing(TAKING, 5.0, 300.0), False, True),
        (Standing(TAKING, 5.0, 1e6), False, False),
        (Standing(WAITING, 600.0), False, False),
        (Standing(EVENTS, 600.0), False, False),
        (Standing(SOCKET, 600.0), False, False),
        (Standing(HANDSHAKE, 600.0), False, False),
    ],
)
def test_who_may_be_closed(standing, at_once, pressing):
    assert (may_leave(standing, False), may_leave(standing, True)) == (at_once, pressing)


def test_the_order_is_idle_ones_then_those_without_a_request_then_the_slowest_and_declared_ones_last():
    expected = [
        Standing(IDLE, 9.0),
        Standing(IDLE, 2.0),
        Standing(NEW, 8.0),
        Standing(CLOSING, 1.5),
        Standing(TAKING, 5.0, 0.0),
        Standing(SENDING, 3.0, 10.0),
        Standing(TAKING, 9.0, 300.0),
        Standing(SENDING, 9.0, 4000.0),
        Standing(SENDING, 9.0, 1.0, is_declared=True),
        Standing(TAKING, 9.0, 2.0, is_declared=True),
    ]
    assert sorted(expected[1::2] + expected[::2], key=order) == expected


@pytest.mark.parametrize(
    ("states", "addresses", "text"),
    [
        ([], [], "none"),
        ([IDLE], [], "1 idle"),
        ([IDLE, SOCKET, SOCKET], ["a", "b", "b"], "2 sockets, 1 idle; most from b (2), a (1)"),
        ([SENDING] * 9, ["d", "a", "a", "b", "b", "b", "c"], "9 sending a body; most from b (3), a (2), d (1)"),
    ],
)
def test_the_line_of_the_log(states, addresses, text):
    assert describe(states, addresses) == text
