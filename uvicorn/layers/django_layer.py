"""A layer of Channels 4 behind ours: any object with the interface that its channel layers have.

    asgi+django://                      CHANNEL_LAYERS["default"] of Django's settings; asgi+django://name for another
    asgi+django://package.module:object  the object itself, or what makes it

Loop thread only. It is used as it is meant to be used by consumers of Channels: each worker has a channel of its own
(`new_channel`), is in a group of its own by which others find it, and in each group that it has members of. What that
interface does not have is done here, or not at all: messages of channels are delivered once at most, and delayed ones
are kept by the process that sent them. See `django_calls.py` for their order, `django_groups.py` for memberships.

Spec: "Channel Layer Specification", Channels 4.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from uvicorn.errors import ChannelLayerUnavailable
from uvicorn.layers.asking import ANSWER, SILENT, Questions, carry_out
from uvicorn.layers.delay import Delays
from uvicorn.layers.django_calls import SECONDS, Calls
from uvicorn.layers.django_found import found_layer
from uvicorn.layers.django_groups import Memberships
from uvicorn.layers.encoding import pack, unpack, unpack_message
from uvicorn.layers.ending import end_all
from uvicorn.layers.handover import DONE, Handover
from uvicorn.layers.history import History, Position, Recalled
from uvicorn.layers.layer import LATER, SEND, UNDONE, Delivery, Intake, Receiver
from uvicorn.layers.log import Log
from uvicorn.layers.names import is_reply, node_of

__all__ = ["DjangoLayer"]

_TYPE: Final = "uvicorn.message"  # the `type` that messages of Channels must have
_AGAIN_SECONDS: Final = 1.0
_STOP_SECONDS: Final = 2.0


class DjangoLayer:
    """Messages between processes by a channel layer of Channels 4."""

    takes_in_order: Final = False

    def __init__(self, url: str, log: Log) -> None:
        self.name: Final = url
        self._log = log
        self._other: Any = None
        self._intake: Intake | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._room = asyncio.Event()
        self._is_retired = False

    async def start(self, receiver: Receiver) -> None:
        """Find the layer, and begin to hear from it. One that cannot be reached is told of, and tried again.

        Raises: StartupError for an object that is not there, or is no layer.
        """
        self._loop = asyncio.get_running_loop()
        self._receiver = receiver
        self._other = found_layer(self.name)
        self._questions = Questions(SECONDS)
        self._delays = Delays(self._loop, self._due)
        self._calls = Calls(self.name, self._on_lost)
        own = _node_group(receiver.node)
        self._groups = Memberships(self.name, self._other, self._calls, own, self._log, self._on_gap)
        try:
            await self._groups.enter()
        except Exception as error:
            self._groups.on_failed(error)
        self._tasks.append(self._loop.create_task(self._hear()))

    async def stop(self) -> None:
        """Leave, when what was handed over is sent."""
        await self._calls.stop(_STOP_SECONDS)
        await end_all(self._tasks)
        lost = len(self._delays)
        if lost:
            self._log.warning("%d delayed messages are lost: %s keeps none", lost, self.name)
        for _ in self._delays.drain():
            pass
        await self._groups.leave()

    def tick(self) -> None:
        """Renew our memberships when it is time. The layer has its own clocks for the rest."""
        self._groups.tick()

    def subscribe(self, group: str) -> Awaitable[Any]:
        """Have the messages of a group come."""
        return self._groups.add(group)

    def unsubscribe(self, group: str) -> None:
        """Have them come no more."""
        self._groups.discard(group)

    def publish(self, group: str, content: dict[str, Any]) -> Awaitable[Any]:
        """Send to all processes that have subscribed to a group."""
        return self._tell(group, {"type": _TYPE, "group": group, "content": pack(content)})

    def check_history(self) -> None:
        """Raise ValueError: that interface has nothing to keep one in."""
        raise ValueError(
            f"{self.name} keeps no history of groups, as the interface of Channels 4 has none: use a local:// or "
            "redis:// layer, or leave out history="
        )

    def keep(self, group: str, content: dict[str, Any], history: History) -> Awaitable[Any]:
        """Refuse."""
        self.check_history()
        raise AssertionError

    def recall(self, group: str, history: History, known: Position | None) -> Awaitable[Recalled]:
        """Refuse."""
        self.check_history()
        raise AssertionError

    def request(self, node: str, kind: str, channel: str, content: Any) -> Awaitable[Any]:
        """Ask something of another process; one that is gone is no error."""
        message = {"type": _TYPE, "kind": kind, "channel": channel, "content": pack(content)}
        if kind == SEND:
            return self._tell(_node_group(node), message)

        def ask(number: int) -> Awaitable[Any]:
            return self._tell(_node_group(node), {**message, "asker": self._receiver.node, "number": number})

        return Handover(self._loop.create_task(_unless_gone(self._questions.ask(ask))), self._on_lost)

    async def members(self, group: str) -> list[str]:
        """Refuse. Raises: NotImplementedError."""
        raise NotImplementedError(
            f"{self.name} cannot tell who is in a group, as the interface of Channels 4 has no such question: keep it "
            "in a database or a cache"
        )

    def put(self, channel: str, content: dict[str, Any], delay: float) -> Awaitable[Any]:
        """Send to one of the processes that consume a channel."""
        packed = pack(content)
        if delay:
            self._delays.add(delay, channel, packed)
            return DONE
        return self._put(channel, packed)

    def consume(self, channels: Iterable[str], intake: Intake) -> None:
        """Have the messages of these channels come."""
        self._intake = intake
        self._tasks += [self._loop.create_task(self._take(channel, intake)) for channel in channels]

    def retire(self) -> None:
        """Take no more."""
        self._is_retired = True
        for task in self._tasks[1:]:
            task.cancel()

    def settle(self, delivery: Delivery, outcome: str) -> None:
        """The consumer of a message has ended: it is done with, or goes back to its channel."""
        self._room.set()
        if outcome in (LATER, UNDONE):
            line, seconds = (None, _AGAIN_SECONDS) if outcome == LATER else (delivery.channel, 0.0)
            self._calls.do(line, partial(self._send, delivery.channel, pack(delivery.content), delivery.id, seconds))

    # ---- from the layer ----

    async def _hear(self) -> None:
        """Take what is for this process: of groups, and of others that ask something."""
        while True:
            try:
                if self._groups.channel is None:
                    await self._groups.enter()
                message = await self._other.receive(self._groups.channel)
            except Exception as error:
                self._groups.on_failed(error)
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            try:
                self._brought(message)
            except Exception as error:
                self._log.error("What came from %s is no message of ours: %s", self.name, error)

    def _brought(self, message: dict[str, Any]) -> None:
        if message.get("kind") == ANSWER:
            self._questions.answered(message["number"], message["error"])
        elif "kind" in message:
            content = unpack(message["content"])
            ask = partial(self._receiver.on_request, message["kind"], message["channel"], content)
            carry_out(ask, partial(self._answer, message.get("asker"), message.get("number")))
        else:
            self._receiver.on_group(message["group"], unpack(message["content"]))

    def _answer(self, asker: str | None, number: int | None, error: list[str] | None) -> None:
        """What we were asked for holds, or cannot be."""
        if asker is not None:
            message = {"type": _TYPE, "kind": ANSWER, "number": number, "error": error}
            with suppress(ChannelLayerUnavailable):  # who has asked does not wait for ever
                self._tell(_node_group(asker), message)
        elif error is not None:
            self._log.error("A reply cannot be sent: %s", ": ".join(error))

    async def _take(self, channel: str, intake: Intake) -> None:
        while not self._is_retired:
            if intake.room(channel) <= 0:
                self._room.clear()
                await self._room.wait()
                continue
            try:
                message = await self._other.receive(channel)
            except Exception as error:
                self._groups.on_failed(error)
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            try:
                delivery = Delivery(channel, unpack_message(message["content"]), str(message["id"]))
            except Exception as error:
                self._log.error("A message of %s from %s is none of ours: %s", channel, self.name, error)
            else:
                intake.take(delivery)

    # ---- to the layer ----

    async def _send(self, channel: str, packed: bytes, id: str, seconds: float = 0.0) -> None:
        if seconds:
            await asyncio.sleep(seconds)
        await self._other.send(channel, {"type": _TYPE, "id": id, "content": packed})

    def _put(self, channel: str, packed: bytes) -> Handover:
        call = partial(self._send, channel, packed, secrets.token_hex(8))
        return self._calls.send(channel, call, len(packed))

    def _tell(self, group: str, message: dict[str, Any]) -> Handover:
        size = len(message.get("content", b""))
        return self._calls.send(group, partial(self._other.group_send, group, message), size)

    def _due(self, channel: str, packed: bytes) -> bool:
        try:
            if not is_reply(channel):
                self._put(channel, packed)
            elif node_of(channel) == self._receiver.node:
                self._receiver.on_request(SEND, channel, unpack(packed))
            else:
                self.request(node_of(channel), SEND, channel, unpack(packed))
        except ChannelLayerUnavailable:
            return False  # too many wait: a moment later
        return True

    def _on_gap(self) -> None:
        """The layer was away: nobody knows what was missed."""
        self._receiver.on_gap(None, None)

    def _on_lost(self, error: BaseException) -> None:
        self._log.warning("A message to a group or channel could not be sent: %s", error)


async def _unless_gone(answer: Awaitable[None]) -> None:
    """Wait for an answer. That nobody is there to give one, this interface does not tell: silence says it."""
    try:
        await answer
    except ChannelLayerUnavailable as error:
        if str(error) != SILENT:
            raise


def _node_group(node: str) -> str:
    return f"uvicorn-node.{node}"
