"""Reading a body that was collected before the consumer was called."""

import pytest

from uvicorn.bridge.collected import CollectedBodyChannel
from uvicorn.errors import BodyTooLarge, ChannelClosed


def open_file(tmp_path, content):
    file = open(tmp_path / "body", "w+b")  # noqa: SIM115 (the channel closes it)
    file.write(content)
    return file


def test_a_channel_in_memory_gives_one_last_chunk():
    channel = CollectedBodyChannel(b"all", None)
    assert channel.receive() == {"content": b"all", "more_content": False}
    assert channel.closed is True


def test_a_channel_with_a_file_gives_pieces_and_an_end(tmp_path):
    channel = CollectedBodyChannel(b"", open_file(tmp_path, b"x" * 100_000))
    chunks = [channel.receive()]
    while chunks[-1]["more_content"]:
        chunks.append(channel.receive())
    assert [len(chunk["content"]) for chunk in chunks] == [65536, 100_000 - 65536, 0]


def test_a_channel_is_closed_after_its_last_chunk_and_receive_raises(tmp_path):
    channel = CollectedBodyChannel(b"", open_file(tmp_path, b"x"))
    assert channel.closed is False
    channel.read(10)
    assert channel.closed is True
    with pytest.raises(ChannelClosed):
        channel.receive()


@pytest.mark.parametrize("has_file", [False, True])
def test_iteration_gives_nothing_empty(tmp_path, has_file):
    channel = CollectedBodyChannel(b"", open_file(tmp_path, b"abc") if has_file else None)
    assert list(channel) == ([b"abc"] if has_file else [])


@pytest.mark.parametrize("has_file", [False, True])
def test_what_is_unread_can_be_read_still(tmp_path, has_file):
    content = b"x" * 100_000
    channel = (
        CollectedBodyChannel(b"", open_file(tmp_path, content)) if has_file else CollectedBodyChannel(content, None)
    )
    assert channel.unread() == content
    first = channel.receive()["content"]
    assert first + channel.unread() == content
    assert first + b"".join(channel) == content
    assert channel.unread() == b""


@pytest.mark.parametrize("has_file", [False, True])
def test_read_takes_a_body_of_exactly_its_limit(tmp_path, has_file):
    channel = CollectedBodyChannel(b"", open_file(tmp_path, b"abc")) if has_file else CollectedBodyChannel(b"abc", None)
    assert channel.read(3) == b"abc"


@pytest.mark.parametrize("has_file", [False, True])
def test_read_raises_past_its_limit(tmp_path, has_file):
    channel = CollectedBodyChannel(b"", open_file(tmp_path, b"abc")) if has_file else CollectedBodyChannel(b"abc", None)
    with pytest.raises(BodyTooLarge, match="2 bytes"):
        channel.read(2)


def test_a_disk_that_fails_raises_in_the_reader(tmp_path):
    file = open_file(tmp_path, b"abc")
    channel = CollectedBodyChannel(b"", file)
    file.close()
    with pytest.raises(ValueError, match="closed file"):
        channel.receive()
