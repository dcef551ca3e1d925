"""Our threads for asgiref's synchronous code: by its own argument, and by the table of older ones."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from asgiref.sync import SyncToAsync, async_to_sync, sync_to_async
from patience import PATIENCE_SECONDS

from uvicorn.applications import sensitive


@pytest.fixture(params=["as this asgiref has it", "as an older one has it"])
def make_context(request, monkeypatch):
    if request.param == "as an older one has it":
        monkeypatch.setattr(sensitive, "_takes_executor", lambda make: False)
    return sensitive._context_with


def name():
    return threading.current_thread().name


def test_all_synchronous_code_of_a_context_runs_in_the_threads_that_were_lent(make_context):
    async def one(executor):
        async with make_context(executor):
            first = await sync_to_async(name)()
            inner = await sync_to_async(async_to_sync(sync_to_async(name)))()
            [gathered] = await asyncio.gather(sync_to_async(name)())
        return {first, inner, gathered}

    async def both():
        return await asyncio.gather(*map(one, executors))

    executors = [ThreadPoolExecutor(1, f"lent-{number}") for number in range(2)]
    assert asyncio.run(both()) == [{"lent-0_0"}, {"lent-1_0"}]
    # Neither shut down, nor kept.
    assert [executor.submit(name).result(PATIENCE_SECONDS) for executor in executors] == ["lent-0_0", "lent-1_0"]
    assert not [made for made in SyncToAsync.context_to_thread_executor.values() if made in executors]
    for executor in executors:
        executor.shutdown()


def test_a_context_that_is_left_by_an_error_is_left(make_context):
    async def fail():
        async with make_context(executor):
            await sync_to_async(int)("x")

    with ThreadPoolExecutor(1) as executor:
        with pytest.raises(ValueError, match="invalid literal"):
            asyncio.run(fail())
        assert executor.submit(name).result(PATIENCE_SECONDS)
