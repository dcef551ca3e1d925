"""Conditions by RFC 9110, sections 8.8 and 13, as tables."""

import pytest

from uvicorn.wire.conditions import http_date, parse_date, range_holds, unmet, validators_of

SECOND = 10**9
MODIFIED = 784111777  # Sun, 06 Nov 1994 08:49:37 GMT, the date of the RFC's examples
NOW = 800000000 * SECOND
STRONG = validators_of(10, MODIFIED * SECOND + 5, NOW)
WEAK = validators_of(10, NOW - SECOND // 2, NOW)
TAG = STRONG.tag
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
EARLIER = b"Sun, 06 Nov 1994 08:49:36 GMT"
LATER = b"Sun, 06 Nov 1994 08:49:38 GMT"


@pytest.mark.parametrize(
    "value",
    [DATE, b"Sunday, 06-Nov-94 08:49:37 GMT", b"Sun Nov  6 08:49:37 1994"],
    ids=["fixdate", "rfc850", "asctime"],
)
def test_all_three_formats_of_dates_are_understood(value):  # section 5.6.7
    assert parse_date(value) == MODIFIED


@pytest.mark.parametrize(
    "value",
    [
        b"", b"0", b"yesterday", b"sun, 06 nov 1994 08:49:37 gmt", b"Sun, 06 Nov 1994 08:49:37 UTC",
        b"Sun, 6 Nov 1994 08:49:37 GMT",
        b"Sun, 31 Feb 1994 08:49:37 GMT", b"Sun, 00 Nov 1994 08:49:37 GMT", b"Sun, 06 Nov 1994 24:49:37 GMT",
        b"Sun, 06 Nov 1994 08:60:37 GMT", b"Sun, 06 Nov 0000 08:49:37 GMT", DATE + b", " + DATE, DATE + b"x",
        b"Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 06 Nov 199\u0664 08:49:37 GMT".encode(),
    ],
)  # fmt: skip
def test_what_is_no_date_is_none(value):
    assert parse_date(value) is None


def test_a_year_of_two_digits_is_never_far_in_the_future():
    assert parse_date(b"Friday, 31-Dec-99 23:59:59 GMT") == 946684799


def test_a_leap_second_is_a_date():
    assert parse_date(b"Fri, 31 Dec 1999 23:59:60 GMT") == 946684800


def test_a_date_is_written_as_it_is_read():
    assert http_date(MODIFIED) == DATE


# (fields, status): section 13.2.2, step by step
TABLE = [
    ({}, 0),
    ({b"if-match": TAG}, 0),
    ({b"if-match": b"*"}, 0),
    ({b"if-match": b'"other", ' + TAG}, 0),
    ({b"if-match": b'"other",, ,' + TAG + b" ,"}, 0),
    ({b"if-match": b'"other"'}, 412),
    ({b"if-match": b"W/" + TAG}, 412),  # strong comparison
    ({b"if-match": b"nonsense"}, 412),
    ({b"if-match": TAG + b" nonsense"}, 412),
    ({b"if-match": b""}, 412),
    ({b"if-match": TAG, b"if-unmodified-since": EARLIER}, 0),  # the tag decides alone
    ({b"if-match": b'"other"', b"if-none-match": TAG}, 412),  # it comes first
    ({b"if-unmodified-since": DATE}, 0),
    ({b"if-unmodified-since": LATER}, 0),
    ({b"if-unmodified-since": EARLIER}, 412),
    ({b"if-unmodified-since": b"nonsense"}, 0),
    ({b"if-unmodified-since": EARLIER, b"if-none-match": TAG}, 412),
    ({b"if-none-match": TAG}, 304),
    ({b"if-none-match": b"*"}, 304),
    ({b"if-none-match": b"W/" + TAG}, 304),  # weak comparison
    ({b"if-none-match": b'"a,b", "c" , ' + TAG}, 304),
    ({b"if-none-match": b'"other"'}, 0),
    ({b"if-none-match": TAG.strip(b'"')}, 0),
    ({b"if-none-match": b'"other'}, 0),
    ({b"if-none-match": b'"other"', b"if-modified-since": DATE}, 0),  # the date is not looked at
    ({b"if-none-match": b"w/" + TAG}, 0),  # case-sensitive
    ({b"if-modified-since": DATE}, 304),
    ({b"if-modified-since": LATER}, 304),
    ({b"if-modified-since": EARLIER}, 0),
    ({b"if-modified-since": b"nonsense"}, 0),
    ({b"if-modified-since": DATE + b", " + DATE}, 0),  # more than one: section 13.1.3
    ({b"if-modified-since": b"Sun Nov  6 08:49:37 1994"}, 304),
    ({b"if-match": TAG, b"if-modified-since": DATE}, 304),  # step 4 follows step 1
    ({b"if-unmodified-since": DATE, b"if-none-match": TAG}, 304),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "status"), TABLE)
def test_conditions_are_evaluated_in_their_order(asked, status):
    assert unmet(asked, STRONG) == status


@pytest.mark.parametrize(
    ("value", "holds"),
    [
        (None, True), (TAG, True), (b'"other"', False), (b"W/" + TAG, False), (DATE, True), (EARLIER, False),
        (LATER, False),
        (b"Sun Nov  6 08:49:37 1994", False), (b"*", False), (TAG + b", " + TAG, False), (b"", False),
    ],
)  # fmt: skip
def test_if_range_holds_for_the_very_version(value, holds):  # section 13.1.5
    assert range_holds({b"if-range": value} if value is not None else {}, STRONG) is holds


@pytest.mark.parametrize("value", [WEAK.tag, WEAK.tag.removeprefix(b"W/"), WEAK.last_modified])
def test_if_range_never_holds_for_a_file_that_has_just_changed(value):
    assert not range_holds({b"if-range": value}, WEAK)


def test_a_file_that_has_just_changed_has_a_weak_tag_and_matches_weakly():  # section 8.8.1
    assert WEAK.tag.startswith(b'W/"')
    assert not STRONG.tag.startswith(b"W/")
    assert unmet({b"if-none-match": WEAK.tag.removeprefix(b"W/")}, WEAK) == 304
    assert unmet({b"if-match": WEAK.tag}, WEAK) == 412
    assert unmet({b"if-match": b"*"}, WEAK) == 0


def test_a_time_in_the_future_is_not_told():  # section 8.8.2.1
    found = validators_of(10, NOW + 50 * SECOND, NOW)
    assert found.last_modified == http_date(NOW // SECOND)
    assert found.tag.startswith(b"W/")


def test_representations_of_one_file_have_different_tags():
    assert len({validators_of(10, 5, NOW, suffix).tag for suffix in ("", "-br", "-gzip", "-zstd")}) == 4


def test_a_list_of_tags_is_read_in_one_pass():
    value = b'"' + b"x" * 20 + b'" , '
    assert unmet({b"if-none-match": value * 100_000 + TAG}, STRONG) == 304
