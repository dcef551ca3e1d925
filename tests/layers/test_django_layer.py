"""A layer of Channels 4 where its interface lets messages come late, double or not at all."""

import asyncio
import sys
import types
from collections import Counter

import pytest
from bridge_doubles import on_loop
from carriers import DjangoCarrier
from layer_doubles import Worked, make, until_async
from patience import NEVER_SECONDS
from specified_layer import SpecifiedLayer

from uvicorn import ChannelLayerUnavailable, route
from uvicorn.errors import ConsumeLater, StartupError
from uvicorn.layers import django_calls, django_groups, django_layer
from uvicorn.layers.django_found import found_layer


class Carrier(DjangoCarrier):
    def __init__(self, layer):
        super().__init__()
        self._made = layer


@on_loop
async def test_messages_of_one_sender_come_in_order_though_nobody_awaits_them():
    layer = SpecifiedLayer()
    worked = Worked()
    async with make(Carrier(layer)) as one, make(Carrier(layer), route("jobs", worked), threads=1) as other:
        far = other.client()
        await other.group("room").add(far)
        for number in range(20):
            one.group("room").send({"text": f"all {number}"})
            one.channel(far.name).send({"text": f"you {number}"})
            one.channel("jobs").send({"n": number})
        await until_async(lambda: len(far.texts) == 40 and len(worked.messages) == 20)
        for kind in ("all", "you"):
            assert [text for text in far.texts if text.startswith(kind)] == [f"{kind} {n}" for n in range(20)]
        assert worked.numbers == [*range(20)]


