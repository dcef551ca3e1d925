"""Groups and channels over a cluster of three nodes, where each name belongs to one of them."""

import asyncio

import pytest
import redis
from bridge_doubles import on_loop
from carriers import RedisCarrier, needs_redis
from layer_doubles import Worked, make, until_async
from redis.crc import key_slot
from redis.exceptions import ClusterDownError, TryAgainError
from redis_cluster import RedisCluster

from uvicorn import Channel, ChannelLayerUnavailable, Group, route
from uvicorn.layers.encoding import unpack
from uvicorn.layers.handover import wait_for
from uvicorn.layers.layer import PUBLISH
from uvicorn.layers.limits import ChannelLimits
from uvicorn.layers.program_redis import RedisCarrier as ProgramCarrier
from uvicorn.layers.redis_cluster import ClusterSubscriber
from uvicorn.layers.redis_servers import RedisAddress, translate

pytestmark = needs_redis
NAMES = [f"room-{number}" for number in range(12)]


@pytest.fixture(scope="module")
def cluster():
    made = RedisCluster()
    yield made
    made.close()


def carrier_of(cluster):
    """Return a carrier whose groups are on all three nodes: which prefix does that is chance."""
    while True:
        carrier = RedisCarrier(cluster)
        if len({3 * key_slot(f"{carrier.prefix}:g:{name}".encode()) // 16384 for name in NAMES}) == 3:
            return carrier


@on_loop
async def test_all_groups_of_a_node_are_heard_again_when_its_connection_was_broken(cluster):
    carrier = carrier_of(cluster)
    async with make(carrier) as one, make(carrier) as other:
        far = other.client()
        for name in NAMES:
            await other.group(name).add(far)
        for node in cluster.nodes:
            await asyncio.to_thread(node.ask, "CLIENT", "KILL", "TYPE", "pubsub")
        await until_async(lambda: far.gaps, "the gap")

        while {*far.texts} != {*NAMES}:  # until each node is heard again
            for name in NAMES:
                await one.group(name).send({"text": name})
            await asyncio.sleep(0.01)
        for name in NAMES:
            await one.group(name).send({"text": f"{name} again"})
        await until_async(lambda: {*far.texts} >= {f"{name} again" for name in NAMES}, "the messages of all groups")


def give_to_another(cluster, name):
    """Have the node that has a name give it to another one; there is nothing stored to move."""
    slot = int(cluster.nodes[0].ask("CLUSTER", "KEYSLOT", name).strip()[1:])
    number = 3 * slot // 16384
    giver, taker = cluster.nodes[number], cluster.nodes[(number + 1) % 3]
    ids = [node.ask("CLUSTER", "MYID").split()[1].decode() for node in (giver, taker)]
    assert b"OK" in taker.ask("CLUSTER", "SETSLOT", str(slot), "IMPORTING", ids[0])
    assert b"OK" in giver.ask("CLUSTER", "SETSLOT", str(slot), "MIGRATING", ids[1])
    for node in (taker, *cluster.nodes):  # who gets it knows it first
        assert b"OK" in node.ask("CLUSTER", "SETSLOT", str(slot), "NODE", ids[1])


@on_loop
async def test_a_group_is_heard_of_where_it_is_when_a_node_has_given_it_to_another(cluster, monkeypatch):
    monkeypatch.setattr("uvicorn.layers.redis_cluster._LOOK_SECONDS", 0.05)
    carrier = carrier_of(cluster)
    async with make(carrier) as one, make(carrier) as other:
        far = other.client()
        await other.group("moved").add(far)
        await asyncio.to_thread(give_to_another, cluster, f"{carrier.prefix}:g:moved")
        await until_async(lambda: far.gaps, "the gap")

        while not far.texts:
            await one.group("moved").send({"text": "after"})
            await asyncio.sleep(0.01)


@on_loop
async def test_groups_and_channels_work_whichever_node_they_are_on(cluster):
    worked = Worked()
    carrier = carrier_of(cluster)
    async with make(carrier) as one, make(carrier, *(route(name, worked) for name in NAMES)) as other:
        near, far = one.client(), other.client()
        for name in NAMES:
            await one.group(name).add(near)
            await other.group(name).add(far)
            assert sorted(await one.office.members(name)) == sorted([near.name, far.name])
        for number in range(3):
            for name in NAMES:
                one.group(name).send({"text": f"{name} {number}"})
        await until_async(lambda: len(near.texts) == len(far.texts) == 3 * len(NAMES))
        for client in (near, far):
            for name in NAMES:  # in order for each group
                own = [text for text in client.texts if text.startswith(name + " ")]
                assert own == [f"{name} {number}" for number in range(3)]
        await one.channel(far.name).send({"text": "you"})
        await until_async(lambda: "you" in far.texts)
        for name in NAMES:
            await one.channel(name).send({"n": name})
        await one.channel(NAMES[0]).send({"n": "later"}, delay=0.1)
        await until_async(lambda: len(worked.messages) == len(NAMES) + 1)
        assert {*worked.numbers} == {*NAMES, "later"}
        assert len(one.layer._subscriber._nodes) == 3
        assert one.log.texts("error") == other.log.texts("error") == []


@on_loop
async def test_a_message_whose_connection_broke_before_the_answer_does_not_come_twice(cluster, monkeypatch):
    carrier = carrier_of(cluster)
    async with make(carrier) as one, make(carrier) as other:
        far = other.client()
        await other.group("room").add(far)
        await one.group("room").send({"text": "before"})
        breaking(monkeypatch, redis.asyncio.connection.Connection)
        with pytest.raises(ChannelLayerUnavailable) as raised:
            await one.group("room").send({"text": "broken"})
        assert raised.value.was_sent
        await one.group("room").send({"text": "after"})
        await until_async(lambda: "after" in far.texts)
        assert far.texts == ["before", "broken", "after"]


@on_loop
async def test_a_message_of_a_program_whose_connection_broke_before_the_answer_does_not_come_twice(
    cluster, monkeypatch
):
    carrier = carrier_of(cluster)
    async with make(carrier) as node:
        far = node.client()
        await node.group("room").add(far)
        program = program_of(carrier)
        await asyncio.to_thread(program.carry, PUBLISH, "room", {"text": "before"}, 0)
        breaking(monkeypatch, redis.connection.Connection)
        with pytest.raises(ChannelLayerUnavailable) as raised:
            await asyncio.to_thread(program.carry, PUBLISH, "room", {"text": "broken"}, 0)
        assert raised.value.was_sent
        await asyncio.to_thread(program.carry, PUBLISH, "room", {"text": "after"}, 0)
        await until_async(lambda: "after" in far.texts)
        assert far.texts == ["before", "broken", "after"]


def breaking(monkeypatch, kind):
    """Have a connection break when the answer to the next message of a group has come, and nobody has seen it."""
    send, read = kind.send_packed_command, kind.read_response
    armed = []  # the connection that has sent it

    def sending(self, command, *args, **kwargs):
        data = b"".join(command) if isinstance(command, list) else bytes(command)
        if b"SPUBLISH" in data and not armed:
            armed.append(self)
        return send(self, command, *args, **kwargs)

    def reading(self, *args, **kwargs):
        answer = read(self, *args, **kwargs)
        if armed != [self]:
            return answer
        armed.append(None)
        if asyncio.iscoroutine(answer):
            return broken(answer)
        raise redis.exceptions.ConnectionError("as if it were broken")

    async def broken(answer):
        await answer
        raise redis.exceptions.ConnectionError("as if it were broken")

    monkeypatch.setattr(kind, "send_packed_command", sending)
    monkeypatch.setattr(kind, "read_response", reading)


@on_loop
async def test_what_is_sent_after_nodes_have_closed_idle_connections_is_not_lost(cluster):
    carrier = carrier_of(cluster)
    async with make(carrier) as one, make(carrier) as other:
        far = other.client()
        for name in NAMES:
            await other.group(name).add(far)
            await one.group(name).send({"text": name})
        program = program_of(carrier)
        await asyncio.to_thread(program.carry, PUBLISH, NAMES[0], {"text": "program"}, 0)
        idle = [reader for client in one.layer._publisher._client._clients.values() for reader in readers(client)]
        assert len(idle) == 3
        for node in cluster.nodes:
            await asyncio.to_thread(node.ask, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        # What looks for what is due may be sent just then: the connection is broken then, and not at its end.
        await until_async(lambda: all(reader.at_eof() or reader.exception() is not None for reader in idle))
        for name in NAMES:
            await one.group(name).send({"text": f"again {name}"})
        await asyncio.to_thread(program.carry, PUBLISH, NAMES[0], {"text": "program again"}, 0)
        await until_async(lambda: len(far.texts) == 2 * len(NAMES) + 2)


def readers(client):
    """Return what reads from the connections of a client, those on which something is under way, too."""
    pool = client.connection_pool
    connections = (*pool._available_connections, *pool._in_use_connections)
    return [connection._reader for connection in connections if connection._reader is not None]


@on_loop
async def test_very_many_groups_at_once_take_one_connection_to_each_node_and_none_is_lost(cluster):
    carrier = carrier_of(cluster)
    names = [f"room-{number}" for number in range(600)]
    async with make(carrier) as one, make(carrier) as other:
        far = other.client()
        await asyncio.gather(*(wait_for(other.group(name).add(far)) for name in names))
        await asyncio.gather(*(wait_for(one.group(name).send({"text": name})) for name in names))
        await until_async(lambda: sorted(far.texts) == sorted(names))
        clients = one.layer._publisher._client._clients.values()
        assert [len(readers(client)) for client in clients] == [1, 1, 1]


@on_loop
async def test_a_message_for_a_group_that_is_on_another_node_now_is_sent_there(cluster):
    carrier = carrier_of(cluster)
    async with make(carrier) as one:
        for name in NAMES:
            await one.channel(name).send({"n": 1})
        nodes = one.layer._publisher._client._cluster.nodes_manager
        places = nodes.slots_cache
        for slot, place in tuple(places.items()):  # as if all had moved since
            places[slot] = [nodes.get_node("127.0.0.1", cluster.nodes[0].port)]
            assert place
        for number in (2, 3):
            await asyncio.gather(*(wait_for(one.channel(name).send({"n": number})) for name in NAMES))
        client = RedisAddress(carrier.url).program_client()
        try:
            for name in NAMES:
                found = [unpack(fields[b"content"])["n"] for _, fields in client.xrange(one.layer._keys.stream(name))]
                assert found == [1, 2, 3]
        finally:
            client.close()


def program_of(carrier):
    return ProgramCarrier(RedisAddress(carrier.url), ChannelLimits())


@pytest.mark.parametrize("kind", [ClusterDownError, TryAgainError])
def test_a_cluster_that_cannot_serve_is_told_as_one_that_cannot_be_reached(kind):
    error = translate(kind("Hash slot not served"), "redis+cluster://a")
    assert isinstance(error, ChannelLayerUnavailable)
    assert not error.was_sent


@on_loop
async def test_a_worker_that_has_started_is_reached_by_its_name_at_once(cluster, monkeypatch):
    make_node, carrier = ClusterSubscriber._made, RedisCarrier(cluster)

    def made_late(self, host, port):
        subscriber = make_node(self, host, port)
        begun = subscriber._begun
        subscriber._begun = lambda name: asyncio.get_running_loop().call_later(0.05, begun, name)  # Redis is slow
        return subscriber

    monkeypatch.setattr(ClusterSubscriber, "_made", made_late)
    async with make(carrier) as one, make(carrier) as other:
        for node in (one, other):
            assert node.layer._subscriber._wanted[node.layer._own].done()
        far = other.client()
        await one.channel(far.name).send({"text": "you"})
        await until_async(lambda: far.texts)


@on_loop
async def test_a_program_sends_to_a_cluster(cluster):
    carrier = carrier_of(cluster)
    worked = Worked()
    async with make(carrier, route("jobs", worked)) as node:
        client = node.client()
        await node.group("room").add(client)

        def act():
            Group("room", carrier.url).send({"text": "1"})
            Channel("jobs", carrier.url).send({"n": 1})
            for name in NAMES:
                Group(name, carrier.url).add(client.name)
                Group(name, carrier.url).send({"text": name})

        await asyncio.to_thread(act)
        await until_async(lambda: len(client.texts) == 1 + len(NAMES) and worked.messages)
