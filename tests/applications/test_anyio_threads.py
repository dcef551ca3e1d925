"""anyio's calls in our pools: where they run, and what they find there."""

import asyncio
import contextvars
import threading
import time
from functools import partial

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest
from asgiref.sync import sync_to_async
from framework_doubles import Channel, frameworks, thread_name, until
from patience import PATIENCE_SECONDS

from uvicorn.applications import anyio_threads
from uvicorn.applications.anyio_threads import Backend
from uvicorn.applications.sensitive import for_request
from uvicorn.bridge.lasting_lease import LastingLease
from uvicorn.bridge.work import Work, current_work, nested_below
from uvicorn.errors import ChannelClosed, ChannelFull, WrongSide

VARIABLE = contextvars.ContextVar("VARIABLE", default="unset")
run_sync = anyio.to_thread.run_sync


def test_the_seam_is_there_while_it_is_installed_and_for_its_own_loop():
    before = dict(Backend.__dict__)

    @frameworks()
    async def test(made):
        assert Backend.__dict__["run_sync_in_worker_thread"] is not before["run_sync_in_worker_thread"]
        made.request()
        assert (await run_sync(thread_name)).startswith("main-")
        other = await asyncio.to_thread(anyio.run, run_sync, thread_name)
        assert other == "AnyIO worker thread"

    test()
    assert dict(Backend.__dict__) == before


def test_another_anyio_keeps_its_threads(monkeypatch):
    assert anyio_threads.reason_against() == ""
    monkeypatch.setattr(anyio_threads, "version", lambda name: "4.99.1")
    assert "anyio 4.99.1 was not tested; 4.14 to 4.16 are" in anyio_threads.reason_against()
    monkeypatch.undo()
    monkeypatch.setitem(anyio_threads.METHODS, "run_sync_in_worker_thread", ("func",))
    assert "takes other arguments" in anyio_threads.reason_against()
    monkeypatch.undo()
    monkeypatch.setitem(anyio_threads.METHODS, "run_in_sun", ())
    assert "has no run_in_sun" in anyio_threads.reason_against()
    monkeypatch.undo()
    monkeypatch.delattr(anyio_threads.backend, "is_anyio_cancellation")
    assert "has no is_anyio_cancellation" in anyio_threads.reason_against()


@frameworks()
async def test_a_call_gets_its_arguments_and_context_and_gives_its_result_or_error(made):
    made.request()
    VARIABLE.set("set")
    assert await run_sync(lambda *args: (args, VARIABLE.get()), 1, 2) == ((1, 2), "set")
    await run_sync(VARIABLE.set, "changed in the thread")
    assert VARIABLE.get() == "set"  # as anyio has it: what is set there stays there
    with pytest.raises(ZeroDivisionError):
        await run_sync(lambda: 1 / 0)
    with pytest.raises(RuntimeError, match="StopIteration") as raised:
        await run_sync(next, iter(()))
    assert type(raised.value.__cause__) is StopIteration
    with pytest.raises(SystemExit):
        await run_sync(raise_exit)
    assert await run_sync(int, "7") == 7


def raise_exit():
    raise SystemExit(3)


@frameworks()
async def test_calls_outside_of_requests_take_no_thread_of_requests_and_are_not_refused(made):
    blocked = [asyncio.ensure_future(run_sync(made.block())) for _ in range(40)]
    await until(lambda: made.aside.busy == 2 and made.aside.queued == 38)
    made.request()
    assert (await run_sync(thread_name)).startswith("main-")
    made.release()
    assert all(await asyncio.gather(*blocked))
    assert made.threads.calls == {"outside": 40, "request": 1}


@frameworks(threads=1, queue_size=1)
async def test_past_the_queue_a_request_is_refused(made):
    work = made.request()
    calls = [asyncio.ensure_future(run_sync(made.block())) for _ in range(2)]
    await until(lambda: made.main.busy and made.main.queued)
    for _ in range(2):
        with pytest.raises(ChannelFull):
            await run_sync(int)
    assert (made.refused, work.is_refused) == (1, True)
    made.release()
    await asyncio.gather(*calls)
    assert await run_sync(int) == 0


