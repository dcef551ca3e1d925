"""How much computing may run at once, so that it does not hurt the loop: one pure decision, and its numbers.

Theory of operation
-------------------
One interpreter runs one thread at a time. A thread that wants it waits for a switch interval behind each thread
that computes; the loop does so at each of its turns. Forty computing threads make each asynchronous answer wait for
forty intervals, and together they compute no faster than one.

So there is a limit on what runs at once, measured in threads that always compute: a job of a consumer that computes
half of its time counts one half. What a consumer computes is learned from a few of its calls (`Load`). In this
unit the right limit is about 1 for every mixture of consumers, so it stays when the mixture changes. Calls that
need very little CPU time are light: they pass the limit by, because they give the interpreter back soon.

`decide` corrects the limit by what is seen, as TCP does: back off when there is congestion, else probe. Congestion
is two things together:

- the *lag* is long: the time from a thread's wake-up of the loop to the loop's turn;
- the threads *compute*: they use CPU time, and not much less than the loop does.

The lag alone takes a busy loop for a computing pool. CPU time alone takes C code that releases the interpreter
(hashing, compression) for code that holds it.

This module takes numbers and returns decisions: `sampler.py` takes the samples, `backlog.py` keeps the limit.
docs/architecture.md, "The governor", has the measurements.
"""

from __future__ import annotations

from typing import Final, NamedTuple

__all__ = ["LEAST_LIMIT", "Decision", "Load", "Sample", "decide"]

LEAST_LIMIT: Final = 0.75  # one job always runs; views of which ten fill a processor still run eight at a time

_LIGHT_SECONDS: Final = 0.00025  # CPU time of a call: a third of the default switch interval
_KNOWN_CALLS: Final = 4  # arbitrary: measured calls before we believe what they tell
_MOST_GROWTH: Final = 4.0  # arbitrary: what costs more from now on is known as such after about ten measured calls
_NEWEST: Final = 0.2  # weight of the newest call in the average
_SHORT_SECONDS: Final = 0.002  # arbitrary: what is done in that time need not queue behind what takes longer
_FORGETTING: Final = 1.02  # of the shortest call, per call: one that was short by chance is not believed for ever
_MOST_OTHERS: Final = 0.9  # of the interpreter, for the loop: a correction by more than ten is none
_ALL_COMPUTING: Final = 0.8  # the rest are the loop's turns, not the consumer's waiting

_LEAST_THREAD_SHARE: Final = 0.25  # of a core: below it threads do not compute, whatever the lag is
_LEAST_WAKE_UPS: Final = 4.0  # in a sample, for their lag to mean something
_SURE_WAKE_UPS: Final = 16.0  # in it, for a short lag to be no chance: half of those behind computing are short
_FAST_SECONDS: Final = 0.015  # of samples, for what is obvious
_SLOW_SECONDS: Final = 0.06  # of samples, for what is not
_FULL: Final = 0.96  # CPU time per wall time: more threads would gain nothing
_ALMOST_FULL: Final = 0.8
_HALF_FULL: Final = 0.5
_STALLED_SECONDS: Final = 0.05  # arbitrary: how long running jobs may keep all others out
_OVERHEAD_SECONDS: Final = 0.0003  # of a wake-up, beside the waiting for the interpreter; measured 0.1 to 0.2 ms
_BLOCKED: Final = 8  # times the longest lag that is well: cut at once


class Load:
    """What a call of one consumer costs, learned from a few calls.

    Attributes:
        weight: the part of its time that a call computes, 0 to 1; 1 until it is known.
        is_light: a call needs so little CPU time that no limit is needed.
        is_short: it is light, and takes little time in all.
        can_learn: it is that of one function, and not of a job that makes the calls of others.

    All are read by any thread. Two threads may learn at once: one of the two calls is then forgotten.
    """

    __slots__ = (
        "_alone", "_calls", "_cpu_seconds", "_shortest_seconds", "_wait_seconds", "can_learn", "is_light", "is_short",
        "weight",
    )  # fmt: skip

    def __init__(self, can_learn: bool = True) -> None:
        self.can_learn = can_learn
        self.weight = 1.0
        self.is_light = False
        self.is_short = False
        self._alone = 0
        self._calls = 0
        self._cpu_seconds = 0.0  # a moving average
        self._wait_seconds = 0.0  # likewise
        self._shortest_seconds = 0.0  # of the latest calls; beside computing ones each may take longer than it needs

    @property
    def is_known(self) -> bool:
        """Whether enough calls were measured."""
        return self._calls >= _KNOWN_CALLS

    @property
    def cpu_seconds(self) -> float:
        """The CPU time of a call: a moving average."""
        return self._cpu_seconds

    def __repr__(self) -> str:
        return f"<Load {self._cpu_seconds * 1000:.2f} ms, weight {self.weight:.2f}{', light' if self.is_light else ''}>"

    def learn(
        self,
        cpu_seconds: float,
        wall_seconds: float,
        is_alone: bool,
        others_seconds: float = 0.0,
        ready_seconds: float = 0.0,
    ) -> None:
        """Take in CPU time and duration of one call; `is_alone` if nothing else computed meanwhile but the loop.

        What the loop took (`others_seconds`, CPU time) makes computing longer and is no waiting: with a share s of the
        interpreter for the loop, so much CPU time takes 1 / (1 - s) as long.

        Nor is it waiting that the machine was busy with other work while the thread could run (`ready_seconds`): a view
        that computes would else be taken for one that waits, and many would be let in at once.

        Beside others, the time in which a call did not compute may have been spent waiting for the interpreter: it
        tells that the consumer itself waits no longer than that, and no more. Runs on: the thread that made the call.
        """
        wall_seconds = max(cpu_seconds, wall_seconds - max(0.0, ready_seconds))
        share = min(_MOST_OTHERS, max(0.0, others_seconds) / wall_seconds) if wall_seconds and is_alone else 0.0
        wait = max(0.0, wall_seconds - cpu_seconds / (1.0 - share))
        if is_alone or wait < self._wait_seconds:
            self._alone += is_alone
            self._wait_seconds += max(_NEWEST, 1 / max(1, self._alone)) * (wait - self._wait_seconds)
        shortest = _FORGETTING * self._shortest_seconds
        self._shortest_seconds = min(wall_seconds, shortest) if shortest else wall_seconds
        if self.is_known:  # in one that takes far more than all before garbage may have been collected
            cpu_seconds = min(cpu_seconds, _MOST_GROWTH * self._cpu_seconds + _LIGHT_SECONDS)
        self._calls += 1
        self._cpu_seconds += max(_NEWEST, 1 / self._calls) * (cpu_seconds - self._cpu_seconds)
        if self._calls >= _KNOWN_CALLS:
            weight = self._cpu_seconds / (self._cpu_seconds + self._wait_seconds or 1.0)
            self.weight = weight if weight < _ALL_COMPUTING else 1.0
            self.is_light = self._cpu_seconds < _LIGHT_SECONDS
            self.is_short = self.is_light and self._shortest_seconds < _SHORT_SECONDS


