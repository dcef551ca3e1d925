"""The part of the table of behaviour that is about histories, over all layers that keep one."""

import asyncio

import pytest
from bridge_doubles import in_thread, on_loop
from carriers import DjangoCarrier, LocalCarrier, RedisCarrier, needs_redis
from layer_doubles import Node, make, until_async
from redis_cluster import RedisCluster

from uvicorn import Channel, Group
from uvicorn.layers.backlog import Bounds
from uvicorn.layers.limits import ChannelLimits
from uvicorn.layers.local import LocalLayer


@pytest.fixture(scope="module")
def cluster():
    made = RedisCluster()
    yield made
    made.close()


@pytest.fixture(
    params=["local", pytest.param("redis", marks=needs_redis), pytest.param("cluster", marks=[needs_redis])],
)
def carrier(request):
    if request.param == "cluster":
        made = RedisCarrier(request.getfixturevalue("cluster"))
    else:
        made = {"local": LocalCarrier, "redis": RedisCarrier}[request.param]()
    yield made
    made.close()


def room(node, name="room", history=100, seconds=300, most_bytes=None):
    return Group(name, node.office, history=history, history_seconds=seconds, history_bytes=most_bytes)


def stamped(content, epoch, offset):
    return {"text": f"{offset}:{content['text']}"}


async def say(node, *texts, **options):
    for text in texts:
        await room(node, **options).send({"text": str(text)})


@on_loop
async def test_who_is_added_learns_where_the_group_stands(carrier):
    async with make(carrier) as one, make(carrier) as other:
        near, far = one.client(), other.client()
        first = await room(one).add(near)
        assert (first.offset, first.missed) == (0, 0)
        await say(other, 1, 2)
        await until_async(lambda: near.texts == ["1", "2"])
        second = await in_thread(lambda: room(other).add(far))  # in a thread nobody has to await
        assert (second.epoch, second.offset, second.missed) == (first.epoch, 2, 0)
        third = await room(one).add(near)  # a member already
        assert (third.epoch, third.offset) == (first.epoch, 2)
        assert far.texts == []  # nobody has asked for what was before


@on_loop
async def test_who_comes_back_to_another_worker_gets_what_it_missed_in_order_and_once(carrier):
    async with make(carrier) as one, make(carrier) as other:
        near = one.client()
        seen = await room(one).add(near)
        await say(other, 1, 2)
        await until_async(lambda: len(near.texts) == 2)
        near.leave()
        await say(one, 3, 4)
        await say(other, 5)
        back = other.client()
        standing = await room(other).add(back, since=(seen.epoch, 2))
        assert back.texts == ["3", "4", "5"]
        assert (standing.offset, standing.missed, back.gaps) == (5, 0, [])
        await say(one, 6)
        await until_async(lambda: len(back.texts) == 4)
        again = other.client()
        await in_thread(lambda: room(other).add(again, since=(seen.epoch, 5)))
        assert back.texts == ["3", "4", "5", "6"]
        assert again.texts == ["6"]


@on_loop
async def test_what_is_kept_right_after_a_member_was_added_by_its_name_is_not_lost(carrier):
    async with make(carrier) as one, make(carrier) as other:
        for number in range(5):
            far = other.client()
            await room(one, f"room{number}").add(far.name)
            await room(one, f"room{number}").send({"text": "1"})
            await until_async(lambda: far.texts == ["1"], "the message for the new member")  # noqa: B023


@on_loop
async def test_a_tuple_as_the_key_of_a_dict_does_not_stop_a_group_with_a_history(carrier):
    async with make(carrier) as one, make(carrier) as other:
        far, late = other.client(), one.client()
        seen = await room(other).add(far)
        await room(one).send({"text": "1", "scores": {("ann", "bob"): 3}})
        await say(one, 2)
        await until_async(lambda: far.texts == ["1", "2"])
        await room(one).add(late, since=(seen.epoch, 0))
        assert late.received == [{"text": "1", "scores": {("ann", "bob"): 3}}, {"text": "2"}]