@frameworks(threads=1, queue_size=0)
async def test_a_call_that_follows_another_one_is_not_refused_because_its_thread_has_not_returned_yet(made):
    """With no queue a dependency's thread counted as busy still when the endpoint was handed over."""
    made.request()
    for number in range(2000):
        assert await run_sync(int, number) == number
    assert made.refused == 0


@frameworks(threads=1)
async def test_a_call_that_waited_for_too_long_is_refused(made):
    work = made.request()
    running = asyncio.ensure_future(run_sync(made.block()))
    await until(lambda: made.main.busy)
    waiting = asyncio.ensure_future(run_sync(int))
    await until(lambda: made.main.queued)
    for job in made.main.expire(float("inf")):
        job.expire()
    with pytest.raises(ChannelFull, match="in time"):
        await waiting
    assert work.is_refused
    made.release()
    await running


@frameworks(threads=1)
async def test_a_limiter_of_its_own_bounds_a_call_and_does_not_wait_behind_others(made):
    made.request()
    running = asyncio.ensure_future(run_sync(made.block()))
    await until(lambda: made.main.busy)
    limiter = anyio.CapacityLimiter(1)
    assert (await run_sync(thread_name, limiter=limiter)).startswith("extra-")
    first = asyncio.ensure_future(run_sync(made.block(), limiter=limiter))
    await until(lambda: limiter.borrowed_tokens == 1)
    second = asyncio.ensure_future(run_sync(int, limiter=limiter))
    await until(lambda: limiter.statistics().tasks_waiting == 1)
    made.release()
    assert await asyncio.gather(running, first, second) == [True, True, 0]
    assert limiter.borrowed_tokens == 0
    await until(lambda: made.main.has_free_thread)
    assert (await run_sync(thread_name, limiter=limiter)).startswith("main-")


# ---- background tasks ----


@frameworks(threads=1)
async def test_what_follows_an_answer_ranks_behind_requests(made):
    work = made.request()
    running = asyncio.ensure_future(run_sync(made.block()))
    await until(lambda: made.main.busy)
    order = []
    work.is_answered = True
    late = asyncio.ensure_future(run_sync(order.append, "background"))
    await until(lambda: made.main.late == 1)
    current_work.set(Work(made.threads, Channel()))
    request = asyncio.ensure_future(run_sync(order.append, "request"))
    await until(lambda: made.main.queued == 1)
    made.release()
    await asyncio.gather(running, late, request)
    assert order == ["request", "background"]


@frameworks(threads=4)
async def test_background_tasks_hold_half_of_the_threads_at_most(made):
    """Forty long tasks held all threads of a pool, and no request got one until they ended."""
    made.request().is_answered = True
    calls = [asyncio.ensure_future(run_sync(made.block())) for _ in range(6)]
    taken_back = asyncio.ensure_future(asyncio.to_thread(int))
    await until(lambda: made.main.busy == 2 and len(made.threads.behind) == 5)
    taken_back.cancel()
    made.request()
    assert (await run_sync(thread_name)).startswith("main-")
    made.release()
    await asyncio.gather(*calls)
    assert not made.threads.behind


@frameworks(threads=1, late=True)
async def test_background_tasks_may_have_a_pool_of_their_own(made):
    made.request().is_answered = True
    assert await run_sync(thread_name) == "background-1"


@frameworks(threads=1, queue_size=0)
async def test_background_calls_have_a_bound_too(made):
    made.request().is_answered = True
    calls = [asyncio.ensure_future(run_sync(made.block()))]
    await until(lambda: made.main.busy)
    calls += [asyncio.ensure_future(run_sync(made.block())) for _ in range(16)]
    await until(lambda: made.main.late + len(made.threads.behind) == 16)
    assert anyio.to_thread.current_default_thread_limiter().statistics().tasks_waiting == 16
    with pytest.raises(ChannelFull, match="background"):
        await run_sync(int)
    made.release()
    await asyncio.gather(*calls)


# ---- from a thread to the loop ----


