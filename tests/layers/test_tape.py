"""What one process knows of a history: each message once and in order, whichever way it comes, and true gaps."""

import itertools
import random

import pytest

from uvicorn.layers.history import History, Kept, Position, Recalled
from uvicorn.layers.tape import Tape

HISTORY = History(5, 100.0)


def recalled(last, first=1, epoch="a", age=0.0):
    return Recalled(epoch, last, [Kept(offset, age, {"text": str(offset)}) for offset in range(first, last + 1)])


def offsets(found):
    return [entry.offset for entry in found.entries]


def opened(last=0, first=1, epoch="a", now=0.0):
    tape = Tape(HISTORY)
    tape.recalled(recalled(last, first, epoch), now)
    return tape


def take(tape, offset, epoch="a", now=0.0):
    entry = tape.take(epoch, offset, {"text": str(offset)}, now)
    return None if entry is None else entry.offset


def test_nothing_is_passed_on_before_the_layer_was_asked():
    tape = Tape(HISTORY)
    assert take(tape, 3) is None
    assert tape.position is None
    assert not tape.is_open
    assert not tape.covers(None)
    found = tape.recalled(recalled(3, 2), 0.0)
    assert (offsets(found), found.missed) == ([3], 0)
    assert tape.is_open
    assert tape.position == Position("a", 3)


def test_live_messages_are_passed_on_once():
    tape = opened(2)
    assert [take(tape, offset) for offset in (3, 3, 2, 4)] == [3, None, None, 4]
    assert tape.is_open


def test_one_that_is_missing_is_asked_for_and_what_came_meanwhile_follows_it():
    tape = opened(2)
    assert take(tape, 4) is None
    assert take(tape, 5) is None
    assert not tape.is_open
    found = tape.recalled(recalled(4, 3), 0.0)
    assert (offsets(found), found.missed) == ([3, 4, 5], 0)
    assert tape.is_open


@pytest.mark.parametrize(
    ("given", "held", "passed_on"),
    [
        (None, [], []),
        (None, [4], [4]),
        (None, [3, 4, 5], [3, 4, 5]),
        (Position("a", 2), [], [3, 4]),
        (Position("a", 2), [5], [3, 4, 5]),
        (Position("b", 2), [], []),
    ],
)
def test_those_that_were_members_before_are_given_nothing_twice(given, held, passed_on):
    tape = Tape(HISTORY, given)
    for offset in held:
        take(tape, offset)
    found = tape.recalled(recalled(4), 0.0)
    assert (offsets(found), found.missed) == (passed_on, 0)
    assert offsets(tape.since(Position("a", 0), 0.0))[:4] == [1, 2, 3, 4]


@pytest.mark.parametrize(("kept_from", "missed", "given"), [(3, 0, [3, 4]), (4, 1, [4]), (5, 2, [])])
def test_what_is_not_kept_any_more_is_a_gap_of_so_many(kept_from, missed, given):
    tape = opened(2)
    tape.close()
    found = tape.recalled(recalled(4, kept_from), 0.0)
    assert (offsets(found), found.missed) == (given, missed)
    assert tape.position == Position("a", 4)


def test_another_epoch_is_a_gap_of_an_unknown_number_and_begins_anew():
    tape = opened(7, 5)
    assert take(tape, 2, "b") is None
    found = tape.recalled(recalled(2, 1, "b"), 0.0)
    assert (offsets(found), found.missed) == ([1, 2], None)
    assert take(tape, 3, "b") == 3
    assert offsets(tape.since(Position("b", 0), 0.0)) == [1, 2, 3]


def test_an_answer_that_was_overtaken_by_live_messages_is_no_gap():
    tape = opened(7, 5)
    for offset in (8, 9):
        assert take(tape, offset) == offset
    found = tape.recalled(recalled(8, 8), 0.0)
    assert (found.entries, found.missed) == ([], 0)
    assert tape.position == Position("a", 9)
    assert take(tape, 10) == 10


def test_what_does_not_fit_is_asked_for_twice_and_then_dropped():
    tape = opened(2)
    assert take(tape, 1, "old") is None
    for is_open in (False, True):
        found = tape.recalled(recalled(2, 3), 0.0)
        assert (found.entries, found.missed, tape.is_open) == ([], 0, is_open)
    assert take(tape, 3) == 3


