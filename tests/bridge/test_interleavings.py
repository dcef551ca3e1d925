"""The bridge under any order of events: requests, replies of both sides, slow and leaving clients, time, and the stop.

The real connection, dispatcher, pool, outbox and channels, with real threads; the loop, its clock and the transports
are doubles, and each consumer does what it is told next. Whatever happens, in the end

- every request that was read ends in exactly one of answered, refused and abandoned, and is reported once;
- every call of a consumer ends once, and a request is given to one call at most;
- no thread waits, nothing is queued, nothing is counted, nothing is held;
- what a client reads are whole answers to its own requests, in their order, until its connection ends.

`INTERLEAVINGS=5000 pytest -s tests/bridge/test_interleavings.py` runs longer; the number is that of random orders.
With `SHRINK=1` an order that fails is made shorter, which takes its time.
"""

import asyncio
import os
import queue
import threading
from collections import Counter

from bridge_doubles import threads_of, until
from clients import Site, read_responses
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from uvicorn.applications.routing import route
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.connections.server import Server
from uvicorn.errors import ChannelClosed, ReplyError

EXAMPLES = int(os.environ.get("INTERLEAVINGS", "60"))
THREADS, QUEUE = 2, 2
BODY = 100_000  # above body_buffer: streamed, or collected
REPLIES = {
    "whole": lambda tag: {"status": 200, "content": tag},
    "first": lambda tag: {"status": 200, "content": tag, "more_content": True},
    "more": lambda tag: {"content": b"x" * 100_000, "more_content": True},
    "last": lambda tag: {"content": b"end"},
}
COMMANDS = (*REPLIES, "receive", "return", "keep", "raise")


class Call:
    """One call of a consumer, which does what the test says.

    Attributes:
        is_ready: waits for the next command.
        kept: the channel, if it is kept when the call has returned.
        sent: the commands whose `send` did not raise.
    """

    replies = REPLIES

    def __init__(self, message, loop=None):
        self.channel_name = message["channel"]
        self.tag = message["path"].encode()
        self.thread_id = threading.get_ident()
        self.is_ready = self.is_over = False
        self.kept = None
        self.sent = []
        self._channel, self._body = message["reply_channel"], message.get("body_channel")
        self._commands = queue.SimpleQueue() if loop is None else asyncio.Queue()
        self.is_async = loop is not None

    def tell(self, command):
        self.is_ready = False
        (self._commands.put_nowait if self.is_async else self._commands.put)(command)

    def run(self):
        try:
            while True:
                self.is_ready = True
                command = self._commands.get()
                if self._is_last(command):
                    return
                try:
                    if command != "receive":
                        self._channel.send(self.replies[command](self.tag))
                        self.sent.append(command)
                    elif self._body is not None:
                        self._body.receive()
                except ReplyError:
                    pass  # a reply that is not allowed just then: raised on the consumer's line, and all goes on
        finally:
            self.end()

    async def run_async(self):
        try:
            while True:
                self.is_ready = True
                command = await self._commands.get()
                if self._is_last(command):
                    return
                try:
                    if command != "receive":
                        waiting = self._channel.send(self.replies[command](self.tag))
                        self.sent.append(command)
                        await waiting
                    elif self._body is not None:
                        await self._body.receive()
                except ReplyError:
                    pass
        finally:
            self.end()

    def _is_last(self, command):
        if command == "raise":
            raise RuntimeError("told to")
        if command == "keep":
            self.kept = self._channel
        return command in ("return", "keep")

    def end(self):
        assert not self.is_over
        self.is_ready = False
        self.is_over = True
        self._channel = self._body = None


class CountingHooks:
    """Gunicorn's request hooks: each request that is called has both, once."""

    def __init__(self):
        self.before_of, self.after_of = Counter(), Counter()

    def before(self, exchange):
        self.before_of[exchange] += 1

    def after(self, exchange):
        self.after_of[exchange] += 1


class Acceptor:
    """Where connections come from: the test makes them."""

    open = 0
    is_full = False

    def abort(self):
        pass

    def on_connection_lost(self, place):
        pass

    def resume(self, even_if_full=False):
        pass


