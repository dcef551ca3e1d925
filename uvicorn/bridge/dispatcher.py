"""Where a message goes: a task on the loop, or a job in the pool.

Theory of operation
-------------------
What kind a consumer is was found out when it was loaded (`consumer.py`); here that is one
attribute. All methods run on the loop. The dispatcher makes the reply channel, hands the message
over and forgets both, as the lifetime rule (docs/architecture.md) wants it.

A consumer that raises is reported to the exchange through the same way as its replies, so the
report cannot overtake them.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections import Counter
from collections.abc import Coroutine, Iterable, Mapping
from time import monotonic
from typing import Any, Final

from uvicorn.bridge.channels import ReplyChannel
from uvicorn.bridge.consumer import Consumer
from uvicorn.bridge.crossing import Crossing
from uvicorn.bridge.framework_calls import FrameworkPools, FrameworkThreads
from uvicorn.bridge.jobs import CallJob, ConsumerJob
from uvicorn.bridge.lease_host import Host
from uvicorn.bridge.outbox import Log, Outbox
from uvicorn.bridge.pool import ConsumerPool
from uvicorn.bridge.pool_call import PoolCall
from uvicorn.bridge.running import Running
from uvicorn.bridge.serve import serve
from uvicorn.bridge.served import RequestHooks, Served, ServedRequest
from uvicorn.bridge.tally import Measured
from uvicorn.bridge.thread_call import ThreadCall
from uvicorn.bridge.work import Work, current_work
from uvicorn.messages import Message

__all__ = ["Dispatcher"]

#: Any, because not every version of Python takes the same arguments.
_Task: Final[Any] = asyncio.Task
_TASKS_TAKE_CONTEXTS: Final = sys.version_info >= (3, 11)
_TASKS_MAY_BE_EAGER: Final = sys.version_info >= (3, 12)
_STUCK: Final = "its thread is stuck, and the worker is replaced"
_STOPPING: Final = "the worker is stopping"


class Dispatcher:
    """What runs consumers.

    Args:
        queue_timeout: seconds that a job may wait for a thread.
        hooks: what to call before and after each consumer, or None.
        governors: what sets the limits of the pools; their `repr` tells why.
        named_pools: name -> pool, for consumers that do not run in the first one.
        shared: further pools, for what frameworks hand to threads; None if they keep their own.

    Attributes:
        all_pools: with the shared ones.
        measured: what threads have measured.
        running: what runs, for requests and for sockets.
        is_attended: something goes with each request, and its calls run in copies of a context of its own.
        frameworks: pool -> what an application with that pool uses for its framework; empty if they keep their own.
    """

    def __init__(
        self,
        pool: ConsumerPool,
        outbox: Outbox,
        log: Log,
        queue_timeout: float,
        hooks: RequestHooks | None = None,
        governors: Iterable[Any] = (),
        named_pools: Mapping[str, ConsumerPool] | None = None,
        shared: FrameworkPools | None = None,
    ) -> None:
        self.pool: Final = pool
        self._named_pools = dict(named_pools or {})
        self.pools: Final = (pool, *self._named_pools.values())
        self.crossing: Final = Crossing(outbox, pool, self._named_pools, shared or ())
        self.hooks: Final = hooks
        self.governors: Final = tuple(governors)
        self.outbox: Final = outbox
        self._loop = outbox.loop
        self._log = log
        self.queue_timeout: Final = queue_timeout
        self.shared: Final = shared
        self.frameworks: Final[dict[ConsumerPool, FrameworkThreads]] = {}
        self._rejected = 0  # since the last line in the log
        self._reason = ""  # of the last one, where that was another bound than that of the threads
        self.measured: Final = Measured()
        self.all_pools: Final = (*self.pools, *(shared or ()))
        self.context: Final = contextvars.copy_context()  # each call runs in a copy of it
        self.context.run(current_work.set, None)  # a server may be started by a consumer of another one
        if shared is not None:
            for each in self.pools:
                self.frameworks[each] = FrameworkThreads(each, shared, outbox, self.on_refused)
            self.context.run(current_work.set, Work(self.frameworks[pool]))  # of consumers; applications have their own
        self.context_items: Final = tuple(self.context.items())
        self.is_attended = False
        self.running: Final = Running(self._loop, self.pools)
        self._tasks = self.running.requests
        self._look_at_loop()

    def dispatch(self, consumer: Consumer, message: Message, exchange: ServedRequest) -> None:
        """Start a consumer, or answer 503 if the pool and its queue are full."""
        is_async = consumer.is_async
        channel = ReplyChannel.__new__(ReplyChannel)
        channel.begin(exchange, self.outbox, None if is_async else threading.Lock())
        message["reply_channel"] = channel
        del channel  # the lifetime rule
        if is_async:
            call = serve(consumer, message, exchange, self.hooks, self._tasks)
            if self._is_eager:
                context = self.context_for(exchange) if self.is_attended else self.context.copy()
                exchange.task = task = _Task(
                    call, loop=self._loop, name=consumer.name, context=context, eager_start=True
                )
                if task.done():
                    return
            else:
                exchange.task = task = self.make_task(call, consumer.name, exchange)
            self._tasks[exchange] = task
            return
        job = exchange.job = ConsumerJob(self, consumer, message, exchange)
        if self.is_attended:
            job.enter(self.context_for(exchange))
        if not (consumer.pool or self.pool).submit(job):
            self._rejected += 1
            job.forget()
            exchange.refuse(503, "the pool and its queue are full", retry_after=1, setting="queue_size")

    def cancel(self, exchange: ServedRequest, grace: float) -> None:
        """Stop what was dispatched: the client has left.

        A job that is still queued never takes a thread; a task is cancelled after `grace` seconds; a running
        job notices at its next `send` or `receive`.
        """
        job = exchange.job
        if job is not None:
            self.running.take_back(job)
        elif self.running.cancel(exchange, grace) and exchange.work is not None:
            exchange.work.threads.drop_left(exchange.work)

    def tick(self) -> None:
        """Do once a second what depends on time."""
        self.measured.take()
        self._look_at_loop()
        self.running.tick()
        for threads in self.frameworks.values():
            threads.expire(monotonic() - self.queue_timeout)
        for pool in self.pools:
            for host in (*pool.hosts, *pool.shared_hosts):
                self._rejected += host.expire_calls(monotonic() - self.queue_timeout)
            self._expire(pool, monotonic() - self.queue_timeout)
        if self._rejected:
            held = sum(pool.held for pool in self.pools)
            self._log.warning(
                "Rejected %d requests%s: %d threads busy of %d, %d queued%s%s; "
                "see threads, queue_size and queue_timeout",
                self._rejected,
                f" (the last one: {self._reason})" if self._reason else "",
                sum(pool.busy for pool in self.pools),
                sum(pool.threads for pool in self.pools),
                sum(pool.queued for pool in self.pools),
                f" ({held} held back by the governor)" if held else "",
                f"; threads are held by {names}" if (names := self.held_by()) else "",
            )
            self._rejected, self._reason = 0, ""

    def held_by(self) -> str:
        """Say who holds the threads: "app.slow (38), app.report (2)"; "" if nobody does. Runs on: any thread."""
        names = Counter(
            getattr(job, "name", type(job).__name__) for pool in self.all_pools for _, job in pool.running()
        )
        return ", ".join(f"{name} ({count})" for name, count in names.most_common(5))

    def give_up_stuck(self) -> None:
        """Answer instead of the calls of pools that are stuck, and of those that wait for one; the worker leaves."""
        for pool in self.pools:
            if pool.stuck < pool.threads:
                continue
            self._expire(pool, monotonic())
            for slot in pool.slots():
                job = slot.stuck
                if job is not slot.job:
                    continue
                if isinstance(job, CallJob):
                    job.exchange.refuse(504, _STUCK, setting="stuck_after")
                elif isinstance(job, (Host, PoolCall, ThreadCall)):
                    job.give_up(_STUCK)

    def abort(self) -> None:
        """Cancel every task, because the worker stops, and release the threads that wait for the loop."""
        self.crossing.stop()
        self.running.abort()

    def assign(self, consumers: Iterable[Consumer]) -> None:
        """Give each consumer the pool that its route names."""
        for consumer in consumers:
            if consumer.pool_name is not None:
                consumer.pool = self._named_pools[consumer.pool_name]

    def on_refused(self, reason: str = "") -> None:
        """A request found no thread, or what else it needed: it is counted, for the log."""
        self._rejected += 1
        self._reason = reason

    def close(self) -> None:
        """Leave nothing behind: nobody waits for a thread, no thread for the loop, no timer; idle threads end."""
        self.crossing.stop()
        for threads in self.frameworks.values():
            threads.give_up(_STOPPING)  # first: the end of a call lets in others that wait for it
        for pool in self.all_pools:
            for job in pool.waiting():
                if pool.cancel(job) and isinstance(job, (Host, PoolCall, ThreadCall)):
                    job.give_up(_STOPPING)
            for job in [job for slot in pool.slots() for job in slot.pinned.copy()]:  # its thread takes from it
                if isinstance(job, Host):
                    job.give_up(_STOPPING)
        for pool in self.all_pools:  # last: it drops what waits there
            pool.stop()
        for governor in self.governors:
            governor.stop()

    def on_response_ended(self, exchange: ServedRequest) -> None:
        """A response is over: `post_request` runs, on the side where the consumer ran."""
        if self.hooks is None:
            return
        if exchange.job is not None:
            exchange.job.on_response_ended()
        elif exchange.task is not None:
            self.hooks.after(exchange)

    def _expire(self, pool: ConsumerPool, before: float) -> None:
        """Answer instead of the jobs that have waited since then (time.monotonic()); what must run keeps its place."""
        kept = []
        for job in pool.expire(before):
            # Of a call that has begun only its post_request is left to run.
            if job.started_at if isinstance(job, CallJob) else isinstance(job, (Host, ThreadCall)) and job.must_run:
                kept.append(job)
                continue
            self._rejected += 1
            job.expire()
        if kept:
            pool.put_back(kept)

    def _look_at_loop(self) -> None:
        """Find out how to make tasks: by a factory of the application's, begun at once (Python 3.12), or begun soon."""
        self.has_task_factory = self._loop.get_task_factory() is not None
        # With hooks not at once: `on_response_ended` looks at the task, which must be there before the consumer runs.
        self._is_eager = _TASKS_MAY_BE_EAGER and self.hooks is None and not self.has_task_factory

    def context_for(self, served: Served) -> contextvars.Context:
        """Return a fresh context for a call: that of the request or socket, if something goes with it."""
        own = self.context if served.attended is None else served.attended.context
        return own.copy()

    def make_task(self, call: Coroutine[Any, Any, None], name: str, served: Served | None = None) -> asyncio.Task[None]:
        """Make a task that begins in the loop's next turn. It has a name, or asyncio would make one up for each.

        It has a fresh context: the current one may be that of the consumer whose reply made room for this request.
        """
        context = self.context_for(served) if self.is_attended and served is not None else self.context.copy()
        task: asyncio.Task[None]
        if not _TASKS_TAKE_CONTEXTS:
            task = context.run(self._loop.create_task, call, name=name)
        elif self.has_task_factory:
            create: Any = self._loop.create_task
            task = create(call, name=name, context=context)
        else:
            task = _Task(call, loop=self._loop, name=name, context=context)
        return task
