"""The reply channel on the loop, and what holds for both of its faces."""

import asyncio
import subprocess
import sys
import threading

import pytest
from bridge_doubles import in_thread, make_channel, on_loop
from patience import PATIENCE_SECONDS

from uvicorn.errors import ChannelClosed, ChannelFull, ReplyError, ReplyTypeError, ServerStopping

WHOLE = {"status": 200, "content": b"all"}
FIRST = {"status": 200, "content": b"a", "more_content": True}
CHUNK = {"content": b"b", "more_content": True}
LAST = {"content": b"c"}


@on_loop
async def test_send_on_the_loop_writes_at_once():
    channel, exchange, _ = make_channel()
    channel.send(WHOLE)
    assert exchange.contents == [b"all"]


@on_loop
async def test_awaiting_send_is_done_at_once_when_the_client_has_caught_up():
    channel, exchange, _ = make_channel()
    assert await channel.send(FIRST) is None
    assert exchange.contents == [b"a"]


@on_loop
async def test_awaiting_send_waits_until_the_client_has_caught_up():
    channel, exchange, _ = make_channel()
    exchange.writable = False
    waiting = asyncio.ensure_future(channel.send(FIRST))
    await asyncio.sleep(0)
    assert exchange.contents == [b"a"]
    assert not waiting.done()
    exchange.catch_up()
    await waiting


@on_loop
async def test_awaiting_send_late_is_done_when_the_client_has_caught_up_meanwhile():
    channel, exchange, _ = make_channel()
    exchange.writable = False
    drained = channel.send(FIRST)
    exchange.catch_up()
    assert await drained is None


@on_loop
async def test_awaiting_send_waits_on_when_it_was_another_exchange_that_caught_up():
    channel, exchange, _ = make_channel()
    exchange.writable = False
    waiting = asyncio.ensure_future(channel.send(FIRST))
    for _ in range(3):
        await asyncio.sleep(0)
        exchange.catch_up_elsewhere()
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()
    exchange.catch_up()
    await waiting


@on_loop
async def test_a_stream_that_awaits_leaves_the_loop_to_others_though_its_client_keeps_up():
    channel, exchange, _ = make_channel()
    turns = []

    async def stream():
        await channel.send(FIRST)
        for _ in range(10):
            await channel.send(CHUNK)

    async def other():
        while not exchange.is_closed:
            turns.append(len(exchange.replies))
            await asyncio.sleep(0)

    others = asyncio.ensure_future(other())
    await stream()
    channel.send(LAST)
    await others
    assert len(turns) > 5


@pytest.mark.parametrize(("is_stopping", "error"), [(False, ChannelClosed), (True, ServerStopping)])
@on_loop
async def test_loss_ends_the_wait_of_an_awaited_send(is_stopping, error):
    channel, exchange, _ = make_channel()
    exchange.writable = False
    waiting = asyncio.ensure_future(channel.send(FIRST))
    await asyncio.sleep(0)
    exchange.lose(is_stopping)
    with pytest.raises(error):
        await waiting


@on_loop
async def test_awaiting_send_after_loss_raises():
    channel, exchange, _ = make_channel()
    exchange.writable = False
    drained = channel.send(FIRST)
    exchange.lose()
    with pytest.raises(ChannelClosed):
        await drained


@on_loop
async def test_cancelling_the_wait_takes_nothing_back_and_the_stream_goes_on():
    channel, exchange, _ = make_channel()
    exchange.writable = False
    waiting = asyncio.ensure_future(channel.send(FIRST))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    exchange.catch_up()
    await channel.send(LAST)
    assert exchange.contents == [b"a", b"c"]


@on_loop
async def test_two_waits_of_one_stream_both_end_when_the_client_has_caught_up():
    channel, exchange, _ = make_channel()
    exchange.writable = False
    waits = [asyncio.ensure_future(channel.send(FIRST)), asyncio.ensure_future(channel.send(CHUNK))]
    await asyncio.sleep(0)
    exchange.catch_up()
    assert await asyncio.gather(*waits) == [None, None]


@on_loop
async def test_a_stream_far_ahead_of_its_client_is_refused_and_not_written():
    channel, exchange, _ = make_channel()
    channel.send(FIRST)
    exchange.flooded = True
    with pytest.raises(ChannelFull):
        channel.send(CHUNK)
    assert exchange.contents == [b"a"]


@on_loop
async def test_a_stream_goes_on_after_it_was_refused():
    channel, exchange, _ = make_channel()
    channel.send(FIRST)
    exchange.flooded = True
    with pytest.raises(ChannelFull):
        channel.send(CHUNK)
    exchange.flooded = False
    channel.send(LAST)
    assert exchange.contents == [b"a", b"c"]


