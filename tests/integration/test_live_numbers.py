"""The numbers of all workers equal what the clients counted, over a reload and over a worker that was killed."""

import os
import signal
import threading

import httpx
import pytest
from plain_http import get
from ports import free_port
from processes import eventually
from prometheus_client.parser import text_string_to_metric_families

from uvicorn.bridge.tally import BOUNDS

BATCH = 60  # requests of each client and kind


class Metrics:
    """What a scraper reads."""

    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}/metrics"
        self.values = {}

    def page(self):
        try:
            return get(self.url).text
        except httpx.TransportError:  # a worker that leaves waits a second for it, and this machine took longer
            return None

    def read(self):
        """Read the page; no counter may be lower than before."""
        text = eventually(self.page, "the page")
        values = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                key = (sample.name, *sorted(sample.labels.items()))
                values[key] = sample.value
                if family.type in ("counter", "histogram"):
                    assert sample.value >= self.values.get(key, 0), key
        for key in self.values:
            if key[0].endswith(("_total", "_bucket", "_count", "_sum")):
                assert key in values
        self.values = values
        return self

    def total(self, name, **labels):
        return sum(
            value
            for (found, *pairs), value in self.values.items()
            if found == name and labels.items() <= dict(pairs).items()
        )


@pytest.fixture(scope="module", params=["uvicorn", "gunicorn"])
def measured(serve_module, request):
    """A server with three workers, and what its scraper sees."""
    port = free_port()
    server = serve_module(
        "--threads", "2", "--workers", "3", app="watched_consumers:routes", command=request.param,
        env={"UVICORN_METRICS_BIND": f"127.0.0.1:{port}"},
    )  # fmt: skip
    eventually(lambda: Metrics(port).read().total("uvicorn_workers") == 3, "three workers")
    return server, Metrics(port), {"requests": 1, "bytes": 0}  # the fixture's own look at it


def load(server, counted, clients=4):
    """Make a load of known size; every request is answered."""
    bytes_read = []

    def run():
        with server.client() as client:
            for _ in range(BATCH):
                for path in ("/hello", "/hello-in-thread"):
                    answer = client.get(path)
                    assert answer.status_code == 200
                    bytes_read.append(len(answer.content))
            assert client.post("/hello", content=b"x" * 1000).status_code == 200

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(bytes_read) == clients * BATCH * 2
    counted["requests"] += clients * (2 * BATCH + 1)
    counted["bytes"] += sum(bytes_read)


def agrees(metrics, counted):
    """Whether the numbers are those of the clients."""
    metrics.read()
    return (
        metrics.total("uvicorn_requests_total") == counted["requests"]
        and metrics.total("uvicorn_responses_total", status="200") == counted["requests"]
        and metrics.total("uvicorn_consumer_run_seconds_count") == counted["requests"]
        and metrics.total("uvicorn_consumer_wait_seconds_count") == (counted["requests"] - 1) // (2 * BATCH + 1) * BATCH
    )


def test_the_numbers_are_exact_over_a_reload_and_none_goes_back(measured):
    server, metrics, counted = measured
    load(server, counted)
    eventually(lambda: agrees(metrics, counted), lambda: f"{counted} of {metrics.values}")
    before = set(server.workers())
    server.signal(signal.SIGHUP)
    stop = threading.Event()

    def watch():
        while not stop.is_set():
            metrics.read()  # no counter goes back while workers come and go

    watching = threading.Thread(target=watch)
    watching.start()
    eventually(lambda: not before & set(server.workers()) and len(server.workers()) == 3, "new workers")
    stop.set()
    watching.join()
    load(server, counted)
    eventually(lambda: agrees(metrics, counted), lambda: f"{counted} of {metrics.values}")
    assert metrics.total("uvicorn_received_bytes_total") > 1000
    assert metrics.total("uvicorn_sent_bytes_total") > counted["bytes"]


def test_what_a_killed_worker_has_told_is_kept(measured):
    server, metrics, counted = measured
    load(server, counted)
    eventually(lambda: agrees(metrics, counted), lambda: f"{counted} of {metrics.values}")
    killed = server.workers()[0]
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: killed not in server.workers() and len(server.workers()) == 3, "another worker")
    eventually(lambda: metrics.read().total("uvicorn_workers") == 3, "all three to tell")
    assert agrees(metrics, counted)
    load(server, counted)
    eventually(lambda: agrees(metrics, counted), lambda: f"{counted} of {metrics.values}")


def test_the_page_is_read_while_the_loops_are_blocked(measured):
    server, metrics, counted = measured
    threads = [threading.Thread(target=server.get, args=("/sleeps-long",)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        metrics.read()
    for thread in threads:
        thread.join()
    counted["requests"] += 6
    eventually(lambda: metrics.read().total("uvicorn_requests_total") == counted["requests"], "the count")
    assert metrics.total("uvicorn_consumer_run_seconds_bucket", consumer="watched_consumers.sleeps_long", le="1.0") == 0
    assert f'"{BOUNDS[-1]}"' in repr(metrics.values).replace("'", '"')
