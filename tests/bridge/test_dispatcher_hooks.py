"""The hooks around a consumer: on its side, in its context, exactly once."""

import asyncio
import contextvars
import threading

import pytest
from bridge_doubles import Bridge, FakeExchange, on_loop, replying, until_async
from patience import NEVER_SECONDS, PATIENCE_SECONDS

from uvicorn.bridge import jobs
from uvicorn.bridge.dispatcher import Dispatcher

colour = contextvars.ContextVar("colour", default="none")


class NotingHooks:
    """Hooks that note what was called, in which thread and context."""

    def __init__(self):
        self.calls = []  # of (what, exchange)
        self.threads = []
        self.colours = []
        self.error = None

    def note(self, what, exchange=None):
        self.calls.append((what, exchange))
        self.threads.append(threading.get_ident())
        self.colours.append(colour.get())

    def before(self, exchange):
        self.note("before", exchange)
        colour.set("of before")
        if self.error is not None:
            raise self.error

    def after(self, exchange):
        self.note("after", exchange)

    @property
    def names(self):
        return [what for what, _ in self.calls]


class HookedBridge(Bridge):
    """A bridge whose exchanges tell the dispatcher when their response is over, as real ones do."""

    def __init__(self, **keys):
        self.hooks = NotingHooks()
        super().__init__(hooks=self.hooks, **keys)

    def make_exchange(self):
        return EndingExchange(self.dispatcher)


class EndingExchange(FakeExchange):
    def __init__(self, dispatcher):
        super().__init__()
        self._dispatcher = dispatcher

    def reply(self, reply):
        was_closed = self.is_closed
        super().reply(reply)
        if self.is_closed and not was_closed:
            self._dispatcher.on_response_ended(self)

    def on_failed(self, error):
        super().on_failed(error)
        self.answer_500()

    def on_dropped(self, _=None):
        super().on_dropped()
        self.answer_500()

    def refuse(self, status, reason, retry_after=0, setting="other"):
        super().refuse(status, reason, retry_after)
        self._dispatcher.on_response_ended(self)

    def lose(self, is_stopping=False):
        was_closed = self.is_closed
        super().lose(is_stopping)
        if not was_closed:
            self._dispatcher.on_response_ended(self)

    def answer_500(self):
        if not self.is_closed:
            self.is_closed = True
            self._dispatcher.on_response_ended(self)


def on_side(consumer, is_async):
    """Return a synchronous consumer, or a coroutine function that calls it."""

    async def coroutine(message):
        consumer(message)

    return coroutine if is_async else consumer


SIDES = pytest.mark.parametrize("is_async", [False, True], ids=["pool", "loop"])


@SIDES
@on_loop
async def test_hooks_run_once_around_a_consumer_that_replies(is_async):
    async with HookedBridge() as bridge:

        def consumer(message):
            bridge.hooks.note("call")
            replying()(message)

        exchange = bridge.call(on_side(consumer, is_async))
        await until_async(lambda: "after" in bridge.hooks.names, "the hook after it")
        await bridge.idle()
        assert bridge.hooks.names == ["before", "call", "after"]
        assert bridge.hooks.calls[0] == ("before", exchange)
        assert bridge.hooks.calls[2] == ("after", exchange)


@SIDES
@on_loop
async def test_hooks_run_in_the_thread_of_their_consumer(is_async, monkeypatch):
    monkeypatch.setattr(jobs, "_PATIENCE_SECONDS", NEVER_SECONDS)  # or another thread may run the hook after it
    async with HookedBridge() as bridge:

        def consumer(message):
            bridge.hooks.note("call")
            replying()(message)

        bridge.call(on_side(consumer, is_async))
        await until_async(lambda: "after" in bridge.hooks.names, "the hook after it")
        assert len(set(bridge.hooks.threads)) == 1
        assert (bridge.hooks.threads[0] == threading.get_ident()) is is_async


@on_loop
async def test_hooks_of_a_synchronous_consumer_share_its_context():
    async with HookedBridge() as bridge:

        def consumer(message):
            bridge.hooks.note("call")
            colour.set("of the call")
            replying()(message)

        bridge.call(consumer)
        await until_async(lambda: "after" in bridge.hooks.names, "the hook after it")
        assert bridge.hooks.colours == ["none", "of before", "of the call"]


@SIDES
@on_loop
async def test_a_hook_before_that_raises_is_the_consumers_failure_and_the_consumer_is_not_called(is_async):
    async with HookedBridge() as bridge:
        bridge.hooks.error = ValueError("x")
        exchange = bridge.call(on_side(lambda message: bridge.hooks.note("call"), is_async))
        await until_async(lambda: "after" in bridge.hooks.names, "the hook after it")
        await bridge.idle()
        assert bridge.hooks.names == ["before", "after"]
        assert exchange.failures == [bridge.hooks.error]


@SIDES
@on_loop
async def test_the_hook_after_runs_once_for_a_consumer_that_raises(is_async):
    async with HookedBridge() as bridge:

        def consumer(message):
            raise ValueError("x")

        bridge.call(on_side(consumer, is_async))
        await until_async(lambda: "after" in bridge.hooks.names, "the hook after it")
        await bridge.idle()
        assert bridge.hooks.names == ["before", "after"]


