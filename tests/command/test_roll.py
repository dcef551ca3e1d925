"""The roll: what each worker tells, and what others read."""

import os
import subprocess
from types import SimpleNamespace

import pytest

from uvicorn.command.roll import FAILED, LEAVING, READY, STARTING, STAYING, Roll


class Worker:
    """The object that the master has of a worker."""


@pytest.fixture
def roll():
    return Roll()


def test_a_worker_is_starting_before_its_process_is_there(roll):
    worker = Worker()
    entry = roll.enter(worker, 7)
    [standing] = roll.read_all()
    assert (standing.state, standing.pid, standing.number, standing.is_there) == (STARTING, 0, 7, True)
    entry.set_pid(os.getpid())
    assert entry.standing.pid == os.getpid()


def test_others_read_what_a_worker_tells(roll):
    first, second = Worker(), Worker()
    one, two = roll.enter(first, 1), roll.enter(second, 2)
    for entry in (one, two):
        entry.set_pid(os.getpid())
    assert not one.has_sibling_that_serves()
    two.tell(READY)
    assert one.has_sibling_that_serves()
    assert not two.has_sibling_that_serves()
    two.tell(STAYING)
    assert one.has_sibling_that_serves()
    two.tell(LEAVING)
    assert not one.has_sibling_that_serves()
    assert [each.state for each in roll.read_all()] == [STARTING, LEAVING]


def test_a_worker_that_has_gone_serves_nobody(roll):
    worker = Worker()
    gone = subprocess.Popen(["true"])
    gone.wait()
    entry = roll.enter(worker, 1)
    entry.set_pid(gone.pid)
    entry.tell(READY)
    assert not entry.standing.is_there
    assert not roll.has_server()


def test_what_a_forked_worker_tells_is_read_by_its_siblings(roll):
    worker = Worker()
    entry = roll.enter(worker, 1)
    pid = os.fork()
    if not pid:
        entry.tell(FAILED, "no such module")
        os._exit(0)
    os.waitpid(pid, 0)
    assert (entry.standing.state, entry.standing.reason) == (FAILED, "no such module")
    assert roll.retry_at > 0


def test_a_place_is_given_again_when_the_master_has_let_its_worker_go(roll):
    worker = Worker()
    entry = roll.enter(worker, 1)
    entry.tell(FAILED, "a reason")
    del worker
    other = Worker()
    again = roll.enter(other, 2)
    assert again.place == entry.place
    assert (again.standing.state, again.standing.number, again.standing.reason) == (STARTING, 2, "")


def test_a_roll_that_is_full_gives_no_place():
    roll = Roll(places=1)
    worker = Worker()
    assert roll.enter(worker, 1) is not None
    assert roll.enter(worker, 2) is None


def test_a_reason_is_one_line_that_fits(roll):
    worker = Worker()
    entry = roll.enter(worker, 1)
    entry.tell(FAILED, "first\n  second\t" + "é" * 500)
    reason = entry.standing.reason
    assert reason.startswith("first second é")
    assert "\n" not in reason
    other = Worker()
    assert roll.enter(other, 2).standing.reason == ""  # nothing has run over into the next place


@pytest.fixture
def clock(monkeypatch):
    made = SimpleNamespace(now=1000.0)
    monkeypatch.setattr("uvicorn.command.roll.time.monotonic", lambda: made.now)
    return made


def test_each_failure_in_a_row_makes_the_next_try_later_and_a_start_makes_them_forgotten(roll, clock):
    assert roll.retry_at == 0.0
    pauses = []
    for _ in range(10):
        roll.note_failure()
        pauses.append(roll.retry_at - clock.now)
        clock.now = roll.retry_at
    assert pauses == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0, 60.0, 60.0]
    worker = Worker()
    entry = roll.enter(worker, 1)
    entry.tell(READY)
    assert roll.retry_at == 0.0


def test_many_workers_that_fail_together_make_the_next_try_no_later_than_one_does(roll, clock):
    for _ in range(8):
        roll.note_failure()
        clock.now += 0.1
    assert roll.retry_at == pytest.approx(1000.7 + 2.0)


def test_a_worker_that_stays_makes_no_failure_forgotten(roll):
    worker = Worker()
    entry = roll.enter(worker, 1)
    entry.tell(READY)
    entry.tell(STAYING)
    roll.note_failure()
    entry.tell(READY)
    assert roll.retry_at > 0


def test_a_worker_is_told_to_leave_by_itself_or_with_all_others(roll):
    first, second = Worker(), Worker()
    one, two = roll.enter(first, 1), roll.enter(second, 2)
    one.tell_to_leave()
    assert (one.is_told, two.is_told) == (True, False)
    roll.is_stopping = True
    assert two.is_told
    roll.is_stopping = False
    del first
    third = Worker()
    assert not roll.enter(third, 3).is_told


def test_the_master_s_own_words(roll):
    assert (roll.is_stopping, roll.is_orderly) == (False, False)
    roll.is_stopping = True
    assert (roll.is_stopping, roll.is_orderly) == (True, False)
    roll.is_orderly = True
    roll.is_stopping = False
    assert (roll.is_stopping, roll.is_orderly) == (False, True)
