"""A pause after a short computing call: the loop gets on, and then others compute."""

import asyncio
import queue
import threading

import pytest
from bridge_doubles import on_loop, until_async
from patience import PATIENCE_SECONDS

from uvicorn.bridge import lending
from uvicorn.bridge import pause as pause_module
from uvicorn.bridge.costs import cost_of
from uvicorn.bridge.governor import Load
from uvicorn.bridge.lease import Lease
from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.pause import Pause, Pauses
from uvicorn.bridge.pool import ConsumerPool


class CountingLoop:
    """A loop that keeps what it is asked to call."""

    def __init__(self):
        self.soon = []

    def call_soon(self, function, context=None):
        self.soon.append(function)

    call_soon_threadsafe = call_soon

    def turn(self):
        calls, self.soon = self.soon, []
        for call in calls:
            call()


def load_of(seconds, calls=8, load=None):
    load = load or Load()
    for _ in range(calls):
        load.learn(seconds, seconds, True)
    return load


@pytest.mark.parametrize(
    ("seconds", "limit", "held", "has_pause"),
    [
        (0.001, 1.0, 3, True),
        (0.001, 0.75, 1, True),
        (0.001, 1.0, 0, False),  # nobody waits
        (0.001, 1.1, 3, False),  # the computing hurts nobody
        (0.0001, 1.0, 3, False),  # light: it was not limited either
        (0.005, 1.0, 3, False),  # long: its ends are few
    ],
)
def test_short_computing_calls_have_a_pause_while_others_wait(seconds, limit, held, has_pause):
    assert Pauses().seconds_after(load_of(seconds), limit, held) == pytest.approx(2 * seconds if has_pause else 0.0)


def test_a_call_that_is_not_known_has_no_pause():
    assert Pauses().seconds_after(load_of(0.001, calls=1), 1.0, 3) == 0.0


def after_calls(pauses, count):
    return [pauses.seconds_after(load_of(0.001), 1.0, 1) for _ in range(count)]


def test_each_eighth_call_has_no_pause_and_tells_the_governor_of_the_lag():
    assert after_calls(Pauses(), 16).count(0.0) == 2


def test_pauses_that_are_too_short_again_and_again_are_left_out_for_a_while():
    pauses = Pauses()
    for _ in range(pause_module._TOO_SHORT):
        assert any(after_calls(pauses, 2))
        pauses.on_too_short()
    assert not any(after_calls(pauses, pause_module._LEFT_OUT))
    assert any(after_calls(pauses, 2))


def test_a_loop_that_catches_up_now_and_then_has_its_pauses():
    pauses = Pauses()
    for _ in range(2):
        for _ in range(pause_module._TOO_SHORT - 1):
            pauses.on_too_short()
        pauses.on_turned()
    assert any(after_calls(pauses, 2))


def test_a_pause_is_over_when_the_loop_has_turned_a_few_times():
    loop, inbox = CountingLoop(), queue.SimpleQueue()
    pause = Pause(Outbox(loop), inbox, PATIENCE_SECONDS)
    pause.on_call_ended()
    for _ in range(pause_module._TURNS):
        assert inbox.empty()
        loop.turn()
    assert inbox.get_nowait() is pause
    assert not loop.soon


def test_the_loop_does_not_turn_for_a_pause_that_is_over():
    loop, inbox = CountingLoop(), queue.SimpleQueue()
    pause = Pause(Outbox(loop), inbox, PATIENCE_SECONDS)
    pause.on_call_ended()
    pause.end()
    loop.turn()
    assert inbox.empty()
    assert not loop.soon


def test_wake_ups_in_a_pause_are_not_timed():
    loop = CountingLoop()
    outbox = Outbox(loop)
    outbox.timers = 1
    pause = Pause(outbox, queue.SimpleQueue(), PATIENCE_SECONDS)
    outbox.put(lambda _: None)
    loop.turn()
    assert outbox.timed_wake_ups == 0
    pause.end()
    outbox.put(lambda _: None)
    loop.turn()
    assert outbox.timed_wake_ups == 1