def test_what_comes_while_the_layer_is_asked_is_bounded():
    tape = opened(2)
    for offset in range(4, 100):
        assert take(tape, offset) is None
    found = tape.recalled(recalled(98, 94), 0.0)
    assert (offsets(found), found.missed) == ([94, 95, 96, 97, 98, 99], 91)


def test_what_is_known_and_what_comes_while_the_layer_is_asked_is_bounded_in_bytes():
    tape = Tape(History(100, 100.0, bytes=1000))
    tape.recalled(Recalled("a", 5, [Kept(offset, 0.0, {}, 300) for offset in range(1, 6)]), 0.0)
    found = tape.since(Position("a", 0), 0.0)
    assert (offsets(found), found.missed) == ([3, 4, 5], 2)
    assert tape.take("a", 6, {}, 0.0, 900).offset == 6
    assert offsets(tape.since(Position("a", 0), 0.0)) == [6]
    assert tape.take("a", 7, {}, 0.0, 5000).offset == 7  # the latest is there, however large it is
    assert tape.take("a", 8, {}, 0.0, 1).offset == 8
    assert offsets(tape.since(Position("a", 0), 0.0)) == [8]
    for offset in range(10, 20):
        assert tape.take("a", offset, {}, 0.0, 300) is None
    found = tape.recalled(Recalled("a", 16, [Kept(16, 0.0, {}, 300)]), 0.0)
    assert (offsets(found), found.missed) == ([16, 17, 18, 19], 7)


@pytest.mark.parametrize(
    ("seen", "given", "missed"),
    [
        (None, [], 0),
        (Position("a", 7), [], 0),
        (Position("a", 5), [6, 7], 0),
        (Position("a", 2), [3, 4, 5, 6, 7], 0),
        (Position("a", 0), [3, 4, 5, 6, 7], 2),
        (Position("b", 6), [3, 4, 5, 6, 7], None),
        (Position("a", 8), [3, 4, 5, 6, 7], None),
    ],
)
def test_who_comes_back_gets_what_came_since(seen, given, missed):
    tape = opened(4)
    for offset in (5, 6, 7):
        take(tape, offset)
    found = tape.since(seen, 0.0)
    assert (offsets(found), found.missed) == (given, missed)
    assert tape.covers(seen) == (seen in (None, Position("a", 7), Position("a", 5), Position("a", 2), Position("a", 0)))


def test_what_is_too_old_is_not_given():
    tape = Tape(HISTORY)
    tape.recalled(recalled(1, age=90.0), 0.0)
    take(tape, 2, now=5.0)
    assert offsets(tape.since(Position("a", 0), 9.0)) == [1, 2]
    found = tape.since(Position("a", 0), 11.0)
    assert (offsets(found), found.missed) == ([2], 1)
    found = tape.since(Position("a", 0), 200.0)
    assert (offsets(found), found.missed) == ([], 2)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_way_messages_come_each_is_passed_on_once_and_in_order(seed):
    """Lose, double and mix live messages; the layer knows them all."""
    chance = random.Random(seed)
    tape = Tape(History(1000, 100.0))
    passed = []
    sent = 0

    def ask():
        while not tape.is_open:
            position = tape.position
            found = tape.recalled(recalled(sent, position.offset + 1 if position else 1), 0.0)
            assert found.missed == 0
            passed.extend(offsets(found))

    ask()
    for _ in range(200):
        burst = []
        for _ in range(chance.randrange(5)):
            sent += 1
            burst += [sent] * chance.choice((0, 1, 1, 1, 2))
        if chance.random() < 0.3:
            chance.shuffle(burst)
        for offset in burst:
            entry = tape.take("a", offset, {}, 0.0)
            if entry is not None:
                passed.append(entry.offset)
        if chance.random() < 0.5:
            ask()
    tape.close()
    ask()
    assert passed == [*itertools.islice(itertools.count(1), sent)]


def test_who_comes_back_to_what_lies_before_a_gap_is_told_of_the_gap():
    tape = Tape(HISTORY)
    tape.recalled(recalled(0), 0.0)
    take(tape, 1, now=3.0)  # sent at 0, but this process stood still: for the tape it is 3 seconds younger
    take(tape, 2, now=3.0)
    tape.close()  # 3 was kept by a process that was killed before it told anybody
    assert tape.recalled(recalled(4, 4), 101.0).missed == 1  # it is too old now
    found = tape.since(Position("a", 1), 101.0)
    assert (offsets(found), found.missed) == ([4], 2)
