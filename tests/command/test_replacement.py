"""How a worker asks for a new one, and which of them the master takes for the oldest."""

import contextlib
import os
import signal
import socket
import tempfile
from typing import Any

import pytest
from doubles import FakeLog

from uvicorn.command import share
from uvicorn.command.plain_master import adjust_master
from uvicorn.command.replacement import (
    Replacement,
    hand_over,
    is_leaving,
    mark,
    mark_as_leaving,
    moment_of,
    unmark,
    wants_to_leave,
)
from uvicorn.command.roll import READY
from uvicorn.command.share import roll_of_master


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


def make(worker, **arguments):
    loop, log, left = FakeTimers(), FakeLog(), []

    def leave():
        worker.alive = False
        left.append(True)

    return Replacement(worker, loop, log, leave, **arguments), loop, log, left


def test_the_master_is_asked_once_to_add_a_worker_and_then_to_take_one_away(worker, sent):
    asking, loop, log, left = make(worker)
    asking.begin()
    asking.begin()
    assert asking.is_asked
    assert sent == []
    loop.fire()
    assert sent == [(os.getppid(), signal.SIGTTIN), (os.getppid(), signal.SIGTTOU)]
    assert wants_to_leave(worker)
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
    assert not wants_to_leave(worker)


def test_workers_of_different_ages_ask_at_different_moments():
    moments = {round((now + moment_of(age, now)) % 1.0, 6) for age in range(1, 21) for now in (5.0, 17.35, 2.999)}
    assert len(moments) == 20
    assert all(0 <= moment_of(age, 3.7) < 1 for age in range(1, 50))


def test_a_worker_without_a_heartbeat_file_is_not_marked(worker):
    assert not wants_to_leave(object())
    worker.tmp.close()
    assert not wants_to_leave(worker)


def test_the_master_takes_a_marked_worker_for_the_oldest(worker, monkeypatch):
    from uvicorn.command.worker import ASGIWorker

    made = ASGIWorker.__new__(ASGIWorker)
    made.entry = None
    made.age = 9
    made.tmp = worker.tmp
    made.notify = worker.notify
    assert made.age == 9
    mark(made)
    assert made.age == 0
    mark_as_leaving(made)
    assert made.age > 1000  # it needs not be told again
    unmark(made)
    assert made.age == 9


def test_an_orderly_master_looks_at_the_mark_and_needs_no_signal_but_a_word(worker, sent):
    asking, loop, log, left = make(worker, is_orderly=True)
    asking.begin()
    assert wants_to_leave(worker)
    assert sent == [(os.getppid(), signal.SIGCHLD)]
    assert (loop.timers, log.lines, left) == ([], [], [])


def test_a_worker_that_was_told_and_waits_for_the_new_one_does_not_leave_for_want_of_an_answer(worker, sent):
    told = []
    asking, loop, log, left = make(worker, is_told=lambda: bool(told))
    asking.begin()
    loop.fire()
    told.append(True)
    loop.fire()
    assert (log.lines, left) == ([], [])


def test_a_worker_whose_successor_could_not_start_asks_again(worker, sent):
    told = []
    asking, loop, _, left = make(worker, is_told=lambda: bool(told))
    asking.ask_again()
    assert loop.timers == []  # nobody was asked
    asking.begin()
    loop.fire()
    told.append(True)  # TERM has come, and the new one fails
    told.clear()
    unmark(worker)
    asking.ask_again()
    loop.fire()  # the answer to the first question is not waited for any more
    assert left == []
    loop.fire()
    assert sent == [(os.getppid(), signal.SIGTTIN), (os.getppid(), signal.SIGTTOU)] * 2


# ---- Gunicorn's own master ----


class FakeMaster:
    """What is used of Gunicorn's master: it makes as many workers as are missing."""

    def __init__(self, *workers, wanted=1):
        self.WORKERS = dict(enumerate(workers))
        self._num_workers = wanted
        self.made = []
        self.meanwhile = lambda: None
        self.log = FakeLog()
        self.reexec_pid = self.master_pid = 0
        self.systemd = True
        self.ended = []
        self.LISTENERS, self.pidfile, self.num_workers, self.app = [], None, wanted, self

    def manage_workers(self):
        self.meanwhile()
        self.made.append(self._num_workers - len(self.WORKERS))

    def reload(self):
        self.manage_workers()
        raise AssertionError("it waits for the old workers, deaf to all signals")

    def stop(self, graceful=True):
        self.ended.append((graceful, roll_of_master().is_stopping))


class FakeConfig:
    """Gunicorn's configuration, with one hook."""

    def __init__(self):
        self.ready = []
        self.when_ready = self.ready.append

    def set(self, name, value):
        setattr(self, name, value)


def begun(*workers, wanted=1):
    cfg, master = FakeConfig(), FakeMaster(*workers, wanted=wanted)
    adjust_master(cfg)
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
    assert is_leaving(worker)
    assert master._num_workers == 2


def test_a_worker_that_marks_itself_while_the_master_counts_is_the_oldest_still(worker):
    """Of three for two places the master told the new one to leave, when the old one was not counted any more."""
    from uvicorn.command.worker import ASGIWorker

    old = ASGIWorker.__new__(ASGIWorker)
    old.entry = None
    old.age = 1
    old.tmp = worker.tmp
    old.notify = worker.notify
    master = begun(old)
    found = []

    def meanwhile():
        mark_as_leaving(old)
        found.append((master._num_workers, old.age))

    master.meanwhile = meanwhile
    master.manage_workers()
    assert found == [(1, 1)]
    master.manage_workers()
    assert found[1][0] == 2
    assert found[1][1] > 1000
    assert old.age > 1000


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


@pytest.fixture
def roll(monkeypatch):
    monkeypatch.setattr(share, "_master", None)
    return roll_of_master()


def test_a_plain_master_does_not_wait_for_old_workers_when_it_reloads(worker):
    master = begun(worker)
    master.reload()
    master.manage_workers()
    assert master.made == [0, 0]


def test_a_plain_master_says_that_it_stops_before_it_tells_the_workers(worker, roll):
    master = begun(worker)
    assert not roll.is_stopping
    master.stop()
    master.stop(False)
    assert master.ended == [(True, True), (False, True)]


def test_a_plain_master_waits_before_it_makes_a_worker_again_that_could_not_start(worker, roll):
    master = begun(worker, wanted=3)
    roll.note_failure()
    master.manage_workers()
    roll.forget_failures()
    master.manage_workers()
    assert master.made == [0, 2]


def test_a_plain_master_tells_systemd_once_that_it_is_ready_when_a_worker_is(worker, roll, tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        master, owner = begun(worker), FakeLog()
        entry = roll.enter(owner, 1)
        master.manage_workers()
        with pytest.raises(BlockingIOError):
            systemd.recv(100)
        entry.tell(READY)
        for _ in range(2):
            master.manage_workers()
        assert systemd.recv(100) == b"READY=1\nSTATUS=Serving"
        with pytest.raises(BlockingIOError):
            systemd.recv(100)


def test_the_command_s_master_is_left_as_it_is(worker):
    cfg = FakeConfig()
    master: Any = FakeMaster(worker)
    master.is_orderly = True
    adjust_master(cfg)
    cfg.when_ready(master)
    assert master.manage_workers.__func__ is FakeMaster.manage_workers
