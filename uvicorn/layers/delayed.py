"""The channel `asgi.delay` of Channels 1: a message in a message, and the time after which it is sent. Pure.

    {"channel": "mail.send", "content": {"kind": "reminder"}, "delay": 60000}

`delay` is in milliseconds. It is the same as `Channel("mail.send").send({"kind": "reminder"}, delay=60)`: no process is
needed for it, and nothing waits in a channel of this name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from uvicorn.layers.names import check_channel

__all__ = ["DELAY", "opened"]

DELAY: Final = "asgi.delay"
_MOST: Final = 1e12  # milliseconds, as for `delay`


def opened(message: Mapping[str, Any]) -> tuple[str, dict[str, Any], float]:
    """Return the channel, the content and the seconds of a message to `asgi.delay`.

    Raises: ValueError, TypeError with one sentence for a message that does not say them.
    """
    missing = [key for key in ("channel", "content", "delay") if key not in message]
    if missing:
        raise ValueError(f"a message to {DELAY} has channel, content and delay, and no {missing[0]!r} is there")
    content, delay = message["content"], message["delay"]
    if not isinstance(content, Mapping):
        raise TypeError(f"the content of a message to {DELAY} must be a dict, not {type(content).__name__}")
    if isinstance(delay, bool) or not isinstance(delay, (int, float)) or not 0 <= delay < _MOST:
        raise ValueError(f"the delay of a message to {DELAY} is a number of milliseconds, 0 or more, not {delay!r}")
    name = check_channel(message["channel"])
    if name == DELAY:
        raise ValueError(f"a message to {DELAY} cannot be for {DELAY} itself")
    return name, dict(content), delay / 1000
