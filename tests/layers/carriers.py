"""The layers that the table of behaviour is run over: each carrier makes layers that reach each other."""

import asyncio
import secrets
import tempfile
from typing import Any

import pytest
import redis_server
from patience import NEVER_SECONDS
from specified_layer import SpecifiedLayer

from uvicorn.layers.django_layer import DjangoLayer
from uvicorn.layers.limits import ChannelLimits
from uvicorn.layers.local import LocalLayer
from uvicorn.layers.local_place import Place
from uvicorn.layers.opening import open_layer

__all__ = ["CARRIERS", "DjangoCarrier", "LocalCarrier", "RedisCarrier", "needs_redis", "wait_for_redis"]


def wait_for_redis(node, seconds):
    """Have a worker wait for Redis for so long at most, from now on: before, a busy machine may take longer."""
    object.__setattr__(node.layer._address, "timeout", seconds)
    until = asyncio.get_running_loop().time() + seconds
    for command in node.layer._publisher._queue:
        command.until = min(command.until, until)


needs_redis = pytest.mark.skipif(redis_server.program() is None, reason="redis-server is not installed")


class LocalCarrier:
    """Processes of one machine, here all in one."""

    is_sure = False  # whether a message is delivered again that was not acknowledged

    def __init__(self):
        self._directory = tempfile.TemporaryDirectory(prefix="uvicorn-test-")
        self.path = f"{self._directory.name}/layer"

    def layer(self, log, **limits):
        return LocalLayer(f"local://{self.path}", Place(self.path), ChannelLimits(**limits), log)

    @property
    def url(self):
        return f"local://{self.path}"

    def count_waiting(self, node, channel):
        """Return how many messages wait for a consumer in this node."""
        return node.layer.channels._queues.count(channel)

    def close(self):
        self._directory.cleanup()


class RedisCarrier:
    """One server for all; each carrier has keys of its own."""

    is_sure = True
    _server = None

    def __init__(self, server=None):
        if server is None:
            if RedisCarrier._server is None:
                RedisCarrier._server = redis_server.RedisServer()
            server = RedisCarrier._server
        self.server = server
        self.prefix = f"test{secrets.token_hex(4)}"

    @property
    def url(self):
        joint = "&" if "?" in self.server.url else "?"
        # Claims last as long as nothing else is said: a message that a busy machine holds up for so long comes twice.
        return f"{self.server.url}{joint}prefix={self.prefix}&timeout={NEVER_SECONDS}"

    def layer(self, log, **limits):
        return open_layer(self.url, None, ChannelLimits(**limits), log)

    def count_waiting(self, node, channel):
        client = self.server.client()
        try:
            stream = node.layer._keys.stream(channel)
            return client.xlen(stream) - client.xpending(stream, node.layer._keys.consumers)["pending"]
        finally:
            client.close()

    def close(self):
        pass

    @classmethod
    def end(cls):
        if cls._server is not None:
            cls._server.close()
            cls._server = None


class DjangoCarrier:
    """What Channels 4 specifies, by a double: one layer for the whole process."""

    is_sure = False
    made: Any = None

    def __init__(self):
        self._made = None

    def layer(self, log, **limits):
        if self._made is None:
            self._made = self._in_memory(limits.get("capacity", 100))
        DjangoCarrier.made = self._made
        return DjangoLayer("asgi+django://carriers:DjangoCarrier.made", log)

    def close(self):
        pass

    def _in_memory(self, capacity):
        return SpecifiedLayer(capacity)


class ChannelsCarrier(DjangoCarrier):
    """The layer in memory that Channels 4 has."""

    def _in_memory(self, capacity):
        from channels.layers import InMemoryChannelLayer

        return InMemoryChannelLayer(capacity=capacity)


def has_channels():
    try:
        import channels.layers
    except Exception:
        return False
    return channels.layers is not None


CARRIERS = {"local": LocalCarrier, "redis": RedisCarrier, "django": DjangoCarrier}
if has_channels():
    # Not among the dependencies of the tests: scripts/ecosystem, which installs it, runs the table with it.
    CARRIERS["channels"] = ChannelsCarrier
