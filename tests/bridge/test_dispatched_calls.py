"""One call of a consumer: its mistakes, the life of its message, its context variables."""

import contextvars
import threading
import weakref

import pytest
from bridge_doubles import Bridge, on_loop, replying, until_async

from uvicorn.bridge.consumer import Consumer
from uvicorn.errors import ConsumerError

colour = contextvars.ContextVar("colour", default="none")

# ---- mistakes of a consumer ----

SIDES = pytest.mark.parametrize("is_async", [False, True], ids=["pool", "loop"])


def raising(error, is_async):
    def plain(message):
        raise error

    async def coroutine(message):
        raise error

    return coroutine if is_async else plain


@SIDES
@pytest.mark.parametrize("error", [ValueError("x"), SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=repr)
@on_loop
async def test_whatever_a_consumer_raises_reaches_its_exchange_and_ends_nothing_else(error, is_async):
    async with Bridge(threads=1) as bridge:
        failing = bridge.call(raising(error, is_async))
        await until_async(lambda: failing.failures == [error], "the report")
        assert failing.thread_ids == {threading.get_ident()}
        later = bridge.call(replying())
        await until_async(lambda: later.contents == [b"all"], "the next reply")


@SIDES
@on_loop
async def test_a_failure_is_told_once_and_before_the_channel_is_let_go(is_async):
    async with Bridge() as bridge:
        drops_at_failure = []

        def listen(exchange):
            exchange.on_failed = lambda error: drops_at_failure.append(exchange.drops)

        bridge.call(raising(ValueError("x"), is_async), listen)
        await until_async(lambda: drops_at_failure, "the report")
        await bridge.idle()
        assert drops_at_failure == [0]


@on_loop
async def test_what_a_consumer_sent_before_it_raised_is_written_before_its_failure_is_told():
    async with Bridge() as bridge:
        replies_at_failure = []

        def consumer(message):
            message["reply_channel"].send({"status": 200, "content": b"a", "more_content": True})
            raise ValueError("x")

        exchange = bridge.call(consumer)
        exchange.on_failed = lambda error: replies_at_failure.append(list(exchange.contents))
        await until_async(lambda: replies_at_failure, "the report")
        assert replies_at_failure == [[b"a"]]


@on_loop
async def test_a_synchronous_consumer_that_returns_a_coroutine_is_reported_by_name():
    async with Bridge() as bridge:

        async def forgotten(message):
            raise AssertionError("must not run")

        def consumer(message):
            return forgotten(message)

        exchange = bridge.call(consumer)  # a coroutine that is not closed would warn, which is an error here
        await until_async(lambda: exchange.failures, "the report")
        (error,) = exchange.failures
        assert isinstance(error, ConsumerError)
        assert Consumer(consumer).name in str(error)
        assert "async def" in str(error)


@pytest.mark.parametrize("result", [0, "text", {}, object()], ids=lambda result: type(result).__name__)
@on_loop
async def test_whatever_else_a_synchronous_consumer_returns_is_ignored(result):
    async with Bridge() as bridge:

        def consumer(message):
            replying()(message)
            return result

        exchange = bridge.call(consumer)
        await bridge.idle()
        assert (exchange.contents, exchange.failures) == ([b"all"], [])


# ---- the life of a message ----


@SIDES
@on_loop
async def test_a_consumer_that_returns_without_a_reply_is_told_of_at_once(is_async):
    async with Bridge() as bridge:

        async def coroutine(message):
            pass

        exchange = bridge.call(coroutine if is_async else (lambda message: None))
        await until_async(lambda: exchange.drops == 1, "the report")


@SIDES
@on_loop
async def test_a_message_is_let_go_when_its_consumer_has_ended(is_async):
    async with Bridge() as bridge:
        references = []

        class Held:
            pass

        def note(message):
            message["held"] = Held()  # by the message alone
            references.append(weakref.ref(message["held"]))
            replying()(message)

        async def coroutine(message):
            note(message)

        bridge.call(coroutine if is_async else note)
        await until_async(lambda: references and references[0]() is None, "the end of the message")
        assert len(references) == 1


@on_loop
async def test_a_reply_may_come_after_the_consumer_has_returned():
    async with Bridge() as bridge:
        kept = []

        def keep(message):
            kept.append(message["reply_channel"])

        exchange = bridge.call(keep)
        await bridge.idle()
        assert (exchange.drops, exchange.replies) == (0, [])
        kept.pop().send({"status": 200, "content": b"later"})
        assert exchange.contents == [b"later"]


# ---- context variables ----


@SIDES
@on_loop
async def test_each_call_starts_with_the_context_of_the_worker(is_async):
    token = colour.set("of the worker")
    try:
        async with Bridge(threads=1) as bridge:
            seen = []

            def plain(message):
                seen.append(colour.get())
                colour.set("of a call")

            async def coroutine(message):
                plain(message)

            for _ in range(3):
                bridge.call(coroutine if is_async else plain)
                await bridge.idle()
            assert seen == ["of the worker"] * 3
            assert colour.get() == "of the worker"
    finally:
        colour.reset(token)


@on_loop
async def test_what_the_loop_sets_later_does_not_reach_a_call():
    async with Bridge() as bridge:
        token = colour.set("of the loop, later")
        try:
            seen = []
            bridge.call(lambda message: seen.append(colour.get()))
            await bridge.idle()
            assert seen == ["none"]
        finally:
            colour.reset(token)


@on_loop
async def test_what_a_call_sets_holds_throughout_that_call():
    async with Bridge() as bridge:
        seen = []

        def consumer(message):
            colour.set("mine")
            message["reply_channel"].send({"status": 200, "more_content": True})
            message["reply_channel"].send({"content": b"end"})
            seen.append(colour.get())

        bridge.call(consumer)
        await bridge.idle()
        assert seen == ["mine"]


@SIDES
@on_loop
async def test_a_call_that_is_started_by_the_reply_of_another_has_a_fresh_context(is_async):
    async with Bridge() as bridge:
        seen = []

        async def coroutine(message):
            seen.append(colour.get())

        def plain(message):
            seen.append(colour.get())

        def reply_coloured(message):
            colour.set("of another call")
            replying()(message)

        async def reply_coloured_on_the_loop(message):
            reply_coloured(message)

        def call_another(exchange):
            exchange.on_reply = lambda reply: bridge.call(coroutine if is_async else plain)

        for first in (reply_coloured, reply_coloured_on_the_loop):
            exchange = bridge.call(first, call_another)
            await until_async(lambda exchange=exchange: exchange.replies, "the reply")
            await bridge.idle()
        assert seen == ["none", "none"]
