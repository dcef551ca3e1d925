"""What the machine gave a thread, and what that says of a thread that was late: numbers and pure decisions.

Linux tells of each thread how long it ran, how long it was ready to run and no processor was free, and how often it was
put on one (`schedstat`). That is enough to tell apart why a thread made no progress:

    it ran                                      it computes
    it was ready, and did not run               the machine was busy with others
    it woke up at each switch interval          it wanted the interpreter: so does a thread that waits for the lock
    none of these                               it waited in a call; or, if it wanted to run, the process was stopped

Elsewhere nothing is told, and a thread that is late is taken to wait in a call.
"""

from __future__ import annotations

import os
from enum import Enum
from typing import Final, NamedTuple

__all__ = ["Cause", "Spent", "cause_of_block", "cause_of_lateness", "open_meter", "read_meter", "read_spent"]

_MOST: Final = 0.5  # of the time: what counts as its cause
_OTHERS: Final = 0.1  # of the time that other threads must have computed, for the interpreter to have been wanted
_WAKE_UPS: Final = 0.25  # of the switch intervals in the time, for the interpreter to have been wanted


class Cause(Enum):
    """Why a loop did not turn; the values are labels of metrics."""

    CALL = "call"  # its own code waits in a call
    COMPUTING = "computing"  # its own code computes
    INTERPRETER = "interpreter"  # it is ready, and threads compute
    HELD = "c_code"  # C code has kept the interpreter
    COLLECTOR = "collector"  # garbage was collected
    MACHINE = "machine"  # the process got no processor


class Spent(NamedTuple):
    """What a thread has had of the machine since it began."""

    cpu_seconds: float
    ready_seconds: float  # it could have run, and no processor was free
    turns: int  # how often it was put on a processor

    def since(self, before: Spent) -> Spent:
        """Return what was spent in between."""
        return Spent(
            self.cpu_seconds - before.cpu_seconds,
            self.ready_seconds - before.ready_seconds,
            self.turns - before.turns,
        )


def read_spent(native_id: int) -> Spent | None:
    """Return what a thread of this process has spent; None if the system does not tell, or it has ended.

    Runs on: any thread.
    """
    meter = open_meter(native_id)
    if meter < 0:
        return None
    try:
        return read_meter(meter)
    finally:
        os.close(meter)


def open_meter(native_id: int) -> int:
    """Return a descriptor for `read_meter`, to be closed; -1 if there is none. Runs on: any thread."""
    try:
        return os.open(f"/proc/self/task/{native_id}/schedstat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def read_meter(meter: int) -> Spent | None:
    """Return what its thread has spent; None if that has ended. Runs on: any thread."""
    try:
        cpu, ready, turns = os.pread(meter, 128, 0).split()
    except (OSError, ValueError):
        return None
    return Spent(int(cpu) / 1e9, int(ready) / 1e9, int(turns))


def cause_of_block(
    seconds: float, spent: Spent | None, others_cpu: float, collecting: float, switch_interval: float, long: float
) -> Cause:
    """Return why the loop has not turned, while our own thread ran as it should.

    Args:
        seconds: for how long.
        long: how much computing is too long by itself, seconds.
        spent: by the loop's thread in that time.
        others_cpu: CPU time of the other threads in it, seconds.
        collecting: how long garbage was collected in it, seconds.
    """
    if collecting >= seconds * _MOST:
        return Cause.COLLECTOR
    if spent is None:
        return Cause.CALL
    if spent.cpu_seconds >= min(seconds * _MOST, long):  # however busy the machine is
        return Cause.COMPUTING
    if spent.ready_seconds >= seconds * _MOST:
        return Cause.MACHINE
    if others_cpu >= max(seconds * _OTHERS, spent.cpu_seconds) and _wanted_interpreter(seconds, spent, switch_interval):
        return Cause.INTERPRETER
    return Cause.COMPUTING if spent.cpu_seconds + spent.ready_seconds >= seconds * _MOST else Cause.CALL


def cause_of_lateness(
    seconds: float, spent: Spent | None, process_cpu: float, collecting: float, switch_interval: float
) -> Cause:
    """Return why our own thread was late, which only waits for a while and looks.

    Args:
        seconds: by how much.
        spent: by our own thread since it began to wait.
        process_cpu: CPU time of the process since then.
        collecting: how long garbage was collected since then, seconds.
    """
    if collecting >= seconds * _MOST:
        return Cause.COLLECTOR
    if spent is None:
        return Cause.HELD if process_cpu >= seconds * _MOST else Cause.MACHINE
    is_computing = process_cpu >= seconds * _OTHERS
    if (is_computing or spent.ready_seconds < seconds * _MOST) and _wanted_interpreter(seconds, spent, switch_interval):
        return Cause.HELD
    return Cause.MACHINE


def _wanted_interpreter(seconds: float, spent: Spent, switch_interval: float) -> bool:
    """Whether a thread woke up again and again to ask for the interpreter."""
    return spent.turns >= max(2.0, _WAKE_UPS * (seconds - spent.ready_seconds) / switch_interval)
