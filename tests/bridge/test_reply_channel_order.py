"""The reply channel in threads and on the loop at the same time: order, and one reply only."""

import asyncio
import threading

import pytest
from bridge_doubles import in_thread, make_channel, on_loop, until_async
from patience import PATIENCE_SECONDS

from uvicorn.errors import ReplyError

HEAD = {"status": 200, "more_content": True}
LAST = {"content": b"end"}


def chunk(content):
    return {"content": content, "more_content": True}


@on_loop
async def test_a_reply_on_the_loop_cannot_overtake_what_a_thread_sent_before_it():
    channel, exchange, _ = make_channel()
    thread = threading.Thread(target=channel.send, args=(HEAD | chunk(b"from the thread"),), daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)  # on the loop: nothing is delivered meanwhile
    assert exchange.replies == []
    channel.send(chunk(b"from the loop"))
    assert exchange.contents == [b"from the thread", b"from the loop"]


@on_loop
async def test_loop_and_thread_may_take_turns_in_one_stream():
    channel, exchange, _ = make_channel()
    channel.send(HEAD)
    for number in range(10):
        if number % 2:
            await in_thread(channel.send, chunk(b"%d" % number))
        else:
            channel.send(chunk(b"%d" % number))
    await in_thread(channel.send, LAST)
    await until_async(lambda: exchange.is_closed, "the end of the reply")
    assert b"".join(exchange.contents) == b"0123456789end"


@on_loop
async def test_only_one_of_many_threads_completes_a_reply():
    channel, exchange, _ = make_channel()
    barrier = threading.Barrier(10, timeout=PATIENCE_SECONDS)

    def reply():
        barrier.wait()
        channel.send({"status": 200, "content": b"all"})

    results = await asyncio.gather(*(in_thread(reply) for _ in range(10)), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["NoneType"] + ["ReplyError"] * 9
    await until_async(lambda: exchange.is_closed, "the reply")
    assert exchange.contents == [b"all"]


@on_loop
async def test_a_reply_on_the_loop_in_the_middle_of_a_threads_check_is_admitted_once():
    channel, exchange, outbox = make_channel()
    inside, release = threading.Event(), threading.Event()

    def headers():
        inside.set()
        release.wait(0.2)  # the loop may have to wait for us
        yield b"x-from", b"thread"

    in_a_thread = in_thread(channel.send, {"status": 200, "headers": headers(), "content": b"thread"})
    assert inside.wait(PATIENCE_SECONDS)
    results = []
    try:
        channel.send({"status": 200, "content": b"loop"})
    except ReplyError as error:
        results.append(error)
    release.set()
    try:
        await in_a_thread
    except ReplyError as error:
        results.append(error)
    outbox.drain_now()
    assert len(results) == 1
    assert len(exchange.replies) == 1


def senders(channel, count, chunks):
    barrier = threading.Barrier(count, timeout=PATIENCE_SECONDS)

    def send_all(sender):
        barrier.wait()
        for number in range(chunks):
            channel.send(chunk(b"%d:%d," % (sender, number)))

    return [in_thread(send_all, sender) for sender in range(count)]


def order_of_each(exchange):
    orders = {}
    for part in b"".join(exchange.contents).split(b",")[:-1]:
        sender, number = part.split(b":")
        orders.setdefault(int(sender), []).append(int(number))
    return orders


@on_loop
async def test_concurrent_senders_keep_the_order_of_each_thread():
    channel, exchange, _ = make_channel()
    await in_thread(channel.send, HEAD)
    await asyncio.gather(*senders(channel, count=20, chunks=50))
    await until_async(lambda: len(exchange.replies) == 1001, "all chunks")
    assert order_of_each(exchange) == {sender: list(range(50)) for sender in range(20)}


@pytest.mark.slow
@on_loop
async def test_concurrent_senders_to_a_slow_client_all_come_to_their_end_in_order():
    channel, exchange, _ = make_channel()
    await in_thread(channel.send, HEAD)
    sending = asyncio.gather(*senders(channel, count=20, chunks=100))
    while not sending.done():
        exchange.writable = False
        await asyncio.sleep(0.0005)
        exchange.catch_up()
        await asyncio.sleep(0)
    await sending
    exchange.catch_up()
    await until_async(lambda: len(exchange.replies) == 2001, "all chunks")
    assert order_of_each(exchange) == {sender: list(range(100)) for sender in range(20)}