@on_loop
async def test_a_message_that_its_consumer_wants_later_outlives_a_stop(monkeypatch):
    monkeypatch.setattr(django_layer, "_AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(django_layer, "_STOP_SECONDS", NEVER_SECONDS)
    layer, called = SpecifiedLayer(), []

    async def consumer(message):
        called.append(message)
        raise ConsumeLater

    async with make(Carrier(layer), route("jobs", consumer)) as node:
        await node.channel("jobs").send({"n": 1})
        await until_async(lambda: called)
    assert layer.count_waiting("jobs") == 1


@on_loop
async def test_who_leaves_a_group_and_comes_back_at_once_is_in_it():
    async with make(Carrier(SpecifiedLayer())) as node:
        for number in range(10):
            client = node.client()
            await node.group("room").add(client)
            node.group("room").discard(client)
            await node.group("room").add(client)
            await node.group("room").send({"text": str(number)})
            await until_async(lambda: client.texts)  # noqa: B023
            client.leave()


@on_loop
async def test_memberships_outlive_the_expiry_of_the_layer():
    now = [0.0]
    layer = SpecifiedLayer(group_expiry=0.2, clock=lambda: now[0])
    async with make(Carrier(layer)) as one, make(Carrier(layer)) as other:
        far = other.client()
        await other.group("room").add(far)
        await other.group("left").add(far)
        await other.group("left").discard(far)
        for _ in range(3):
            before = Counter(layer.added)
            await until_async(lambda: all(layer.added[name] > before[name] for name in before if name != "left"))  # noqa: B023
            now[0] += 0.15
        assert layer.added["left"] == 1
        await one.group("room").send({"text": "all"})
        await one.channel(far.name).send({"text": "you"})
        await until_async(lambda: sorted(far.texts) == ["all", "you"])


@on_loop
async def test_a_layer_that_is_down_at_the_start_is_told_of_and_tried_again(monkeypatch):
    monkeypatch.setattr(django_layer, "_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(django_groups, "_AGAIN_SECONDS", 0.01)
    layer, worked = SpecifiedLayer(), Worked()
    layer.error = OSError("the server is away")
    async with make(Carrier(layer), route("jobs", worked)) as node:
        client = node.client()
        with pytest.raises(ChannelLayerUnavailable, match="cannot be reached: the server is away"):
            await node.group("room").send({"text": "0"})
        with pytest.raises(ChannelLayerUnavailable, match="not there when this process came"):
            await node.group("room").add(client)
        layer.error = None
        await until_async(lambda: client.gaps)
        await node.group("room").send({"text": "1"})
        await node.channel("jobs").send({"n": 1})
        await until_async(lambda: client.texts == ["1"] and worked.messages)
        [told] = node.log.texts("error")
        assert (
            told == "The channel layer asgi+django://carriers:DjangoCarrier.made cannot be reached: the server is away"
        )
        assert sum("can be reached again" in text for text in node.log.texts("warning")) == 1


@on_loop
async def test_groups_are_entered_again_when_the_server_of_a_layer_has_forgotten_them(monkeypatch):
    monkeypatch.setattr(django_layer, "_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(django_groups, "_AGAIN_SECONDS", 0.01)
    layer = SpecifiedLayer()
    async with make(Carrier(layer)) as one, make(Carrier(layer)) as other:
        far = other.client()
        await other.group("room").add(far)
        layer._groups.clear()
        layer.error = OSError("the server is away")
        with pytest.raises(ChannelLayerUnavailable):
            await other.group("room").send({"text": "0"})
        other.layer._groups.on_failed(layer.error)  # as `receive` tells it, where that asks the server
        layer.error = None
        await until_async(lambda: far.gaps)
        await one.group("room").send({"text": "1"})
        await until_async(lambda: far.texts == ["1"])


class Hanging(SpecifiedLayer):
    """A layer that takes nothing until it `goes`."""

    def __init__(self):
        super().__init__()
        self.goes = asyncio.Event()
        self.goes.set()

    async def _turns(self):
        await self.goes.wait()
        await super()._turns()


@pytest.mark.parametrize("bound", [{"_MOST_CALLS": 10}, {"_MOST_BYTES": 10 * 20}])
@on_loop
async def test_coroutines_that_do_not_wait_for_a_layer_that_takes_nothing_are_refused_at_last(monkeypatch, bound):
    for name, value in bound.items():
        monkeypatch.setattr(django_calls, name, value)
    layer = Hanging()
    async with make(Carrier(layer)) as one, make(Carrier(layer)) as other:
        far = other.client()
        await other.group("room").add(far)
        layer.goes.clear()
        sent = []

        def flood():
            for number in range(1000):
                name = "room" if number % 2 else f"room-{number}"
                sent.append(one.group(name).send({"text": f"{number:013}"}))

        with pytest.raises(ChannelLayerUnavailable, match=r"\d+ messages wait for asgi\+django://.* already") as raised:
            flood()
        assert not raised.value.was_sent
        assert 5 <= len(sent) <= 20
        layer.goes.set()
        for handover in sent:
            await handover
        await one.group("room").send({"text": "again"})
        await until_async(lambda: "again" in far.texts)
        assert len(far.texts) == len(sent) // 2 + 1


@on_loop
async def test_those_who_come_and_go_while_a_layer_takes_nothing_do_not_pile_up():
    layer = Hanging()
    async with make(Carrier(layer)) as node:
        client = node.client()
        layer.goes.clear()
        before = len(asyncio.all_tasks())
        for _ in range(100):
            node.group("left").add(client)
            node.group("left").discard(client)
            node.group("left").add(client)
            node.group("left").discard(client)
            node.group("room").add(client)
            node.group("room").discard(client)
            adding = node.group("room").add(client)
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) - before < 30
        layer.goes.set()
        await adding
        await node.group("room").send({"text": "all"})
        await node.group("left").send({"text": "left"})
        await until_async(lambda: client.texts == ["all"])
        assert [*layer._groups.get("left", ())] == []


def failing():
    raise LookupError("no such host")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("no_such_module:layer", "cannot be found: No module named 'no_such_module'"),
        ("layers_of_a_test:nothing", "cannot be found: module 'layers_of_a_test' has no attribute 'nothing'"),
        ("layers_of_a_test:failing", "cannot be made: LookupError: no such host"),
        ("layers_of_a_test:dict", "is no channel layer of Channels 4: it has no send, receive, new_channel"),
        (":layer", "cannot be found: "),
    ],
)
def test_a_layer_that_is_not_there_is_told_in_one_sentence(name, why, monkeypatch):
    module = types.ModuleType("layers_of_a_test")
    vars(module).update(failing=failing, dict=dict)
    monkeypatch.setitem(sys.modules, "layers_of_a_test", module)
    with pytest.raises(StartupError) as raised:
        found_layer(f"asgi+django://{name}")
    assert str(raised.value).startswith(f"asgi+django://{name} {why}")
    assert "\n" not in str(raised.value)
