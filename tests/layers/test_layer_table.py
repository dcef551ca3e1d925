"""One table of behaviour, over all layers: what two workers of one layer can rely on."""

import asyncio
import time

import pytest
from bridge_doubles import in_thread, on_loop
from carriers import CARRIERS, needs_redis
from layer_doubles import Worked, WorkedOnLoop, make, until_async
from patience import NEVER_SECONDS

from uvicorn import ChannelFull, ChannelLayerUnavailable, route
from uvicorn.errors import ConsumeLater
from uvicorn.layers import deferred
from uvicorn.layers.django_layer import DjangoLayer

CONTENT = {
    "text": "ä \U0001f600 \udcff",
    "bytes": b"\x00\xff",
    "nested": {"list": [1, -2, 2.5, None, True, [b"x", "y"]], "dict": {"a": {"b": []}}},
}


@pytest.fixture(params=[pytest.param(name, marks=[needs_redis] if name == "redis" else []) for name in CARRIERS])
def carrier(request):
    made = CARRIERS[request.param]()
    yield made
    made.close()


@pytest.fixture
def two(carrier):
    """Return a function that makes two workers; the second has these routes."""

    def nodes(*routes, **options):
        return make(carrier, **options), make(carrier, *routes, **options)

    return nodes


@on_loop
async def test_a_group_message_reaches_the_members_of_all_workers_in_order(two):
    one, other = two()
    async with one, other:
        near, far = one.client(), other.client()
        await one.group("room").add(near)
        await other.group("room").add(far)
        texts = [str(number) for number in range(50)]
        for text in texts:
            one.group("room").send({"text": text})
        await until_async(lambda: len(far.texts) == 50 and len(near.texts) == 50)
        assert near.texts == far.texts == texts


@on_loop
async def test_what_is_in_a_message_is_the_same_on_the_other_side(two):
    one, other = two()
    async with one, other:
        far = other.client()
        await other.group("room").add(far)
        await one.group("room").send(CONTENT)
        await until_async(lambda: far.received)
        assert far.received == [CONTENT]
        assert type(far.received[0]["bytes"]) is bytes


@on_loop
async def test_a_worker_without_members_gets_nothing(two):
    one, other = two()
    async with one, other:
        far, kept = other.client(), other.client()
        for group in ("room", "marker"):
            await other.group(group).add(kept)
        await other.group("room").add(far)
        await other.group("room").discard(far)
        far_too = other.client()
        await other.group("room").add(far_too)
        far_too.leave()
        await one.group("room").send({"text": "1"})
        await one.group("marker").send({"text": "2"})
        await until_async(lambda: len(kept.texts) == 2)
        assert far.texts == far_too.texts == []


@on_loop
async def test_who_comes_back_after_the_last_member_left_gets_messages(two):
    one, other = two()
    async with one, other:
        for number in range(5):
            far = other.client()
            await other.group("room").add(far)
            await one.group("room").send({"text": str(number)})
            await until_async(lambda: far.texts, "a message for the new member")  # noqa: B023
            assert far.texts == [str(number)]
            far.leave()


@on_loop
async def test_a_reply_channel_is_reached_by_its_name_from_another_worker(two):
    one, other = two()
    async with one, other:
        far = other.client()
        name = far.name
        for number in range(3):
            await one.channel(name).send({"text": str(number)})
        await until_async(lambda: len(far.texts) == 3)
        assert far.texts == ["0", "1", "2"]
        far.leave()
        await one.channel(name).send({"text": "late"})
        await one.channel("websocket.send!nobody.1").send({"text": "late"})
        assert len(far.texts) == 3


@on_loop
async def test_a_member_is_added_and_discarded_by_its_name_from_another_worker(two):
    one, other = two()
    async with one, other:
        far = other.client()
        await one.group("room").add(far.name)
        await one.group("room").send({"text": "in"})
        await until_async(lambda: far.texts)
        await one.group("room").discard(far.name)
        await one.group("room").send({"text": "out"})
        await one.channel(far.name).send({"text": "last"})
        await until_async(lambda: "last" in far.texts)
        assert far.texts == ["in", "last"]


