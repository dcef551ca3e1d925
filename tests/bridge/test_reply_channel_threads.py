"""The reply channel in threads: when a sender blocks, and what lets it go."""

import asyncio
import threading

import pytest
from bridge_doubles import FakeExchange, in_thread, make_channel, on_loop, until_async
from patience import PATIENCE_SECONDS, until

from uvicorn.errors import ChannelClosed, ServerStopping

HEAD = {"status": 200, "more_content": True}
LAST = {"content": b"end"}
FULL = b"x" * 100  # what a thread may have on its way: four times the write buffer of a FakeExchange


def chunk(content):
    return {"content": content, "more_content": True}


@on_loop
async def test_send_in_a_thread_is_written_on_the_loop():
    channel, exchange, _ = make_channel()
    await in_thread(channel.send, {"status": 200, "content": b"all"})
    await until_async(lambda: exchange.contents == [b"all"], "the reply")
    assert exchange.thread_ids == {threading.get_ident()}


@on_loop
async def test_what_send_returns_in_a_thread_is_done_already():
    channel, _, _ = make_channel()
    drained = await in_thread(channel.send, HEAD)
    assert list(drained.__await__()) == []


@on_loop
async def test_a_complete_reply_never_blocks_its_thread():
    channel, exchange, outbox = make_channel()
    exchange.writable = False
    thread = threading.Thread(target=channel.send, args=({"status": 200, "content": 10 * FULL},), daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)  # the loop stands still meanwhile
    assert not thread.is_alive()
    assert exchange.is_answered is True
    outbox.drain_now()
    assert exchange.contents == [10 * FULL]


