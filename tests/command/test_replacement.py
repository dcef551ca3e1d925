"""How a worker asks for a new one, and which of them the master takes for the oldest."""

import contextlib
import os
import signal
import tempfile

import pytest
from doubles import FakeLog

from uvicorn.command.replacement import Replacement, count_no_leaving, hand_over, is_marked, mark, moment_of


class FakeWorker:
    """What is used of Gunicorn's worker: a file that it shares with the master, and its numbers."""

    def __init__(self, age=7):
        self.age = age
        self.alive = True
        self.ppid = os.getppid()
        self.tmp = tempfile.TemporaryFile()  # noqa: SIM115 (closed by the fixture)
        self.beats = 0

    def notify(self):
        self.beats += 1


class FakeTimers:
    """A loop whose timers go off when the test says so."""

    def __init__(self):
        self.timers = []

    def call_later(self, delay, function):
        self.timers.append((delay, function))

    def fire(self):
        _, function = self.timers.pop(0)
        function()


@pytest.fixture
def worker():
    made = FakeWorker()
    yield made
    made.tmp.close()


@pytest.fixture
def sent(monkeypatch):
    """Signals that were sent: (process id, number)."""
    signals = []
    monkeypatch.setattr(os, "kill", lambda pid, number: signals.append((pid, number)))
    return signals


def make(worker):
    loop, log, left = FakeTimers(), FakeLog(), []

    def leave():
        worker.alive = False
        left.append(True)

    return Replacement(worker, loop, log, leave), loop, log, left


def test_the_master_is_asked_once_to_add_a_worker_and_then_to_take_one_away(worker, sent):
    asking, loop, log, left = make(worker)
    asking.begin()
    asking.begin()
    assert asking.is_asked
    assert sent == []
    loop.fire()
    assert sent == [(os.getppid(), signal.SIGTTIN), (os.getppid(), signal.SIGTTOU)]
    assert is_marked(worker)
    assert worker.beats == 1
    worker.alive = False  # TERM has come
    loop.fire()
    assert (loop.timers, log.lines, left) == ([], [], [])


def test_a_master_that_does_not_answer_is_not_waited_for(worker, sent):
    asking, loop, log, left = make(worker)
    asking.begin()
    loop.fire()
    loop.fire()
    assert left == [True]
    assert "has not answered" in log.take("warning")[0]


def test_a_master_of_another_user_cannot_be_asked_and_the_worker_leaves(worker, monkeypatch):
    def refuse(pid, number):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "kill", refuse)
    asking, loop, log, left = make(worker)
    asking.begin()
    loop.fire()
    assert left == [True]
    assert "Operation not permitted" in log.take("warning")[0]


def test_nobody_is_signalled_in_the_place_of_a_master_that_has_gone(worker, sent):
    worker.ppid += 1
    asking, loop, _, left = make(worker)
    asking.begin()
    loop.fire()
    assert sent == []
    assert left == [True]


def test_a_worker_that_was_told_to_leave_meanwhile_asks_for_nothing(worker, sent):
    asking, loop, _, left = make(worker)
    asking.begin()
    worker.alive = False
    loop.fire()
    assert (sent, left, loop.timers) == ([], [], [])
    assert not is_marked(worker)


def test_workers_of_different_ages_ask_at_different_moments():
    moments = {round((now + moment_of(age, now)) % 1.0, 6) for age in range(1, 21) for now in (5.0, 17.35, 2.999)}
    assert len(moments) == 20
    assert all(0 <= moment_of(age, 3.7) < 1 for age in range(1, 50))


def test_a_worker_without_a_heartbeat_file_is_not_marked(worker):
    assert not is_marked(object())
    worker.tmp.close()
    assert not is_marked(worker)


def test_the_master_takes_a_marked_worker_for_the_oldest(worker, monkeypatch):
    from uvicorn.command.worker import ASGIWorker

    made = ASGIWorker.__new__(ASGIWorker)
    made.age = 9
    made.tmp = worker.tmp
    made.notify = worker.notify
    assert made.age == 9
    mark(made)
    assert made.age == 0


# ---- in development ----


class FakeMaster:
    """What is used of Gunicorn's master: it makes as many workers as are missing."""

    def __init__(self, *workers, wanted=1):
        self.WORKERS = dict(enumerate(workers))
        self._num_workers = wanted
        self.made = []

    def manage_workers(self):
        self.made.append(self._num_workers - len(self.WORKERS))


class FakeConfig:
    """Gunicorn's configuration, with one hook."""

    def __init__(self):
        self.ready = []
        self.when_ready = self.ready.append

    def set(self, name, value):
        setattr(self, name, value)


def begun(*workers, wanted=1):
    cfg, master = FakeConfig(), FakeMaster(*workers, wanted=wanted)
    count_no_leaving(cfg)
    cfg.when_ready(master)
    assert cfg.ready == [master]  # the hook that was there is called
    return master


def test_a_worker_that_hands_over_is_not_counted_however_long_it_stays(worker, sent):
    with contextlib.closing(FakeWorker().tmp) as file:
        younger = FakeWorker()
        younger.tmp.close()
        younger.tmp = file
        master = begun(worker, younger, wanted=2)
        master.manage_workers()
        hand_over(worker)
        master.manage_workers()
        hand_over(younger)
        master.manage_workers()
    assert master.made == [0, 1, 2]
    assert sent == [(worker.ppid, signal.SIGCHLD)] * 2
    assert is_marked(worker)
    assert master._num_workers == 2


def test_a_worker_that_asks_for_a_new_one_is_counted(worker):
    master = begun(worker)
    mark(worker)
    master.manage_workers()
    assert master.made == [0]


def test_a_worker_without_its_file_is_counted(worker):
    worker.tmp.close()
    master = begun(worker)
    master.manage_workers()
    hand_over(worker)
    assert master.made == [0]


def test_a_worker_whose_master_has_gone_signals_nobody(worker, sent):
    worker.ppid = -1
    hand_over(worker)
    assert sent == []
