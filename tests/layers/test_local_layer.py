"""The local layer where something does not go as it should: full workers, slow ones, and those that leave."""

import asyncio

import pytest
from bridge_doubles import on_loop
from carriers import LocalCarrier
from layer_doubles import Worked, WorkedOnLoop, make, until_async

from uvicorn import ChannelFull, ChannelLayerUnavailable, Group, route
from uvicorn.errors import ConsumeLater
from uvicorn.layers import local_peer, local_peers, local_place, queues
from uvicorn.layers.delay import Delays
from uvicorn.layers.handover import wait_for
from uvicorn.layers.limits import ChannelLimits
from uvicorn.layers.local_place import Place


@pytest.fixture
def carrier():
    made = LocalCarrier()
    yield made
    made.close()


@on_loop
async def test_what_a_full_worker_refused_is_offered_again(carrier):
    worked = Worked(blocks=True)
    async with make(carrier) as one, make(carrier) as other:
        for number in range(4):
            await one.channel("jobs").send({"n": number})
            await other.channel("jobs").send({"n": 10 + number})
        async with make(carrier, route("jobs", worked), threads=1, limits={"capacity": 2}):
            await until_async(lambda: worked.running == 1)
            worked.go.set()
            await until_async(lambda: len(worked.messages) == 8)
            assert sorted(worked.numbers) == [0, 1, 2, 3, 10, 11, 12, 13]


@on_loop
async def test_a_delayed_message_whose_channel_is_full_when_it_is_due_is_not_lost(carrier):
    worked = Worked(blocks=True)
    async with make(carrier) as one, make(carrier, route("jobs", worked), threads=1, limits={"capacity": 1}):
        await one.channel("jobs").send({"n": 0})
        await until_async(lambda: worked.running == 1)
        await one.channel("jobs").send({"n": 1})
        await one.channel("jobs").send({"n": 2}, delay=0.01)
        await until_async(lambda: one.layer.channels._queues.count("jobs"), "the message that was refused")
        worked.go.set()
        await until_async(lambda: len(worked.messages) == 3)
        assert worked.numbers == [0, 1, 2]


@on_loop
async def test_what_a_consumer_does_to_its_message_changes_nothing_of_the_next_delivery(carrier):
    seen = []

    def consumer(message):
        seen.append([*message["list"]])
        message["list"].append(object())
        if len(seen) == 1:
            raise ConsumeLater

    async with make(carrier, route("jobs", consumer), threads=1) as node:
        await node.channel("jobs").send({"list": [1]})
        await until_async(lambda: len(seen) == 2)
        await node.channel("jobs").send({"list": [2]})
        await until_async(lambda: len(seen) == 3)
        assert seen == [[1], [1], [2]]
        assert node.log.texts("error") == []


@on_loop
async def test_what_is_wanted_later_is_handed_over_by_a_worker_that_stops(carrier):
    first, second = Worked(error=ConsumeLater("not yet"), times=9), Worked()
    leaving = make(carrier, route("jobs", first))
    await leaving.__aenter__()
    async with make(carrier) as one:
        await one.channel("jobs").send({"n": 1})
        await until_async(lambda: leaving.layer.channels._later)
        async with make(carrier, route("jobs", second)):
            await until_async(lambda: leaving.layer._peers.consumers("jobs") and leaving.layer.channels._later)
            await leaving.__aexit__(None, None, None)
            await until_async(lambda: second.messages)
            assert second.messages[0]["message_id"] == first.messages[0]["message_id"]


@on_loop
async def test_messages_that_are_wanted_later_take_the_room_of_others(carrier):
    worked = WorkedOnLoop()

    async def later(message):
        await worked(message)
        raise ConsumeLater

    async with make(carrier, route("jobs", later), limits={"capacity": 3}) as node:
        for number in range(3):
            await node.channel("jobs").send({"n": number})
        await until_async(lambda: len(node.layer.channels._later) == 3)
        with pytest.raises(ChannelFull):
            await node.channel("jobs").send({"n": 3})


@on_loop
async def test_very_many_messages_that_no_route_matches_are_given_up_one_after_the_other(carrier):
    worked = Worked()
    limits = {"capacity": 3000}
    async with make(carrier, limits=limits) as one:
        for _ in range(2000):
            await one.channel("jobs").send({"kind": "small"})
        await one.channel("jobs").send({"kind": "big"})
        async with make(carrier, route("jobs", worked, kind="^big$"), limits=limits) as node:
            await until_async(lambda: worked.messages)
            assert len(node.log.texts("error")) == 2000