@on_loop
async def test_chunks_up_to_the_mark_do_not_block_though_the_loop_stands_still():
    channel, exchange, outbox = make_channel()

    def stream():
        channel.send(HEAD)
        channel.send(chunk(FULL[:60]))
        channel.send(chunk(FULL[60:]))

    thread = threading.Thread(target=stream, daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()
    outbox.drain_now()
    assert b"".join(exchange.contents) == FULL
    assert exchange.waiting == []


@on_loop
async def test_send_blocks_above_the_mark_until_the_client_has_caught_up():
    channel, exchange, _ = make_channel()
    exchange.writable = False
    sent = []

    def stream():
        channel.send(HEAD)
        for number in range(3):
            channel.send(chunk(FULL))
            sent.append(number)
        channel.send(LAST)

    streaming = in_thread(stream)
    await until_async(lambda: exchange.is_blocking, "the wait of the sender")
    assert sent == [0]
    exchange.catch_up()
    await streaming
    await until_async(lambda: exchange.is_closed, "the end of the reply")
    assert exchange.contents == [b"", FULL, FULL, FULL, b"end"]
    assert exchange.is_blocking is False


@on_loop
async def test_a_sender_blocks_on_when_it_was_another_exchange_that_caught_up():
    channel, exchange, outbox = make_channel()
    exchange.writable = False
    await in_thread(channel.send, HEAD)
    sending = in_thread(channel.send, chunk(2 * FULL))
    await until_async(lambda: exchange.is_blocking, "the wait of the sender")
    outbox.drain_now()
    for _ in range(3):
        exchange.catch_up_elsewhere()
    await asyncio.sleep(0.005)  # a sender that is let go would be seen below
    assert exchange.is_blocking
    exchange.catch_up()
    await sending


@on_loop
async def test_a_sender_blocks_again_each_time_the_client_falls_behind():
    channel, exchange, _ = make_channel()
    exchange.writable = False

    def stream():
        channel.send(HEAD)
        for _ in range(5):
            channel.send(chunk(FULL + b"y"))

    streaming = in_thread(stream)
    for number in range(1, 6):
        await until_async(lambda number=number: len(exchange.waiting) == 2 * number - 1, "the wait of the sender")
        await until_async(lambda number=number: len(exchange.replies) == number + 1, "the delivery of the chunk")
        exchange.catch_up()
        exchange.writable = False
    await streaming


@pytest.mark.parametrize(("is_stopping", "error"), [(False, ChannelClosed), (True, ServerStopping)])
@on_loop
async def test_loss_releases_a_sender_that_blocks(is_stopping, error):
    channel, exchange, _ = make_channel()
    exchange.writable = False

    def stream():
        channel.send(HEAD)
        channel.send(chunk(2 * FULL))

    streaming = in_thread(stream)
    await until_async(lambda: exchange.is_blocking, "the wait of the sender")
    exchange.lose(is_stopping)
    with pytest.raises(error):
        await streaming
    assert exchange.is_blocking is False


@pytest.mark.parametrize(("is_stopping", "error"), [(False, ChannelClosed), (True, ServerStopping)])
@on_loop
async def test_loss_before_the_loop_sees_a_chunk_releases_its_sender(is_stopping, error):
    channel, exchange, _ = make_channel()
    exchange.writable = False

    def stream():
        channel.send(HEAD)
        channel.send(chunk(2 * FULL))

    streaming = in_thread(stream)
    until(lambda: exchange.is_blocking, "the wait of the sender")  # on the loop, which delivers nothing meanwhile
    exchange.lose(is_stopping)
    with pytest.raises(error):
        await streaming


@on_loop
async def test_loss_releases_all_threads_that_share_a_stream():
    channel, exchange, _ = make_channel()
    exchange.writable = False
    await in_thread(channel.send, HEAD)
    streams = [in_thread(channel.send, chunk(2 * FULL)) for _ in range(5)]
    await until_async(lambda: exchange.waiting.count(True) == 5, "the wait of all senders")
    exchange.lose()
    results = await asyncio.gather(*streams, return_exceptions=True)
    assert [type(result) for result in results] == [ChannelClosed] * 5


@on_loop
async def test_catching_up_releases_all_threads_that_share_a_stream():
    channel, exchange, _ = make_channel()
    exchange.writable = False
    await in_thread(channel.send, HEAD)
    streams = [in_thread(channel.send, chunk(2 * FULL)) for _ in range(5)]
    await until_async(lambda: exchange.waiting.count(True) == 5, "the wait of all senders")
    await until_async(lambda: len(exchange.replies) == 6, "the delivery of all chunks")
    exchange.catch_up()
    await asyncio.gather(*streams)
    assert exchange.waiting.count(False) == 5


class SteeredExchange(FakeExchange):
    """An exchange that holds two waiting threads at the points where a wake-up could be lost.

    `is_lost` is what a waiter looks at between its look at the window and its next step.
    """

    def __init__(self):
        self.looks = threading.local()
        self.early_is_at_its_first_look = threading.Event()
        self.late_is_about_to_wait = threading.Event()
        self.is_settled = threading.Event()
        self.early_has_left = threading.Event()
        self._is_lost = False
        super().__init__()

    @property
    def is_lost(self):
        role = getattr(self.looks, "role", None)
        if role is not None:
            self.looks.count = getattr(self.looks, "count", 0) + 1
            if role == "early" and self.looks.count == 1:
                self.early_is_at_its_first_look.set()
                self.is_settled.wait(PATIENCE_SECONDS)
            elif role == "late" and self.looks.count == 2:
                self.late_is_about_to_wait.set()
                self.early_has_left.wait(PATIENCE_SECONDS)
        return self._is_lost

    @is_lost.setter
    def is_lost(self, value):
        self._is_lost = value


@on_loop
async def test_a_thread_that_looks_late_does_not_take_the_wake_up_of_another():
    exchange = SteeredExchange()
    channel, _, _ = make_channel(exchange)
    exchange.writable = False
    await in_thread(channel.send, HEAD)

    def send(role):
        exchange.looks.role = role
        channel.send(chunk(2 * FULL))
        if role == "early":
            exchange.early_has_left.set()

    early = in_thread(send, "early")
    await until_async(exchange.early_is_at_its_first_look.is_set, "the first look of the early thread")
    late = in_thread(send, "late")
    await until_async(exchange.late_is_about_to_wait.is_set, "the second look of the late thread")
    await until_async(lambda: len(exchange.replies) == 3, "the delivery of both chunks")
    exchange.catch_up()
    exchange.is_settled.set()
    await early
    await asyncio.wait_for(late, PATIENCE_SECONDS / 2)
    assert exchange.waiting.count(False) == 2
