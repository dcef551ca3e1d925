"""The consumer of static files: from a request to a reply. It runs on the loop.

The way of a request:

    path -> entry, from memory if `stat` says that it is still right; else read, on the loop if the kernel has all of it
    in memory, or in a thread
    Accept-Encoding -> variant
    conditions, ranges -> status, and what of the content

*Which side.* A thread for each request costs more than all the rest of a small file, and a disk that is slow, or a
network that is gone, must not stop the loop. So the loop does what cannot wait: one `stat` of a file that was just
used, on a file system of this machine (at worst one read of a disk, if the kernel has forgotten the file since), and
reads that the kernel answers from memory or not at all (`folder.py`). All else is for the threads that read files: they
are few and none of the pool, so that neither waits for the other.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from uvicorn.applications.folder import NotCached, NotFound
from uvicorn.applications.static_entries import FALLBACK, Entries, Entry, Reader, Variant
from uvicorn.applications.static_names import path_below, slashed
from uvicorn.bridge.files import FilePart, check_room
from uvicorn.wire.conditions import CONDITIONAL, range_holds, unmet
from uvicorn.wire.encoder import error_page
from uvicorn.wire.negotiation import accepts_html
from uvicorn.wire.ranges import Range, content_range, multipart, ranges_of, unsatisfied_range

__all__ = ["StaticFiles"]

_TRIES: Final = 3  # to open a file that changes all the time; then as it is when it is opened
_RIGHT_SECONDS: Final = 0.01  # arbitrary: shorter than what anybody does between a change and a look at it
_DECIDING: Final = CONDITIONAL | {b"range"}
_WANTED: Final = _DECIDING | {b"accept", b"accept-encoding"}
_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")


class StaticFiles:
    """A consumer that sends files.

    Args:
        most_bytes: of contents and what is known of files, that are kept in memory.
        shown: how logs call the folder.
    """

    begins_early: Final = True  # a body is nothing to wait for
    knows_no_sockets: Final = True
    names_itself: Final = True  # the name of its consumer says what it is

    def __init__(self, reader: Reader, most_bytes: int, shown: str) -> None:
        self.reader: Final = reader
        self.shown: Final = shown
        self._most_bytes = most_bytes
        self._sides: dict[asyncio.AbstractEventLoop, _Side] = {}
        self._last_side = _Side(reader, 0, None)

    async def __call__(self, message: Any) -> None:
        channel = message["reply_channel"]
        method = message["method"]
        if method != "GET" and method != "HEAD":
            _send_text(channel, 405, (b"allow", b"GET, HEAD"))
            return
        asked: dict[bytes, bytes] = {}
        for name, value in message["headers"]:
            if name in _WANTED:
                asked[name] = value if name not in asked else asked[name] + b", " + value
        path = path_below(message)
        entry = self._side().recalled(path)
        if entry is None:
            try:
                if path is None:
                    raise NotFound
                entry = await self._find(channel, path)
            except NotFound:
                await self._send_other(channel, message["path"], asked)
                return
            if entry is None:
                channel.send({"status": 307, "headers": [(b"location", slashed(message))]})
                return
        variant = entry.variant(asked.get(b"accept-encoding"))
        if variant.content is not None and _DECIDING.isdisjoint(asked):  # by far the most frequent: no more than that
            channel.send({"status": 200, "headers": variant.checked, "content": variant.content})
        else:
            await self._send(channel, variant, asked, path or "")

    def _side(self) -> _Side:
        """Return what belongs to the running loop: several servers in one process may serve the same files."""
        loop = asyncio.get_running_loop()
        side = self._last_side
        if side.loop is not loop:
            found = self._sides.get(loop)
            if found is None:
                for other in [each for each in tuple(self._sides) if each.is_closed()]:  # of servers that have ended
                    self._sides.pop(other, None)
                found = self._sides[loop] = _Side(self.reader, self._most_bytes, loop)
            side = self._last_side = found
        return side

    async def _find(self, channel: Any, path: str) -> Entry | None:
        """Return what is at a path; None for a folder without its slash.

        Raises: NotFound; OSError.
        """
        entries = self._side().entries
        known = entries.get(path)
        look = self.reader.look
        try:
            if self.reader.folder.is_local:
                try:
                    found = look(path, known, only_cached=True)
                except NotCached:
                    found = await channel.read_aside(partial(look, path, known))
            else:
                found = await channel.read_aside(partial(look, path, known))
        except NotFound:
            entries.drop(path)
            raise
        if found is not known:
            if found is not None and found.is_settled:
                entries.put(path, found)
            else:
                entries.drop(path)
        return found

    async def _send_other(self, channel: Any, path: str, asked: Mapping[bytes, bytes]) -> None:
        """Answer what is not there: with the fallback page for a navigation, or with 404."""
        if self.reader.fallback is None:
            _send_text(channel, 404)
            return
        is_hidden = "/." in path  # nobody has a page there
        if not is_hidden and accepts_html(asked.get(b"accept")):
            try:
                entry = await self._find(channel, FALLBACK)
            except NotFound:
                entry = None
            if entry is not None:
                await self._send(channel, entry.variant(asked.get(b"accept-encoding")), asked, FALLBACK)
                return
        _send_text(channel, 404, (b"vary", b"accept"))

    async def _send(
        self,
        channel: Any,
        variant: Variant,
        asked: Mapping[bytes, bytes],
        path: str,
        tries: int = _TRIES,
        file: FilePart | None = None,
    ) -> None:
        """Send a file, which may be open already, a part of it, or that the client has it already."""
        ranges: Sequence[Range] | None = None
        if not _DECIDING.isdisjoint(asked):
            status = unmet(asked, variant.validators)
            if status == 304:
                channel.send({"status": 304, "headers": variant.brief})
                return
            if status:
                _send_text(channel, status)
                return
            if b"range" in asked and not channel.is_head and range_holds(asked, variant.validators):
                ranges = ranges_of(asked[b"range"], variant.size)
                if ranges is not None and not ranges:
                    _send_text(channel, 416, (b"content-range", unsatisfied_range(variant.size)))
                    return
        if variant.content is None:
            if not await self._send_large(channel, variant, ranges, file):
                await self._send_anew(channel, variant, asked, path, tries)
        elif ranges is None:
            channel.send({"status": 200, "headers": variant.checked, "content": variant.content})
        else:
            fields, parts, _ = _framed(variant, ranges)
            content = variant.content
            body = b"".join(
                part if isinstance(part, bytes) else content[part.offset : part.offset + part.length] for part in parts
            )
            channel.send({"status": 206, "headers": fields, "content": body})

    async def _send_large(
        self, channel: Any, variant: Variant, ranges: Sequence[Range] | None, file: FilePart | None
    ) -> bool:
        """Send a file that is not in memory, or parts of it. Returns: False if it is another one meanwhile."""
        if ranges is None:
            status, fields, length = 200, variant.fields, variant.size
            parts: Sequence[bytes | Range] = [Range(0, variant.size)]
        else:
            status = 206
            fields, parts, length = _framed(variant, ranges)
        head = {"status": status, "headers": [*fields, (b"content-length", b"%d" % length)]}
        if channel.is_head:
            channel.send(head)
            return True
        file = file or await self._open(channel, variant)
        if file is None:
            return False
        first = parts[0]
        if isinstance(first, Range):
            file.at, file.left = first
            channel.send({"status": status, "headers": variant.checked if ranges is None else fields, "file": file})
            return True
        check_room(file.descriptor)
        await channel.send({**head, "more_content": True})
        for part in parts:
            if isinstance(part, bytes):
                channel.send({"content": part, "more_content": True})
            else:
                await channel.send({"file": (os.dup(file.descriptor), *part), "more_content": True})
        channel.send({})
        return True

    async def _open(self, channel: Any, variant: Variant) -> FilePart | None:
        """Open a file; return None if it is another one, or gone."""
        try:
            if self.reader.folder.is_local:
                try:
                    return self.reader.open(variant, only_cached=True)
                except NotCached:
                    pass
            opened: FilePart | None = await channel.read_aside(partial(self.reader.open, variant))
        except NotFound:
            return None
        return opened

    async def _send_anew(
        self, channel: Any, variant: Variant, asked: Mapping[bytes, bytes], path: str, tries: int
    ) -> None:
        """Send a file that was written to, or replaced, between the look at it and its opening."""
        self._side().entries.drop(path)
        try:
            if tries <= 1:
                file, variant = await channel.read_aside(partial(self.reader.take, variant))
                await self._send(channel, variant, asked, path, 0, file)
                return
            entry = await self._find(channel, path)
        except NotFound:
            entry = None
        if entry is None:
            _send_text(channel, 404)
            return
        await self._send(channel, entry.variant(asked.get(b"accept-encoding")), asked, path, tries - 1)


class _Side:
    """What belongs to one loop.

    Attributes:
        right: paths whose entries were found to be right in the last hundredth of a second. Under load a `stat` costs a
            fifth of a request; so a change may be seen by that much later, and no more.
    """

    def __init__(self, reader: Reader, most_bytes: int, loop: asyncio.AbstractEventLoop | None) -> None:
        self.loop = loop
        self.entries = Entries(most_bytes)
        self.right: set[str | None] = set()
        self._folder = reader.folder

    def recalled(self, path: str | None) -> Entry | None:
        """Return what is known of a path, if it is right and that can be told at once.

        This is on the way of every request, and does the same as `Reader.look` does with what is known.
        """
        entry = self.entries.get(path)
        if entry is None or path in self.right:
            return entry
        if not entry.is_trusted() or not self._folder.is_same(entry.plain.name, entry.plain.facts):
            return None
        if not self.right:
            assert self.loop is not None
            self.loop.call_later(_RIGHT_SECONDS, self.right.clear)
        self.right.add(path)
        return entry


def _framed(
    variant: Variant, ranges: Sequence[Range]
) -> tuple[list[tuple[bytes, bytes]], Sequence[bytes | Range], int]:
    """Return the fields of a 206, what its content is made of, and its length.

    Spec: RFC 9110 section 15.3.7: one range has no parts.
    """
    if len(ranges) == 1:
        return [*variant.fields, (b"content-range", content_range(ranges[0], variant.size))], ranges, ranges[0].length
    boundary = os.urandom(12).hex().encode("ascii")
    parts, end, length = multipart(ranges, variant.size, variant.content_type, boundary)
    fields = [pair for pair in variant.fields if pair[0] != b"content-type"]
    fields.append((b"content-type", b"multipart/byteranges; boundary=" + boundary))
    return fields, [*(each for part in parts for each in (part.head, part.range)), end], length


def _send_text(channel: Any, status: int, *fields: tuple[bytes, bytes]) -> None:
    """Answer with one line of text, as the server itself does."""
    channel.send({"status": status, "headers": [_TEXT, *fields], "content": error_page(status)[1]})
