"""When a worker that was told to leave does so: at once, or when those in its place are ready."""

import os
import subprocess
import tempfile
import time
from types import SimpleNamespace

import pytest
from doubles import FakeLog

from uvicorn.command.departure import LEAVE, STAY, WAIT, Departure, reason_of, verdict
from uvicorn.command.leaving import Leaving, drain_seconds
from uvicorn.command.replacement import is_leaving
from uvicorn.command.roll import FAILED, LEAVING, READY, STAYING, Roll, Standing


class FakeLoop:
    """A clock, and timers that go off when the test says so."""

    def __init__(self):
        self.now = 0.0
        self.timers = []

    def time(self):
        return self.now

    def call_later(self, delay, function, *args):
        self.timers.append((function, args))

    def turn(self):
        timers, self.timers = self.timers, []
        for function, args in timers:
            function(*args)


class Worker:
    """What is used of a worker: the file that it shares with its master."""

    def __init__(self, roll, number):
        self.alive = True
        self.pid = os.getpid()
        self.tmp = tempfile.TemporaryFile()  # noqa: SIM115 (closed by the fixture)
        self.entry = roll.enter(self, number)
        self.entry.set_pid(os.getpid())

    def notify(self):
        pass


class Scene:
    """Old workers, of which each is told to leave, and new ones."""

    def __init__(self):
        self.roll = Roll()
        self.loop = FakeLoop()
        self.log = FakeLog()
        self.events = []
        self.workers = []

    def make(self, number, is_ready=False):
        worker = Worker(self.roll, number)
        self.workers.append(worker)
        if is_ready:
            worker.entry.tell(READY)
        return worker

    def departure(self, worker, bound=60.0):
        number = worker.entry.standing.number

        def leave():
            worker.alive = False
            worker.entry.tell(LEAVING)
            self.events.append(f"{number} leaves")

        def stay():
            self.events.append(f"{number} stays")

        return Departure(worker, worker.entry, self.loop, self.log, bound, leave, stay)


@pytest.fixture
def scene(monkeypatch):
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)  # what was made a moment ago stays so on a machine that stands
    made = Scene()
    yield made
    for worker in made.workers:
        worker.tmp.close()


@pytest.fixture(scope="module")
def gone():
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_nobody_starts_and_the_worker_leaves_at_once(scene):
    old = scene.make(1, is_ready=True)
    scene.make(2, is_ready=True)
    scene.departure(old).begin()
    assert scene.events == ["1 leaves"]


def test_a_worker_without_a_place_on_the_roll_leaves_at_once(scene):
    old, left = scene.make(1, is_ready=True), []
    scene.make(2)
    Departure(old, None, scene.loop, scene.log, 60.0, lambda: left.append(True), scene.events.append).begin()
    assert left == [True]


@pytest.mark.parametrize("word", ["is_stopping", "is_orderly"])
def test_it_leaves_at_once_if_the_master_stops_or_has_waited_already(scene, word):
    old = scene.make(1, is_ready=True)
    scene.make(2)
    setattr(scene.roll, word, True)
    scene.departure(old).begin()
    assert scene.events == ["1 leaves"]


def test_it_leaves_when_the_new_one_is_ready_however_often_it_is_told(scene):
    old, new = scene.make(1, is_ready=True), scene.make(2)
    departure = scene.departure(old)
    for _ in range(3):
        departure.begin()
        scene.loop.turn()
        assert scene.events == []
        assert departure.is_waiting
        assert is_leaving(old)  # the master does not count it
        assert old.entry.state == STAYING
    new.entry.tell(READY)
    scene.loop.turn()
    assert scene.events == ["1 leaves"]
    assert scene.loop.timers == []


def test_all_leave_when_all_new_ones_are_ready(scene):
    olds = [scene.make(number, is_ready=True) for number in (1, 2)]
    news = [scene.make(number) for number in (3, 4)]
    for old in olds:
        scene.departure(old).begin()
    news[0].entry.tell(READY)
    scene.loop.turn()
    assert scene.events == []
    news[1].entry.tell(READY)
    scene.loop.turn()
    assert scene.events == ["1 leaves", "2 leaves"]