@frameworks(threads=1)
async def test_a_thread_reaches_the_loop(made):
    made.request()

    async def on_loop(value):
        return value, threading.get_ident()

    def in_thread():
        first = anyio.from_thread.run(on_loop, 1)
        second = anyio.from_thread.run_sync(threading.get_ident)
        anyio.from_thread.check_cancelled()
        with anyio.from_thread.start_blocking_portal() as portal:
            third = portal.call(threading.get_ident)
        return first, second, third == second

    loop_thread = threading.get_ident()
    assert await run_sync(in_thread) == ((1, loop_thread), loop_thread, False)
    with pytest.raises(RuntimeError):  # nothing of it is left in the thread
        await asyncio.get_running_loop().run_in_executor(None, anyio.from_thread.run, on_loop, 1)


@frameworks(threads=2, queue_size=2)
async def test_a_full_pool_does_not_wait_for_what_its_threads_wait_for(made):
    """A pool that was full of calls of `from_thread.run` waited for a thread for what these handed to one."""
    work = made.request()

    async def inner():
        return await run_sync(thread_name)

    def outer():
        return anyio.from_thread.run(inner)

    names = await asyncio.gather(*(run_sync(outer) for _ in range(4)))
    assert len(names) == 4
    assert work.is_refused is False


async def nested(depth=1):
    """Make calls each of which waits in its thread for the next one."""
    loop = asyncio.get_running_loop()

    def wait():
        return asyncio.run_coroutine_threadsafe(nested(depth - 1), loop).result(PATIENCE_SECONDS)

    return await asyncio.to_thread(wait) if depth else await asyncio.to_thread(thread_name)


@pytest.mark.parametrize("late", [False, True], ids=["in the application's pool", "in a pool of their own"])
def test_a_background_task_whose_thread_waits_for_a_call_gets_an_answer(late):
    """With two threads, or one for background tasks, a task waited for ever for what it had begun itself."""

    @frameworks(threads=2, late=late)
    async def test(made):
        made.request().is_answered = True
        assert await nested(1)
        names = await asyncio.gather(*(nested(3) for _ in range(4)))
        assert len(names) == 4
        assert not made.threads.behind

    test()


@frameworks(threads=3)
async def test_many_calls_for_which_one_thread_waits_have_few_threads(made):
    """One `def` endpoint made a thread for each of a thousand calls, and a view of Django's a connection for each."""
    made.request()
    lock, active, most = threading.Lock(), 0, 0

    def note(change):
        nonlocal active, most
        with lock:
            active += change
            most = max(most, active)

    def leaf():
        note(1)
        time.sleep(0)
        note(-1)

    async def many(depth):
        await asyncio.gather(*(run_sync(partial(outer, depth - 1) if depth else leaf) for _ in range(40)))

    def outer(depth):
        note(1)
        anyio.from_thread.run(many, depth)
        note(-1)

    await run_sync(outer, 0)
    assert most <= 3 + 1
    await asyncio.gather(*(run_sync(outer, 1) for _ in range(3)))
    assert most <= 3 + 3 + 3  # each thread of the pool waits, and each of the extra ones of these


@frameworks(threads=1)
async def test_calls_that_wait_for_their_siblings_may_be_taken_back_or_dropped(made):
    work = made.request()
    ran, tasks = [], []

    async def many():
        tasks.append(asyncio.ensure_future(run_sync(made.block())))
        await until(lambda: made.extra.busy)
        for number in range(4):
            make = asyncio.to_thread if number % 2 else run_sync
            tasks.append(asyncio.ensure_future(make(ran.append, number)))
        await asyncio.sleep(0.001)
        for task in tasks[1:3]:
            task.cancel()
        await asyncio.gather(*tasks[1:3], return_exceptions=True)
        work.channel.closed = True
        made.release()
        return await asyncio.gather(*tasks, return_exceptions=True)

    found = await run_sync(anyio.from_thread.run, many)
    assert [type(each).__name__ for each in found] == ["bool", *["CancelledError"] * 2, *["ChannelClosed"] * 2]
    assert ran == []


