"""A running master is asked: `uvicorn status`, `uvicorn dump`, `uvicorn top`, and a signal to a worker."""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from patience import PATIENCE_SECONDS
from processes import eventually
from test_live_watch import SOURCE, line_number


def command(*words):
    """Run the `uvicorn` command; return its exit code and what it wrote."""
    environment = {**os.environ, "COLUMNS": "160"}
    done = subprocess.run(
        [sys.executable, "-m", "uvicorn", *words],
        cwd=tempfile.gettempdir(), env=environment,
        capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module", params=["uvicorn", "gunicorn"])
def server(serve_module, request):
    made = serve_module(
        "--threads", "2", "--workers", "2", "--pid", "master.pid", app="watched_consumers:routes", command=request.param
    )
    eventually(lambda: len(json.loads(command("status", "--json", "--pid", str(made.pid))[1])["workers"]) == 2, "both")
    return made


def asked(server, *words):
    """Return what a command says when each worker has answered it; one that has no time for five seconds does not."""

    def said():
        code, out, error = command(*words, "--pid", str(server.pid))
        if "does not answer" in out:
            return None
        assert code == 0, error
        return out

    return eventually(said, "an answer of each worker")


class Holding:
    """Clients of a consumer that holds a thread, or waits on the loop, until they are let go, in whichever worker.

    Each has a door of its own: one that was opened stays so.
    """

    _numbers = itertools.count()

    def __init__(self, server, *paths):
        self._server = server
        self._door = f"door={next(self._numbers)}"
        self._threads = [threading.Thread(target=server.get, args=(f"{path}?{self._door}",)) for path in paths]

    def __enter__(self):
        for thread in self._threads:
            thread.start()

    def __exit__(self, *_):
        self._server.get(f"/opens?{self._door}")
        for thread in self._threads:
            thread.join()


def test_status_tells_the_numbers_of_each_worker(server):
    for _ in range(5):
        server.get("/hello-in-thread")
    found = eventually(
        lambda: [
            worker
            for worker in json.loads(asked(server, "status", "--json"))["workers"]
            if ["watched_consumers.hello_in_thread", ""]
            in [row[:2] for row in worker["figures"]["consumer_wait_seconds"]]
        ],
        "the calls",
    )
    assert {worker["pid"] for worker in found} <= set(server.workers())
    assert asked(server, "status").startswith(f"Master {server.pid}, 2 workers\n")
    line = r"  \d+: \d+ requests, \d+ in flight, p50 \S+ ?\w*, p99 .*, \d of 2 threads, 0 queued"
    # What other tests have queued may take its time.
    eventually(lambda: len(re.findall(line, asked(server, "status"))) == 2, lambda: asked(server, "status"))


def test_the_master_is_found_by_its_pid_file_and_by_a_worker(server):
    by_file = command("status", "--pidfile", str(server.folder / "master.pid"))[1]
    assert by_file.startswith(f"Master {server.pid}, ")
    assert command("status", "--pid", str(server.workers()[0]))[1].startswith(f"Master {server.pid}, ")


def test_who_asks_for_what_is_not_there_is_told_in_a_sentence(server):
    code, _, error = command("status", "--pid", "1")
    assert code == 1
    assert error.startswith("Error: process 1 has no workers that can be asked")
    assert "cannot read the process id in /nowhere" in command("dump", "--pidfile", "/nowhere")[2]


def test_dump_tells_what_is_in_flight_with_its_line_and_what_waits(server):
    in_thread = (
        r"  GET /waits\?door=\d+ of 127\.0\.0\.1: watched_consumers\.waits running in thread uvicorn-consumer-\d for "
        rf"\d+\.\d seconds\n    at {SOURCE}:{line_number('waits')}, in waits, which is in "
    )
    on_loop = (
        r"  GET /waits-on-loop\?door=\d+ of 127\.0\.0\.1: watched_consumers\.waits_on_loop running on the loop for "
        rf"\d+\.\d seconds\n    at {SOURCE}:{line_number('waits_on_loop')}, in waits_on_loop, which is in "
    )
    with Holding(server, *["/waits"] * 6, "/waits-on-loop"):

        def told():
            text = asked(server, "dump")
            return (
                text
                if len(re.findall(r"GET /waits\?door=\d+ of ", text)) == 6
                and text.count("waits for ") >= 2
                and re.search(in_thread, text)  # a thread that has just begun is not there yet
                and re.search(on_loop, text)
                and "<ConsumerPool 2 running, 0 waiting" in text
                else ""
            )

        text = eventually(told, lambda: asked(server, "dump"))
    assert text.startswith("Worker ")
    assert text.count("Worker ") == 2
    assert "<PoolSampler limit 2.00 of 2" in text
    assert "Sockets: none" in text


def test_dump_tells_where_a_blocked_loop_stands(server):
    pattern = (
        r"The event loop has not turned for \d+\.\d seconds\n  watched_consumers\.sleeps_long \(GET /sleeps-long\) at "
        rf"{SOURCE}:{line_number('sleeps_long')}, in sleeps_long\n"
    )

    def told():
        clients = [threading.Thread(target=server.get, args=("/sleeps-long",)) for _ in range(4)]
        for client in clients:
            client.start()
        texts = []
        while any(client.is_alive() for client in clients):
            texts.append(asked(server, "dump", "--stacks"))
        return next((text for text in texts if re.search(pattern, text)), "")

    text = eventually(told, "a blocked loop")
    assert "Thread MainThread:\n" in text


def test_a_signal_to_a_worker_has_the_log_tell_the_same(server):
    worker = server.workers()[0]
    os.kill(worker, signal.SIGUSR2)
    server.wait_for_log(f"[{worker}] [WARNING] Dump (pid: {worker})\nWorker {worker}\n")
    server.wait_for_log("Thread MainThread:")
    assert server.get("/hello").status_code == 200


@pytest.fixture
def short_path():
    """A directory for sockets: pytest's own are too deep."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def test_the_sockets_go_with_their_workers(serve, short_path):
    server = serve("--status-dir", str(short_path), app="watched_consumers:routes")
    [worker] = server.workers()
    pattern = f"uvicorn-{server.pid}/worker-*.sock"
    eventually(lambda: [path.stem for path in short_path.glob(pattern)] == [f"worker-{worker}"], "its socket")
    server.signal(signal.SIGHUP)
    eventually(lambda: len(server.workers()) == 1 and server.workers() != [worker], "a new worker")
    [worker] = server.workers()
    eventually(lambda: [path.stem for path in short_path.glob(pattern)] == [f"worker-{worker}"], "that one's socket")
    server.stop()
    assert list(short_path.iterdir()) == []


def test_nobody_is_answered_if_that_is_switched_off(serve):
    server = serve("--status-dir", "off", app="watched_consumers:routes")
    assert command("status", "--pid", str(server.pid))[0] == 1


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_top_draws_a_page_in_a_terminal_and_leaves_when_it_is_told_to(server, short_path):
    tmux = ["tmux", "-S", str(short_path / "tmux"), "-f", "/dev/null"]

    def run(*words):
        return subprocess.run(
            [*tmux, *words], cwd=short_path, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
        ).stdout

    def is_row(line):  # on a slow machine they are among the warnings, too
        return "GET /waits" in line and "is slow" not in line

    with Holding(server, *["/waits"] * 3):
        words = f"env -u COLUMNS -u LINES {sys.executable} -m uvicorn top --pid {server.pid}"
        run("new-session", "-d", "-x", "150", "-y", "45", "-s", "top", f"{words}; echo left-with-$?; sleep 1000")
        try:
            page = eventually(
                lambda: sum(map(is_row, (text := run("capture-pane", "-p", "-t", "top")).splitlines())) == 3 and text,
                "the page",
            )
            assert f"uvicorn master {server.pid}: 2 workers, " in page
            assert re.search(r"worker +req/s +p50 +p99 +flight +threads +queued +lag +MiB +state", page)
            for worker in server.workers():
                assert re.search(rf"{worker} .*serving", page)
            assert f"watched_consumers.py:{line_number('waits')} waits" in page
            server.get("/hello")
            eventually(lambda: "watched_consumers.hello " in run("capture-pane", "-p", "-t", "top"), "a consumer")
            run("send-keys", "-t", "top", "C-c")
            eventually(lambda: "left-with-0" in run("capture-pane", "-p", "-t", "top"), "the end")
        finally:
            run("kill-server")
