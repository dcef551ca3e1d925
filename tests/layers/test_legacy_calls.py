"""Consumers of Channels 1 that send with `uvicorn.Group`, in a worker."""

import pytest
from bridge_doubles import on_loop
from layer_doubles import Node, until_async

from uvicorn import route
from uvicorn.channels1 import ConsumeLater
from uvicorn.channels1.calls import Call
from uvicorn.layers.limits import ChannelLimits
from uvicorn.layers.local import LocalLayer


@pytest.mark.parametrize("channel", ["http.request", "jobs"])
@on_loop
async def test_what_a_consumer_sent_before_it_wanted_its_message_later_is_not_sent_on_each_try(channel, monkeypatch):
    monkeypatch.setattr("uvicorn.channels1.calls._PAUSE_SECONDS", 0)
    monkeypatch.setattr("uvicorn.channels1.retries._LATER_SECONDS", 0.01)
    tries = []

    def consumer(message):
        tries.append(message)
        worker.group("room").send({"text": f"try {len(tries)}"})
        if len(tries) < 3:
            raise ConsumeLater

    call = Call(consumer)
    routes = [] if channel == "http.request" else [route(channel, call)]
    worker = Node(LocalLayer("local://", None, ChannelLimits(), None), routes=routes)
    async with worker:
        client = worker.client()
        await worker.group("room").add(client)
        if routes:
            await worker.channel(channel).send({"n": 1})
        else:
            worker.call(call)
        await until_async(lambda: len(tries) == 3 and client.texts)
        await worker.idle()
        assert (len(tries), client.texts) == (3, ["try 3"])
