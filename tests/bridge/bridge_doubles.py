"""Doubles and helpers for the tests of the bridge."""

import asyncio
import functools
import threading
import time

from patience import PATIENCE_SECONDS
from pool_doubles import RecordingLog

from uvicorn.bridge.channels import ReplyChannel
from uvicorn.bridge.consumer import Consumer
from uvicorn.bridge.dispatcher import Dispatcher
from uvicorn.bridge.inbox import BodyChannel, ThreadBodyChannel
from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.messages import Message


async def until_async(condition, what="the condition"):
    """Poll on the loop until the condition holds; fail past the deadline."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true"
        await asyncio.sleep(0.0005)


def on_loop(test):
    """Run an asynchronous test on a loop of its own, with a deadline."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        async def bounded():
            await asyncio.wait_for(test(*args, **kwargs), 2 * PATIENCE_SECONDS)

        asyncio.run(bounded())

    return run


def in_thread(function, *args):
    """Call a function in a daemon thread; return a future of the running loop."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def settle(method, value):
        if not future.done():
            method(value)

    def run():
        try:
            result = function(*args)
        except BaseException as error:
            loop.call_soon_threadsafe(settle, future.set_exception, error)
        else:
            loop.call_soon_threadsafe(settle, future.set_result, result)

    threading.Thread(target=run, daemon=True).start()
    return future


class FakeExchange:
    """What a reply channel and a dispatcher see of an exchange; it keeps what it is told."""

    def __init__(self, write_buffer=25, is_head=False):
        self.method = "GET"
        self.shown_target = "/"
        self.shown_line = "GET /"
        self.consumer_name = "tests.consumer"
        self.started_at = 0.0
        self.job = None
        self.task = None
        self.work = None
        self.is_closed = False
        self.is_lost = False
        self.is_stopping = False
        self.is_answered = False
        self.is_head = is_head
        self.write_buffer = write_buffer
        self.replies = []  # of (status, fields, content, more)
        self.drops = 0
        self.failures = []
        self.refusals = []  # of (status, retry_after)
        self.thread_ids = set()  # that called what the loop alone may call
        self.waiting = []  # what set_waiting was told
        self.writable = True
        self.flooded = False
        self.on_reply = lambda reply: None
        self._waiters = []

    def reply(self, reply):
        self.thread_ids.add(threading.get_ident())
        if self.is_closed:
            return
        self.replies.append(reply)
        if not reply[3]:
            self.is_closed = True
        self.on_reply(reply)

    def on_dropped(self, _=None):
        self.thread_ids.add(threading.get_ident())
        self.drops += 1

    def on_value(self, result):
        pass

    def on_failed(self, error):
        self.thread_ids.add(threading.get_ident())
        self.failures.append(error)

    def refuse(self, status, reason, retry_after=0, setting="other"):
        self.thread_ids.add(threading.get_ident())
        self.refusals.append((status, retry_after))
        self.is_closed = True

    def on_not_called(self):
        self.task = None

    @property
    def wants_call(self):
        return not self.is_closed

    def is_writable(self):
        return self.writable

    def is_flooded(self):
        return self.flooded

    def when_writable(self, callback):
        self.thread_ids.add(threading.get_ident())
        self._waiters.append(callback)

    def set_waiting(self, is_waiting):
        self.waiting.append(is_waiting)
        if self.job is not None:
            self.job.is_waiting = is_waiting

    # ---- what the test does ----

    @property
    def contents(self):
        return [content for _, _, content, _ in self.replies]

    @property
    def is_blocking(self):
        """Whether a thread waits in a channel just now."""
        return bool(self.waiting) and self.waiting[-1]

    def catch_up(self):
        self.writable = True
        self._call_back()

    def catch_up_elsewhere(self):
        """Call back for another exchange of the connection: ours is still behind."""
        self._call_back()

    def lose(self, is_stopping=False):
        self.is_closed = self.is_lost = True
        self.is_stopping = is_stopping
        self._call_back()

    def _call_back(self):
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter()


def make_channel(exchange=None):
    """Return a reply channel on the running loop, its exchange and its outbox."""
    exchange = exchange or FakeExchange()
    outbox = Outbox(asyncio.get_running_loop(), RecordingLog())
    return ReplyChannel(exchange, outbox), exchange, outbox


class FakeSource:
    """A body source that keeps what it is told."""

    def __init__(self):
        self.wants = 0
        self.holds = 0
        self.releases = 0
        self.is_held = False
        self.waiting = []  # what set_waiting was told
        self.thread_ids = set()

    def set_waiting(self, is_waiting):
        self.waiting.append(is_waiting)

    def on_wanted(self, _=None):
        self.thread_ids.add(threading.get_ident())
        self.wants += 1

    def hold(self):
        self.thread_ids.add(threading.get_ident())
        self.holds += 1
        self.is_held = True

    def release(self):
        self.thread_ids.add(threading.get_ident())
        self.releases += 1
        self.is_held = False


class Bridge:
    """A dispatcher on the running loop, with a pool of its own."""

    def __init__(self, threads=2, queue_size=10, queue_timeout=30.0, hooks=None):
        loop = asyncio.get_running_loop()
        self.log = RecordingLog()
        self.outbox = Outbox(loop, self.log)
        self.pool = ConsumerPool(threads, queue_size, loop.call_soon, self.log)
        self.dispatcher = Dispatcher(self.pool, self.outbox, self.log, queue_timeout, hooks)
        self._released = threading.Event()
        self._exchanges = []

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self._released.set()
        self.dispatcher.abort()
        await self.idle()
        self.pool.stop()

    def call(self, consumer, prepare=lambda exchange: None, **keys):
        """Dispatch a message to a callable; return its exchange, which `prepare` may change before."""
        exchange = self.make_exchange()
        prepare(exchange)
        self._exchanges.append(exchange)
        self.dispatcher.dispatch(Consumer(consumer), Message(channel="http.request", **keys), exchange)
        return exchange

    def make_exchange(self):
        return FakeExchange()

    async def block(self, count):
        """Have threads run consumers that do not end before the test does."""
        started = threading.Semaphore(0)

        def block(message):
            started.release()
            assert self._released.wait(PATIENCE_SECONDS)

        exchanges = [self.call(block) for _ in range(count)]
        for _ in exchanges:
            await until_async(lambda: started.acquire(blocking=False), "the start of a consumer")
        return exchanges

    def release(self):
        self._released.set()

    async def idle(self):
        """Wait until every consumer has ended; make the calls that wait for the loop."""
        await until_async(lambda: self._has_begun_all() and self.dispatcher.running.is_idle, "the end of all consumers")
        self.outbox.drain_now()

    def _has_begun_all(self):
        """Whether no job is still to be called: one that a thread has just taken is in no queue."""
        jobs = (exchange.job for exchange in self._exchanges if not exchange.is_closed)
        return all(job is None or job.started_at for job in jobs)


def replying(content=b"all"):
    """Return a synchronous consumer that sends a complete reply."""

    def reply(message):
        message["reply_channel"].send({"status": 200, "content": content})

    return reply


class Reader:
    """Read a body channel from the test, whichever side it serves."""

    def __init__(self, is_thread, high_water=100):
        self.source = FakeSource()
        self.is_thread = is_thread
        if is_thread:
            self.outbox = Outbox(asyncio.get_running_loop(), RecordingLog())
            self.channel = ThreadBodyChannel(self.source, high_water, self.outbox)
        else:
            self.channel = BodyChannel(self.source, high_water)

    def feed(self, *chunks, ends=False, error=None):
        for chunk in chunks:
            self.channel.feed(chunk)
        if ends:
            self.channel.end()
        if error is not None:
            self.channel.fail(error)

    async def receive(self):
        return await self._call(self.channel.receive)

    def start_receive(self):
        return asyncio.ensure_future(self._call(self.channel.receive))

    async def read(self, limit):
        return await self._call(self.channel.read, limit)

    async def iterate(self):
        if self.is_thread:
            return await in_thread(list, self.channel)
        return [chunk async for chunk in self.channel]  # type: ignore[attr-defined]

    async def settle(self):
        """Have the loop learn what was read."""
        if self.is_thread:
            self.outbox.drain_now()

    def _call(self, method, *args):
        return in_thread(method, *args) if self.is_thread else method(*args)
