"""Redis by its URL: one server, Sentinel, or a cluster; in a worker, and in other programs.

    redis://user:password@host:6379/0    rediss:// with TLS, unix:///path?db=0 over a unix socket
    redis+sentinel://host:26379,host:26379/mymaster/0
    redis+cluster://host:7000,host:7001

Our own options stand behind "?" and are taken out before redis-py sees the URL: `prefix` of all keys ("uvicorn"),
`timeout` in seconds, after which Redis is taken not to answer (5), and `claim`, seconds of silence after which a
worker's messages are for others (30). The rest is redis-py's: `ssl_ca_certs`, `ssl_certfile`, ...
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from uvicorn.errors import ChannelLayerUnavailable
from uvicorn.layers.urls import REDIS_SCHEMES, shown_url

__all__ = ["RedisAddress", "told", "translate"]

_SENTINEL: Final = "+sentinel"
_CLUSTER: Final = "+cluster"
_SENTINEL_PORT: Final = 26379
_CLUSTER_PORT: Final = 6379
_BOOLEANS: Final[dict[str, Any]] = {"true": True, "false": False, "1": True, "0": False}
#: answers of a Redis that is there and cannot serve, beside those for which redis-py has classes
_UNABLE: Final = ("MISCONF", "BUSY", "CLUSTERDOWN", "MASTERDOWN", "TRYAGAIN", "NOREPLICAS")


@dataclass(frozen=True)
class RedisAddress:
    """What a URL says.

    Raises: ValueError with one sentence.
    """

    url: str
    prefix: str = field(init=False, default="uvicorn")
    timeout: float = field(init=False, default=5.0)
    claim_seconds: float = field(init=False, default=30.0)
    plain: str = field(init=False, default="")  # the URL for redis-py

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in REDIS_SCHEMES:
            raise ValueError(f"{shown_url(self.url)} is no URL of Redis")
        ours: dict[str, str] = {}
        others: list[tuple[str, str]] = []
        for name, value in parse_qsl(parts.query):
            if name in ("prefix", "timeout", "claim"):
                ours[name] = value
            else:
                others.append((name, value))
        try:
            timeout = float(ours.get("timeout", self.timeout))
            claim = float(ours.get("claim", self.claim_seconds))
        except ValueError:
            timeout = claim = -1.0
        if not timeout > 0 or not claim > 0:
            raise ValueError(f"timeout and claim in {shown_url(self.url)} must be numbers of seconds, more than 0")
        wrong = [name for name, _ in others if not name.startswith("ssl_")]
        if wrong and "+" in parts.scheme:
            raise ValueError(
                f"{wrong[0]} has no effect in {shown_url(self.url)}: options of redis-py there are ssl_..."
            )
        plain = self.url.partition("?")[0] + (f"?{urlencode(others)}" if others else "")
        for name, found in (
            ("prefix", ours.get("prefix", self.prefix)), ("timeout", timeout), ("claim_seconds", claim),
            ("plain", plain),
        ):  # fmt: skip
            object.__setattr__(self, name, found)

    @property
    def shown(self) -> str:
        """The URL without its password."""
        return shown_url(self.url)

    @property
    def is_cluster(self) -> bool:
        """Whether it is a cluster: other ways of pub/sub, and of reading several streams."""
        return _CLUSTER in urlsplit(self.url).scheme

    def _tls(self) -> dict[str, Any]:
        """Return what redis-py is to know of TLS, where it does not read it in the URL itself."""
        parts = urlsplit(self.plain)
        if not parts.scheme.startswith("rediss"):
            return {}
        return {"ssl": True, **{name: _BOOLEANS.get(value.lower(), value) for name, value in parse_qsl(parts.query)}}

    def client(self, read_seconds: float | None = None) -> Any:
        """Make a client of redis-py for asyncio. It connects when it is used, and tries nothing twice.

        Args:
            read_seconds: how long an answer may take; None for as long as `timeout`.
        """
        from redis import asyncio as redis
        from redis.asyncio.retry import Retry
        from redis.asyncio.sentinel import Sentinel
        from redis.backoff import NoBackoff

        options: dict[str, Any] = {
            "socket_connect_timeout": self.timeout,
            "socket_timeout": read_seconds or self.timeout,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
        }
        return self._made(redis, Sentinel, options)

    def node_client(self, host: str, port: int, read_seconds: float | None = None) -> Any:
        """Make a client for asyncio of one node of a cluster. Args: as for `client`."""
        from redis import asyncio as redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        parts = urlsplit(self.plain)
        return redis.Redis(
            host=host,
            port=port,
            username=parts.username,
            password=parts.password,
            **self._tls(),
            socket_connect_timeout=self.timeout,
            socket_timeout=read_seconds or self.timeout,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )

    def program_client(self) -> Any:
        """Make a synchronous client, for a program. It tries nothing twice: what was sent may have come.

        A connection that Redis has closed is made anew before something is sent on it.
        """
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
        from redis.sentinel import Sentinel

        options: dict[str, Any] = {
            "socket_connect_timeout": self.timeout,
            "socket_timeout": self.timeout,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
        }
        return self._made(redis, Sentinel, options)

    def _made(self, redis: Any, sentinel: Any, options: dict[str, Any]) -> Any:
        parts = urlsplit(self.plain)
        if self.is_cluster:
            from redis.asyncio.cluster import ClusterNode as AsyncNode
            from redis.cluster import ClusterNode

            node = AsyncNode if redis.__name__ == "redis.asyncio" else ClusterNode
            options.update(self._tls())
            return redis.RedisCluster(
                startup_nodes=[node(host, port) for host, port in _hosts(parts.netloc, _CLUSTER_PORT)],
                username=parts.username,
                password=parts.password,
                **options,
            )
        if _SENTINEL in parts.scheme:
            name, _, database = parts.path.strip("/").partition("/")
            options.update(self._tls())  # Sentinel itself has it, too
            watched = sentinel(_hosts(parts.netloc, _SENTINEL_PORT), sentinel_kwargs=dict(options), **options)
            return watched.master_for(
                name or "mymaster",
                db=int(database or 0),
                username=parts.username,
                password=parts.password,
            )
        return redis.Redis.from_url(self.plain, **options)


def _hosts(netloc: str, port: int) -> list[tuple[str, int]]:
    """Return the hosts and ports of a list."""
    found = []
    for part in netloc.rpartition("@")[2].split(","):
        host, colon, number = part.strip().rpartition(":")
        found.append((host, int(number)) if colon and number.isdecimal() else (part.strip(), port))
    return [(host.strip("[]") or "localhost", number) for host, number in found]


def translate(error: BaseException, name: str, was_sent: bool = False) -> BaseException:
    """Return what an application sees of an error of redis-py: ChannelLayerUnavailable if Redis cannot serve."""
    from redis import exceptions as of
    from redis.exceptions import RedisError, ResponseError

    unable = of.BusyLoadingError, of.OutOfMemoryError, of.ReadOnlyError
    is_unable = isinstance(error, (*unable, of.ClusterDownError, of.TryAgainError, of.AskError))
    if isinstance(error, ResponseError) and not is_unable and not str(error).startswith(_UNABLE):
        return error
    if isinstance(error, (RedisError, of.RedisClusterException, OSError, asyncio.TimeoutError, EOFError)):
        return ChannelLayerUnavailable(f"{name} cannot be reached: {told(error)}", was_sent=was_sent)
    return error


def told(error: BaseException) -> str:
    """Return an error as one line."""
    text = str(error)
    if type(error).__name__ == "MasterNotFoundError":  # behind the colon are redis-py's objects
        text = f"{text.partition(' : ')[0]}: no Sentinel can be reached, or none that can be knows of one"
    lines: Iterable[str] = text.split("\n")
    return " ".join(line.strip() for line in lines if line.strip()) or type(error).__name__
