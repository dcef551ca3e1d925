"""The governor's decision by tables, what it learns of consumers, and both in a simulation of a worker."""

import math
import random

import pytest

from uvicorn.bridge.governor import LEAST_LIMIT, Load, Sample, decide

INTERVAL = 0.0005


def sample(**values):
    """Return a sample of a pool of 40 threads that compute: the loop waits one interval behind them."""
    usual = {
        "seconds": 0.1,
        "limit": 1.0,
        "most": 40,
        "running": 1.0,
        "held": 60,
        "held_seconds": 0.0,
        "lag_seconds": 0.0006,
        "wake_ups": 20.0,
        "late_seconds": 0.0,
        "thread_share": 0.95,
        "loop_share": 0.04,
    }
    return Sample(**{**usual, **values})


WAITING = {"thread_share": 0.1, "loop_share": 0.1, "lag_seconds": 0.0001}
TABLE = [
    # one computing thread at a time is well
    ({}, 1.0, ""),
    # many computing threads: down to one at once, also when nothing is held yet
    ({"limit": 40, "running": 40.0, "held": 0, "lag_seconds": 0.02}, 1.0, "the loop waits long"),
    ({"limit": 40, "running": 30.0, "held": 10, "lag_seconds": 0.02}, 1.0, "the loop waits long"),
    # ... seen by the sampling being late, when jobs are so long that no reply wakes the loop
    ({"limit": 40, "running": 40.0, "wake_ups": 0.0, "late_seconds": 0.02}, 1.0, "the loop waits long"),
    # a few: down by degrees
    ({"limit": 2.0, "lag_seconds": 0.001}, 1.9, "the loop waits"),
    # ... also when another process takes the rest of the processor
    ({"limit": 2.0, "lag_seconds": 0.001, "thread_share": 0.8}, 1.9, "the loop waits"),
    ({"limit": 4.0, "lag_seconds": 0.0023}, 3.4, "the loop waits"),
    ({"limit": 0.9, "lag_seconds": 0.0015}, 0.855, "the loop waits"),
    ({"limit": 0.9, "lag_seconds": 0.0015, "thread_share": 0.8}, 0.9, ""),
    ({"limit": 0.8, "lag_seconds": 0.0033}, LEAST_LIMIT, "the loop waits"),
    ({"limit": LEAST_LIMIT, "lag_seconds": 0.0033}, LEAST_LIMIT, ""),
    # a limit that nothing comes near is cut from what runs
    ({"limit": 40, "running": 2.0, "held": 0, "lag_seconds": 0.0011}, 1.9, "the loop waits"),
    # nothing is decided too early
    ({"limit": 4.0, "lag_seconds": 0.0023, "seconds": 0.02}, 4.0, ""),
    ({"limit": 40, "running": 40.0, "lag_seconds": 0.02, "seconds": 0.01}, 40, ""),
    # a lag of a few wake-ups means nothing
    ({"limit": 2.0, "lag_seconds": 0.002, "wake_ups": 2.0}, 2.0, ""),
    # the loop is busy itself: threads that wait are not cut, and let in
    ({"limit": 8.0, "thread_share": 0.05, "loop_share": 0.95, "lag_seconds": 0.02}, 12.0, "mostly wait"),
    ({"limit": 8.0, "thread_share": 0.3, "loop_share": 0.7, "lag_seconds": 0.02}, 12.0, "mostly wait"),
    ({"limit": 40, "running": 40.0, "thread_share": 0.05, "loop_share": 0.95, "lag_seconds": 0.02}, 40, ""),
    # the loop is busy, and the threads compute
    ({"limit": 8.0, "thread_share": 0.5, "loop_share": 0.5, "lag_seconds": 0.02}, 1.0, "the loop waits long"),
    # threads that wait: up fast, to the number of threads and no further
    ({"limit": 4.0, **WAITING}, 6.0, "mostly wait"),
    ({"limit": 39.0, **WAITING}, 40, "mostly wait"),
    ({"limit": 40, **WAITING}, 40, ""),
    ({"limit": 4.0, **WAITING, "held": 0}, 4.0, ""),
    # the processor has time left
    ({"limit": 0.8, "thread_share": 0.55, "loop_share": 0.05}, 0.96, "time left"),
    ({"limit": 0.8, "thread_share": 0.85, "loop_share": 0.05}, 0.84, "time left"),
    ({"limit": 0.98, "thread_share": 0.85, "loop_share": 0.05}, 1.0, "time left"),
    ({"limit": 0.8, "thread_share": 0.85, "loop_share": 0.05, "lag_seconds": 0.0015}, 0.8, ""),
    # ... for a second thread that computes only if enough was seen to take it back
    ({"thread_share": 0.85, "loop_share": 0.05}, 1.05, "time left"),
    ({"thread_share": 0.85, "loop_share": 0.05, "wake_ups": 1.0}, 1.0, ""),
    # C code that releases the interpreter: threads use the processor, and the loop does not wait
    ({"limit": 4.0, "thread_share": 1.5, "lag_seconds": 0.0001}, 6.0, "does not wait"),
    ({"limit": 4.0, "lag_seconds": 0.0001}, 6.0, "does not wait"),
    ({"limit": 4.0, "lag_seconds": 0.0, "wake_ups": 0.0}, 4.0, ""),
    ({"limit": 1.0, "lag_seconds": 0.0001, "wake_ups": 6.0}, 1.0, ""),  # that may be chance
    # a long job does not keep all others out
    ({"held_seconds": 0.06}, 2.0, "keeps other jobs out"),
    ({"held_seconds": 0.06, "held": 0}, 1.0, ""),
]  # fmt: skip


