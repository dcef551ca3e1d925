"""The directories in which the workers of masters find each other."""

import atexit
import errno
import os
import signal
from pathlib import Path

import pytest
from patience import until

from uvicorn.command import layer_place
from uvicorn.command.layer_place import make_place

OURS = (os.geteuid(), os.getegid())


@pytest.fixture(autouse=True)
def base(tmp_path, monkeypatch):
    """Make the directory of all that is temporary; this process has been no master yet, and is none at its end."""
    monkeypatch.setattr(layer_place.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(layer_place, "_places", {})
    monkeypatch.setattr(layer_place, "_shared_places", set())
    calls = []
    monkeypatch.setattr(atexit, "register", lambda *call: calls.append(call))
    yield tmp_path
    for function, *arguments in calls:
        function(*arguments)


class Master:
    """A process that is a master, and another one that is its worker."""

    def __init__(self, *names):
        told, tell = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            path = make_place(*OURS)
            for name in names:
                Path(path, name).touch()
            worker = os.fork()
            if worker:
                os.write(tell, f"{worker} {path}".encode())
            while True:
                signal.pause()
        os.close(tell)
        worker, _, path = os.read(told, 1000).decode().partition(" ")
        os.close(told)
        self.path, self.worker = Path(path), int(worker)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def kill_worker(self):
        os.kill(self.worker, signal.SIGKILL)
        until(lambda: has_ended(self.worker), "the end of the worker")


def has_ended(process):
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return True
    return text.rpartition(")")[2].split()[0] in "ZX"


def next_place():
    """Return the directory of another master."""
    layer_place._places.clear()
    return Path(make_place(*OURS))


def test_what_a_killed_master_left_is_removed_by_the_next_one_when_its_last_worker_is_gone(base):
    master = Master("0a.sock", "0b.new", "0c.history", "0d.part")
    try:
        master.kill()
        place = next_place()
        assert len([*master.path.iterdir()]) == 4  # its worker is still there
    finally:
        master.kill_worker()
    other = next_place()
    assert {*base.iterdir()} == {place, other}  # the masters of both live: that are we


def test_what_is_no_directory_of_a_killed_master_is_left_alone(base):
    def made(name, mode=0o700):
        path = base / name
        path.mkdir()
        path.chmod(mode)
        (path / "0a.sock").touch()
        return path

    ours, another = f"uvicorn-layer-{layer_place._machine()}", "uvicorn-layer-0a1b2c3d-of-another-machine"
    others = [made(ours), made(another), made("of-another"), made(f"{ours}-open", 0o755), base / f"{ours}-file"]
    others[-1].touch()
    link = base / f"{ours}-link"
    link.symlink_to(others[0])
    strange = made(f"{ours}-strange")
    (strange / "notes.txt").touch()
    place = next_place()
    assert {*base.iterdir()} == {*others, link, strange, place}
    assert [path.name for path in strange.iterdir()] == ["notes.txt"]
    assert all((path / "0a.sock").exists() for path in others[:4])


def test_a_directory_that_another_master_removes_before_it_is_locked_is_made_again(base, monkeypatch):
    made = layer_place.tempfile.mkdtemp
    paths = []

    def removed(**options):
        paths.append(Path(made(**options)))
        if len(paths) == 1:
            paths[0].rmdir()
        return str(paths[-1])

    monkeypatch.setattr(layer_place.tempfile, "mkdtemp", removed)
    assert next_place() == paths[1]
    paths.clear()
    monkeypatch.setattr(layer_place, "_is_kept", lambda path: False)
    layer_place._places.clear()
    assert make_place(*OURS) is None  # again and again: the worker is alone


def test_a_directory_that_cannot_be_locked_for_want_of_open_files_is_not_used(monkeypatch):
    """The next master would have removed it."""

    def refused(*_):
        raise OSError(errno.EMFILE, "too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(layer_place.os, "open", refused)
        assert make_place(*OURS) is None
    assert next_place().is_dir()


def test_a_file_system_without_locks_has_a_directory_all_the_same(monkeypatch):
    def refused(*_):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(layer_place.fcntl, "flock", refused)
    first = next_place()
    assert next_place() != first
    assert first.exists()


def test_a_layer_without_a_directory_makes_none(base):
    assert make_place(*OURS, "redis://127.0.0.1") is None
    assert [*base.iterdir()] == []
