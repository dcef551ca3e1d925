"""The end of clients of redis-py, and of the tasks that use them."""

import asyncio

import pytest
from bridge_doubles import on_loop

from uvicorn.layers.ending import close_quietly, end_all, within


class SlowClient:
    """It takes a while to be closed."""

    def __init__(self, error=None):
        self.may_close = asyncio.Event()
        self.is_closing = self.is_closed = False
        self._error = error

    async def aclose(self):
        self.is_closing = True
        await self.may_close.wait()
        self.is_closed = True
        if self._error is not None:
            raise self._error


async def use(client):
    try:
        await asyncio.Event().wait()
    finally:
        await close_quietly(client)


@on_loop
async def test_a_client_is_closed_though_its_task_is_cancelled_again_and_again():
    client = SlowClient()
    task = asyncio.ensure_future(use(client))
    await asyncio.sleep(0)
    for _ in range(5):
        task.cancel()
        await asyncio.sleep(0)
    assert client.is_closing
    assert not task.done()
    client.may_close.set()
    await end_all([task])
    assert client.is_closed
    assert task.cancelled()


@on_loop
async def test_a_client_that_cannot_be_closed_is_let_go():
    client = SlowClient(error=ConnectionError("gone"))
    client.may_close.set()
    await close_quietly(client)
    assert client.is_closed
    await close_quietly(None)


class Clock:
    """The clock of the running loop, which jumps when a test says so: the process was not run meanwhile."""

    def __init__(self):
        loop = asyncio.get_running_loop()
        self._ahead = 0.0
        time, loop.time = loop.time, lambda: time() + self._ahead

    def jump(self, seconds):
        self._ahead += seconds


async def turns(count=10):
    for _ in range(count):
        await asyncio.sleep(0)
    return count


@on_loop
async def test_an_answer_that_has_come_while_the_process_was_held_up_is_not_too_late():
    clock = Clock()
    waiting = asyncio.ensure_future(within(50.0, turns()))
    await turns(2)
    clock.jump(90.0)
    assert await waiting == 10


@on_loop
async def test_what_does_not_come_is_given_up_at_the_second_look():
    clock = Clock()
    never = asyncio.get_running_loop().create_future()
    waiting = asyncio.ensure_future(within(50.0, never))
    for _ in range(2):
        await turns()
        assert not waiting.done()
        clock.jump(25.0)
    with pytest.raises(asyncio.TimeoutError):
        await waiting
    assert never.cancelled()


@on_loop
async def test_what_comes_when_it_is_given_up_is_taken():
    async def stubborn():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "after all"

    assert await within(0.0, stubborn()) == "after all"
