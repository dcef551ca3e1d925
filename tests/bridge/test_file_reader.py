"""Threads that wait for the disk: few, and what waits for them has a bound."""

import asyncio
import threading

import pytest
from bridge_doubles import on_loop, until_async
from patience import PATIENCE_SECONDS
from pool_doubles import RecordingLog

from uvicorn.bridge import file_reader
from uvicorn.bridge.file_reader import FileReader
from uvicorn.bridge.outbox import Outbox


@pytest.fixture
def most(monkeypatch):
    monkeypatch.setattr(file_reader, "_MOST_WORKS", 6)
    return 6


@on_loop
async def test_it_is_full_while_a_disk_hangs_and_works_on_when_it_answers(most):
    reader = FileReader(Outbox(asyncio.get_running_loop(), RecordingLog()))
    answers, results = threading.Event(), []
    for number in range(most):
        assert not reader.is_full
        reader.run(lambda number=number: answers.wait(PATIENCE_SECONDS) and number, results.append)
    assert reader.is_full
    assert reader._threads == 4
    answers.set()
    await until_async(lambda: len(results) == most, "all results")
    assert sorted(results) == [*range(most)]
    assert not reader.is_full
    reader.stop()


@on_loop
async def test_what_is_raised_is_a_result(most):
    reader = FileReader(Outbox(asyncio.get_running_loop(), RecordingLog()))
    results = []
    reader.run(lambda: open("/nothing/of/this/name"), results.append)  # noqa: SIM115
    await until_async(lambda: results, "the error")
    assert isinstance(results[0], FileNotFoundError)
    reader.stop()
