"""Calls for background messages: counted, told once to have ended, and given back at the stop."""

import asyncio
import contextvars
import threading
import types

import pytest
from bridge_doubles import Bridge, on_loop, until_async
from patience import PATIENCE_SECONDS

from uvicorn.bridge.background import BackgroundCalls
from uvicorn.bridge.consumer import Consumer
from uvicorn.bridge.served import line_with_id
from uvicorn.errors import ConsumeLater, NotCalled, ServerStopping
from uvicorn.messages import Message


class Started(Bridge):
    """A worker, and how each of its background messages has ended."""

    def __init__(self, **options):
        super().__init__(**options)
        self.calls = BackgroundCalls(self.dispatcher)
        self.ended = []

    def start(self, call):
        consumer = call if isinstance(call, Consumer) else Consumer(call)
        self.calls.start(consumer, Message(channel="mail"), self.ended.append)
        return consumer

    async def end_of(self, call, count=1):
        consumer = self.start(call)
        await until_async(lambda: len(self.ended) == count and not len(self.calls), "the end of the call")
        self.dispatcher.tick()
        return consumer


class Hooks:
    def __init__(self, error=None):
        self.told = []
        self._error = error

    def before(self, request):
        self.told.append((request.method, request.path, request.addresses()))
        if self._error is not None:
            raise self._error

    def after(self, request):
        self.told.append(request.status)


def plain(message):
    pass


async def on_the_loop(message):
    pass


def plain_raising(error):
    def consumer(message):
        raise error

    return consumer


def raising_on_the_loop(error):
    async def consumer(message):
        raise error

    return consumer


@pytest.mark.parametrize("call", [plain, on_the_loop])
@on_loop
async def test_a_call_is_told_once_to_have_ended_and_is_in_the_numbers_of_its_consumer(call):
    async with Started() as worker:
        consumer = await worker.end_of(call)
        assert worker.ended == [None]
        assert (consumer.tally.calls, consumer.tally.errors) == (1, 0)
        assert sum(consumer.tally.waits) == (0 if consumer.is_async else 1)
        await worker.idle()
        assert list(worker.dispatcher.running.calls()) == []


request_of_call = contextvars.ContextVar("request_of_call", default=None)


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize(("request_id", "seen"), [("one", "one"), (None, None), ("no id", None)])
@on_loop
async def test_a_call_runs_with_what_goes_with_the_request_that_has_sent_the_message(is_async, request_id, seen):
    found = []

    def attend(request_id):
        attended = types.SimpleNamespace(context=contextvars.copy_context(), request_id=request_id)
        attended.context.run(request_of_call.set, request_id)
        return None if " " in request_id else attended

    def plain(message):
        [line] = {line_with_id(served) for served, _ in worker.dispatcher.running.calls()}  # one before may just end
        found.append((request_of_call.get(), line))
        request_of_call.set("its own")

    async def on_the_loop(message):
        plain(message)

    async with Started() as worker:
        worker.calls = BackgroundCalls(worker.dispatcher, attend)
        worker.dispatcher.is_attended = True
        for count in (1, 2):
            consumer = Consumer(on_the_loop if is_async else plain)
            worker.calls.start(consumer, Message(channel="mail"), worker.ended.append, request_id)
            await until_async(lambda count=count: len(worker.ended) == count, "the end of the call")
        line = "a message of mail" + (f" ({seen})" if seen else "")
        assert found == [(seen, line)] * 2
        assert worker.ended == [None, None]


@pytest.mark.parametrize("make", [plain_raising, raising_on_the_loop])
@pytest.mark.parametrize(("error", "errors"), [(LookupError(), 1), (SystemExit(), 1), (ConsumeLater(), 0)])
@on_loop
async def test_what_a_consumer_raises_is_told_and_counted_but_for_the_wish_to_have_it_later(make, error, errors):
    async with Started() as worker:
        consumer = await worker.end_of(make(error))
        assert worker.ended == [error]
        assert (consumer.tally.calls, consumer.tally.errors) == (1, errors)


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (plain, 200),
        (on_the_loop, 200),
        (plain_raising(ValueError()), 500),
        (raising_on_the_loop(ValueError()), 500),
    ],
)
@on_loop
async def test_hooks_see_a_request_of_the_method_message(call, status):
    hooks = Hooks()
    async with Started(hooks=hooks) as worker:
        await worker.end_of(call)
        assert hooks.told == [("MESSAGE", "mail", (None, None)), status]


