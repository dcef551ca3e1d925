"""What is measured of a call, and learned of its function: on a machine that does other things, too."""

import asyncio

import pytest
from bridge_doubles import on_loop, until_async

from uvicorn.bridge import measure
from uvicorn.bridge.costs import cost_of
from uvicorn.bridge.governor import Load
from uvicorn.bridge.lease import Lease
from uvicorn.bridge.measure import Measure
from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.pool import ConsumerPool


class Machine:
    """Clocks that go on by what is said to have happened to the thread of a call."""

    def __init__(self):
        self.time = self.own = self.process = self.without_processor = 1.0
        self.reads = 0

    def computes(self, seconds):
        self.time += seconds
        self.own += seconds
        self.process += seconds

    def waits(self, seconds):
        self.time += seconds

    def waits_for_the_loop(self, seconds):
        self.time += seconds
        self.process += seconds

    def is_preempted(self, seconds):
        self.time += seconds
        self.without_processor += seconds

    def now(self):
        return self.time

    def thread_cpu(self):
        return self.own

    def process_cpu(self):
        return self.process

    def ready(self):
        self.reads += 1
        return self.without_processor


def view(machine):
    """Compute, as a view does."""
    machine.computes(0.005)


def slow_view(machine):
    """Compute, and wait for a database as long."""
    machine.computes(0.005)
    machine.waits(0.005)


def measured(call, *more, before=True, after=True):
    """Return what is learned from a few calls, beside what else happens to each."""
    machine, load = Machine(), Load()
    for _ in range(4):
        taken = Measure(before, machine)
        call(machine)
        for what, seconds in more:
            what(machine, seconds)
        taken.end(load, after)
    return load, machine


@pytest.mark.parametrize(
    ("call", "more", "weight"),
    [
        (view, [], 1.0),
        (view, [(Machine.is_preempted, 0.020)], 1.0),
        (view, [(Machine.is_preempted, 0.020), (Machine.waits_for_the_loop, 0.002)], 1.0),
        (slow_view, [], 0.5),
        (slow_view, [(Machine.is_preempted, 0.020)], 0.5),
        (slow_view, [(Machine.waits, 0.015)], 0.2),
    ],
)
def test_a_call_that_got_no_processor_is_not_taken_for_one_that_waits(call, more, weight):
    load, _ = measured(call, *more)
    assert load.weight == pytest.approx(weight)


def test_a_call_that_is_preempted_now_and_then_is_as_short_as_it_is():
    load, _ = measured(lambda machine: machine.computes(0.0001), (Machine.is_preempted, 0.020))
    assert (load.is_light, load.is_short) == (True, True)


@pytest.mark.parametrize(("before", "after", "reads"), [(True, True, 8), (True, False, 4), (False, True, 0)])
def test_the_system_is_asked_only_where_it_matters(before, after, reads):
    load, machine = measured(view, before=before, after=after)
    assert (load.weight, machine.reads) == (1.0, reads)


def test_a_clock_that_counts_more_than_has_passed_leaves_what_was_computed():
    load, _ = measured(view, (lambda machine, seconds: setattr(machine, "without_processor", seconds), 100.0))
    assert load.weight == 1.0


def test_the_clocks_of_the_system_go_on():
    system = measure.SYSTEM
    for clock in (system.now, system.thread_cpu, system.process_cpu, system.ready):
        assert 0.0 <= clock() <= clock()


class Job:
    """One of the pool that is preempted."""

    submitted_at = 0.0
    is_waiting = False

    def __init__(self, machine, load):
        self._machine, self.load = machine, load

    def run(self):
        self._machine.computes(0.005)
        self._machine.is_preempted(0.020)


@on_loop
async def test_calls_of_leases_and_of_consumers_that_are_preempted_weigh_as_what_computes(monkeypatch):
    machine = Machine()
    for name in ("now", "thread_cpu", "process_cpu", "ready"):
        monkeypatch.setattr(measure._SystemClocks, name, staticmethod(getattr(machine, name)))
    loop = asyncio.get_running_loop()
    pool = ConsumerPool(2, 8, loop.call_soon)
    lease = Lease(pool, Outbox(loop))

    def preempted():
        Job(machine, None).run()

    for _ in range(4):
        await loop.run_in_executor(lease, preempted)
    assert cost_of(preempted).load.is_known
    assert cost_of(preempted).load.weight == 1.0
    lease.release()
    load = Load()
    pool.set_limit(1.0)
    pool.measure(4)
    for _ in range(4):
        pool.submit(Job(machine, load))
    await until_async(lambda: load.is_known)
    assert load.weight == 1.0
    pool.stop()
