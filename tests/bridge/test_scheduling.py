"""Why a thread was late, by what the system tells of it."""

import threading

import pytest

from uvicorn.bridge.scheduling import Cause, Spent, cause_of_block, cause_of_lateness, read_spent

INTERVAL = 0.0007


@pytest.mark.parametrize(
    ("spent", "others_cpu", "collecting", "cause"),
    [
        (Spent(0.0, 0.0, 1), 0.0, 0.0, Cause.CALL),
        (Spent(0.0, 0.0, 1), 0.9, 0.0, Cause.CALL),  # threads compute, and yet the loop does not want to run
        (Spent(0.9, 0.0, 5), 0.0, 0.0, Cause.COMPUTING),
        (Spent(0.4, 0.6, 5), 0.0, 0.0, Cause.COMPUTING),  # it computes too long on a busy machine, too
        (Spent(0.1, 0.8, 5), 0.0, 0.0, Cause.MACHINE),
        (Spent(0.05, 0.0, 1200), 0.9, 0.0, Cause.INTERPRETER),
        (Spent(0.05, 0.0, 1000), 0.02, 0.0, Cause.CALL),  # it sleeps a millisecond again and again
        (Spent(0.0, 0.0, 0), 0.0, 0.6, Cause.COLLECTOR),
        (None, 0.9, 0.0, Cause.CALL),
    ],
)
def test_the_cause_of_a_block_of_one_second(spent, others_cpu, collecting, cause):
    assert cause_of_block(1.0, spent, others_cpu, collecting, INTERVAL, 0.25) is cause


@pytest.mark.parametrize(
    ("spent", "process_cpu", "collecting", "cause"),
    [
        (Spent(0.01, 0.0, 1300), 1.0, 0.0, Cause.HELD),
        (Spent(0.01, 0.0, 1300), 0.0, 0.0, Cause.HELD),  # C code that waits and keeps the interpreter
        (Spent(0.01, 0.6, 400), 0.4, 0.0, Cause.HELD),
        (Spent(0.0, 0.0, 1), 0.0, 0.0, Cause.MACHINE),  # stopped
        (Spent(0.0, 0.9, 3), 0.0, 0.0, Cause.MACHINE),
        (Spent(0.01, 0.0, 1300), 1.0, 0.7, Cause.COLLECTOR),
        (None, 1.0, 0.0, Cause.HELD),
        (None, 0.0, 0.0, Cause.MACHINE),
    ],
)
def test_the_cause_of_being_late_by_one_second(spent, process_cpu, collecting, cause):
    assert cause_of_lateness(1.0, spent, process_cpu, collecting, INTERVAL) is cause


def test_what_was_spent_grows_and_is_none_for_a_thread_that_is_not_there():
    own = threading.get_native_id()
    before = read_spent(own)
    if before is None:
        pytest.skip("this system does not tell")
    total = 0
    while (spent := read_spent(own)).since(before).cpu_seconds <= 0.0:
        total += sum(range(1000))
    assert spent.turns >= before.turns
    assert read_spent(2**30) is None
