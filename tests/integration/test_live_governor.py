"""The governor in a real worker: computing consumers are limited, waiting ones are not, and it can be switched off."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from processes import PATIENT_MASTER, eventually

LEAST_SHARE = 0.6  # of a core, for the worker: below it the machine is busy, and the governor rightly stands aside
MOST_CPU_SECONDS = 10.0  # that the worker uses without being limited; it takes less than one


class Load:
    """Keep some clients asking for a page."""

    def __init__(self, server, path, clients):
        self._server = server
        self._path = path
        self._is_over = threading.Event()
        self._pool = ThreadPoolExecutor(clients)
        self.statuses = []
        self._futures = [self._pool.submit(self._ask) for _ in range(clients)]

    def _ask(self):
        with self._server.client() as client:
            while not self._is_over.is_set():
                self.statuses.append(client.get(self._path).status_code)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._is_over.set()
        for future in self._futures:
            future.result()
        self._pool.shutdown()


def test_consumers_that_compute_are_limited_and_all_are_answered(serve):
    server = serve("--threads", "16", "--log-level", "debug")

    with Load(server, "/sync/compute", 12) as load:
        wait_until_limited(server)
        assert server.get("/async/hello").text == "hello from the loop"
        count = len(load.statuses)
        eventually(lambda: len(load.statuses) >= count + 24, "answers under the limit")

    assert set(load.statuses) == {200}
    assert "Governor: <PoolSampler limit " in server.log()
    assert server.get("/sync/hello").text == "hello from a thread"


def wait_until_limited(server):
    """Wait by the processor time that the worker was given: others may take the rest of the machine."""
    stat = Path(f"/proc/{server.worker()}/stat")

    def cpu_seconds():
        return sum(map(int, stat.read_text().rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")

    began, used = time.monotonic(), cpu_seconds()

    def is_settled():
        return "; the loop waits" in server.log() or cpu_seconds() - used > MOST_CPU_SECONDS

    eventually(is_settled, "a limit")
    if "; the loop waits" not in server.log():
        share = (cpu_seconds() - used) / (time.monotonic() - began)
        assert share < LEAST_SHARE, server.log()
        pytest.skip(f"other processes take the processor: {share:.0%} of one were left")


def test_consumers_that_wait_get_all_threads(serve):
    server = serve("--threads", "16", "--log-level", "debug")

    with ThreadPoolExecutor(16) as clients:
        held = [clients.submit(server.get, "/sync/hold?name=all") for _ in range(16)]
        eventually(lambda: sum(server.state()["holding"].values()) == 16, "all threads to be busy")
        server.get("/release?name=all")
        assert [answer.result().status_code for answer in held] == [200] * 16


def test_the_governor_can_be_switched_off(serve):
    server = serve("--threads", "16", "--governor", "off", "--log-level", "debug")

    with Load(server, "/sync/compute", 12) as load:
        eventually(lambda: len(load.statuses) >= 100, "answers")

    assert set(load.statuses) == {200}
    assert "Governor" not in server.log()


@pytest.mark.parametrize(
    ("args", "interval"), [((), 0.0007), (("--switch-interval", "0.002"), 0.002), (("--switch-interval", "0"), 0.005)]
)
def test_the_switch_interval_of_a_worker_is_that_of_the_settings(serve, args, interval):
    assert serve(*args).state()["switch_interval"] == pytest.approx(interval)


def test_a_worker_that_is_aborted_tells_the_state_of_its_pool(serve):
    server = serve("--threads", "4", "--timeout", "2", config=PATIENT_MASTER)
    with server.raw() as raw:
        raw.get("/async/block-the-loop")
        server.wait_for_log("the loop is blocked")
        (server.folder / "may-abort").touch()
        log = server.wait_for_log("<PoolSampler")
    assert "<ConsumerPool 0 running, 0 waiting, 0 queued / 4>" in log
    assert "<PoolSampler limit 4.00 of 4>" in log
