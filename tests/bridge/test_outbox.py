"""The outbox: many threads, one loop."""

import asyncio
import contextvars
import functools
import gc
import threading
import weakref

import pytest
from bridge_doubles import in_thread, on_loop, until_async
from patience import PATIENCE_SECONDS
from pool_doubles import RecordingLog

from uvicorn.bridge.outbox import Outbox

colour = contextvars.ContextVar("colour", default="none")


class CountingLoop:
    """A loop that keeps what it is asked to call."""

    def __init__(self):
        self.soon = []
        self.threadsafe = []

    def call_soon(self, function, context=None):
        self.soon.append(function)

    def call_soon_threadsafe(self, function, context=None):
        self.threadsafe.append(function)

    def turn(self):
        calls, self.soon, self.threadsafe = self.soon + self.threadsafe, [], []
        for call in calls:
            call()


@pytest.fixture
def loop():
    return CountingLoop()


def make(loop):
    log = RecordingLog()
    return Outbox(loop, log), log


def test_a_burst_wakes_the_loop_once(loop):
    outbox, _ = make(loop)
    for _ in range(100):
        outbox.put(lambda _: None)
    assert len(loop.threadsafe) == 1


def test_each_burst_wakes_the_loop_again(loop):
    outbox, _ = make(loop)
    calls = []
    for burst in range(3):
        outbox.put(calls.append, burst)
        outbox.put(calls.append, burst)
        assert len(loop.threadsafe) == 1
        loop.turn()
    assert calls == [0, 0, 1, 1, 2, 2]


def test_an_empty_outbox_does_not_wake_the_loop(loop):
    make(loop)
    assert (loop.soon, loop.threadsafe) == ([], [])


def test_calls_are_made_in_order_with_their_argument(loop):
    outbox, _ = make(loop)
    calls = []
    for number in range(50):
        outbox.put(calls.append, number)
    loop.turn()
    assert calls == list(range(50))


def test_the_argument_is_none_unless_it_is_given(loop):
    outbox, _ = make(loop)
    calls = []
    outbox.put(calls.append)
    loop.turn()
    assert calls == [None]


def test_a_drain_leaves_what_was_put_while_it_ran_to_the_next_turn(loop):
    outbox, _ = make(loop)
    calls = []

    def put_one_more(number):
        calls.append(number)
        outbox.put(put_one_more, number + 1)

    outbox.put(put_one_more, 0)
    for turns in range(1, 4):
        loop.turn()
        assert calls == list(range(turns))


def test_a_drain_is_bounded_and_goes_on_in_the_next_turn(loop):
    outbox, _ = make(loop)
    calls = []
    for number in range(600):
        outbox.put(calls.append, number)
    sizes = []
    while loop.soon or loop.threadsafe:
        loop.turn()
        sizes.append(len(calls))
    assert sizes == [256, 512, 600]
    assert calls == list(range(600))


def test_a_long_queue_is_gone_on_with_without_a_wake_up_from_a_thread(loop):
    outbox, _ = make(loop)
    for _ in range(300):
        outbox.put(lambda _: None)
    loop.turn()
    outbox.put(lambda _: None)
    assert (len(loop.soon), len(loop.threadsafe)) == (1, 0)


def test_a_call_that_raises_is_logged_and_the_next_is_made(loop):
    outbox, log = make(loop)
    calls = []

    def fail(_):
        raise ValueError("one connection in a bad state")

    outbox.put(fail)
    outbox.put(calls.append, "next")
    loop.turn()
    assert calls == ["next"]
    assert [type(error) for error in log.errors] == [ValueError]
    name = "test_a_call_that_raises_is_logged_and_the_next_is_made.<locals>.fail"
    assert log.texts("error") == [f"Error handling {name} from a thread"]


def test_a_call_without_a_name_that_raises_is_logged_all_the_same(loop):
    outbox, log = make(loop)
    outbox.put(functools.partial(int, "x"))
    outbox.put(functools.partial(int, "y"))
    loop.turn()
    assert len(log.texts("error")) == 2


