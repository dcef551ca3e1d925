"""A loop that does not turn: found, named once, and left alone while it turns or rests."""

import contextlib

import pytest
from patience import until
from pool_doubles import RecordingLog
from watched_machine import LOOP, OTHERS, SLOW, Machine

from uvicorn.bridge.garbage import GarbagePauses
from uvicorn.bridge.loop_reports import LoopReports
from uvicorn.bridge.loop_watch import period_of
from uvicorn.bridge.scheduling import Cause
from uvicorn.bridge.self_waits import SelfWait
from uvicorn.bridge.suspects import Suspect
from uvicorn.bridge.watchdog import Watchdog


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


class Broken:
    period = 0.001
    looks = 0

    def begin(self):
        pass

    def look(self):
        self.looks += 1
        raise ZeroDivisionError

    def end(self):
        pass


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
