"""The page that scrapers read, in both formats, by the parsers of the library."""

import contextlib
import socket
import threading

import pytest
from patience import PATIENCE_SECONDS
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from uvicorn.bridge.tally import BOUNDS
from uvicorn.watching.exposition import MetricsPage
from uvicorn.watching.families import Figures

HISTOGRAM = [0.7, 0, 0, 2] + [0] * (len(BOUNDS) - 3) + [1]
FIGURES: Figures = {
    "requests": {(): 3},
    "responses": {("200",): 2, ("500",): 1},
    "consumer_run_seconds": {('app."odd"\\name', "/reports", "pool"): HISTOGRAM},
    "pool_threads": {("uvicorn-consumer",): 4},
    "refused": {},
}


def asked(*parts):
    """Return what the page answers to a request that comes in parts."""
    page = MetricsPage(lambda: FIGURES)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(PATIENCE_SECONDS)
        failures = []

        def answer():
            with theirs:
                try:
                    page(theirs)
                except OSError as error:
                    failures.append(error)

        thread = threading.Thread(target=answer)
        thread.start()
        data = b""
        with contextlib.suppress(ConnectionError):  # with more than it reads, the page has left
            for part in parts:
                ours.sendall(part)
            ours.shutdown(socket.SHUT_WR)
            while more := ours.recv(65536):
                data += more
        thread.join()
    head, _, body = data.partition(b"\r\n\r\n")
    return head.decode(), body.decode(), failures


@pytest.mark.parametrize(
    ("accept", "kind", "parse"),
    [
        ("text/plain", "text/plain", parse_text),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text", parse_openmetrics),
    ],
)
def test_the_figures_are_read_in_both_formats(accept, kind, parse):
    head, body, _ = asked(b"GET /metrics HTTP/1.1\r\nHost: x\r\n", f"Accept: {accept}\r\n\r\n".encode())
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    assert f"content-type: {kind}" in head
    assert f"content-length: {len(body)}" in head
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value for one in parse(body) for sample in one.samples
    }
    assert samples["uvicorn_requests_total",] == 3
    assert samples["uvicorn_responses_total", ("status", "500")] == 1
    assert samples["uvicorn_pool_threads", ("pool", "uvicorn-consumer")] == 4
    labels = (("consumer", 'app."odd"\\name'), ("mount", "/reports"), ("side", "pool"))
    assert samples.get(("uvicorn_consumer_run_seconds_sum", *labels)) == 0.7
    assert samples.get(("uvicorn_consumer_run_seconds_count", *labels)) == 3
    buckets = {
        dict(labels)["le"]: value
        for (name, *labels), value in samples.items()
        if name == "uvicorn_consumer_run_seconds_bucket"
    }
    assert (buckets["0.001"], buckets["0.0025"], buckets["30.0"], buckets["+Inf"]) == (0, 2, 2, 3)
    assert "uvicorn_refused" not in body


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"GET /other HTTP/1.1\r\n\r\n", "404 Not Found"),
        (b"POST /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
        (b"GET /metrics?x=1 HTTP/1.1\r\n\r\n", "200 OK"),
        (b"GET / HTTP/1.0\r\n\r\n", "200 OK"),
    ],
)
def test_other_requests(request_head, status):
    head, _, _ = asked(request_head)
    assert head.startswith(f"HTTP/1.1 {status}\r\n")


def test_head_has_no_body():
    head, body, _ = asked(b"HEAD /metrics HTTP/1.1\r\n\r\n")
    assert "content-length: " in head
    assert body == ""


@pytest.mark.parametrize("data", [b"", b"GET /metrics HTTP/1.1\r\n", b"x" * 40000])
def test_what_is_no_request_gets_no_answer(data):
    head, body, failures = asked(data)
    assert (head, body) == ("", "")
    assert len(failures) == 1
