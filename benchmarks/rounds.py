"""Run a scenario: start its servers, check them, measure them in turn, round by round."""

from __future__ import annotations

import contextlib
import datetime
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.checks import Request
from benchmarks.environments import Environments, Missing
from benchmarks.figures import figure, ratio
from benchmarks.load import WrongLoad
from benchmarks.measures import Paced
from benchmarks.scenarios import METRICS, Scenario
from benchmarks.servers import KINDS, Contender, Running, WrongAnswer, running

__all__ = ["Rounds", "run"]

_FAILURES = (Missing, WrongAnswer, WrongLoad, OSError)


@dataclass
class Rounds:
    """What was measured: contender -> metric -> one number for each round; and who could not take part, and why."""

    measured: dict[str, dict[str, list[float]]]
    left_out: dict[str, str]

    def add(self, name: str, found: dict[str, float]) -> None:
        """Add one round of one contender."""
        for metric, value in found.items():
            self.measured[name].setdefault(metric, []).append(value)

    def leave_out(self, name: str, error: Exception) -> None:
        """Forget a contender: half of its rounds would compare with nothing."""
        self.measured.pop(name, None)
        self.left_out[name] = str(error).strip()
        print(f"  {name} is left out: {self.left_out[name]}", file=sys.stderr)


def run(
    scenario: Scenario,
    environments: Environments,
    rounds: int,
    seconds: int,
    only: tuple[str, ...] = (),
    beside: Path | None = None,
) -> dict[str, Any]:
    """Run a scenario and return its result, ready to be stored.

    Args:
        only: parts of the names of the contenders that are wanted; ours always take part.
        beside: another checkout of this package, whose server takes part as well.
    """
    contenders = _taking_part(scenario, only, beside)
    scenario = replace(scenario, contenders=contenders, pairs=(*scenario.pairs, *_versions(contenders)))
    done = Rounds({contender.name: {} for contender in contenders}, {})
    environments.compile({contender.checkout for contender in contenders})
    measure = _measure_fresh if scenario.is_fresh else _measure_kept
    measure(scenario, environments, rounds, seconds, done)
    return _result(scenario, environments, rounds, seconds, done)


def _taking_part(scenario: Scenario, only: tuple[str, ...], beside: Path | None) -> tuple[Contender, ...]:
    ours = [contender for contender in scenario.contenders if contender.name.startswith("ours")]
    others = [contender for contender in scenario.contenders if contender not in ours]
    if only:
        others = [contender for contender in others if any(part in contender.name for part in only)]
    copies = []
    if beside is not None:
        copies = [replace(one, name=f"{one.name}, other checkout", checkout=beside) for one in ours]
    return (*ours, *copies, *others)


def _versions(contenders: tuple[Contender, ...]) -> tuple[tuple[str, str], ...]:
    names = {contender.name for contender in contenders}
    return tuple((name, other) for name in names if (other := f"{name}, other checkout") in names)


def _measure_kept(scenario: Scenario, environments: Environments, rounds: int, seconds: int, done: Rounds) -> None:
    """Start all servers, and measure each in each round; all idle but one."""
    with contextlib.ExitStack() as stack:
        servers: list[Running] = []
        for contender in scenario.contenders:
            try:
                servers.append(stack.enter_context(_started(scenario, contender, environments)))
            except _FAILURES as error:
                done.leave_out(contender.name, error)
        if isinstance(scenario.measure, Paced):
            scenario.measure.look_at(servers)
        for number in range(rounds):
            for server in _turned(servers, number):
                name = server.contender.name
                if name in done.left_out:
                    continue
                try:
                    server.rest()
                    done.add(name, scenario.measure(server, seconds))
                except _FAILURES as error:
                    done.leave_out(name, error)


def _measure_fresh(scenario: Scenario, environments: Environments, rounds: int, seconds: int, done: Rounds) -> None:
    """Start each server for each measurement, alone."""
    for number in range(rounds):
        for contender in _turned(list(scenario.contenders), number):
            if contender.name in done.left_out:
                continue
            try:
                with _started(scenario, contender, environments) as server:
                    server.rest()
                    done.add(contender.name, scenario.measure(server, seconds))
            except _FAILURES as error:
                done.leave_out(contender.name, error)


def _started(
    scenario: Scenario, contender: Contender, environments: Environments
) -> contextlib.AbstractContextManager[Running]:
    checks: tuple[Request, ...] = scenario.checks
    return running(contender, environments, checks, scenario.is_idle, scenario.workers)


def _turned(items: list[Any], number: int) -> list[Any]:
    """Return the items from another one on, in each round: none is always the first or behind the same."""
    at = number % len(items) if items else 0
    return items[at:] + items[:at]


def _result(scenario: Scenario, environments: Environments, rounds: int, seconds: int, done: Rounds) -> dict[str, Any]:
    """Return all that is known: JSON with the raw rounds, and what was made of them."""
    contenders = {contender.name: contender for contender in scenario.contenders}
    return {
        "scenario": scenario.name,
        "title": scenario.title,
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        "rounds": rounds,
        "seconds": seconds,
        "machine": machine.describe(environments.version),
        "versions": environments.versions(),
        "load": scenario.measure.shown_commands(seconds),  # type: ignore[attr-defined]
        "metrics": [metric for metric in scenario.metrics if any(metric in one for one in done.measured.values())],
        "contenders": {
            name: {
                "side": contenders[name].side,
                "environment": KINDS[contenders[name].kind].environment,
                "command": contenders[name].shown_command(scenario.is_idle, scenario.workers),
                "rounds": values,
                "figures": {metric: vars(figure(numbers)) for metric, numbers in values.items()},
            }
            for name, values in done.measured.items()
        },
        "ratios": _ratios(scenario, done),
        "left_out": done.left_out,
    }


def _ratios(scenario: Scenario, done: Rounds) -> list[dict[str, Any]]:
    """Return how many times better ours is than another, for each metric that both have: above 1 is ours."""
    found = []
    for ours, other in scenario.compared():
        for metric in scenario.metrics:
            pair = [done.measured.get(name, {}).get(metric, []) for name in (ours, other)]
            if not METRICS[metric].is_high_good:
                pair.reverse()
            times = ratio(*pair) if all(pair) else None
            if times is not None:
                found.append({"ours": ours, "other": other, "metric": metric, **vars(times)})
    return found