@on_loop
async def test_a_first_reply_is_never_refused_for_a_client_that_is_behind():
    channel, exchange, _ = make_channel()
    exchange.flooded = True
    channel.send(WHOLE)
    assert exchange.contents == [b"all"]


@pytest.mark.parametrize(("is_stopping", "error"), [(False, ChannelClosed), (True, ServerStopping)])
@pytest.mark.parametrize("is_thread", [False, True], ids=["loop", "thread"])
@on_loop
async def test_send_after_loss_raises_and_writes_nothing(is_stopping, error, is_thread):
    channel, exchange, _ = make_channel()
    exchange.lose(is_stopping)
    with pytest.raises(error):
        await in_thread(channel.send, WHOLE) if is_thread else channel.send(WHOLE)
    assert exchange.replies == []


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        ({"content": b"x"}, ReplyError),
        ({"status": 99}, ReplyError),
        ({"status": 200, "body": b"x"}, ReplyError),
        ({"status": 200, "content": "text"}, ReplyTypeError),
        ({"status": 200, "headers": [(b"a", b"b\r\nc: d")]}, ReplyError),
        (b"x", ReplyTypeError),
    ],
)
@pytest.mark.parametrize("is_thread", [False, True], ids=["loop", "thread"])
@on_loop
async def test_a_bad_reply_raises_in_its_caller_before_anything_is_written(reply, error, is_thread):
    channel, exchange, outbox = make_channel()
    with pytest.raises(error):
        await in_thread(channel.send, reply) if is_thread else channel.send(reply)
    assert (exchange.replies, exchange.is_answered, len(outbox)) == ([], False, 0)


@pytest.mark.parametrize("is_thread", [False, True], ids=["loop", "thread"])
@on_loop
async def test_a_good_reply_is_taken_after_a_bad_one(is_thread):
    channel, exchange, _ = make_channel()
    with pytest.raises(ReplyError):
        await in_thread(channel.send, {"status": 0}) if is_thread else channel.send({"status": 0})
    channel.send(WHOLE)
    assert exchange.contents == [b"all"]


@pytest.mark.parametrize("is_thread", [False, True], ids=["loop", "thread"])
@on_loop
async def test_sending_past_the_end_of_a_reply_is_the_consumers_mistake(is_thread):
    channel, exchange, _ = make_channel()
    channel.send(WHOLE)
    with pytest.raises(ReplyError, match="complete"):
        await in_thread(channel.send, WHOLE) if is_thread else channel.send(WHOLE)
    assert exchange.contents == [b"all"]


@on_loop
async def test_closed_tells_that_the_reply_is_complete():
    channel, _, _ = make_channel()
    channel.send(FIRST)
    assert channel.closed is False
    channel.send(LAST)
    assert channel.closed is True


@on_loop
async def test_closed_tells_that_the_client_has_left():
    channel, exchange, _ = make_channel()
    assert channel.closed is False
    exchange.lose()
    assert channel.closed is True


@on_loop
async def test_names_are_unique_and_stay():
    channels = [make_channel()[0] for _ in range(3)]
    names = [channel.name for channel in channels]
    assert len(set(names)) == 3
    assert [channel.name for channel in channels] == names
    assert all(type(name) is str for name in names)


@on_loop
async def test_names_asked_for_by_many_threads_are_one():
    channel, _, _ = make_channel()
    barrier = threading.Barrier(8, timeout=PATIENCE_SECONDS)

    def ask():
        barrier.wait()
        return channel.name

    assert len(set(await asyncio.gather(*(in_thread(ask) for _ in range(8))))) == 1


@on_loop
async def test_repr_tells_name_and_whether_it_is_closed():
    channel, _, _ = make_channel()
    assert repr(channel) == f"<ReplyChannel {channel.name}>"
    channel.send(WHOLE)
    assert repr(channel) == f"<ReplyChannel {channel.name} closed>"


def test_a_channel_that_outlives_the_loop_says_nothing_when_the_interpreter_ends(tmp_path):
    code = """
import asyncio
import gc
from uvicorn.bridge.channels import ReplyChannel
from uvicorn.bridge.outbox import Outbox

gc.disable()  # or it may find the channel while the loop still runs

class Exchange:
    is_head = is_closed = False
    def on_dropped(self, _=None):
        raise AssertionError

async def main():
    kept = {"channel": ReplyChannel(Exchange(), Outbox(asyncio.get_running_loop()))}
    kept["itself"] = kept

asyncio.run(main())
gc.enable()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
