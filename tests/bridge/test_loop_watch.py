"""A loop that does not turn: found, told apart, named once, and no alarm where nobody is to blame."""

import contextlib
import threading
import time
import types

import pytest
from bridge_doubles import RecordingLog, until

from uvicorn.bridge.garbage import GarbagePauses
from uvicorn.bridge.loop_reports import LoopReports
from uvicorn.bridge.loop_watch import LoopWatch, Watchdog, period_of
from uvicorn.bridge.scheduling import Cause, Spent
from uvicorn.bridge.self_waits import SelfWait
from uvicorn.bridge.suspects import Suspect
from uvicorn.bridge.thread_times import SystemClocks, ThreadTimes

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


def test_a_consumer_that_blocks_is_named_with_its_request_its_line_and_what_to_do():
    machine = Machine()
    machine.pass_time(0.4)
    assert machine.told() == []  # it is told when it has ended, with its length
    machine.turn()
    machine.pass_time(0.05)
    assert machine.told() == [
        "app.slow blocked the event loop for 0.40 seconds: GET /slow at /app.py:7, in slow. Make it a plain 'def', "
        "which runs in a thread, or await what blocks with bridge.run_in_pool(function, ...)\n  File ..."
    ]
    assert machine.watch.blocks == {Cause.CALL: 1}
    assert machine.watch.blocked_seconds[Cause.CALL] == pytest.approx(0.4)


def test_a_block_that_lasts_is_told_meanwhile_and_once_more_when_it_has_ended():
    machine = Machine()
    machine.pass_time(2.0)
    [text] = machine.told()
    assert text.startswith("app.slow blocked the event loop for 1.00 seconds so far: GET /slow at")
    machine.pass_time(1.0)
    machine.turn()
    machine.pass_time(0.05)
    assert machine.told()[1:] == [
        "The event loop turns again, after 3.00 seconds: app.slow (GET /slow) at /app.py:7, in slow"
    ]


class Wait(SelfWait):
    """One for the loop itself."""

    ends = 0  # how often one was ended, since the last one was made

    def __init__(self):
        super().__init__("/app.py:7, in slow", "total at /app.py:3", None)
        Wait.ends = 0

    def end(self):
        Wait.ends += 1


@pytest.mark.parametrize(
    ("doing", "who"),
    [
        (SLOW, "app.slow would have waited for ever, for GET /slow: "),
        (None, "Code on the event loop would have waited for ever: "),
    ],
)
def test_a_wait_for_the_loop_itself_is_told_with_both_lines_and_ended(doing, who):
    machine = Machine()
    machine.doing, machine.wait = doing, Wait()
    machine.pass_time(0.25)
    [text] = machine.log.texts("error")
    assert text == (
        f"{who}the event loop waits at /app.py:7, in slow for total at /app.py:3, which runs when that has ended. "
        f"It got CancelledError after 0.25 seconds. Await it instead{'' if doing is None else chr(10) + SLOW.stack}"
    )
    machine.wait = None
    machine.turn()
    machine.pass_time(0.05)
    assert Wait.ends == 1
    assert machine.told() == ["The event loop turns again, after 0.25 seconds: a wait for itself at /app.py:7, in slow"]


def test_a_second_wait_for_the_loop_itself_in_the_same_turn_is_ended_too():
    machine = Machine()
    machine.wait = Wait()
    machine.pass_time(0.25)
    machine.wait = None  # the error was caught
    machine.pass_time(0.5)
    machine.wait = Wait()
    machine.pass_time(0.05)
    assert Wait.ends == 1
    machine.wait = None
    machine.turn()
    machine.pass_time(0.05)
    assert machine.told() == ["The event loop turns again, after 0.80 seconds: a wait for itself at /app.py:7, in slow"]


def test_a_wait_for_the_loop_itself_is_told_once_a_minute_and_ended_each_time():
    machine = Machine()
    machine.wait = Wait()
    for _ in range(3):
        machine.pass_time(0.25)
        machine.turn()
        machine.pass_time(0.05)
    assert (len(machine.log.texts("error")), Wait.ends) == (1, 3)