@pytest.mark.parametrize(("seen", "limit", "reason"), TABLE)
def test_the_limit_follows_from_what_was_seen(seen, limit, reason):
    decision = decide(sample(**seen), INTERVAL)
    assert decision.limit == pytest.approx(limit)
    assert reason in decision.reason
    assert bool(decision.reason) == bool(reason)


def test_a_longer_switch_interval_allows_a_longer_lag():
    seen = sample(limit=4.0, lag_seconds=0.0023)
    assert decide(seen, 0.0005).limit < 4.0
    assert decide(seen, 0.005).limit >= 4.0


@pytest.mark.parametrize("seed", range(20))
def test_a_decision_is_within_bounds_and_has_a_reason_whatever_was_seen(seed):
    dice = random.Random(seed)
    for _ in range(500):
        most = dice.choice([2, 8, 40])
        limit = dice.uniform(LEAST_LIMIT, most)
        seen = sample(
            seconds=dice.uniform(0, 0.2),
            limit=limit,
            most=most,
            running=dice.uniform(0, most),
            held=dice.choice([0, 5]),
            held_seconds=dice.uniform(0, 0.1),
            lag_seconds=dice.uniform(0, 0.03),
            wake_ups=dice.uniform(0, 50),
            late_seconds=dice.uniform(0, 0.03),
            thread_share=dice.uniform(0, 2),
            loop_share=dice.uniform(0, 1),
        )
        decision = decide(seen, INTERVAL)
        assert LEAST_LIMIT <= decision.limit <= most
        assert bool(decision.reason) == (decision.limit != limit)


# ---- what is learned of a consumer ----


def learned(*calls, alone=True):
    load = Load()
    for cpu, wall in calls:
        load.learn(cpu, wall, alone)
    return load


@pytest.mark.parametrize(
    ("cpu", "wall", "weight", "is_light"),
    [
        (0.005, 0.005, 1.0, False),  # computes
        (0.005, 0.0055, 1.0, False),  # the loop had a turn meanwhile
        (0.005, 0.010, 0.5, False),
        (0.001, 0.010, 0.1, False),  # a typical view
        (0.0001, 0.010, 0.01, True),
        (0.0001, 0.0001, 1.0, True),
        (0.0, 0.0, 0.0, True),  # a clock that is too coarse to tell
    ],
)
def test_a_consumer_is_known_after_a_few_calls(cpu, wall, weight, is_light):
    load = learned(*[(cpu, wall)] * 4)
    assert (load.weight, load.is_light) == (pytest.approx(weight), is_light)