@on_loop
async def test_each_message_comes_with_its_offset_in_the_form_that_a_member_wants(carrier):
    async with make(carrier) as one, make(carrier) as other:
        plain, usual, own = other.client(), other.client(), other.client()
        await room(other).add(plain)
        standing = await room(other).add(usual, with_offset=True)
        await room(other).add(own, with_offset=stamped)
        await say(one, "a", "b")
        await until_async(lambda: all(len(client.texts) == 2 for client in (plain, usual, own)))
        assert plain.texts == ["a", "b"]
        assert own.texts == ["1:a", "2:b"]
        assert usual.texts[1] == f'{{"epoch": "{standing.epoch}", "offset": 2, "text": "b"}}'
        late = other.client()
        await room(other).add(late, since=(standing.epoch, 1), with_offset=stamped)
        assert late.texts == ["2:b"]


@on_loop
async def test_what_is_not_kept_any_more_is_told_and_the_rest_is_given(carrier):
    async with make(carrier) as one, make(carrier) as other:
        seen = await room(one, history=3).add(one.client())
        await say(one, *range(1, 8), history=3)
        back = other.client()
        standing = await room(other, history=3).add(back, since=seen)
        assert (standing.offset, standing.missed) == (7, 4)
        assert back.gaps == [4]
        assert back.texts == ["5", "6", "7"]


@on_loop
async def test_what_is_kept_is_bounded_in_bytes_and_the_rest_is_told(carrier):
    """Messages of ten megabytes in a history of a hundred were a gigabyte."""
    async with make(carrier) as one, make(carrier) as other:
        near, back, last = one.client(), other.client(), other.client()
        seen = await room(one, most_bytes=1000).add(near)
        await say(one, *(str(number) * 280 for number in range(1, 6)), most_bytes=1000)
        standing = await room(other, most_bytes=1000).add(back, since=seen)
        assert (standing.offset, standing.missed, back.gaps) == (5, 2, [2])
        assert [text[0] for text in back.texts] == ["3", "4", "5"]
        await say(other, "6" * 5000, most_bytes=1000)
        await until_async(lambda: len(near.texts) == 6 and len(back.texts) == 4)
        assert (await room(other, most_bytes=1000).add(last, since=seen)).missed == 5
        assert [text[0] for text in last.texts] == ["6"]


@on_loop
async def test_a_process_keeps_as_many_bytes_as_the_layer(carrier):
    async with make(carrier) as one, make(carrier) as other:
        near, back = other.client(), other.client()
        seen = await room(other, most_bytes=200).add(near)
        await say(one, *"abcdefghijklmnopqrstuvwxy", most_bytes=200)  # each has 8 bytes
        await until_async(lambda: len(near.texts) == 25)
        standing = await room(other, most_bytes=200).add(back, since=seen)
        assert (standing.missed, len(back.texts)) == (0, 25)


@on_loop
async def test_who_comes_from_another_epoch_is_told_of_a_gap(carrier):
    async with make(carrier) as one:
        await room(one).add(one.client())
        await say(one, 1, 2)
        back = one.client()
        standing = await room(one).add(back, since=("another", 1))
        assert (standing.offset, standing.missed) == (2, None)
        assert back.gaps == [None]
        assert back.texts == ["1", "2"]


@on_loop
async def test_who_has_seen_more_than_this_worker_is_told_of_no_gap(carrier):
    async with make(carrier) as one, make(carrier) as other:
        seen = await room(one).add(one.client())
        stays = other.client()
        await room(other).add(stays)
        take, other.hub.on_kept = other.hub.on_kept, lambda *details: None  # they are still on their way
        await say(one, 1, 2, 3)
        back = other.client()
        standing = await room(other).add(back, since=(seen.epoch, 2))
        assert (standing.offset, standing.missed, back.gaps) == (3, 0, [])
        assert back.texts == ["3"]
        assert stays.texts == ["1", "2", "3"]
        other.hub.on_kept = take
        await say(one, 4)
        await until_async(lambda: back.texts == ["3", "4"] and stays.texts == ["1", "2", "3", "4"])


@on_loop
async def test_what_is_lost_between_workers_is_found_in_the_history(carrier):
    async with make(carrier) as one, make(carrier) as other:
        far = other.client()
        await room(other).add(far)
        take, count = other.hub.on_kept, 0

        def take_some(*details):
            nonlocal count
            count += 1
            if count % 3:
                take(*details)

        other.hub.on_kept = take_some
        await say(one, *range(20))
        other.hub.on_doubt()
        await until_async(lambda: len(far.texts) == 20)
        assert far.texts == [str(number) for number in range(20)]
        assert far.gaps == []


