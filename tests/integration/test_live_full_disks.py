"""Full disks: under the logs, and under the bodies that are collected."""

import contextlib
import os
import subprocess

import pytest
from processes import eventually

APP = "fault_consumers:routes"


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder):
    """Take what is left of a disk; return what to remove."""
    path = folder / "filling"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 1024)
    return path


@pytest.mark.parametrize("command", ["uvicorn", "gunicorn"])
def test_a_full_disk_under_the_access_log_is_told_once(serve, command):
    server = serve("--access-logfile", "/dev/full", app=APP, command=command)
    with server.client() as client:
        for _ in range(300):
            assert client.get("/hello-async").status_code == 200
    log = server.log()
    assert log.count("Cannot write the access log: [Errno 28] No space left on device") == 1
    assert "Traceback" not in log
    assert server.stop() == 0


def test_the_end_of_a_full_disk_is_told_too_and_lines_are_written_again(serve, small_disk):
    access = small_disk / "access.txt"
    server = serve("--access-logfile", str(access), app=APP)
    filling = fill(small_disk)

    def is_told():
        server.get("/hello-async?lost")
        return "Cannot write the access log" in server.log()

    eventually(is_told, "the begin to be told")
    for _ in range(20):
        assert server.get("/hello?lost").status_code == 200
    filling.unlink()

    def is_over():
        server.get("/hello-async?again")
        return "The access log can be written again; about " in server.log()

    eventually(is_over, "the end to be told")
    eventually(lambda: "?again" in access.read_text(errors="replace"), "a line in the access log")
    assert server.log().count("Cannot write the access log") == 1
    assert "Traceback" not in server.log()


def test_a_full_disk_under_the_error_log_stops_no_request_and_no_stop(serve, small_disk):
    error = small_disk / "error.txt"
    server = serve("--error-logfile", str(error), "--threads", "2", app=APP, is_ready=False)

    def listening():
        return error.exists() and "Listening at: " in error.read_text()

    eventually(listening, "the start")
    server.url = error.read_text().partition("Listening at: ")[2].split()[0]
    eventually(lambda: server.workers(), "a worker")
    fill(small_disk)
    with server.client() as client:
        for _ in range(100):
            assert client.get("/raise-exit").status_code == 500
        assert client.get("/hello").status_code == 200
    assert server.stop() == 0
    assert server.log().count("Cannot write the error log") == 1
    assert server.log().count("Traceback") < 10  # the master has a few last lines


def test_a_full_disk_under_collected_bodies_fails_those_alone(serve, small_disk):
    server = serve(
        app="live_consumers:routes",
        config=f"tmp_upload_dir = {str(small_disk)!r}\n",
    )
    big, small = b"x" * 2_000_000, b"y" * 1000
    for _ in range(3):
        assert server.get("/sync/hello").status_code == 200
        with server.client() as client:
            assert client.post("/sync/digest", content=big).status_code == 500
            assert client.post("/sync/digest", content=small).status_code == 200
    assert "No space left on device" in server.log()
    assert list(small_disk.iterdir()) == []
