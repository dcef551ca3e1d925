"""How a worker leaves: asked, hurried, aborted, or because its master has gone."""

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from processes import PATIENT_MASTER, SHORT_DRAIN, descriptors, eventually


def has_left(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_at_the_deadline_the_report_names_the_stuck_consumers_and_the_worker_leaves(serve):
    server = serve("--threads", "2", config=SHORT_DRAIN)

    with server.raw() as first, server.raw() as second:
        first.get("/sync/never-return?a=1")
        second.get("/async/never-return")
        eventually(lambda: len(server.state()["holding"]) == 2, "both to be stuck")
        server.signal(signal.SIGTERM)
        assert first.receive() == second.receive() == b""
        assert server.wait() == 0

    log = server.log()
    assert "GET /sync/never-return?a=1 in live_consumers.never_return for" in log
    assert "GET /async/never-return in live_consumers.never_return_async for" in log
    assert "live_consumers.py" in log
    assert "threading.Event().wait()" in log
    assert "Closing connections with 2 requests unanswered" in log
    assert "SIGKILL" not in log


def test_hup_does_not_wait_for_a_stuck_thread_beyond_the_deadline(serve):
    server = serve("--threads", "2", config=SHORT_DRAIN)
    [old] = server.workers()

    with server.raw() as stuck:
        stuck.get("/sync/never-return")
        eventually(lambda: server.state()["holding"], "the thread to be stuck")
        server.signal(signal.SIGHUP)
        eventually(lambda: old not in server.workers(), "the old worker to leave")

    assert server.get("/sync/hello").status_code == 200


@pytest.mark.parametrize(("side", "error"), [("sync", "ServerStopping"), ("async", "CancelledError")])
def test_a_consumer_that_waits_in_send_is_released_at_the_deadline(serve, side, error):
    server = serve(config=SHORT_DRAIN + EXIT_HOOK)

    with server.raw(receive_buffer=4096) as raw:
        raw.get(f"/{side}/stream?chunks=100000").receive(size=100)
        server.signal(signal.SIGTERM)
        assert server.wait() == 0

    assert f"{side} stream: {error}" in (server.folder / "calls.txt").read_text()


def test_a_thread_that_waits_for_a_body_is_released_at_the_deadline(serve):
    server = serve("--threads", "1", config=SHORT_DRAIN)

    with server.raw() as raw:
        raw.send(b"POST /sync/digest-as-it-comes HTTP/1.1\r\nHost: test\r\nContent-Length: 900000\r\n\r\n")
        raw.send(b"x" * 100_000)
        eventually(lambda: "uvicorn-consumer-1" in server.state()["threads"], "the thread to run")
        server.signal(signal.SIGTERM)
        assert server.wait() == 0

    assert "SIGKILL" not in server.log()


EXIT_HOOK = """
def worker_exit(server, worker):
    import live_consumers
    with open("calls.txt", "w") as file:
        file.write(repr(dict(live_consumers.calls)))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT], ids=["int", "quit"])
@pytest.mark.parametrize("path", ["/sync/never-return", "/async/never-return", "/sync/stream?chunks=100000"])
def test_a_quick_stop_waits_for_nothing(serve, number, path):
    server = serve("--threads", "1")

    with server.raw(receive_buffer=4096) as raw:
        raw.get(path)
        eventually(lambda: server.state()["objects"]["Exchange"] >= 2, "the request to run")
        server.signal(number)
        assert server.wait() == 0

    assert "SIGKILL" not in server.log()


def test_a_second_signal_hurries_a_graceful_stop(serve):
    server = serve()

    with server.raw() as raw:
        raw.get("/sync/never-return")
        eventually(lambda: server.state()["holding"], "the request to run")
        server.signal(signal.SIGTERM)
        server.wait_for_log("Worker stopping")
        server.signal(signal.SIGINT)
        assert server.wait() == 0


@pytest.mark.slow
def test_a_blocked_loop_is_told_with_every_stack_and_the_requests_in_flight(serve):
    server = serve("--timeout", "2", "--threads", "2", config=PATIENT_MASTER)
    [old] = server.workers()

    with server.raw() as held, server.raw() as blocking:
        held.get("/sync/hold?name=beside")
        eventually(lambda: server.state()["holding"], "a request beside it")
        blocking.get("/async/block-the-loop?x=1")
        server.wait_for_log("the loop is blocked")
        (server.folder / "may-abort").touch()
        log = server.wait_for_log("Worker aborted")
        assert "its event loop has done nothing for" in log
        assert "write it as a plain 'def'" in log
        (server.folder / "may-abort").unlink()  # the next one may stand still
        eventually(lambda: old not in server.workers(), "the old worker to leave")
        log = server.log()

    assert "WORKER TIMEOUT" in log
    assert "Requests in flight: 2" in log
    assert "GET /async/block-the-loop?x=1 in live_consumers.block_the_loop (loop) for" in log
    assert "GET /sync/hold?name=beside in live_consumers.hold (pool) for" in log
    assert "Thread MainThread:" in log
    assert "Thread uvicorn-consumer-1:" in log
    assert "time.sleep(3600)" in log
    eventually(lambda: server.workers() and server.get("/async/hello").status_code == 200, "a new worker")


@pytest.mark.slow
def test_a_busy_pool_does_not_look_like_a_blocked_loop(serve):
    """The time between heartbeats is counted in what the worker gets of a processor: others may take the rest."""
    server = serve("--threads", "4")
    [worker] = server.workers()
    [heartbeat] = [path for path, name in descriptors(worker) if "/wgunicorn-" in name]
    beats, most = [], 0.0

    with ThreadPoolExecutor(4) as clients:
        answers = [clients.submit(server.get, "/sync/spin?seconds=8") for _ in range(4)]
        while not all(answer.done() for answer in answers):
            beat, used = heartbeat.stat().st_mtime_ns, cpu_seconds(worker)
            if not beats or beat != beats[-1][0]:
                beats.append((beat, used))
            most = max(most, used - beats[-1][1])
            time.sleep(0.01)

    assert [answer.result().text for answer in answers] == ["spun"] * 4
    assert most < 5
    assert len(beats) > 3
    assert server.workers() == [worker]


def cpu_seconds(pid):
    """Return the processor time that a process has used."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, words[11:13])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
def test_a_worker_whose_master_has_gone_leaves(serve):
    server = serve("--threads", "1")
    [orphan] = server.workers()

    with server.raw() as raw, server.raw() as releasing:
        raw.get("/sync/hold?name=orphan")
        eventually(lambda: server.state()["holding"], "the request to run")
        releasing.begin("/release?name=orphan")
        server.process.kill()
        server.wait()
        server.wait_for_log("Parent changed, shutting down")
        releasing.end()
        assert raw.receive().endswith(b"orphan")

    eventually(lambda: has_left(orphan), "the worker to leave")


def test_a_worker_that_is_killed_is_replaced(serve):
    server = serve()
    [old] = server.workers()

    os.kill(old, signal.SIGKILL)
    eventually(lambda: server.workers() not in ([], [old]), "a new worker")

    assert server.get("/sync/hello").status_code == 200


def test_usr1_reopens_the_logs(serve):
    server = serve("--access-logfile", "access.txt")
    access = server.folder / "access.txt"
    server.get("/async/hello")
    eventually(lambda: "/async/hello" in access.read_text(), "the first line")

    access.rename(server.folder / "old.txt")
    server.signal(signal.SIGUSR1)
    eventually(access.exists, "a new file")

    def is_written():
        server.get("/sync/hello")
        return "/sync/hello" in access.read_text()

    eventually(is_written, "a line in the new file")


def test_a_worker_ignores_winch_and_serves_on(serve):
    """A resized terminal sends it to the whole group of processes."""
    server = serve()
    [worker] = server.workers()

    os.kill(worker, signal.SIGWINCH)
    server.signal(signal.SIGWINCH)

    assert server.get("/sync/hello").status_code == 200
    assert server.workers() == [worker]
    assert server.stop() == 0


def test_usr2_gives_the_sockets_to_a_new_master(serve):
    server = serve("--pid", "master.pid")
    new = 0
    stopping = threading.Event()

    def ask():
        answers = []
        while not stopping.is_set():
            answers.append(server.get("/sync/hello").status_code)
        return answers

    try:
        with ThreadPoolExecutor(1) as clients:
            answers = clients.submit(ask)
            try:
                server.signal(signal.SIGUSR2)
                new = int(eventually(lambda: text_of(server.folder / "master.pid.2"), "the new master"))
                server.wait_for_log("Booting worker", count=2)
                server.signal(signal.SIGTERM)
                assert server.wait() == 0
                for _ in range(5):
                    assert server.get("/async/hello").status_code == 200
            finally:
                stopping.set()
            assert set(answers.result()) == {200}
    finally:
        if new:
            os.kill(new, signal.SIGTERM)
            eventually(lambda: has_left(new), "the new master to leave")


def text_of(path):
    return path.read_text().strip() if path.exists() else ""


@pytest.mark.slow
def test_a_loop_that_is_blocked_in_c_code_names_the_line_all_the_same(serve):
    server = serve("--timeout", "2", config=PATIENT_MASTER)
    [old] = server.workers()

    with server.raw() as blocking:
        blocking.get("/async/block-in-c")
        server.wait_for_log("the loop is blocked in C")
        (server.folder / "may-abort").touch()
        server.wait_for_log("in block_in_c")
        (server.folder / "may-kill").touch()
        eventually(lambda: old not in server.workers(), "the old worker to be killed")

    assert "WORKER TIMEOUT" in server.log()
    assert "odd_consumers.py" in server.log()


@pytest.mark.parametrize("path", ["/async/leave-a-thread", "/async/leave-a-generator"])
def test_what_an_application_leaves_behind_does_not_keep_the_worker(serve, path):
    server = serve()
    [old] = server.workers()
    assert server.get(path).status_code == 200
    server.signal(signal.SIGHUP)
    eventually(lambda: has_left(old), "the old worker to leave")
    assert "SIGKILL" not in server.log()


def test_a_task_that_exits_the_process_stops_the_worker_in_order(serve):
    server = serve()
    [old] = server.workers()
    assert server.get("/async/exit-in-a-task").text == "answered all the same"
    eventually(lambda: has_left(old), "the old worker to leave")
    assert "asked the process to exit" in server.log()
