"""Histories in Redis when Redis is stopped, restarted with and without its data, cut off, full, or taken over."""

import asyncio

import pytest
from bridge_doubles import on_loop
from carriers import RedisCarrier, needs_redis, wait_for_redis
from layer_doubles import make, until_async
from patience import NEVER_SECONDS
from redis_server import RedisServer

from uvicorn import ChannelLayerUnavailable, Group
from uvicorn.layers.encoding import pack
from uvicorn.layers.redis_history import keys_of

pytestmark = needs_redis


@pytest.fixture
def server():
    made = RedisServer(keeps=True)
    yield made
    made.close()


def room(node, seconds=300):
    return Group("room", node.office, history=1000, history_seconds=seconds)


def stamped(content, epoch, offset):
    return {"text": f"{offset}:{content['text']}"}


def keys(node, name="room"):
    return keys_of(node.layer._keys.group(name))


async def say(node, text):
    """Send, as soon as Redis takes it."""
    for _ in range(2000):
        try:
            await room(node).send({"text": str(text)})
            return
        except ChannelLayerUnavailable:
            await asyncio.sleep(0.05)
    raise AssertionError("Redis takes nothing")


@pytest.fixture
def carrier(server):
    return RedisCarrier(server)


@pytest.fixture
def client(server):
    made = server.client()
    yield made
    made.close()


@on_loop
async def test_no_message_is_missed_while_the_connection_breaks_again_and_again(server, carrier):
    async with make(carrier) as one, make(carrier) as other:
        near, far, plain = one.client(), other.client(), other.client()
        await room(one).add(near)
        await room(other).add(far)
        await other.group("plain").add(plain)
        for number in range(200):
            if number % 20 == 0:
                await asyncio.to_thread(server.ask, "CLIENT", "KILL", "TYPE", "pubsub")
            await say(one, number)
        await until_async(lambda: len(near.texts) >= 200 and len(far.texts) >= 200)
        assert near.texts == far.texts == [str(number) for number in range(200)]
        assert near.gaps == far.gaps == []
        await until_async(lambda: plain.gaps, "the gap of a group without a history")


@on_loop
async def test_what_is_sent_before_a_worker_hears_again_is_filled_in_after_a_restart_with_the_data(server, carrier):
    async with make(carrier) as one:
        client = one.client()
        standing = await room(one).add(client, with_offset=stamped)
        await say(one, "before")
        await asyncio.to_thread(server.restart)
        program = Group("room", carrier.url, history=1000, history_seconds=300)
        await asyncio.to_thread(program.send, {"text": "at once"})
        await say(one, "after")
        await until_async(lambda: len(client.texts) == 3)
        assert client.texts == ["1:before", "2:at once", "3:after"]
        back = one.client()
        assert (await room(one).add(back, since=standing)).epoch == standing.epoch
        assert back.texts == ["before", "at once", "after"]
        assert client.gaps == back.gaps == []


@on_loop
async def test_a_restart_without_the_data_is_a_new_epoch_and_a_gap(server, carrier):
    async with make(carrier) as one:
        client = one.client()
        standing = await room(one).add(client, with_offset=stamped)
        await say(one, "before")
        await asyncio.to_thread(server.restart, True)
        await until_async(lambda: client.gaps, "the gap")
        await say(one, "after")
        await until_async(lambda: len(client.texts) == 2)
        assert client.texts == ["1:before", "1:after"]
        assert client.gaps == [None]
        back = one.client()
        again = await room(one).add(back, since=(standing.epoch, 1))
        assert again.epoch != standing.epoch
        assert (again.offset, again.missed, back.gaps, back.texts) == (1, None, [None], ["after"])


@on_loop
async def test_who_is_added_while_redis_is_stopped_is_told_so_and_gets_what_it_missed_later(server, carrier):
    async with make(carrier) as one:
        first = one.client()
        standing = await room(one).add(first)
        await say(one, "missed")
        await until_async(lambda: first.texts)
        first.leave()
        wait_for_redis(one, 1.0)
        await asyncio.to_thread(server.stop)
        back = one.client()
        with pytest.raises(ChannelLayerUnavailable):
            await room(one).add(back, since=standing)
        assert back.texts == []
        wait_for_redis(one, NEVER_SECONDS)
        await asyncio.to_thread(server.start)
        await until_async(lambda: back.texts)
        await say(one, "live")
        await until_async(lambda: len(back.texts) == 2)
        assert back.texts == ["missed", "live"]
        assert back.gaps == []


