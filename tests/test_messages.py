"""Messages: the dict, its Channels 1 attributes, and how request targets are split."""

from __future__ import annotations

import pytest

from uvicorn.messages import Message, http_disconnect, split_absolute_target


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