# ---- in threads ----


class Held:
    """A call that blocks in its thread until the test says so; it is known to compute for a millisecond."""

    def __init__(self):
        self.began, self.end = threading.Event(), threading.Event()
        self.then = lambda: None
        load_of(0.001, load=cost_of(self).load)

    def __call__(self):
        self.then()
        self.began.set()
        assert self.end.wait(PATIENCE_SECONDS)


def sync_send():
    """Be what Django runs for the receivers of a signal."""
    return threading.get_ident()


sync_send.__module__, sync_send.__qualname__ = "django.dispatch.dispatcher", "Signal.asend.<locals>.sync_send"


async def run(lease, function):
    return await asyncio.get_running_loop().run_in_executor(lease, function)


class Pair:
    """Two requests: the call of the first one computes, and that of the second waits until it may."""

    def __init__(self):
        loop = asyncio.get_running_loop()
        self.pool = ConsumerPool(2, 8, loop.call_soon, name="lease")
        self.pool.set_limit(1.0)
        outbox = Outbox(loop)
        self.first, self.second = Lease(self.pool, outbox), Lease(self.pool, outbox)
        self.computing, self.waiting = Held(), Held()

    async def begin(self):
        self.calls = [asyncio.ensure_future(run(self.first, self.computing))]
        await until_async(self.computing.began.is_set)
        self.calls.append(asyncio.ensure_future(run(self.second, self.waiting)))
        await until_async(lambda: self.pool.held == 1)

    async def end(self):
        self.waiting.end.set()
        await asyncio.gather(*self.calls)
        self.first.release()
        self.second.release()
        await until_async(lambda: not self.pool.busy)
        self.pool.stop()


@pytest.fixture
def one_pause(monkeypatch):
    """Have a pause after the first call, and none after the others."""
    left = [PATIENCE_SECONDS]
    monkeypatch.setattr(Pauses, "seconds_after", lambda *_: left.pop() if left else 0.0)


@pytest.fixture
def endless(one_pause, monkeypatch):
    """Have one that only the thread ends."""
    monkeypatch.setattr(lending, "IDLE_SECONDS", 1e6)
    monkeypatch.setattr(pause_module, "_TURNS", 1 << 60)


@on_loop
async def test_the_loop_turns_before_the_next_call_computes(one_pause):
    pair, turns, seen = Pair(), [0], []

    def count():
        turns[0] += 1
        asyncio.get_running_loop().call_soon(count)

    await pair.begin()
    pair.waiting.then = lambda: seen.append(turns[0])
    pair.calls[0].add_done_callback(lambda _: seen.append(turns[0]))
    count()
    pair.computing.end.set()
    await until_async(pair.waiting.began.is_set)
    told, began = seen
    assert began - told >= pause_module._TURNS - 4  # the callback comes a few turns after the result
    await pair.end()


@on_loop
async def test_a_loop_that_is_blocked_keeps_nobody_from_computing():
    pair = Pair()
    await pair.begin()
    pair.computing.end.set()
    assert pair.waiting.began.wait(PATIENCE_SECONDS)  # on the loop
    await pair.end()


@on_loop
async def test_signals_are_sent_in_a_pause_and_the_next_call_ends_it(endless):
    load_of(0.00001, load=cost_of(sync_send).load)
    pair = Pair()
    await pair.begin()
    pair.computing.end.set()
    await pair.calls[0]
    assert await run(pair.first, sync_send)
    assert not pair.waiting.began.is_set()
    third = asyncio.ensure_future(run(pair.first, lambda: None))
    await until_async(pair.waiting.began.is_set)
    pair.waiting.end.set()
    await third
    await pair.end()


@on_loop
async def test_a_thread_that_is_lent_in_a_pause_lets_others_compute(endless):
    pair = Pair()
    await pair.begin()
    pair.computing.end.set()
    await pair.calls[0]
    assert not pair.waiting.began.is_set()
    pair.first.lend()
    await until_async(pair.waiting.began.is_set)
    await pair.end()