@pytest.mark.parametrize("is_async", [False, True])
@on_loop
async def test_a_hook_that_raises_keeps_the_consumer_from_being_called(is_async):
    called, error = [], PermissionError("not today")

    def consumer(message):
        called.append(message)

    async def consumer_on_the_loop(message):
        called.append(message)

    async with Started(hooks=Hooks(error)) as worker:
        await worker.end_of(consumer_on_the_loop if is_async else consumer)
        assert (worker.ended, called) == ([error], [])


@on_loop
async def test_the_thread_of_a_call_and_its_wait_in_a_channel_are_known():
    began, go = threading.Event(), threading.Event()

    def consumer(message):
        began.set()
        assert go.wait(PATIENCE_SECONDS)

    async with Started() as worker:
        worker.start(consumer)
        await until_async(began.is_set)
        [(served, thread_id)] = worker.dispatcher.running.calls()
        assert (served.shown_line, served.job.thread_id) == ("a message of mail", thread_id)
        served.set_waiting(True)
        assert "0 running, 1 waiting" in repr(worker.pool)
        served.set_waiting(False)
        assert "1 running, 0 waiting" in repr(worker.pool)
        go.set()
        await until_async(lambda: worker.ended == [None])


@on_loop
async def test_what_no_thread_has_begun_is_given_back_at_the_stop_and_nothing_more_is_begun():
    async with Started(threads=1) as worker:
        await worker.block(1)
        consumer = worker.start(plain)
        assert (worker.ended, worker.pool.late) == ([], 1)
        worker.calls.begin_stopping()
        worker.start(plain)
        worker.start(on_the_loop)
        assert [type(error) for error in worker.ended] == [NotCalled] * 3
        assert (len(worker.calls), worker.pool.late, consumer.tally.calls) == (0, 0, 0)


@on_loop
async def test_what_runs_at_the_stop_is_waited_for_as_long_as_is_given_and_cancelled_in_the_end():
    async def forever(message):
        await asyncio.Event().wait()

    async with Started() as worker:
        consumer = worker.start(forever)
        await asyncio.sleep(0)
        worker.calls.begin_stopping()
        await worker.calls.settled(0.0)
        assert worker.ended == []
        worker.dispatcher.abort()
        await worker.calls.settled(PATIENCE_SECONDS)
        assert [type(error) for error in worker.ended] == [asyncio.CancelledError]
        assert consumer.tally.errors == 0


@on_loop
async def test_a_task_that_is_cancelled_before_it_began_gives_its_message_back():
    async with Started() as worker:
        worker.start(on_the_loop)
        worker.dispatcher.abort()
        assert [type(error) for error in worker.ended] == [NotCalled]
        await asyncio.sleep(0)
        assert len(worker.ended) == 1


@on_loop
async def test_a_message_whose_thread_is_stuck_is_given_up_once():
    began, go = threading.Event(), threading.Event()

    def stuck(message):
        began.set()
        assert go.wait(PATIENCE_SECONDS)

    async with Started(threads=1) as worker:
        worker.start(stuck)
        await until_async(began.is_set)
        [slot] = worker.pool.slots()
        slot.stuck = slot.job
        worker.dispatcher.give_up_stuck()
        assert [type(error) for error in worker.ended] == [ServerStopping]
        go.set()
        await until_async(lambda: not worker.pool.busy)
        worker.outbox.drain_now()
        assert len(worker.ended) == 1


@on_loop
async def test_a_worker_asks_for_no_more_messages_than_a_pool_has_threads():
    async with Started(threads=3) as worker:
        assert worker.calls.most(Consumer(plain)) == 3
        assert worker.calls.most(Consumer(on_the_loop)) == 100
