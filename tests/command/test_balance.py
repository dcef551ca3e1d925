"""Which of several workers takes the next connection."""

import pytest

from uvicorn.command.balance import Balance, Scales, balance_for
from uvicorn.command.roll import Roll

LONGEST = 0.05  # for which an acceptor leaves a connection to siblings


class Pool:
    """A pool of threads, by its numbers."""

    def __init__(self):
        self.has_free_thread = True
        self.passed_by = 0
        self.working = 0
        self.queued = 0


class Worker:
    """One worker's balance, and what its acceptor does."""

    def __init__(self, scales, place):
        scales.clear(place)
        self.pools = [Pool(), Pool()]
        self.calls = self.open = 0
        self.back_at = 0.0
        self.is_turning = True  # its loop is
        self.balance = Balance(scales, place, self.pools, lambda: self.calls)
        self.change(0)

    def takes(self, now, waited):
        """Look at a connection that has waited for so many seconds; return whether this worker takes it."""
        if not self.is_turning or now < self.back_at:
            return False
        self.change(0)
        seconds = self.balance.leave_for(waited) if waited < LONGEST else 0.0
        self.back_at = now + seconds
        if not seconds:
            self.change(1)
        return not seconds

    def change(self, count):
        self.open += count
        self.balance.tell(self.open, True)


class Site:
    """Four workers, and connections that come a millisecond after the one before was taken."""

    def __init__(self):
        self.scales = Scales(8)
        self.workers = [Worker(self.scales, place) for place in (1, 2, 3, 4)]
        self.now = 0.0
        self.waits = []  # of each connection, in seconds

    def come(self, count, stays=True):
        """Let connections come, each seen by the workers in the same order; return how many each has taken."""
        taken = [0] * len(self.workers)
        for _ in range(count):
            self.now += 0.001
            came = self.now
            while (number := self._taker(came)) is None:
                self.now += 0.001
            self.waits.append(self.now - came)
            taken[number] += 1
            if not stays:
                self.workers[number].change(-1)
        return taken

    def _taker(self, came):
        takers = (index for index, worker in enumerate(self.workers) if worker.takes(self.now, self.now - came))
        return next(takers, None)


@pytest.fixture
def site():
    return Site()


def are_even(taken):
    return max(taken) <= 1.5 * min(taken)


@pytest.mark.parametrize("stays", [True, False])
def test_200_connections_over_four_workers_are_not_3_45_76_and_76(site, stays):
    taken = site.come(200, stays)
    assert are_even(taken), taken
    assert max(site.waits) < LONGEST


def test_connections_that_come_and_go_are_spread_when_many_kept_ones_have_closed(site):
    site.come(400)
    for worker in site.workers:
        worker.change(-worker.open)
    taken = site.come(400, stays=False)
    assert are_even(taken), taken


def test_eight_connections_of_a_proxy_leave_no_worker_idle(site):
    assert min(site.come(8)) >= 1


def test_a_worker_that_has_more_calls_leaves_connections_to_the_others(site):
    for calls in ("on the loop", "in threads"):
        worker = site.workers[0]
        worker.calls = 20 if calls == "on the loop" else 0
        worker.pools[0].working, worker.pools[0].queued = (8, 12) if calls == "in threads" else (0, 0)
        taken = site.come(100, stays=False)
        assert taken[0] < min(taken[1:]), calls


@pytest.mark.parametrize("full", [0, 1])
def test_a_worker_with_a_full_pool_takes_nothing_while_others_have_room(site, full):
    site.workers[0].pools[full].has_free_thread = False
    taken = site.come(200)
    assert taken[0] <= 0.05 * 200
    assert are_even(taken[1:]), taken
    counted = [[pool.passed_by > 0 for pool in worker.pools] for worker in site.workers]
    assert counted == [[full == 0, full == 1], *[[False, False]] * 3]  # of a worker that is passed by
    site.workers[0].pools[full].has_free_thread = True
    assert site.come(100)[0] > 10


def test_connections_are_taken_and_spread_when_all_pools_are_full(site):
    for worker in site.workers:
        worker.pools[0].has_free_thread = False
    taken = site.come(200)
    assert are_even(taken), taken
    assert max(site.waits) < LONGEST


def test_others_take_what_a_stopped_worker_cannot_and_are_even(site):
    site.workers[0].is_turning = False
    taken = site.come(200)
    assert taken[0] == 0
    assert are_even(taken[1:]), taken
    assert max(site.waits) < LONGEST + 0.002
    assert sum(site.waits) < 1.0  # it is waited for now and then, not for each connection
    site.workers[0].is_turning = True
    assert site.come(100)[0] > 10


@pytest.mark.parametrize("taken", [0, 1 << 60])
def test_a_place_that_lies_costs_no_client_an_answer(site, taken):
    """It says that a worker has nothing to do, and takes connections all the time."""
    site.scales.clear(5)
    site.scales.loads[5] = 1
    for number in range(50):
        site.scales.taken[5] = taken + number
        site.come(4)
    assert max(site.waits) < LONGEST + 0.002


@pytest.mark.parametrize("how", ["it starts", "it leaves, or all its connections are open"])
def test_a_worker_that_accepts_nothing_is_not_waited_for(site, how):
    other = site.workers.pop(0)
    if how == "it starts":
        site.scales.clear(1)
    else:
        other.balance.tell(1000, False)
    for place in (3, 4):
        site.scales.clear(place)
    del site.workers[1:]
    site.come(50)
    assert max(site.waits) == 0.0


def test_a_worker_that_came_later_need_not_make_up_for_what_the_others_have_taken(site):
    later = site.workers.pop()
    site.scales.clear(4)
    site.come(3000, stays=False)
    later.change(0)
    site.workers.append(later)
    taken = site.come(400, stays=False)
    assert are_even(taken), taken


def test_a_worker_that_came_later_takes_more_than_those_with_kept_connections_and_not_all(site):
    later = site.workers.pop()
    site.scales.clear(4)
    site.come(300)
    later.change(0)
    site.workers.append(later)
    taken = site.come(1000, stays=False)
    assert taken[3] > max(taken[:3])
    assert min(taken[:3]) > 50, taken


class Config:
    reuse_port = False


class Running:
    requests = ()


class Dispatcher:
    pools = ()
    running = Running()


def test_workers_of_one_master_have_their_places_on_the_roll():
    roll, first, second = Roll(4), Pool(), Pool()
    one, two = (balance_for(roll.enter(owner, 1), Config, Dispatcher) for owner in (first, second))
    for balance, count in ((one, 0), (two, 0), (one, 20)):
        balance.tell(count, True)
    (_, more, taken), (_, less, _) = roll.scales.read_all()
    assert more > less
    assert taken == 1


def test_a_worker_whose_sockets_are_its_own_has_nobody_to_leave_connections_to():
    class Own(Config):
        reuse_port = True

    assert balance_for(Roll(4).enter(Pool, 1), Own, Dispatcher) is None
    assert balance_for(None, Config, Dispatcher) is None
