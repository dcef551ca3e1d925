"""Why a loop did not turn: told apart, and no alarm where nobody is to blame."""

import os
import threading
import time

import pytest
from descriptors import opened
from patience import until
from watched_machine import LOOP, OTHER, OWN, Machine

from uvicorn.bridge.garbage import GarbagePauses
from uvicorn.bridge.scheduling import Cause, read_spent
from uvicorn.bridge.suspects import Suspect
from uvicorn.bridge.thread_times import SystemClocks, ThreadTimes


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


@pytest.mark.skipif(not os.path.exists("/proc/self/schedstat"), reason="the system does not tell")
def test_the_file_of_a_thread_is_kept_open_until_the_clocks_are_closed_and_tells_its_end():
    clocks, may_end, ids = SystemClocks(), threading.Event(), []

    def run():
        ids.append(threading.get_native_id())
        may_end.wait()

    thread = threading.Thread(target=run)
    thread.start()
    until(lambda: ids, "the thread")
    [native_id] = ids

    def files():
        return [name for name in opened() if name.endswith(f"/task/{native_id}/schedstat")]

    clocks.keep(native_id)
    clocks.keep(native_id)
    assert len(files()) == 1
    until(lambda: clocks.spent(native_id) == read_spent(native_id), "the same, when the thread rests")
    may_end.set()
    thread.join()
    until(lambda: clocks.spent(native_id) is None, "the end of the thread")
    clocks.close()
    assert files() == []


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