def test_a_loop_that_turns_is_left_alone():
    machine = Machine()
    machine.pass_time(30.0, turns=True)
    assert machine.told() == []
    assert machine.watch.answers == 600
    assert machine.watch.lag_seconds == pytest.approx(0.05 * 600, rel=0.01)


def resting():
    machine = Machine()
    machine.is_resting = True
    machine.pass_time(10.5, turns=True)
    return machine


def test_a_loop_that_rests_is_woken_once_a_second():
    machine = resting()
    assert machine.watch.answers == 11
    assert machine.told() == []


def test_a_block_that_ends_a_rest_is_told():
    machine = resting()
    machine.is_resting = False
    machine.cpu[LOOP] += 0.0001
    machine.pass_time(0.45)
    machine.turn()
    machine.pass_time(0.05)
    assert machine.told()[0].startswith("app.slow blocked the event loop for 0.40 seconds: GET /slow")


def test_a_block_right_behind_an_answer_is_told():
    machine = resting()
    machine.pass_time(0.45, turns=True)  # the next look pings
    machine.pass_time(0.05)
    machine.turn()
    machine.is_resting = False
    machine.pass_time(0.45)
    machine.turn()
    machine.pass_time(0.05)
    assert machine.told()[0].startswith("app.slow blocked the event loop for 0.40 seconds: GET /slow")


def test_a_block_of_c_code_right_behind_an_answer_is_counted():
    machine = resting()
    answers = machine.watch.answers
    machine.pass_time(0.45, turns=True)
    machine.pass_time(0.05)
    machine.turn()  # and blocks, without a frame of Python
    machine.doing = None
    machine.pass_time(2.0)
    machine.turn()
    machine.pass_time(0.05)
    assert machine.watch.answers == answers + 2
    assert machine.watch.blocked_seconds[Cause.CALL] == pytest.approx(1.0)
    assert machine.told() == []  # nobody can be named


def test_a_block_that_is_shorter_is_not_told():
    machine = Machine()
    for _ in range(20):
        machine.pass_time(0.2)
        machine.turn()
        machine.pass_time(0.05)
    assert machine.told() == []


def test_the_same_place_is_told_once_a_minute_and_others_at_once():
    machine = Machine()
    for _ in range(5):
        machine.pass_time(0.4)
        machine.turn()
        machine.pass_time(0.05)
    machine.doing = OTHERS
    machine.pass_time(2.0)
    machine.turn()
    machine.doing = SLOW
    machine.pass_time(2.0)  # told before: neither now nor at its end
    machine.turn()
    machine.pass_time(0.05)
    assert [text.partition(" ")[0] for text in machine.told()] == ["app.slow", "app.other", "The"]
    machine.pass_time(60.0, turns=True)
    machine.pass_time(0.4)
    machine.turn()
    machine.pass_time(0.05)
    assert machine.told()[-1].startswith("app.slow blocked")
    assert machine.watch.blocks[Cause.CALL] == 8


def test_a_turn_in_which_many_requests_are_served_blames_none_of_them():
    machine = Machine()
    for _ in range(40):
        machine.pass_time(0.1, computing=LOOP)
        machine.work += 1
    machine.turn()
    machine.pass_time(0.05)
    assert machine.told() == []


def test_the_time_of_a_block_begins_with_its_own_work():
    machine = Machine()
    machine.pass_time(0.2, computing=LOOP)
    machine.work += 1
    machine.pass_time(0.4)
    machine.turn()
    machine.pass_time(0.05)
    assert machine.told()[0].startswith("app.slow blocked the event loop for 0.40 seconds: GET /slow")


def test_computing_on_the_loop_is_called_so():
    machine = Machine()
    machine.pass_time(0.4, computing=LOOP)
    machine.turn()
    machine.pass_time(0.05)
    assert machine.told()[0].startswith("app.slow computed on the event loop for 0.40 seconds: GET /slow at")


def test_a_callback_has_no_request_but_a_line():
    machine = Machine()
    machine.doing = Suspect("a callback of the event loop", "", "/app.py:3, in tick", ("/app.py", 3), "")
    machine.pass_time(0.4)
    machine.turn()
    machine.pass_time(0.05)
    [text] = machine.told()
    assert "a callback of the event loop blocked the event loop for 0.40 seconds at /app.py:3, in tick. " in text