@on_loop
async def test_what_is_sent_to_a_group_right_after_a_member_was_added_by_its_name_is_not_lost(carrier):
    one, two, three = (make(carrier) for _ in range(3))
    async with one, two, three:
        clients = [node.client() for node in (two, three) for _ in range(5)]
        for number, client in enumerate(clients):
            await one.group(f"room{number}").add(client.name)
            await one.group(f"room{number}").send({"text": "1"})

        def consumer(message):
            for number, client in enumerate(clients):
                two.group(f"late{number}").add(client.name)
                two.group(f"late{number}").send({"text": "2"})

        await in_thread(lambda: consumer(None))
        await until_async(lambda: all(client.texts == ["1", "2"] for client in clients), "messages for new members")


@on_loop
async def test_a_member_is_not_added_by_its_name_before_its_worker_hears_the_group(two, monkeypatch):
    one, other = two()
    async with one, other:
        far = other.client()
        subscribe, go = other.layer.subscribe, asyncio.Event()

        async def late(group):
            await go.wait()
            await subscribe(group)

        monkeypatch.setattr(other.layer, "subscribe", lambda group: asyncio.ensure_future(late(group)))
        adding = asyncio.ensure_future(add_by_name(one, "room", far))
        await until_async(lambda: other.hub._groups)
        await one.channel(far.name).send({"text": "ping"})
        await until_async(lambda: far.texts)
        assert not adding.done()
        go.set()
        await adding
        await one.group("room").send({"text": "1"})
        await until_async(lambda: far.texts == ["ping", "1"])


async def add_by_name(node, group, client):
    await node.group(group).add(client.name)


@on_loop
async def test_who_is_in_a_group_is_known_in_all_workers(two):
    one, other = two()
    async with one, other:
        near, far, gone = one.client(), other.client(), other.client()
        for node, client in ((one, near), (other, far), (other, gone)):
            await node.group("room").add(client)
        gone.leave()
        if isinstance(one.layer, DjangoLayer):
            with pytest.raises(NotImplementedError, match="cannot tell who is in a group"):
                await one.office.members("room")
            return
        for node in (one, other):
            assert sorted(await node.office.members("room")) == sorted([near.name, far.name])
            assert await in_thread(lambda: node.office.members("empty")) == []  # noqa: B023
        await one.group("room").discard(near)
        assert await one.office.members("room") == [far.name]


@on_loop
async def test_to_add_a_member_by_the_name_of_a_socket_that_is_closed_is_no_error(two):
    one, other = two()
    async with one, other:
        far = other.client()
        name = far.name
        far.leave()
        await one.group("room").add(name)
        await one.group("room").discard(name)
        assert not other.hub._groups


@on_loop
async def test_what_is_wrong_where_a_member_is_added_by_its_name_is_told_to_who_adds_it(two, monkeypatch):
    one, other = two()
    async with one, other:

        def subscribe(group):
            raise ChannelLayerUnavailable("no subscription yet")

        monkeypatch.setattr(other.layer, "subscribe", subscribe)
        with pytest.raises(ChannelLayerUnavailable, match="no subscription yet"):
            await one.group("room").add(other.client().name)


@on_loop
async def test_what_cannot_be_encoded_is_refused_where_it_is_sent(two):
    one, other = two()
    async with one, other:
        for content in ({"x": object()}, {"x": {1, 2}}, {"x": 1 << 70}):
            with pytest.raises((TypeError, ValueError)):
                await one.group("room").send(content)
            with pytest.raises((TypeError, ValueError)):
                await one.channel("jobs").send(content)


@on_loop
async def test_a_tuple_as_the_key_of_a_dict_arrives_and_does_not_cut_two_workers_apart(two):
    worked = Worked()
    one, other = two(route("jobs", worked))
    async with one, other:
        far = other.client()
        await other.group("room").add(far)
        scores = {("ann", ("bob", 1)): 3, b"x": [{(1,): [2]}], 5: 6}
        await one.channel("jobs").send({"scores": scores})
        await one.channel(far.name).send({"text": "0", "scores": scores})
        for text in ("1", "2"):
            await one.group("room").send({"text": text, "scores": scores})
        await until_async(lambda: len(far.texts) == 3 and worked.messages)
        assert [*(reply["scores"] for reply in far.received), worked.messages[0]["scores"]] == [scores] * 4
        assert one.log.texts("error") == other.log.texts("error") == []


@on_loop
async def test_a_message_of_ten_megabytes_arrives(two):
    worked = Worked()
    one, other = two(route("jobs", worked))
    async with one, other:
        far = other.client()
        await other.group("room").add(far)
        data = bytes(range(256)) * 40_000
        await one.group("room").send({"bytes": data})
        await one.channel("jobs").send({"bytes": data})
        await until_async(lambda: far.received and worked.messages)
        assert far.received[0]["bytes"] == worked.messages[0]["bytes"] == data


