"""What a reply may have as `file`, and what becomes of the file."""

from __future__ import annotations

import gzip
import io
import os
import socket
import tempfile
from pathlib import Path

import pytest

from uvicorn import ReplyError
from uvicorn.bridge.file_replies import admit_opened, drop_opened, read_or_open
from uvicorn.bridge.files import FilePart, FileShrank, raw_file, take_file
from uvicorn.errors import ReplyTypeError
from uvicorn.wire.reply_sequence import ReplySequence

CONTENT = bytes(range(256)) * 1024


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture(autouse=True)
def _descriptors():
    """Fail a test that leaves a descriptor open. Those of earlier tests may be collected meanwhile."""
    before = {*os.listdir("/dev/fd")}
    yield
    assert {*os.listdir("/dev/fd")} - before == set()


def read_all(part):
    content = b""
    while part.left:
        content += part.read(10000)
    return content


def opened(path, **options):
    return open(path, "rb", **options)


SOURCES = [
    (str, "a str"),
    (os.fsencode, "bytes"),
    (Path, "a PathLike"),
    (opened, "an open file"),
    (lambda path: opened(path, buffering=0), "a raw file"),
    (lambda path: open(path, "r+b"), "a file that may be written"),  # noqa: SIM115
    (lambda path: os.open(path, os.O_RDONLY), "a descriptor"),
]


@pytest.mark.parametrize("make", [make for make, _ in SOURCES], ids=[name for _, name in SOURCES])
@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ((), CONTENT),
        ((None, None), CONTENT),
        ((7, None), CONTENT[7:]),
        ((7, 300), CONTENT[7:307]),
        ((None, 300), CONTENT[:300]),
        ((0, 0), b""),
        ((len(CONTENT), None), b""),
        ((0, len(CONTENT)), CONTENT),
    ],
)
def test_a_part_has_the_bytes_that_were_asked_for(path, make, bounds, expected):
    source = make(path)
    part = take_file((source, *bounds) if bounds else source)
    assert part.left == len(expected)
    assert read_all(part) == expected


@pytest.mark.parametrize("buffering", [0, -1])
def test_an_open_file_is_sent_from_where_it_stands(path, buffering):
    file = opened(path, buffering=buffering)
    file.read(5)
    assert read_all(take_file(file)) == CONTENT[5:]


def test_an_open_file_is_closed_at_once_and_sent_all_the_same(path):
    with opened(path) as file:
        part = take_file(file)
        assert file.closed
    assert read_all(part) == CONTENT


def test_what_was_written_to_a_temporary_file_and_not_flushed_is_sent():
    file = tempfile.NamedTemporaryFile()  # noqa: SIM115
    file.write(b"abc")
    file.seek(0)
    assert read_all(take_file(file)) == b"abc"


def test_the_file_is_closed_when_its_part_is_let_go_of(path):
    part = take_file(path)
    descriptor = part.descriptor
    os.fstat(descriptor)
    del part
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


@pytest.mark.parametrize(
    ("bounds", "error", "said"),
    [
        ((len(CONTENT) + 1, None), ReplyError, "has 262144 bytes, and no from"),
        ((0, len(CONTENT) + 1), ReplyError, "and no 262145 from 0 on"),
        ((7, len(CONTENT)), ReplyError, "has 262144 bytes, and no 262144 from 7 on"),
        ((-1, None), ReplyTypeError, "the offset of a file must be a number of bytes, not int -1"),
        ((0, -1), ReplyTypeError, "the count of a file must be"),
        ((0, True), ReplyTypeError, "the count of a file must be"),
        (("0", None), ReplyTypeError, "the offset of a file must be"),
        ((1.5, None), ReplyTypeError, "the offset of a file must be"),
        ((0,), ReplyTypeError, "a path, an open file, or"),
        ((0, 1, 2), ReplyTypeError, "a path, an open file, or"),
    ],
)
@pytest.mark.parametrize("make", [str, opened])
def test_a_part_that_is_none_is_refused_and_the_file_closed(path, make, bounds, error, said):
    source = make(path)
    with pytest.raises(error, match=said):
        take_file((source, *bounds))
    assert isinstance(source, str) or source.closed


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "must be a path, or an open binary file"),
        (1.5, "must be a path"),
        (io.BytesIO(b"abc"), "BytesIO"),
        ((), "a path, an"),
    ],
)
def test_what_is_no_file_is_refused(value, said):
    with pytest.raises(ReplyTypeError, match=said):
        take_file(value)


