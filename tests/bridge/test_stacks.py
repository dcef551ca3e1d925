"""Where threads and tasks are just now, in words."""

import asyncio
import threading

from bridge_doubles import on_loop
from patience import PATIENCE_SECONDS, until

from uvicorn.bridge.stacks import describe, describe_all_threads


class Waiting:
    """A thread that waits in a function with a name to look for."""

    def __enter__(self):
        self._end = threading.Event()
        self.thread = threading.Thread(target=self.stand_here, name="the-waiting-one", daemon=True)
        self._is_there = threading.Event()
        self.thread.start()
        assert self._is_there.wait(PATIENCE_SECONDS)
        return self.thread

    def stand_here(self):
        self._is_there.set()
        self._end.wait(PATIENCE_SECONDS)

    def __exit__(self, *_):
        self._end.set()
        self.thread.join(PATIENCE_SECONDS)


def test_the_stack_of_a_thread_is_described():
    with Waiting() as thread:
        text = describe(thread.ident)
    assert "stand_here" in text
    assert __file__ in text


def test_a_thread_that_has_ended_is_described_as_such():
    with Waiting() as thread:
        pass
    until(lambda: "ended" in describe(thread.ident), "the end of the thread")
    assert "stand_here" not in describe(thread.ident)


@on_loop
async def test_the_stack_of_a_task_is_described():
    async def stand_here():
        await asyncio.Event().wait()

    task = asyncio.ensure_future(stand_here())
    await asyncio.sleep(0)
    text = describe(task)
    task.cancel()
    assert "stand_here" in text
    assert __file__ in text


def test_all_threads_are_described_under_their_names():
    with Waiting():
        text = describe_all_threads()
    assert "Thread the-waiting-one:\n" in text
    assert "stand_here" in text
    assert f"Thread {threading.main_thread().name}:\n" in text