def test_as_many_stay_as_new_ones_could_not_start(scene):
    olds = [scene.make(number, is_ready=True) for number in (1, 2, 3)]
    news = [scene.make(number) for number in (4, 5, 6)]
    for old in olds:
        scene.departure(old).begin()
    scene.loop.turn()
    news[0].entry.tell(FAILED, "no such module: x")
    news[1].entry.tell(READY)
    news[2].entry.tell(FAILED, "no such module: x")
    scene.loop.turn()
    assert scene.events == ["1 leaves", "2 stays", "3 stays"]
    assert "could not start: no such module: x; the old one stays" in scene.log.take("error")[0]
    assert olds[1].entry.state == READY
    assert not is_leaving(olds[1])


def test_the_old_one_stays_if_the_new_one_is_killed(scene, gone):
    old, new = scene.make(1, is_ready=True), scene.make(2)
    scene.departure(old).begin()
    new.entry.set_pid(gone)
    scene.loop.turn()
    assert scene.events == ["1 stays"]


def test_the_old_one_stays_if_the_new_one_has_failed_before_it_was_told_to_leave(scene, gone):
    old, failed, killed = scene.make(1, is_ready=True), scene.make(2), scene.make(3)
    failed.entry.tell(FAILED, "no such module: x")
    killed.entry.set_pid(gone)
    departure = scene.departure(old)
    departure.begin()
    assert scene.events == ["1 stays"]
    assert not departure.is_waiting
    assert "could not start: no such module: x; the old one stays" in scene.log.take("error")[0]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("ends", [False, True])
def test_as_many_stay_as_have_failed_though_another_one_is_ready_before_they_are_told(scene, gone, order, ends):
    olds = [scene.make(number, is_ready=True) for number in (1, 2)]
    scene.make(3, is_ready=True)
    scene.make(4).entry.tell(FAILED, "no such module: x")
    for index in order:
        scene.departure(olds[index]).begin()
        if ends and not olds[index].alive:
            olds[index].entry.set_pid(gone)
    assert sorted(scene.events) == ["1 leaves", "2 stays"]


@pytest.mark.parametrize("own", [1, 2])
def test_one_that_is_told_alone_leaves_if_the_new_one_was_ready_before(scene, own):
    """It is the second one that has asked for another one in its place; the first one goes on."""
    workers = [scene.make(number, is_ready=True) for number in (1, 2, 3)]
    scene.departure(workers[own - 1]).begin()
    assert scene.events == [f"{own} leaves"]


@pytest.mark.parametrize("is_told_twice", [False, True])
def test_a_sibling_that_is_as_old_is_none_that_was_made_in_its_place(scene, monkeypatch, is_told_twice):
    """Under plain Gunicorn: a HUP right after the start, and new workers that fail."""
    old = scene.make(1, is_ready=True)
    scene.make(2, is_ready=True)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 1)
    departure = scene.departure(old)
    news = [scene.make(number) for number in (3, 4)]
    if is_told_twice:  # the second time when it is counted again, before the master has seen the ends of all new ones
        departure.begin()
    for new in news:
        new.entry.tell(FAILED, "no such module: x")
    scene.loop.turn()
    departure.begin()
    assert scene.events == ["1 stays"] * (1 + is_told_twice)


def test_a_failure_of_long_ago_keeps_nobody(scene, monkeypatch):
    old, failed = scene.make(1, is_ready=True), scene.make(2)
    failed.entry.tell(FAILED, "no such module: x")
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 60)
    scene.departure(old).begin()
    assert scene.events == ["1 leaves"]


def test_one_that_stayed_leaves_the_next_time(scene):
    old, new = scene.make(1, is_ready=True), scene.make(2)
    departure = scene.departure(old)
    departure.begin()
    new.entry.tell(FAILED)
    scene.loop.turn()
    third = scene.make(3)
    departure.begin()
    scene.loop.turn()
    third.entry.tell(READY)
    scene.loop.turn()
    assert scene.events == ["1 stays", "1 leaves"]


