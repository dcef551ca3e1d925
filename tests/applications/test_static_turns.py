"""Calls that wait for each other, so that many at once do not fill the pool."""

import asyncio

import pytest

from uvicorn.applications.static_turns import Turns
from uvicorn.errors import ChannelFull


class Pool:
    """A pool with room for so many calls, which end when the test says so."""

    def __init__(self, room):
        self.room = room
        self.running = []
        self.most = 0
        self.refused = 0

    async def __call__(self, name):
        if len(self.running) >= self.room:
            self.refused += 1
            raise ChannelFull
        ends = asyncio.get_running_loop().create_future()
        self.running.append(ends)
        self.most = max(self.most, len(self.running))
        try:
            await ends
        finally:
            self.running.remove(ends)
        return name


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


async def end_all(pool, tasks):
    while not all(task.done() for task in tasks):
        await settle()
        for each in pool.running[:1]:
            each.set_result(None)
    return await asyncio.gather(*tasks)


@pytest.mark.parametrize(("most", "room", "together"), [(4, 100, 4), (4, 4, 4), (4, 2, 2), (4, 1, 1), (1, 100, 1)])
def test_all_calls_are_made_and_no_more_at_once_than_there_is_room_for(most, room, together):
    async def run():
        pool, turns = Pool(room), Turns(most)
        tasks = [asyncio.ensure_future(turns.call(pool, name)) for name in range(30)]
        assert await end_all(pool, tasks) == list(range(30))
        assert pool.most == together

    asyncio.run(run())


def test_a_pool_that_others_have_filled_refuses_at_once():
    async def run():
        turns = Turns(4)
        for _ in range(3):
            with pytest.raises(ChannelFull):
                await turns.call(Pool(0), 1)
        assert await end_all(pool := Pool(1), [asyncio.ensure_future(turns.call(pool, 1))]) == [1]

    asyncio.run(run())


def test_who_waits_for_a_call_is_refused_if_others_have_filled_the_pool_meanwhile():
    async def run():
        pool, turns = Pool(1), Turns(4)
        tasks = [asyncio.ensure_future(turns.call(pool, name)) for name in range(3)]
        await settle()
        pool.room = 0
        pool.running[0].set_result(None)
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each) for each in found] == [int, ChannelFull, ChannelFull]
        assert pool.refused == 4

    asyncio.run(run())


def test_a_call_that_fails_or_is_cancelled_makes_room():
    async def run():
        pool, turns = Pool(1), Turns(4)
        tasks = [asyncio.ensure_future(turns.call(pool, name)) for name in range(4)]
        await settle()
        tasks[0].cancel()
        await settle()
        pool.running[0].set_exception(OSError("it failed"))
        await settle()
        tasks[3].cancel()  # waits
        await end_all(pool, tasks[2:3])
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(each) for each in found] == [asyncio.CancelledError, OSError, int, asyncio.CancelledError]

    asyncio.run(run())
