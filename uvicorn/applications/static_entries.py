"""What is known of files: `Entry`, one path with all its codings; how it is read, and how it is remembered.

A file is small if its content may be kept in memory with what is known of it. Of others only that is kept.

*Correct when files change.* Before an entry is used, what `stat` says is compared with what it said when the file was
read: time of change and of modification, size, device, number. An entry is never remembered while its file is younger
than the coarsest clock of a file system: it could change once more without another time. Once a second all of it is
read anew, for siblings (app.js.br) that have come or gone, and for a folder that was replaced.

*Bounded*: by the memory that contents take, and each entry counts for some more.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Mapping
from time import monotonic, time_ns
from typing import Final, NamedTuple, TypeAlias

from uvicorn.applications.folder import Facts, Folder, NotFound, facts_of, read
from uvicorn.applications.static_names import is_plain
from uvicorn.bridge.files import FilePart
from uvicorn.wire.conditions import Validators, validators_of
from uvicorn.wire.media_types import MediaTypes
from uvicorn.wire.negotiation import coding_for
from uvicorn.wire.reply import Fields, encode_fields

__all__ = ["FALLBACK", "SMALL", "Entries", "Entry", "Reader", "Variant"]

SMALL: Final = 65536  # bytes; a file up to this size is sent from memory
FALLBACK: Final = "*"  # the key of the fallback page: no path, which begins with "/"
_SETTLED: Final = 2_000_000_000  # nanoseconds; the clock of FAT is the coarsest
_TRUSTED_SECONDS: Final = 1.0  # for which an entry is compared with one `stat` only
_ENTRY_BYTES: Final = 4096  # that an entry takes beside contents, about
_MOST_CHOICES, _LONGEST_CHOICE = 8, 64  # arbitrary
_TRIES: Final = 3  # to read a file that is written to
_CODINGS: Final = ((b"br", b".br"), (b"zstd", b".zst"), (b"gzip", b".gz"))  # the best first
_SECOND: Final = 1_000_000_000

Pairs: TypeAlias = "list[tuple[bytes, bytes]]"


class Variant(NamedTuple):
    """One representation of a file.

    Attributes:
        name: of the file that has it, below the folder.
        facts: what the system said of that file.
        content: None for one that is not small.
        content_type: of all codings together.
        coding: of the content; b"" for none.
        common: the fields that all codings have.
        fields: of a response with it.
        checked: the same, checked and encoded once.
        brief: those of a 304.
    """

    name: bytes
    facts: Facts
    size: int
    content: bytes | None
    validators: Validators
    content_type: bytes
    coding: bytes
    common: Pairs
    fields: Pairs
    checked: Fields
    brief: Fields


class Entry:
    """A file that can be sent, in one coding or several."""

    __slots__ = ("_choices", "checked_at", "codings", "is_settled", "plain", "size", "variants")

    def __init__(self, variants: Mapping[bytes, Variant], now_ns: int) -> None:
        self.variants = variants
        self.plain = variants[b""]
        self.codings = tuple(coding for coding in variants if coding)
        self.checked_at = monotonic()
        self.is_settled = all(now_ns - variant.facts[4] > _SETTLED for variant in variants.values())
        self._choices: dict[bytes, Variant] = {}  # Accept-Encoding -> what is sent: browsers say few things
        self.size = _ENTRY_BYTES + sum(len(variant.content or b"") for variant in variants.values())

    def is_trusted(self) -> bool:
        """Whether one `stat` is enough to know that it is still right."""
        return monotonic() - self.checked_at < _TRUSTED_SECONDS

    def variant(self, accept_encoding: bytes | None) -> Variant:
        """Return what to send to a client."""
        if not self.codings:
            return self.plain
        key = accept_encoding or b""
        chosen = self._choices.get(key)
        if chosen is None:
            chosen = self.variants[coding_for(key, self.codings)]
            if len(self._choices) < _MOST_CHOICES and len(key) < _LONGEST_CHOICE:
                self._choices[key] = chosen
        return chosen


class Entries:
    """Entries by their keys, as many as a number of bytes allows: those that were used last. Runs on: one thread.

    `most_bytes` is of all of them together.
    """

    def __init__(self, most_bytes: int) -> None:
        self.size = 0
        self._most = most_bytes
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str | None) -> Entry | None:
        """Return an entry, which may be out of date; None for a key of None."""
        entry = self._entries.get(key)  # type: ignore[arg-type]  # None is no key of it
        if entry is not None:
            self._entries.move_to_end(key)  # type: ignore[arg-type]
        return entry

    def put(self, key: str, entry: Entry) -> None:
        """Remember an entry; others are forgotten for it."""
        self.drop(key)
        if entry.size > self._most:
            return
        self._entries[key] = entry
        self.size += entry.size
        while self.size > self._most:
            self.size -= self._entries.popitem(last=False)[1].size

    def drop(self, key: str) -> None:
        """Forget an entry, if it is there."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.size -= entry.size


