"""What an application may ask for of a history, and what it is told if that cannot be."""

import pytest
from bridge_doubles import on_loop

from uvicorn import Group
from uvicorn.layers.history import (
    History,
    HistorySettings,
    Joining,
    Position,
    Standing,
    check_form,
    check_history,
    check_since,
    formed,
    packed,
    unpacked,
)  # fmt: skip


@pytest.mark.parametrize(
    ("history", "seconds", "found"),
    [
        (None, None, None),
        (100, None, History(100, 300.0)),
        (1, 1, History(1, 1.0)),
        (10_000, 0.5e5, History(10_000, 5e4)),
    ],
)
def test_a_history_is_so_many_messages_for_so_many_seconds(history, seconds, found):
    assert check_history(history, seconds) == found


@pytest.mark.parametrize(
    ("history", "seconds", "text"),
    [
        (0, None, "1 to 10000 messages, not 0"),
        (10_001, None, "1 to 10000"),
        (None, 5, "give history=100, too"),
        ("100", None, "not str"),
        (True, None, "not bool"),
        (5, "9", "not str"),
        (5, 0, "history_seconds must be 1 to 604800, not 0"),
        (5, float("nan"), "not nan"),
        (5, 1e9, "1 to 604800"),
    ],
)
def test_another_history_is_refused_where_it_is_named(history, seconds, text):
    with pytest.raises((TypeError, ValueError), match=text):
        Group("room", history=history, history_seconds=seconds)


@pytest.mark.parametrize(
    ("history", "most", "text"),
    [
        (None, 5, "history_bytes is for a group with a history: give history=100, too"),
        (5, 0, "history_bytes must be 1 to 268435456, not 0"),
        (5, 1 << 30, "1 to 268435456"),
        (5, 0.5, "not float"),
        (5, True, "not bool"),
    ],
)
def test_another_number_of_bytes_is_refused_where_it_is_named(history, most, text):
    with pytest.raises((TypeError, ValueError), match=text):
        Group("room", history=history, history_bytes=most)


def test_a_history_has_sixteen_megabytes_unless_a_group_says_another_number():
    assert check_history(5, 9).bytes == 16 * 1024 * 1024
    assert check_history(5, 9, 1000) == History(5, 9.0, 1000)


def test_what_was_seen_is_a_pair_or_what_add_has_returned():
    assert check_since(None) is None
    assert check_since(("a", 7)) == check_since(["a", 7]) == check_since(Standing("a", 7, None)) == Position("a", 7)


@pytest.mark.parametrize(
    "since",
    ["a7", ("a",), ("a", "7"), (None, 7), ("a", -1), ("a", True), ("a", 1 << 60), 7, ("a" * 65, 1), ("\ud800", 1)],
)
def test_what_is_no_pair_is_refused(since):
    with pytest.raises((TypeError, ValueError), match="since"):
        check_since(since)


def test_a_form_is_true_or_a_function():
    assert check_form(None) is check_form(False) is None
    assert check_form(True) is True
    assert check_form(print) is print
    with pytest.raises(TypeError, match="with_offset must be True, or a function"):
        check_form("text")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ({"text": 'a"b'}, {"text": '{"epoch": "e", "offset": 7, "text": "a\\"b"}'}),
        ({"bytes": b"\0x"}, {"bytes": b"e 7\n\0x"}),
        ({"text": "x", "close": True}, {"text": '{"epoch": "e", "offset": 7, "text": "x"}', "close": True}),
        ({"close": 4000}, {"close": 4000}),
    ],
)
def test_the_usual_form_has_epoch_and_offset(content, found):
    assert formed(True, content, "e", 7) == found
    assert formed(None, content, "e", 7) is content


def test_a_form_of_the_application_s_own():
    assert formed(
        lambda content, epoch, offset: {"text": f"{epoch}/{offset}/{content['text']}"}, {"text": "x"}, "e", 7
    ) == {"text": "e/7/x"}


@pytest.mark.parametrize(
    "joining",
    [Joining(), Joining(History(5, 9.0, 1000)), Joining(History(5, 9.0), Position("a", 7), True)],
)
def test_how_somebody_is_added_is_told_to_another_process(joining):
    assert unpacked(packed("room", joining)) == ("room", joining)


def test_a_function_cannot_be_told_to_another_process():
    with pytest.raises(ValueError, match="only in the process that has the socket"):
        packed("room", Joining(History(5, 9.0), None, print))


def test_the_first_history_of_a_group_wins_and_another_one_is_an_error():
    settings = HistorySettings()
    assert settings.setting_of("room", None) is None
    assert settings.setting_of("room", History(5, 9.0)) == History(5, 9.0)
    assert settings.setting_of("room", None) == History(5, 9.0)
    with pytest.raises(ValueError, match="'room' is 5 messages for 9 seconds in this process: it cannot be 6 messages"):
        settings.setting_of("room", History(6, 9.0))
    assert settings.setting_of("other", History(6, 9.0)) == History(6, 9.0)
    with pytest.raises(ValueError, match="it cannot be 6 messages and 10 bytes for 9 seconds"):
        settings.setting_of("other", History(6, 9.0, 10))


def test_the_histories_that_nobody_uses_are_forgotten(monkeypatch):
    now = 0.0
    monkeypatch.setattr("uvicorn.layers.history.time.monotonic", lambda: now)
    settings = HistorySettings(lambda group: group == "0")
    for number in range(10_000):
        now += 1.0
        settings.setting_of(str(number), History(5, 9.0))
    assert len(settings._known) <= 1001
    assert settings.setting_of("0", None) == History(5, 9.0)  # it has members


@on_loop
async def test_where_a_group_stands_can_be_awaited_and_is_itself():
    standing = Standing("a", 7)
    assert await standing is standing
