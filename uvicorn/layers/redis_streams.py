"""Messages of channels from Redis: taken when there is room, acknowledged when their consumer has returned.

Theory of operation
-------------------
Loop thread only. Each channel is a stream with one consumer group, in which each process is a consumer. One connection
reads, and blocks in Redis while there is nothing (in a cluster one for each channel, which may be on another node). It
asks for no more than there is room for, so that what this process does not take is for others.

*At least once.* Redis keeps a message as ours until it is acknowledged. While its consumer runs the claim is renewed;
one that was not renewed for `claim` seconds is for whoever looks next, and each process looks. So the messages of a
worker that was killed, or was silent for that long, are delivered again, by the same id. So are those whose consumer
raised. After `deliveries` a message is given up: it goes to the channel's `.dead`, and the log says so.

*The stop.* Nothing more is read. A message whose consumer was not called goes back to the end of its stream.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from uvicorn.errors import ChannelLayerUnavailable
from uvicorn.layers.encoding import unpack_message
from uvicorn.layers.ending import close_quietly, end_all
from uvicorn.layers.layer import FAILED, LATER, RETURNED, UNKNOWN, Delivery, Intake
from uvicorn.layers.limits import ChannelLimits
from uvicorn.layers.log import Log
from uvicorn.layers.redis_acknowledgements import Acknowledgements
from uvicorn.layers.redis_outage import Backoff, Outage
from uvicorn.layers.redis_priorities import with_messages
from uvicorn.layers.redis_publisher import Publisher
from uvicorn.layers.redis_scripts import DEAD, DONE, MOVE, Keys
from uvicorn.layers.redis_servers import RedisAddress

__all__ = ["Streams"]

#: what Redis says when a stream is not there: it has come back without its data, or somebody has removed it
_FORGOTTEN: Final = ("NOGROUP", "UNBLOCKED", "no such key")
_BLOCK_SECONDS: Final = 2.0  # a read that finds nothing
_BLOCK_SOME_SECONDS: Final = 0.25  # the same, while other channels have no room
_LATER_MILLISECONDS: Final = 1000
_RENEWALS: Final = 3  # of a claim, in the time that it lasts
_MOST_DEAD: Final = 10_000  # messages in a `.dead`
_GONE_AFTER: Final = 20  # claims: a consumer that has nothing and was silent for that long is removed
_PART: Final = "channels"


class Streams:
    """The channels that a process consumes.

    Args:
        consumer: the name of the process.
        channels: those that it consumes.
    """

    def __init__(
        self,
        address: RedisAddress,
        keys: Keys,
        consumer: str,
        channels: tuple[str, ...],
        intake: Intake,
        limits: ChannelLimits,
        publisher: Publisher,
        outage: Outage,
        log: Log,
    ) -> None:
        self._address = address
        self._keys = keys
        self._consumer = consumer
        self._channels = channels
        self._by_stream = {keys.stream(channel): channel for channel in channels}
        self._intake = intake
        self._limits = limits
        self._publisher = publisher
        self._outage = outage
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._acknowledgements = Acknowledgements(self._loop, publisher, log)
        self._held: dict[tuple[str, bytes], float] = {}  # channel and entry -> when its claim was renewed
        self._room = asyncio.Event()
        self._is_retired = False
        self._ahead = 0.0  # seconds that Redis' clock is ahead of ours
        groups = [(channel,) for channel in channels] if address.is_cluster else [channels]
        self._tasks = [self._loop.create_task(self._read_for_ever(each)) for each in groups]
        self._tasks.append(self._loop.create_task(self._claim_for_ever()))

    def settle(self, delivery: Delivery, outcome: str) -> None:
        """The consumer of a message has ended."""
        entry, content = delivery.receipt
        self._held.pop((delivery.channel, entry), None)
        self._room.set()
        if outcome == UNKNOWN:
            self._give_up(delivery.channel, entry, delivery.id, content, "no route leads to a consumer")
        elif outcome == FAILED:
            if delivery.number >= self._limits.deliveries:
                self._give_up(delivery.channel, entry, delivery.id, content, f"delivered {delivery.number} times")
        else:
            then = {RETURNED: "", LATER: "later"}.get(outcome, "again")
            stream = self._keys.stream(delivery.channel)
            other = self._keys.delayed(delivery.channel)
            kept = content if then else b""
            self._acknowledgements.run(
                DONE, (stream, other), self._keys.consumers, entry, then, delivery.id, kept, _LATER_MILLISECONDS
            )

    def retire(self) -> None:
        """Read no more."""
        self._is_retired = True
        self._room.set()
        for task in self._tasks[:-1]:
            task.cancel()

    async def stop(self) -> None:
        """Leave."""
        self.retire()
        await end_all(self._tasks)

    def move_due(self) -> None:
        """Have messages whose delay is over moved to their streams."""
        for channel in self._channels:
            self.move(channel)

    def move(self, channel: str) -> None:
        """Have the messages of a channel whose delay is over moved to its stream."""
        keys = (self._keys.delayed(channel), self._keys.stream(channel))
        try:
            self._publisher.run(MOVE, keys, self._limits.capacity_of(channel), self._keys.consumers)
        except ChannelLayerUnavailable:
            pass  # the next look will

    # ---- reading ----

    async def _read_for_ever(self, channels: tuple[str, ...]) -> None:
        backoff = Backoff()
        while not self._is_retired:
            client = None
            try:
                client = self._address.client(_BLOCK_SECONDS + self._address.timeout)
                await self._prepare(client, channels)
                self._outage.ends(_PART)
                backoff.reset()
                while not self._is_retired:
                    await self._read(client, channels)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                if not str(error).startswith(_FORGOTTEN):
                    self._outage.begins(_PART, error)
                    await asyncio.sleep(backoff.seconds())
            finally:
                await close_quietly(client)

    async def _prepare(self, client: Any, channels: tuple[str, ...]) -> None:
        """Make the consumer groups that are not there; find out what time it is in Redis."""
        from redis.exceptions import ResponseError

        for channel in channels:
            try:
                await client.xgroup_create(self._keys.stream(channel), self._keys.consumers, id="0", mkstream=True)
            except ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise
        if not self._address.is_cluster:
            seconds, microseconds = await client.time()
            self._ahead = seconds + microseconds / 1e6 - time.time()

    async def _read(self, client: Any, channels: tuple[str, ...]) -> None:
        room = {channel: self._intake.room(channel) for channel in channels}
        ready = [channel for channel, count in room.items() if count > 0]
        if not ready:
            self._room.clear()
            await self._room.wait()
            return
        count = max(1, min(room[channel] for channel in ready) // len(ready))
        block = _BLOCK_SECONDS if len(ready) == len(channels) else _BLOCK_SOME_SECONDS
        found = await client.xreadgroup(
            self._keys.consumers,
            self._consumer,
            {self._keys.stream(channel): ">" for channel in ready},
            count=count,
            block=int(block * 1000),
        )
        for stream, entries in _pairs(found):
            name = stream.decode()
            for entry, fields in await with_messages(self._publisher, name, entries):
                self._take(self._by_stream[name], entry, fields or {}, 1)

    def _take(self, channel: str, entry: bytes, fields: Mapping[bytes, bytes], number: int) -> None:
        id, content = fields.get(b"id", b"").decode("ascii", "replace"), fields.get(b"content", b"")
        if number > self._limits.deliveries:
            self._give_up(channel, entry, id, content, f"delivered {number - 1} times")
            return
        longest = self._limits.expiry_of(channel)
        if longest and time.time() + self._ahead - int(entry.partition(b"-")[0]) / 1000 > longest:
            self._give_up(channel, entry, id, content, "expired")
            return
        try:
            message = unpack_message(content)
        except ValueError as error:
            self._give_up(channel, entry, id, content, str(error))
            return
        self._held[channel, entry] = self._loop.time()
        self._intake.take(Delivery(channel, message, id, number, (entry, content)))

    # ---- claims ----

    async def _claim_for_ever(self) -> None:
        backoff = Backoff()
        seconds = self._address.claim_seconds / _RENEWALS
        while True:
            client = None
            try:
                client = self._address.client()
                rounds = 0
                while True:
                    await self._renew(client)
                    if not self._is_retired:
                        for channel in self._channels:
                            await self._claim(client, channel)
                        if rounds % _GONE_AFTER == 0:
                            await self._clean(client)
                    rounds += 1
                    backoff.reset()
                    await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                if not str(error).startswith(_FORGOTTEN):
                    self._outage.begins("claims", error)
                await asyncio.sleep(min(seconds, backoff.seconds()))
            finally:
                await close_quietly(client)

    async def _renew(self, client: Any) -> None:
        """Renew our claims; one that is late is for others, who may have it."""
        now = self._loop.time()
        for (channel, entry), since in tuple(self._held.items()):
            if now - since > self._address.claim_seconds:
                self._held.pop((channel, entry), None)
                continue
            await client.xclaim(
                self._keys.stream(channel), self._keys.consumers, self._consumer, 0, [entry], justid=True
            )
            if (channel, entry) in self._held:
                self._held[channel, entry] = now
        self._outage.ends("claims")

    async def _claim(self, client: Any, channel: str) -> None:
        """Take messages over whose consumer was silent."""
        room = self._intake.room(channel)
        if room <= 0:
            return
        stream, group = self._keys.stream(channel), self._keys.consumers
        answer = await client.xautoclaim(
            stream, group, self._consumer, int(self._address.claim_seconds * 1000), "0-0", count=room
        )
        for entry, fields in await with_messages(self._publisher, stream, answer[1]):
            if fields is None or (channel, entry) in self._held:
                continue
            [pending] = await client.xpending_range(stream, group, entry, entry, 1) or [{"times_delivered": 2}]
            self._take(channel, entry, fields, int(pending["times_delivered"]))

    async def _clean(self, client: Any) -> None:
        """Remove the consumers of processes that are long gone, and have nothing."""
        for channel in self._channels:
            stream = self._keys.stream(channel)
            for found in await client.xinfo_consumers(stream, self._keys.consumers):
                is_gone = found["idle"] > 1000 * _GONE_AFTER * self._address.claim_seconds
                if is_gone and not found["pending"] and found["name"].decode() != self._consumer:
                    await client.xgroup_delconsumer(stream, self._keys.consumers, found["name"])

    # ---- what is done with ----

    def _give_up(self, channel: str, entry: bytes, id: str, content: bytes, why: str) -> None:
        self._log.error("A message of %s is given up: %s. It is in %s.dead, with the id %s", channel, why, channel, id)
        keys = (self._keys.stream(channel), self._keys.dead(channel))
        self._acknowledgements.run(DEAD, keys, self._keys.consumers, entry, id, content, why, _MOST_DEAD)
        with suppress(ValueError):  # it may be no message at all
            self._intake.on_given_up(Delivery(channel, unpack_message(content), id), why)


def _pairs(found: Any) -> Any:
    """Return (stream, entries) of an answer, in either protocol."""
    return found.items() if isinstance(found, dict) else found or ()