@on_loop
async def test_a_worker_that_does_not_answer_is_not_waited_for_without_end(carrier, monkeypatch):
    monkeypatch.setattr(local_peers, "_ANSWER_SECONDS", 0.1)
    async with make(carrier) as one, make(carrier, route("jobs", Worked())) as other:
        await until_async(lambda: one.layer._peers.consumers("jobs"))
        monkeypatch.setattr(other.layer._peers, "on_frame", lambda link, parts: None, raising=False)
        with pytest.raises(ChannelLayerUnavailable, match="does not answer") as raised:
            await asyncio.wait_for(one.channel("jobs").send({"n": 1}), 60)
        assert raised.value.was_sent  # it is not sent a second time


@on_loop
async def test_the_members_of_a_worker_that_does_not_answer_are_left_out(carrier, monkeypatch):
    async with make(carrier) as one, make(carrier) as other:
        near = one.client()
        await one.group("room").add(near)
        await other.group("room").add(other.client())
        await until_async(lambda: one.layer._peers.all()[0].groups)
        monkeypatch.setattr(local_peer, "_TOLD_SECONDS", 0.01)
        monkeypatch.setattr(other.layer._peers, "on_frame", lambda link, parts: None, raising=False)
        assert await one.office.members("room") == [near.name]


@on_loop
async def test_a_worker_that_was_behind_hears_of_the_groups_that_were_joined_meanwhile(carrier):
    async with make(carrier) as one, make(carrier) as other:
        near = one.client()
        await one.group("left").add(near)
        [to_other], [to_one] = one.layer._peers.all(), other.layer._peers.all()
        await until_async(lambda: to_one.groups == {"left"})
        to_other.link.pause_writing()
        await one.group("left").discard(near)
        await one.group("room").add(near)
        to_other.link.resume_writing()
        await until_async(lambda: to_one.groups == {"room"})
        await other.group("room").send({"text": "hello"})
        await until_async(lambda: near.texts)


@on_loop
async def test_two_workers_hear_each_other_again_after_a_frame_that_cannot_be_read(carrier):
    async with make(carrier) as one, make(carrier, route("jobs", Worked())) as other:
        near, far = one.client(), other.client()
        await one.group("room").add(near)
        await other.group("room").add(far)
        [to_other] = one.layer._peers.all()
        broken = to_other.link
        broken.send(b"\x00\x00\x00\x01\xc1")
        await until_async(lambda: far.gaps)  # nobody knows what was behind it
        await until_async(lambda: broken.is_lost)
        for node in (one, other):  # waits for the new connection, if it is not there yet
            await node.group("room").send({"text": "hello"})
        await until_async(lambda: near.texts == ["hello"] * 2 and far.texts == ["hello"] * 2)
        await until_async(lambda: one.layer._peers.consumers("jobs") and one.layer._peers.all())
        assert one.layer._peers.all()[0].link is not broken
        assert near.gaps == []
        assert [text.partition(":")[0] for text in other.log.texts("error")] == [
            "A worker has sent what cannot be read"
        ]


class Unconnected:
    """Two workers: the second knows the first one, which is not connected to it yet; then they are `connected`."""

    def __init__(self, carrier, monkeypatch):
        monkeypatch.setattr(local_peers, "_GREET_SECONDS", 0.01)
        self.one, self.other = make(carrier), make(carrier)
        self._finder = None

    async def __aenter__(self):
        await self.one.__aenter__()
        self._finder = self.one.layer._peers._finder
        self._finder.look = lambda node=None: None
        await self.other.__aenter__()
        return self

    async def being_added(self):
        """Make a client of the other worker, `far`; return the task in which one adds it to a group by its name."""
        self.far = self.other.client()
        adding = asyncio.ensure_future(wait_for(self.one.group("room").add(self.far.name)))
        await asyncio.sleep(0)
        return adding

    def connected(self):
        del self._finder.look
        self._finder.look()

    async def __aexit__(self, *details):
        await self.other.__aexit__(*details)
        await self.one.__aexit__(*details)


