"""Which of several workers takes the next connection."""

import os
import subprocess

import pytest

from uvicorn.command.balance import Balance, Load, Scales, balance_for, decide
from uvicorn.command.roll import Roll


def load(connections=0, calls=0, accepted=0, *, is_full=False, pid=1):
    return Load(True, True, is_full, pid, 0, connections, calls, accepted)


FULL = {"is_full": True}


@pytest.mark.parametrize(
    ("own", "others", "was_over", "takes"),
    [
        (load(50, 9, 7), [], False, True),  # nobody else accepts
        (load(50, 9, 7), [], True, True),
        (load(), [load(), load()], False, True),
        (load(1), [load(), load()], False, True),
        (load(2), [load(), load()], False, False),
        (load(2), [load(2), load(2)], False, True),
        (load(3), [load(2), load(2)], False, True),
        (load(50), [load(45), load(60)], False, True),  # a share more than the least
        (load(60), [load(45), load(60)], False, False),
        (load(2, calls=8), [load(2), load(2)], False, False),
        (load(0, accepted=10), [load(0, accepted=2)], False, False),  # they come and go
        (load(0, accepted=3), [load(0, accepted=2)], False, True),
        # One that has begun to leave them goes on until it has no more than the average.
        (load(3), [load(2), load(2)], True, False),
        (load(3), [load(3), load(3)], True, True),
        (load(3), [load(2), load(6)], True, True),
        # A pool without a free thread.
        (load(0, **FULL), [load(90)], False, False),
        (load(90), [load(0, **FULL)], False, True),
        (load(90), [load(0, **FULL), load(20)], False, False),
        (load(0, **FULL), [load(0, **FULL), load(9, **FULL)], False, True),  # all full: nobody waits for nothing
        (load(9, **FULL), [load(0, **FULL)], False, False),
    ],
)
def test_who_takes_the_next_connection(own, others, was_over, takes):
    decision = decide(own, others, was_over)
    assert bool(decision.most) is takes
    assert bool(decision.wanted) is not takes


@pytest.mark.parametrize("was_over", [False, True])
@pytest.mark.parametrize("fulls", [(), (0,), (0, 1), (0, 1, 2, 3)])
@pytest.mark.parametrize("connections", [(0, 0, 0, 0), (3, 45, 76, 76), (1, 2, 3, 4), (9, 9, 9, 0)])
def test_one_of_them_always_takes_it(connections, fulls, was_over):
    loads = [load(count, is_full=index in fulls) for index, count in enumerate(connections)]
    takes = [decide(own, loads[:index] + loads[index + 1 :], was_over).most for index, own in enumerate(loads)]
    assert any(takes)


def test_one_that_has_much_less_takes_several_at_once_and_not_all():
    assert decide(load(0), [load(40)], False).most == 8
    assert decide(load(0), [load(0)], False).most == 1


class Pool:
    """A pool of threads, by its numbers."""

    def __init__(self):
        self.has_free_thread = True
        self.working = 0
        self.queued = 0


class Worker:
    """One worker's balance, and what it would do with connections that wait."""

    def __init__(self, scales, place, exists=lambda pid: True):
        scales.clear(place)
        self.pool = Pool()
        self.open = 0
        self.balance = Balance(scales, place, 1000 + place, [self.pool], lambda: 0, exists)
        self.balance.tell(0, True)

    def accepts(self):
        """Let one connection wait; return whether this worker takes it."""
        if not self.balance.take()[0]:
            return False
        self.change(1)
        return True

    def change(self, count):
        self.open += count
        self.balance.tell(self.open, True)


@pytest.fixture
def scales():
    return Scales(8)


def wave(workers, count, stays=True):
    """Let connections come, each offered to the workers in the same order; return how many each has taken."""
    taken = [0] * len(workers)
    for _ in range(count):
        number = next(index for index, worker in enumerate(workers * 20) if worker.accepts()) % len(workers)
        taken[number] += 1
        if not stays:
            workers[number].change(-1)
    return taken


@pytest.mark.parametrize("stays", [True, False])
def test_200_connections_over_four_workers_are_not_3_45_76_and_76(scales, stays):
    taken = wave([Worker(scales, place) for place in (1, 2, 3, 4)], 200, stays)
    assert max(taken) <= 1.5 * min(taken), taken


def test_a_worker_whose_pool_is_full_takes_nothing_while_others_have_room(scales):
    workers = [Worker(scales, place) for place in (1, 2, 3, 4)]
    workers[0].pool.has_free_thread = False
    taken = wave(workers, 100)
    assert taken[0] == 0
    assert max(taken) <= 1.5 * min(taken[1:]), taken


def test_workers_take_connections_though_all_pools_are_full(scales):
    workers = [Worker(scales, place) for place in (1, 2)]
    for worker in workers:
        worker.pool.has_free_thread = False
        worker.change(0)
        worker.balance.take()
    assert sum(wave(workers, 10)) == 10


def test_a_worker_that_came_later_need_not_make_up_for_what_the_others_have_accepted(scales):
    first = Worker(scales, 1)
    for _ in range(10000):
        assert first.accepts()
        first.change(-1)
    workers = [first, Worker(scales, 2)]
    taken = wave(workers, 1000, stays=False)
    assert taken[0] > 300


def waited_for(worker):
    """Return for how many seconds a worker leaves what waits to others, which do nothing."""
    seconds = 0.0
    while True:
        most, pause = worker.balance.take()
        if most:
            return seconds
        seconds += pause


def test_a_sibling_that_shows_no_sign_of_life_is_waited_for_once(scales):
    busy, blocked = Worker(scales, 1), Worker(scales, 2)
    busy.change(20)
    assert 0 < waited_for(busy) < 0.2
    for _ in range(20):
        assert busy.accepts()
    blocked.change(0)  # its loop turns again
    taken = wave([busy, blocked], 50)
    assert taken[0] < taken[1]


def test_a_dead_sibling_is_not_waited_for(scales):
    alive, dead = Worker(scales, 1, exists=lambda pid: pid != 1002), Worker(scales, 2)
    alive.change(20)
    assert waited_for(alive) == 0.0
    dead.change(0)


def test_a_process_that_has_ended_is_known_to_be_dead(scales):
    with subprocess.Popen(["true"]) as process:
        process.wait()
    balance = Balance(scales, 1, os.getpid(), [], lambda: 0)
    assert not balance._exists(process.pid)
    assert balance._exists(os.getpid())
    assert balance._exists(1)


@pytest.mark.parametrize("how", ["it starts", "it leaves", "all its connections are open"])
def test_a_sibling_that_does_not_accept_is_not_counted(scales, how):
    busy, other = Worker(scales, 1), Worker(scales, 2)
    busy.change(20)
    if how == "it starts":
        scales.clear(2)
    else:
        other.balance.tell(0, False)
    assert waited_for(busy) == 0.0


class Config:
    reuse_port = False


class Running:
    requests = ()


class Dispatcher:
    pools = ()
    running = Running()


def test_workers_of_one_master_have_their_places_on_the_roll():
    roll, first, second = Roll(4), Worker, Pool
    one, two = (balance_for(roll.enter(owner, 1), Config, Dispatcher) for owner in (first, second))
    for balance, count in ((one, 0), (two, 0), (one, 20)):
        balance.tell(count, True)
    assert [each.connections for each in roll.scales.read_all()] == [20, 0]


def test_a_worker_whose_sockets_are_its_own_has_nobody_to_leave_connections_to():
    class Own(Config):
        reuse_port = True

    assert balance_for(Roll(4).enter(Pool, 1), Own, Dispatcher) is None
    assert balance_for(None, Config, Dispatcher) is None
