"""The names of groups and channels: what is allowed, and what a name says.

    group              room-7                         letters, digits, hyphen, underscore, full stop
    channel            thumbnails, mail.send          the same
    reply channel      websocket.send!c0ffee123456.7  a kind, and behind "!" the process that has it, and a number

A name has less than 100 characters. Spec: ASGI draft (django/channels cd34f65), "Channels" and "Groups"; the pattern
is that of Channels 1.
"""

from __future__ import annotations

import re
from typing import Any, Final

__all__ = ["MOST_CHARACTERS", "check_channel", "check_group", "is_background", "is_reply", "node_of"]

MOST_CHARACTERS: Final = 99
_ALLOWED: Final = "ASCII letters, digits, hyphens, underscores and full stops"
_GROUP: Final = re.compile(r"[a-zA-Z0-9\-_.]+")
_CHANNEL: Final = re.compile(r"[a-zA-Z0-9\-_.]+([?!][a-zA-Z0-9\-_.]+)?")


def check_group(name: Any) -> str:
    """Return the name of a group as str; bytes are taken, too.

    Raises: ValueError, TypeError with one sentence that says what is allowed.
    """
    text = _text(name, "group")
    if not _GROUP.fullmatch(text) or len(text) > MOST_CHARACTERS:
        raise ValueError(
            f"{_shown(text)} cannot be the name of a group: that is 1 to {MOST_CHARACTERS} characters, {_ALLOWED}"
        )
    return text


def check_channel(name: Any) -> str:
    """Return the name of a channel as str; bytes are taken, too.

    Raises: ValueError, TypeError with one sentence that says what is allowed.
    """
    text = _text(name, "channel")
    if not _CHANNEL.fullmatch(text) or len(text) > MOST_CHARACTERS:
        raise ValueError(
            f"{_shown(text)} cannot be the name of a channel: that is 1 to {MOST_CHARACTERS} characters, {_ALLOWED}, "
            "with one '!' in that of a reply channel"
        )
    return text


def is_reply(name: str) -> bool:
    """Whether a name is that of a reply channel, which one process has."""
    return "!" in name


def is_background(name: str) -> bool:
    """Whether a name is that of a queue; those of the server's own messages, and reply channels, are not."""
    return "!" not in name and "?" not in name and name.partition(".")[0] not in ("http", "websocket")


def node_of(name: str) -> str:
    """Return the process that has a reply channel; "" if the name does not say it."""
    return name.partition("!")[2].partition(".")[0]


def _text(name: Any, what: str) -> str:
    if isinstance(name, bytes):
        name = name.decode("latin-1")
    if not isinstance(name, str):
        raise TypeError(f"the name of a {what} must be str, not {type(name).__name__}")
    return name


def _shown(text: str) -> str:
    return repr(text if len(text) <= MOST_CHARACTERS else text[:40] + "…")