@frameworks(threads=1)
async def test_calls_that_wait_for_their_siblings_fail_in_time_and_when_their_client_leaves(made):
    """They waited for as long as the sibling took, which might have waited for them."""
    work, other = made.request(), Work(made.threads, Channel())

    async def many():
        first = asyncio.ensure_future(run_sync(made.block()))
        await until(lambda: made.extra.busy)
        nest, late = nested_below.get(), asyncio.ensure_future(run_sync(int))
        current_work.set(other)
        left = asyncio.ensure_future(run_sync(int))
        await until(lambda: len(nest.waiting or ()) == 2)
        made.threads.expire(0.0)
        other.channel.closed = True
        made.threads.drop_left(other)
        with pytest.raises(ChannelClosed):
            await left
        made.threads.expire(time.monotonic() + 1)
        with pytest.raises(ChannelFull):
            await late
        assert (work.is_refused, other.is_refused, made.refused) == (True, False, 1)
        made.release()
        return await first

    assert await run_sync(anyio.from_thread.run, many)


@frameworks(threads=1)
async def test_calls_that_are_not_refused_get_a_thread_when_their_sibling_may_wait_for_them(made):
    made.request().is_answered = True

    async def many():
        is_done, nest = asyncio.Event(), nested_below.get()

        async def last():
            await run_sync(int)
            is_done.set()

        first = asyncio.ensure_future(run_sync(anyio.from_thread.run, is_done.wait))
        await until(lambda: made.extra.busy)
        second = asyncio.ensure_future(last())
        await until(lambda: nest.waiting)
        made.threads.expire(time.monotonic() + 1)
        await asyncio.gather(first, second)

    await run_sync(anyio.from_thread.run, many)


@frameworks()
async def test_calls_at_start_up_that_wait_for_calls_get_an_answer(made):
    """As many as there are threads aside waited for ever for threads aside."""
    names = await asyncio.gather(*(nested(2) for _ in range(6)))
    assert len(names) == 6


@frameworks(threads=1)
async def test_thread_sensitive_code_for_which_the_last_thread_waits_gets_another(made):
    made.request()

    async def inner():
        async with for_request(made.threads, lambda: None):
            return [await sync_to_async(thread_name)() for _ in range(2)]

    assert await run_sync(anyio.from_thread.run, inner) == ["extra-1", "extra-1"]
    current_work.set(None)
    lease = LastingLease(made.aside, made.outbox, extra=made.extra)

    async def outside():
        return await asyncio.wrap_future(lease.submit(thread_name))

    assert len(await asyncio.gather(*(run_sync(anyio.from_thread.run, outside) for _ in range(3)))) == 3
    lease.release()
    await until(lambda: not any(pool.busy for pool in made.pools))


@frameworks(threads=1)
async def test_a_thread_that_waits_for_the_loop_does_not_count_as_computing(made):
    made.request()
    seen = []

    async def look(own):
        seen.extend(job.is_waiting for pool in made.pools for thread, job in pool.running() if thread == own)

    def wait():
        anyio.from_thread.run(look, threading.get_ident())

    await run_sync(wait)
    await run_sync(wait, limiter=anyio.CapacityLimiter(1))
    current_work.set(None)
    await run_sync(wait)  # aside
    assert seen == [True] * 3


@frameworks()
async def test_the_loop_is_not_asked_to_wait_for_itself(made):
    token = anyio.lowlevel.current_token()

    async def forever():
        await anyio.sleep_forever()

    with pytest.raises(WrongSide) as raised:
        anyio.from_thread.run(forever, token=token)
    text = str(raised.value)
    assert text.count("test_anyio_threads.py:") == 2
    assert "forever" in text
    with pytest.raises(WrongSide):
        anyio.from_thread.run_sync(int, token=token)


@frameworks(threads=1)
async def test_what_a_thread_begins_after_its_scope_was_cancelled_is_cancelled(made):
    """anyio 4.16 turns in `checkpoint_if_cancelled` for ever then, and takes all processor time."""
    made.request()
    started, go_on = threading.Event(), threading.Event()
    outcome = []

    async def inner():
        return await run_sync(int)

    def in_thread():
        started.set()
        go_on.wait(PATIENCE_SECONDS)
        try:
            outcome.append(anyio.from_thread.run(inner))
        except BaseException as error:
            outcome.append(type(error).__name__)

    with anyio.CancelScope() as scope:
        call = asyncio.get_running_loop().call_later

        def cancel():
            if started.is_set():
                scope.cancel()
                call(0.01, go_on.set)
            else:
                call(0.001, cancel)

        cancel()
        await run_sync(in_thread)
    assert outcome == ["CancelledError"]
