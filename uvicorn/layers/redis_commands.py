"""Commands on their way to Redis, and how they are given to whoever sends them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from uvicorn.layers.redis_scripts import Script

__all__ = ["Command", "Sender", "size_of"]


class Command:
    """One command: its words, and who waits for its answer.

    Attributes:
        count: how many messages it carries.
        waits: whether it has not been sent yet.
        attempts: how often it was sent in vain: a node of a cluster could not carry it out then.
        asks: whether the node that gets it is still on the way to having its key.
        until: of the loop's clock, until when it waits for a Redis that is away.
    """

    __slots__ = ("asks", "attempts", "count", "future", "script", "size", "until", "waits", "words")

    def __init__(
        self, words: tuple[Any, ...], script: Script | None, future: asyncio.Future[Any], until: float
    ) -> None:
        self.words = list(words)
        self.count = 1
        self.waits = True
        self.attempts = 0
        self.asks = False
        self.script = script
        self.future = future
        self.until = until
        self.size = size_of(words)

    @property
    def key(self) -> str:
        """The key by which a cluster knows where it belongs."""
        key: str = self.words[3] if self.words[0] in ("EVALSHA", "EVAL") else self.words[1]
        return key

    def give_text(self) -> None:
        """Send the text of the script, and not only its hash."""
        assert self.script is not None
        self.words[:2] = "EVAL", self.script.text
        self.script = None

    def fail(self, error: BaseException) -> None:
        """It was not carried out, or nobody knows."""
        if not self.future.done():
            self.future.set_exception(error)
            self.future.exception()  # nobody may wait for it


class Sender:
    """What sends commands. All raises ChannelLayerUnavailable, or its future does."""

    def put(self, words: tuple[Any, ...], script: Script | None) -> Command:
        """Have a command sent. Raises: ChannelLayerUnavailable at once, if too much waits or Redis is away for long."""
        raise NotImplementedError

    def extend(self, command: Command, *arguments: Any) -> bool:
        """Give a command more arguments, for one more message; return False if it is sent, or too much waits."""
        raise NotImplementedError

    def execute(self, *words: Any) -> asyncio.Future[Any]:
        """Send a command; return the future of its answer."""
        return self.put(words, None).future

    def run(self, script: Script, keys: tuple[str, ...], *arguments: Any) -> asyncio.Future[Any]:
        """Run a script; as `execute`."""
        return self.command(script, keys, *arguments).future

    def run_last(self, script: Script, keys: tuple[str, ...], *arguments: Any) -> asyncio.Future[Any]:
        """Run a script after all that was put before."""
        return self.run(script, keys, *arguments)

    def command(self, script: Script, keys: tuple[str, ...], *arguments: Any) -> Command:
        """Run a script that can be given more arguments for as long as it waits."""
        return self.put(("EVALSHA", script.sha, len(keys), *keys, *arguments), script)


def size_of(words: Iterable[Any]) -> int:
    """Return how many bytes the messages in a command have."""
    return sum(len(word) for word in words if isinstance(word, bytes))
