"""What one process asks of another: it is answered when that holds, and not before. Loop thread only, but for errors.

So who has added a member by its name can send to the group at once, and the new member gets it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from uvicorn import errors
from uvicorn.errors import ChannelFull, ChannelLayerUnavailable
from uvicorn.layers.ending import within
from uvicorn.layers.handover import Done, wait_for

__all__ = ["ANSWER", "SILENT", "Questions", "carry_out", "error_from"]

ANSWER: Final = "answer"  # the kind of what one process says to another when it has done what it was asked for
SILENT: Final = "the worker that has the socket does not answer"
_KNOWN: Final[dict[str, type[Exception]]] = {
    kind.__name__: kind for kind in (ChannelFull, ChannelLayerUnavailable, ValueError, TypeError, errors.UvicornError)
}


class Questions:
    """What this process has asked others, and waits for.

    Args:
        seconds: that an answer may take, in which this process was not held up.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._number = 0

    def ask(self, send: Callable[[int], Awaitable[Any]]) -> Coroutine[Any, Any, None]:
        """Send a question; return what waits for the answer.

        Args:
            send: called with the question's number; what it returns gives 0, awaited, if it has reached nobody.

        Raises: what `send` raises; when awaited, what is answered, and ChannelLayerUnavailable if nothing is.
        """
        self._number += 1
        sent = send(self._number)
        self._asked[self._number] = asyncio.get_running_loop().create_future()
        return self._answer(self._number, sent)

    def answered(self, number: int, error: Any) -> None:
        """An answer has come; perhaps too late."""
        future = self._asked.get(number)
        if future is not None and not future.done():
            future.set_result(error)

    async def _answer(self, number: int, sent: Awaitable[Any]) -> None:
        try:
            if await sent == 0:
                return
            error = await within(self._seconds, self._asked[number])
        except asyncio.TimeoutError:
            raise ChannelLayerUnavailable(SILENT, was_sent=True) from None
        finally:
            del self._asked[number]
        if error is not None:
            raise error_from(error)


def carry_out(act: Callable[[], Awaitable[Any]], answer: Callable[[list[str] | None], object]) -> None:
    """Do what another process asks for, and answer when it holds: with None, or what is wrong."""
    try:
        handover = act()
    except Exception as error:
        answer([type(error).__name__, str(error)])
        return
    if isinstance(handover, Done):
        answer(None)
        return
    task = asyncio.get_running_loop().create_task(wait_for(handover))
    task.add_done_callback(lambda task: answer(_error_of(task)))


def error_from(answer: Any) -> Exception:
    """Return what another process has answered as an exception."""
    kind, text = answer
    return _KNOWN.get(kind, ChannelLayerUnavailable)(text)


def _error_of(task: asyncio.Task[None]) -> list[str] | None:
    if task.cancelled():
        return ["ChannelLayerUnavailable", "the worker is stopping"]
    error = task.exception()
    return None if error is None else [type(error).__name__, str(error)]
