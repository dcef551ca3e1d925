"""A reply that has `file` instead of `content`, from its check to what an exchange is told.

Theory of operation
-------------------
All of this runs where `send` was called, in the consumer's thread or on the loop, under the channel's lock where it has
one; nothing here waits but for the disk. A small file becomes content at once if that needs no wait of the loop: the
reply is then one like any other. A larger one goes along with the fields of its reply, closed when they are let go of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from uvicorn.bridge.files import FilePart, check_room, drop_file, take_file
from uvicorn.wire.reply import BODILESS, Reply
from uvicorn.wire.reply_sequence import ReplySequence

__all__ = ["admit_opened", "drop_opened", "read_or_open"]

_SMALL: Final = 65536  # bytes: up to here to read and write costs less than to begin with a file; see docs


def admit_opened(channel: ReplySequence, reply: Mapping[str, Any], is_head: bool, is_on_loop: bool) -> Reply:
    """Check a reply that has `file`, and open that.

    Returns: as `ReplySequence.admit`; what is sent later is the `file` of the fields.
    Raises: as `take_file` and `ReplySequence.admit`; ChannelFull for a response that has not begun, if too many files
        are open; the sequence is then where it was, and the file is closed.
    """
    rest = {key: value for key, value in reply.items() if key != "file"}
    part = take_file(reply["file"])
    try:
        if is_head or rest.get("status") in BODILESS:
            return _without_body(channel, rest, part)
        if part.left <= _SMALL and (not is_on_loop or part.is_at_hand(_SMALL)) and "content" not in rest:
            content = _read(part)
            part.close()
            return channel.admit({**rest, "content": content})
        if rest.get("status"):
            check_room(part.descriptor)
        status, fields, content, more = channel.admit_file(rest, part.left)
    except BaseException:
        part.close()
        raise
    return status, fields.declaring(fields.is_slow, fields.trailers, part), content, more


def read_or_open(path: Any) -> dict[str, Any]:
    """Open a file, and read it if it is small: return what a reply has of it, `content` or `file`.

    For who has a thread do it, so that the loop does not wait. Raises: as `take_file`, and FileShrank.
    Runs on: a thread. Blocks: for the disk.
    """
    part = take_file(path)
    if part.left > _SMALL:
        return {"file": part}
    content = _read(part)
    part.close()
    return {"content": content}


def drop_opened(reply: object) -> None:
    """Close the file of a reply that is not looked at: nobody listens any more."""
    if isinstance(reply, Mapping) and "file" in reply:
        drop_file(reply["file"])


def _without_body(channel: ReplySequence, rest: Mapping[str, Any], part: FilePart) -> Reply:
    """Admit a reply that says what a file is like, and sends nothing of it."""
    size = part.left
    part.close()
    status, fields, content, more = channel.admit_file(rest, size)
    if status and status not in BODILESS and not more:
        fields = fields.sized(size)
    return status, fields, content, more


def _read(part: FilePart) -> bytes:
    content = part.read(part.left)
    while part.left:
        content += part.read(part.left)
    return content
