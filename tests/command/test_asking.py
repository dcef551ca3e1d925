"""Which master is asked, and what is told if that is not clear."""

import os
import socket
import threading

import pytest
from patience import NEVER_SECONDS

from uvicorn.command import asking
from uvicorn.command.asking import AskingError, WorkerSocket, ask, master_of, masters, statuses


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A directory with the sockets of two masters, of which the system's list knows nothing."""
    monkeypatch.setattr(asking, "_TABLE", tmp_path / "none")
    for name in ("uvicorn-10/worker-11.sock", "uvicorn-10/worker-12.sock", "uvicorn-20/worker-21.sock", "uvicorn-x/y"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


def test_masters_are_found_in_a_directory_and_in_the_systems_list(place, monkeypatch):
    table = place / "unix"
    table.write_text(
        "Num       RefCount Protocol Flags    Type St Inode Path\n"
        "0000000000000000: 00000002 00000000 00010000 0001 01 61741 /run/a b/uvicorn-30/worker-31.sock\n"
        "0000000000000000: 00000002 00000000 00010000 0001 01 61742 /run/other.sock\n"
        "0000000000000000: 00000003 00000000 00000000 0001 03 61743\n"
    )
    monkeypatch.setattr(asking, "_TABLE", table)
    found = masters([place])
    assert {master: [worker.pid for worker in workers] for master, workers in found.items()} == {
        10: [11, 12], 20: [21], 30: [31],
    }  # fmt: skip
    assert found[30][0].path == "/run/a b/uvicorn-30/worker-31.sock"


@pytest.mark.parametrize(("pid", "master"), [(10, 10), (12, 10), (21, 20)])
def test_a_process_id_is_that_of_a_master_or_of_a_worker(place, pid, master):
    assert master_of(pid, None, [place]) == master


def test_what_is_not_clear_is_told(place, tmp_path):
    with pytest.raises(AskingError, match=r"several masters run: choose one with --pid \(10, 20\)"):
        master_of(None, None, [place])
    with pytest.raises(AskingError, match="no master with workers that can be asked was found"):
        master_of(None, None, [place / "uvicorn-10"])
    with pytest.raises(AskingError, match="process 5 has no workers"):
        master_of(5, None, [place])
    file = tmp_path / "pid"
    file.write_text("word\n")
    with pytest.raises(AskingError, match="cannot read the process id in"):
        master_of(None, str(file), [place])
    file.write_text("20\n")
    assert master_of(None, str(file), [place]) == 20


def test_a_worker_that_does_not_answer_is_told_and_one_that_is_gone_is_left_out(place):
    own = place / f"uvicorn-10/worker-{os.getpid()}.sock"
    own.touch()
    found = statuses(10, [place])
    assert [worker["pid"] for worker in found if worker["pid"] == os.getpid()] == [os.getpid()]
    assert "does not answer" in next(worker["error"] for worker in found if worker["pid"] == os.getpid())


def test_an_error_of_the_worker_is_an_error(monkeypatch):
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(asking, "_SECONDS", NEVER_SECONDS)
    monkeypatch.setattr(asking.socket, "socket", lambda *_: ours)
    monkeypatch.setattr(type(ours), "connect", lambda *_: None, raising=False)

    def answer():
        with theirs:
            assert theirs.recv(100) == b"status\n"
            theirs.sendall(b"error: not your worker\n")

    thread = threading.Thread(target=answer)
    thread.start()
    with pytest.raises(AskingError, match="worker 7: not your worker"):
        ask(WorkerSocket(1, 7, "/x"), "status")
    thread.join()