class Sample(NamedTuple):
    """What was seen since the limit was changed, older things counting less."""

    seconds: float  # for how long
    limit: float  # on the sum of the weights of the jobs that run
    most: float  # the highest limit: the number of threads
    running: float  # that sum
    held: int  # jobs that the limit keeps back
    held_seconds: float  # for how long none of them was let in
    lag_seconds: float  # from a wake-up of the loop to its turn, on average
    wake_ups: float  # how many that is an average of
    late_seconds: float  # how late the sampling itself is: a coarse lag, for when there are no wake-ups
    thread_share: float  # CPU time of all threads but the loop's, per wall time: 1.0 is a core
    loop_share: float  # CPU time of the loop's thread, per wall time


class Decision(NamedTuple):
    """A limit, and why; the reason is "" if it is the limit that was."""

    limit: float
    reason: str


def decide(sample: Sample, switch_interval: float) -> Decision:
    """Return the limit that follows from a sample. `switch_interval` in seconds."""
    share = sample.thread_share + sample.loop_share
    computes = sample.thread_share >= max(_LEAST_THREAD_SHARE, sample.loop_share / 2)
    is_counted = sample.wake_ups >= _LEAST_WAKE_UPS
    lag = sample.lag_seconds if is_counted else sample.late_seconds
    running = sample.limit if sample.held else min(sample.limit, sample.running)
    # One computing thread costs the loop an interval, two cost it two: that is a reason to cut, but not to below one.
    longest = (1.2 if running > 1.0 else 2.0) * switch_interval + _OVERHEAD_SECONDS
    is_late = computes and lag > longest
    is_sure = sample.seconds >= _SLOW_SECONDS

    if sample.seconds < _FAST_SECONDS:
        return Decision(sample.limit, "")
    if is_late and running > 1.0 and lag > _BLOCKED * longest and share > _HALF_FULL:
        return Decision(1.0, "the loop waits long for computing threads")
    if is_late and is_sure and running > LEAST_LIMIT:
        if lag > 2 * longest and share > _HALF_FULL:
            return Decision(max(LEAST_LIMIT, 0.85 * running), "the loop waits for computing threads")
        if share > _FULL or (running > 1.0 and share > _HALF_FULL):
            return Decision(max(LEAST_LIMIT, 0.95 * running), "the loop waits for computing threads")
    if not sample.held or sample.limit >= sample.most:
        return Decision(sample.limit, "")
    if not computes or share < _HALF_FULL:
        return Decision(min(sample.most, 1.5 * sample.limit), "the threads mostly wait")
    if is_late or not is_sure:
        return Decision(sample.limit, "")
    if share < _FULL:
        if sample.limit < 1.0:
            return Decision(min(1.0, _step(share) * sample.limit), "the processor has time left")
        if is_counted:  # or the rest may be in use by another process, and nothing would tell that two are too many
            return Decision(min(sample.most, _step(share) * sample.limit), "the processor has time left")
    if sample.wake_ups >= _SURE_WAKE_UPS and lag < switch_interval / 2:
        return Decision(min(sample.most, 1.5 * sample.limit), "the loop does not wait for the threads")
    if sample.held_seconds >= _STALLED_SECONDS:
        return Decision(min(sample.most, sample.limit + 1.0), "long computing keeps other jobs out")
    return Decision(sample.limit, "")


def _step(share: float) -> float:
    return 1.05 if share > _ALMOST_FULL else 1.2
