"""Names of groups and channels: what is allowed."""

import pytest

from uvicorn import Channel, Group
from uvicorn.layers.names import is_reply, node_of


@pytest.mark.parametrize("name", ["room", "room-7", "a.b_c", "x" * 99, b"bytes"])
def test_a_name_of_letters_digits_hyphens_underscores_and_full_stops_is_allowed(name):
    expected = name if isinstance(name, str) else name.decode()
    assert Group(name).name == expected
    assert Channel(name).name == expected


@pytest.mark.parametrize(
    "name", ["", "a room", "räum", "a/b", "a\n", "x" * 100, "a!b!c", "a?b?c", "!", "!a", "a!", b"\xff"]
)
@pytest.mark.parametrize("make", [Group, Channel])
def test_a_name_that_is_wrong_is_refused_with_one_sentence(make, name):
    with pytest.raises(ValueError, match="99 characters") as raised:
        make(name)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 350


@pytest.mark.parametrize("name", [None, 7, ["a"]])
@pytest.mark.parametrize("make", [Group, Channel])
def test_a_name_that_is_no_text_is_refused(make, name):
    with pytest.raises(TypeError, match="must be str, not"):
        make(name)


def test_a_reply_channel_can_be_named_but_not_be_a_group():
    assert Channel("websocket.send!abc.1").name == "websocket.send!abc.1"
    with pytest.raises(ValueError, match="name of a group"):
        Group("websocket.send!abc.1")


def test_a_name_tells_the_process_that_has_it():
    assert node_of("websocket.send!c0ffee.12") == "c0ffee"
    assert node_of("thumbnails") == ""
    assert is_reply("http.response!c0ffee.1")
    assert not is_reply("http.response")


@pytest.mark.parametrize("member", ["thumbnails", Channel("thumbnails")])
def test_only_a_reply_channel_can_be_a_member(member):
    with pytest.raises(ValueError, match="only reply channels can"):
        Group("room").add(member)


@pytest.mark.parametrize("content", ["text", 7, [1]])
def test_a_message_that_is_no_dict_is_refused_where_it_is_sent(content):
    with pytest.raises(TypeError, match="a message must be a dict"):
        Group("room").send(content)
    with pytest.raises(TypeError, match="a message must be a dict"):
        Channel("room").send(content)


@pytest.mark.parametrize("delay", [-1, "1", True, float("nan"), float("inf")])
def test_a_delay_is_a_number_of_seconds(delay):
    with pytest.raises(ValueError, match="delay must be a number of seconds"):
        Channel("room").send({}, delay=delay)


@pytest.mark.parametrize(
    ("message", "match"),
    [
        ({"channel": "a", "content": {}}, "no 'delay' is there"),
        ({"channel": "a", "content": {}, "delay": -1}, "milliseconds"),
        ({"channel": "a", "content": {}, "delay": "1"}, "milliseconds"),
        ({"channel": "a b", "content": {}, "delay": 1}, "cannot be the name of a channel"),
        ({"channel": "asgi.delay", "content": {}, "delay": 1}, "itself"),
    ],
)
def test_a_message_that_is_to_be_delayed_says_all_it_must(message, match):
    with pytest.raises(ValueError, match=match):
        Channel("asgi.delay").send(message)


def test_the_content_of_a_message_that_is_to_be_delayed_is_a_dict():
    with pytest.raises(TypeError, match=r"the content of a message to asgi\.delay must be a dict"):
        Channel("asgi.delay").send({"channel": "a", "content": "text", "delay": 1})


def test_they_show_their_names():
    assert repr(Group("room")) == "<Group room>"
    assert repr(Channel("room")) == "<Channel room>"
