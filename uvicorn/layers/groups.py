"""What applications use: `Group` and `Channel`.

    Group("room").add(message.reply_channel)
    Group("room").send({"text": "hello"})
    Channel("thumbnails").send({"path": path})
    Channel(name_of_a_reply_channel).send({"text": "only for you"})

Both are names and nothing more: make them where they are used. How a call is carried out depends on where it is made:

    in a coroutine                 at once; what is returned can be awaited, and then means handed over
    in a synchronous consumer      `send` goes out when the consumer has returned, and not if it raises;
                                   `add`, `discard` and `send(..., immediately=True)` at once, and errors are raised
    in a view, or another thread   at once; the thread waits until it is handed over
    in a program                   at once, through the layer's address (`current.py`)
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any

from uvicorn import messages
from uvicorn.layers.current import current, office_of
from uvicorn.layers.delayed import DELAY, opened
from uvicorn.layers.history import Joining, check_form, check_history, check_since
from uvicorn.layers.names import check_channel, check_group
from uvicorn.layers.office import Office

__all__ = ["Channel", "Group"]


class Group:
    """All members of a group, on all processes of the layer.

    Args:
        name: letters, digits, hyphens, underscores and full stops; less than 100.
        channel_layer: a layer's URL, or an `Office`; None for that of this process.
        history: how many messages are kept for members that come back; None for what this process has said of the group
            before, and if that is nothing, for none. Whoever sends to the group says it, too.
        history_seconds: how long a message is kept, and the whole history when the group has no members; 300.
        history_bytes: how many bytes all that is kept may have; 16 MiB. The latest message may be larger.

    Raises: ValueError, TypeError for a name or a history that is not allowed.
    """

    __slots__ = ("_history", "_layer", "name")

    def __init__(
        self,
        name: str | bytes,
        channel_layer: Any = None,
        history: int | None = None,
        history_seconds: float | None = None,
        history_bytes: int | None = None,
    ) -> None:
        self.name = check_group(name)
        self._layer = channel_layer
        self._history = check_history(history, history_seconds, history_bytes)

    def __repr__(self) -> str:
        return f"<Group {self.name}>"

    def add(self, channel: Any, since: Any = None, with_offset: Any = None) -> Awaitable[Any]:
        """Make a reply channel a member, until it is discarded, its socket closes, or `group_expiry` is over.

        To add a member again renews its membership.

        Args:
            channel: `message.reply_channel`, a `Channel`, or the name of a reply channel.
            since: for a group with a history: what the member has seen last, a pair of epoch and offset. It is given
                what it has missed, in order and once; of what is not kept any more `websocket.gap` tells. Without an
                effect for one that is a member already.
            with_offset: for a group with a history: True for messages with their epoch and offset, text in a JSON
                object with `epoch`, `offset` and `text`, bytes behind a line "EPOCH OFFSET". Or a function that is
                called on the loop with content, epoch and offset, and returns what is sent.

        Returns: an awaitable that is done when messages reach the new member; in a thread it is done already. With a
            history it is, or gives when awaited, the `Standing` of the group (`epoch`, `offset`, `missed`); None if
            the socket is in another process.
        Raises: ValueError if it is not the name of a reply channel, for another history than before, or a layer that
            keeps none; TypeError; ChannelLayerUnavailable.
        Runs on: any thread. Blocks: in a thread, until it is a member.
        """
        member = _member(channel)
        return self._office.add(self.name, member, Joining(self._history, check_since(since), check_form(with_offset)))

    def discard(self, channel: Any) -> Awaitable[Any]:
        """Make a reply channel a member no more; one that is none is no error.

        Returns: as `add` does. Raises: as `add` does.
        """
        member = _member(channel)
        return self._office.discard(self.name, member)

    def send(self, content: Mapping[str, Any], immediately: bool = False) -> Awaitable[None]:
        """Send a message to each member: what one could give to `reply_channel.send`. A history keeps it.

        It reaches each member once at most, those of one sender in their order. A member whose client is far behind is
        dealt with as `group_backlog_policy` says; the sender never waits for members.

        Args:
            immediately: in a synchronous consumer, at once instead of when it has returned.

        Returns: an awaitable that is done when it is handed over; in a thread, and when deferred, it is done already.
        Raises: TypeError, ValueError for what cannot be sent to another process, for another history than before, or a
            layer that keeps none; ChannelLayerUnavailable.
        Runs on: any thread. Blocks: in a thread that is not deferred, until it is handed over.
        """
        content = _checked(content)
        return self._office.publish(self.name, content, immediately, self._history)

    @property
    def _office(self) -> Office:
        return current() if self._layer is None else office_of(self._layer)


class Channel(messages.Channel):
    """A channel: one of the consumers that are routed to its name gets each message. Or a reply channel, by its name.

    `asgi.delay` is one that delays: what is sent to it says to which channel it goes, and when (`delayed.py`).

    Args:
        name: as for groups, with one "!" in that of a reply channel.
        channel_layer: as for `Group`.

    Raises: ValueError, TypeError for a name that is not allowed.
    """

    __slots__ = ("_layer",)

    def __init__(self, name: str | bytes, channel_layer: Any = None) -> None:
        super().__init__(check_channel(name))
        self._layer = channel_layer

    def send(
        self, content: Mapping[str, Any] | None = None, immediately: bool = False, delay: float | None = None
    ) -> Awaitable[None]:
        """Send a message to one consumer, or a reply to one client.

        Args:
            content: None for an empty message.
            immediately: in a synchronous consumer, at once instead of when it has returned.
            delay: seconds to wait before it is delivered.

        Returns: an awaitable that is done when it is handed over; in a thread, and when deferred, it is done already.
        Raises: ChannelFull if `channel_capacity` messages wait; TypeError, ValueError for what cannot be sent to
            another process; ChannelLayerUnavailable. A reply channel that is closed raises nothing.
        Runs on: any thread. Blocks: in a thread that is not deferred, until it is handed over.
        """
        name, content, seconds = self.name, _checked({} if content is None else content), _seconds(delay)
        if name == DELAY:
            name, content, own = opened(content)
            seconds += own
        office = current() if self._layer is None else office_of(self._layer)
        return office.put(name, content, immediately, seconds)


def _member(channel: Any) -> str:
    """Return the name of a member.

    Raises: ValueError, TypeError.
    """
    name = channel if isinstance(channel, (str, bytes)) else getattr(channel, "name", None)
    if name is None:
        raise TypeError(f"the member of a group is a reply channel or the name of one, not {type(channel).__name__}")
    name = check_channel(name)
    if "!" not in name:
        raise ValueError(f"{name!r} cannot be a member of a group: only reply channels can, such as 'websocket.send!…'")
    return name


def _checked(content: Any) -> dict[str, Any]:
    if not isinstance(content, Mapping):
        raise TypeError(f"a message must be a dict, not {type(content).__name__}")
    return dict(content)  # the caller may change its own


def _seconds(delay: Any) -> float:
    if delay is None:
        return 0.0
    if isinstance(delay, bool) or not isinstance(delay, (int, float)) or not 0 <= delay < 1e9:
        raise ValueError(f"delay must be a number of seconds, 0 or more, not {delay!r}")
    return float(delay)
