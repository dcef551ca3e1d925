"""What one client sends costs in proportion to its bytes, and what is kept of it is bounded: counted, not timed.

Processor time for the same inputs, which also shows bytes that are looked at or copied again: `scripts/input-costs`.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc

import pytest
from input_kinds import KINDS, LIMITS, PIECES, PROXY_KINDS, UNLIMITED, UNLIMITED_KINDS

from uvicorn.errors import ClientError
from uvicorn.wire.bodies import ChunkedReader, LengthReader
from uvicorn.wire.framing import HeadBuffer
from uvicorn.wire.head import HeaderPolicy
from uvicorn.wire.limits import Limits
from uvicorn.wire.parser import RequestParser
from uvicorn.wire.proxy import LONGEST_PROXY_HEADER, read_proxy_header

SIZE = 36000
KEPT = 32768  # bytes of memory: a line at its limit, a few small objects, and what the allocator adds

CASES = [
    *((name, LIMITS, piece) for name in KINDS for piece in PIECES),
    *((name, UNLIMITED, piece) for name in UNLIMITED_KINDS for piece in PIECES),
]


class Reading:
    """Read requests as a connection does, and keep nothing of them."""

    def __init__(self, limits):
        self.buffer = HeadBuffer(limits)
        self.parser = RequestParser({"client": None}, HeaderPolicy({}, frozenset(), "drop", False), limits)
        self.body = None
        self.is_refused = False

    def feed(self, data):
        at = 0
        try:
            while at < len(data) and not self.is_refused:
                at = self.take(data, at)
        except ClientError:
            self.is_refused = True

    def take(self, data, at):
        if self.body is not None:
            body = self.body
            body.read(data, at, 64)
            if body.is_complete:
                self.body = None
            return body.end
        head = self.buffer.take(data, at)
        if head is not None:
            self.parser.head(head)
            special = self.parser.special
            if special.is_chunked:
                self.body = ChunkedReader()
            elif special.content_length:
                self.body = LengthReader(special.content_length)
        return self.buffer.end

    def feed_all(self, data, piece):
        for at in range(0, len(data), piece):
            self.feed(data[at : at + piece])


def calls(function, *args):
    """Count the calls, of Python and of C, that this one leads to."""
    count = 0

    def on_event(frame, event, argument):
        nonlocal count
        count += event in ("call", "c_call")

    gc.disable()  # or what other tests have left would be finalized meanwhile, and counted
    sys.setprofile(on_event)
    try:
        function(*args)
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


@pytest.mark.parametrize(("name", "limits", "piece"), CASES)
def test_calls_grow_with_the_bytes_and_no_faster(name, limits, piece):
    small, large = KINDS[name](SIZE // 4), KINDS[name](SIZE)
    Reading(Limits(**limits)).feed_all(small, piece)  # what is done only once
    few = calls(Reading(Limits(**limits)).feed_all, small, piece)
    many = calls(Reading(Limits(**limits)).feed_all, large, piece)
    assert many <= 1.2 * few * len(large) / len(small) + 500
    assert many <= 5 * len(large) + 500


@pytest.mark.parametrize(("name", "limits", "piece"), CASES)
def test_what_is_kept_is_bounded(name, limits, piece):
    data = KINDS[name](2 * SIZE)
    # What is made only once, such as tables of the library, and what a measurement of coverage notes for each branch.
    Reading(Limits(**limits)).feed_all(data, piece)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        reading = Reading(Limits(**limits))
        reading.feed_all(data, piece)
        kept = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    # A head may be as large as its limits say; and the last piece is looked at when it is there.
    assert kept <= KEPT + (1.2 * len(data) if "a head" in name or limits is UNLIMITED else 1.2 * piece)


def test_what_comes_byte_by_byte_keeps_no_more_than_the_limits():
    reading = Reading(Limits(request_line=100, request_fields=4, request_field_size=100))
    for name in KINDS:
        for at, byte in enumerate(KINDS[name](5000)):
            reading.feed(bytes([byte]))
            assert len(reading.buffer.data) <= 510, (name, at)
        reading = Reading(Limits(request_line=100, request_fields=4, request_field_size=100))


def gather(data, mode):
    """Read a PROXY header that comes byte by byte; return how many bytes it took."""
    gathered = bytearray()
    for byte in data:
        gathered.append(byte)
        header = read_proxy_header(gathered, mode)
        if header is not None:
            return header.size
    return None


@pytest.mark.parametrize("name", PROXY_KINDS)
def test_a_proxy_header_costs_a_few_calls_for_each_byte(name):
    data = PROXY_KINDS[name](0)
    assert gather(data, "auto") == len(data) <= LONGEST_PROXY_HEADER
    assert calls(gather, data, "auto") <= 20 * len(data) + 500
