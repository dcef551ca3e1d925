"""Conditions of a request: whether what is there is what the client has, or wants to have. Sans-IO.

Spec: RFC 9110 sections 8.8 (validators), 13.1 (the fields), 13.2.2 (their order); dates by section 5.6.7.
"""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Mapping
from email.utils import formatdate
from typing import Final, NamedTuple

__all__ = ["CONDITIONAL", "Validators", "http_date", "parse_date", "range_holds", "unmet", "validators_of"]

#: the fields that are looked at here
CONDITIONAL: Final = frozenset(
    {b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range"}
)
_SECOND: Final = 1_000_000_000  # nanoseconds
_TAG: Final = re.compile(rb'[ \t,]*((?:W/)?"[\x21\x23-\x7e\x80-\xff]*")[ \t]*(?=,|$)')
_END: Final = re.compile(rb"[ \t,]*$")
_MONTHS: Final = {
    name: number + 1 for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())
}
_DAY: Final = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MONTH: Final = rb"(?P<month>" + b"|".join(_MONTHS) + rb")"
_TIME: Final = rb"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_DATES: Final = (
    re.compile(_DAY + rb", (?P<day>\d\d) " + _MONTH + rb" (?P<year>\d{4}) " + _TIME + rb" GMT"),
    re.compile(
        rb"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, (?P<day>\d\d)-"
        + _MONTH
        + rb"-(?P<year>\d\d) "
        + _TIME
        + rb" GMT"
    ),
    re.compile(_DAY + rb" " + _MONTH + rb" (?P<day>[ \d]\d) " + _TIME + rb" (?P<year>\d{4})"),
)


class Validators(NamedTuple):
    """What tells one version of a content from another.

    Attributes:
        tag: the entity tag, with its quotes; weak if it begins with W/.
        modified: seconds since the epoch.
        last_modified: the same as the value of a field.
    """

    tag: bytes
    modified: int
    last_modified: bytes


def validators_of(size: int, modified_ns: int, now_ns: int, suffix: str = "") -> Validators:
    """Make the validators of a file.

    A file that was modified less than a second ago may be so once more without another time of modification: its tag is
    weak. A time in the future is no proof of anything, and never told (RFC 9110 section 8.8.2.1).

    Args:
        suffix: what tells the tag of this representation from that of others of the same resource.
    """
    tag = f'"{modified_ns:x}-{size:x}{suffix}"'.encode("ascii")
    modified = modified_ns // _SECOND
    return Validators(
        b"W/" + tag if now_ns - modified_ns < _SECOND else tag,
        modified,
        http_date(min(modified, now_ns // _SECOND)),
    )


def unmet(asked: Mapping[bytes, bytes], validators: Validators) -> int:
    """Return the status that answers a GET or HEAD instead of the content: 304 or 412; 0 if all conditions hold.

    Args:
        asked: fields of the request; the values of one that came twice are joined with ", ".

    Spec: RFC 9110 section 13.2.2.
    """
    if b"if-match" in asked:
        if not _has_tag(asked[b"if-match"], validators.tag, is_strong=True):
            return 412
    elif b"if-unmodified-since" in asked:
        date = parse_date(asked[b"if-unmodified-since"])
        if date is not None and validators.modified > date:
            return 412
    if b"if-none-match" in asked:
        if _has_tag(asked[b"if-none-match"], validators.tag, is_strong=False):
            return 304
    elif b"if-modified-since" in asked:
        value = asked[b"if-modified-since"]
        if value == validators.last_modified:
            return 304
        date = parse_date(value)
        if date is not None and validators.modified <= date:
            return 304
    return 0


def range_holds(asked: Mapping[bytes, bytes], validators: Validators) -> bool:
    """Whether `If-Range`, if it is there, lets a range be sent: the client has a part of exactly this version.

    A date must be the very one that we send, and not so young that the file may have changed in the same second.

    Spec: RFC 9110 section 13.1.5.
    """
    value = asked.get(b"if-range")
    if value is None:
        return True
    is_weak = validators.tag.startswith(b"W/")
    return not is_weak and value in (validators.tag, validators.last_modified)


def http_date(seconds: int) -> bytes:
    """Return a date as the value of a field."""
    return formatdate(seconds, usegmt=True).encode("ascii")


def parse_date(value: bytes) -> int | None:
    """Return the seconds since the epoch that a date of any of the three formats says; None if it is no date.

    Spec: RFC 9110 section 5.6.7.
    """
    for pattern in _DATES:
        found = pattern.fullmatch(value)
        if found is None:
            continue
        year = int(found["year"])
        if len(found["year"]) == 2:  # one that seems to be more than 50 years in the future is in the past
            now = time.gmtime().tm_year
            year += now - now % 100
            year -= 100 if year > now + 50 else 0
        numbers = (year, _MONTHS[found["month"]], *(int(found[part]) for part in ("day", "hour", "minute", "second")))
        return _seconds(numbers)
    return None


def _seconds(numbers: tuple[int, ...]) -> int | None:
    year, month, day, hour, minute, second = numbers
    if not 1 <= day <= calendar.monthrange(max(year, 1), month)[1] or hour > 23 or minute > 59 or second > 60:
        return None
    return calendar.timegm((year, month, day, hour, minute, second)) if year else None


def _has_tag(value: bytes, tag: bytes, is_strong: bool) -> bool:
    """Whether a list of entity tags has one that matches; a malformed list has none.

    Spec: RFC 9110 sections 8.8.3.2 (comparison), 5.6.1.2 (empty members of a list).
    """
    if value == b"*":
        return True
    if is_strong and tag.startswith(b"W/"):
        return False
    wanted = tag.removeprefix(b"W/")
    found = False
    at = 0
    while member := _TAG.match(value, at):
        given = member[1]
        found = found or (given if is_strong else given.removeprefix(b"W/")) == wanted
        at = member.end()
    return found and _END.match(value, at) is not None
