"""Who waits for the client."""

from __future__ import annotations

from uvicorn.connections.flow import WriteGate


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
