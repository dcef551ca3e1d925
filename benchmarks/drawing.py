"""Draw the stored results. A program of its own, since it needs matplotlib: `python drawing.py RESULTS FOLDER`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_OURS, _OTHERS = "#1f6f8b", "#b9b4ab"
_CONTENDERS = {"ours": _OURS, "ours, governor off": "#99c1ce", "Starlette on uvicorn": "#c9a66b"}
_CONTENDERS["Starlette on granian"] = _OTHERS
_LOADS = {
    "nothing": "nothing",
    "wait10": "wait\n10 ms",
    "compute1": "compute\n1 ms",
    "compute5": "compute\n5 ms",
    "compute20": "compute\n20 ms",
    "view": "typical\nview",
    "hash": "hash in C\n5 ms",
    "half": "wait 5 ms\ncompute 5 ms",
    "mixture": "waiting and\ncomputing",
}


def main(results: Path, folder: Path) -> None:
    """Draw what there is."""
    # Text stays text, and the same figures make the same file.
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "benchmarks", "font.size": 9})
    hello = _read(results, "hello-50")
    if hello is not None:
        _save(_rates(hello), folder / "benchmarks-hello.svg")
    beside = {load: found for load in _LOADS if (found := _read(results, f"beside-{load}")) is not None}
    if beside:
        _save(_latencies(beside), folder / "benchmarks-beside.svg")


def _rates(result: dict[str, Any]) -> Figure:
    """Draw requests per second, one bar for each server, in two groups."""
    sides = {"async": "on the event loop", "sync": "in threads"}
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True)
    for axis, (side, title) in zip(axes, sides.items(), strict=True):
        rates = {
            name: one["figures"]["requests_per_second"]
            for name, one in result["contenders"].items()
            if one["side"] == side or (side == "async" and one["side"] == "limit")
        }
        names = sorted(rates, key=lambda name: rates[name]["median"])
        medians = [rates[name]["median"] for name in names]
        spread = [
            [rates[name]["median"] - rates[name]["low"] for name in names],
            [rates[name]["high"] - rates[name]["median"] for name in names],
        ]
        colours = [_OURS if name.startswith("ours") else _OTHERS for name in names]
        axis.barh(names, medians, xerr=spread, color=colours, error_kw={"lw": 0.8})
        axis.set_title(f"{result['title']}: {title}", loc="left")
        _plain(axis)
    axes[-1].set_xlabel("requests per second on one core: median, and range over the rounds")
    return figure


def _latencies(beside: dict[str, dict[str, Any]]) -> Figure:
    """Draw the latency of the asynchronous page beside each load, on a logarithmic scale."""
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots(2, 1, sharex=True)
    titles = {"p50_ms": "median", "p99_ms": "99th percentile"}
    for axis, (metric, title) in zip(axes, titles.items(), strict=True):
        for number, (name, colour) in enumerate(_CONTENDERS.items()):
            bars = {
                at + (number - 1.5) * 0.2: one["contenders"][name]["figures"][metric]["median"]
                for at, one in enumerate(beside.values())
                if name in one["contenders"]
            }
            axis.bar(list(bars), list(bars.values()), width=0.2, color=colour, label=name)
        axis.set_yscale("log")
        axis.set_ylim(bottom=0.1)
        axis.set_ylabel("ms")
        axis.set_title(f"An asynchronous page beside a busy pool: {title}", loc="left")
        _plain(axis)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=4, frameon=False)
    axes[-1].set_xticks(range(len(beside)), [_LOADS[load] for load in beside])
    return figure


def _plain(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None})
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line.rstrip() for line in lines) + "\n")


def _read(results: Path, name: str) -> dict[str, Any] | None:
    path = results / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