@SIDES
@on_loop
async def test_the_hook_after_runs_once_for_a_consumer_that_lets_go_of_its_channel(is_async):
    async with HookedBridge() as bridge:
        bridge.call(on_side(lambda message: None, is_async))
        await until_async(lambda: "after" in bridge.hooks.names, "the hook after it")
        await bridge.idle()
        assert bridge.hooks.names == ["before", "after"]


@on_loop
async def test_the_hook_after_waits_for_a_reply_that_comes_later_and_runs_in_the_pool():
    async with HookedBridge() as bridge:
        kept = []
        exchange = bridge.call(lambda message: kept.append(message["reply_channel"]))
        await bridge.idle()
        assert bridge.hooks.names == ["before"]
        kept.pop().send({"status": 200, "content": b"later"})
        await until_async(lambda: "after" in bridge.hooks.names, "the hook after it")
        await bridge.idle()
        assert bridge.hooks.calls == [("before", exchange), ("after", exchange)]
        assert threading.get_ident() not in bridge.hooks.threads


@on_loop
async def test_the_hook_after_of_a_late_reply_is_not_thrown_out_of_the_queue():
    async with HookedBridge(threads=1, queue_timeout=5.0) as bridge:
        kept = []
        exchange = bridge.call(lambda message: kept.append(message["reply_channel"]))
        await bridge.idle()
        exchange.job.submitted_at -= 60.0  # it has taken a minute
        await bridge.block(1)
        kept.pop().send({"status": 200, "content": b"later"})
        bridge.dispatcher.tick()
        assert exchange.refusals == []
        assert bridge.log.texts("warning") == []
        bridge.release()
        await until_async(lambda: bridge.hooks.calls.count(("after", exchange)) == 1, "the hook after it")


@on_loop
async def test_an_expired_request_behind_the_hook_of_a_late_reply_is_still_answered():
    async with HookedBridge(threads=1, queue_timeout=5.0) as bridge:
        kept = []
        late = bridge.call(lambda message: kept.append(message["reply_channel"]))
        await bridge.idle()
        late.job.submitted_at -= 60.0
        await bridge.block(1)
        kept.pop().send({"status": 200, "content": b"later"})
        old = bridge.call(replying())
        old.job.submitted_at -= 60.0
        bridge.dispatcher.tick()
        assert old.refusals == [(503, 1)]
        bridge.release()


@pytest.mark.parametrize("way", ["client left", "too long", "full"])
@on_loop
async def test_no_hook_runs_for_a_request_that_never_takes_a_thread(way):
    async with HookedBridge(threads=1, queue_size=0 if way == "full" else 10) as bridge:
        (blocking,) = await bridge.block(1)
        exchange = bridge.call(replying())
        if way == "client left":
            exchange.lose()
            bridge.dispatcher.cancel(exchange, grace=0)
        elif way == "too long":
            exchange.job.submitted_at -= 1000.0
            bridge.dispatcher.tick()
        bridge.release()
        await until_async(lambda: ("after", blocking) in bridge.hooks.calls, "the hook after the other")
        await bridge.idle()
        assert bridge.hooks.calls == [("before", blocking), ("after", blocking)]


@on_loop
async def test_no_hook_runs_for_a_client_that_left_just_before_the_call():
    async with HookedBridge(threads=1) as bridge:
        (blocking,) = await bridge.block(1)
        exchange = bridge.call(replying())
        exchange.lose()  # and nobody takes the job back
        bridge.release()
        await bridge.idle()
        assert exchange not in [other for _, other in bridge.hooks.calls]
        await until_async(lambda: ("after", blocking) in bridge.hooks.calls, "the hook after the other")


@SIDES
@on_loop
async def test_the_hook_after_runs_once_when_the_client_leaves_during_the_call(is_async):
    async with HookedBridge() as bridge:
        started, go_on = threading.Event(), threading.Event()

        def consumer(message):
            started.set()
            assert go_on.wait(PATIENCE_SECONDS)

        async def coroutine(message):
            started.set()
            await asyncio.Event().wait()

        exchange = bridge.call(coroutine if is_async else consumer)
        await until_async(started.is_set, "the call")
        exchange.lose()
        bridge.dispatcher.cancel(exchange, grace=0)
        bridge.dispatcher.tick()
        go_on.set()
        await until_async(lambda: "after" in bridge.hooks.names, "the hook after it")
        await bridge.idle()
        assert bridge.hooks.names == ["before", "after"]


@pytest.mark.slow
@on_loop
async def test_a_thousand_replies_from_threads_run_each_hook_once():
    async with HookedBridge(threads=4, queue_size=1000) as bridge:
        for _ in range(20):
            for _ in range(50):
                bridge.call(replying())
            await bridge.idle()
        await until_async(lambda: bridge.hooks.names.count("after") == 1000, "all hooks")
        await bridge.idle()
        assert len(set(bridge.hooks.calls)) == len(bridge.hooks.calls) == 2000


@on_loop
async def test_without_hooks_nothing_is_called_when_a_response_ends():
    async with Bridge() as bridge:
        assert isinstance(bridge.dispatcher, Dispatcher)
        exchange = bridge.call(replying())
        await until_async(lambda: exchange.is_closed, "the reply")
        bridge.dispatcher.on_response_ended(exchange)
        await bridge.idle()
        assert (exchange.failures, bridge.log.records) == ([], [])
