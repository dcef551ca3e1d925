"""The rest of a body, for a coroutine and for a thread."""

import asyncio
import threading

import pytest
from bridge_doubles import PATIENCE_SECONDS, FakeSource, RecordingLog, in_thread, on_loop, until_async

from uvicorn.bridge.inbox import BodyChannel, ThreadBodyChannel
from uvicorn.bridge.outbox import Outbox
from uvicorn.errors import BodyTooLarge, ChannelClosed, ReadTimeout, ServerStopping


class Reader:
    """Read a body channel from the test, whichever side it serves."""

    def __init__(self, is_thread, high_water=100):
        self.source = FakeSource()
        self.is_thread = is_thread
        if is_thread:
            self.outbox = Outbox(asyncio.get_running_loop(), RecordingLog())
            self.channel = ThreadBodyChannel(self.source, high_water, self.outbox)
        else:
            self.channel = BodyChannel(self.source, high_water)

    def feed(self, *chunks, ends=False, error=None):
        for chunk in chunks:
            self.channel.feed(chunk)
        if ends:
            self.channel.end()
        if error is not None:
            self.channel.fail(error)

    async def receive(self):
        return await self._call(self.channel.receive)

    def start_receive(self):
        return asyncio.ensure_future(self._call(self.channel.receive))

    async def read(self, limit):
        return await self._call(self.channel.read, limit)

    async def iterate(self):
        if self.is_thread:
            return await in_thread(list, self.channel)
        return [chunk async for chunk in self.channel]

    async def settle(self):
        """Have the loop learn what was read."""
        if self.is_thread:
            self.outbox.drain_now()

    def _call(self, method, *args):
        return in_thread(method, *args) if self.is_thread else method(*args)


both = pytest.mark.parametrize("is_thread", [False, True], ids=["coroutine", "thread"])


def content(chunk):
    return chunk["content"]


@both
@on_loop
async def test_chunks_arrive_in_order_and_the_last_says_so(is_thread):
    reader = Reader(is_thread)
    reader.feed(b"a", b"b", ends=True)
    chunks = [await reader.receive()]
    while chunks[-1]["more_content"]:
        chunks.append(await reader.receive())
    assert b"".join(map(content, chunks)) == b"ab"
    assert all(set(chunk) == {"content", "more_content"} for chunk in chunks)


@both
@on_loop
async def test_receive_waits_for_the_next_chunk(is_thread):
    reader = Reader(is_thread)
    waiting = reader.start_receive()
    await until_async(lambda: reader.source.wants, "the wish for the body")
    assert not waiting.done()
    reader.feed(b"late")
    assert await waiting == {"content": b"late", "more_content": True}


@both
@on_loop
async def test_receive_waits_for_the_end(is_thread):
    reader = Reader(is_thread)
    waiting = reader.start_receive()
    await until_async(lambda: reader.source.wants, "the wish for the body")
    reader.feed(ends=True)
    assert await waiting == {"content": b"", "more_content": False}


@both
@on_loop
async def test_after_the_end_the_channel_is_closed_and_receive_raises(is_thread):
    reader = Reader(is_thread)
    reader.feed(ends=True)
    assert reader.channel.closed is False
    await reader.receive()
    assert reader.channel.closed is True
    for _ in range(2):
        with pytest.raises(ChannelClosed):
            await reader.receive()


@both
@on_loop
async def test_loss_is_told_once_and_then_receive_raises(is_thread):
    reader = Reader(is_thread)
    reader.feed(error=ChannelClosed("the client has left"))
    assert await reader.receive() == {"closed": True}
    assert reader.channel.closed is True
    for _ in range(2):
        with pytest.raises(ChannelClosed):
            await reader.receive()


@both
@on_loop
async def test_loss_ends_a_receive_that_waits(is_thread):
    reader = Reader(is_thread)
    waiting = reader.start_receive()
    await until_async(lambda: reader.source.wants, "the wish for the body")
    reader.feed(error=ChannelClosed("the client has left"))
    assert await waiting == {"closed": True}


@both
@on_loop
async def test_what_came_before_the_loss_is_received_first(is_thread):
    reader = Reader(is_thread)
    reader.feed(b"a", b"b", error=ChannelClosed("the client has left"))
    assert [await reader.receive() for _ in range(3)] == [
        {"content": b"a", "more_content": True},
        {"content": b"b", "more_content": True},
        {"closed": True},
    ]


