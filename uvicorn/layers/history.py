"""The history of groups: what an application may ask for, and what it learns. Pure, but for the clock.

Each message of a group with a history has an *offset*: 1, 2, 3 and so on. They count within an *epoch*: when nobody can
tell any more what an offset meant, because the history was lost or forgotten, a new epoch begins. Both together say
what somebody has seen last.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

__all__ = [
    "PLAIN", "Form", "History", "HistorySettings", "Joining", "Kept", "Position", "Recalled", "Standing", "check_form",
    "check_history", "check_since", "formed", "packed", "unpacked",
]  # fmt: skip

_DEFAULT_SECONDS: Final = 300.0
_DEFAULT_BYTES: Final = 16 * 1024 * 1024
_MOST_MESSAGES: Final = 10_000  # arbitrary: all processes that have members keep as many
_MOST_SECONDS: Final = 7 * 86400.0
_MOST_BYTES: Final = 256 * 1024 * 1024  # arbitrary, as above
_MOST_EPOCH: Final = 64  # characters
_FEW: Final = 1000  # settings that are kept without looking whether they are used


class History(NamedTuple):
    """What is kept of a group: the latest messages, so many and so many bytes at most, and each for so many seconds.

    One message may be larger, if it is the only one that is kept.
    """

    messages: int
    seconds: float
    bytes: int = _DEFAULT_BYTES


class Position(NamedTuple):
    """What somebody has seen last."""

    epoch: str
    offset: int


#: makes what a member gets of a message, its epoch and its offset
Form: TypeAlias = "Callable[[Mapping[str, Any], str, int], Mapping[str, Any]]"


class Joining(NamedTuple):
    """How somebody becomes a member.

    Attributes:
        history: of the group; None if it has none.
        since: what the new member has seen last, if it says that.
        form: of its messages; True for the usual one, None for what was sent.
    """

    history: History | None = None
    since: Position | None = None
    form: Form | bool | None = None

    def with_history(self, group: str, history: History | None) -> Joining:
        """Return the same for a group with this history. Raises: ValueError if it needs one, and there is none."""
        if history is None and (self.since or self.form):
            raise ValueError(f"since and with_offset are for groups with a history: Group({group!r}, history=100)")
        return self._replace(history=history)


PLAIN: Final = Joining()


class Kept(NamedTuple):
    """One message of a history.

    Attributes:
        age: how many seconds ago it was sent.
        size: bytes, encoded.
    """

    offset: int
    age: float
    content: Any
    size: int = 0


class Recalled(NamedTuple):
    """What a layer knows of a history.

    Attributes:
        last: the offset of the latest message; 0 if there was none in this epoch.
        kept: messages in order, up to the latest.
    """

    epoch: str
    last: int
    kept: list[Kept]


class Standing(NamedTuple):
    """Where a group stands at the moment at which somebody becomes a member: what `Group.add` returns.

    It may be awaited, wherever it comes from, and is then itself.

    Attributes:
        epoch, offset: of the latest message: the member gets all that come after it.
        missed: messages after `since` that it has not got because they are not kept any more; None if nobody knows
            how many.
    """

    epoch: str
    offset: int
    missed: int | None = 0

    def __await__(self) -> Generator[Any, None, Standing]:
        return self
        yield


class HistorySettings:
    """The histories of groups, as this process was told. Runs on: any thread.

    Args:
        is_used: whether a group has members here.
    """

    def __init__(self, is_used: Callable[[str], bool] = lambda group: False) -> None:
        self._is_used = is_used
        self._known: dict[str, tuple[History, float]] = {}
        self._look_at = _FEW

    def setting_of(self, group: str, history: History | None) -> History | None:
        """Return the history of a group: what was said first, until nobody uses it any more.

        Raises: ValueError for another one.
        """
        found = self._known.get(group)
        if found is None and history is None:
            return None
        now = time.monotonic()
        if found is None:
            if len(self._known) >= self._look_at:
                self._forget(now)
            found = self._known.setdefault(group, (history, now))  # type: ignore[arg-type]  # it is not None here
        known = found[0]
        if history is not None and history != known:
            raise ValueError(
                f"the history of the group {group!r} is {_said(known)} in this process: it cannot be {_said(history)}"
            )
        self._known[group] = known, now
        return known

    def _forget(self, now: float) -> None:
        for group, (history, used) in tuple(self._known.items()):
            if used + history.seconds < now and not self._is_used(group):
                self._known.pop(group, None)
        self._look_at = max(_FEW, 2 * len(self._known))


def check_history(count: Any, seconds: Any, most_bytes: Any = None) -> History | None:
    """Return what an application asks for, as `history`, `history_seconds` and `history_bytes`.

    Raises: TypeError, ValueError with one sentence.
    """
    if count is None:
        if seconds is not None:
            raise ValueError("history_seconds is for a group with a history: give history=100, too")
        if most_bytes is not None:
            raise ValueError("history_bytes is for a group with a history: give history=100, too")
        return None
    if isinstance(count, bool) or not isinstance(count, int):
        raise TypeError(f"history must be a number of messages, not {type(count).__name__}")
    if not 1 <= count <= _MOST_MESSAGES:
        raise ValueError(f"history must be 1 to {_MOST_MESSAGES} messages, not {count}")
    if most_bytes is None:
        most_bytes = _DEFAULT_BYTES
    if isinstance(most_bytes, bool) or not isinstance(most_bytes, int):
        raise TypeError(f"history_bytes must be a number of bytes, not {type(most_bytes).__name__}")
    if not 1 <= most_bytes <= _MOST_BYTES:
        raise ValueError(f"history_bytes must be 1 to {_MOST_BYTES}, not {most_bytes}")
    if seconds is None:
        return History(count, _DEFAULT_SECONDS, most_bytes)
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise TypeError(f"history_seconds must be a number of seconds, not {type(seconds).__name__}")
    if not 1 <= seconds <= _MOST_SECONDS:
        raise ValueError(f"history_seconds must be 1 to {_MOST_SECONDS:.0f}, not {seconds}")
    return History(count, float(seconds), most_bytes)


def check_since(since: Any) -> Position | None:
    """Return what a member says that it has seen: a pair of epoch and offset, or a `Standing`.

    Raises: TypeError, ValueError with one sentence.
    """
    if since is None:
        return None
    if isinstance(since, Standing):
        return Position(since.epoch, since.offset)
    if not isinstance(since, (tuple, list)) or len(since) != 2:
        raise TypeError(f"since must be a pair, (epoch, offset), not {type(since).__name__}")
    epoch, offset = since
    if type(epoch) is not str or len(epoch) > _MOST_EPOCH or type(offset) is not int:
        raise TypeError("since must be a pair of an epoch, which is str, and an offset, which is int")
    if not epoch.isascii():
        raise ValueError(f"the epoch in since is none: {epoch!a}")
    if not 0 <= offset < 1 << 53:
        raise ValueError(f"the offset in since must be 0 or more, not {offset}")
    return Position(epoch, offset)


def check_form(form: Any) -> Form | bool | None:
    """Return in which form a member gets its messages.

    Raises: TypeError with one sentence.
    """
    if form is None or form is False:
        return None
    if form is not True and not callable(form):
        raise TypeError(f"with_offset must be True, or a function (content, epoch, offset), not {type(form).__name__}")
    return form  # type: ignore[no-any-return]  # it is True, or can be called


def packed(group: str, joining: Joining) -> Any:
    """Return what another process is told that is to add a member.

    Raises: ValueError for a form that only this process knows.
    """
    if joining.history is None:
        return group
    if callable(joining.form):
        raise ValueError(
            "with_offset can be a function only in the process that has the socket: give True, or add it there"
        )
    return [group, *joining.history, *(joining.since or (None, None)), joining.form]


def unpacked(content: Any) -> tuple[str, Joining]:
    """Return the group to which a member is to be added, and how."""
    if isinstance(content, str):
        return content, PLAIN
    group, count, seconds, most_bytes, epoch, offset, form = content
    return group, Joining(History(count, seconds, most_bytes), None if epoch is None else Position(epoch, offset), form)


def formed(form: Form | bool | None, content: Mapping[str, Any], epoch: str, offset: int) -> Mapping[str, Any]:
    """Return a message in a form. Raises: whatever a function of the application raises."""
    if form is None or form is False:
        return content
    return _usual(content, epoch, offset) if form is True else form(content, epoch, offset)


def _usual(content: Mapping[str, Any], epoch: str, offset: int) -> Mapping[str, Any]:
    """Text in a JSON object with `epoch`, `offset` and `text`; bytes behind a line "EPOCH OFFSET"."""
    text, data = content.get("text"), content.get("bytes")
    if isinstance(text, str):
        return {**content, "text": json.dumps({"epoch": epoch, "offset": offset, "text": text})}
    if isinstance(data, (bytes, bytearray, memoryview)):
        return {**content, "bytes": b"%b %d\n" % (epoch.encode(), offset) + bytes(data)}
    return content


def _said(history: History) -> str:
    most = "" if history.bytes == _DEFAULT_BYTES else f" and {history.bytes} bytes"
    return f"{history.messages} messages{most} for {history.seconds:g} seconds"
