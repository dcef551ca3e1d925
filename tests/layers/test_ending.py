"""The end of clients of redis-py, and of the tasks that use them."""

import asyncio

from bridge_doubles import on_loop

from uvicorn.layers.ending import close_quietly, end_all


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