@on_loop
async def test_a_redis_that_has_taken_over_without_the_latest_messages_begins_a_new_epoch(carrier, client):
    async with make(carrier) as one:
        member = one.client()
        standing = await room(one).add(member)
        for number in range(3):
            await say(one, number)
        await until_async(lambda: len(member.texts) == 3)
        stream, state = keys(one)
        client.hset(state, "last", 1)  # as if the other Redis had got the first one only
        client.xtrim(stream, maxlen=1)
        one.hub.on_gap(None, None)
        await until_async(lambda: member.gaps)
        back = one.client()
        again = await room(one).add(back, since=(standing.epoch, 3))
        assert (again.epoch == standing.epoch, again.missed) == (False, None)
        await say(one, "new")
        await until_async(lambda: member.texts == ["0", "1", "2", "new"] and back.texts == ["new"])


@on_loop
async def test_a_group_without_members_is_forgotten_and_one_with_members_is_not(carrier, client):
    async with make(carrier) as one:
        member = one.client()
        await room(one, seconds=2).add(member)
        while client.exists(*keys(one)) < 2:  # on a machine that stands still it is over at once
            await room(one, seconds=2).send({"text": "1"})
        client.persist(keys(one)[1])
        one.hub._followers._followed["room"].asked_at = -1000.0
        await until_async(lambda: client.pttl(keys(one)[1]) > 0, "that it is asked for now and then")
        member.leave()
        await until_async(lambda: client.exists(*keys(one)) == 0, "that it is forgotten")


@on_loop
async def test_a_stream_has_as_many_messages_as_are_kept(carrier, client):
    async with make(carrier) as one:
        group = Group("room", one.office, history=5)
        for number in range(20):
            await group.send({"text": str(number)})
        assert client.xlen(keys(one)[0]) == 5
        large = Group("large", one.office, history=5, history_bytes=1000)
        for size, count in ((300, 1), (300, 2), (300, 3), (20, 4), (300, 4), (960, 1), (9000, 1), (9, 1), (9, 2)):
            await large.send({"bytes": bytes(size)})
            assert client.xlen(keys(one, "large")[0]) == count


@on_loop
async def test_a_history_from_before_there_was_a_bound_of_bytes_goes_on(carrier, client):
    async with make(carrier) as one:
        stream, state = keys(one)
        client.hset(state, mapping={"epoch": "0" * 16, "last": 2})
        for offset in (1, 2):
            client.xadd(stream, {"offset": offset, "content": pack({"text": str(offset)})})
        member, back = one.client(), one.client()
        small = Group("room", one.office, history=5, history_bytes=20)
        await small.add(member, since=("0" * 16, 0))
        for text in ("3", "4", "5"):
            await small.send({"text": text})
        await until_async(lambda: member.texts == ["1", "2", "3", "4", "5"])
        assert client.xlen(stream) == 2
        assert (await small.add(back, since=("0" * 16, 2))).missed == 1


@on_loop
async def test_a_redis_without_memory_refuses_and_nothing_is_sent_that_is_not_kept(server, carrier):
    async with make(carrier) as one:
        member = one.client()
        await room(one).add(member, with_offset=stamped)
        await asyncio.to_thread(server.ask, "CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(ChannelLayerUnavailable, match="maxmemory"):
            await room(one).send({"text": "refused"})
        await asyncio.to_thread(server.ask, "CONFIG", "SET", "maxmemory", "0")
        await say(one, "taken")
        await until_async(lambda: member.texts)
        assert member.texts == ["1:taken"]


@pytest.mark.parametrize(
    ("channel", "keys"),
    [
        ("uvicorn:g:room", ("{uvicorn:g:room}:history", "{uvicorn:g:room}:state")),
        ("{site}:g:room", ("{site}:g:room:history", "{site}:g:room:state")),
    ],
)
def test_the_keys_of_a_group_are_where_its_channel_is(channel, keys):
    assert keys_of(channel) == keys
