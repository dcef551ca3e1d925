"""Figures as text for Prometheus, or as OpenMetrics; and the page on which a scraper reads them.

`prometheus_client` writes the text (extra `metrics`). It is imported when the first page is asked for.
Runs on: the thread aside.
"""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Any, Final

from uvicorn.bridge.tally import BOUNDS
from uvicorn.watching.families import COUNTER, FAMILIES, HISTOGRAM, Figures

__all__ = ["MetricsPage", "exposed", "is_available"]

_PREFIX: Final = "uvicorn_"
_MOST_BYTES: Final = 16384  # of the head of a request; arbitrary
_PATHS: Final = ("/metrics", "/")


def is_available() -> bool:
    """Whether the library that writes the text is installed."""
    return importlib.util.find_spec("prometheus_client") is not None


def exposed(figures: Figures, accept: str) -> tuple[bytes, str]:
    """Return the text of these figures, and its content type, in the format that `accept` asks for."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import choose_encoder

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Source(figures))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Source:
    """What the library asks for the metrics."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Any]:
        """Yield each family that has values."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        for name, family in FAMILIES.items():
            values = self._figures.get(name)
            if not values:
                continue
            metric: Any
            if family.kind == HISTOGRAM:
                metric = HistogramMetricFamily(_PREFIX + name, family.text, labels=family.labels)
                for labels, (total, *counts) in values.items():
                    buckets = zip((*map(repr, BOUNDS), "+Inf"), accumulate(counts), strict=True)
                    metric.add_metric(labels, buckets=[*buckets], sum_value=total)
            else:
                make = CounterMetricFamily if family.kind == COUNTER else GaugeMetricFamily
                metric = make(_PREFIX + name, family.text, labels=family.labels)
                for labels, value in values.items():
                    metric.add_metric(labels, value)
            yield metric


class MetricsPage:
    """What answers scrapers, in HTTP, on a port of its own.

    Args:
        read: returns the figures of all workers.
    """

    def __init__(self, read: Callable[[], Figures]) -> None:
        self._read = read

    def __call__(self, caller: socket.socket) -> None:
        """Answer one request, and close. Raises: OSError."""
        head = _head_of(caller)
        line, _, rest = head.partition("\r\n")
        method, _, target = line.partition(" ")
        path = target.partition(" ")[0].partition("?")[0]
        if method not in ("GET", "HEAD"):
            status, body, content_type = "405 Method Not Allowed", b"GET or HEAD\n", "text/plain"
        elif path not in _PATHS:
            status, body, content_type = "404 Not Found", b"The metrics are at /metrics\n", "text/plain"
        else:
            status = "200 OK"
            body, content_type = exposed(self._read(), _field(rest, "accept"))
        answer = (
            f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n"
            "connection: close\r\n\r\n"
        )
        caller.sendall(answer.encode("latin-1") + (b"" if method == "HEAD" else body))


def _head_of(caller: socket.socket) -> str:
    data = b""
    while b"\r\n\r\n" not in data:
        more = caller.recv(4096)
        if not more or len(data) > _MOST_BYTES:
            raise OSError("no complete request")
        data += more
    return data.partition(b"\r\n\r\n")[0].decode("latin-1")


def _field(head: str, name: str) -> str:
    for line in head.split("\r\n"):
        key, _, value = line.partition(":")
        if key.strip().lower() == name:
            return value.strip()
    return ""
