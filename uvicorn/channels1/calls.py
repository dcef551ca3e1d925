"""One call of a consumer of Channels 1: what goes on around it.

    the server's message -> Message -> consumer_started -> the consumer -> consumer_finished -> an acceptance that it
    left out -> what it has sent to groups and channels

A synchronous consumer runs in a thread of the pool, all of it.

*What it raises.* The exceptions of `exceptions.py` are done as they say, and are no errors. For ConsumeLater the call
is made again, after a moment and ten times at most; a background message is sent again instead (`retries.py`). Any
other one is the server's: it is logged, and answers a request with 500. In both cases what the consumer has sent to
groups and channels is dropped. A socket that is open stays open, as it did.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from uvicorn.bridge.consumer import name_of
from uvicorn.bridge.sides import drop_deferred
from uvicorn.channels1.exceptions import ChannelSocketException, ConsumeLater, DenyConnection
from uvicorn.channels1.message import Message
from uvicorn.channels1.passing import reply_channel_of_call
from uvicorn.channels1.pending import pending_message_store
from uvicorn.channels1.retries import CANNOT_BE_SENT, MOST_RETRIES, is_last_try, may_be_retried, send_again
from uvicorn.channels1.used_django import around
from uvicorn.errors import ChannelClosed, ReplyError
from uvicorn.layers.names import is_background

__all__ = ["AsyncCall", "Call", "run"]

_TRIES: Final = MOST_RETRIES + 1
_PAUSE_SECONDS: Final = 0.05  # before a message is tried again; arbitrary

_log: Final = logging.getLogger("django.channels")


class Call:
    """What the server calls for a synchronous consumer."""

    def __init__(self, consumer: Callable[..., Any]) -> None:
        self._consumer = consumer

    def __call__(self, served: Mapping[str, Any], **groups: Any) -> None:
        """Call it. Raises: what it raises."""
        for number in range(_TRIES):
            message = _received(served, number)
            try:
                with _replying(served):
                    run(self._consumer, message, groups)
                    _accept(message)
                    pending_message_store.send_and_flush()
                return
            except ConsumeLater:
                drop_deferred()
                if not is_background(message.channel.name):
                    time.sleep(_PAUSE_SECONDS)
                elif may_be_retried(message.content):
                    try:
                        send_again(message.channel.name, message.content)
                    except CANNOT_BE_SENT:
                        raise ConsumeLater from None
                    return
                else:
                    break
            except Exception as error:
                _mark(error, message)
                raise
        self._give_up(served)

    def _give_up(self, served: Mapping[str, Any]) -> None:
        name = name_of(self._consumer)
        _log.warning("%s raised ConsumeLater %d times for a message of %s", name, _TRIES, served["channel"])
        if served["channel"] == "websocket.connect":
            served["reply_channel"].send({"close": True})


class AsyncCall(Call):
    """What the server calls for an asynchronous consumer: on the loop, where nothing that it sends waits."""

    async def __call__(self, served: Mapping[str, Any], **groups: Any) -> None:  # type: ignore[override]  # a coroutine
        """Call it. Raises: what it raises."""
        for number in range(_TRIES):
            message = _received(served, number)
            try:
                with _replying(served):
                    made = self._consumer(message, **groups)
                    await getattr(made, "dispatched", made)  # of a class, or the coroutine itself
                    _accept(message)
                return
            except ConsumeLater:
                if not is_background(message.channel.name):
                    await asyncio.sleep(_PAUSE_SECONDS)
                elif may_be_retried(message.content):
                    try:
                        await send_again(message.channel.name, message.content)
                    except CANNOT_BE_SENT:
                        raise ConsumeLater from None
                    return
                else:
                    break
            except (DenyConnection, ChannelSocketException) as error:
                _obey(error, message)
                return
            except Exception as error:
                _mark(error, message)
                raise
        self._give_up(served)


def run(
    consumer: Callable[..., Any], message: Message, groups: Mapping[str, Any], keeps_connections: bool = False
) -> Any:
    """Call a synchronous consumer; what it sends waits in the `pending_message_store`, or is dropped if it raises.

    Args:
        keeps_connections: of the database: for a test, which is a transaction.

    Returns: what it returns.
    Raises: what it raises, but for DenyConnection and ChannelSocketException.
    """
    if not getattr(type(consumer), "sends_at_once", False):
        pending_message_store.prepare()
    try:
        with around(Call, keeps_connections):
            try:
                return consumer(message, **groups)
            except (DenyConnection, ChannelSocketException) as error:
                return _obey(error, message)
    except BaseException:
        pending_message_store.discard()
        raise


@contextlib.contextmanager
def _replying(served: Mapping[str, Any]) -> Iterator[None]:
    """Have what is sent in the block looked at for the name of the reply channel; that of a socket is kept already."""
    live: Any = served.get("reply_channel")
    is_request = hasattr(live, "own_name") and not live.own_name.startswith("websocket.")
    token = reply_channel_of_call.set(live if is_request else None)
    del live  # the lifetime rule: nobody of us holds it
    try:
        yield
    finally:
        reply_channel_of_call.reset(token)


def _received(served: Mapping[str, Any], number: int) -> Message:
    message: Any = Message.received(served)
    if number == MOST_RETRIES or (is_background(message.channel.name) and is_last_try(message.content)):
        message.__doomed__ = True  # the last try
    return message  # type: ignore[no-any-return]  # it takes any attribute


def _obey(error: DenyConnection | ChannelSocketException, message: Message) -> None:
    if isinstance(error, ChannelSocketException):
        error.run(message)
    elif message.channel.name != "websocket.connect" or message.reply_channel is None:
        name = message.channel.name
        raise ValueError(f"DenyConnection is for consumers of websocket.connect, not of {name}") from error
    else:
        message.reply_channel.send({"close": True})


def _accept(message: Message) -> None:
    """Accept a socket that its consumer has said nothing about."""
    if message.channel.name == "websocket.connect" and message.reply_channel is not None:
        with contextlib.suppress(ReplyError, ChannelClosed):  # it is refused, or gone
            message.reply_channel.send({"accept": True})


def _mark(error: Exception, message: Message) -> None:
    """Have the socket left open if it is: one that is not accepted yet is refused."""
    if message.channel.name in ("websocket.connect", "websocket.receive"):
        with contextlib.suppress(AttributeError):
            error.leaves_socket_open = True  # type: ignore[attr-defined]  # looked at by the socket
