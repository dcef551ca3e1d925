"""Decorators around a consumer of Channels 1, and a session without Django; on the doubles of the server."""

import pytest
from test_calls import opened, run

from uvicorn.channels1 import channel_session, http_session, route
from uvicorn.channels1.ordering import enforce_ordering
from uvicorn.errors import ConsumerError


def test_a_session_in_memory_lives_as_long_as_the_socket(make_site):
    @channel_session
    def connect(message):
        message.channel_session["count"] = 0

    @channel_session
    @channel_session
    def receive(message):
        message.channel_session["count"] += 1
        message.reply_channel.send({"text": str(message.channel_session["count"])})

    site, client = opened(make_site, connect, route("websocket.receive", receive))
    for _ in range(3):
        client.text("a")
        run(site)
    assert client.texts == ["1", "2", "3"]


@pytest.mark.parametrize("decorate", [channel_session, http_session, enforce_ordering])
def test_decorators_refuse_a_coroutine_function(decorate):
    async def consumer(message):
        pass

    with pytest.raises(ConsumerError, match="write it with def"):
        decorate(consumer)
