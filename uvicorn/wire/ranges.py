"""Ranges of bytes: what a `Range` field asks for, and the framing of several parts. Sans-IO.

Spec: RFC 9110 sections 14.1 (ranges), 14.2 (the field), 14.4 (`Content-Range`), 14.6 (several parts), 17.15 (attacks).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

__all__ = ["Part", "Range", "content_range", "multipart", "ranges_of", "unsatisfied_range"]

_MOST: Final = 32  # arbitrary; more are answered with all of the content: RFC 9110 section 14.2 allows that
_GAP: Final = 80  # bytes; what a part of its own costs at least, as section 15.3.7.2 says
_SPEC: Final = re.compile(rb"(\d*)-(\d*)")
_LONGEST: Final = 20  # digits; more than any file has


class Range(NamedTuple):
    """Bytes of a content."""

    offset: int
    length: int


class Part(NamedTuple):
    """One part of several.

    Attributes:
        head: what is before its bytes.
    """

    head: bytes
    range: Range


def ranges_of(value: bytes, size: int) -> list[Range] | None:
    """Return what is to be sent.

    Overlapping ranges become one, and so do those with a gap between them that is smaller than what a part of its own
    would cost; the others stay in the order in which they were asked for.

    Args:
        value: of the field.
        size: of the content, in bytes.

    Returns: None if the field is to be ignored: it is malformed, of another unit, or asks for too many ranges. An empty
        list if none of the ranges is in the content (416).
    """
    unit, equals, given = value.partition(b"=")
    specs = [spec for spec in (part.strip(b" \t") for part in given.split(b",")) if spec]
    if unit.strip(b" \t").lower() != b"bytes" or not equals or not specs or len(specs) > _MOST:
        return None
    found: list[Range] = []
    for spec in specs:
        parsed = _SPEC.fullmatch(spec)
        if parsed is None or spec == b"-":
            return None
        first, last = (_number(text) if text else None for text in parsed.groups())
        if first is None:
            assert last is not None
            if last and not size:
                return None  # all of nothing: no range can say that
            first, last = max(size - last, 0), size - 1
        elif last is None:
            last = size - 1
        elif last < first:
            return None
        if first < size:
            found.append(Range(first, min(last, size - 1) - first + 1))
    return _joined(found) if len(found) > 1 else found


def _number(digits: bytes) -> int:
    """Return a number of any length in bounded time: one that is too large for any file is about as large."""
    return int(digits.lstrip(b"0")[:_LONGEST] or b"0")


def _joined(ranges: Sequence[Range]) -> list[Range]:
    """Join those that overlap or nearly touch, and keep the order."""
    groups: list[tuple[int, int, int]] = []  # where it was asked for first, first byte, byte behind the last
    for order, (offset, length) in sorted(enumerate(ranges), key=lambda each: each[1]):
        if groups and offset <= groups[-1][2] + _GAP:
            before, first, end = groups[-1]
            groups[-1] = (min(before, order), first, max(end, offset + length))
        else:
            groups.append((order, offset, offset + length))
    return [Range(first, end - first) for _, first, end in sorted(groups)]


def content_range(asked: Range, size: int) -> bytes:
    """Return the value of `Content-Range` for bytes that are sent."""
    return b"bytes %d-%d/%d" % (asked.offset, asked.offset + asked.length - 1, size)


def unsatisfied_range(size: int) -> bytes:
    """Return the value of `Content-Range` beside 416."""
    return b"bytes */%d" % size


def multipart(
    ranges: Sequence[Range], size: int, content_type: bytes, boundary: bytes
) -> tuple[list[Part], bytes, int]:
    """Frame several ranges as `multipart/byteranges`.

    Returns: the parts, what is behind the last one, and the length of all together.
    """
    parts: list[Part] = []
    for number, each in enumerate(ranges):
        head = b"\r\n" * (number > 0) + b"--" + boundary + b"\r\n"
        head += b"content-type: " + content_type + b"\r\n"
        head += b"content-range: " + content_range(each, size) + b"\r\n\r\n"
        parts.append(Part(head, each))
    end = b"\r\n--" + boundary + b"--\r\n"
    return parts, end, sum(len(part.head) + part.range.length for part in parts) + len(end)
