"""What sends commands to the nodes of a cluster: to each on one connection, many in one go. Loop thread only.

Each key belongs to one node, as the cluster says. What is for one node goes out as one pipeline, in order.

*Not twice.* A command is sent again only where it is known that no node has carried it out: a node could not be
connected to, or said that a key is elsewhere. Redis-py's own client of a cluster would send it again after a connection
has broken, too: so it is told to try nothing twice. It knows who has what, and follows where a key has gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from uvicorn.errors import ChannelLayerUnavailable
from uvicorn.layers.ending import close_quietly, within
from uvicorn.layers.redis_servers import RedisAddress, translate

__all__ = ["Nodes"]

_ATTEMPTS: Final = 3  # to find the node that has a key now

Words = Sequence[Any]


class Nodes:
    """The nodes of a cluster, each with a client of its own.

    Args:
        read_seconds: how long an answer may take for redis-py, which does not know that the loop was held up.
    """

    def __init__(self, address: RedisAddress, read_seconds: float) -> None:
        self._address = address
        self._read_seconds = read_seconds
        self._cluster = address.client(read_seconds)
        self._clients: dict[str, Any] = {}
        self._is_known = False  # which node has what

    async def ping(self) -> None:
        """Find out which node has what, if that may have changed. Raises: what redis-py raises."""
        if not self._is_known:
            await self._cluster.aclose()  # now it asks anew
            await self._cluster.initialize()
            self._is_known = True

    async def answers(self, commands: Sequence[Words], keys: Sequence[Any]) -> list[Any]:
        """Send commands, each for its key; return the answer of each, or its error.

        Raises: ChannelLayerUnavailable if nothing was sent: no node says who has what.
        """
        results: list[Any] = [None] * len(commands)
        left: Sequence[int] = range(len(commands))
        for attempt in range(_ATTEMPTS):
            try:
                await self._look()
            except Exception:
                if not attempt:
                    raise
                break  # what is left has its error; the others are done
            by_node: dict[Any, list[int]] = {}
            for number in left:
                try:
                    by_node.setdefault(self._cluster.get_node_from_key(keys[number]), []).append(number)
                except Exception as error:  # no node has it
                    self._is_known = False
                    results[number] = _unavailable(error, self._address, was_sent=False)
            sent = [self._send(node, numbers, commands, results) for node, numbers in by_node.items()]
            left = [number for numbers in await asyncio.gather(*sent) for number in numbers]
            if not left:
                break
        await self._follow(commands, results)
        return results

    async def aclose(self) -> None:
        """Close all connections."""
        clients, self._clients = self._clients, {}
        for client in (self._cluster, *clients.values()):
            await close_quietly(client)

    async def _look(self) -> None:
        try:
            await within(self._address.timeout, self.ping())
        except Exception as error:
            raise _unavailable(error, self._address, was_sent=False) from None

    async def _send(self, node: Any, numbers: list[int], commands: Sequence[Words], results: list[Any]) -> list[int]:
        """Send what is for one node; return what was not sent, and may be for another one."""
        client = self._clients.get(node.name)
        if client is None:
            client = self._clients[node.name] = self._address.node_client(node.host, node.port, self._read_seconds)
        was_sent = False
        try:
            # Makes a connection, and takes one that Redis has closed for what it is.
            pool = client.connection_pool
            await pool.release(await within(self._address.timeout, pool.get_connection()))
            was_sent = True
            pipeline = client.pipeline(transaction=False)
            for number in numbers:
                pipeline.execute_command(*commands[number])
            answers = await within(self._address.timeout, pipeline.execute(raise_on_error=False))
        except Exception as error:
            self._is_known = False
            del self._clients[node.name]
            await close_quietly(client)
            for number in numbers:
                results[number] = _unavailable(error, self._address, was_sent)
            # Who was waited for is not waited for again.
            return [] if was_sent or _is_late(error) else numbers
        for number, answer in zip(numbers, answers, strict=True):
            results[number] = answer
        return []

    async def _follow(self, commands: Sequence[Words], results: list[Any]) -> None:
        """Send what a node has not carried out, as it has the key no more, to the one that has it now; in order."""
        from redis.exceptions import AskError, TryAgainError

        failure: Exception | None = None
        for number, result in enumerate(results):
            if not isinstance(result, (AskError, TryAgainError)):  # MovedError is an AskError
                continue
            self._is_known = False
            if failure is not None:
                results[number] = ChannelLayerUnavailable(str(failure))
                continue
            try:
                results[number] = await within(self._address.timeout, self._cluster.execute_command(*commands[number]))
            except Exception as error:
                results[number] = error = _unavailable(error, self._address, was_sent=True)
                if isinstance(error, ChannelLayerUnavailable):
                    failure = error


def _unavailable(error: Exception, address: RedisAddress, was_sent: bool) -> Exception:
    translated = translate(error, address.shown, was_sent)
    return translated if isinstance(translated, Exception) else error


def _is_late(error: Exception) -> bool:
    from redis.exceptions import TimeoutError

    return isinstance(error, (TimeoutError, asyncio.TimeoutError))
