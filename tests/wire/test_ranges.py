"""Ranges by RFC 9110, section 14, as tables."""

import pytest

from uvicorn.wire.ranges import Range, content_range, multipart, ranges_of, unsatisfied_range

SIZE = 10000

# The examples of section 14.1.2, and what is around them: (field, [(first, last)]), None to ignore it.
TABLE = [
    (b"bytes=0-499", [(0, 499)]),
    (b"bytes=500-999", [(500, 999)]),
    (b"bytes=-500", [(9500, 9999)]),
    (b"bytes=9500-", [(9500, 9999)]),
    (b"bytes=0-0,-1", [(0, 0), (9999, 9999)]),
    (b"bytes= 0-999, 4500-5499, -1000", [(0, 999), (4500, 5499), (9000, 9999)]),
    (b"bytes=500-600,601-999", [(500, 999)]),
    (b"bytes=500-700,601-999", [(500, 999)]),
    (b"bytes=0-", [(0, 9999)]),
    (b"bytes=0-99999", [(0, 9999)]),
    (b"bytes=-99999", [(0, 9999)]),
    (b"bytes=9999-9999", [(9999, 9999)]),
    (b"BYTES=0-1", [(0, 1)]),
    (b"bytes=0-1,", [(0, 1)]),
    (b"bytes=,,0-1 ,\t,", [(0, 1)]),
    (b"bytes=00000000000000000000000000001-2", [(1, 2)]),
    (b"bytes=0-" + b"9" * 4000, [(0, 9999)]),
    (b"bytes=10000-,0-1", [(0, 1)]),  # one that cannot be satisfied is left out
    (b"bytes=-0,0-1", [(0, 1)]),
    # not in the content at all
    (b"bytes=10000-", []),
    (b"bytes=10000-20000,30000-", []),
    (b"bytes=-0", []),
    (b"bytes=" + b"9" * 4000 + b"-", []),
    # malformed, or not for us
    (b"bytes", None),
    (b"bytes=", None),
    (b"bytes=,", None),
    (b"bytes=-", None),
    (b"bytes=1", None),
    (b"bytes=2-1", None),
    (b"bytes=0-1,2-1", None),
    (b"bytes=a-b", None),
    (b"bytes=0x1-2", None),
    (b"bytes=1 - 2", None),
    (b"bytes=+1-2", None),
    (b"bytes=--1", None),
    (b"bytes=1-2-3", None),
    (b"bytes=0-1;2-3", None),
    (b"items=0-1", None),
    (b"0-1", None),
    (b"bytes=" + b"\xd9\xa1-2", None),
    (b"bytes=0-1, bytes=2-3", None),
]  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), TABLE)
def test_ranges(value, expected):
    found = ranges_of(value, SIZE)
    assert (found if found is None else [(each.offset, each.offset + each.length - 1) for each in found]) == expected


def test_ranges_keep_the_order_in_which_they_were_asked_for():  # section 15.3.7.2
    assert ranges_of(b"bytes=5000-5001,0-1,9000-9001", SIZE) == [(5000, 2), (0, 2), (9000, 2)]


def test_overlapping_ranges_become_one_at_the_place_of_the_first():
    assert ranges_of(b"bytes=5000-6000,0-1,5500-7000,5100-5200", SIZE) == [(5000, 2001), (0, 2)]


def test_a_gap_that_is_smaller_than_the_frame_of_a_part_is_sent_along():
    assert ranges_of(b"bytes=0-9,90-99", SIZE) == [(0, 100)]
    assert ranges_of(b"bytes=0-9,91-99", SIZE) == [(0, 10), (91, 9)]


def test_a_range_is_never_sent_twice_however_often_it_is_asked_for():
    assert ranges_of(b"bytes=" + b"0-," * 31 + b"0-", SIZE) == [(0, SIZE)]


def test_many_ranges_are_answered_with_everything():
    spread = b",".join(b"%d-%d" % (at * 200, at * 200) for at in range(33))
    assert ranges_of(b"bytes=" + spread, SIZE) is None
    assert len(ranges_of(b"bytes=" + spread.rpartition(b",")[0], SIZE)) == 32


@pytest.mark.parametrize(("value", "expected"), [(b"bytes=0-", []), (b"bytes=0-0", []), (b"bytes=-1", None)])
def test_ranges_of_nothing(value, expected):
    assert ranges_of(value, 0) == expected


def test_content_ranges_are_written():  # section 14.4
    assert content_range(Range(0, 500), 1234) == b"bytes 0-499/1234"
    assert unsatisfied_range(1234) == b"bytes */1234"


def test_parts_are_framed_and_their_length_is_known():  # section 14.6
    content = bytes(range(256)) * 4
    ranges = [Range(500, 3), Range(0, 2)]
    parts, end, length = multipart(ranges, len(content), b"text/plain", b"THIS")
    body = b"".join(part.head + content[part.range.offset :][: part.range.length] for part in parts) + end
    assert len(body) == length
    assert body == (
        b"--THIS\r\ncontent-type: text/plain\r\ncontent-range: bytes 500-502/1024\r\n\r\n\xf4\xf5\xf6\r\n"
        b"--THIS\r\ncontent-type: text/plain\r\ncontent-range: bytes 0-1/1024\r\n\r\n\x00\x01\r\n--THIS--\r\n"
    )
