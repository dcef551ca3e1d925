"""The gates: when to stop reading, and who waits for the client."""

from __future__ import annotations

import pytest

from uvicorn.connections.flow import BODY, PIPELINE, ReadGate, WriteGate


@pytest.mark.parametrize(
    ("steps", "calls"),
    [
        ([("hold", BODY)], ["pause"]),
        ([("hold", BODY), ("hold", BODY)], ["pause"]),
        ([("hold", BODY), ("release", BODY)], ["pause", "resume"]),
        ([("hold", BODY), ("hold", PIPELINE)], ["pause"]),
        ([("hold", BODY), ("hold", PIPELINE), ("release", BODY)], ["pause"]),
        ([("hold", BODY), ("hold", PIPELINE), ("release", PIPELINE), ("release", BODY)], ["pause", "resume"]),
        ([("hold", BODY), ("hold", BODY), ("release", BODY)], ["pause", "resume"]),
        ([("release", BODY)], []),
        ([("hold", BODY), ("release", PIPELINE)], ["pause"]),
        ([("hold", BODY), ("release", BODY), ("release", BODY)], ["pause", "resume"]),
        ([("hold", BODY), ("release", BODY), ("hold", PIPELINE)], ["pause", "resume", "pause"]),
    ],
)
def test_reading_is_paused_while_there_is_a_reason(steps, calls):
    made = []
    gate = ReadGate(lambda: made.append("pause"), lambda: made.append("resume"))
    for step, reason in steps:
        getattr(gate, step)(reason)
    assert made == calls
    assert bool(gate.reasons) is (made[-1:] == ["pause"])


def test_the_write_gate_is_open_at_first_and_follows_the_transport():
    gate = WriteGate()
    assert gate.is_open
    gate.close()
    assert not gate.is_open
    gate.open()
    assert gate.is_open


def test_each_waiter_is_called_once_in_order():
    gate, called = WriteGate(), []
    gate.close()
    gate.wait(lambda: called.append(1))
    gate.wait(lambda: called.append(2))
    assert called == []
    gate.open()
    gate.open()
    assert called == [1, 2]


def test_a_waiter_that_waits_again_is_called_at_the_next_opening():
    gate, called = WriteGate(), []

    def again():
        called.append(gate.is_open)
        gate.wait(again)

    gate.wait(again)
    gate.open()
    assert called == [True]
    gate.open()
    assert called == [True, True]
