"""The bench of the tests of interleavings: a server, its clients, and the steps that a test takes in any order."""

import asyncio
import os
import re
from collections import Counter

from clients import Site, read_responses
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from interleaving_calls import COMMANDS, REPLIES, Acceptor, Call, CountingHooks, chosen
from patience import until
from pool_doubles import threads_of

from uvicorn.applications.routing import route
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.connections.server import Server
from uvicorn.errors import ChannelClosed, ReplyError

__all__ = ["STEPS", "Bench", "in_any_order", "take_steps"]

EXAMPLES = int(os.environ.get("INTERLEAVINGS", "60"))
THREADS, QUEUE = 2, 2
BODY = 100_000  # above body_buffer: streamed, or collected


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
    return (
        "told to" in text
        or re.match("Error in (test_socket_)?interleavings", text)
        or "let go of its reply channel" in text
    )


STEPS = (
    *[Bench.request] * 5, *[Bench.go_on] * 10, Bench.go_on_together, *[Bench.send_body] * 3, Bench.connect, Bench.stall,
    *[Bench.take] * 2, Bench.half_close, Bench.leave, Bench.let_go, Bench.pass_time, Bench.stop, Bench.limit,
)  # fmt: skip


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
