"""The command: `python -m benchmarks run SCENARIO...`, and what else it can do."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import counting, page, rounds, scripted, tables
from benchmarks.environments import Environments
from benchmarks.load import CLIENT_CORE
from benchmarks.scenarios import SCENARIOS, choose

_RESULTS = Path(__file__).resolve().parent / "results"
_QUICK_SECONDS = 1
_PICTURES = {"A small page": "benchmarks-hello.svg", "Beside a busy pool": "benchmarks-beside.svg"}


def main() -> None:
    """Do what the command line says."""
    options = _parser().parse_args()
    options.function(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Compare this server with others.")
    parser.add_argument(
        "--environments",
        type=Path,
        default=Path(tempfile.gettempdir()) / "uvicorn-benchmarks",
        metavar="FOLDER",
        help="where the virtual environments are kept (default: %(default)s)",
    )
    parser.add_argument("--results", type=Path, default=_RESULTS, metavar="FOLDER", help="default: benchmarks/results")
    commands = parser.add_subparsers(required=True)
    listing = commands.add_parser("list", help="name the scenarios")
    listing.set_defaults(function=_list)
    run = commands.add_parser("run", help="measure")
    run.add_argument("scenarios", nargs="+", metavar="SCENARIO", help="a name, the beginning of names, or all")
    run.add_argument("--rounds", type=int, help="measurements of each server (default: 3 or 5)")
    run.add_argument("--seconds", type=int, help="length of each measurement (default: 2 or 3)")
    run.add_argument("--quick", action="store_true", help="one short round, and nothing is stored: does it work?")
    run.add_argument("--python", default=sys.executable, help="the interpreter of all servers (default: this one)")
    run.add_argument("--only", action="append", default=[], metavar="TEXT", help="only peers with this in their name")
    run.add_argument("--beside", type=Path, metavar="CHECKOUT", help="compare with another checkout of this package")
    run.add_argument("--heads", type=Path, metavar="FILE", help="other shapes of heads (benchmarks/heads.py)")
    run.add_argument("--fresh", action="store_true", help="look for newer releases of the peers")
    run.add_argument("--dry", action="store_true", help="store nothing")
    run.set_defaults(function=_run)
    draw = commands.add_parser("draw", help="make pictures and tables in docs/benchmarks.md of the stored results")
    draw.set_defaults(function=_draw)
    count = commands.add_parser("count", help="count the instructions of the hot paths")
    count.add_argument("--update", action="store_true", help="store the figures for this version of Python")
    count.add_argument("--against", default="", metavar="COMMIT", help="compare with a commit, not the stored figures")
    count.add_argument("--compiled", action="store_true", help="the checkout is compiled already, as it is now")
    count.add_argument("--python", default=sys.executable, help="an interpreter with what this package needs")
    count.set_defaults(function=_count)
    return parser


def _list(options: argparse.Namespace) -> None:
    for name, scenario in SCENARIOS.items():
        print(f"{name:18} {scenario.title}")


def _run(options: argparse.Namespace) -> None:
    try:
        chosen = choose(options.scenarios)
    except ValueError as error:
        sys.exit(str(error))
    _prepare()
    environments = Environments(options.environments, options.python, options.fresh)
    is_stored = not (options.quick or options.dry or options.only or options.beside or options.heads)
    for scenario in chosen:
        if options.heads:
            scenario = scenario.with_heads(options.heads.resolve())
        began = time.monotonic()
        result = rounds.run(
            scenario,
            environments,
            options.rounds or (1 if options.quick else scenario.rounds),
            options.seconds or (_QUICK_SECONDS if options.quick else scenario.seconds),
            tuple(options.only),
            options.beside.resolve() if options.beside else None,
        )
        print(f"\n{scenario.title}  ({scenario.name}, {time.monotonic() - began:.0f} s)")
        print(f"{result['rounds']} rounds of {result['seconds']} s; median (range)")
        print(tables.aligned(tables.rows(result)), flush=True)
        if is_stored:
            options.results.mkdir(parents=True, exist_ok=True)
            (options.results / f"{scenario.name}.json").write_text(json.dumps(result, indent=1) + "\n")


def _draw(options: argparse.Namespace) -> None:
    """Draw with matplotlib, in an environment of its own; then write the tables."""
    results = page.load_results(options.results)
    folder = page.PAGE.parent
    python = Environments(options.environments).get("draw") / "bin/python"
    drawing = Path(__file__).resolve().parent / "drawing.py"
    subprocess.run([str(python), str(drawing), str(options.results), str(folder)], check=True)
    pictures = {title: file for title, file in _PICTURES.items() if results and (folder / file).exists()}
    page.PAGE.write_text(page.replaced(page.PAGE.read_text(), page.generated(results, pictures, scripted.load())))


def _count(options: argparse.Namespace) -> None:
    sys.exit(counting.run(options.python, options.update, options.against, options.compiled))


def _prepare() -> None:
    """Look for what must be there, and keep this program away from the servers' core."""
    missing = [program for program in ("wrk", "taskset") if shutil.which(program) is None]
    if missing:
        sys.exit(f"{' and '.join(missing)} must be installed (on Debian: wrk and util-linux)")
    if not {0, 1} <= os.sched_getaffinity(0):
        sys.exit("two cores are needed: one for the servers, one for the load")
    os.sched_setaffinity(0, {CLIENT_CORE})


if __name__ == "__main__":
    main()