def test_an_unknown_consumer_weighs_as_one_that_computes():
    assert (Load().weight, Load().is_light) == (1.0, False)
    assert (learned(*[(0.0, 1.0)] * 3).weight, learned(*[(0.0, 1.0)] * 3).is_light) == (1.0, False)


def test_waiting_for_the_interpreter_is_not_taken_for_the_consumers_own_waiting():
    assert learned(*[(0.005, 0.200)] * 50, alone=False).weight == 1.0
    view = learned(*[(0.001, 0.010)] * 4)
    for _ in range(50):
        view.learn(0.001, 0.200, False)
    assert view.weight == pytest.approx(0.1)


def test_a_consumer_that_waits_no_longer_is_found_out_also_beside_others():
    load = learned(*[(0.001, 0.010)] * 4)
    for _ in range(50):
        load.learn(0.005, 0.005, False)
    assert load.weight == 1.0


def test_a_light_call_in_which_garbage_was_collected_stays_light():
    load = learned(*[(0.00002, 0.00002)] * 8)
    load.learn(0.050, 0.050, True)
    assert load.is_light
    assert load.is_short


def test_a_light_call_that_computes_from_now_on_is_found_out():
    load = learned(*[(0.00002, 0.00002)] * 8)
    for _ in range(20):
        load.learn(0.005, 0.005, True)
    assert not load.is_light
    assert load.cpu_seconds == pytest.approx(0.005, rel=0.2)


def test_a_wait_that_was_short_once_is_forgotten():
    load = learned((0.001, 0.001), *[(0.001, 0.010)] * 50)
    assert load.weight < 0.2


def test_a_consumer_that_becomes_expensive_is_light_no_more():
    load = learned(*[(0.0001, 0.01)] * 50, *[(0.01, 0.01)] * 3)
    assert not load.is_light


# ---- a simulation ----


class Worker:
    """Simulate a worker: jobs that wait and compute, one interpreter, and a loop that each reply wakes.

    Time goes by in steps of a switch interval; in each, one job that is ready computes, in turn.
    """

    def __init__(self, mix, most=40, clients=64, seed=1):
        self.limit = float(most)
        self.most = most
        self.limits = []
        self.done = 0
        self.computed = 0.0
        self.lags = []
        self._dice = random.Random(seed)
        self._mix = mix  # of (waiting seconds, computing seconds)
        self._queue = [self._job() for _ in range(clients)]
        self._running = []
        self._held_since = 0.0
        self._forget()

    def run(self, seconds):
        self.limits, self.lags, self.done, self.computed = [], [], 0, 0.0
        steps = round(0.01 / INTERVAL)
        for tick in range(round(seconds / 0.01)):
            self._let_in(tick * 0.01)
            for step in range(steps):
                self._step(tick * 0.01 + step * INTERVAL)
            self._decide((tick + 1) * 0.01)
        return self

    def _job(self):
        wait, compute = self._dice.choice(self._mix)
        jitter = self._dice.uniform(0.9, 1.1)
        weight = compute / (compute + wait)
        return {"wait": wait * jitter, "compute": compute * jitter, "weight": weight if weight < 0.8 else 1.0}

    def _let_in(self, now):
        while self._queue and len(self._running) < self.most:
            if sum(job["weight"] for job in self._running) >= self.limit:
                return
            self._running.append(self._queue.pop(0))
            self._held_since = now

    def _step(self, now):
        ready = [job for job in self._running if job["wait"] <= 0]
        for job in self._running:
            job["wait"] -= INTERVAL
        if not ready:
            return
        job = ready[0]
        job["compute"] -= INTERVAL
        self._cpu += INTERVAL
        self.computed += INTERVAL
        self._running.remove(job)
        if job["compute"] > INTERVAL / 2:
            self._running.append(job)  # its turn is over
            return
        self.done += 1
        self._lag += (len(ready) - 1 or bool(self._queue)) * INTERVAL + 0.0001
        self.lags.append((len(ready) - 1) * INTERVAL)
        self._wake_ups += 1
        self._queue.append(self._job())
        self._let_in(now)

    def _decide(self, now):
        self._seconds, self._shares = 0.9 * self._seconds + 0.01, 0.9 * self._shares + self._cpu
        self._lags = 0.9 * self._lags + self._lag
        self._counted = 0.9 * self._counted + self._wake_ups
        self._cpu = self._lag = self._wake_ups = 0.0
        held = len(self._queue) if len(self._running) < self.most else 0
        late = max(0, sum(job["wait"] <= 0 for job in self._running) - 1) * INTERVAL
        decision = decide(
            Sample(
                self._seconds,
                self.limit,
                self.most,
                sum(job["weight"] for job in self._running),
                held,
                now - self._held_since,
                self._lags / (self._counted or 1),
                self._counted,
                late,
                self._shares / self._seconds,
                0.03,
            ),
            INTERVAL,
        )
        if decision.reason:
            self.limit = decision.limit
            self._forget()
        self.limits.append(self.limit)

    def _forget(self):
        self._seconds = self._shares = self._lags = self._counted = 0.0
        self._cpu = self._lag = self._wake_ups = 0.0


