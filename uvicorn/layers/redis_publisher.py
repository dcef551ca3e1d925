"""The connection on which a process sends to one Redis: all commands in their order, many in one go. Loop thread only.

Theory of operation
-------------------
`execute` puts a command into a queue and returns a future. One task takes what is there, sends it in one go, reads the
answers, and settles the futures. So under load there are fewer and larger writes, and a command never waits behind more
than one.

*When Redis is away.* What was not sent yet waits, as long as `timeout`; what was on its way is settled at once: nobody
knows whether Redis got it (`was_sent`). When Redis has been away for longer than `timeout`, new commands fail at once:
threads that wait for nothing would stop the whole worker. What waits is bounded by number and bytes.

In a cluster there is one of us per node (`redis_cluster_publisher.py`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from uvicorn.errors import ChannelLayerUnavailable
from uvicorn.layers.ending import close_quietly, end_all, wait_at_most, within
from uvicorn.layers.redis_commands import Command, Sender, size_of
from uvicorn.layers.redis_outage import Backoff, Outage
from uvicorn.layers.redis_servers import RedisAddress, translate

__all__ = ["Publisher"]

_MOST_COMMANDS: Final = 10_000  # that wait; arbitrary
_MOST_BYTES: Final = 256 * 1024 * 1024
_BATCH: Final = 256
_LOOKS: Final = 4  # at what waits, in the time that it may wait for a Redis that is away
_FOR_EVER: Final = 0.0  # Whether an answer is late we say ourselves: redis-py does not know that the loop was held up.
_AGAIN_SECONDS: Final = 0.05  # before a cluster is asked again that could not serve just now
_MOST_ATTEMPTS: Final = 16


class Publisher(Sender):
    """What sends commands to one Redis.

    Args:
        make_client: makes a client of redis-py whose reads have no end.
        on_answered: called when no command is on its way, before the next ones are taken.
        on_broken: called when the connection is broken, or could not be made.
        on_moved: called with a command that was not carried out, since another node of the cluster has its key, and the
            error that says so.
    """

    def __init__(
        self,
        address: RedisAddress,
        outage: Outage,
        make_client: Callable[[float], Any] | None = None,
        part: str = "publishing",
        on_answered: Callable[[], object] = lambda: None,
        on_broken: Callable[[], object] = lambda: None,
        on_moved: Callable[[Command, Any], object] | None = None,
    ) -> None:
        self.is_known = asyncio.Event()  # whether Redis can be reached was found out once
        self._address = address
        self._outage = outage
        self._make_client = make_client or address.client
        self._part = part
        self._on_answered = on_answered
        self._on_broken = on_broken
        self._on_moved = on_moved
        self._loop = asyncio.get_running_loop()
        self._client: Any = None
        self._connection: Any = None
        self._queue: deque[Command] = deque()
        self._batch: list[Command] = []  # that is on its way
        self._bytes = 0
        self._count = 0
        self._wanted = asyncio.Event()
        self._is_up = False
        self._down_since = 0.0  # of the loop's clock; 0 if it is not known to be away
        self._was_sent = False  # whether Redis may have got what is on its way
        self._task = self._loop.create_task(self._run())

    @property
    def is_busy(self) -> bool:
        """Whether commands are on their way."""
        return bool(self._batch)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way, and nothing waits."""
        return not self._batch and not self._queue

    @property
    def last(self) -> asyncio.Future[Any] | None:
        """The future of the last command; None if it is settled, as then are all."""
        commands = self._queue or self._batch
        return commands[-1].future if commands and not commands[-1].future.done() else None

    def put(self, words: tuple[Any, ...], script: Any) -> Command:
        """Have a command sent. Raises: ChannelLayerUnavailable."""
        now = self._loop.time()
        if self._down_since and now - self._down_since > self._address.timeout:
            raise ChannelLayerUnavailable(
                f"{self._address.shown} cannot be reached since {now - self._down_since:.0f} s"
            )
        command = Command(words, script, self._loop.create_future(), now + self._address.timeout)
        if self._count >= _MOST_COMMANDS or (self._queue and self._bytes + command.size > _MOST_BYTES):
            raise ChannelLayerUnavailable(f"{self._count} messages wait for {self._address.shown} already")
        self.add(command)
        return command

    def extend(self, command: Command, *arguments: Any) -> bool:
        """Give a command more arguments, for one more message; return False if it is sent, or too much waits."""
        size = size_of(arguments)
        if not command.waits or self._count >= _MOST_COMMANDS or self._bytes + size > _MOST_BYTES:
            return False
        command.words += arguments
        command.size += size
        command.count += 1
        self._bytes += size
        self._count += 1
        return True

    def add(self, command: Command) -> None:
        """Add a command that another one of us had, or has got an answer that is none."""
        self._queue.append(command)
        self._bytes += command.size
        self._count += command.count
        self._wanted.set()

    def take_all(self) -> list[Command]:
        """Take out what has not been sent, in order."""
        commands = [*self._queue]
        self._queue.clear()
        self._bytes = self._count = 0
        return commands

    async def stop(self, seconds: float) -> None:
        """Send what waits, and wait for the answers, for so many seconds at most, and leave."""
        until = self._loop.time() + seconds
        waiting = [command.future for command in (*self._batch, *self._queue)]
        if waiting and self._is_up:
            await asyncio.wait(waiting, timeout=until - self._loop.time())
        await end_all([self._task])
        while self._queue:
            self._take().fail(ChannelLayerUnavailable("the worker is stopping"))
        await self._disconnect()

    async def leave(self) -> None:
        """Leave a node that is not there any more, and for which nothing waits: it may well be unreachable."""
        await self.stop(0.0)
        self._outage.ends(self._part)

    async def _run(self) -> None:
        backoff = Backoff()
        while True:
            if not self._is_up:
                if not await self._expiring(self._loop.create_task(self._connect())):
                    await self._expiring(self._loop.create_task(asyncio.sleep(backoff.seconds())))
                    continue
                backoff.reset()
            await self._wanted.wait()
            self._wanted.clear()
            while self._queue and self._is_up:
                self._batch = [self._take() for _ in range(min(_BATCH, len(self._queue)))]
                await self._send(self._batch)
                self._batch = []
                self._on_answered()
            if self._queue:
                self._wanted.set()

    def _take(self) -> Command:
        """Take the first command out of the queue."""
        command = self._queue.popleft()
        command.waits = False
        self._bytes -= command.size
        self._count -= command.count
        return command

    async def _expiring(self, task: asyncio.Task[Any]) -> Any:
        """Wait for a task while Redis is away; what has waited for as long as it may is settled meanwhile."""
        try:
            while await wait_at_most(self._address.timeout / _LOOKS, [task]):
                self._expire()
        finally:
            await end_all([task])
        if not task.result():
            self._expire()
        return task.result()

    async def _connect(self) -> bool:
        try:
            self._client = self._make_client(_FOR_EVER)
            self._connection = await within(self._address.timeout, self._opened())
        except Exception as error:
            await self._break(error)
            self.is_known.set()
            return False
        self._is_up = True
        self._down_since = 0.0
        self.is_known.set()
        self._outage.ends(self._part)
        return True

    async def _opened(self) -> Any:
        connection = await self._client.connection_pool.get_connection()
        await connection.send_command("PING")
        await connection.read_response()
        return connection

    async def _break(self, error: BaseException) -> None:
        """The connection is of no use."""
        self._outage.begins(self._part, error)
        self._down_since = self._down_since or self._loop.time()
        await self._disconnect()
        self._on_broken()

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        self._connection = None
        self._is_up = False
        await close_quietly(client)

    async def _send(self, batch: list[Command]) -> None:
        self._was_sent = False
        try:
            results = await within(self._address.timeout, self._answers(batch))
        except asyncio.CancelledError:
            for command in batch:
                command.fail(ChannelLayerUnavailable("the worker is stopping", was_sent=self._was_sent))
            raise
        except Exception as error:
            if self._was_sent:
                for command in batch:
                    command.fail(translate(error, self._address.shown, was_sent=True))
            else:  # it waits for as long as it may
                self._put_back(batch)
            await self._break(error)
            return
        again = [
            command for command, result in zip(batch, results, strict=True) if not self._is_settled(command, result)
        ]
        if not again:
            return
        if not all(command.attempts == 0 for command in again):
            await asyncio.sleep(_AGAIN_SECONDS)
        await self._send(again)

    def _is_settled(self, command: Command, result: Any) -> bool:
        """Settle a command, or let another node have it; return False if it is to be sent again."""
        if not isinstance(result, Exception):
            if not command.future.done():
                command.future.set_result(result)
            return True
        from redis.exceptions import AskError, NoScriptError, TryAgainError

        if command.script is not None and isinstance(result, NoScriptError):
            command.give_text()  # Redis has forgotten the script
            return False
        if self._on_moved is not None and command.attempts < _MOST_ATTEMPTS:
            if isinstance(result, TryAgainError):
                command.attempts += 1
                return False
            if isinstance(result, AskError):  # or a MovedError
                command.attempts += 1
                self._on_moved(command, result)
                return True
        command.fail(translate(result, self._address.shown))
        return True

    async def _answers(self, batch: list[Command]) -> list[Any]:
        """Send commands; return the answer of each, or its exception."""
        from redis.exceptions import ResponseError

        connection = self._connection
        if await _is_closed(connection):  # while it was idle; nothing is lost
            await connection.disconnect()
            await connection.connect()
        words: list[Any] = []
        for command in batch:
            if command.asks:
                words.append(("ASKING",))
            words.append(command.words)
        packed = connection.pack_commands(words)
        self._was_sent = True
        await connection.send_packed_command(packed)
        answers: list[Any] = []
        for command in batch:
            if command.asks:
                command.asks = False
                await connection.read_response()
            try:
                answers.append(await connection.read_response())
            except ResponseError as error:
                answers.append(error)
        return answers

    def _put_back(self, batch: list[Command]) -> None:
        rest = self.take_all()
        for command in (*batch, *rest):
            self.add(command)

    def _expire(self) -> None:
        """Settle what has waited for Redis for as long as it may."""
        now = self._loop.time()
        while self._queue and self._queue[0].until <= now:
            self._take().fail(ChannelLayerUnavailable(f"{self._address.shown} cannot be reached"))


async def _is_closed(connection: Any) -> bool:
    try:
        return bool(await connection.can_read())
    except OSError:
        return True
