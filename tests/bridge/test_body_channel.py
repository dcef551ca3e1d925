"""The rest of a body, for a coroutine and for a thread: what they receive."""

import asyncio

import pytest
from bridge_doubles import Reader, on_loop, until_async

from uvicorn.errors import BodyTooLarge, ChannelClosed, ReadTimeout, ServerStopping

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
