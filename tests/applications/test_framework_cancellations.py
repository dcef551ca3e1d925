"""Calls that are cancelled at random moments: nothing is lost, nothing runs twice, nobody waits for ever.

`CANCELLATIONS` says how many scopes are cancelled; the default keeps a run of all tests short.
"""

import asyncio
import os
import random
import sys
import threading
import time

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from framework_doubles import frameworks, until

from uvicorn.applications.sensitive import SensitiveCall
from uvicorn.bridge.lasting_lease import LastingLease
from uvicorn.bridge.lease import Lease
from uvicorn.errors import ChannelFull

COUNT = int(os.environ.get("CANCELLATIONS", "1500"))
TOGETHER = 60
run_sync = anyio.to_thread.run_sync


class Resource:
    """Something that is taken and let go in threads; how often is counted."""

    def __init__(self):
        self._lock = threading.Lock()
        self.taken = self.let_go = 0

    def take(self):
        with self._lock:
            self.taken += 1
        if random.random() < 0.1:
            time.sleep(random.random() * 0.001)

    def give(self):
        with self._lock:
            self.let_go += 1


class Calls:
    """Each kind of call that a framework makes."""

    def __init__(self, made):
        self.resource, self.left = Resource(), Resource()
        self.entered = 0
        self.limiter = anyio.CapacityLimiter(3)
        self.made = made
        self.lasting = LastingLease(made.main, made.outbox, 1)

    async def make(self):
        kinds = (
            self.dependency, self.dependency, self.limited, self.abandoned, self.nested, self.asyncios, self.plain,
            self.request, self.request, self.socket, self.exits,
        )  # fmt: skip
        try:
            await random.choice(kinds)()
        except ChannelFull:
            pass

    async def dependency(self):
        """Be a dependency of FastAPI: what was taken is let go, by a limiter of its own, shielded."""
        await run_sync(self.resource.take)
        try:
            await asyncio.sleep(0)
        finally:
            with anyio.CancelScope(shield=True):
                await run_sync(self.resource.give, limiter=anyio.CapacityLimiter(1))

    async def limited(self):
        await run_sync(int, limiter=self.limiter)

    async def abandoned(self):
        await run_sync(time.sleep, 0.0005, abandon_on_cancel=True)

    async def nested(self):
        await run_sync(anyio.from_thread.run, self.plain)

    async def asyncios(self):
        await asyncio.to_thread(int)

    async def plain(self):
        await run_sync(int)

    async def request(self):
        """Be a view of Django: a lease, and an exit that runs in its thread whatever happens."""
        self.entered += 1
        async with SensitiveCall(Lease(self.made.main, self.made.outbox)):
            try:
                await sync_to_async(async_to_sync(self.inner))()
            finally:
                with anyio.CancelScope(shield=True):
                    await sync_to_async(self.left.give)()

    async def inner(self):
        await sync_to_async(int)()

    async def socket(self):
        """Be a consumer of Channels: its lease lasts, and has one of the threads with others."""
        await asyncio.wrap_future(self.lasting.submit(int))

    async def exits(self):
        with pytest.raises(SystemExit):
            await run_sync(sys.exit)


@pytest.mark.slow
def test_no_thread_token_or_resource_is_lost_however_calls_are_cancelled():
    @frameworks(patience=300, threads=4, queue_size=500)
    async def test(made):
        made.request()
        calls, loop = Calls(made), asyncio.get_running_loop()
        left = COUNT

        async def client():
            nonlocal left
            while left > 0:
                left -= 1
                if random.random() < 0.6:
                    with anyio.CancelScope() as scope:
                        timer = loop.call_later(random.choice([0, 0.002]) * random.random(), scope.cancel)
                        await calls.make()
                    timer.cancel()
                else:
                    async with anyio.create_task_group() as group:
                        for _ in range(3):
                            group.start_soon(calls.make)
                        await asyncio.sleep(random.random() * 0.001)
                        group.cancel_scope.cancel()

        await asyncio.gather(*(client() for _ in range(TOGETHER)))
        calls.lasting.release()
        await until(lambda: not any(pool.busy or pool.queued for pool in made.pools))
        assert (made.main.hosts, made.main.shared_hosts, made.main.leased) == ([], [], 0)
        assert calls.resource.taken == calls.resource.let_go
        assert calls.entered == calls.left.let_go
        assert (made.threads.in_flight, calls.limiter.borrowed_tokens) == (0, 0)
        found = anyio.to_thread.current_default_thread_limiter().statistics()
        assert (found.borrowed_tokens, found.tasks_waiting) == (0, 0)
        assert await run_sync(int, "7") == 7

    test()


@pytest.mark.slow
def test_tasks_that_are_cancelled_themselves_lose_nothing_but_their_results():
    @frameworks(patience=300, threads=4, queue_size=500)
    async def test(made):
        made.request()
        calls = Calls(made)

        async def client():
            for _ in range(COUNT // TOGETHER // 2):
                kinds = (calls.limited, calls.abandoned, calls.plain, calls.nested)
                task = asyncio.ensure_future(random.choice(kinds)())
                await asyncio.sleep(random.choice([0, 0.001]) * random.random())
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

        await asyncio.gather(*(client() for _ in range(TOGETHER)))
        calls.lasting.release()
        await until(lambda: not any(pool.busy or pool.queued for pool in made.pools))
        assert (made.main.hosts, made.main.shared_hosts, made.main.leased) == ([], [], 0)
        assert (made.threads.in_flight, calls.limiter.borrowed_tokens) == (0, 0)
        assert await run_sync(int, "7") == 7

    test()
