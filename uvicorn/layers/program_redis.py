"""A program's way to Redis: redis-py's synchronous client, which threads may share."""

from __future__ import annotations

import os
import time
from typing import Any, Final

from uvicorn.errors import ChannelFull, ChannelLayerUnavailable
from uvicorn.layers.asking import SILENT, error_from
from uvicorn.layers.encoding import pack, unpack
from uvicorn.layers.history import History
from uvicorn.layers.ids import new_id
from uvicorn.layers.layer import KEEP, PUBLISH, SEND
from uvicorn.layers.limits import ChannelLimits
from uvicorn.layers.names import is_reply, node_of
from uvicorn.layers.redis_history import KEEP as KEEP_SCRIPT
from uvicorn.layers.redis_history import keep_arguments, keys_of
from uvicorn.layers.redis_scripts import DELAY, PUT, Keys, Script
from uvicorn.layers.redis_servers import RedisAddress, translate

__all__ = ["RedisCarrier"]

_CLUSTER_ATTEMPTS: Final = 3  # to find the node that has a key now
_IDLE_SECONDS: Final = 30.0  # arbitrary: firewalls forget connections after minutes
_MOST_DELAYED: Final = 10_000
_SPARE_SECONDS: Final = 60


class RedisCarrier:
    """What carries the requests of a program to Redis."""

    def __init__(self, address: RedisAddress, limits: ChannelLimits) -> None:
        self._address = address
        self._limits = limits
        self._keys = Keys(address.prefix)
        self._client: Any = None
        self._used_at = 0.0  # time.monotonic()

    def carry(self, kind: str, name: str, content: Any, delay: float) -> None:
        """Have Redis take it."""
        packed = pack(content[0] if kind == KEEP else content)
        try:
            self._connect()
            if kind == PUBLISH:
                self._publish(self._keys.group(name), packed)
            elif kind == KEEP:
                self._keep(self._keys.group(name), packed, History(*content[1:]))
            elif delay:
                self._delay(name, new_id(content), packed, delay)
            elif kind != SEND:
                self._ask(kind, name, content)
            elif is_reply(name):
                self._publish(self._keys.node(node_of(name)), pack([kind, name, content]))
            else:
                self._put(name, new_id(content), packed)
        except Exception as error:
            raise translate(error, self._address.shown, was_sent=True) from None

    def _connect(self) -> None:
        """Have a client, without connections that have been idle: something between may have forgotten them."""
        before, self._used_at = self._used_at, time.monotonic()
        if self._client is None:
            self._client = self._address.program_client()
        elif self._used_at - before > _IDLE_SECONDS:
            if self._address.is_cluster:
                clients = [node.redis_connection for node in self._client.get_nodes()]
            else:
                clients = [self._client]
            for client in clients:
                if client is not None:
                    client.connection_pool.disconnect(inuse_connections=False)

    def _reach(self, key: str) -> None:
        """Have a connection to the node of a cluster that has a key. Nothing is sent yet, so it may be tried again."""
        if not self._address.is_cluster:
            return
        from redis.exceptions import ConnectionError, TimeoutError

        for attempts_left in reversed(range(_CLUSTER_ATTEMPTS)):
            node = self._client.get_node_from_key(key)
            pool = self._client.get_redis_connection(node).connection_pool
            try:
                pool.release(pool.get_connection())
                return
            except (ConnectionError, TimeoutError):
                if not attempts_left:
                    raise
                self._client.nodes_manager.initialize()  # another one may have it now

    def _publish(self, name: str, data: bytes) -> Any:
        """Return how many have got it."""
        self._reach(name)
        return self._client.execute_command(self._publish_command, name, data)

    def _ask(self, kind: str, name: str, content: Any) -> None:
        """Ask something of the process that has a reply channel; wait for the answer; one that is gone gives none."""
        own = self._keys.node(os.urandom(8).hex())  # the answer comes there
        client = self._client
        if self._address.is_cluster:
            client = client.get_redis_connection(client.get_node_from_key(own))
        with client.pubsub() as hearing:
            subscribe = hearing.ssubscribe if self._address.is_cluster else hearing.subscribe
            subscribe(own)
            if hearing.get_message(timeout=self._address.timeout) is None:
                raise ChannelLayerUnavailable(f"{self._address.shown} cannot be reached: no subscription yet")
            if not self._publish(self._keys.node(node_of(name)), pack([kind, name, content, own, 1])):
                return
            answer = hearing.get_message(timeout=self._address.timeout)
        if answer is None:
            raise ChannelLayerUnavailable(SILENT, was_sent=True)
        _, _, error = unpack(answer["data"])
        if error is not None:
            raise error_from(error)

    @property
    def _publish_command(self) -> str:
        return "SPUBLISH" if self._address.is_cluster else "PUBLISH"

    def _keep(self, name: str, packed: bytes, history: History) -> None:
        self._run(KEEP_SCRIPT, keys_of(name), *keep_arguments(name, self._publish_command, history, packed))

    def _put(self, channel: str, id: str, packed: bytes) -> None:
        capacity, stream = self._limits.capacity_of(channel), self._keys.stream(channel)
        if not self._run(PUT, (stream,), capacity, self._keys.consumers, 0, 0, id, packed):
            raise ChannelFull(f"{capacity} messages wait in {channel}: no consumer takes them")

    def _delay(self, name: str, id: str, packed: bytes, seconds: float) -> None:
        if is_reply(name):
            member, key = pack([SEND, name, packed]), self._keys.delayed(node_of(name))
            life = int(seconds) + _SPARE_SECONDS
        else:
            member, key, life = id.encode() + packed, self._keys.delayed(name), 0
        if not self._run(DELAY, (key,), max(1, int(seconds * 1000)), member, life, _MOST_DELAYED):
            raise ChannelFull(f"{_MOST_DELAYED} delayed messages wait already")

    def _run(self, script: Script, keys: tuple[str, ...], *arguments: Any) -> Any:
        from redis.exceptions import NoScriptError

        self._reach(keys[0])
        try:
            return self._client.execute_command("EVALSHA", script.sha, len(keys), *keys, *arguments)
        except NoScriptError:
            return self._client.execute_command("EVAL", script.text, len(keys), *keys, *arguments)
