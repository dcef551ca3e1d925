"""Which replies a socket takes, in which order."""

import pytest
from websockets.frames import CloseCode

from uvicorn.errors import ReplyError, ReplyTypeError
from uvicorn.wire.reply import NO_FIELDS
from uvicorn.wire.socket_reply import BINARY, CONNECTING, DONE, NOTHING, OPEN, TEXT, Action, SocketSequence

ACCEPT = Action(accepts=True)
REFUSE = Action(refuses=True)


@pytest.mark.parametrize(
    ("reply", "opcode", "action", "data", "state"),
    [
        ({"accept": True}, NOTHING, ACCEPT, b"", OPEN),
        ({"accept": True, "text": "hi"}, TEXT, ACCEPT, b"hi", OPEN),
        ({"accept": True, "bytes": b""}, BINARY, ACCEPT, b"", OPEN),
        ({"accept": True, "subprotocol": "b"}, NOTHING, Action(True, "b"), b"", OPEN),
        ({"text": "hi"}, TEXT, ACCEPT, b"hi", OPEN),
        ({"bytes": b"\0"}, BINARY, ACCEPT, b"\0", OPEN),
        ({"text": "bye", "close": True}, TEXT, Action(True, close_code=1000), b"bye", DONE),
        ({"accept": True, "close": 4000}, NOTHING, Action(True, close_code=4000), b"", DONE),
        ({"accept": False}, NOTHING, REFUSE, b"", DONE),
        ({"accept": False, "text": "hi"}, NOTHING, REFUSE, b"", DONE),
        ({"close": True}, NOTHING, REFUSE, b"", DONE),
        ({"close": 4000, "reason": "no"}, NOTHING, REFUSE, b"", DONE),
        ({"close": True, "text": ""}, NOTHING, REFUSE, b"", DONE),
    ],
)
def test_a_socket_that_is_not_accepted_takes(reply, opcode, action, data, state):
    sequence = SocketSequence(["a", "b"])
    assert sequence.admit(reply) == (opcode, action, data, False)
    assert sequence._state == state


@pytest.mark.parametrize(
    ("reply", "opcode", "action", "data", "state"),
    [
        ({"text": "h\xe9"}, TEXT, None, b"h\xc3\xa9", OPEN),
        ({"text": ""}, TEXT, None, b"", OPEN),
        ({"text": None, "bytes": b""}, BINARY, None, b"", OPEN),
        ({"bytes": bytearray(b"x")}, BINARY, None, b"x", OPEN),
        ({"bytes": memoryview(b"x")}, BINARY, None, b"x", OPEN),
        ({"text": "x", "accept": True}, TEXT, None, b"x", OPEN),
        ({"accept": True}, NOTHING, None, b"", OPEN),
        ({"text": "x", "close": False}, TEXT, None, b"x", OPEN),
        ({"text": "x", "close": 0}, TEXT, None, b"x", OPEN),
        ({"close": True}, NOTHING, Action(close_code=1000), b"", DONE),
        ({"close": 1013, "reason": "later"}, NOTHING, Action(close_code=1013, reason="later"), b"", DONE),
        ({"close": CloseCode.GOING_AWAY}, NOTHING, Action(close_code=1001), b"", DONE),
        ({"text": "bye", "close": 4999}, TEXT, Action(close_code=4999), b"bye", DONE),
    ],
)
def test_an_open_socket_takes(reply, opcode, action, data, state):
    sequence = SocketSequence([], OPEN)
    assert sequence.admit(reply) == (opcode, action, data, False)
    assert sequence._state == state


@pytest.mark.parametrize(
    ("state", "reply", "error", "words"),
    [
        (CONNECTING, {}, ReplyError, "not accepted yet"),
        (CONNECTING, {"text": ""}, ReplyError, "not accepted yet"),
        (CONNECTING, {"accept": 1}, ReplyTypeError, "accept must be True or False"),
        (
            CONNECTING,
            {"accept": True, "subprotocol": "c"},
            ReplyError,
            "'c' was not offered by the client; offered: 'a'",
        ),
        (CONNECTING, {"accept": True, "headers": [(b"Upgrade", b"x")]}, ReplyError, "the server sets 'upgrade'"),
        (CONNECTING, {"accept": True, "headers": [(b"content-length", b"1")]}, ReplyError, "'content-length'"),
        (
            CONNECTING,
            {"accept": True, "headers": [(b"Sec-WebSocket-Accept", b"x")]},
            ReplyError,
            "'sec-websocket-accept'",
        ),
        (CONNECTING, {"accept": True, "headers": [(b"a", b"b\r\nc: d")]}, ReplyError, "CR, LF or NUL"),
        (OPEN, {}, ReplyError, "needs text, bytes or close"),
        (OPEN, {"text": "a", "bytes": b"b"}, ReplyError, "not both"),
        (OPEN, {"text": b"a"}, ReplyTypeError, "text must be str"),
        (OPEN, {"bytes": "a"}, ReplyTypeError, "bytes must be bytes"),
        (OPEN, {"text": "\ud800"}, ReplyError, "lone surrogate at 0"),
        (OPEN, {"text": "a", "status": 200}, ReplyError, "the socket is open"),
        (OPEN, {"txet": "a"}, ReplyError, "cannot have 'txet'"),
        (OPEN, ["text"], ReplyTypeError, "must be a dict"),
        (OPEN, {"text": "a", "subprotocol": "a"}, ReplyError, "that accepts the socket only"),
        (OPEN, {"close": "1000"}, ReplyTypeError, "close must be True, False or a close code"),
        (OPEN, {"close": 1005}, ReplyError, "1005 is not a code to close with"),
        (OPEN, {"close": 1006}, ReplyError, "not a code"),
        (OPEN, {"close": 999}, ReplyError, "not a code"),
        (OPEN, {"close": 5000}, ReplyError, "not a code"),
        (OPEN, {"close": True, "reason": "x" * 124}, ReplyError, "123 bytes"),
        (OPEN, {"close": True, "reason": b"x"}, ReplyTypeError, "reason must be str"),
        (OPEN, {"text": "a", "reason": "x"}, ReplyError, "a reason needs close"),
        (DONE, {"text": "a"}, ReplyError, "the socket is closed"),
    ],
)
def test_a_reply_that_is_not_allowed_says_why_and_changes_nothing(state, reply, error, words):
    sequence = SocketSequence(["a"], state)
    with pytest.raises(error, match=words):
        sequence.admit(reply)
    assert sequence._state == state


def test_header_fields_of_the_acceptance_are_encoded():
    _, action, _, _ = SocketSequence([]).admit({"accept": True, "headers": [("Set-Cookie", "a=b")]})
    assert action.fields.block == b"Set-Cookie: a=b\r\n"
    assert SocketSequence([]).admit({"accept": True})[1].fields is NO_FIELDS