@on_loop
async def test_what_is_sent_before_there_is_a_connection_to_a_worker_is_not_lost(carrier, monkeypatch):
    async with Unconnected(carrier, monkeypatch) as both:
        far = both.other.client()
        await both.other.group("room").add(far)
        for number in range(3):
            await both.one.group("room").send({"text": str(number)})
            await both.one.channel(far.name).send({"text": f"you {number}"})
        both.connected()
        await until_async(lambda: len(far.texts) == 6)
        assert far.texts == ["0", "you 0", "1", "you 1", "2", "you 2"]
        assert far.gaps == []


@on_loop
async def test_who_was_added_by_its_name_before_there_is_a_connection_hears_what_is_sent_then(carrier, monkeypatch):
    async with Unconnected(carrier, monkeypatch) as both:
        adding, far = await both.being_added(), both.far
        both.one.group("room").add(far.name)  # nobody waits for it
        assert not adding.done()
        both.connected()
        await adding
        await both.one.group("room").send({"text": "hello"})
        await until_async(lambda: far.texts == ["hello"])
        assert both.one.log.texts("warning") == []


@on_loop
async def test_an_add_to_a_worker_that_leaves_before_there_is_a_connection_is_over(carrier, monkeypatch):
    async with Unconnected(carrier, monkeypatch) as both:
        adding = await both.being_added()
        await both.other.layer._peers.stop()
        await adding  # one that is gone is no error
        assert both.one.log.texts("warning") == []


@on_loop
async def test_an_add_waits_for_a_connection_that_is_never_there_no_longer_than_for_an_answer(carrier, monkeypatch):
    monkeypatch.setattr(local_peer, "_CONNECTED_SECONDS", 0.01)
    async with Unconnected(carrier, monkeypatch) as both:
        far = both.other.client()
        with pytest.raises(ChannelLayerUnavailable, match="does not answer") as raised:
            await both.one.group("room").add(far.name)
        assert raised.value.was_sent  # it may be carried out yet
        both.connected()
        await until_async(lambda: both.other.hub._groups.get("room"))


@on_loop
async def test_what_waits_for_a_connection_is_bounded_and_the_rest_is_told(carrier, monkeypatch):
    monkeypatch.setattr(local_peer, "MOST_BEHIND", 10)
    async with Unconnected(carrier, monkeypatch) as both:
        far = both.other.client()
        await both.other.group("room").add(far)
        for number in range(3):
            await both.one.group("room").send({"text": str(number)})
        with pytest.raises(ChannelLayerUnavailable, match="takes nothing"):
            await both.one.channel(far.name).send({"text": "you"})
        both.connected()
        await until_async(lambda: far.gaps)
        assert (far.texts, far.gaps) == (["0"], [2])


@on_loop
async def test_who_replies_to_a_socket_of_a_worker_that_takes_nothing_is_told_so(carrier):
    async with make(carrier) as one, make(carrier) as other:
        far = other.client()
        [to_other] = one.layer._peers.all()
        to_other.link.pause_writing()
        with pytest.raises(ChannelLayerUnavailable, match="takes nothing"):
            one.channel(far.name).send({"text": "1"})
        await one.channel(far.name).send({"text": "2"}, delay=0.001)  # tried again when it is due
        await asyncio.sleep(0.01)
        to_other.link.resume_writing()
        await until_async(lambda: far.texts == ["2"])


@on_loop
async def test_members_are_told_of_a_gap_if_a_worker_hears_late_that_they_have_joined(carrier, monkeypatch):
    monkeypatch.setattr(local_peer, "_TOLD_SECONDS", 0.01)
    async with make(carrier) as one, make(carrier) as other:
        on_frame, held = one.layer._peers.on_frame, []
        one.layer._peers.on_frame = lambda *frame: held.append(frame)  # its loop is blocked
        far = other.client()
        await other.group("room").add(far)
        await one.group("room").send({"text": "nobody knows of"})
        one.layer._peers.on_frame = on_frame
        await until_async(lambda: held)
        for frame in held:
            on_frame(*frame)
        await until_async(lambda: far.gaps)
        await one.group("room").send({"text": "1"})
        await until_async(lambda: far.texts)
        assert (far.texts, far.gaps) == (["1"], [None])


