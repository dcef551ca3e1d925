"""The dispatcher: which side a consumer runs on, capacity, and clients that leave."""

import asyncio
import gc
import threading

import pytest
from bridge_doubles import Bridge, on_loop, replying, until_async
from patience import NEVER_SECONDS

from uvicorn.messages import Message

# ---- the two sides ----


@on_loop
async def test_a_synchronous_consumer_runs_in_a_thread_of_the_pool():
    async with Bridge() as bridge:
        names = []

        def consumer(message):
            names.append(threading.current_thread().name)
            replying()(message)

        exchange = bridge.call(consumer)
        await until_async(lambda: exchange.contents == [b"all"], "the reply")
        assert names == ["uvicorn-consumer-1"]
        assert exchange.thread_ids == {threading.get_ident()}


@on_loop
async def test_an_asynchronous_consumer_runs_as_a_task_on_the_loop():
    async with Bridge() as bridge:
        seen = []

        async def consumer(message):
            seen.append((threading.get_ident(), asyncio.current_task()))
            await message["reply_channel"].send({"status": 200, "content": b"all"})

        exchange = bridge.call(consumer)
        task = exchange.task
        await until_async(lambda: exchange.contents == [b"all"], "the reply")
        assert seen == [(threading.get_ident(), task)]
        assert exchange.job is None


@on_loop
async def test_consumers_of_both_sides_get_the_message_that_was_dispatched():
    async with Bridge() as bridge:
        seen = []

        async def on_the_loop(message):
            seen.append(message)

        def in_the_pool(message):
            seen.append(message)

        for consumer in (on_the_loop, in_the_pool):
            bridge.call(consumer, path="/here")
            await bridge.idle()
        assert [type(message) for message in seen] == [Message, Message]
        assert [message["path"] for message in seen] == ["/here", "/here"]
        assert all(message.reply_channel is message["reply_channel"] for message in seen)


@on_loop
async def test_running_tells_tasks_and_threads():
    async with Bridge() as bridge:
        (in_pool,) = await bridge.block(1)

        async def wait(message):
            await asyncio.Event().wait()

        on_loop_ = bridge.call(wait)
        running = dict(bridge.dispatcher.running.calls())
        assert running[on_loop_] is on_loop_.task
        assert running[in_pool] in {thread.ident for thread in threading.enumerate()}
        assert len(running) == 2
        assert bridge.dispatcher.running.is_idle is False
        bridge.release()


# ---- capacity ----


@on_loop
async def test_a_request_that_finds_pool_and_queue_full_is_answered_503_at_once():
    async with Bridge(threads=1, queue_size=1) as bridge:
        await bridge.block(1)
        queued = bridge.call(replying())
        refused = bridge.call(replying())
        assert (queued.refusals, refused.refusals) == ([], [(503, 1)])
        bridge.release()


@on_loop
async def test_a_refused_request_is_not_reported_as_one_without_a_reply():
    async with Bridge(threads=1, queue_size=0) as bridge:
        await bridge.block(1)
        refused = bridge.call(replying())
        gc.collect()
        bridge.release()
        await bridge.idle()
        assert refused.is_closed
        assert refused.replies == []


@on_loop
async def test_refusals_are_logged_once_a_tick_with_their_count():
    async with Bridge(threads=1, queue_size=0) as bridge:
        await bridge.block(1)
        for _ in range(3):
            bridge.call(replying())
        assert bridge.log.texts("warning") == []
        bridge.dispatcher.tick()
        bridge.dispatcher.tick()
        (text,) = bridge.log.texts("warning")
        assert text == (
            "Rejected 3 requests: 1 threads busy of 1, 0 queued; threads are held by "
            "bridge_doubles.Bridge.block.<locals>.block (1); see threads, queue_size and queue_timeout"
        )
        bridge.release()


@on_loop
async def test_refusals_say_what_the_governor_holds_back_and_which_bound_it_was():
    async with Bridge(threads=2) as bridge:
        await bridge.block(1)
        bridge.pool.set_limit(0.5)
        bridge.call(replying())
        await until_async(lambda: bridge.pool.held == 1, "the job that is held")
        bridge.dispatcher.on_refused("as told")
        bridge.dispatcher.tick()
        (text,) = bridge.log.texts("warning")
        assert text.startswith(
            "Rejected 1 requests (the last one: as told): 1 threads busy of 2, 1 queued (1 held back by the governor); "
        )
        bridge.pool.set_limit(2)
        bridge.release()


@on_loop
async def test_a_request_that_waits_too_long_for_a_thread_is_answered_503():
    async with Bridge(threads=1, queue_timeout=NEVER_SECONDS) as bridge:
        await bridge.block(1)
        calls = []
        old, fresh = bridge.call(calls.append), bridge.call(replying())
        old.job.submitted_at -= NEVER_SECONDS
        bridge.dispatcher.tick()
        assert (old.refusals, fresh.refusals) == ([(503, 1)], [])
        bridge.release()
        await until_async(lambda: fresh.contents == [b"all"], "the reply")
        assert calls == []
        (text,) = bridge.log.texts("warning")
        assert text.startswith("Rejected 1 requests")


