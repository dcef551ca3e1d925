"""The memory that workers share: whole whoever is killed, and no counter goes back."""

import gc
import os
import signal
from typing import Any

from uvicorn.watching import board as module
from uvicorn.watching.board import Board, Sheet


class Worker:
    """What the master holds as long as a worker lives."""


def test_a_place_is_given_again_when_the_worker_is_gone_and_what_was_counted_is_there():
    board = Board(places=2)
    first, second = Worker(), Worker()
    assert (board.give(first), board.give(second), board.give(Worker())) == (0, 1, None)
    board.write(0, Sheet(os.getpid(), {"a": 1}, {"requests": {(): 3}}))
    del first
    gc.collect()
    third = Worker()
    assert board.give(third) == 0
    assert board.read(0).figures == {"requests": {(): 3}}
    assert board.read(1) is None


def test_of_a_worker_that_is_gone_counters_are_read_and_nothing_else():
    board = Board(places=2)
    child = os.fork()
    if not child:
        board.write(0, Sheet(os.getpid(), {"x": 1}, {"requests": {(): 3}, "workers": {(): 1}}))
        os._exit(0)
    os.waitpid(child, 0)
    board.write(1, Sheet(os.getpid(), {}, {"requests": {(): 4}, "workers": {(): 1}}))
    gone, alive = board.read_all()
    assert (gone.pid, gone.facts, gone.figures) == (0, {}, {"requests": {(): 3}})
    assert alive.figures == {"requests": {(): 4}, "workers": {(): 1}}
    assert alive.is_alive


def test_a_worker_that_is_killed_while_it_writes_leaves_what_it_has_told_before():
    board = Board(places=1)
    child = os.fork()
    if not child:
        number = 0
        while True:
            number += 1
            board.write(0, Sheet(os.getpid(), {}, {"requests": {(): number}, "sent_bytes": {(): number}}))
    seen = 0
    while seen < 100:
        sheet = board.read(0)
        if sheet is not None:
            number = sheet.figures["requests"][()]
            assert number >= seen
            assert sheet.figures["sent_bytes"][()] == number
            seen = number
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert board.read(0).figures["requests"][()] >= seen


def test_what_is_too_much_loses_the_consumers_with_the_fewest_calls(monkeypatch):
    monkeypatch.setattr(module, "_HALF_BYTES", 4000)
    monkeypatch.setattr(module, "_PLACE_BYTES", 8016)
    board = Board(places=1)
    runs: dict[tuple[str, ...], Any] = {
        (f"app.consumer_{number}", "", "pool"): [0.1, number, 0] for number in range(200)
    }
    board.write(0, Sheet(1, {}, {"requests": {(): 5}, "consumer_run_seconds": runs}))
    figures = board.read(0).figures
    assert figures["requests"] == {(): 5}
    kept = {name for name, _, _ in figures["consumer_run_seconds"]}
    assert "app.consumer_199" in kept
    assert "app.consumer_0" not in kept


def test_what_is_no_sheet_is_not_read():
    board = Board(places=1)
    board.write(0, Sheet(1, {}, {"requests": {(): 5}}))
    at = module._FLAG_BYTES + board._memory[0] * module._HALF_BYTES + 20
    board._memory[at] ^= 255
    assert board.read(0) is None