@on_loop
async def test_sockets_come_and_go_while_all_workers_send_and_each_gets_each_message_once(carrier):
    async with make(carrier) as one, make(carrier) as other:
        nodes = (one, other)
        seen = [await room(one, history=1000).add(one.client())]
        done = asyncio.Event()

        async def send(node, count):
            for number in range(count):
                await say(node, f"{node.hub.node} {number}", history=1000)
                await asyncio.sleep(0)

        async def come_and_go(number):
            texts, last, turn = [], 0, number
            while not (done.is_set() and last == 200):
                turn += 1
                client = nodes[turn % 2].client()
                await room(nodes[turn % 2], history=1000).add(client, since=(seen[0].epoch, last), with_offset=stamped)
                await asyncio.sleep(0.002)
                client.leave()
                assert client.gaps == []
                texts += client.texts
                if texts:
                    last = int(texts[-1].partition(":")[0])
            return texts

        readers = [asyncio.ensure_future(come_and_go(number)) for number in range(4)]
        await asyncio.gather(*(send(node, 100) for node in nodes))
        done.set()
        for texts in await asyncio.gather(*readers):
            assert [int(text.partition(":")[0]) for text in texts] == [*range(1, 201)]
            for node in nodes:  # in the order of their sender
                own = [text.rpartition(" ")[2] for text in texts if f":{node.hub.node} " in text]
                assert own == [str(number) for number in range(100)]


@on_loop
async def test_a_history_outlives_workers_that_stop_as_long_as_one_is_there(carrier):
    async with make(carrier) as last:
        async with make(carrier) as first:
            seen = await room(first).add(first.client())
            await say(first, 1, 2)
        back = last.client()
        standing = await room(last).add(back, since=seen)
        assert back.texts == ["1", "2"]
        async with make(carrier) as new:
            await say(new, 3)
            await until_async(lambda: back.texts == ["1", "2", "3"])
            again = new.client()
            await room(new).add(again, since=standing)
            assert again.texts == ["3"]


@on_loop
async def test_a_client_that_reads_slowly_gets_all_that_it_has_missed(carrier):
    async with make(carrier) as one, make(carrier, bounds=Bounds(bytes=2000, messages=5)) as other:
        seen = await room(one).add(one.client())
        await say(one, *("x" * 500 for _ in range(50)))
        back = other.client()
        back.is_writable = False
        await room(other).add(back, since=seen)
        await say(one, "live")
        await until_async(lambda: other.hub._members[back._name].waiting == 51)
        back.catch_up()
        assert len(back.texts) == 51
        assert back.texts[-1] == "live"
        assert back.given_up == back.gaps == []


@on_loop
async def test_a_socket_that_leaves_while_it_waits_for_its_history_is_gone(carrier):
    async with make(carrier) as one:
        client, other = one.client(), one.client()
        waiting = room(one).add(client)
        staying = room(one).add(other)
        client.leave()
        assert await waiting is None
        assert (await staying).offset == 0
        await say(one, 1)
        await until_async(lambda: other.texts == ["1"])
        assert client.texts == []


@on_loop
async def test_a_member_can_be_added_with_what_it_has_seen_from_another_worker(carrier):
    async with make(carrier) as one, make(carrier) as other:
        seen = await room(one).add(one.client())
        await say(one, 1, 2)
        far = other.client()
        assert await room(one).add(far.name, since=(seen.epoch, 1), with_offset=True) is None
        await until_async(lambda: far.texts)
        assert far.texts == [f'{{"epoch": "{seen.epoch}", "offset": 2, "text": "2"}}']
        with pytest.raises(ValueError, match="only in the process that has the socket"):
            room(one).add(far.name, with_offset=stamped)


