"""The files that ASGI applications name in events: `http.response.pathsend`, and `http.response.zerocopysend`.

Runs on: the loop.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

from uvicorn.bridge.channels import ReplyChannel
from uvicorn.bridge.file_replies import read_or_open
from uvicorn.bridge.files import FilePart, raw_file
from uvicorn.errors import ReplyTypeError

__all__ = ["file_reply", "keep_to"]


async def file_reply(event: Mapping[str, Any], channel: ReplyChannel) -> dict[str, Any]:
    """Return what an event makes of its reply: `file`, or `content` for a small one; nothing when the client has left.

    Raises: OSError if the file cannot be opened; ReplyTypeError.
    """
    if channel.closed:
        return {}
    if event["type"] == "http.response.pathsend":  # in a thread: a path may be on a network
        opened: dict[str, Any] = await channel.read_aside(partial(read_or_open, event["path"]))
        return opened
    return {"file": _file_of(event)}


def keep_to(size: int, reply: dict[str, Any]) -> None:
    """Send no more of a file than was promised: it may have grown since the application asked how large it is."""
    content, part = reply.get("content"), reply.get("file")
    if content is not None:
        reply["content"] = content[:size]
    elif isinstance(part, FilePart):
        part.left = min(part.left, size)


def _file_of(event: Mapping[str, Any]) -> Any:
    """Return what a reply can have as `file`, for `http.response.zerocopysend`.

    The application closes the file itself: what is sent has a descriptor of its own. Where no offset is said, the file
    then stands behind what is sent.

    Raises: ReplyTypeError, OSError.
    """
    file, offset, count = event["file"], event.get("offset"), event.get("count")
    raw = raw_file(file)
    if raw is None and type(file) is not int:
        raise ReplyTypeError(f"http.response.zerocopysend needs a binary file with a descriptor, not {file!r}")
    descriptor = file if raw is None else raw.fileno()
    if offset is None:
        seek = (lambda to, whence: os.lseek(descriptor, to, whence)) if raw is None else raw.seek
        offset = seek(0, os.SEEK_CUR)
        if count is None:
            seek(0, os.SEEK_END)
        else:
            seek(offset + count, os.SEEK_SET)
    return os.dup(descriptor), offset, count
