"""The reply channel: what is told when its last reference goes."""

import asyncio
import gc
import threading

import pytest
from bridge_doubles import in_thread, make_channel, on_loop, until_async

from uvicorn.errors import ReplyError

WHOLE = {"status": 200, "content": b"all"}
FIRST = {"status": 200, "content": b"a", "more_content": True}
CHUNK = {"content": b"b", "more_content": True}
LAST = {"content": b"c"}


@pytest.mark.parametrize("replies", [[], [FIRST], [FIRST, CHUNK]], ids=["nothing", "first", "chunk"])
@on_loop
async def test_letting_go_without_a_complete_reply_is_told_once(replies):
    channel, exchange, _ = make_channel()
    for reply in replies:
        channel.send(reply)
    del channel
    await until_async(lambda: exchange.drops, "the report")
    gc.collect()
    await asyncio.sleep(0)
    assert exchange.drops == 1


@pytest.mark.parametrize("replies", [[WHOLE], [FIRST, LAST]], ids=["whole", "stream"])
@on_loop
async def test_letting_go_after_a_complete_reply_is_not_told(replies):
    channel, exchange, outbox = make_channel()
    for reply in replies:
        channel.send(reply)
    del channel
    gc.collect()
    outbox.drain_now()
    assert exchange.drops == 0


@on_loop
async def test_nothing_is_told_while_somebody_holds_the_channel():
    channel, exchange, outbox = make_channel()
    kept = {"reply_channel": channel}
    del channel
    gc.collect()
    outbox.drain_now()
    assert exchange.drops == 0
    kept.clear()
    outbox.drain_now()
    assert exchange.drops == 1


@on_loop
async def test_letting_go_in_a_thread_is_told_on_the_loop():
    channel, exchange, _ = make_channel()
    holder = [channel]
    del channel
    await in_thread(holder.clear)
    await until_async(lambda: exchange.drops == 1, "the report")
    assert exchange.thread_ids == {threading.get_ident()}


@on_loop
async def test_a_thread_that_replies_and_lets_go_is_not_reported():
    channel, exchange, outbox = make_channel()
    holder = [channel]
    del channel

    def reply_and_let_go():
        holder.pop().send(WHOLE)

    await in_thread(reply_and_let_go)
    outbox.drain_now()
    assert (exchange.contents, exchange.drops) == ([b"all"], 0)


@on_loop
async def test_what_a_thread_sent_is_written_before_its_letting_go_is_told():
    channel, exchange, _ = make_channel()
    holder = [channel]
    del channel
    drops_at_reply = []
    exchange.on_reply = lambda reply: drops_at_reply.append(exchange.drops)

    def reply_in_part():
        mine = holder.pop()
        mine.send(FIRST)
        mine.send(CHUNK)

    await in_thread(reply_in_part)
    await until_async(lambda: exchange.drops == 1, "the report")
    assert drops_at_reply == [0, 0]


@on_loop
async def test_a_channel_in_a_cycle_is_reported_when_it_is_collected():
    channel, exchange, _ = make_channel()
    message = {"reply_channel": channel}
    message["content"] = message
    del channel, message
    gc.collect()
    await until_async(lambda: exchange.drops == 1, "the report")


@on_loop
async def test_a_bad_reply_alone_does_not_complete_the_channel():
    channel, exchange, _ = make_channel()
    with pytest.raises(ReplyError):
        channel.send({"status": 1000})
    del channel
    await until_async(lambda: exchange.drops == 1, "the report")


def test_letting_go_after_the_loop_has_closed_does_no_harm():
    async def scenario():
        return make_channel()

    channel, exchange, _ = asyncio.run(scenario())
    del channel
    gc.collect()
    assert exchange.drops == 0