@on_loop
async def test_a_group_of_ten_thousand_gets_each_message_once(two):
    one, other = two()
    async with one, other:
        clients = [node.client() for node in (one, other) for _ in range(5000)]
        for number, client in enumerate(clients):
            await (one, other)[number // 5000].group("room").add(client)
        for text in ("1", "2"):
            await one.group("room").send({"text": text})
        await until_async(lambda: all(len(client.received) == 2 for client in clients))
        assert {tuple(client.texts) for client in clients} == {("1", "2")}


@pytest.mark.parametrize("make_worked", [Worked, WorkedOnLoop])
@on_loop
async def test_a_message_of_a_channel_reaches_one_consumer_in_another_worker(two, make_worked):
    worked = make_worked()
    one, other = two(route("jobs", worked))
    async with one, other:
        for number in range(20):
            await one.channel("jobs").send({"n": number, **CONTENT})
        await until_async(lambda: len(worked.messages) == 20)
        first = worked.messages[0]
        assert {key: first[key] for key in CONTENT} == CONTENT
        assert first["channel"] == first.channel.name == "jobs"
        assert first.reply_channel is None
        assert len({message["message_id"] for message in worked.messages}) == 20


@on_loop
async def test_messages_come_in_the_order_of_their_arrival(two):
    worked = Worked()
    one, other = two(route("jobs", worked), threads=1)
    async with one, other:
        for number in range(30):
            await one.channel("jobs").send({"n": number})
        await until_async(lambda: len(worked.messages) == 30)
        assert worked.numbers == [*range(30)]


@on_loop
async def test_the_consumer_of_a_channel_can_answer_by_the_name_that_it_was_given(two):
    def answer(message):
        message.reply_channel.send({"text": f"{message['n']} is done"}, immediately=True)

    one, other = two(route("jobs", answer))
    async with one, other:
        near = one.client()
        await one.channel("jobs").send({"n": 7, "reply_channel": near})
        await until_async(lambda: near.texts)
        assert near.texts == ["7 is done"]


@on_loop
async def test_as_many_consumers_run_at_once_as_there_are_threads(two):
    worked = Worked(blocks=True)
    one, other = two(route("jobs", worked), threads=3)
    async with one, other:
        for number in range(10):
            await one.channel("jobs").send({"n": number})
        await until_async(lambda: worked.running == 3)
        worked.go.set()
        await until_async(lambda: len(worked.messages) == 10)
        assert worked.most == 3


@on_loop
async def test_a_full_channel_is_told_to_the_sender(two):
    worked = Worked(blocks=True)
    one, other = two(route("jobs", worked), threads=1, limits={"capacity": 5})
    async with one, other:
        await one.channel("jobs").send({"n": 0})
        await until_async(lambda: worked.running == 1)
        for number in range(1, 6):
            await one.channel("jobs").send({"n": number})
        with pytest.raises(ChannelFull, match="no consumer takes"):
            await one.channel("jobs").send({"n": 6})
        await one.channel("others").send({"n": 6})  # another channel has room
        worked.go.set()
        await until_async(lambda: len(worked.messages) == 6)
        assert worked.numbers == [*range(6)]


@on_loop
async def test_a_deferred_message_for_a_full_channel_is_tried_again(two, monkeypatch):
    monkeypatch.setattr(deferred, "_RETRY_SECONDS", NEVER_SECONDS)
    worked = Worked(blocks=True)
    one, other = two(route("jobs", worked), threads=1, limits={"capacity": 1})
    async with one, other:
        await one.channel("jobs").send({"n": 0})
        await until_async(lambda: worked.running == 1)

        def consumer(message):
            for number in (1, 2):
                one.channel("jobs").send({"n": number})

        exchange = one.call(consumer)
        await until_async(lambda: exchange.job.is_over)
        worked.go.set()
        await until_async(lambda: len(worked.messages) == 3)
        assert worked.numbers == [0, 1, 2]


@pytest.mark.parametrize("where", ["far", "near"])
@on_loop
async def test_deferred_messages_for_a_channel_that_is_full_stay_in_order(carrier, where, monkeypatch):
    monkeypatch.setattr(deferred, "_RETRY_SECONDS", NEVER_SECONDS)  # a busy machine consumes them more slowly
    worked = Worked()
    routed = make(carrier, route("jobs", worked), threads=1, limits={"capacity": 20})
    idle = make(carrier, limits={"capacity": 20})
    async with routed, idle:
        sender = routed if where == "near" else idle

        def consumer(message):
            for number in range(first, first + 60):
                sender.channel("jobs").send({"n": number})
                sender.channel(f"others.{number % 7}").send({"n": number})

        for first in (0, 60):  # the second one's, too, behind those that are tried again
            exchange = sender.call(consumer)
            await until_async(lambda: exchange.job.is_over)  # noqa: B023
            # Until it is known that one was refused: what is sent before is on its way as well, and may be taken.
            sent = first + 60
            await until_async(lambda: sender.hub.deferred._lines or len(worked.messages) == sent)  # noqa: B023
        await until_async(lambda: len(worked.messages) == 120, "all messages")
        assert worked.numbers == [*range(120)]
        assert sender.log.texts("error") == []


@on_loop
async def test_the_most_urgent_message_that_waits_comes_first(carrier):
    if isinstance(carrier, CARRIERS["django"]):
        pytest.skip("a layer of Channels 4 knows one order only")
    blocked = Worked(blocks=True)
    async with make(carrier, route("jobs", blocked), threads=1) as one:
        await one.channel("jobs").send({"n": 0, "message_priority": -100})
        await until_async(lambda: blocked.running == 1)
        await one.channel("jobs").send({"n": 99, "message_priority": 99}, delay=0.001)
        await until_async(lambda: carrier.count_waiting(one, "jobs") == 1, "the end of the delay")
        for priority in (0, 5, -5, 100, 5, -100, 0):
            await one.channel("jobs").send({"n": priority, "message_priority": priority})
        blocked.go.set()
        await until_async(lambda: len(blocked.messages) == 9)
        assert blocked.numbers[1:] == [100, 99, 5, 5, 0, 0, -5, -100]
        ids = [message["message_id"] for message in blocked.messages if message["n"] == 5]
        assert len(set(ids)) == 2


@pytest.mark.parametrize("priority", [101, 1.5, True, "high"])
@on_loop
async def test_a_priority_that_is_none_is_refused_where_it_is_sent(carrier, priority):
    if isinstance(carrier, CARRIERS["django"]):
        pytest.skip("a layer of Channels 4 knows one order only")
    async with make(carrier) as one:
        with pytest.raises(ValueError, match="message_priority must be a whole number"):
            await one.channel("jobs").send({"message_priority": priority})


@on_loop
async def test_a_message_of_a_channel_is_sent_from_a_thread(two):
    worked = Worked()
    one, other = two(route("jobs", worked))
    async with one, other:
        await in_thread(lambda: one.channel("jobs").send({"n": 1}))
        await until_async(lambda: worked.messages)


@on_loop
async def test_a_delayed_message_comes_later_and_once(two, monkeypatch):
    """By the clock: in which order they come is left to how long a busy machine takes to send them."""
    seen = []

    def note(message):
        seen.append((message.get("n", message.get("text")), time.monotonic()))

    one, other = two(route("jobs", note), threads=1)
    async with one, other:
        near = one.client()
        monkeypatch.setattr(near, "send", note)
        begun = time.monotonic()
        await other.channel(near.name).send({"text": "late"}, delay=0.2)
        await one.channel("jobs").send({"n": 2}, delay=0.3)
        await one.channel("asgi.delay").send({"channel": "jobs", "content": {"n": 1}, "delay": 100})  # as in Channels 1
        await one.channel("jobs").send({"n": 0})
        await until_async(lambda: len(seen) == 4)
        taken = {what: when - begun for what, when in seen}
        delays = {0: 0.0, 1: 0.1, 2: 0.3, "late": 0.2}
        assert {what: taken[what] > delays[what] - 0.01 for what in taken} == dict.fromkeys(delays, True)


@pytest.mark.parametrize("content", [{"n": 1}, {"n": 1, "message_priority": 7}], ids=["plain", "with a priority"])
@on_loop
async def test_a_consumer_that_wants_its_message_later_gets_it_again(two, content):
    worked = Worked(error=ConsumeLater("not yet"), times=2)
    one, other = two(route("jobs", worked))
    async with one, other:
        await one.channel("jobs").send(content)
        await until_async(lambda: len(worked.messages) == 3)
        assert len({message["message_id"] for message in worked.messages}) == 1
        assert one.log.texts("error") == other.log.texts("error") == []


@pytest.mark.parametrize("content", [{"n": 1}, {"n": 1, "message_priority": 7}], ids=["plain", "with a priority"])
@on_loop
async def test_the_id_of_the_request_that_sends_goes_along_beside_the_content(carrier, content):
    worked = Worked(error=ConsumeLater("not yet"))
    one, other = make(carrier, request_id=lambda: "of-one"), make(carrier, route("jobs", worked))
    async with one, other:
        await one.channel("jobs").send(content)
        await one.channel("jobs").send(content, delay=0.01)
        await until_async(lambda: len(worked.messages) == 3)  # one of them twice
        assert {message["request_id"] for message in worked.messages} == {"of-one"}
        added = ("channel", "message_id", "request_id")
        for message in worked.messages:
            assert {key: message[key] for key in message if key not in added} == content
        await other.channel("jobs").send({**content, "request_id": "the application's"})
        await one.channel("jobs").send({**content, "request_id": "the application's"})
        await until_async(lambda: len(worked.messages) == 5)
        assert [message["request_id"] for message in worked.messages[3:]] == ["the application's"] * 2
        assert one.log.texts("error") == other.log.texts("error") == []


@pytest.mark.parametrize("request_id", [None, lambda: None])
@on_loop
async def test_a_message_of_no_request_has_no_id_of_one(carrier, request_id):
    worked = Worked()
    one, other = make(carrier, request_id=request_id), make(carrier, route("jobs", worked))
    async with one, other:
        await one.channel("jobs").send({"n": 1})
        await until_async(lambda: worked.messages)
        assert {*worked.messages[0]} == {"channel", "message_id", "n"}


@on_loop
async def test_what_is_sent_to_a_reply_channel_is_what_it_was_if_requests_have_ids(carrier):
    one, other = make(carrier, request_id=lambda: "of-one"), make(carrier)
    async with one, other:
        near, far = one.client(), other.client()
        for client in (near, far):
            await one.channel(client.name).send({"text": "at once"})
            await one.channel(client.name).send({"text": "later"}, delay=0.01)
        await until_async(lambda: len(near.received) == len(far.received) == 2)
        assert near.received == far.received == [{"text": "at once"}, {"text": "later"}]


@on_loop
async def test_a_message_that_no_route_matches_is_logged(two):
    worked = Worked()
    one, other = two(route("jobs", worked, kind="^big$"))
    async with one, other:
        await one.channel("jobs").send({"kind": "small"})
        await one.channel("jobs").send({"kind": "big"})
        await until_async(lambda: worked.messages and other.log.texts("error"))
        assert "No consumer for a message of jobs" in other.log.texts("error")[0]
        assert len(worked.messages) == 1


@on_loop
async def test_messages_wait_for_a_worker_that_consumes_their_channel(carrier):
    worked = Worked()
    async with make(carrier) as one:
        for number in range(3):
            await one.channel("jobs").send({"n": number})
        async with make(carrier, route("jobs", worked), threads=1):
            await until_async(lambda: len(worked.messages) == 3)
            assert worked.numbers == [0, 1, 2]


@on_loop
async def test_what_waits_in_a_worker_that_stops_in_order_is_for_another(carrier):
    blocked, worked = Worked(blocks=True), Worked()
    async with make(carrier) as one:
        first = make(carrier, route("jobs", blocked), threads=1)
        await first.__aenter__()
        for number in range(5):
            await one.channel("jobs").send({"n": number})
        await until_async(lambda: blocked.running == 1)
        async with make(carrier, route("jobs", worked), threads=1):
            first.retire()
            await until_async(lambda: len(worked.messages) == 4)
            blocked.go.set()
            await first.__aexit__(None, None, None)
            await one.channel("jobs").send({"n": 9})
            await until_async(lambda: len(worked.messages) == 5)
            assert blocked.numbers == [0]
            assert worked.numbers == [1, 2, 3, 4, 9]


@on_loop
async def test_routes_that_fail_over_one_message_let_others_through(two):
    worked = Worked()
    one, other = two(route("jobs", worked), threads=1)
    find = other.router.find

    def failing(channel, path, content):
        if content["n"] == 0:
            raise LookupError("a pattern of the application's own")
        return find(channel, path, content)

    other.router.find = failing
    async with one, other:
        for number in range(3):
            await one.channel("jobs").send({"n": number})
        await until_async(lambda: len(worked.messages) == 2)
        assert worked.numbers == [1, 2]
        assert any("Error in the routes for a message of jobs" in text for text in other.log.texts("error"))
        assert not any("cannot be reached" in text for text in other.log.texts("error"))
