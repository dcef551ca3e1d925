"""The rest of a body: its source, and what holds for a coroutine or a thread alone."""

import asyncio
import threading

import pytest
from bridge_doubles import Reader, in_thread, on_loop, until_async
from patience import PATIENCE_SECONDS

from uvicorn.errors import ChannelClosed

both = pytest.mark.parametrize("is_thread", [False, True], ids=["coroutine", "thread"])


# ---- the source ----


@both
@on_loop
async def test_the_source_learns_once_that_the_body_is_wanted(is_thread):
    reader = Reader(is_thread)
    reader.feed(b"a", b"b", ends=True)
    assert reader.source.wants == 0
    await reader.receive()
    await reader.receive()
    await reader.settle()
    assert reader.source.wants == 1
    assert reader.source.thread_ids == {threading.get_ident()}


@both
@on_loop
async def test_the_source_is_held_above_the_mark_and_released_below_half_of_it(is_thread):
    reader = Reader(is_thread, high_water=100)
    reader.feed(b"x" * 40, b"y" * 40)
    assert reader.source.holds == 0
    reader.feed(b"z" * 40)
    assert reader.source.is_held
    await reader.receive()
    await reader.settle()
    assert reader.source.is_held  # 80 bytes are left
    await reader.receive()
    await reader.settle()
    assert not reader.source.is_held
    assert reader.source.thread_ids == {threading.get_ident()}


@both
@on_loop
async def test_the_mark_itself_does_not_hold_the_source(is_thread):
    reader = Reader(is_thread, high_water=100)
    reader.feed(b"x" * 100)
    assert reader.source.holds == 0


@pytest.mark.parametrize("size", [1, 7, 49, 50, 51, 100, 101, 1000])
@pytest.mark.parametrize("high_water", [1, 2, 100, 101])
@both
@on_loop
async def test_a_source_that_stops_when_held_is_read_to_its_end(is_thread, size, high_water):
    reader = Reader(is_thread, high_water)
    reading = asyncio.ensure_future(reader.read(1_000_000))
    sent = 0
    while sent < 20 * max(size, high_water // 5):
        await until_async(lambda: not reader.source.is_held, "the release of the source")
        reader.feed(b"x" * size)
        sent += size
    reader.feed(ends=True)
    assert len(await reading) == sent


# ---- the coroutine's side alone ----


@on_loop
async def test_cancelling_a_receive_loses_nothing():
    reader = Reader(is_thread=False)
    waiting = reader.start_receive()
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    reader.feed(b"a", ends=True)
    assert await reader.receive() == {"content": b"a", "more_content": False}


@on_loop
async def test_cancelling_a_receive_that_was_just_woken_loses_nothing():
    reader = Reader(is_thread=False)
    waiting = reader.start_receive()
    await asyncio.sleep(0)
    reader.feed(b"a")
    waiting.cancel()
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    assert await reader.receive() == {"content": b"a", "more_content": True}


@on_loop
async def test_cancelling_a_receive_that_was_told_the_loss_loses_nothing():
    reader = Reader(is_thread=False)
    waiting = reader.start_receive()
    await asyncio.sleep(0)
    reader.feed(error=ChannelClosed("the client has left"))
    waiting.cancel()
    await asyncio.wait([waiting])
    assert await reader.receive() == {"closed": True}


@on_loop
async def test_a_second_task_that_receives_at_the_same_time_is_refused():
    reader = Reader(is_thread=False)
    first = reader.start_receive()
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="another task"):
        await reader.receive()
    reader.feed(b"a")
    assert (await first)["content"] == b"a"


# ---- the thread's side alone ----


@on_loop
async def test_threads_that_receive_at_the_same_time_share_the_chunks():
    reader = Reader(is_thread=True, high_water=10_000)
    gathered = []

    def gather():
        while True:
            try:
                gathered.append(reader.channel.receive()["content"])
            except ChannelClosed:
                return

    readers = [in_thread(gather) for _ in range(5)]
    for number in range(200):
        reader.feed(b"%03d" % number)
    reader.feed(ends=True)
    await asyncio.gather(*readers)
    assert sorted(filter(None, gathered)) == [b"%03d" % number for number in range(200)]


@on_loop
async def test_chunks_are_read_while_the_loop_stands_still():
    reader = Reader(is_thread=True)
    reader.feed(b"a", b"b", ends=True)
    read = []
    thread = threading.Thread(target=lambda: read.append(reader.channel.read(10)), daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    assert read == [b"ab"]


@on_loop
async def test_a_thread_that_waits_for_the_client_is_marked_as_waiting():
    reader = Reader(is_thread=True)
    waiting = reader.start_receive()
    await until_async(lambda: reader.source.waiting == [True], "the wait of the reader")
    reader.feed(b"a")
    await waiting
    assert reader.source.waiting == [True, False]


@on_loop
async def test_a_thread_that_finds_a_chunk_is_not_marked_as_waiting():
    reader = Reader(is_thread=True)
    reader.feed(b"a")
    await asyncio.sleep(0)  # what came in one turn of the loop crosses at its end
    await reader.receive()
    assert reader.source.waiting == []