def test_threads_that_compute_while_the_loop_is_ready_are_named():
    machine = Machine()
    machine.doing = None  # the loop wants to begin, and does nothing
    machine.pass_time(0.6, computing=OTHER, wants=LOOP)
    machine.turn()
    machine.pass_time(0.05)
    assert machine.told() == [
        "The event loop was ready and did not get the interpreter for 0.60 seconds: threads compute. More workers, or "
        "fewer threads, and see governor and switch_interval\n  consumer-1 in app.burn: GET /burn"
    ]


def test_a_machine_that_has_no_time_for_the_loop_is_not_the_consumers_fault():
    machine = Machine()
    machine.pass_time(0.05)
    machine.ready[LOOP] += 0.4
    machine.pass_time(0.4)
    machine.turn()
    machine.pass_time(0.05)
    [text] = machine.told()
    assert text.startswith("The worker got no processor for 0.45 seconds: it was stopped (SIGSTOP, a suspend")


def test_computing_on_a_busy_machine_is_told_when_it_is_known():
    machine = Machine()
    machine.pass_time(0.05)
    for _ in range(4):
        machine.ready[LOOP] += 0.7
        machine.cpu[LOOP] += 0.08
        machine.pass_time(0.8)
    [text] = machine.told()
    assert text.startswith("app.slow computed on the event loop for 2.50 seconds so far: GET /slow at")


def test_c_code_that_keeps_the_interpreter_is_told_when_it_has_ended():
    machine = Machine()
    machine.leap(0.75, computing=LOOP, wants=OWN)
    assert machine.told() == [
        "C code kept the interpreter for 0.70 seconds, and nothing else ran meanwhile: app.slow (GET /slow) at "
        "/app.py:7, in slow. Call it in another process, or let it release the interpreter\n  File ..."
    ]
    machine.turn()
    machine.pass_time(0.05)
    assert len(machine.told()) == 1
    assert machine.watch.blocks == {Cause.HELD: 1}


def test_c_code_in_a_thread_that_keeps_the_interpreter_is_told_apart_from_the_loop():
    machine = Machine()
    machine.leap(0.75, computing=OTHER, wants=OWN)
    assert "nothing else ran meanwhile: app.other (GET /other) at /app.py:9, in other." in machine.told()[0]


def test_c_code_whose_caller_cannot_be_seen_is_told_all_the_same():
    machine = Machine()
    machine.doing = None
    machine.leap(0.75, computing=LOOP, wants=OWN)
    assert machine.told() == [
        "C code kept the interpreter for 0.70 seconds, and nothing else ran meanwhile: it is not known whose. Call it "
        "in another process, or let it release the interpreter"
    ]


@pytest.mark.parametrize(("ready", "begin"), [(0.6, "The worker got no processor"), (0.2, "C code kept")])
def test_a_thread_that_has_the_interpreter_and_no_processor_is_no_c_code(ready, begin):
    machine = Machine()
    machine.pass_time(1.0, turns=True)  # the times of threads are noted
    machine.ready[OTHER] += ready
    machine.leap(0.75, computing=OTHER, share=0.2, wants=OWN)
    assert machine.told()[0].startswith(begin)


def test_c_code_that_computes_on_a_busy_machine_is_told_all_the_same():
    machine = Machine()
    machine.pass_time(1.0, turns=True)
    machine.ready[OTHER] += 2.4
    machine.leap(2.75, computing=OTHER, share=0.1, wants=OWN)
    assert machine.told()[0].startswith("C code kept the interpreter for 2.70 seconds")


def test_several_threads_that_take_turns_are_no_c_code():
    machine = Machine()
    machine.cpu[OTHER] += 0.6
    machine.leap(0.75, computing=LOOP, wants=OWN)
    assert machine.told()[0].startswith("The event loop was ready and did not get the interpreter for 0.70 seconds")


