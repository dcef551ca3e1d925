"""Our settings for groups and channels, one class each."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Final, NamedTuple

from uvicorn.command.setting_types import OurSetting, one_of, seconds, whole
from uvicorn.layers.backlog import CLOSE, POLICIES, Bounds
from uvicorn.layers.limits import ChannelLimits, check_capacity
from uvicorn.layers.urls import check_url

__all__ = ["LAYER_SETTINGS", "LayerSettings"]


def pattern_list(name: str) -> Callable[[Any], str]:
    """Return a validator for a list of patterns of channel names."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or any(not _PATTERN.fullmatch(part) for part in patterns_of(value)):
            raise ValueError(f"{name} must be names of channels or patterns such as 'thumbnails,mail.*', not {value!r}")
        return value

    return check


def patterns_of(value: str) -> tuple[str, ...]:
    """Return the patterns of a list."""
    return tuple(part.strip() for part in value.split(",") if part.strip())


def capacity_text(value: Any) -> str:
    """Check capacities, and return them as text.

    Raises: ValueError.
    """
    check_capacity(value)
    return str(value)


_PATTERN: Final = re.compile(r"[a-zA-Z0-9\-_.*?\[\]!]+")


class ChannelLayer(OurSetting):
    name = "channel_layer"
    cli: ClassVar = ["--channel-layer"]
    meta = "URL"
    validator = staticmethod(check_url)
    default = "local://"
    desc = """\
        What carries groups and channels between processes.

        ``local://``, the default, reaches the workers of one master, ``local:///path`` all processes of the machine
        that name the same path. They need nothing. ``redis://host`` reaches many machines.
        """


class GroupBacklog(OurSetting):
    name = "group_backlog"
    cli: ClassVar = ["--group-backlog"]
    meta = "BYTES"
    type = int
    validator = whole("group_backlog", "bytes", 1)
    default = 1048576
    desc = """\
        Bytes of group messages that may wait for one member whose client is behind.
        """


class GroupBacklogMessages(OurSetting):
    name = "group_backlog_messages"
    cli: ClassVar = ["--group-backlog-messages"]
    meta = "INT"
    type = int
    validator = whole("group_backlog_messages", "messages", 1)
    default = 1000
    desc = """\
        Group messages that may wait for one member whose client is behind.
        """


class GroupBacklogPolicy(OurSetting):
    name = "group_backlog_policy"
    cli: ClassVar = ["--group-backlog-policy"]
    meta = "STRING"
    validator = one_of("group_backlog_policy", *POLICIES)
    default = CLOSE
    desc = """\
        What is done with a member that is further behind than that.

        ``close`` closes its socket with 1013. ``drop-oldest`` and ``drop-newest`` drop messages; they are counted in
        the log, and told to the consumer that is routed to ``websocket.gap``.
        """


class MessageExpiry(OurSetting):
    name = "message_expiry"
    cli: ClassVar = ["--message-expiry"]
    meta = "SECONDS"
    type = float
    validator = seconds("message_expiry")
    default = 60.0
    desc = """\
        Seconds that a group message may wait for a client that is behind.

        Then it is dropped, as is one for a reply channel. 0 for no limit.
        """


class GroupExpiry(OurSetting):
    name = "group_expiry"
    cli: ClassVar = ["--group-expiry"]
    meta = "SECONDS"
    type = float
    validator = seconds("group_expiry")
    default = 86400.0
    desc = """\
        Seconds of a membership in a group; to add a member again renews it.

        When its socket closes it is no member at once.
        """


class ChannelCapacity(OurSetting):
    name = "channel_capacity"
    cli: ClassVar = ["--channel-capacity"]
    meta = "LIST"
    validator = staticmethod(capacity_text)
    default = "100"
    desc = """\
        Messages that may wait in a channel; a sender of more gets ``ChannelFull``.

        ``100, thumbnails=1000, mail.*=20``: other numbers for channels whose names match.
        """


class ChannelExpiry(OurSetting):
    name = "channel_expiry"
    cli: ClassVar = ["--channel-expiry"]
    meta = "SECONDS"
    type = float
    validator = seconds("channel_expiry")
    default = 86400.0
    desc = """\
        Seconds that a message of a channel may wait for a consumer; 0 for no limit.
        """


class ChannelDeliveries(OurSetting):
    name = "channel_deliveries"
    cli: ClassVar = ["--channel-deliveries"]
    meta = "INT"
    type = int
    validator = whole("channel_deliveries", "deliveries", 1)
    default = 5
    desc = """\
        How often a message of a channel is delivered at most.

        It is delivered again if its consumer raises, or its worker dies. In the end it is put aside, into the channel's
        ``.dead``. It has an effect with Redis.
        """


class OnlyChannels(OurSetting):
    name = "only_channels"
    cli: ClassVar = ["--only-channels"]
    meta = "LIST"
    validator = staticmethod(pattern_list("only_channels"))
    default = ""
    desc = """\
        Be a background worker: consume these channels, and serve no HTTP.

        It binds no address. ``thumbnails,mail.*``; ``*`` for all channels that routes are for.
        """


class ExcludeChannels(OurSetting):
    name = "exclude_channels"
    cli: ClassVar = ["--exclude-channels"]
    meta = "LIST"
    validator = staticmethod(pattern_list("exclude_channels"))
    default = ""
    desc = """\
        Do not consume the channels that these patterns match, though routes are for them.
        """


LAYER_SETTINGS = (
    ChannelLayer, GroupBacklog, GroupBacklogMessages, GroupBacklogPolicy, MessageExpiry, GroupExpiry, ChannelCapacity,
    ChannelExpiry, ChannelDeliveries, OnlyChannels, ExcludeChannels,
)  # fmt: skip


def limits_of(values: Mapping[str, Any]) -> ChannelLimits:
    """Take the values of our settings, by name."""
    return ChannelLimits(
        *check_capacity(values["channel_capacity"]), values["channel_expiry"], values["channel_deliveries"]
    )


class LayerSettings(NamedTuple):
    """All that groups and channels need."""

    url: str = "local://"
    bounds: Bounds = Bounds()
    limits: ChannelLimits = ChannelLimits()
    group_expiry: float = 86400.0
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> LayerSettings:
        """Take the values of our settings, by name."""
        return cls(
            values["channel_layer"],
            bounds_of(values),
            limits_of(values),
            values["group_expiry"],
            patterns_of(values["only_channels"]),
            patterns_of(values["exclude_channels"]),
        )

    def check(self) -> None:
        """Check what cannot be together, when it is known which layer there is.

        Raises: ValueError with one sentence.
        """
        if self.only and self.url == "local://":
            raise ValueError(
                "only_channels with channel_layer local:// gets no message: that reaches the workers of one master; "
                "give the server and this process the same local:///path, or a redis:// URL"
            )

    def consumes(self, channel: str) -> bool:
        """Whether a channel is consumed here."""
        if self.only and not any(fnmatchcase(channel, pattern) for pattern in self.only):
            return False
        return not any(fnmatchcase(channel, pattern) for pattern in self.exclude)


def bounds_of(values: Mapping[str, Any]) -> Bounds:
    """Take the values of our settings, by name."""
    return Bounds(
        values["group_backlog"],
        values["group_backlog_messages"],
        values["group_backlog_policy"],
        values["message_expiry"],
    )
