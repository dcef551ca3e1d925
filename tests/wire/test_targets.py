"""What a request target becomes in a message: path, raw path and query string."""

from __future__ import annotations

import pytest
from doubles import FakePeers

from uvicorn.wire.limits import Limits
from uvicorn.wire.parser import RequestParser

LONG = b"/" + b"a" * 5000


def split_target(target):
    """Return what a parser makes of a target."""
    parser = RequestParser({"client": None, "server": None}, FakePeers().header_policy(None), Limits(request_line=0))
    method = b"OPTIONS" if target == b"*" else b"GET"
    message = parser.head(b"%b %b HTTP/1.1\r\nHost: a\r\n\r\n" % (method, target))
    return message["path"], message["raw_path"], message["query_string"]


@pytest.mark.parametrize(
    ("target", "path", "raw_path", "query"),
    [
        (b"/", "/", b"/", b""),
        (b"*", "*", b"*", b""),
        (b"/a/b", "/a/b", b"/a/b", b""),
        (b"/a?b=c", "/a", b"/a", b"b=c"),
        (b"/a?", "/a", b"/a", b""),
        (b"/a?b?c", "/a", b"/a", b"b?c"),
        (b"/?a=%20%C3%A9", "/", b"/", b"a=%20%C3%A9"),
        (b"/caf%C3%A9", "/caf\u00e9", b"/caf%C3%A9", b""),
        (b"/caf%c3%a9", "/caf\u00e9", b"/caf%c3%a9", b""),
        (b"/%E2%82%AC/%F0%9F%98%80", "/\u20ac/\U0001f600", b"/%E2%82%AC/%F0%9F%98%80", b""),
        (b"/%41", "/A", b"/%41", b""),
        (b"/a%2Fb", "/a/b", b"/a%2Fb", b""),
        (b"/a%3Fb?c", "/a?b", b"/a%3Fb", b"c"),
        (b"/a+b", "/a+b", b"/a+b", b""),
        (b"/%00", "/\0", b"/%00", b""),
        (b"/%", "/%", b"/%", b""),
        (b"/%4", "/%4", b"/%4", b""),
        (b"/%zz", "/%zz", b"/%zz", b""),
        (b"/%E9", "/\udce9", b"/%E9", b""),
        (b"/%ED%A0%80", "/\udced\udca0\udc80", b"/%ED%A0%80", b""),
        (b"/%C3", "/\udcc3", b"/%C3", b""),
        (b"/../a//b/./c", "/../a//b/./c", b"/../a//b/./c", b""),
        (LONG + b"%20?" + LONG, LONG.decode() + " ", LONG + b"%20", LONG),
    ],
)
def test_a_target_is_split_into_path_raw_path_and_query(target, path, raw_path, query):
    assert split_target(target) == (path, raw_path, query)


@pytest.mark.parametrize("size", [255, 256, 257])
def test_targets_of_any_length_are_split_alike(size):
    target = (b"/%41?" + b"q" * size)[:size]
    assert split_target(target) == ("/A", b"/%41", b"q" * (size - 5))


def test_an_undecodable_path_goes_back_to_its_bytes():
    path, _, _ = split_target(b"/%FF%FE")
    assert path.encode("utf-8", "surrogateescape") == b"/\xff\xfe"
