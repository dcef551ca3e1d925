"""What Redis is told of messages that are done with."""

import asyncio

from bridge_doubles import on_loop

from uvicorn.errors import ChannelLayerUnavailable
from uvicorn.layers.deferred import DeferredMessages
from uvicorn.layers.handover import DONE
from uvicorn.layers.redis_acknowledgements import Acknowledgements


class Publishing:
    """A publisher that notes what it is given, and refuses as often as it is told to."""

    def __init__(self, refusals=0):
        self.given = []
        self.has_run = asyncio.Event()
        self._refusals = refusals

    def publish(self, text):
        self.given.append(text)
        return DONE

    def run(self, script, keys, *arguments):
        if self._refusals:
            self._refusals -= 1
            raise ChannelLayerUnavailable("away")
        self.given.append(script)
        self.has_run.set()
        return asyncio.get_running_loop().create_future()


@on_loop
async def test_what_a_consumer_has_sent_reaches_redis_before_its_message_is_ended():
    publisher, loop = Publishing(), asyncio.get_running_loop()
    deferred = DeferredMessages(loop, None, None)
    # as they come from the thread when the consumer returns, in one turn
    deferred.carry([lambda: publisher.publish("first"), lambda: publisher.publish("second")])
    Acknowledgements(loop, publisher, None).run("the end", ("stream",))
    await asyncio.sleep(0)
    assert publisher.given == ["first", "second", "the end"]


@on_loop
async def test_it_is_told_again_while_redis_is_away(monkeypatch):
    monkeypatch.setattr("uvicorn.layers.redis_acknowledgements._AGAIN_SECONDS", 0.0)
    publisher = Publishing(refusals=2)
    Acknowledgements(asyncio.get_running_loop(), publisher, None).run("the end", ("stream",))
    await publisher.has_run.wait()
    assert publisher.given == ["the end"]
