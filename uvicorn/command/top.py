"""A page of the terminal that shows what the workers of a running master do, anew each second."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from uvicorn.command.asking import AskingError, statuses
from uvicorn.command.shown import shown_seconds
from uvicorn.watching.families import Figures, add_up, from_rows, quantile

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Page", "show"]

_PERIOD_SECONDS: Final = 1.0
_MOST_CONSUMERS: Final = 8
_MOST_REQUESTS: Final = 8
_MOST_WARNINGS: Final = 4
_TEXTS: Final = ("worker", "consumer", "at", "state", "side")


def show(master: int, places: Iterable[Path] | None, is_once: bool) -> int:
    """Draw until somebody interrupts, or the workers are gone; return the exit code. Raises: AskingError."""
    try:
        from rich.console import Console
        from rich.live import Live
    except ImportError:
        raise AskingError("'uvicorn top' needs rich: pip install uvicorn[top]") from None
    console = Console()
    page = Page(master)
    page.take(statuses(master, places), time.monotonic())
    if is_once:
        time.sleep(_PERIOD_SECONDS)
        page.take(statuses(master, places), time.monotonic())
        console.print(page.drawn())
        return 0
    try:
        with Live(page.drawn(), console=console, screen=True, auto_refresh=False) as live:
            while page.workers:
                time.sleep(_PERIOD_SECONDS)
                page.take(statuses(master, places), time.monotonic())
                live.update(page.drawn(), refresh=True)
    except KeyboardInterrupt:
        return 0
    console.print(f"Master {master} has no workers any more")
    return 0


class Page:
    """What is drawn: the last answers of the workers, and what has changed since those before."""

    def __init__(self, master: int) -> None:
        self.master = master
        self.workers: list[dict[str, Any]] = []
        self._figures: dict[int, Figures] = {}
        self._before: dict[int, Figures] = {}
        self._seconds = 0.0
        self._at = 0.0

    def take(self, workers: list[dict[str, Any]], now: float) -> None:
        """Take the answers of all workers."""
        self._before = self._figures
        self._seconds, self._at = now - self._at if self._at else 0.0, now
        self.workers = workers
        self._figures = {worker["pid"]: from_rows(worker["figures"]) for worker in workers if "figures" in worker}

    def drawn(self) -> RenderableType:
        """Return the page."""
        from rich.console import Group
        from rich.text import Text

        title = Text(f"uvicorn master {self.master}: {len(self.workers)} workers, {time.strftime('%H:%M:%S')}", "bold")
        parts: list[RenderableType] = [title, self._worker_table(), self._consumer_table(), self._request_table()]
        warnings = sorted(
            (one for worker in self.workers for one in worker.get("warnings", ())), key=lambda one: one[0]
        )
        parts.append(Text("Last warnings" if warnings else "No warnings", "bold"))
        for at, level, text in warnings[-_MOST_WARNINGS:]:
            shown = f"{time.strftime('%H:%M:%S', time.localtime(at))} {level} {text.partition(chr(10))[0]}"
            parts.append(Text(shown, no_wrap=True, overflow="ellipsis"))
        return Group(*parts)

    def _worker_table(self) -> Any:
        table = _table("worker", "req/s", "p50", "p99", "flight", "threads", "queued", "lag", "MiB", "state")
        for worker in self.workers:
            pid = worker["pid"]
            figures = self._figures.get(pid)
            if figures is None:
                table.add_row(str(pid), *["-"] * 8, str(worker.get("error", "")))
                continue
            runs = _total(self._grown(pid, "consumer_run_seconds"))
            lag = _total(self._grown(pid, "loop_lag_seconds"))
            count = sum(lag[1:])
            table.add_row(
                str(pid),
                f"{self._rate(_total(self._grown(pid, 'requests'))):.0f}",
                shown_seconds(quantile(runs, 0.5)),
                shown_seconds(quantile(runs, 0.99)),
                str(len(worker["in_flight"])),
                f"{_sum(figures, 'pool_busy'):.0f}/{_sum(figures, 'pool_threads'):.0f}"
                + (f" ({_sum(figures, 'pool_stuck'):.0f} stuck)" if _sum(figures, "pool_stuck") else ""),
                f"{_sum(figures, 'pool_queued'):.0f}",
                shown_seconds(lag[0] / count) if count else "-",
                f"{_sum(figures, 'memory_bytes') / 1048576:.0f}",
                self._state(worker),
            )
        return table

    @staticmethod
    def _state(worker: dict[str, Any]) -> str:
        if worker["loop"]["doing"]:
            doing = worker["loop"]["doing"]
            return f"blocked {worker['loop']['silent_seconds']:.1f} s at {_short(doing.partition(' at ')[2] or doing)}"
        return "stopping" if worker["is_stopping"] else "serving"

    def _consumer_table(self) -> Any:
        table = _table("consumer, by time spent", "side", "calls/s", "busy", "p50", "p99", "waited p99")
        grown = add_up({"consumer_run_seconds": self._grown(pid, "consumer_run_seconds")} for pid in self._figures)
        waits = add_up({"consumer_wait_seconds": self._grown(pid, "consumer_wait_seconds")} for pid in self._figures)
        runs = grown.get("consumer_run_seconds", {})
        for labels in sorted(runs, key=lambda labels: -runs[labels][0])[:_MOST_CONSUMERS]:
            value = runs[labels]
            if not sum(value[1:]):
                continue
            name, mount, side = labels
            waited = waits.get("consumer_wait_seconds", {}).get((name, mount), [0.0])
            table.add_row(
                f"{name} {mount}".rstrip(),
                side,
                f"{self._rate(sum(value[1:])):.1f}",
                f"{self._rate(value[0]):.2f}",
                shown_seconds(quantile(value, 0.5)),
                shown_seconds(quantile(value, 0.99)),
                shown_seconds(quantile(waited, 0.99)),
            )
        return table

    def _request_table(self) -> Any:
        table = _table("slowest just now", "seconds", "worker", "consumer", "at")
        calls = [(call, worker["pid"]) for worker in self.workers for call in worker.get("in_flight", ())]
        for call, pid in sorted(calls, key=lambda one: -one[0]["seconds"])[:_MOST_REQUESTS]:
            at = _short(call["line"]) if call["state"] == "running" else "waits for a thread"
            table.add_row(call["request"], f"{call['seconds']:.1f}", str(pid), call["consumer"], at)
        return table

    def _grown(self, pid: int, name: str) -> dict[tuple[str, ...], Any]:
        """Return by how much the values of a family have grown since the answers before."""
        now, before = self._figures[pid].get(name, {}), self._before.get(pid, {}).get(name, {})
        return {labels: _difference(value, before.get(labels)) for labels, value in now.items()}

    def _rate(self, value: float) -> float:
        return value / self._seconds if self._seconds else 0.0


def _table(*columns: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    for column in columns:
        is_text = column in _TEXTS or "," in column or " just " in column
        table.add_column(
            column,
            overflow="ellipsis",
            no_wrap=True,
            min_width=None if is_text and column != "worker" else len(column),
            justify="left" if is_text else "right",
        )
    return table


def _short(line: str) -> str:
    """Return the name of the file, the line and the function of "/path/app.py:7, in slow, which is in ..."."""
    place, _, function = line.partition(", which is in ")[0].partition(", in ")
    return f"{place.rpartition('/')[2]} {function}".rstrip()


def _difference(value: Any, before: Any) -> Any:
    if before is None:
        return value
    if isinstance(value, list):
        return [one - other for one, other in zip(value, before, strict=True)]
    return value - before


def _total(values: dict[tuple[str, ...], Any]) -> Any:
    """Return all values of a family as one."""
    total: Any = None
    for value in values.values():
        if total is None:
            total = value
        elif isinstance(value, list):
            total = [one + other for one, other in zip(total, value, strict=True)]
        else:
            total += value
    return [0.0] if total is None else total


def _sum(figures: Figures, name: str) -> float:
    return float(sum(figures.get(name, {}).values()))
