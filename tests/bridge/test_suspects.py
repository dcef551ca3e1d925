"""Who runs on the loop or in a thread just now: looked at by another thread, while it stands still."""

import asyncio
import re
import threading

from bridge_doubles import FakeExchange, on_loop
from patience import PATIENCE_SECONDS, until

from uvicorn.bridge.consumer import Consumer
from uvicorn.bridge.serve import serve
from uvicorn.bridge.stacks import frames_of
from uvicorn.bridge.suspects import (
    running_in_pools,
    suspect_in_thread,
    suspect_of,
    suspect_on_loop,
    unit_on_loop,
)

HERE = r"\S+test_suspects\.py:\d+, in looked_at, which is in \S+threading\.py:\d+, in \w+"


def looked_at(look):
    """Return what another thread sees while this one stands here."""
    found, own = [], threading.get_ident()

    def see():
        until(lambda: threading.Thread.join.__code__ in [frame.f_code for frame in frames_of(own)], "the wait for us")
        found.append(look())

    other = threading.Thread(target=see, daemon=True)
    other.start()
    other.join(PATIENCE_SECONDS)
    return found[0]


def look_at_loop(running=()):
    loop, thread = asyncio.get_running_loop(), threading.get_ident()
    return looked_at(lambda: suspect_on_loop(loop, thread, lambda: running))


def served(name="app.page", line="GET /page"):
    exchange = FakeExchange()
    exchange.consumer_name, exchange.shown_line = name, line
    return exchange


async def inner(running):
    return look_at_loop(running)


async def page(running):
    return await inner(running)


@on_loop
async def test_a_task_is_known_by_its_request_with_line_and_stack():
    running = []
    task = asyncio.ensure_future(page(running))
    running += [(served("app.other"), 12345), (served(), task)]
    suspect = await task
    assert (suspect.name, suspect.request) == ("app.page", "GET /page")
    assert re.fullmatch(HERE, suspect.line)
    assert str(suspect) == f"app.page (GET /page) at {suspect.line}"
    assert suspect.place[0] == __file__
    assert suspect.stack.index("in page") < suspect.stack.index("in inner") < suspect.stack.index("in looked_at")
    assert "base_events.py" not in suspect.stack


@on_loop
async def test_a_task_of_no_request_is_known_by_its_name():
    suspect = await asyncio.create_task(page([]), name="refresh")
    assert (suspect.name, suspect.request) == ("task refresh", "")
    assert str(suspect).startswith("task refresh at ")


@on_loop
async def test_a_task_is_known_by_its_name_when_what_runs_changes_meanwhile():
    def changing():
        raise RuntimeError("dictionary changed size during iteration")
        yield

    suspect = await asyncio.create_task(page(changing()), name="refresh")
    assert suspect.name == "task refresh"


@on_loop
async def test_a_call_that_was_begun_at_once_and_is_not_written_down_yet_is_known_by_its_frame():
    found = []

    async def consumer(message):
        found.append(look_at_loop())

    await asyncio.create_task(serve(Consumer(consumer), {}, served(), None, {}))
    assert [(suspect.name, suspect.request) for suspect in found] == [("app.page", "GET /page")]
    assert "serve.py" not in found[0].stack


@on_loop
async def test_a_callback_is_told_as_one():
    found = []
    asyncio.get_running_loop().call_soon(lambda: found.append(look_at_loop()))
    await asyncio.sleep(0)
    assert [(suspect.name, suspect.request) for suspect in found] == [("a callback of the event loop", "")]


def test_an_idle_loop_and_one_whose_thread_has_ended_do_nothing():
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    # It is between two calls of its own at first.
    until(lambda: suspect_on_loop(loop, thread.ident, lambda: ()) is None, "the rest of the loop")
    loop.call_soon_threadsafe(loop.stop)
    thread.join(PATIENCE_SECONDS)
    loop.close()
    assert suspect_on_loop(loop, thread.ident, lambda: ()) is None


@on_loop
async def test_the_unit_of_work_changes_with_the_task():
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert looked_at(lambda: unit_on_loop(loop)) == id(task)
    found = []
    loop.call_soon(lambda: found.append(looked_at(lambda: unit_on_loop(loop))))
    await asyncio.sleep(0)
    assert found == [0]


@on_loop
async def test_a_call_is_looked_at_until_it_has_ended():
    task = asyncio.ensure_future(asyncio.Event().wait())
    await asyncio.sleep(0)
    assert suspect_of(served(), task).name == "app.page"
    task.cancel()
    await asyncio.wait([task])
    assert suspect_of(served(), task) is None


def test_threads_are_known_by_their_jobs_or_by_their_names(pools):
    pool = pools.make(threads=2)
    request, other = pools.block(pool, 2)
    request.exchange = served("app.slow", "GET /slow")
    other.name = "a lease"
    suspect = suspect_in_thread(request.thread_id, [pool])
    assert (suspect.name, suspect.request) == ("app.slow", "GET /slow")
    assert (suspect_in_thread(other.thread_id, [pool]).name, suspect.place[0][-15:]) == ("a lease", "pool_doubles.py")
    assert suspect_in_thread(other.thread_id, []).name == f"thread {pool.name}-2"
    assert suspect_in_thread(threading.get_ident(), [pool]) is None


def test_an_ended_thread_has_nothing_to_show():
    ended = threading.Thread(target=int)
    ended.start()
    ended.join(PATIENCE_SECONDS)
    assert suspect_in_thread(ended.ident, []) is None


def test_what_computes_in_threads_is_named_and_what_is_more_is_counted(pools):
    pool = pools.make(threads=4)
    assert running_in_pools([pool]) == ""
    jobs = pools.block(pool, 4)
    jobs[0].is_waiting = True
    for number, job in enumerate(jobs):
        job.name = f"call {number}"
    first, where, more = running_in_pools([pool], most=1).splitlines()
    assert first == f"  {pool.name}-2 in call 1"
    assert re.match(r"    at \S+pool_doubles\.py:\d+, in run, ", where)
    assert more == "  and 2 more"
    assert "more" not in running_in_pools([pool])
