"""The layers that a `BACKEND` in CHANNEL_LAYERS stands for: ours, with its hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Final
from urllib.parse import quote

from uvicorn.channels1.names import DEFAULT_CHANNEL_LAYER
from uvicorn.channels1.nobody import Nobody
from uvicorn.channels1.passing import keep_what_is_passed_on, with_body
from uvicorn.errors import ChannelFull, ChannelLayerUnavailable, ConsumerError
from uvicorn.layers.current import current, is_child, office_of
from uvicorn.layers.delayed import DELAY, opened
from uvicorn.layers.groups import Channel as ServerChannel
from uvicorn.layers.groups import Group as ServerGroup
from uvicorn.layers.names import check_channel, check_group

__all__ = ["InvalidChannelLayerError", "ServerLayer", "layer_of"]

_LOCAL: Final = "local://"
_IN_MEMORY: Final = "asgiref."
_NOBODY: Final = Nobody()


class InvalidChannelLayerError(ConsumerError, ValueError):
    """There is something wrong in CHANNEL_LAYERS; the text says what, and what to write."""


class ServerLayer:
    """The layer of this server, with the methods of one of Channels 1.

    Args:
        url: that of `--channel-layer`.
        is_memory: the BACKEND was one in the memory of one process: what other programs send reaches nobody.

    Attributes:
        keeps_order: the messages of a socket come to its consumers in order, one at a time.
        defers: `send` and `send_group` take whether to send at once.
    """

    ChannelFull = ChannelFull
    extensions: ClassVar[list[str]] = ["groups"]
    keeps_order: Final = True
    defers: Final = True

    def __init__(self, alias: str, url: str = _LOCAL, is_memory: bool = False) -> None:
        self.alias = alias
        self.url = url
        self._is_memory = is_memory

    def __repr__(self) -> str:
        return f"<ServerLayer {self.alias}>"

    @property
    def is_local(self) -> bool:
        """Whether it reaches the workers of one server only."""
        return self.url == _LOCAL

    def check(self, name: str, message: Mapping[str, Any], of_group: bool = False) -> None:
        """Check what a later `send` or `send_group` gets. Raises: ValueError, TypeError, as they do."""
        if of_group:
            check_group(name)
        elif check_channel(name) == DELAY:
            opened(message)

    def send(self, channel: str, message: Mapping[str, Any], immediately: bool = True) -> Any:
        """Send a message to a channel.

        Raises: as `uvicorn.Channel.send`; ValueError for a message to asgi.delay that does not say all it must.
        """
        message = with_body(message)
        keep_what_is_passed_on(channel, message)
        if channel != DELAY:
            return ServerChannel(channel, self._layer()).send(message, immediately)
        name, content, seconds = opened(message)  # what is wrong with it is told before the layer is looked for
        return ServerChannel(name, self._layer()).send(content, immediately, seconds)

    def send_group(self, group: str, message: Mapping[str, Any], immediately: bool = True) -> Any:
        """Send a message to a group. Raises: as `uvicorn.Group.send`."""
        message = with_body(message)
        keep_what_is_passed_on(message)
        return ServerGroup(group, self._layer()).send(message, immediately)

    def group_add(self, group: str, channel: str) -> Any:
        """Put a reply channel into a group. Raises: as `uvicorn.Group.add`."""
        keep_what_is_passed_on(channel)
        return ServerGroup(group, self._layer()).add(channel)

    def group_discard(self, group: str, channel: str) -> Any:
        """Take a reply channel out of a group."""
        return ServerGroup(group, self._layer()).discard(channel)

    def receive(self, channels: Iterable[str], block: bool = False) -> Any:
        """Refuse. Raises: NotImplementedError."""
        raise NotImplementedError(
            f"this server brings messages to consumers: have a route for {', '.join(channels)} instead of receive()"
        )

    receive_many = receive

    def group_channels(self, group: str) -> Any:
        """Return the names of the channels in a group: a list, or what can be awaited for one in a coroutine.

        Raises: NotImplementedError in a program that is no server, and for a layer that cannot tell.
        """
        layer = self._layer()
        return (current() if layer is None else office_of(layer)).members(check_group(group))

    def new_channel(self, pattern: str) -> Any:
        """Refuse. Raises: NotImplementedError."""
        raise NotImplementedError("a channel of one's own cannot be received from: have a route for the answers")

    def flush(self) -> Any:
        """Refuse. Raises: NotImplementedError."""
        raise NotImplementedError("a server's layer is not emptied; in tests ChannelTestCase has one in memory")

    def _layer(self) -> Any:
        """Return what `Group` and `Channel` take: None for the layer of this worker, or that a program has named."""
        if self.alias == DEFAULT_CHANNEL_LAYER or self.is_local:
            try:
                current()
            except ChannelLayerUnavailable:
                if self._is_memory and not is_child():
                    return _NOBODY
                if self.is_local:
                    raise
            else:
                return None
        return self.url


def layer_of(alias: str, backend: str, config: Mapping[str, Any]) -> ServerLayer:
    """Return the layer that stands for a BACKEND.

    Raises: InvalidChannelLayerError if there is none.
    """
    make_url = _URLS.get(backend.partition(".")[0]) if isinstance(backend, str) else None
    if make_url is None:
        raise InvalidChannelLayerError(
            f"CHANNEL_LAYERS[{alias!r}]: there is no layer here for BACKEND {backend!r}: write "
            "'asgi_redis.RedisChannelLayer' with its hosts, or 'asgiref.inmemory.ChannelLayer', or name a layer with "
            "--channel-layer"
        )
    return ServerLayer(alias, make_url(alias, config), is_memory=backend.startswith(_IN_MEMORY))


def _local(alias: str, config: Mapping[str, Any]) -> str:
    return _LOCAL


def _redis(alias: str, config: Mapping[str, Any]) -> str:
    hosts, services = config.get("hosts") or [("localhost", 6379)], config.get("services")
    if config.get("symmetric_encryption_keys"):
        raise InvalidChannelLayerError(
            f"CHANNEL_LAYERS[{alias!r}]: messages are not encrypted here: take symmetric_encryption_keys away, and "
            "have TLS on the way to Redis, by a host such as 'rediss://:password@redis.example.com/0'"
        )
    prefix = f"?prefix={quote(str(config['prefix']))}" if config.get("prefix") else ""
    if isinstance(hosts, (list, tuple)) and services and len(services) == 1 and not any(map(_is_url, hosts)):
        return f"redis+sentinel://{','.join(map(_host, hosts))}/{services[0]}/0{prefix}"
    if not isinstance(hosts, (list, tuple)) or len(hosts) != 1 or services:
        raise InvalidChannelLayerError(
            f"CHANNEL_LAYERS[{alias!r}]: messages are not spread over several servers of Redis here: give hosts a list "
            "of one, or name a cluster with --channel-layer redis+cluster://host,host"
        )
    if _is_url(hosts[0]):
        return f"{hosts[0]}{prefix.replace('?', '&') if '?' in hosts[0] else prefix}"
    return f"redis://{_host(hosts[0])}/0{prefix}"


def _is_url(host: Any) -> bool:
    return isinstance(host, str)


def _host(host: Any) -> str:
    name, port = host
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


#: the package of a BACKEND -> what makes its URL
_URLS: Final[Mapping[str, Callable[[str, Mapping[str, Any]], str]]] = {
    "asgi_ipc": _local,
    "asgi_redis": _redis,
    "asgiref": _local,
    "uvicorn": _local,
}
