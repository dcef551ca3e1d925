"""Groups and channels over a cluster of three nodes, where each name belongs to one of them."""

import asyncio
import contextlib
import signal

import pytest
import redis
from bridge_doubles import on_loop
from carriers import RedisCarrier, needs_redis
from layer_doubles import Worked, make, until_async
from patience import NEVER_SECONDS, PATIENCE_SECONDS
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
from uvicorn.layers.redis_scripts import DUE
from uvicorn.layers.redis_servers import RedisAddress, translate
from uvicorn.layers.redis_topology import Place

pytestmark = needs_redis
NAMES = [f"room-{number}" for number in range(12)]


@pytest.fixture(scope="module")
def cluster():
    made = RedisCluster()
    yield made
    made.close()


def carrier_of(cluster, timeout=PATIENCE_SECONDS):
    """Return a carrier whose groups and channels are on all three nodes: which prefix does that is chance."""
    while True:
        carrier = TimedCarrier(cluster, timeout)
        if len({3 * key_slot(f"{carrier.prefix}:g:{name}".encode()) // 16384 for name in NAMES}) < 3:
            continue
        if len({node_of_stream(carrier, name) for name in NAMES}) == 3:
            return carrier


class TimedCarrier(RedisCarrier):
    """One whose nodes may be silent for so many seconds: a busy machine takes long for all connections."""

    def __init__(self, server, timeout):
        super().__init__(server)
        self._timeout = timeout

    @property
    def url(self):
        return f"{super().url}&timeout={self._timeout}"


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

        for _ in range(1000):  # until each node is heard again
            before = len(far.texts)
            for name in NAMES:
                await one.group(name).send({"text": name})
            await asyncio.sleep(0.01)
            if {*far.texts[before:]} == {*NAMES}:
                break
        else:
            raise AssertionError("messages of some groups do not arrive any more")


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
    monkeypatch.setattr("uvicorn.layers.redis_topology._LOOK_SECONDS", 0.05)
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
        idle = [reader for client in clients_of(one) for reader in readers(client)]
        assert len(idle) == 3
        for node in cluster.nodes:
            await asyncio.to_thread(node.ask, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await until_async(lambda: all(reader.at_eof() for reader in idle))
        for name in NAMES:
            await one.group(name).send({"text": f"again {name}"})
        await asyncio.to_thread(program.carry, PUBLISH, NAMES[0], {"text": "program again"}, 0)
        await until_async(lambda: len(far.texts) == 2 * len(NAMES) + 2)


def clients_of(node):
    """Return what a worker sends with, to each node."""
    return [publisher._client for publisher in node.layer._publisher._nodes.values()]


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
        assert [len(readers(client)) for client in clients_of(one)] == [1, 1, 1]


@on_loop
async def test_a_message_for_a_group_that_is_on_another_node_now_is_sent_there(cluster):
    carrier = carrier_of(cluster)
    async with make(carrier) as one:
        for name in NAMES:
            await one.channel(name).send({"n": 1})
        topology = one.layer._topology
        first = Place("127.0.0.1", cluster.nodes[0].port)
        topology._take(first, [[0, 16383, [b"127.0.0.1", first.port]]])  # as if all had moved since
        for number in (2, 3):
            await asyncio.gather(*(wait_for(one.channel(name).send({"n": number})) for name in NAMES))
        client = RedisAddress(carrier.url).program_client()
        try:
            for name in NAMES:
                found = [unpack(fields[b"content"])["n"] for _, fields in client.xrange(one.layer._keys.stream(name))]
                assert found == [1, 2, 3]
        finally:
            client.close()


@contextlib.contextmanager
def hanging(node):
    """Have a node hang: it takes connections, and says nothing."""
    node.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        node.signal(signal.SIGCONT)


def names_by_node(layer, cluster):
    """Return the names of groups that each node has."""
    found = [[] for _ in cluster.nodes]
    ports = [node.port for node in cluster.nodes]
    for name in NAMES:
        found[ports.index(layer._topology.place_of(layer._keys.group(name)).port)].append(name)
    return found


@on_loop
async def test_a_node_that_hangs_holds_up_nothing_that_goes_to_the_others(cluster):
    carrier = carrier_of(cluster, NEVER_SECONDS)
    async with make(carrier) as one, make(carrier) as other:
        far = other.client()
        for name in NAMES:
            await other.group(name).add(far)
            await one.group(name).send({"text": f"before {name}"})
        [silent, *_], [name, *_], rest = names_by_node(one.layer, cluster)
        publisher = one.layer._publisher

        def at(name):
            return one.layer._topology.place_of(one.layer._keys.group(name))

        with hanging(cluster.nodes[0]):
            late = [asyncio.ensure_future(wait_for(one.group(silent).send({"text": f"late {n}"}))) for n in range(2)]
            last = publisher.run_last(DUE, (one.layer._keys.group(name),))
            for number in range(20):
                for each in (name, *rest):
                    await one.group(each).send({"text": f"{number} {each}"})
            new = next(new for new in map(str, range(1000)) if at(new) == at(name))
            await other.group(new).add(far)
            await until_async(lambda: "19 " + name in far.texts)
            assert not any(each.done() for each in (*late, last))  # and nothing is said to be done before its time
        await asyncio.gather(*late, last)
        await until_async(lambda: "late 1" in far.texts)


@on_loop
async def test_claims_are_renewed_while_the_node_of_another_channel_hangs(cluster, monkeypatch):
    monkeypatch.setattr("uvicorn.layers.redis_streams._RENEWALS", 3000)  # one every ten milliseconds
    worked = Worked(blocks=True)
    carrier = carrier_of(cluster, NEVER_SECONDS)
    silent, other = (next(name for name in NAMES if node_of_stream(carrier, name) == node) for node in (0, 1))
    async with make(carrier, route(silent, worked), route(other, worked)) as node:
        held = node.layer._streams._held
        for name in (silent, other):
            await node.channel(name).send({"n": 1})
        await until_async(lambda: len(held) == len(worked.messages) == 2)
        [entry] = [each for each in held if each[0] == other]
        with hanging(cluster.nodes[0]):
            for _ in range(3):
                before = held[entry]
                await until_async(lambda before=before: held[entry] > before, "a renewal")
        worked.go.set()


def node_of_stream(carrier, channel):
    return 3 * key_slot(f"{carrier.prefix}:{{{channel}}}".encode()) // 16384


@on_loop
async def test_what_is_sent_to_a_node_that_hangs_raises_in_time(cluster):
    carrier = carrier_of(cluster, 0.2)
    async with make(carrier) as one:

        async def error_of(name):
            await asyncio.sleep(0.01)  # what raises at once waits for nothing
            try:
                await one.group(name).send({"text": "1"})
            except ChannelLayerUnavailable as error:
                return error
            return None

        name = NAMES[0]
        while await error_of(name):  # a busy machine may be late
            pass
        place = one.layer._topology.place_of(one.layer._keys.group(name))
        with hanging(next(node for node in cluster.nodes if node.port == place.port)):
            while not all(await asyncio.gather(*(error_of(name) for _ in range(3)))):
                pass
        while await error_of(name):
            pass


@on_loop
async def test_a_worker_starts_with_a_cluster_whose_first_node_hangs(cluster):
    carrier = carrier_of(cluster, 1)
    with hanging(cluster.nodes[0]):
        async with make(carrier) as one:
            await until_async(lambda: one.layer._topology.nodes)
            _, [name, *_], _ = names_by_node(one.layer, cluster)
            while True:
                with contextlib.suppress(ChannelLayerUnavailable):
                    await one.group(name).send({"text": "1"})
                    break
                await asyncio.sleep(0.01)


@on_loop
async def test_what_waits_for_a_node_goes_in_order_to_the_one_that_has_its_names_then(cluster):
    carrier = carrier_of(cluster)
    async with make(carrier) as one, make(carrier) as other:
        far = other.client()
        for name in NAMES:
            await other.group(name).add(far)
        sent = []
        for number in range(9):
            place = Place("127.0.0.1", cluster.nodes[number % 3].port)
            one.layer._topology._take(place, [[0, 16383, [b"127.0.0.1", place.port]]])  # which is wrong
            for name in NAMES:
                sent += [asyncio.ensure_future(wait_for(one.group(name).send({"text": f"{name} {number}"})))]
            await asyncio.sleep(0)
        await asyncio.gather(*sent)
        await until_async(lambda: len(far.texts) == len(sent))
        for name in NAMES:
            own = [text for text in far.texts if text.startswith(name + " ")]
            assert own == [f"{name} {number}" for number in range(9)]
        assert not one.layer._publisher._leaving


@on_loop
async def test_the_connections_to_a_node_that_has_left_the_cluster_are_closed(cluster):
    carrier = carrier_of(cluster)
    async with make(carrier) as one:
        client = one.client()
        for name in NAMES:
            await one.group(name).add(client)
            await one.group(name).send({"text": name})
        first = Place("127.0.0.1", cluster.nodes[0].port)
        parts = one.layer._publisher, one.layer._subscriber
        left = [part for each in parts for place, part in each._nodes.items() if place != first]
        assert len(left) == 4
        one.layer._topology._take(first, [[0, 16383, [b"127.0.0.1", first.port]]])
        await until_async(lambda: all(each._task.done() for each in left))
        assert not any(each in left for part in parts for each in part._nodes.values())
        assert all(each._client is None for each in left if hasattr(each, "_client"))


def program_of(carrier):
    return ProgramCarrier(RedisAddress(carrier.url), ChannelLimits())


@pytest.mark.parametrize("kind", [ClusterDownError, TryAgainError])
def test_a_cluster_that_cannot_serve_is_told_as_one_that_cannot_be_reached(kind):
    error = translate(kind("Hash slot not served"), "redis+cluster://a")
    assert isinstance(error, ChannelLayerUnavailable)
    assert not error.was_sent


@on_loop
async def test_a_worker_that_has_started_is_reached_by_its_name_at_once(cluster, monkeypatch):
    make_node, carrier = ClusterSubscriber._made, carrier_of(cluster)

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
