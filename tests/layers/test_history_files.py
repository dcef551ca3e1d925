"""Histories in files: what processes that share a directory can rely on, killed or not."""

import fcntl
import os
import subprocess
import sys

import pytest
from patience import PATIENCE_SECONDS

from uvicorn.layers.history import History, Position
from uvicorn.layers.history_files import FileHistories
from uvicorn.layers.local_history import MemoryHistories
from uvicorn.layers.local_place import HISTORY_ENDING, PART_ENDING, Place

HISTORY = History(5, 100.0)


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["files", "memory"])
def histories(request, tmp_path, clock):
    return FileHistories(str(tmp_path), clock) if request.param == "files" else MemoryHistories(clock)


@pytest.fixture
def files(tmp_path, clock):
    return FileHistories(str(tmp_path), clock)


def path_of(tmp_path):
    [path] = tmp_path.glob("*" + HISTORY_ENDING)
    return path


def kept(recalled):
    return [(each.offset, each.content) for each in recalled.kept]


def test_messages_are_counted_and_found_again(histories):
    nothing = histories.recall("room", HISTORY, None)
    assert (nothing.last, nothing.kept) == (0, [])
    for number in range(1, 4):
        assert histories.append("room", b"%d" % number, HISTORY) == Position(nothing.epoch, number)
    assert histories.append("other", b"x", HISTORY).offset == 1
    found = histories.recall("room", HISTORY, None)
    assert (found.epoch, found.last) == (nothing.epoch, 3)
    assert kept(found) == [(1, b"1"), (2, b"2"), (3, b"3")]
    assert kept(histories.recall("room", HISTORY, Position(found.epoch, 2))) == [(3, b"3")]
    assert kept(histories.recall("room", HISTORY, Position("other epoch", 2))) == kept(found)


def test_as_many_are_kept_as_there_may_be_and_as_long(histories, clock):
    for number in range(1, 9):
        clock.now += 30
        histories.append("room", b"%d" % number, HISTORY)
    found = histories.recall("room", HISTORY, None)
    assert [each.offset for each in found.kept] == [5, 6, 7, 8]
    assert [each.age for each in found.kept] == [90, 60, 30, 0]
    for number in range(9, 20):
        histories.append("room", b"%d" % number, HISTORY)
    assert [each.offset for each in histories.recall("room", HISTORY, None).kept] == [15, 16, 17, 18, 19]


def test_the_oldest_go_when_there_are_too_many_bytes_and_the_latest_stays(histories):
    history = History(5, 100.0, bytes=1000)
    for size, found in (
        (300, [1]),
        (300, [1, 2]),
        (400, [1, 2, 3]),
        (1, [2, 3, 4]),
        (950, [4, 5]),
        (9000, [6]),
        (9, [7]),
    ):
        histories.append("room", bytes(size), history)
        assert [each.offset for each in histories.recall("room", history, None).kept] == found


def test_a_history_that_nobody_uses_is_forgotten_and_another_epoch_begins(histories, clock):
    epoch = histories.append("room", b"1", HISTORY).epoch
    for _ in range(5):  # a member asks now and then
        clock.now += 90
        assert histories.recall("room", HISTORY, None).epoch == epoch
    clock.now += 101
    assert histories.recall("room", HISTORY, None).epoch != epoch
    clock.now += 101
    second = histories.append("room", b"1", HISTORY)
    assert (second.offset, second.epoch == epoch) == (1, False)


def test_memory_forgets_what_is_over(clock):
    memory = MemoryHistories(clock)
    memory.append("room", b"1", HISTORY)
    memory.tick()
    assert memory._groups
    clock.now += 101
    memory.tick()
    assert not memory._groups


def test_files_that_are_over_are_removed_and_those_of_others_left(files, clock, tmp_path):
    files.append("room", b"1", HISTORY)
    clock.now += 60
    files.append("other", b"1", HISTORY)
    (tmp_path / "node.sock").write_bytes(b"")
    part = tmp_path / f"x{PART_ENDING}"
    part.write_bytes(b"")
    files.forget()
    assert len(os.listdir(tmp_path)) == 4
    clock.now += 60
    os.utime(part, (1, 1))
    files.forget()
    assert len(os.listdir(tmp_path)) == 2
    assert files.recall("other", HISTORY, None).last == 1


def test_a_file_does_not_grow_beyond_what_is_kept(files, tmp_path):
    for number in range(400):
        files.append("room", b"%d" % number + bytes(3000), HISTORY)
    assert path_of(tmp_path).stat().st_size < 100_000
    found = files.recall("room", HISTORY, None)
    assert [content.rstrip(b"\0") for _, content in kept(found)] == [b"395", b"396", b"397", b"398", b"399"]
    assert found.last == 400
    assert [path.suffix for path in tmp_path.iterdir()] == [HISTORY_ENDING]


def test_the_files_are_for_their_user_alone(files, tmp_path):
    files.append("room", b"1", HISTORY)
    assert path_of(tmp_path).stat().st_mode & 0o777 == 0o600


def test_who_finds_another_process_at_it_does_not_wait(files, tmp_path):
    epoch, _ = files.append("room", b"1", HISTORY)
    with path_of(tmp_path).open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError):
            files.append("room", b"2", HISTORY)
        assert kept(files.recall("room", HISTORY, None)) == [(1, b"1")]  # to read takes no lock
    assert files.append("room", b"2", HISTORY) == Position(epoch, 2)