def test_a_path_with_nul_is_refused():
    with pytest.raises(ReplyError, match="is no path"):
        take_file("/tmp/\0")


def test_a_file_that_is_not_there_raises_what_open_raises(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        take_file(tmp_path / "no")
    assert caught.value.filename == str(tmp_path / "no")


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(IsADirectoryError):
        take_file(tmp_path)


def test_a_fifo_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ReplyError, match="is no regular file: a FIFO"):
        take_file(tmp_path / "fifo")


def test_a_socket_is_refused():
    ours, theirs = socket.socketpair()
    with theirs, pytest.raises(ReplyError, match="is no regular file"):
        take_file(ours.detach())


def test_text_is_refused_and_the_file_closed(path):
    file = open(path, encoding="latin-1")  # noqa: SIM115
    with pytest.raises(ReplyTypeError, match="TextIOWrapper"):
        take_file(file)
    assert file.closed


def test_the_compressed_bytes_of_a_gzip_file_are_not_taken_for_its_content(tmp_path):
    with gzip.open(tmp_path / "a.gz", "wb") as file:
        file.write(b"abc")
    with gzip.open(tmp_path / "a.gz") as file:
        assert isinstance(file.fileno(), int)
        assert raw_file(file) is None


def test_a_file_that_becomes_shorter_is_told_by_name(path):
    part = take_file(path)
    os.truncate(path, 100)
    assert part.read(1000) == CONTENT[:100]
    with pytest.raises(FileShrank, match=r"data.bin became shorter: 262044 bytes are missing"):
        part.read(1000)


def test_a_file_can_be_warmed_whatever_its_size(path):
    part = take_file((path, 1, None))
    part.warm(1 << 20)
    part.warm(0)
    assert part.left == len(CONTENT) - 1
    os.truncate(path, 0)
    part.warm(1 << 20)


def test_a_part_that_the_system_cannot_tell_of_is_not_at_hand(path, monkeypatch):
    part = take_file(path)
    monkeypatch.setattr("uvicorn.bridge.files._NOWAIT", 0)
    assert not part.is_at_hand(10)
    monkeypatch.setattr("uvicorn.bridge.files._NOWAIT", 1 << 30)  # no such flag
    assert not part.is_at_hand(10)


@pytest.mark.parametrize(
    ("is_at_hand", "warmed", "most", "expected"),
    [
        (True, 0, 1000, 1000),
        (True, 0, 1 << 30, len(CONTENT)),
        (True, 500, 1000, 1000),
        (False, 0, 1000, 0),
        (False, 500, 1000, 500),
        (False, 2000, 1000, 1000),
    ],
)
def test_what_is_in_memory_or_was_warmed_needs_no_disk(path, monkeypatch, is_at_hand, warmed, most, expected):
    monkeypatch.setattr(FilePart, "is_at_hand", lambda part, most: is_at_hand)
    part = take_file(path)
    part.warm(warmed)
    assert part.look_ahead(most) == expected
    part.take(300)
    if not is_at_hand:
        assert part.look_ahead(most) == min(most, max(0, warmed - 300))


def test_closing_twice_closes_no_other_file(path):
    part = take_file(path)
    part.close()
    with opened(path) as other:
        part.close()
        del part
        assert other.read(1) == CONTENT[:1]


# ---- in a reply ----