MIXES = {
    "computing for 1 ms": [(0.0, 0.001)],
    "computing for 5 ms": [(0.0, 0.005)],
    "computing for 20 ms": [(0.0, 0.020)],
    "half and half": [(0.005, 0.005)],
    "typical views": [(0.009, 0.001)],
    "views and computing": [(0.009, 0.001), (0.0, 0.005)],
    "half and computing": [(0.005, 0.005), (0.0, 0.005)],
}


@pytest.mark.parametrize("name", MIXES)
def test_a_worker_that_computes_comes_to_rest_with_a_short_lag_and_a_full_processor(name):
    worker = Worker(MIXES[name])
    worker.run(2.0)
    worker.run(3.0)
    assert worker.computed / 3.0 > 0.85
    assert sum(worker.lags) / len(worker.lags) < 4 * INTERVAL
    assert max(worker.limits) < 4.0
    assert max(worker.limits) <= 2.5 * min(worker.limits)


def test_consumers_that_wait_are_not_limited():
    worker = Worker([(0.010, 0.0005)], most=10, clients=20)
    worker.run(1.0)
    assert worker.limit == 10


def test_consumers_that_wait_after_others_have_computed_get_all_threads_they_need():
    worker = Worker(MIXES["computing for 5 ms"], most=16)
    worker.run(2.0)
    worker._mix = [(0.0195, 0.0005)]
    worker.run(0.5)  # what is left of the others
    worker.run(1.0)
    needed = min(16 / 0.020, 1 / 0.0005)
    assert worker.done > 0.9 * needed


def test_a_long_computation_does_not_starve_short_ones():
    worker = Worker([(0.0, 0.005)], clients=10)
    worker.run(1.0)
    worker._running.append({"wait": 0.0, "compute": math.inf, "weight": 1.0})
    worker.run(2.0)
    assert worker.done > 0.3 * 2.0 / 0.005


def test_time_that_the_loop_took_is_no_waiting():
    """A consumer that always computes weighed less beside a busy loop, and a second one was let in."""
    computing, half = Load(), Load()
    for _ in range(8):
        computing.learn(0.005, 0.0066, True, 0.0016)
        half.learn(0.005, 0.015, True, 0.0075)
    assert computing.weight == 1.0
    assert half.weight == pytest.approx(0.5, abs=0.01)