@pytest.mark.parametrize("error", [ReadTimeout("slow"), ServerStopping("stop")], ids=["timeout", "stop"])
@both
@on_loop
async def test_a_timeout_and_a_stop_are_raised_and_then_the_channel_is_closed(is_thread, error):
    reader = Reader(is_thread)
    reader.feed(b"a", error=error)
    await reader.receive()
    with pytest.raises(type(error)):
        await reader.receive()
    with pytest.raises(ChannelClosed):
        await reader.receive()


@both
@on_loop
async def test_loss_after_the_end_does_not_spoil_the_body(is_thread):
    reader = Reader(is_thread)
    reader.feed(b"a", ends=True, error=ChannelClosed("the client has left"))
    assert await reader.read(10) == b"a"


@both
@on_loop
async def test_only_the_first_of_two_losses_counts(is_thread):
    reader = Reader(is_thread)
    reader.feed(error=ReadTimeout("slow"))
    reader.feed(error=ChannelClosed("the client has left"))
    with pytest.raises(ReadTimeout):
        await reader.receive()


# ---- iteration and read ----


@both
@on_loop
async def test_iteration_gives_the_chunks_and_nothing_empty(is_thread):
    reader = Reader(is_thread)
    reader.feed(b"a", b"bc", ends=True)
    assert await reader.iterate() == [b"a", b"bc"]


@both
@on_loop
async def test_iteration_over_an_empty_rest_gives_nothing(is_thread):
    reader = Reader(is_thread)
    await asyncio.sleep(0)
    reader.feed(ends=True)
    assert await reader.iterate() == []


@both
@on_loop
async def test_iteration_over_a_chunk_and_an_end_that_comes_later_gives_nothing_empty(is_thread):
    reader = Reader(is_thread)
    iterating = asyncio.ensure_future(reader.iterate())
    await until_async(lambda: reader.source.wants, "the wish for the body")
    reader.feed(b"a")
    await until_async(lambda: reader.source.releases or is_thread, "the read of the chunk")
    reader.feed(ends=True)
    assert await iterating == [b"a"]


@both
@on_loop
async def test_iteration_raises_when_the_client_left(is_thread):
    reader = Reader(is_thread)
    reader.feed(b"a", error=ChannelClosed("the client has left"))
    with pytest.raises(ChannelClosed):
        await reader.iterate()


@both
@on_loop
async def test_read_gathers_the_rest(is_thread):
    reader = Reader(is_thread)
    reader.feed(b"a", b"bc", b"d", ends=True)
    assert await reader.read(4) == b"abcd"


@both
@on_loop
async def test_read_after_a_receive_gathers_what_is_left(is_thread):
    reader = Reader(is_thread)
    reader.feed(b"a", b"bc", ends=True)
    await reader.receive()
    assert await reader.read(100) == b"bc"


@both
@on_loop
async def test_read_raises_past_its_limit(is_thread):
    reader = Reader(is_thread)
    reader.feed(b"ab", b"cd", ends=True)
    with pytest.raises(BodyTooLarge, match="3 bytes"):
        await reader.read(3)


@both
@on_loop
async def test_read_raises_as_soon_as_the_limit_is_passed(is_thread):
    reader = Reader(is_thread)
    reader.feed(b"abcd")  # and no end
    with pytest.raises(BodyTooLarge):
        await reader.read(3)


@pytest.mark.parametrize("error", [ChannelClosed("left"), ReadTimeout("slow"), ServerStopping("stop")])
@both
@on_loop
async def test_read_raises_what_ended_the_body(is_thread, error):
    reader = Reader(is_thread)
    reader.feed(b"a", error=error)
    with pytest.raises(type(error)):
        await reader.read(100)


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
    reader.feed(b"x" * 60)
    assert reader.source.holds == 0
    reader.feed(b"y" * 60)
    assert reader.source.is_held
    await reader.receive()
    await reader.settle()
    assert reader.source.is_held  # 60 bytes are left
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
    assert content(await first) == b"a"


# ---- the thread's side alone ----


@on_loop
async def test_threads_that_receive_at_the_same_time_share_the_chunks():
    reader = Reader(is_thread=True, high_water=10_000)
    gathered = []

    def gather():
        while True:
            try:
                gathered.append(content(reader.channel.receive()))
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
    await reader.receive()
    assert reader.source.waiting == []
