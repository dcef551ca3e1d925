"""How the local layer keeps the histories of groups: messages in order, whoever sends them. Loop thread only.

Where they are kept is the affair of a `Histories`: files for all processes (`history_files.py`), or the memory of one
that has no others. Another process may be about the same group at that very moment: then the message waits, those of
the same group behind it, and is tried again a little later.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, Protocol

from uvicorn.errors import ChannelLayerUnavailable
from uvicorn.layers.encoding import pack, unpack
from uvicorn.layers.handover import DONE, Handover
from uvicorn.layers.history import History, Kept, Position, Recalled
from uvicorn.layers.shelf import Shelf

__all__ = ["Histories", "Keeper", "MemoryHistories"]

_AGAIN_SECONDS: Final = 0.001
_LONGEST_SECONDS: Final = 5.0  # that another process may be about a group
_MOST_WAITING: Final = 10_000  # messages of one group; arbitrary
_MOST_WAITING_BYTES: Final = 256 * 1024 * 1024


class Histories(Protocol):
    """What keeps histories. Contents are bytes."""

    def append(self, group: str, content: bytes, history: History) -> Position:
        """Keep a message; return its epoch and offset.

        Raises: BlockingIOError if another process is about it: call again; OSError.
        """

    def recall(self, group: str, history: History, known: Position | None) -> Recalled:
        """Return what is kept after `known`, and keep it for another `history.seconds`. Raises: OSError."""

    def tick(self) -> None:
        """Forget what nobody uses."""


class _Waiting(NamedTuple):
    """A message that another process holds up."""

    content: dict[str, Any]
    packed: bytes
    history: History
    until: float
    future: asyncio.Future[None]


class _Queue(deque[_Waiting]):
    """The messages of one group that wait."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def takes(self, size: int) -> bool:
        """Whether there is room for one more of so many bytes."""
        return len(self) < _MOST_WAITING and (not self or self.bytes + size <= _MOST_WAITING_BYTES)

    def put(self, waiting: _Waiting) -> None:
        self.append(waiting)
        self.bytes += len(waiting.packed)

    def drop(self) -> None:
        self.bytes -= len(self.popleft().packed)


class Keeper:
    """What keeps the messages of groups, and finds them again.

    Args:
        on_kept: called with the group, the message's position, and the message, as it is and encoded.
        on_lost: called with the error if nobody waits for a message that cannot be kept.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        histories: Histories,
        on_kept: Callable[[str, Position, dict[str, Any], bytes], object],
        on_lost: Callable[[BaseException], object],
    ) -> None:
        self._loop = loop
        self._histories = histories
        self._on_kept = on_kept
        self._on_lost = on_lost
        self._waiting: dict[str, _Queue] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def keep(self, group: str, content: dict[str, Any], history: History) -> Awaitable[Any]:
        """Keep a message.

        Raises: TypeError, ValueError for what cannot be encoded; ChannelLayerUnavailable.
        """
        packed = pack(content)
        queue = self._waiting.get(group)
        if queue is None:
            try:
                self._append(group, content, packed, history)
                return DONE
            except BlockingIOError:
                queue = self._waiting[group] = _Queue()
                task = self._loop.create_task(self._catch_up(group, queue))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        if not queue.takes(len(packed)):
            raise ChannelLayerUnavailable(f"{len(queue)} messages for the history of {group} wait already")
        future: asyncio.Future[None] = self._loop.create_future()
        queue.put(_Waiting(content, packed, history, self._loop.time() + _LONGEST_SECONDS, future))
        return Handover(future, self._on_lost)

    async def recall(self, group: str, history: History, known: Position | None) -> Recalled:
        """Return what is kept after a position. Raises: ChannelLayerUnavailable."""
        until = self._loop.time() + _LONGEST_SECONDS
        while True:
            try:
                epoch, last, kept = self._histories.recall(group, history, known)
                return Recalled(epoch, last, [each._replace(content=unpack(each.content)) for each in kept])
            except BlockingIOError as error:
                if self._loop.time() >= until:
                    raise _unavailable(group, error) from None
            except (OSError, ValueError) as error:
                raise _unavailable(group, error) from None
            await asyncio.sleep(_AGAIN_SECONDS)

    def tick(self) -> None:
        """Forget what nobody uses."""
        self._histories.tick()

    async def stop(self, seconds: float) -> None:
        """Keep what waits, in a bounded time."""
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=seconds)
        for task in tuple(self._tasks):
            task.cancel()

    def _append(self, group: str, content: dict[str, Any], packed: bytes, history: History) -> None:
        try:
            position = self._histories.append(group, packed, history)
        except BlockingIOError:
            raise
        except OSError as error:
            raise _unavailable(group, error) from None
        self._on_kept(group, position, content, packed)

    async def _catch_up(self, group: str, queue: _Queue) -> None:
        """Keep what waits, in order."""
        try:
            while queue:
                first = queue[0]
                try:
                    self._append(group, first.content, first.packed, first.history)
                except BlockingIOError as error:
                    if self._loop.time() < first.until:
                        await asyncio.sleep(_AGAIN_SECONDS)
                        continue
                    _settle(first.future, _unavailable(group, error))
                except Exception as error:
                    _settle(first.future, error)
                else:
                    _settle(first.future, None)
                queue.drop()
        finally:
            del self._waiting[group]
            for each in queue:
                _settle(each.future, ChannelLayerUnavailable("the worker is stopping"))


class MemoryHistories:
    """Histories of one process that has no others."""

    def __init__(self, clock: Any = time.monotonic) -> None:
        self._clock = clock
        self._groups: dict[str, _Remembered] = {}

    def append(self, group: str, content: bytes, history: History) -> Position:
        """Keep a message."""
        now = self._clock()
        found = self._found(group, history, now)
        found.last += 1
        found.kept.put(_Message(found.last, now, content, len(content)))
        found.trim(now)
        return Position(found.epoch, found.last)

    def recall(self, group: str, history: History, known: Position | None) -> Recalled:
        """Return what is kept."""
        now = self._clock()
        found = self._found(group, history, now)
        found.trim(now)
        after = known.offset if known is not None and known.epoch == found.epoch else 0
        kept = [Kept(offset, now - sent, content, size) for offset, sent, content, size in found.kept if offset > after]
        return Recalled(found.epoch, found.last, kept)

    def tick(self) -> None:
        """Forget what nobody has used for long."""
        now = self._clock()
        for group, found in tuple(self._groups.items()):
            found.trim(now)
            if found.used + found.history.seconds < now:
                del self._groups[group]

    def _found(self, group: str, history: History, now: float) -> _Remembered:
        found = self._groups.get(group)
        if found is None or found.used + found.history.seconds < now:
            found = self._groups[group] = _Remembered(history)
        found.used = now
        return found


class _Message(NamedTuple):
    """One message in memory."""

    offset: int
    sent: float
    content: bytes
    size: int


class _Remembered:
    """One history in memory."""

    def __init__(self, history: History) -> None:
        self.history: Final = history
        self.epoch: Final = os.urandom(8).hex()
        self.last = 0
        self.used = 0.0
        self.kept: Final[Shelf[_Message]] = Shelf(history)

    def trim(self, now: float) -> None:
        while self.kept and self.kept[0].sent < now - self.history.seconds:
            self.kept.drop()


def _settle(future: asyncio.Future[None], error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


def _unavailable(group: str, error: Exception) -> ChannelLayerUnavailable:
    return ChannelLayerUnavailable(f"the history of {group} cannot be used: {error}")
