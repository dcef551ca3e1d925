"""The connection on which a process sends to Redis: all commands in their order, many in one go. Loop thread only.

Theory of operation
-------------------
`execute` puts a command into a queue and returns a future. One task takes what is there, sends it as one pipeline, and
settles the futures. So under load there are fewer and larger pipelines, and a command never waits behind more than one.

*When Redis is away.* What was not sent yet waits, as long as `timeout`; what was on its way is settled at once: nobody
knows whether Redis got it (`was_sent`). When Redis has been away for longer than `timeout`, new commands fail at once:
threads that wait for nothing would stop the whole worker. What waits is bounded by number and bytes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from uvicorn.errors import ChannelLayerUnavailable
from uvicorn.layers.ending import close_quietly, end_all, within
from uvicorn.layers.redis_nodes import Nodes
from uvicorn.layers.redis_outage import Backoff, Outage
from uvicorn.layers.redis_scripts import Script
from uvicorn.layers.redis_servers import RedisAddress, translate

__all__ = ["Command", "Publisher"]

_MOST_COMMANDS: Final = 10_000  # that wait; arbitrary
_MOST_BYTES: Final = 256 * 1024 * 1024
_BATCH: Final = 256
_LONGER: Final = 4  # than we wait
_PART: Final = "publishing"


class Command:
    """One command: its words, and who waits for its answer.

    Attributes:
        count: how many messages it carries.
        waits: whether it has not been sent yet.
    """

    __slots__ = ("count", "future", "script", "size", "until", "waits", "words")

    def __init__(
        self, words: tuple[Any, ...], script: Script | None, future: asyncio.Future[Any], until: float
    ) -> None:
        self.words = list(words)
        self.count = 1
        self.waits = True
        self.script = script
        self.future = future
        self.until = until
        self.size = _size(words)


class Publisher:
    """What sends commands to Redis."""

    def __init__(self, address: RedisAddress, outage: Outage) -> None:
        self._address = address
        self._outage = outage
        self._loop = asyncio.get_running_loop()
        self._client: Any = None
        self._queue: deque[Command] = deque()
        self._batch: list[Command] = []  # that is on its way
        self._bytes = 0
        self._count = 0
        self._wanted = asyncio.Event()
        self._is_up = False
        self.is_known = asyncio.Event()  # whether Redis can be reached was found out once
        self._task = self._loop.create_task(self._run())

    def execute(self, *words: Any) -> asyncio.Future[Any]:
        """Send a command; return the future of its answer.

        Raises: ChannelLayerUnavailable at once, if too much waits or Redis is away for long; it is also what the future
            raises.
        """
        return self._put(words, None).future

    def run(self, script: Script, keys: tuple[str, ...], *arguments: Any) -> asyncio.Future[Any]:
        """Run a script; as `execute`."""
        return self.command(script, keys, *arguments).future

    def command(self, script: Script, keys: tuple[str, ...], *arguments: Any) -> Command:
        """Run a script that can be given more arguments for as long as it waits."""
        return self._put(("EVALSHA", script.sha, len(keys), *keys, *arguments), script)

    def extend(self, command: Command, *arguments: Any) -> bool:
        """Give a command more arguments, for one more message; return False if it is sent, or too much waits."""
        size = _size(arguments)
        if not command.waits or self._count >= _MOST_COMMANDS or self._bytes + size > _MOST_BYTES:
            return False
        command.words += arguments
        command.size += size
        command.count += 1
        self._bytes += size
        self._count += 1
        return True

    async def stop(self, seconds: float) -> None:
        """Send what waits, and wait for the answers, for so many seconds at most, and leave."""
        until = self._loop.time() + seconds
        waiting = [command.future for command in (*self._batch, *self._queue)]
        if waiting and self._is_up:
            await asyncio.wait(waiting, timeout=until - self._loop.time())
        await end_all([self._task])
        self._fail_all(ChannelLayerUnavailable("the worker is stopping"))
        await self._disconnect()

    def _put(self, words: tuple[Any, ...], script: Script | None) -> Command:
        now = self._loop.time()
        if not self._is_up and self._outage.since and now - self._outage.since > self._address.timeout:
            raise ChannelLayerUnavailable(
                f"{self._address.shown} cannot be reached since {now - self._outage.since:.0f} s"
            )
        command = Command(words, script, self._loop.create_future(), now + self._address.timeout)
        if self._count >= _MOST_COMMANDS or (self._queue and self._bytes + command.size > _MOST_BYTES):
            raise ChannelLayerUnavailable(f"{self._count} messages wait for {self._address.shown} already")
        self._queue.append(command)
        self._bytes += command.size
        self._count += 1
        self._wanted.set()
        return command

    async def _run(self) -> None:
        backoff = Backoff()
        while True:
            if not self._is_up and not await self._connect():
                self._expire()
                await asyncio.sleep(backoff.seconds())
                continue
            backoff.reset()
            await self._wanted.wait()
            self._wanted.clear()
            while self._queue and self._is_up:
                self._batch = [self._take() for _ in range(min(_BATCH, len(self._queue)))]
                await self._send(self._batch)
                self._batch = []
            if self._queue:
                self._wanted.set()

    def _take(self) -> Command:
        """Take the first command out of the queue."""
        command = self._queue.popleft()
        command.waits = False
        self._bytes -= command.size
        self._count -= command.count
        return command

    async def _connect(self) -> bool:
        try:
            if self._client is None:
                # Whether an answer is late we say ourselves: redis-py does not know that the loop was held up.
                seconds = _LONGER * self._address.timeout
                is_cluster = self._address.is_cluster
                self._client = Nodes(self._address, seconds) if is_cluster else self._address.client(seconds)
            await within(self._address.timeout, self._client.ping())
        except Exception as error:
            self._outage.begins(_PART, error)
            await self._disconnect()
            self.is_known.set()
            return False
        self._is_up = True
        self.is_known.set()
        self._outage.ends(_PART)
        return True

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        self._is_up = False
        await close_quietly(client)

    async def _send(self, batch: list[Command]) -> None:
        try:
            sent = self._answers(batch)
            # Of a cluster each node has its own time: what the others have answered holds.
            results = await (sent if self._address.is_cluster else within(self._address.timeout, sent))
        except asyncio.CancelledError:
            for command in batch:
                _fail(command, ChannelLayerUnavailable("the worker is stopping", was_sent=True))
            raise
        except Exception as error:
            self._outage.begins(_PART, error)
            for command in batch:
                _fail(command, translate(error, self._address.shown, was_sent=True))
            await self._disconnect()
            return
        from redis.exceptions import NoScriptError

        again: list[Command] = []
        for command, result in zip(batch, results, strict=True):
            if isinstance(result, Exception):
                if command.script is not None and isinstance(result, NoScriptError):
                    again.append(command)
                    continue
                _fail(command, translate(result, self._address.shown))
            elif not command.future.done():
                command.future.set_result(result)
        for command in again:  # Redis has forgotten the script: now it gets the text
            assert command.script is not None
            command.words[:2] = "EVAL", command.script.text
            command.script = None
        if again:
            await self._send(again)

    async def _answers(self, batch: list[Command]) -> list[Any]:
        """Send commands; return the answer of each, or its exception."""
        client = self._client
        if isinstance(client, Nodes):
            return await client.answers([command.words for command in batch], [_key_of(command) for command in batch])
        if len(batch) == 1:
            try:
                return [await client.execute_command(*batch[0].words)]
            except Exception as error:
                if type(translate(error, "")) is ChannelLayerUnavailable and not _is_answer(error):
                    raise
                return [error]
        pipeline = client.pipeline(transaction=False)
        for command in batch:
            pipeline.execute_command(*command.words)
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return answers

    def _expire(self) -> None:
        """Settle what has waited for Redis for as long as it may."""
        now = self._loop.time()
        error = ChannelLayerUnavailable(f"{self._address.shown} cannot be reached")
        while self._queue and self._queue[0].until <= now:
            _fail(self._take(), error)

    def _fail_all(self, error: Exception) -> None:
        while self._queue:
            _fail(self._take(), error)


def _size(words: Iterable[Any]) -> int:
    return sum(len(word) for word in words if isinstance(word, bytes))


def _is_answer(error: Exception) -> bool:
    from redis.exceptions import ResponseError

    return isinstance(error, ResponseError)


def _key_of(command: Command) -> Any:
    return command.words[3] if command.words[0] in ("EVALSHA", "EVAL") else command.words[1]


def _fail(command: Command, error: BaseException) -> None:
    if not command.future.done():
        command.future.set_exception(error)
        command.future.exception()  # nobody may wait for it
