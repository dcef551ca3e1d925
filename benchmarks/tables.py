"""Results as text: a table for each scenario, with the ratios beside the figures. Pure."""

from __future__ import annotations

from typing import Any

from benchmarks.figures import Figure
from benchmarks.scenarios import METRICS

__all__ = ["aligned", "rows"]


def rows(result: dict[str, Any], is_short: bool = False) -> list[list[str]]:
    """Return the table of a result: a heading, and a row for each contender.

    Args:
        is_short: medians only, for a page; otherwise with the range over the rounds.
    """
    metrics = result["metrics"]
    main = metrics[0] if metrics else ""
    table = [["", *(METRICS[metric].title for metric in metrics), "how much better ours is"]]
    for name, contender in result["contenders"].items():
        cells = [_cell(contender["figures"].get(metric), metric, is_short) for metric in metrics]
        table.append([name, *cells, _ratio(result, name, main)])
    return table


def aligned(table: list[list[str]]) -> str:
    """Return a table for a terminal."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) if at == 0 else cell.rjust(width) for at, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(row, widths, strict=True)) for row in table)
    ]
    return "\n".join(line.rstrip() for line in lines)


def _cell(figure: dict[str, float] | None, metric: str, is_short: bool) -> str:
    if figure is None:
        return "-"
    digits = METRICS[metric].digits
    return f"{figure['median']:,.{digits}f}" if is_short else Figure(**figure).shown(digits)


def _ratio(result: dict[str, Any], name: str, metric: str) -> str:
    found = [
        f"{Figure(pair['median'], pair['low'], pair['high']).shown(2)} {pair['ours']}"
        for pair in result["ratios"]
        if pair["other"] == name and pair["metric"] == metric
    ]
    return "; ".join(found)