def test_a_second_reload_during_the_first_is_waited_for(scene, gone):
    old, first = scene.make(1, is_ready=True), scene.make(2)
    scene.departure(old).begin()
    scene.loop.turn()
    second = scene.make(3)
    first.entry.tell(LEAVING)
    first.entry.set_pid(gone)
    scene.loop.turn()
    assert scene.events == []
    second.entry.tell(READY)
    scene.loop.turn()
    assert scene.events == ["1 leaves"]


def test_it_leaves_if_the_new_ones_are_told_to_by_a_master_that_has_not_said_that_it_stops(scene, gone):
    old, new = scene.make(1, is_ready=True), scene.make(2)
    scene.departure(old).begin()
    new.entry.tell(LEAVING)
    new.entry.set_pid(gone)
    scene.loop.turn()
    assert scene.events == ["1 leaves"]


def test_it_leaves_when_the_master_stops_meanwhile(scene):
    old = scene.make(1, is_ready=True)
    scene.make(2)
    scene.departure(old).begin()
    scene.roll.is_stopping = True
    scene.loop.turn()
    assert scene.events == ["1 leaves"]


@pytest.mark.parametrize("is_told_again", [False, True])
def test_one_that_waits_for_others_delays_its_stop_as_all_do_when_the_server_stops(scene, is_told_again):
    old = scene.make(1, is_ready=True)
    scene.make(2)
    old.log, old.ppid = scene.log, 0
    old.cfg = SimpleNamespace(timeout=30, graceful_timeout=30)
    leaving = Leaving(old, old.entry, scene.loop, 10.0, None)
    leaving.on_term()
    scene.roll.is_stopping = True
    if is_told_again:
        leaving.on_term()
    scene.loop.turn()
    assert "The server stops in 10 seconds" in scene.log.take("info")[-1]
    assert old.alive
    assert not leaving.has_begun.is_set()
    scene.loop.turn()  # the delay is over
    assert not old.alive
    assert leaving.has_begun.is_set()


def test_it_leaves_when_the_bound_has_passed(scene):
    old = scene.make(1, is_ready=True)
    scene.make(2)
    scene.departure(old, bound=60.0).begin()
    scene.loop.turn()
    scene.loop.now = 61.0
    scene.loop.turn()
    assert scene.events == ["1 leaves"]
    assert "were not ready within 60 seconds" in scene.log.take("warning")[0]


def test_one_that_was_stopped_by_something_else_looks_no_more(scene):
    old = scene.make(1, is_ready=True)
    scene.make(2)
    scene.departure(old).begin()
    old.alive = False
    scene.loop.turn()
    assert (scene.events, scene.loop.timers) == ([], [])


def test_verdict_of_states():
    def standing(state, pid=os.getpid()):  # noqa: B008 (the same all the time)
        return Standing(1, state, pid, 9)

    assert verdict([standing(READY)], 0) == LEAVE
    assert verdict([standing(READY)], 1) == STAY
    assert verdict([standing(STAYING)], 0) == LEAVE
    assert verdict([standing(1), standing(READY)], 0) == WAIT
    assert verdict([standing(1, pid=0)], 0) == WAIT  # it is being forked
    assert verdict([standing(FAILED)], 0) == STAY
    assert verdict([], 0) == STAY  # they have gone, and others have their places
    assert verdict([standing(LEAVING)], 0) == LEAVE


def test_a_reason_is_given_where_there_is_one():
    assert reason_of([Standing(1, FAILED, 1, 1), Standing(2, FAILED, 1, 2, "why")]) == "why"
    assert reason_of([Standing(1, LEAVING, 1, 1)]) == "it has ended without a word"


@pytest.mark.parametrize(("graceful", "draining"), [(900, 810), (30, 27), (5, 4.3), (1, 0.4), (0, 0)])
def test_a_part_of_the_time_for_a_stop_is_left_for_its_report(graceful, draining):
    assert drain_seconds(graceful) == pytest.approx(draining)