class Reader:
    """What reads the files of a folder.

    Args:
        index: the file that is meant by a path that ends with "/"; None for none.
        fallback: the file that is sent for pages that are not there; None for none.
        types: of contents.
        is_immutable: whether the content of a path never changes.
        cache_control: of others; None for no such field.
        headers: further fields of each response.
    """

    def __init__(
        self,
        folder: Folder,
        index: str | None,
        fallback: str | None,
        types: MediaTypes,
        is_immutable: Callable[[str], bool],
        cache_control: bytes | None,
        headers: Pairs,
    ) -> None:
        self.folder: Final = folder
        self.index: Final = index
        self.fallback: Final = fallback
        self._types = types
        self._is_immutable = is_immutable
        self._cache_control = cache_control
        self._headers = headers

    def look(self, key: str, known: Entry | None, only_cached: bool = False) -> Entry | None:
        """Return what is there now; None for a folder whose index is there, and who asked forgot the slash.

        Args:
            key: a path with "/" in front, as it was asked for; or FALLBACK.
            known: an entry that may be right.
            only_cached: do nothing that may wait for a disk.

        Raises: NotFound; NotCached; OSError.
        """
        folder = self.folder
        if (
            known is not None
            and known.is_trusted()
            and folder.is_same(known.plain.name, known.plain.facts, only_cached)
        ):
            return known
        self.folder.renew()
        path = key[1:]
        if key == FALLBACK:
            path = self.fallback or ""
        elif not is_plain(path):
            raise NotFound(key)
        elif not path or path.endswith("/"):
            if self.index is None:
                raise NotFound(key)
            path += self.index
            if not key:  # the mount point without its slash
                self._check_index(path, only_cached)
                return None
        try:
            return self._read(path, only_cached, is_fallback=key == FALLBACK)
        except NotFound:
            if self.index is None or key.endswith("/"):
                raise
            self._check_index(f"{path}/{self.index}", only_cached)
            return None

    def _check_index(self, index: str, only_cached: bool) -> None:
        """Raise NotFound if the index of a folder is not there."""
        fd, _ = self.folder.open(_encoded(index), only_cached)
        os.close(fd)

    def open(self, variant: Variant, only_cached: bool = False) -> FilePart | None:
        """Open the file of a variant; return None if it is another one meanwhile. What is returned closes itself.

        Raises: NotFound; NotCached; OSError.
        """
        fd, stat = self.folder.open(variant.name, only_cached)
        opened = FilePart(fd, os.fsdecode(variant.name))
        return opened if facts_of(stat) == variant.facts else None

    def take(self, variant: Variant) -> tuple[FilePart, Variant]:
        """Open the file of a variant, whatever it is by now, and say what it is: it changes too often to be looked at.

        Raises: NotFound; OSError.
        """
        fd, stat = self.folder.open(variant.name)
        opened, facts = FilePart(fd, os.fsdecode(variant.name)), facts_of(stat)
        kind, coding, common = variant.content_type, variant.coding, variant.common
        return opened, _described(variant.name, facts, None, kind, coding, common, time_ns())

    def _read(self, path: str, only_cached: bool, is_fallback: bool) -> Entry:
        name, is_immutable = _encoded(path), not is_fallback and self._is_immutable(path)
        found = {b"": self._open(name, only_cached)}
        if not name.endswith(tuple(end for _, end in _CODINGS)):
            self._add_siblings(found, name, only_cached, is_immutable)
        content_type = self._types.of(path.rpartition("/")[2])
        vary = [name for name, has in ((b"accept", is_fallback), (b"accept-encoding", len(found) > 1)) if has]
        common = [*self._headers]
        if is_immutable:
            common.append((b"cache-control", b"public, max-age=31536000, immutable"))
        elif self._cache_control is not None:
            common.append((b"cache-control", self._cache_control))
        if vary:
            common.append((b"vary", b", ".join(vary)))
        now = time_ns()
        return Entry({key: _described(*found[key], content_type, key, common, now) for key in found}, now)

    def _add_siblings(self, found: dict[bytes, _Found], name: bytes, only_cached: bool, is_immutable: bool) -> None:
        """Add the files that have the same content, compressed.

        One that is older than the file is left over from before. Whole seconds count: a copy may have dropped the rest.
        """
        _, plain, _ = found[b""]
        for coding, end in _CODINGS:
            try:
                sibling = self._open(name + end, only_cached)
            except NotFound:
                continue
            is_older = sibling[1][3] // _SECOND < plain[3] // _SECOND
            if sibling[1][2] < plain[2] and (is_immutable or not is_older):
                found[coding] = sibling

    def _open(self, name: bytes, only_cached: bool) -> _Found:
        """Read a small file, or what is known of a larger one. What is read while it is written to is tried again."""
        for attempt in range(_TRIES):
            fd, stat = self.folder.open(name, only_cached)
            try:
                facts = facts_of(stat)
                if stat.st_size > SMALL:
                    return name, facts, None
                content = read(fd, stat.st_size, only_cached)
                if (len(content) == stat.st_size and facts_of(os.fstat(fd)) == facts) or attempt == _TRIES - 1:
                    break
            finally:
                os.close(fd)
        return name, facts, content


_Found: TypeAlias = "tuple[bytes, Facts, bytes | None]"


def _described(
    name: bytes, facts: Facts, content: bytes | None, content_type: bytes, coding: bytes, common: Pairs, now_ns: int
) -> Variant:
    size = facts[2] if content is None else len(content)
    validators = validators_of(size, facts[3], now_ns, f"-{coding.decode('ascii')}" if coding else "")
    brief = [*common, (b"etag", validators.tag), (b"last-modified", validators.last_modified)]
    fields = [*brief, (b"accept-ranges", b"bytes"), (b"content-type", content_type)]
    if coding:
        fields.append((b"content-encoding", coding))
    checked, short = encode_fields(fields), encode_fields(brief)
    return Variant(name, facts, size, content, validators, content_type, coding, common, fields, checked, short)


def _encoded(path: str) -> bytes:
    """Return a name as the bytes that were asked for; file systems know no characters."""
    return path.encode("utf-8", "surrogateescape")
