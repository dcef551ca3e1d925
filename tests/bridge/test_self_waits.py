"""Code on the loop that waits for the loop: found by another thread, and ended; other waits are left alone."""

import asyncio
import concurrent.futures
import contextlib
import threading

import pytest
import uvloop
from patience import PATIENCE_SECONDS, until

from uvicorn.bridge.self_waits import SelfWaits

LOOPS = pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])


async def total():
    await asyncio.sleep(0)
    return 7


async def first_step():
    await asyncio.sleep(PATIENCE_SECONDS)


def line(function, offset):
    return f"{__file__}:{function.__code__.co_firstlineno + offset}, in {function.__name__}"


@contextlib.contextmanager
def watched(loop):
    """Have another thread end what waits for itself on the loop of this thread; give what it has found."""
    waits, found, has_ended = SelfWaits(loop, threading.get_ident()), [], threading.Event()

    def look():
        while not has_ended.wait(0.001):
            wait = waits.find()
            if wait is not None:
                found.append(wait)
                wait.end()

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        has_ended.set()
        thread.join(PATIENCE_SECONDS)


def waits_for_result(loop):
    return asyncio.run_coroutine_threadsafe(total(), loop).result()


def waits_for_exception(loop):
    return asyncio.run_coroutine_threadsafe(total(), loop).exception()


@LOOPS
@pytest.mark.parametrize("waiting", [waits_for_result, waits_for_exception])
@pytest.mark.parametrize("is_callback", [True, False])
def test_a_wait_for_a_coroutine_that_the_same_loop_must_begin_is_ended_with_both_lines(factory, waiting, is_callback):
    async def test(loop):
        if is_callback:
            done = loop.create_future()
            loop.call_soon(lambda: done.set_result(attempt()))
            return await done
        return attempt()

    def attempt():
        with pytest.raises(concurrent.futures.CancelledError):
            waiting(asyncio.get_running_loop())
        return "ended"

    loop = factory()
    try:
        with watched(loop) as found:
            assert loop.run_until_complete(test(loop)) == "ended"
            loop.run_until_complete(asyncio.sleep(0))  # the coroutine is begun, and cancelled
        [wait] = found
        assert wait.line == line(waiting, 1)
        assert wait.awaited == f"total at {__file__}:{total.__code__.co_firstlineno}"
        assert not asyncio.all_tasks(loop)
    finally:
        loop.close()


@LOOPS
def test_a_wait_for_a_task_that_another_thread_began_on_the_same_loop_is_ended(factory):
    loop = factory()

    async def test():
        future = await asyncio.to_thread(asyncio.run_coroutine_threadsafe, first_step(), loop)
        for _ in range(3):
            await asyncio.sleep(0)  # it begins
        with watched(loop) as found, pytest.raises(concurrent.futures.CancelledError):
            future.result()
        [wait] = found
        return wait.awaited

    try:
        assert loop.run_until_complete(test()) == f"first_step at {line(first_step, 1)}"
    finally:
        loop.close()


async def answers():
    return 7


def elsewhere():
    """Have a loop in another thread run a coroutine; return the future, and how to end that loop."""
    other = asyncio.new_event_loop()
    thread = threading.Thread(target=other.run_forever, daemon=True)
    thread.start()

    def end():
        other.call_soon_threadsafe(other.stop)
        thread.join(PATIENCE_SECONDS)
        other.close()

    return asyncio.run_coroutine_threadsafe(answers(), other), end


def test_waits_for_other_threads_and_other_loops_and_with_a_timeout_are_left_alone():
    seen = threading.Event()

    class Waits(SelfWaits):
        """Says that it has looked at the wait."""

        def find(self):
            wait = super().find()
            seen.set()
            return wait

    async def test():
        loop = asyncio.get_running_loop()
        waits, has_ended = Waits(loop, threading.get_ident()), threading.Event()
        found = []

        def look():
            while not has_ended.is_set():
                found.append(waits.find())

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            seen.clear()
            assert executor.submit(seen.wait, PATIENCE_SECONDS).result()
        future, end = elsewhere()
        assert future.result() == 7
        end()
        own = asyncio.run_coroutine_threadsafe(answers(), loop)
        with pytest.raises(concurrent.futures.TimeoutError):
            own.result(timeout=0.01)
        assert await asyncio.wrap_future(own) == 7
        has_ended.set()
        thread.join(PATIENCE_SECONDS)
        assert {*found} == {None}

    asyncio.run(test())


def test_a_future_whose_callback_refers_to_a_task_as_source_is_left_alone():
    async def test():
        loop = asyncio.get_running_loop()
        source = loop.create_task(answers())  # of this loop, and nothing to the future
        future = concurrent.futures.Future()
        future.add_done_callback(lambda done: source)
        waits, found = SelfWaits(loop, threading.get_ident()), []

        def look():
            until(lambda: waits.find() is not None or waits._known is not None)
            found.append(waits.find())
            future.set_result(7)

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        assert future.result() == 7
        thread.join(PATIENCE_SECONDS)
        await source
        assert found == [None]

    asyncio.run(test())


def test_a_future_that_is_settled_elsewhere_is_looked_up_once(monkeypatch):
    future = concurrent.futures.Future()
    looked_up = []

    async def test():
        waits = SelfWaits(asyncio.get_running_loop(), threading.get_ident())
        monkeypatch.setattr(waits, "_queued_for", lambda one: looked_up.append(one) or "")

        def look():
            until(lambda: waits.find() is None and looked_up)
            assert waits.find() is waits.find() is None
            future.set_result(7)

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        assert future.result() == 7
        thread.join(PATIENCE_SECONDS)

    asyncio.run(test())
    assert looked_up == [future]


def test_a_python_that_begins_coroutines_in_another_way_is_looked_at_in_vain(monkeypatch):
    monkeypatch.setattr("uvicorn.bridge.self_waits._BEGINNING", None)

    async def test():
        waits = SelfWaits(asyncio.get_running_loop(), 0)
        future = asyncio.run_coroutine_threadsafe(answers(), asyncio.get_running_loop())
        assert waits.find() is None
        assert waits._queued_for(future) == ""
        await asyncio.wrap_future(future)

    asyncio.run(test())
