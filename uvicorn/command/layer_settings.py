"""Our settings for groups and channels, one class each."""

from __future__ import annotations

from typing import Any, ClassVar

from uvicorn.command.setting_types import OurSetting, one_of, seconds, whole
from uvicorn.layers.backlog import CLOSE, POLICIES, Bounds
from uvicorn.layers.urls import check_url

__all__ = ["LAYER_SETTINGS", "bounds_of"]


class ChannelLayer(OurSetting):
    name = "channel_layer"
    cli: ClassVar = ["--channel-layer"]
    meta = "URL"
    validator = staticmethod(check_url)
    default = "local://"
    desc = """\
        What carries groups and channels between processes.

        ``local://``, the default, reaches the workers of one master. It needs nothing.
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
        What is done with a member that is further behind than ``group_backlog`` or ``group_backlog_messages``.

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
        Seconds that a message of a group, or for a reply channel, may wait for a client that is behind; then it is
        dropped. 0 for no limit.
        """


class GroupExpiry(OurSetting):
    name = "group_expiry"
    cli: ClassVar = ["--group-expiry"]
    meta = "SECONDS"
    type = float
    validator = seconds("group_expiry")
    default = 86400.0
    desc = """\
        Seconds after which a member that was not added again is a member no more. It is none at once when its socket
        closes.
        """


LAYER_SETTINGS = (
    ChannelLayer, GroupBacklog, GroupBacklogMessages, GroupBacklogPolicy, MessageExpiry, GroupExpiry,
)  # fmt: skip


def bounds_of(values: dict[str, Any]) -> Bounds:
    """Take the values of our settings, by name."""
    return Bounds(
        values["group_backlog"],
        values["group_backlog_messages"],
        values["group_backlog_policy"],
        values["message_expiry"],
    )
