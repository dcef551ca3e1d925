"""A machine for the tests of the watchdog: its clocks, its loop and what runs are as the test says."""

import types

from pool_doubles import RecordingLog

from uvicorn.bridge.garbage import GarbagePauses
from uvicorn.bridge.loop_watch import LoopWatch
from uvicorn.bridge.scheduling import Spent
from uvicorn.bridge.suspects import Suspect

__all__ = ["LOOP", "OTHER", "OTHERS", "OWN", "SLOW", "Machine"]

LOOP, OWN, OTHER = 1, 2, 3  # threads; the system's numbers are the same
SLOW = Suspect("app.slow", "GET /slow", "/app.py:7, in slow", ("/app.py", 7), "  File ...")
OTHERS = Suspect("app.other", "GET /other", "/app.py:9, in other", ("/app.py", 9), "  File ...")


class Machine:
    """Clocks, the loop and what runs, as the test says."""

    def __init__(self, seconds=0.25):
        self.time = 100.0
        self.cpu = {LOOP: 0.0, OWN: 0.0, OTHER: 0.0}
        self.turns = {LOOP: 0, OWN: 0, OTHER: 0}
        self.ready = {LOOP: 0.0, OWN: 0.0, OTHER: 0.0}
        self.kept = []
        self.pings = []
        self.is_closed = False
        self.is_resting = False
        self.doing = SLOW
        self.work = 1
        self.wait = None
        self.threads = "  consumer-1 in app.burn: GET /burn"
        self.garbage = GarbagePauses()
        self.log = RecordingLog()
        outbox = types.SimpleNamespace(loop=self, loop_thread=LOOP)
        self.watch = LoopWatch(outbox, self.log, seconds, self, self.garbage, LOOP, self)
        self.watch.begin()
        self.pass_time(0.0)

    # clocks
    def now(self):
        return self.time

    def process_cpu(self):
        return sum(self.cpu.values())

    def spent(self, native_id):
        return Spent(self.cpu[native_id], self.ready[native_id], self.turns[native_id])

    def own_id(self):
        return OWN

    def native_ids(self):
        return {LOOP: LOOP, OWN: OWN, OTHER: OTHER}

    def keep(self, native_id):
        self.kept.append(native_id)

    def close(self):
        self.kept.clear()

    # the loop
    def call_soon_threadsafe(self, function, argument):
        if self.is_closed:
            raise RuntimeError
        self.pings.append((function, argument))

    def turn(self):
        for function, argument in self.pings:
            self.cpu[LOOP] += 0.0001
            function(argument)
        self.pings.clear()

    # looks
    def unit(self):
        return self.work

    def is_idle(self):
        return self.is_resting

    def on_loop(self):
        return self.doing

    def in_thread(self, thread_id):
        return OTHERS

    def self_wait(self):
        return self.wait

    def computing(self):
        return self.threads

    # time
    def pass_time(self, seconds, computing=None, share=1.0, wants=None, turns=False):
        """Let time pass, with looks at their times."""
        left = seconds
        while True:
            step = min(left, self.watch.period)
            self._spend(step, computing, share, wants)
            self.time = round(self.time + step, 6)
            left = round(left - step, 6)
            if turns:
                self.turn()
            self.watch.look()
            if left <= 0:
                return

    def leap(self, seconds, computing=None, share=1.0, wants=None):
        """Let time pass in which nobody can look."""
        self._spend(seconds, computing, share, wants)
        self.time = round(self.time + seconds, 6)
        self.watch.look()

    def _spend(self, seconds, computing, share, wants):
        if computing is not None:
            self.cpu[computing] += seconds * share
        if wants is not None:
            self.turns[wants] += int(seconds / 0.0007)

    def told(self):
        return self.log.texts("warning")
