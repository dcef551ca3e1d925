"""What is taken from whom in one turn of the loop, and when reading stops."""

from __future__ import annotations

from collections import deque

import pytest

from uvicorn.connections.intake import BODY, PIPELINE, Intake
from uvicorn.connections.turns import SHARE, STEP_BYTES, STEPS, Turns


class Loop:
    """Turns of a loop, made by the test."""

    def __init__(self):
        self.ready = deque()

    def call_soon(self, callback):
        self.ready.append(callback)

    def turn(self):
        """Run what is ready now; return whether there was anything."""
        for _ in range(count := len(self.ready)):
            self.ready.popleft()()
        return count > 0


class Wire:
    """A transport that notes whether it reads."""

    def __init__(self):
        self.is_reading = True
        self.changes = 0

    def is_closing(self):
        return False

    def pause_reading(self):
        assert self.is_reading
        self.is_reading = False
        self.changes += 1

    def resume_reading(self):
        assert not self.is_reading
        self.is_reading = True
        self.changes += 1


class Client:
    """An intake whose bytes are taken one by one."""

    def __init__(self, turns, name="", taken=None):
        self.taken = [] if taken is None else taken
        self.name = name
        self.pauses = 0
        self.intake = Intake(turns, self.take, self.paused)
        self.wire = self.intake.transport = Wire()

    def paused(self):
        self.pauses += 1

    def take(self, data, at):
        self.taken.append(f"{self.name}{chr(data[at])}")
        return at + 1


@pytest.fixture
def loop():
    return Loop()


@pytest.fixture
def turns(loop):
    return Turns(loop.call_soon)


def test_what_is_in_the_share_is_taken_at_once_and_reading_goes_on(turns):
    client = Client(turns)
    client.intake.receive(b"x" * SHARE)
    assert len(client.taken) == SHARE
    assert client.wire.changes == 0


def test_what_is_beyond_the_share_waits_for_the_next_turns_and_reading_stops_until_all_is_taken(turns, loop):
    client = Client(turns)
    client.intake.receive(bytes(range(50)))
    counts = []
    while True:
        counts.append(len(client.taken))
        assert client.wire.is_reading is (len(client.taken) == 50)
        if not loop.turn():
            break
    assert counts == [16, 32, 48, 50]
    assert client.pauses == 4
    assert client.taken == [chr(n) for n in range(50)]
    assert client.intake.waiting_bytes == 0


def test_bytes_cost_steps_too(turns, loop):
    client = Client(turns)
    client.intake.hand_over(lambda data, at: (client.taken.append(at), at + STEP_BYTES)[1])
    client.intake.receive(b"x" * (STEP_BYTES * SHARE))
    assert len(client.taken) == SHARE // 2
    assert not client.wire.is_reading
    loop.turn()
    assert len(client.taken) == SHARE
    assert client.wire.is_reading


def test_those_who_wait_are_served_in_order_a_share_each(turns, loop):
    taken = []
    clients = [Client(turns, name, taken) for name in "abc"]
    for client in clients:
        client.intake.receive(b"." * (2 * SHARE))
    assert taken == ["a."] * SHARE + ["b."] * SHARE + ["c."] * SHARE
    del taken[:]
    loop.turn()
    assert taken == ["a."] * SHARE + ["b."] * SHARE + ["c."] * SHARE
    assert all(client.wire.is_reading for client in clients)


def test_all_together_take_no_more_in_a_turn_than_the_budget(turns, loop):
    taken = []
    clients = [Client(turns, str(number), taken) for number in range(100)]
    for client in clients:
        client.intake.receive(b"." * 100)
    assert len(taken) == STEPS
    seen = len(taken)
    while loop.turn():
        assert len(taken) - seen <= STEPS
        seen = len(taken)
    assert len(taken) == 100 * 100
    assert all(client.wire.is_reading for client in clients)


def test_a_crowd_that_waits_leaves_half_of_a_turn_to_who_comes_fresh(turns, loop):
    taken = []
    crowd = [Client(turns, "c", taken) for _ in range(100)]
    for client in crowd:
        client.intake.receive(b"." * 1000)
    loop.turn()
    fresh = Client(turns, "f", taken)
    fresh.intake.receive(b"!")
    assert taken[-1] == "f!"


def test_who_finds_the_budget_spent_waits_behind_the_others_and_loses_nothing(turns, loop):
    taken = []
    crowd = [Client(turns, "c", taken) for _ in range(STEPS // SHARE)]
    for client in crowd:
        client.intake.receive(b"." * SHARE)
    late = Client(turns, "l", taken)
    late.intake.receive(b"12")
    assert not late.wire.is_reading
    late.intake.receive(b"3")  # what was on its way already
    loop.turn()
    assert taken[-3:] == ["l1", "l2", "l3"]
    assert late.wire.is_reading


def test_the_budget_is_filled_up_after_a_turn_that_used_much_of_it(turns, loop):
    client = Client(turns)
    for _ in range(10 * STEPS):
        client.intake.receive(b".")
        loop.turn()
    assert len(client.taken) == 10 * STEPS
    assert turns.left > 0


def test_nothing_is_taken_while_somebody_holds_and_all_of_it_afterwards(turns, loop):
    client = Client(turns)
    client.intake.hold(BODY)
    client.intake.receive(b"abc")
    loop.turn()
    assert client.taken == []
    client.intake.release(BODY)
    assert client.taken == []  # not inside of who released
    loop.turn()
    assert client.taken == ["a", "b", "c"]
    assert client.wire.is_reading


def test_who_takes_nothing_yet_is_read_for_a_while_and_asked_again_when_it_says_so(turns, loop):
    client = Client(turns)
    client.intake.hand_over(lambda data, at: at)
    client.intake.receive(b"a")
    client.intake.receive(b"b")
    assert client.wire.is_reading
    client.intake.receive(b"." * 65536)
    assert not client.wire.is_reading
    assert not loop.turn()
    client.intake.hand_over(client.take)
    client.intake.go_on()
    loop.turn()
    assert client.taken[:2] == ["a", "b"]
    while loop.turn():
        pass
    assert len(client.taken) == 65538
    assert client.wire.is_reading


def test_what_is_dropped_is_not_taken(turns, loop):
    client = Client(turns)
    client.intake.receive(b"." * 100)
    client.intake.drop()
    loop.turn()
    assert len(client.taken) == SHARE
    assert client.wire.is_reading


def test_who_takes_may_drop_the_rest(turns):
    client = Client(turns)

    def take(data, at):
        client.taken.append(data[at])
        client.intake.drop()
        return at + 1

    client.intake.hand_over(take)
    client.intake.receive(b"abc")
    client.intake.receive(b"d")
    assert client.taken == [*b"ad"]


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
def test_reading_is_paused_while_there_is_a_reason(turns, steps, calls):
    made = []
    intake = Intake(turns, lambda data, at: len(data), lambda: None)
    intake.transport = Wire()
    intake.transport.pause_reading = lambda: made.append("pause")
    intake.transport.resume_reading = lambda: made.append("resume")
    for step, reason in steps:
        getattr(intake, step)(reason)
    assert made == calls
    assert bool(intake.reasons) is (made[-1:] == ["pause"])
