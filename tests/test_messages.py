"""Messages: the dict, its Channels 1 attributes, and how request targets are split."""

from __future__ import annotations

import pytest

from uvicorn.messages import Message, http_disconnect, split_absolute_target, split_target


def test_content_is_the_message_itself():
    message = Message(channel="http.request", path="/")
    assert message.content is message


def test_channel_has_the_name_of_the_channel():
    message = Message(channel="http.request")
    assert message.channel.name == message["channel"] == "http.request"
    assert repr(message.channel) == "<Channel http.request>"


def test_reply_channel_is_the_same_object_by_item_and_by_attribute():
    channel = object()
    assert Message(reply_channel=channel).reply_channel is channel


def test_a_message_is_a_dict_that_consumers_may_add_to():
    message = Message(channel="http.request")
    message["user"] = 1
    assert isinstance(message, dict)
    assert dict(message) == {"channel": "http.request", "user": 1}


def test_a_disconnect_has_channel_and_path():
    assert http_disconnect("/a") == {"channel": "http.disconnect", "path": "/a"}


LONG = b"/" + b"a" * 5000


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
    assert split_target(target) == (path, raw_path, query)  # from the cache, if there is one


@pytest.mark.parametrize("size", [255, 256, 257])
def test_targets_around_the_longest_that_is_cached_are_split_alike(size):
    target = (b"/%41?" + b"q" * size)[:size]
    assert split_target(target) == ("/A", b"/%41", b"q" * (size - 5))


def test_an_undecodable_path_goes_back_to_its_bytes():
    path, _, _ = split_target(b"/%FF%FE")
    assert path.encode("utf-8", "surrogateescape") == b"/\xff\xfe"


@pytest.mark.parametrize(
    ("target", "authority", "origin"),
    [
        (b"http://a/b?c", b"a", b"/b?c"),
        (b"HTTPS://a:443/b", b"a:443", b"/b"),
        (b"http://a", b"a", b"/"),
        (b"http://a?b", b"a", b"/?b"),
        (b"http://a?b/c", b"a", b"/?b/c"),
        (b"http://[::1]:80/", b"[::1]:80", b"/"),
        (b"http://a/http://b/", b"a", b"/http://b/"),
        (b"http://a//b", b"a", b"//b"),
    ],
)
def test_an_absolute_target_is_split_into_authority_and_origin_form(target, authority, origin):
    assert split_absolute_target(target) == (authority, origin)


@pytest.mark.parametrize(
    "target", [b"", b"*", b"/", b"a", b"a/b", b"http:/a", b"http://", b"http:///a", b"http://?a", b"ftp://a/", b"://a"]
)
def test_other_targets_are_not_absolute(target):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (its text is never shown)
        split_absolute_target(target)
    assert caught.value.args == (target,)