@pytest.mark.parametrize("on_loop", [True, False])
def test_a_small_file_is_content_at_once(path, on_loop):
    reply = {"status": 200, "file": (path, 5, 100)}
    sequence = ReplySequence(is_head=False)
    status, fields, content, more = admit_opened(sequence, reply, False, on_loop)
    assert status == 200
    assert fields.file is None or on_loop  # where the system cannot tell whether it is in memory
    assert content == CONTENT[5:105] or fields.file is not None
    assert not more


def test_a_large_file_goes_with_the_fields(path):
    status, fields, content, more = admit_opened(ReplySequence(False), {"status": 200, "file": path}, False, False)
    assert (status, content, more) == (200, b"", False)
    assert fields.file.left == len(CONTENT)


@pytest.mark.parametrize(
    ("is_head", "status", "promise"), [(True, 200, b"content-length: 262144\r\n"), (False, 204, b""), (False, 304, b"")]
)
def test_where_there_is_no_body_the_file_is_looked_at_and_not_read(path, is_head, status, promise):
    reply = {"status": status, "file": path}
    assert admit_opened(ReplySequence(is_head), reply, is_head, True)[1].block == promise


@pytest.mark.parametrize(
    ("reply", "error", "said"),
    [
        ({"status": 200, "content": b""}, ReplyError, "either content or a file"),
        ({"status": 200, "bogus": 1}, ReplyError, "cannot have 'bogus'"),
        ({}, ReplyError, "the first reply must have a status"),
        ({"status": 99}, ReplyError, "200 to 599"),
        ({"status": 200, "more_content": 1}, ReplyTypeError, "more_content must be"),
        ({"status": 200, "headers": [(b"content-length", b"5")]}, ReplyError, "promised 5 more bytes"),
        ({"status": 200, "more_content": True, "trailers": [(b"a", b"b")]}, ReplyError, "last reply only"),
        ({"status": 200, "trailers": [(b"content-length", b"b")]}, ReplyError, "content-length"),
    ],
)
@pytest.mark.parametrize("bounds", [(0, 10), (0, 200000)])
def test_a_reply_that_is_not_allowed_closes_its_file_and_changes_nothing(path, reply, error, said, bounds):
    file = opened(path)
    sequence = ReplySequence(is_head=False)
    with pytest.raises(error, match=said):
        admit_opened(sequence, {**reply, "file": (file, *bounds)}, False, False)
    assert file.closed
    assert sequence.admit({"status": 404, "content": b""})[0] == 404


def test_a_promised_length_is_counted_over_content_and_files(path):
    sequence = ReplySequence(is_head=False)
    sequence.admit({"status": 206, "headers": [(b"content-length", b"200010")], "content": b"ab", "more_content": True})
    admit_opened(sequence, {"file": (path, 0, 200000), "more_content": True}, False, True)
    with pytest.raises(ReplyError, match="promised 8 more bytes, and this is the last reply with 200001"):
        admit_opened(sequence, {"file": (path, 0, 200001)}, False, True)
    sequence.admit({"content": b"12345678"})


def test_the_file_of_a_reply_that_nobody_hears_is_closed(path):
    file = opened(path)
    drop_opened({"file": (file, 0, 5)})
    assert file.closed
    drop_opened({"file": os.open(path, os.O_RDONLY)})
    drop_opened({"file": str(path)})
    drop_opened("no reply")


def test_what_a_thread_has_opened_or_read_is_a_reply(path):
    assert read_or_open((path, 5, 100)) == {"content": CONTENT[5:105]}
    reply = read_or_open(str(path))
    fields = admit_opened(ReplySequence(False), {"status": 200, **reply}, False, True)[1]
    assert fields.file is reply["file"]
    with pytest.raises(FileNotFoundError):
        read_or_open(f"{path}.no")


def test_a_part_shows_where_it_is(path):
    assert repr(take_file((str(path), 3, 4))) == f"<FilePart {path} 4 bytes from 3>"
    FilePart(-1, "none").close()
