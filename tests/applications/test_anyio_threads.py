"""anyio's calls in our pools: where they run, and what they find there."""

import asyncio
import contextvars
import threading

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest
from framework_doubles import Channel, frameworks, thread_name, until, until_runs
from patience import NEVER_SECONDS, PATIENCE_SECONDS

from uvicorn.applications import anyio_threads
from uvicorn.applications.anyio_threads import Backend
from uvicorn.bridge.work import Work, current_work
from uvicorn.errors import ChannelFull, WrongSide

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
    await until_runs(made.main)
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
    await until_runs(made.main)
    order = []
    work.is_answered = True
    late = asyncio.ensure_future(run_sync(lambda: order.append("background")))
    await until(lambda: made.main.late == 1)
    [call] = made.main.waiting()
    call.submitted_at += NEVER_SECONDS  # what has waited for two seconds goes first
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
    await until_runs(made.main)
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
