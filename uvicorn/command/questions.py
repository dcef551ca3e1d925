"""The commands that ask a running master: `uvicorn status`, `uvicorn dump` and `uvicorn top`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any, Final

from uvicorn.command.asking import AskingError, ask, master_of, statuses, workers_of
from uvicorn.command.shown import shown_seconds
from uvicorn.watching.families import add_up, from_rows, quantile

__all__ = ["COMMANDS", "run"]


def run(words: list[str]) -> int:
    """Do what the words after `uvicorn` say; return the exit code."""
    parser = argparse.ArgumentParser(prog=f"uvicorn {words[0]}", description=COMMANDS[words[0]])
    parser.add_argument("--pid", type=int, help="process id of the master, or of one of its workers")
    parser.add_argument("--pidfile", metavar="FILE", help="Gunicorn's pid file")
    parser.add_argument("--status-dir", metavar="PATH", help="where the workers' sockets are, if not at a usual place")
    if words[0] == "status":
        parser.add_argument("--json", action="store_true", help="all numbers, for programs")
    if words[0] == "dump":
        parser.add_argument("--stacks", action="store_true", help="add the stack of every thread")
    if words[0] == "top":
        parser.add_argument("--once", action="store_true", help="draw one page, and leave")
    options = parser.parse_args(words[1:])
    places = [Path(options.status_dir)] if options.status_dir else None
    try:
        master = master_of(options.pid, options.pidfile, places)
        if words[0] == "dump":
            return _dump(master, places, options.stacks)
        if words[0] == "status":
            return _status(master, places, options.json)
        from uvicorn.command.top import show

        return show(master, places, options.once)
    except AskingError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1


def _dump(master: int, places: list[Path] | None, with_stacks: bool) -> int:
    failures = 0
    for number, worker in enumerate(workers_of(master, places)):
        try:
            text = ask(worker, "stacks" if with_stacks else "dump")
        except AskingError as error:
            failures += 1
            text = f"Worker {worker.pid}\n{error}"
        print(("\n" if number else "") + text)
    return 1 if failures else 0


def _status(master: int, places: list[Path] | None, is_json: bool) -> int:
    workers = statuses(master, places)
    if is_json:
        print(json.dumps({"master": master, "time": time.time(), "workers": workers}))
    else:
        print("\n".join(_lines(master, workers)))
    return 0 if workers else 1


def _lines(master: int, workers: list[dict[str, Any]]) -> list[str]:
    lines = [f"Master {master}, {len(workers)} workers"]
    for worker in workers:
        if "error" in worker:
            lines.append(f"  {worker['pid']}: {worker['error']}")
            continue
        figures = from_rows(worker["figures"])
        runs = add_up({"consumer_run_seconds": {(): value}} for value in figures["consumer_run_seconds"].values())
        histogram = runs.get("consumer_run_seconds", {}).get((), [0.0])
        busy, threads, queued = (
            sum(figures.get(name, {}).values()) for name in ("pool_busy", "pool_threads", "pool_queued")
        )
        lines.append(
            f"  {worker['pid']}: {figures['requests'][()]} requests, {len(worker['in_flight'])} in flight, "
            f"p50 {shown_seconds(quantile(histogram, 0.5))}, p99 {shown_seconds(quantile(histogram, 0.99))}, "
            f"{busy} of {threads} threads, {queued} queued, "
            f"{figures.get('memory_bytes', {}).get((), 0) / 1048576:.0f} MiB"
            + (", stopping" if worker["is_stopping"] else "")
            + (f", loop silent for {worker['loop']['silent_seconds']:.1f} s" if worker["loop"]["doing"] else "")
        )
    return lines


COMMANDS: Final = {
    "status": "Tell the numbers of each worker of a running master, once.",
    "dump": "Tell what each worker of a running master does just now: requests in flight, with the line of each.",
    "top": "Show the workers of a running master on a page of the terminal, anew each second.",
}