# ---- the client leaves ----


@on_loop
async def test_a_request_whose_client_left_in_the_queue_never_takes_a_thread():
    async with Bridge(threads=1) as bridge:
        await bridge.block(1)
        calls = []
        exchange = bridge.call(calls.append)
        exchange.lose()
        bridge.dispatcher.cancel(exchange, grace=0)
        assert bridge.pool.queued == 0
        bridge.release()
        await bridge.idle()
        assert calls == []


@on_loop
async def test_a_request_whose_client_left_just_before_its_call_is_not_called():
    async with Bridge(threads=1) as bridge:
        await bridge.block(1)
        calls = []
        exchange = bridge.call(calls.append)
        exchange.lose()
        bridge.release()
        await bridge.idle()
        assert (calls, exchange.failures) == ([], [])


@on_loop
async def test_the_message_of_a_cancelled_request_is_let_go():
    async with Bridge(threads=1) as bridge:
        await bridge.block(1)
        exchange = bridge.call(replying())
        exchange.lose()
        bridge.dispatcher.cancel(exchange, grace=0)
        await until_async(lambda: exchange.drops == 1, "the end of the reply channel")
        bridge.release()


@on_loop
async def test_a_running_synchronous_consumer_is_left_alone_when_its_client_leaves():
    async with Bridge() as bridge:
        (exchange,) = await bridge.block(1)
        exchange.lose()
        bridge.dispatcher.cancel(exchange, grace=0)
        bridge.dispatcher.tick()
        assert bridge.pool.busy == 1
        bridge.release()
        await bridge.idle()
        assert exchange.failures == []


@on_loop
async def test_a_task_whose_client_left_is_cancelled_after_the_grace():
    async with Bridge() as bridge:
        started = asyncio.Event()

        async def wait(message):
            started.set()
            await asyncio.Event().wait()

        exchange = bridge.call(wait)
        task = exchange.task
        await started.wait()
        bridge.dispatcher.cancel(exchange, grace=1000)
        bridge.dispatcher.tick()
        await asyncio.sleep(0)
        assert not task.done()
        bridge.dispatcher.cancel(exchange, grace=0)
        bridge.dispatcher.tick()
        await asyncio.wait([task])
        assert [type(error) for error in exchange.failures] == [asyncio.CancelledError]
        assert bridge.dispatcher.running.is_idle


@on_loop
async def test_a_task_that_ended_within_the_grace_is_not_cancelled():
    async with Bridge() as bridge:
        end = asyncio.Event()

        async def wait(message):
            await end.wait()

        exchange = bridge.call(wait)
        task = exchange.task
        await asyncio.sleep(0)
        bridge.dispatcher.cancel(exchange, grace=0)
        end.set()
        await asyncio.wait([task])
        bridge.dispatcher.tick()
        assert not task.cancelled()
        assert exchange.failures == []


@on_loop
async def test_cancel_tasks_cancels_every_task():
    async with Bridge() as bridge:

        async def wait(message):
            await asyncio.Event().wait()

        exchanges = [bridge.call(wait) for _ in range(3)]
        await asyncio.sleep(0)
        bridge.dispatcher.abort()
        await bridge.idle()
        assert all(isinstance(exchange.failures[0], asyncio.CancelledError) for exchange in exchanges)


@pytest.mark.parametrize("way", ["stop", "client"])
@on_loop
async def test_a_task_cancelled_before_its_first_step_leaves_nothing_behind(way):
    async with Bridge() as bridge:
        calls = []

        async def consumer(message):
            calls.append(message)

        # An application may say how tasks are made; where it does not, newer Pythons take their first step at once.
        asyncio.get_running_loop().set_task_factory(lambda loop, call, **keys: asyncio.Task(call, loop=loop, **keys))
        bridge.dispatcher.tick()
        exchange = bridge.call(consumer)
        task = exchange.task
        if way == "stop":
            bridge.dispatcher.abort()
        else:
            bridge.dispatcher.cancel(exchange, grace=0)
            bridge.dispatcher.tick()
        await asyncio.wait([task])
        assert calls == []
        assert bridge.dispatcher.running.is_idle
        assert list(bridge.dispatcher.running.calls()) == []


# ---- threads that do not come back ----


@on_loop
async def test_what_a_pool_without_a_free_thread_holds_is_answered_and_not_waited_for():
    async with Bridge(threads=2) as bridge:
        stuck = await bridge.block(2)
        waiting = bridge.call(replying())
        for slot in bridge.pool.slots()[:1]:
            slot.stuck = slot.job
        bridge.dispatcher.give_up_stuck()  # one thread may come back
        assert [exchange.refusals for exchange in (*stuck, waiting)] == [[], [], []]
        assert not bridge.dispatcher.running.is_idle

        for slot in bridge.pool.slots():
            slot.stuck = slot.job
        bridge.dispatcher.give_up_stuck()
        assert [exchange.refusals for exchange in (*stuck, waiting)] == [[(504, 0)], [(504, 0)], [(503, 1)]]
        assert bridge.dispatcher.running.is_idle
        for slot in bridge.pool.slots():
            slot.stuck = None
