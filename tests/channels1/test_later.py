"""A background message whose consumer raises ConsumeLater: it comes again, and not without end."""

import asyncio

import pytest

from uvicorn.channels1 import ConsumeLater
from uvicorn.channels1.calls import AsyncCall, Call
from uvicorn.errors import ChannelFull, ChannelLayerUnavailable
from uvicorn.layers import current
from uvicorn.layers.handover import DONE
from uvicorn.messages import Message


class Office:
    """What brings each message that is sent to a channel to its consumer, again and again."""

    def __init__(self):
        self.sent = []
        self.delays = []
        self.error = None

    def put(self, channel, content, immediately, delay):
        assert (channel, immediately) == ("jobs", True)
        if self.error is not None:
            raise self.error
        self.sent.append(content)
        self.delays.append(delay)
        return DONE

    def add(self, *details): ...
    def discard(self, *details): ...
    def publish(self, *details): ...


@pytest.fixture
def office():
    office = Office()
    current.install(office)
    yield office
    current.uninstall(office)


def call(consumer, is_async, content, number=0):
    """Have a message of a channel consumed."""
    message = Message({"channel": "jobs", "message_id": f"id{number}", **content})

    async def coroutine(message):
        consumer(message)

    if is_async:
        asyncio.run(AsyncCall(coroutine)(message))
    else:
        Call(consumer)(message)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_background_message_that_is_wanted_later_comes_back_ten_times_and_not_without_end(office, caplog, is_async):
    seen = []

    def consumer(message):
        seen.append((message.get("__retries__"), hasattr(message, "__doomed__")))
        raise ConsumeLater

    content = {"n": 1}
    for number in range(20):
        call(consumer, is_async, content, number)
        if len(office.sent) == number:
            break
        content = office.sent[-1]
        assert content == {"n": 1, "__retries__": number + 1}
    assert seen == [(None, False), *((number, number == 10) for number in range(1, 11))]
    assert set(office.delays) == {1.0}
    [record] = [record for record in caplog.records if record.name == "django.channels"]
    assert record.getMessage().endswith("raised ConsumeLater 11 times for a message of jobs")


@pytest.mark.parametrize("is_async", [False, True])
def test_what_the_consumer_has_noted_in_its_message_comes_along(office, is_async):
    def consumer(message):
        message.content["seen"] = True
        raise ConsumeLater

    call(consumer, is_async, {"n": 1, "__retries__": "not ours"})
    assert office.sent == [{"n": 1, "seen": True, "__retries__": 1}]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("error", [ChannelFull("full"), ChannelLayerUnavailable("gone")])
def test_a_message_that_cannot_be_sent_again_is_left_to_the_layer(office, is_async, error):
    def consumer(message):
        raise ConsumeLater

    office.error = error
    with pytest.raises(ConsumeLater):
        call(consumer, is_async, {"n": 1})
