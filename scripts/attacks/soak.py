"""Let clients of all kinds come and go for a long time, and look whether the worker is then what it was.

After a warm-up, in which all threads are started and all caches are made, everybody leaves, and the worker is measured.
Then the clients come for the time that is asked for, and leave; what is left of them is given time to go. Then it must
have the tasks, threads, descriptors and objects of this package that it had, and hardly more memory; clients that
behaved well must have got what they asked for, and the log has no traceback.

The timeouts of the server are short, and a client is in time by its own clock only while this process runs: who was in
the middle of a visit when it stood still is counted apart.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from attacks.answers import Client, Wrong
from attacks.kinds import KINDS
from attacks.running import THREADS, served

__all__ = ["main"]

_SHORT_SECONDS, _LONG_SECONDS = 12.0, 1800.0
_REST_SECONDS = 90.0  # past all timeouts of the server; reached only if something is left
_WARM_VISITS = 20  # of each kind, before the worker is measured; arbitrary
_STILL_SECONDS = 1.0  # half of the shortest timeout below
_MOST_MEMORY_MIB = 16.0  # arbitrary: what the allocator keeps in pieces
_COUNTED = ("tasks", "threads", "descriptors", "objects")
# Timeouts that a soak of seconds reaches too.
_TIMEOUTS = {"--header-timeout": "2", "--body-timeout": "2", "--write-timeout": "3", "--keep-alive": "3"}
_OPTIONS = ("--log-level", "warning", *(word for option in _TIMEOUTS.items() for word in option))


@dataclass
class Crowd:
    """So many clients at a time, each visit of a random kind.

    Attributes:
        visits: kind -> how many.
        failures: what was wrong, of those that behaved well.
        late: the same of those that were late themselves.
    """

    port: int
    seed: int
    visits: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    stills: Stills = field(default_factory=lambda: Stills())

    def run(self, clients: int, seconds: float, visits: int = 0) -> None:
        """Let them come and go, each kind so many times at least; return when all have left."""
        end = time.monotonic() + seconds
        chosen = [random.Random(f"{self.seed} {number} {seconds}") for number in range(clients)]
        threads = [threading.Thread(target=self._visit, args=(one, end, visits), daemon=True) for one in chosen]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _visit(self, chosen: random.Random, end: float, visits: int) -> None:
        while time.monotonic() < end or min(self.visits[kind] for kind in KINDS) < visits:
            kind = chosen.choice(list(KINDS))
            visit, is_well_behaved = KINDS[kind]
            began = time.monotonic()
            try:
                with Client(self.port) as client:
                    visit(client, chosen)
            except (Wrong, OSError) as error:
                if is_well_behaved:
                    failures = self.late if self.stills.was_one_since(began) else self.failures
                    failures.append(f"{kind}: {error}")
            self.visits[kind] += 1


def main() -> int:
    """Do what the command line says; return the exit code: 1 if anything is left, or anybody was served wrongly."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description="Random clients for a long time: what is left?")
    parser.add_argument("--short", action="store_true", help=f"{_SHORT_SECONDS:.0f} seconds")
    parser.add_argument("--seconds", type=float, help=f"how long (default: {_LONG_SECONDS:.0f})")
    parser.add_argument("--clients", type=int, default=24, help="how many at a time (default: 24)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    seconds = options.seconds or (_SHORT_SECONDS if options.short else _LONG_SECONDS)
    with tempfile.TemporaryDirectory() as folder, served("soaked:routes", Path(folder), *_OPTIONS) as (port, pid, log):
        crowd = Crowd(port, options.seed)
        _fill_pool(port)
        crowd.run(options.clients, max(seconds / 20, 4.0), _WARM_VISITS)
        crowd.visits.clear()
        before = _rested(port, pid, {})
        peaks = Peaks(pid)
        crowd.run(options.clients, seconds)
        peaks.stop()
        after = _rested(port, pid, before)
        logged = log.read_text(errors="replace")
    wrong = _left(before, after) + crowd.failures
    if "Traceback" in logged or "was sent SIG" in logged:  # a traceback, or a worker that was killed
        wrong.append(f"the log:\n{logged[-4000:]}")
    print(f"{options.clients} clients for {seconds:.0f} s, seed {options.seed}: {crowd.visits.total():,} visits")
    print(", ".join(f"{name} {count:,}" for name, count in crowd.visits.most_common()))
    print(f"{'':14}{'before':>10}{'most':>10}{'after':>10}")
    for name in ("memory, MiB", *_COUNTED):
        digits = 1 if name.startswith("memory") else 0
        most = f"{peaks.most[name]:,.{digits}f}" if name in peaks.most else "-"
        print(f"{name:14}{before[name]:>10,.{digits}f}{most:>10}{after[name]:>10,.{digits}f}")
    for reason, count in Counter(crowd.late).most_common():
        print(f"this process stood still meanwhile, {count} x: {reason}")
    for reason, count in Counter(wrong).most_common(20):
        print(f"WRONG, {count} x: {reason}")
    print(f"{crowd.visits.total() - len(crowd.failures)} passed, {len(wrong)} failed")
    return 1 if wrong else 0


class Stills(threading.Thread):
    """Notice that this process did not run for a while: it was stopped, or the machine had no time for it."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._ended_at = float("-inf")  # the last one
        self._looked = threading.Condition()
        self.start()

    def run(self) -> None:
        """Look ten times a second."""
        looked_at = time.monotonic()
        while True:
            time.sleep(0.1)
            now = time.monotonic()
            with self._looked:
                if now - looked_at > _STILL_SECONDS:
                    self._ended_at = now
                self._looked.notify_all()
            looked_at = now

    def was_one_since(self, moment: float) -> bool:
        """Whether it has stood still. Blocks: for a look, or for as long as it stands still."""
        with self._looked:
            self._looked.wait()
            return self._ended_at > moment


class Peaks(threading.Thread):
    """Look at a process twice a second, from outside."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.most: dict[str, float] = {}
        self._pid = pid
        self._is_over = threading.Event()
        self.start()

    def run(self) -> None:
        """Look, until it is stopped or the process has ended."""
        while not self._is_over.wait(0.5):
            try:
                found = {
                    "memory, MiB": _memory_mib(self._pid),
                    "threads": len(list(Path(f"/proc/{self._pid}/task").iterdir())),
                    "descriptors": len(list(Path(f"/proc/{self._pid}/fd").iterdir())),
                }
            except OSError:
                return
            self.most = {name: max(value, self.most.get(name, 0)) for name, value in found.items()}

    def stop(self) -> None:
        """Look no more."""
        self._is_over.set()
        self.join()


def _fill_pool(port: int) -> None:
    """Let all threads of the pool start: so many clients wait in them at the same time, sooner or later."""
    while _inside(port)["kinds"].get("Slot", 0) < THREADS:
        clients = [Client(port) for _ in range(2 * THREADS)]
        for client in clients:
            client.send(b"GET /wait HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        for client in clients:
            client.answer()
            client.__exit__()


def _inside(port: int) -> dict[str, Any]:
    """Return what is alive in the worker, as it tells it."""
    with Client(port) as client:
        client.send(b"GET /inside HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        found: dict[str, Any] = json.loads(client.answer().content)
        return found


def _rested(port: int, pid: int, before: dict[str, Any]) -> dict[str, Any]:
    """Return what the worker has when nobody is there: as soon as it is what it was, or does not change any more."""
    deadline = time.monotonic() + _REST_SECONDS
    last: dict[str, Any] = {}
    same = 0
    while True:
        found = _inside(port)
        same = same + 1 if last == found else 0
        last = found
        is_done = not _left(before, {**found, "memory, MiB": 0.0}) if before else same >= 12  # past the timeouts
        if is_done or time.monotonic() > deadline:
            return {**found, "memory, MiB": _memory_mib(pid)}
        time.sleep(0.5)


def _left(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Say what there is more of than before."""
    found = [f"{name}: {before[name]} before, {after[name]} after" for name in _COUNTED if after[name] > before[name]]
    if found:
        more = Counter(after["kinds"])
        more.subtract(before["kinds"])
        found.append("more than before: " + ", ".join(f"{count} {kind}" for kind, count in more.items() if count > 0))
    if after["memory, MiB"] > before.get("memory, MiB", 0) + _MOST_MEMORY_MIB:
        found.append(f"memory: {before['memory, MiB']:.1f} MiB before, {after['memory, MiB']:.1f} after")
    return found


def _memory_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


if __name__ == "__main__":
    sys.exit(main())