def test_drain_now_makes_all_calls_at_once(loop):
    outbox, _ = make(loop)
    calls = []
    for number in range(300):
        outbox.put(calls.append, number)
    outbox.drain_now()
    assert calls == list(range(300))
    assert len(outbox) == 0


def test_the_wake_up_after_drain_now_finds_nothing_and_does_no_harm(loop):
    outbox, _ = make(loop)
    calls = []
    outbox.put(calls.append, 1)
    outbox.drain_now()
    loop.turn()
    outbox.put(calls.append, 2)
    loop.turn()
    assert calls == [1, 2]


def test_drain_now_inside_a_drain_keeps_the_order(loop):
    outbox, _ = make(loop)
    calls = []

    def drain(_):
        calls.append("outer")
        outbox.drain_now()
        calls.append("outer ends")

    outbox.put(drain)
    for number in range(3):
        outbox.put(calls.append, number)
    loop.turn()
    assert calls == ["outer", 0, 1, 2, "outer ends"]


def test_len_tells_how_many_calls_wait(loop):
    outbox, _ = make(loop)
    outbox.put(lambda _: None)
    outbox.put(lambda _: None)
    assert len(outbox) == 2


def test_an_argument_is_let_go_after_its_call(loop):
    class Argument:
        pass

    outbox, _ = make(loop)
    argument = Argument()
    reference = weakref.ref(argument)
    outbox.put(lambda _: None, argument)
    del argument
    loop.turn()
    gc.collect()
    assert reference() is None


def test_calls_after_the_loop_has_closed_are_dropped():
    loop = asyncio.new_event_loop()
    outbox = Outbox(loop, RecordingLog())
    loop.close()
    for _ in range(3):
        outbox.put(lambda _: None)
    assert len(outbox) == 0


@on_loop
async def test_calls_from_a_thread_are_made_on_the_loop():
    outbox = Outbox(asyncio.get_running_loop(), RecordingLog())
    threads = []
    await in_thread(outbox.put, lambda _: threads.append(threading.get_ident()))
    await until_async(lambda: threads, "the call")
    assert threads == [outbox.loop_thread] == [threading.get_ident()]


@on_loop
async def test_calls_do_not_see_the_context_of_the_thread_that_put_them():
    outbox = Outbox(asyncio.get_running_loop(), RecordingLog())
    seen = []

    def put():
        colour.set("of the thread")
        for _ in range(300):  # more than one drain makes
            outbox.put(lambda _: seen.append(colour.get()))

    await in_thread(put)
    await until_async(lambda: len(seen) == 300, "the calls")
    assert set(seen) == {"none"}


@on_loop
async def test_the_calls_of_each_of_many_threads_keep_their_order():
    outbox = Outbox(asyncio.get_running_loop(), RecordingLog())
    barrier = threading.Barrier(20, timeout=PATIENCE_SECONDS)
    calls = []

    def put_all(sender):
        barrier.wait()
        for number in range(200):
            outbox.put(calls.append, (sender, number))

    await asyncio.gather(*(in_thread(put_all, sender) for sender in range(20)))
    await until_async(lambda: len(calls) == 4000, "all calls")
    for sender in range(20):
        assert [number for other, number in calls if other == sender] == list(range(200))


@pytest.mark.slow
@on_loop
async def test_a_thousand_bursts_lose_no_wake_up():
    outbox = Outbox(asyncio.get_running_loop(), RecordingLog())
    calls = []
    answered = threading.Semaphore(0)

    def call(number):
        calls.append(number)
        answered.release()

    def ping_pong():
        for number in range(1000):
            outbox.put(call, number)
            if number % 3:
                assert answered.acquire(timeout=PATIENCE_SECONDS), "a wake-up was lost"
        return True

    assert await in_thread(ping_pong)
    await until_async(lambda: len(calls) == 1000, "all calls")
