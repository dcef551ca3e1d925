"""What is known of Django's tasks after they were enqueued, in Redis: a record for each, which expires.

    PREFIX:t:ID      the record, encoded as messages are

Other layers keep nothing that another process could read: there tasks run, and their results are not to be had.
Blocks: each call until Redis has answered, so none is for the loop.
"""

from __future__ import annotations

import os
from typing import Any, Final
from urllib.parse import urlsplit

from uvicorn.layers.encoding import pack, unpack
from uvicorn.layers.urls import REDIS_SCHEMES

__all__ = ["TaskResults", "keeps_results", "results_of"]

_made: dict[tuple[int, str], TaskResults] = {}  # by the process, which may have been forked, and the URL


def keeps_results(url: str) -> bool:
    """Whether the layer that a URL names keeps results."""
    return urlsplit(url).scheme in REDIS_SCHEMES


def results_of(url: str) -> TaskResults | None:
    """Return the results of a layer; None if it keeps none.

    Raises: ValueError for a URL that is wrong.
    """
    if not keeps_results(url):
        return None
    key = (os.getpid(), url)
    if key not in _made:
        _made[key] = TaskResults(url)
    return _made[key]


class TaskResults:
    """The records of tasks in one Redis. Runs on: any thread."""

    def __init__(self, url: str) -> None:
        from uvicorn.layers.redis_servers import RedisAddress

        self._address: Final = RedisAddress(url)
        self._client: Any = None

    def save(self, record: dict[str, Any], seconds: float) -> None:
        """Keep a record, in place of an older one, for so many seconds.

        Raises: ChannelLayerUnavailable.
        """
        self._do("SET", self._key(record["id"]), pack(record), "EX", max(1, int(seconds)))

    def load(self, id: str) -> dict[str, Any] | None:
        """Return a record; None if there is none, or not any more.

        Raises: ChannelLayerUnavailable; ValueError if what is there is no record.
        """
        data = self._do("GET", self._key(id))
        if data is None:
            return None
        record: dict[str, Any] = unpack(data)
        return record

    def forget(self, id: str) -> None:
        """Remove a record. Raises: ChannelLayerUnavailable."""
        self._do("DEL", self._key(id))

    def _key(self, id: str) -> str:
        return f"{self._address.prefix}:t:{id}"

    def _do(self, *words: Any) -> Any:
        from uvicorn.layers.redis_servers import translate

        try:
            if self._client is None:
                self._client = self._address.program_client()
            return self._client.execute_command(*words)
        except Exception as error:
            raise translate(error, self._address.shown, was_sent=True) from None