class Bench:
    """A site, its clients and the calls of its consumers.

    What happens next is chosen by numbers that were drawn before, so that the choice depends on no thread's speed.
    """

    def __init__(self, has_hooks, queue_timeout):
        self.calls, self.clients, self.sent = [], [], {}
        self.is_stopping = False
        self.hooks = CountingHooks() if has_hooks else None
        self.outcomes = Counter()
        self.site = Site(
            self.routes(),
            hooks=self.hooks,
            queue_timeout=queue_timeout,
            header_timeout=5.0,
            body_timeout=5.0,
            write_timeout=10.0,
            reply_timeout=15.0,
            keepalive=2,
            disconnect_grace=1,
            make_pool=lambda loop, log: ConsumerPool(THREADS, QUEUE, loop.call_soon, log, f"bench{id(self)}"),
        )
        self.server = Server(self.site.service, Acceptor())
        for _ in range(3):
            self.connect()

    call = Call

    def in_thread(self, message):
        call = self.call(message)
        self.calls.append(call)
        del message  # or it would hold the channel
        call.run()

    async def on_loop(self, message):
        call = self.call(message, self.site.loop)
        self.calls.append(call)
        del message
        await call.run_async()

    def routes(self):
        return [
            route("http.request", self.in_thread, path="^/thread"),
            route("http.request", self.in_thread, path="^/stream", body="stream"),
            route("http.request", self.on_loop, path="^/loop"),
        ]

    def alive(self):
        return [client for client in self.clients if not client.transport.is_closing()]

    def ready(self):
        return [call for call in self.calls if call.is_ready]

    # ---- what can happen; each takes numbers to choose by ----

    def connect(self, *_):
        if len(self.alive()) < 4 and not self.is_stopping:
            client = self.site.connect()
            client.owes = 0
            self.clients.append(client)
            self.sent[client] = []

    def request(self, which, kind):
        client = chosen([client for client in self.alive() if not client.owes], which)
        if client is None:
            return
        body = (0, 0, 10, BODY)[kind // 3 % 4]
        tag = b"/%b/%d" % ((b"thread", b"stream", b"loop")[kind % 3], sum(map(len, self.sent.values())))
        client.owes = body
        self.sent[client].append(tag)
        method, length = (b"POST", b"Content-Length: %d\r\n" % body) if body else (b"GET", b"")
        client.send(b"%b %b HTTP/1.1\r\nHost: test\r\n%b\r\n" % (method, tag, length))

    def send_body(self, which, size):
        client = chosen([client for client in self.alive() if client.owes > 0], which)
        if client is not None:
            size = min((1, 5000, BODY)[size % 3], client.owes)
            client.owes -= size
            client.send(b"b" * size)

    def go_on(self, which, command):
        call = chosen(self.ready(), which)
        if call is not None:
            call.tell(chosen(COMMANDS, command))

    def go_on_together(self, _, command):
        """Without a turn of the loop in between."""
        for at, call in enumerate(self.ready()):
            call.tell(chosen(("whole", "first", "more", "return"), command + at))

    def stall(self, which, _):
        client = chosen(self.alive(), which)
        if client is not None:
            client.transport.is_stalled = True

    def take(self, which, size):
        client = chosen([client for client in self.alive() if client.transport.is_stalled], which)
        if client is not None:
            client.transport.is_stalled = bool(size % 2)
            self.site.loop.call_soon(client.transport.drain, 10_000 if size % 2 else None)

    def half_close(self, which, _):
        client = chosen(self.alive(), which)
        if client is not None:
            client.half_close()

    def leave(self, which, _):
        client = chosen(self.alive(), which)
        if client is not None:
            client.leave()

    def let_go(self, which, reply):
        """Have a channel that was kept reply, or drop it."""
        call = chosen([call for call in self.calls if call.kept is not None], which)
        if call is None:
            return
        channel, call.kept = call.kept, None

        def send():
            try:
                channel.send(REPLIES["whole"](call.tag))
                call.sent.append("whole")
            except (ChannelClosed, ReplyError):
                pass

        if reply % 2:
            self.site.loop.call_soon(send)

    def pass_time(self, seconds, _):
        for _ in range((1, 6, 20)[seconds % 3]):
            self.tick()

    def tick(self):
        """Do what the server does once a second, on the loop."""
        self.site.loop.now += 1.0
        self.site.loop.call_soon(self.server.tick)
        self.site.settle()

    def limit(self, which, _):
        """Do what the governor does."""
        self.site.pool.set_limit((0.75, 1.0, 1.5, THREADS)[which % 4])

    def stop(self, way, _):
        if len(self.calls) > 5:
            self.is_stopping = True
            self.site.loop.call_soon((self.server.abort, self.site.service.begin_stopping)[way % 2])

    # ---- what must hold ----

    def settle(self):
        """Let the loop and the threads come to rest: each waits for a command, or in a channel, or has ended."""
        until(self.has_settled, "the rest of loop and threads")
        assert [client.transport.misuse for client in self.clients if client.transport.misuse] == []
        assert self.site.pool.busy <= THREADS

    def has_settled(self):
        self.site.loop.call_soon(self.site.spools.work, _memory)
        self.site.settle()
        return self.is_at_rest() and not len(self.site.service.outbox)  # in this order: a thread sends, and then rests

    def is_at_rest(self):
        waiting = {thread for thread, job in self.site.pool.running() if job.is_waiting}
        alive = [call for call in self.calls if not call.is_over]
        in_threads = [call for call in alive if not call.is_async]
        return (
            all(call.is_ready or call.is_async or call.thread_id in waiting for call in alive)
            and len(in_threads) == self.site.pool.busy
            and (self.site.pool.queued == self.site.pool.held or self.site.pool.busy == THREADS)
        )

    def end(self):
        """Stop as a worker does, and check."""
        site, pool = self.site, self.site.pool
        try:
            for client in self.clients:
                client.transport.is_stalled = False
            site.loop.call_soon(self.server.abort)  # the last stage of a stop: whoever waits in a channel is woken
            self.settle()
            for call in self.calls:
                call.kept = None
            until(self.is_over, f"the end of all calls: {pool!r}")
            pool.stop()
            until(lambda: not threads_of(pool), "the end of the threads")
            site.settle()
            self.check()
        finally:
            for call in self.calls:
                call.tell("return")
            pool.stop()
            site.loop.end()
            for client in self.clients:
                client.transport.end()

    def is_over(self):
        for call in self.calls:
            if call.is_ready:
                call.tell("return")
        self.tick()
        return self.site.service.dispatcher.running.is_idle and all(call.is_over for call in self.calls)

    def check(self):
        site, service = self.site, self.site.service
        assert (site.pool.busy, site.pool.queued, site.pool.held, site.pool.weight) == (0, 0, 0, 0.0)
        assert len(service.outbox) == 0
        assert not service.connections
        assert service.dispatcher.running.is_idle
        assert not asyncio.all_tasks(site.loop)

        reported = Counter(site.reports)
        assert set(reported.values()) <= {1}
        requests = [exchange for exchange in reported if exchange.request_line.method]
        assert len([exchange for exchange in requests if exchange.request_line.shown != "-"]) >= service.requests
        for exchange in reported:
            assert exchange.is_closed
            assert exchange.is_lost or exchange.status == 101 or exchange.status >= 200
            self.outcomes["abandoned" if exchange.is_lost else "refused" if exchange.status > 200 else "answered"] += 1
        calls = Counter(call.tag for call in self.calls if call.channel_name == "http.request")
        assert set(calls.values()) <= {1}
        if self.hooks is not None:
            assert set(self.hooks.before_of.values()) <= {1}
            assert self.hooks.after_of == self.hooks.before_of
        for client in self.clients:
            self.check_answers(client)
        assert not [text for level, text in site.log.lines if level == "error" and not _is_expected(text)]

    def check_answers(self, client):
        by_tag = {call.tag: call for call in self.calls}
        answers = [answer for answer in read_responses(client.transport.received, (), True) if answer.status >= 200]
        assert all(answer.is_complete for answer in answers[:-1])
        for tag, answer in zip(self.sent[client], answers, strict=False):
            if answer.status == 200:
                assert (tag + b"x").startswith(answer.body[: len(tag) + 1]) or answer.body.startswith(tag)
                call = by_tag[tag]
                assert call.sent[0] in ("whole", "first")
                if answer.is_complete:
                    assert call.sent[-1] in ("whole", "last") or "whole" in call.sent or "last" in call.sent


def _memory():
    import tempfile

    return tempfile.TemporaryFile()


def _is_expected(text):
    return "told to" in text or text.startswith("Error in test_") or "let go of its reply channel" in text


def chosen(things, number):
    return things[number % len(things)] if things else None


STEPS = (
    *[Bench.request] * 5, *[Bench.go_on] * 10, Bench.go_on_together, *[Bench.send_body] * 3, Bench.connect, Bench.stall,
    *[Bench.take] * 2, Bench.half_close, Bench.leave, Bench.let_go, Bench.pass_time, Bench.stop, Bench.limit,
)  # fmt: skip
TOTALS = Counter()


def in_any_order(kinds):
    """Give a test `steps` of these kinds in any order, each with two numbers, and the settings of a bench."""
    numbers = st.integers(0, 11)

    def decorate(test):
        steps = st.lists(st.tuples(st.sampled_from(kinds), numbers, numbers), min_size=30, max_size=80)
        given_some = given(steps=steps, has_hooks=st.booleans(), queue_timeout=st.sampled_from([0.0, 30.0]))
        limits = settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, *([Phase.shrink] if "SHRINK" in os.environ else [])],
        )
        return limits(given_some(test))

    return decorate


def take_steps(bench, steps):
    """Take steps one after the other, and see that all comes to its end."""
    try:
        for step, first, second in steps:
            step(bench, first, second)
            bench.settle()
    finally:
        bench.end()


@in_any_order(STEPS)
def test_every_request_ends_once_and_no_thread_waits_whatever_the_order(steps, has_hooks, queue_timeout):
    bench = Bench(has_hooks, queue_timeout)
    take_steps(bench, steps)
    TOTALS.update(bench.outcomes, orders=1, steps=len(steps))


def test_the_orders_had_all_outcomes():
    """What the test above saw, for the log; it says nothing if the requests all ended in one way."""
    print(dict(TOTALS))
    assert not TOTALS or all(TOTALS[outcome] for outcome in ("answered", "refused", "abandoned"))