def test_a_process_that_was_stopped_is_told_so():
    machine = Machine()
    machine.leap(3.05)
    assert machine.told()[0].startswith("The worker got no processor for 3.00 seconds: it was stopped (SIGSTOP")
    assert machine.watch.blocks == {Cause.MACHINE: 1}


@pytest.mark.parametrize("is_seen", [True, False])
def test_a_collection_of_garbage_is_told_so(is_seen):
    machine = Machine()
    machine.garbage.generation = 2
    machine.garbage.seconds += 0.5
    if is_seen:  # another thread got the interpreter in between
        machine.watch._block.collected = 0.0
        machine.pass_time(0.6)
        machine.turn()
        machine.pass_time(0.05)
    else:
        machine.leap(0.6, computing=LOOP, wants=OWN)
    [text] = machine.told()
    assert text.startswith("A collection of garbage (generation 2) stopped the worker for 0.")


def test_the_pauses_of_the_collector_are_added_up():
    times = iter((10.0, 10.5, 20.0, 20.25, 20.75))
    garbage = GarbagePauses(lambda: next(times))
    garbage._on_collection("stop", {"generation": 0})  # it began before we looked
    garbage._on_collection("start", {"generation": 2})
    garbage._on_collection("stop", {"generation": 2})
    garbage._on_collection("start", {"generation": 0})
    assert garbage.seconds_so_far == 0.75
    garbage._on_collection("stop", {"generation": 0})
    assert (garbage.seconds, garbage.longest, garbage.counts) == (1.25, 0.75, [1, 0, 1])
    assert garbage.seconds_so_far == 1.25


def test_a_loop_that_is_closed_is_pinged_no_more():
    machine = Machine()
    machine.turn()
    machine.is_closed = True
    machine.pass_time(10.0)
    assert machine.told() == []


def test_the_lines_that_were_told_are_remembered_within_a_bound():
    log = RecordingLog()
    reports = LoopReports(log, None, GarbagePauses())
    for number in range(1000):
        reports.held(Suspect("", "", "", ("/app.py", number), ""), 1.0, 100.0)
    assert len(log.texts("warning")) == 1000
    assert len(reports._told) == 256


def test_the_thread_that_computed_most_is_known_with_its_share():
    clocks = SystemClocks()
    times = ThreadTimes(clocks)
    times.note(clocks.now())
    end = time.thread_time() + 0.02
    while time.thread_time() < end:
        sum(range(100))
    busiest, share = times.busiest(0.001)
    if clocks.spent(clocks.own_id()) is None:
        assert (busiest, share) == (0, 0.0)
    else:
        assert busiest == threading.get_ident()
        assert share > 0.5


class Broken:
    period = 0.001
    looks = 0

    def begin(self):
        pass

    def look(self):
        self.looks += 1
        raise ZeroDivisionError


def test_a_ping_that_a_loop_refuses_and_answers_all_the_same_is_no_mistake(monkeypatch):
    machine = Machine()
    machine.turn()

    def refuse(*call):
        machine.pings.append(call)
        raise RuntimeError("the loop is about to be closed")

    with monkeypatch.context() as patched:
        patched.setattr(machine, "call_soon_threadsafe", refuse)
        machine.pass_time(0.05)
    machine.turn()
    machine.pass_time(1.0, turns=True)
    assert machine.told() == []


def test_a_mistake_before_a_ping_costs_one_look(monkeypatch):
    machine = Machine()
    machine.turn()
    with monkeypatch.context() as patched:
        patched.setattr(machine, "unit", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            machine.pass_time(0.05)
    machine.pass_time(2.5, turns=True)
    assert machine.watch.answers > 10


def test_a_mistake_of_the_watch_costs_one_look():
    log, watch = RecordingLog(), Broken()
    watchdog = Watchdog(watch, log)
    watchdog.start()
    with contextlib.ExitStack() as stack:
        stack.callback(watchdog.stop)
        until(lambda: watch.looks > 2, "further looks")
    assert "Error in the watch of the event loop" in log.texts("error")


@pytest.mark.parametrize(("seconds", "period"), [(0.25, 0.05), (10.0, 0.5), (0.001, 0.005)])
def test_it_looks_often_enough(seconds, period):
    assert period_of(seconds) == period
