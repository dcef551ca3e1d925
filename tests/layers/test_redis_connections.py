"""The connections to Redis over doubles of redis-py, whose answers come when a test says so."""

import asyncio
import gc

import pytest
from bridge_doubles import on_loop
from layer_doubles import RecordingLog, until_async

from uvicorn.errors import ChannelLayerUnavailable
from uvicorn.layers.ending import end_all
from uvicorn.layers.redis_cluster import ClusterSubscriber
from uvicorn.layers.redis_outage import Outage
from uvicorn.layers.redis_publisher import Publisher
from uvicorn.layers.redis_servers import RedisAddress
from uvicorn.layers.redis_subscriber import Subscriber


class Redis:
    """A client of redis-py, and its own pub/sub."""

    def __init__(self):
        self.sent = []
        self._heard = asyncio.Queue()
        self.error = None

    def pubsub(self):
        return self

    async def ping(self):
        pass

    async def aclose(self):
        pass

    async def execute_command(self, *words):
        """Break when the command is given up."""
        self.sent.append(words)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError("it broke just now") from None

    async def subscribe(self, *names):
        self.sent += [("subscribe", name) for name in names]
        if self.error is not None:
            raise self.error

    async def unsubscribe(self, *names):
        self.sent += [("unsubscribe", name) for name in names]

    async def get_message(self, timeout):
        found = await self._heard.get()
        if isinstance(found, Exception):
            raise found
        return found

    def hear(self, kind, name, data=None):
        self._heard.put_nowait({"type": kind, "channel": name.encode(), "data": data})

    def confirm(self, count=1):
        """Answer the next commands."""
        for _ in range(count):
            self.hear(*self.sent.pop(0))

    def break_off(self, error):
        self._heard.put_nowait(error)


@pytest.fixture
def untold():
    """What asyncio tells that nobody has looked at."""
    told = []
    yield told
    gc.collect()
    assert told == []


def subscriber_of(clients, heard):
    loop = asyncio.get_running_loop()
    outage = Outage("redis", loop.time, RecordingLog())
    return Subscriber("hearing", iter(clients).__next__, lambda *found: heard.append(found), heard.clear, outage, 60.0)


async def settled():
    for _ in range(10):
        await asyncio.sleep(0)


@on_loop
async def test_a_group_left_and_joined_again_before_its_confirmation_is_heard_when_the_last_one_has_come():
    redis, heard = Redis(), []
    subscriber = subscriber_of([redis], heard)
    own = subscriber.subscribe("own")
    await until_async(lambda: redis.sent)
    redis.confirm()
    await own
    first = subscriber.subscribe("room")
    await until_async(lambda: redis.sent)
    subscriber.unsubscribe("room")
    assert first.done()  # nobody is left who would wait for it
    again = subscriber.subscribe("room")
    assert subscriber.subscribe("room") is again  # and not a second command
    await until_async(lambda: len(redis.sent) == 3)
    assert redis.sent == [("subscribe", "room"), ("unsubscribe", "room"), ("subscribe", "room")]
    for _ in range(2):
        redis.confirm()
        await settled()
        assert not again.done()  # a message that is sent now would be missed
    redis.confirm()
    await again
    redis.hear("message", "room", b"1")
    await until_async(lambda: heard == [("room", b"1")])
    await subscriber.stop()


@on_loop
async def test_nothing_is_kept_of_groups_that_were_left():
    """A worker with a group for each of its users had all their names for ever."""
    redis = Redis()
    subscriber = subscriber_of([redis], [])
    own = subscriber.subscribe("own")
    await until_async(lambda: redis.sent)
    redis.confirm()
    await own
    for number in range(3):
        joined = subscriber.subscribe(f"user-{number}")
        await until_async(lambda: redis.sent)
        redis.confirm()
        await joined
        subscriber.unsubscribe(f"user-{number}")
        await until_async(lambda: redis.sent)
        redis.confirm()
    await until_async(lambda: not subscriber._ending)
    assert (dict(subscriber._beginning), [*subscriber.wanted]) == ({}, ["own"])
    await subscriber.stop()


class Cluster:
    """A cluster of redis-py, and what says how it is reached."""

    host, port = "one", 1

    def client(self):
        return self

    async def initialize(self):
        pass

    async def cluster_slots(self):
        return self.host

    async def aclose(self):
        pass

    def get_node_from_key(self, name):
        return self


class ClusterNode:
    """The subscriber of one node."""

    def __init__(self):
        self.wanted = {}

    def subscribe(self, name):
        return self.wanted.setdefault(name, asyncio.get_running_loop().create_future())

    def unsubscribe(self, name):
        self.wanted.pop(name).set_result(None)


@on_loop
async def test_who_joins_while_a_group_moves_to_another_node_waits_for_that_one(monkeypatch):
    nodes = {}
    monkeypatch.setattr(ClusterSubscriber, "_made", lambda self, host, port: nodes.setdefault(host, ClusterNode()))
    cluster = Cluster()
    subscriber = ClusterSubscriber(
        cluster, None, lambda: None, Outage("redis", asyncio.get_running_loop().time, RecordingLog())
    )
    joined = subscriber.subscribe("room")
    await until_async(lambda: nodes)
    cluster.host = "other"
    subscriber._looking.set()
    await until_async(lambda: "other" in nodes)
    await settled()
    assert not joined.done()  # a message that is sent now would be missed
    nodes["other"].wanted["room"].set_result(None)
    await joined
    await end_all([subscriber._task])


@on_loop
async def test_what_was_left_on_a_broken_connection_is_confirmed_once_on_the_next_one():
    redis, later = Redis(), Redis()
    subscriber = subscriber_of([redis, later], [])
    first = subscriber.subscribe("room")
    await until_async(lambda: redis.sent)
    subscriber.unsubscribe("room")
    again = subscriber.subscribe("room")
    await until_async(lambda: len(redis.sent) == 3)
    redis.break_off(ConnectionError("gone"))
    await until_async(lambda: later.sent)
    assert (first.done(), again.done(), later.sent) == (True, False, [("subscribe", "room")])
    later.confirm()
    await again
    await subscriber.stop()


@on_loop
async def test_a_connection_that_breaks_for_reader_and_writer_at_once_leaves_no_error_that_nobody_takes(untold):
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: untold.append(context))
    redis, later = Redis(), Redis()
    subscriber = subscriber_of([redis, later], [])
    own = subscriber.subscribe("own")
    await until_async(lambda: redis.sent)
    redis.confirm()
    await own
    redis.error = ConnectionError("gone")
    subscriber.subscribe("room")
    redis.break_off(ConnectionError("gone, too"))
    await until_async(lambda: later.sent)
    await subscriber.stop()


@on_loop
async def test_a_command_that_fails_while_it_is_given_up_leaves_no_error_that_nobody_takes(untold):
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: untold.append(context))
    address = RedisAddress("redis://127.0.0.1:1/0?timeout=60")
    redis = Redis()
    publisher = Publisher(address, Outage("redis", asyncio.get_running_loop().time, RecordingLog()))
    publisher._client = redis
    future = publisher.execute("PUBLISH", "room", b"1")
    await until_async(lambda: redis.sent)
    await publisher.stop(0.0)
    with pytest.raises(ChannelLayerUnavailable, match="stopping"):
        await future


@on_loop
async def test_a_name_that_is_left_in_the_turn_in_which_it_came_is_no_outage():
    subscriber = subscriber_of([], [])  # there is no client to be had, and none is wanted
    await settled()
    subscriber.subscribe("room")
    subscriber.unsubscribe("room")
    await settled()
    assert not subscriber._outage.since
    await subscriber.stop()
