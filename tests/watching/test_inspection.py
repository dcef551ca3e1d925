"""The socket by which a worker is asked: for its owner alone."""

import os
import socket
import stat
import struct
import tempfile
import threading
from pathlib import Path

import pytest
from patience import NEVER_SECONDS, PATIENCE_SECONDS, until

from uvicorn.bridge import aside as aside_module
from uvicorn.bridge.aside import Aside
from uvicorn.watching import inspection as module
from uvicorn.watching.inspection import Inspection, candidates


class Log:
    def __init__(self):
        self.lines = []

    def debug(self, text, *args):
        self.lines.append(text % args)

    def error(self, text, *args, exc_info=False):
        self.lines.append(text)


@pytest.fixture
def tmp_path():
    """A directory for sockets: pytest's own are too deep."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def served(tmp_path, monkeypatch):
    monkeypatch.setattr(aside_module, "_SECONDS", NEVER_SECONDS)
    log = Log()
    aside = Aside(log)
    answers = {"hello": lambda: "hello", "fail": lambda: 1 // 0, "empty": lambda: ""}
    inspection = Inspection(answers, os.getpid())
    listener = inspection.listen(str(tmp_path))
    aside.serve(listener, inspection)
    aside.start()
    yield inspection, log
    aside.stop()
    inspection.remove()
    listener.close()
    assert not list(tmp_path.iterdir())


def ask(path, question):
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(PATIENCE_SECONDS)
        caller.connect(os.fspath(path))
        caller.sendall(question)
        data = b""
        while more := caller.recv(4096):
            data += more
        return data


def test_it_is_for_the_owner_alone_and_answers_what_it_knows(served, tmp_path):
    inspection, _ = served
    path = inspection.path
    assert path == tmp_path / f"uvicorn-{os.getpid()}" / f"worker-{os.getpid()}.sock"
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.lstat().st_mode) == 0o700
    assert ask(path, b"hello\n") == b"hello\n"
    assert ask(path, b"what?\n") == b"error: ask for hello, fail, empty\n"


def test_a_caller_that_is_another_user_is_not_answered(served, monkeypatch):
    inspection, _ = served
    monkeypatch.setattr(inspection, "_users", {0, 12345} - {os.geteuid()})
    assert ask(inspection.path, b"hello\n") == b"error: not your worker\n"


def test_callers_that_leave_and_answers_that_fail_do_no_harm(served):
    inspection, log = served
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(os.fspath(inspection.path))
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert ask(inspection.path, b"fail\n") == b""
    assert ask(inspection.path, b"hello\n") == b"hello\n"
    assert "Error in the answer to a caller" in log.lines


def test_what_a_killed_worker_left_is_removed_and_what_others_have_is_not(tmp_path):
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    folder = tmp_path / "uvicorn-1"
    folder.mkdir(mode=0o700)
    left, other = folder / f"worker-{child}.sock", folder / f"worker-{os.getppid()}.sock"
    for path in (left, other, folder / "worker-x.sock"):
        path.touch()
    inspection = Inspection({}, 1)
    inspection.listen(str(tmp_path)).close()
    assert not left.exists()
    assert other.exists()
    inspection.remove()
    assert folder.exists()  # others are there


def test_what_a_killed_master_left_is_removed_unless_somebody_listens_there(tmp_path):
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    gone, elsewhere, living = (tmp_path / f"uvicorn-{number}" for number in (child, f"0{child}", os.getpid()))
    for folder in (gone, elsewhere, living, tmp_path / "uvicorn-x", tmp_path / f"uvicorn-{'9' * 30}"):
        folder.mkdir(mode=0o700)
    (gone / f"worker-{child}.sock").touch()
    inspection = Inspection({}, 1)
    with socket.socket(socket.AF_UNIX) as listener:  # as of a process in another container
        listener.bind(str(elsewhere / f"worker-{child}.sock"))
        listener.listen()
        inspection.listen(str(tmp_path)).close()
        assert not gone.exists()
        assert elsewhere.exists()
    inspection.remove()
    assert len([*tmp_path.iterdir()]) == 4


def test_a_directory_that_others_may_enter_is_not_used(tmp_path):
    folder = tmp_path / f"uvicorn-{os.getpid()}"
    folder.mkdir(mode=0o755)
    with pytest.raises(OSError, match="is not a directory of ours alone"):
        Inspection({}, os.getpid()).listen(str(tmp_path))
    folder.chmod(0o700)
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="is not a directory of ours alone"):
        Inspection({}, os.getpid()).listen(str(tmp_path))


def test_a_path_that_is_too_long_is_not_used(tmp_path):
    with pytest.raises(OSError, match="too long"):
        Inspection({}, 1).listen(str(tmp_path / ("x" * 100)))


def test_the_next_directory_is_taken_where_the_first_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{tmp_path}/none:{tmp_path}/other")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: "/nowhere")
    assert [str(path) for path in candidates()] == [f"{tmp_path}/none", str(tmp_path), "/nowhere"]
    inspection = Inspection({}, 7)
    inspection.listen(module.AUTOMATIC).close()
    assert inspection.path.parent.parent == tmp_path
    inspection.remove()


def test_a_function_that_is_handed_over_runs_aside_and_its_mistakes_do_no_harm():
    log, names = Log(), []
    aside = Aside(log)
    aside.start()
    aside.call(lambda: 1 // 0)
    aside.call(lambda: names.append(threading.current_thread().name))
    until(lambda: names, "the call")
    aside.stop()
    assert names == ["uvicorn-aside"]
    assert log.lines == ["Error in the answer to a caller"]