def test_what_a_killed_process_has_left_half_written_is_nothing(files, tmp_path):
    epoch, _ = files.append("room", b"1", HISTORY)
    with path_of(tmp_path).open("ab") as other:
        other.write(b"\xff" * 50)
    assert kept(files.recall("room", HISTORY, None)) == [(1, b"1")]
    assert files.append("room", b"2", HISTORY) == Position(epoch, 2)
    assert kept(files.recall("room", HISTORY, None)) == [(1, b"1"), (2, b"2")]


@pytest.mark.parametrize("data", [b"", b"x" * 10, b"x" * 500])
def test_a_file_that_is_none_of_ours_is_a_history_that_was_lost(files, tmp_path, data):
    epoch, _ = files.append("room", b"1", HISTORY)
    path = path_of(tmp_path)
    path.write_bytes(data)
    found = files.recall("room", HISTORY, Position(epoch, 1))
    assert found.epoch != epoch
    path.write_bytes(data)
    assert files.append("room", b"1", HISTORY).offset == 1


def test_the_clock_of_another_start_of_the_machine_is_no_clock(files, clock):
    epoch, _ = files.append("room", b"1", HISTORY)
    clock.now = 5.0
    assert files.recall("room", HISTORY, None).epoch != epoch


def test_a_file_that_was_replaced_meanwhile_is_opened_again(files, tmp_path, monkeypatch):
    files.append("room", b"1", HISTORY)
    path, flock, opened = path_of(tmp_path), fcntl.flock, []

    def flock_late(fd, how):
        if not opened:  # somebody has removed the file between our open and our lock
            opened.append(fd)
            path.unlink()
        flock(fd, how)

    monkeypatch.setattr("uvicorn.layers.history_files.fcntl.flock", flock_late)
    files.append("room", b"2", HISTORY)
    assert kept(files.recall("room", HISTORY, None)) == [(1, b"2")]


def test_a_directory_that_is_gone_is_an_error(files, tmp_path):
    tmp_path.rmdir()
    with pytest.raises(OSError, match="No such file"):
        files.append("room", b"1", HISTORY)
    files.forget()


def test_a_history_outlives_the_last_worker_until_its_master_leaves(tmp_path):
    place, other = Place(str(tmp_path / "layer")), Place(str(tmp_path / "layer"))
    with place.enter("one"), other.enter("two"):
        FileHistories(place.path).append("room", b"1", HISTORY)
        place.leave()
        other.clear(is_over=False)  # another master leaves
        assert FileHistories(place.path).recall("room", HISTORY, None).last == 1
        other.leave()
    with place.enter("three"):
        assert FileHistories(place.path).recall("room", HISTORY, None).last == 1
        place.leave()
    (tmp_path / "layer" / "else").write_bytes(b"")
    place.clear(is_over=False)
    assert [path.name for path in (tmp_path / "layer").iterdir()] == ["else"]
    (tmp_path / "layer" / "else").unlink()
    place.clear(is_over=False)
    assert not (tmp_path / "layer").exists()
    place.clear(is_over=True)


def test_a_master_that_leaves_removes_what_killed_workers_have_left(tmp_path):
    place = Place(str(tmp_path / "layer"))
    with place.enter("killed"):
        FileHistories(place.path).append("room", b"1", HISTORY)
        place.clear(is_over=True)
    assert not (tmp_path / "layer").exists()


def test_what_is_no_directory_is_not_cleared(tmp_path):
    (tmp_path / "other").mkdir()
    kept = tmp_path / "other" / f"x{HISTORY_ENDING}"
    kept.write_bytes(b"")
    (tmp_path / "layer").symlink_to(tmp_path / "other")
    Place(str(tmp_path / "layer")).clear(is_over=True)
    assert kept.exists()


_APPEND = """
import os, sys
from uvicorn.layers.history import History
from uvicorn.layers.history_files import FileHistories
files, name, number = FileHistories(sys.argv[1]), sys.argv[2], 0
print("ready", flush=True)
sys.stdin.readline()
while number < 300:
    try:
        files.append("room", f"{name}{number}".encode(), History(1000, 100.0))
        number += 1
    except BlockingIOError:
        continue
    if name == "c" and number == 100:
        os.kill(os.getpid(), 9)
"""


def test_many_processes_append_in_one_order(tmp_path):
    """Real processes, one of which is killed in the midst."""
    words, pipe = [sys.executable, "-c", _APPEND, str(tmp_path)], subprocess.PIPE
    children = [subprocess.Popen([*words, name], stdin=pipe, stdout=pipe) for name in "abc"]
    for child in children:
        child.stdout.readline()
    for child in children:
        child.communicate(b"go\n", PATIENCE_SECONDS)
    found = kept(FileHistories(str(tmp_path)).recall("room", History(1000, 100.0), None))
    assert [offset for offset, _ in found] == [*range(1, 701)]
    for name, count in ((b"a", 300), (b"b", 300), (b"c", 100)):
        assert [text for _, text in found if text.startswith(name)] == [b"%b%d" % (name, n) for n in range(count)]
