"""Let attackers loose on the server, alone and behind proxies, and look at what their neighbours get.

Behind a proxy all clients share its pooled connection to the server. For each case an attacker sends it, and then two
honest clients, whose connections to the proxy are older than the attack, ask on. Whatever the attacker sent, they get
the answers to what they asked, from a server that has understood just that. The proxies are told not to try again, or
they would hide what is looked for; and they mark each request that they pass on, so that the application sees a
request that was hidden in another one. Then attackers and honest clients go on at the same time, for some seconds.

Alone: what a proxy may pass on (`whole`) is followed by honest requests on the same connection; what is malformed must
be refused, with nothing behind it served, in one piece and byte by byte, on fresh connections and on used ones.
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

from attacks.alone import try_alone
from attacks.answers import Client, Wrong
from attacks.corpus import CORPUS, Case
from attacks.front import FRONTS
from attacks.honest import Honest
from attacks.running import served

__all__ = ["main"]

_ALONE = "alone"
_SILENCE_SECONDS = 0.1  # so long is waited for (more of) an answer to an attack; nothing is decided by it
_PAUSE_SECONDS = 0.01  # between the parts of an attack
_CROWD = 3  # attackers at the same time
_MOST_SHOWN = 160  # characters of a reason
# Short timeouts would free connections that attackers hold, and refuse whom a busy machine lets wait between two bytes;
# a long keep-alive lets the proxies decide when they close.
_OPTIONS = ("--header-timeout", "120", "--body-timeout", "120", "--keep-alive", "75", "--log-level", "error")


@dataclass
class Tally:
    """What came of the corpus in one place.

    Attributes:
        tries: honest requests behind an attack; alone: attacks.
        failed: case -> what was wrong, as often as it was seen.
        hidden: requests that the application saw and no proxy had passed on.
        shared: honest requests that went over a connection to the server that an attack had used.
        reached: attacks of which the application saw a request.
    """

    tries: int = 0
    failed: dict[str, list[str]] = field(default_factory=dict)
    hidden: int = 0
    shared: int = 0
    reached: int = 0

    def fail(self, case: str, reason: str) -> None:
        """Count what was wrong behind this case."""
        self.failed.setdefault(case, []).append(reason)

    @property
    def failures(self) -> int:
        """How many were wrong."""
        return sum(map(len, self.failed.values()))


def main() -> int:
    """Do what the command line says; return the exit code: 1 if any neighbour was hurt."""
    parser = argparse.ArgumentParser(prog="scripts/proxies", description="Try to reach clients through other clients.")
    parser.add_argument("--short", action="store_true", help="each attack once behind each proxy, not ten times")
    parser.add_argument("--seed", type=int, default=1, help="of the order of the attacks that run at the same time")
    parser.add_argument("--only", default="", metavar="TEXT", help="cases with this in their name")
    parser.add_argument("--times", type=int, help="how often each attack is tried (default: 10)")
    options = parser.parse_args()
    times = options.times or (1 if options.short else 10)
    cases = [case for case in CORPUS if options.only.lower() in case.name.lower()]
    seconds = 3 if options.short else 20
    print(f"{len(cases)} attacks, {times} times each; then {_CROWD} at the same time, {seconds} s, seed {options.seed}")
    tallies: dict[str, Tally] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with served("target:routes", folder, *_OPTIONS) as (port, _, log):
            _report(_ALONE, tallies.setdefault(_ALONE, _alone(cases, port)))
            for number, front in enumerate(FRONTS):
                if not front.is_installed():
                    print(f"\n{front.name}: NOT RUN, {front.program} is not installed")
                    continue
                began = time.monotonic()
                with front.running(port, folder / f"front{number}") as at:
                    tally = _behind(cases, at, port, times)
                    _together(tally, cases, at, port, seconds, options.seed)
                title = f"{front.name} ({front.shown_version()}, {time.monotonic() - began:.0f} s)"
                _report(title, tallies.setdefault(front.name, tally))
            logged = log.read_text(errors="replace")
        if "Traceback" in logged:
            print(f"\nThe server has logged a traceback:\n{logged[-4000:]}")
            tallies[_ALONE].fail("the log", "a traceback")
    failures = sum(tally.failures + tally.hidden for tally in tallies.values())
    tried = sum(tally.tries for tally in tallies.values())
    print(f"\n{tried - min(failures, tried)} passed, {failures} failed")
    return 1 if failures else 0


def _alone(cases: list[Case], port: int) -> Tally:
    tally = Tally()
    for case in cases:
        tries, wrong = try_alone(case, port)
        tally.tries += tries
        for reason in wrong:
            tally.fail(case.name, reason)
    tally.hidden = sum(target == "/smuggled" for target, _, _ in _seen(port))
    return tally


def _behind(cases: list[Case], proxy: int, server: int, times: int) -> Tally:
    """Try all cases through one proxy."""
    tally = Tally()
    neighbours = (Honest(proxy, "loop", "/loop"), Honest(proxy, "pool", "/pool", b"x" * 100))
    for neighbour in neighbours:
        neighbour.ask()
    _seen(server)
    for case in cases:
        for _ in range(times):
            stolen = _attack(case, proxy)
            came = _seen(server)
            ports = {port for _, _, port in came}
            tally.reached += bool(came)
            tally.hidden += sum(not is_passed for _, is_passed, _ in came)
            if b"honest" in stolen:
                tally.fail(case.name, "the attacker got what was another one's")
            for neighbour in neighbours:
                tally.tries += 1
                try:
                    tally.shared += neighbour.ask() in ports
                except Wrong as error:
                    tally.fail(case.name, str(error))
            late = [entry for entry in _seen(server) if not str(entry[0]).startswith(("/loop", "/pool"))]
            tally.hidden += sum(not is_passed for _, is_passed, _ in late)
    for neighbour in neighbours:
        neighbour.close()
    return tally


def _together(tally: Tally, cases: list[Case], proxy: int, server: int, seconds: float, seed: int) -> None:
    """Let attackers and honest clients run at the same time."""
    end = time.monotonic() + seconds
    _seen(server)

    def attack(number: int) -> None:
        chosen = random.Random(f"{seed} {number}")
        while time.monotonic() < end:
            try:
                stolen = _attack(chosen.choice(cases), proxy)
            except OSError as error:  # the proxy has had enough
                stolen = b""
                tally.fail("together", f"an attacker found the proxy gone: {error}")
            if b"honest" in stolen:
                tally.fail("together", "the attacker got what was another one's")

    def ask(neighbour: Honest) -> None:
        while time.monotonic() < end:
            tally.tries += 1
            try:
                neighbour.ask()
            except Wrong as error:
                tally.fail("together", str(error))
        neighbour.close()

    neighbours = (Honest(proxy, "loop", "/loop"), Honest(proxy, "pool", "/pool", b"x" * 100))
    threads = [threading.Thread(target=attack, args=(number,), daemon=True) for number in range(_CROWD)]
    threads += [threading.Thread(target=ask, args=(neighbour,), daemon=True) for neighbour in neighbours]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tally.hidden += sum(not is_passed for target, is_passed, _ in _seen(server))


def _attack(case: Case, port: int) -> bytes:
    """Send a case, and go away when nothing more comes; return what came."""
    with Client(port) as client:
        for number, part in enumerate(case.parts):
            if number:
                time.sleep(_PAUSE_SECONDS)
            client.send(part)
        return client.everything(_SILENCE_SECONDS)


def _seen(port: int) -> list[tuple[str, bool, int]]:
    """Return what the application has seen since the last time: target, whether a proxy passed it on, port."""
    with Client(port) as client:
        client.send(b"GET /seen HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        return [tuple(entry) for entry in json.loads(client.answer().content)]


def _report(title: str, tally: Tally) -> None:
    print(f"\n{title}")
    if tally.reached or tally.shared:
        shared = f"{tally.shared} honest requests came over the connection of the attack before them"
        print(f"  {tally.reached} attacks came through; {shared}")
    print(f"  {tally.failures} of {tally.tries} failed, {tally.hidden} hidden requests were served", flush=True)
    for name, reasons in tally.failed.items():
        for reason, count in Counter(reasons).most_common():
            print(f"    {name}: {count} x {reason[:_MOST_SHOWN]}")


if __name__ == "__main__":
    sys.exit(main())