@on_loop
async def test_who_knows_nothing_of_a_history_gets_its_messages_live(carrier):
    async with make(carrier) as one, make(carrier) as other:
        far, near = other.client(), one.client()
        await other.group("room").add(far)
        await room(one).add(near)
        await say(one, 1)
        await until_async(lambda: far.texts == ["1"])
        await other.group("room").send({"text": "kept by nobody"})
        await until_async(lambda: near.texts == ["1", "kept by nobody"])
        standing = await room(other).add(far)  # from now on it does
        assert (standing.offset, standing.missed) == (1, 0)
        await say(one, 2)
        await until_async(lambda: far.texts[-1] == "2")
        assert far.texts == ["1", "kept by nobody", "2"]


@on_loop
async def test_the_group_without_its_history_named_is_the_same_group(carrier):
    async with make(carrier) as one:
        client = one.client()
        await room(one).add(client)
        await one.group("room").send({"text": "1"})
        await until_async(lambda: client.texts == ["1"])
        back = one.client()
        standing = await one.group("room").add(back, with_offset=stamped)
        await one.group("room").send({"text": "2"})
        await until_async(lambda: client.texts == ["1", "2"] and back.texts == ["2:2"])
        assert standing.offset == 1
        with pytest.raises(ValueError, match="the history of the group 'room' is 100 messages for 300 seconds"):
            room(one, history=50).add(client)
        with pytest.raises(ValueError, match="the history of the group 'room'"):
            await in_thread(lambda: room(one, seconds=5).send({"text": "3"}))
        with pytest.raises(ValueError, match="since and with_offset are for groups with a history"):
            one.group("other").add(client, since=("a", 1))


@on_loop
async def test_a_deferred_message_is_kept_when_its_consumer_has_returned(carrier):
    async with make(carrier) as one:
        client = one.client()
        await room(one).add(client, with_offset=stamped)

        def consumer(message):
            room(one).send({"text": "deferred"})
            room(one).send({"text": "now"}, immediately=True)

        exchange = one.call(consumer)
        await until_async(lambda: exchange.job.is_over and len(client.texts) == 2)
        assert client.texts == ["1:now", "2:deferred"]


@on_loop
async def test_what_cannot_be_encoded_is_not_kept(carrier):
    async with make(carrier) as one:
        for content in ({"x": object()}, {"x": 1 << 70}):
            with pytest.raises((TypeError, ValueError)):
                await room(one).send(content)
        assert (await room(one).add(one.client())).offset == 0


@on_loop
async def test_a_form_that_fails_is_logged_and_others_get_the_message(carrier):
    async with make(carrier) as one:
        bad, good = one.client(), one.client()
        await room(one).add(bad, with_offset=lambda content, epoch, offset: content["no such key"])
        await room(one).add(good, with_offset=stamped)
        await say(one, 1)
        await until_async(lambda: good.texts == ["1:1"])
        assert bad.texts == []
        assert any(bad.name in text and "KeyError" in text for text in one.log.texts("error"))


@on_loop
async def test_a_program_sends_to_a_group_with_a_history(carrier):
    async with make(carrier) as one:
        client = one.client()
        standing = await room(one).add(client, with_offset=stamped)
        far = one.client()
        name = far.name

        def act():
            group = Group("room", carrier.url, history=100, history_seconds=300)
            group.send({"text": "from a program"})
            assert group.add(Channel(name), since=standing) is not None
            with pytest.raises(ValueError, match="the history of the group 'room'"):
                Group("room", carrier.url, history=5).send({})

        await asyncio.to_thread(act)
        await until_async(lambda: client.texts == ["1:from a program"] and far.texts == ["from a program"])


# ---- one layer each ----


@on_loop
async def test_a_layer_of_channels_4_refuses_a_history_in_one_sentence():
    carrier = DjangoCarrier()
    async with make(carrier) as one:
        for call in (lambda: room(one).add(one.client()), lambda: room(one).send({"text": "1"})):
            with pytest.raises(ValueError, match="keeps no history of groups, as the interface of Channels 4 has none"):
                call()
        with pytest.raises(ValueError, match="keeps no history"):
            await in_thread(lambda: room(one).send({"text": "1"}))


@on_loop
async def test_a_worker_alone_keeps_histories_in_its_memory():
    async with Node(LocalLayer("local://", None, ChannelLimits(), None)) as one:
        seen = await room(one).add(one.client())
        await say(one, 1, 2)
        back = one.client()
        await room(one).add(back, since=(seen.epoch, 1))
        assert back.texts == ["2"]
