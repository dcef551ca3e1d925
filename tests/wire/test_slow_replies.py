"""Replies that declare that they are slow on purpose."""

from __future__ import annotations

import pytest

from uvicorn.errors import ReplyError, ReplyTypeError
from uvicorn.wire.reply import NO_FIELDS
from uvicorn.wire.reply_sequence import ReplySequence


@pytest.mark.parametrize("more", [True, False])
@pytest.mark.parametrize("headers", [(), [(b"a", b"b")], [(b"content-length", b"1")]])
def test_a_first_reply_may_declare_that_it_is_slow(headers, more):
    slow = ReplySequence(False).admit(
        {"status": 200, "headers": headers, "content": b"x", "more_content": more, "slow": True}
    )
    plain = ReplySequence(False).admit({"status": 200, "headers": headers, "content": b"x", "more_content": more})
    assert (slow[1].is_slow, slow[1].is_plain, plain[1].is_slow) == (True, False, False)
    assert (slow[0], slow[1].block, slow[1].content_length, *slow[2:]) == (
        plain[0],
        plain[1].block,
        plain[1].content_length,
        *plain[2:],
    )


def test_a_reply_that_says_it_is_not_slow_is_like_any_other():
    assert ReplySequence(False).admit({"status": 200, "slow": False})[1] is NO_FIELDS


def test_what_one_reply_declares_is_not_remembered_for_others_with_the_same_fields():
    fields = [(b"a", b"b")]
    ReplySequence(False).admit({"status": 200, "headers": fields, "slow": True})
    assert not ReplySequence(False).admit({"status": 200, "headers": fields})[1].is_slow


@pytest.mark.parametrize(
    ("before", "reply", "error", "message"),
    [
        ([], {"status": 200, "slow": 1}, ReplyTypeError, "slow must be True or False, not int 1"),
        ([], {"status": 200, "slow": None}, ReplyTypeError, "slow must be True or False"),
        ([], {"content": b"x", "slow": True}, ReplyError, "slow is allowed in the first reply only"),
        ([], {"status": 99, "slow": True}, ReplyError, "status must be 200 to 599"),
        ([], {"status": 200, "slow": True, "speed": 1}, ReplyError, "cannot have 'speed'"),
        ([{"status": 200, "more_content": True}], {"slow": True}, ReplyError, "slow is allowed in the first reply"),
        ([{"status": 200}], {"status": 200, "slow": True}, ReplyError, "nothing may be sent after it"),
    ],
)
def test_a_wrong_declaration_is_refused_and_the_sequence_stays_where_it_was(before, reply, error, message):
    sequence = ReplySequence(False)
    for earlier in before:
        sequence.admit(earlier)
    with pytest.raises(error, match=message):
        sequence.admit(reply)
    if not before:
        assert sequence.admit({"status": 200, "slow": True})[1].is_slow
    elif before[-1].get("more_content"):
        assert sequence.admit({}) == (0, NO_FIELDS, b"", False)