@on_loop
@pytest.mark.parametrize("has_history", [True, False])
async def test_who_joins_before_there_is_a_connection_hears_what_is_sent_or_of_a_gap(carrier, monkeypatch, has_history):
    monkeypatch.setattr(local_peers, "_GREET_SECONDS", 0.05)  # one that comes waits no longer for one that is busy
    monkeypatch.setattr(local_peer, "_TOLD_SECONDS", 0.05)
    monkeypatch.setattr(local_peers, "_LOOK_EVERY", 10**9)
    options = {"history": 10} if has_history else {}
    async with make(carrier) as here:
        finder = here.layer._peers._finder
        monkeypatch.setattr(finder, "look", lambda *_: None)  # the connection to the new one comes late
        async with make(carrier) as new:
            client = here.client()
            await Group("room", here.office, **options).add(client)
            await Group("room", new.office, **options).send({"text": "hello"})
            monkeypatch.undo()
            finder.look()
            await until_async(lambda: client.texts or client.gaps)
            assert (client.texts, client.gaps) == ((["hello"], []) if has_history else ([], [None]))


@on_loop
async def test_nobody_waits_without_end_for_a_connection_and_who_has_waited_hears_of_a_gap(carrier, monkeypatch):
    monkeypatch.setattr(local_peers, "_GREET_SECONDS", 0.05)
    monkeypatch.setattr(local_peer, "_TOLD_SECONDS", 0.05)
    monkeypatch.setattr(local_peers, "_ANSWER_SECONDS", 0.05)
    async with make(carrier) as here:
        monkeypatch.setattr(here.layer._peers._finder, "look", lambda *_: None)  # the connection never comes
        async with make(carrier):
            client = here.client()
            await Group("room", here.office).add(client)

            def is_told():
                here.layer.tick()
                return client.gaps

            await until_async(is_told, "the gap")
            assert client.gaps == [None]


@on_loop
async def test_messages_wait_in_a_bounded_number_of_channels(carrier, monkeypatch):
    monkeypatch.setattr(queues, "_MOST_CHANNELS", 3)
    async with make(carrier) as node:
        for name in "abc":
            await node.channel(name).send({})
        with pytest.raises(ChannelFull, match="very many channels"):
            await node.channel("d").send({})
        await node.channel("a").send({})


@on_loop
async def test_a_worker_takes_no_more_delayed_messages_than_it_can_keep(carrier, monkeypatch):
    monkeypatch.setattr("uvicorn.layers.delay._MOST", 1)
    async with make(carrier) as node:
        assert [node.layer.on_offer("jobs", "", b"", 60.0) for _ in range(2)] == [True, False]


@on_loop
async def test_one_delayed_message_that_cannot_be_delivered_holds_up_no_other():
    loop = asyncio.get_running_loop()
    told, delivered = [], []
    loop.set_exception_handler(lambda loop, context: told.append(context["exception"]))

    def deliver(channel, content):
        if channel == "bad":
            raise LookupError(channel)
        delivered.append(channel)
        return True

    delays = Delays(loop, deliver)
    for channel in ("bad", "good"):
        delays.add(0.001, channel, b"")
    await until_async(lambda: delivered)
    assert [type(error) for error in told] == [LookupError]


def test_a_process_is_seen_by_others_only_when_it_listens(carrier, monkeypatch):
    seen = []
    listen = local_place.socket.socket.listen

    def looked_at(listener, backlog):
        seen.append(Place(carrier.path).others())
        listen(listener, backlog)

    monkeypatch.setattr(local_place.socket.socket, "listen", looked_at)
    place = Place(carrier.path)
    place.enter("abc").close()
    assert seen == [[]]
    assert [node for node, _ in Place(carrier.path).others()] == ["abc"]
    place.leave()


def test_a_channel_has_room_again_when_nothing_waits_aside():
    waiting = queues.Queues(ChannelLimits(capacity=1), lambda: 0.0)
    waiting.aside["jobs"] += 1
    assert not waiting.add("jobs", "1", b"")
    waiting.aside["jobs"] -= 1
    waiting.tick()
    assert waiting.add("jobs", "1", b"")
    assert not waiting.aside


def test_a_task_of_django_never_expires():
    times = iter([0.0, 0.0, 1e9, 1e9])
    waiting = queues.Queues(ChannelLimits(expiry_seconds=60.0), lambda: next(times))
    assert waiting.add("jobs", "1", b"")
    assert waiting.add("django.tasks.default", "2", b"")
    waiting.tick()
    assert waiting.expired == {"jobs": 1}
    assert waiting.channels() == ("django.tasks.default",)
