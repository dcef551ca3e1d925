"""What consumers have sent, in lines, where the layer is slow, silent, or about to be left."""

import asyncio
from functools import partial
from types import SimpleNamespace

from bridge_doubles import on_loop, until_async
from layer_doubles import RecordingLog
from patience import NEVER_SECONDS

from uvicorn.errors import ChannelFull, ChannelLayerUnavailable
from uvicorn.layers import deferred
from uvicorn.layers.backlog import Bounds
from uvicorn.layers.deferred import QUEUE, DeferredMessages, Sending
from uvicorn.layers.hub import Hub


class Clock:
    """The loop of this test, with a time that is later.

    Args:
        step: seconds that pass at each look.
    """

    def __init__(self, step=0.0):
        self.late = 0.0
        self._step = step
        self._loop = asyncio.get_running_loop()

    def time(self):
        self.late += self._step
        return self._loop.time() + self.late

    def __getattr__(self, name):
        return getattr(self._loop, name)


class Layer:
    """What takes one message of a channel after the other: `answers` has a future for each."""

    takes_in_order = False

    def __init__(self):
        self.answers = []
        self.done = []

    def put(self, channel, content, delay):
        answer = asyncio.get_running_loop().create_future()
        answer.add_done_callback(lambda _: self.done.append(content))
        self.answers.append(answer)
        return answer

    async def stop(self):
        self.done.append("stop")


def messages(layer, count):
    return [Sending(partial(layer.put, "jobs", number, 0.0), (QUEUE, "jobs")) for number in range(count)]


def carrying(loop, layer, count, log=None):
    lost = []
    carried = DeferredMessages(loop, log or RecordingLog(), lost.append, layer.takes_in_order)
    carried.carry(messages(layer, count))
    return carried, lost


@on_loop
async def test_a_silent_layer_holds_up_the_first_message_of_a_line_only():
    layer, clock = Layer(), Clock()
    _, lost = carrying(clock, layer, 4)
    await until_async(lambda: layer.answers)
    clock.late = deferred._RETRY_SECONDS
    layer.answers[0].set_exception(ChannelLayerUnavailable("no answer", was_sent=True))
    await until_async(lambda: len(layer.answers) == 4)
    for answer in layer.answers[1:]:
        answer.set_result(None)
    await until_async(lambda: layer.done == [0, 1, 2, 3])
    assert len(lost) == 1


@on_loop
async def test_a_long_line_does_not_make_each_of_its_messages_dear(monkeypatch):
    compared = []
    before = deferred._Item.__lt__
    monkeypatch.setattr(deferred._Item, "__lt__", lambda one, other: compared.append(1) or before(one, other))
    layer = Layer()
    carrying(asyncio.get_running_loop(), layer, 1000)
    for number in range(1000):
        await until_async(lambda: len(layer.answers) > number)  # noqa: B023
        layer.answers[number].set_result(None)
    assert len(compared) < 1000 * 30


@on_loop
async def test_a_server_that_stops_sends_what_stands_in_lines(monkeypatch):
    monkeypatch.setattr(deferred, "_RETRY_SECONDS", NEVER_SECONDS)
    layer = Layer()
    hub = Hub(asyncio.get_running_loop(), layer, SimpleNamespace(node="here"), RecordingLog(), Bounds())
    hub.deferred.carry(messages(layer, 3))
    stopping = asyncio.ensure_future(hub.stop())
    for number in range(3):
        await until_async(lambda: len(layer.answers) > number)  # noqa: B023
        layer.answers[number].set_result(None)
    await stopping
    assert layer.done == [0, 1, 2, "stop"]


@on_loop
async def test_a_server_that_stops_does_not_wait_for_ever_and_tells_what_is_lost():
    layer, log = Layer(), RecordingLog()
    carried, _ = carrying(Clock(step=deferred._RETRY_SECONDS / 8), layer, 3, log)
    await carried.stop()
    assert log.texts("warning") == ["2 messages that consumers have sent are lost: the layer has not taken them"]
    layer.answers[0].set_result(None)
    await until_async(lambda: layer.done == [0])
    assert len(layer.answers) == 1


@on_loop
async def test_a_server_that_stops_tells_of_messages_that_were_refused_since_the_last_tick():
    layer, log = Layer(), RecordingLog()
    hub = Hub(Clock(step=deferred._RETRY_SECONDS), layer, SimpleNamespace(node="here"), log, Bounds())

    def refuse(*args):
        raise ChannelFull("full")

    layer.put = refuse
    hub.deferred.carry(messages(layer, 1))
    await hub.stop()
    assert log.texts("warning") == ["1 messages to groups and channels could not be sent: ChannelFull: full"]
