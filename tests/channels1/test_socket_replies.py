"""What a consumer of Channels 1 sends to its socket, after it is closed, too; on the doubles of the server."""

import pytest
from test_calls import opened, run

from uvicorn.channels1 import route
from uvicorn.channels1.channel import ReplyChannel
from uvicorn.errors import ChannelClosed, ReplyError


def test_what_is_sent_to_a_socket_that_is_closed_is_dropped(make_site):
    kept = []
    site, client = opened(make_site, lambda message: kept.append(message))
    client.leave()
    site.settle()
    kept[0].reply_channel.send({"text": "too late"})


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("late", [{"text": "late"}, {"bytes": b"a", "text": "b"}, {"accept": True}, {"close": 4000}])
def test_a_send_after_ones_own_close_is_dropped_and_the_consumer_goes_on(make_site, is_async, late):
    seen = []

    def receive(message):
        message.reply_channel.send({"close": True})
        message.reply_channel.send(late)
        seen.append(message["text"])

    async def receive_async(message):
        await message.reply_channel.send({"close": True})
        await message.reply_channel.send(late)
        seen.append(message["text"])

    more = route("websocket.receive", receive_async if is_async else receive)
    site, client = opened(make_site, lambda message: None, more)
    client.text("a")
    run(site)
    assert seen == ["a"]
    assert (client.texts, client.close_code) == ([], 1000)


def test_a_send_after_ones_own_refusal_is_dropped(make_site):
    def connect(message):
        message.reply_channel.send({"close": True})
        message.reply_channel.send({"text": "late"})

    _, client = opened(make_site, connect)
    assert client.response.status == 403


def test_a_wrong_reply_to_an_open_socket_is_an_error_still(make_site):
    more = route("websocket.receive", lambda message: message.reply_channel.send({"txt": "a"}))
    site, client = opened(make_site, lambda message: None, more)
    client.text("a")
    run(site)
    assert len(site.log.take("error")) == 1
    assert client.close_code is None


@pytest.mark.parametrize("error", [ChannelClosed, ReplyError])
def test_a_send_while_another_thread_closes_is_dropped(error):
    class Closing:
        own_name = "websocket.send!0.1"
        closed = False

        def send(self, reply):
            self.closed = True
            raise error("closed")

    ReplyChannel(Closing()).send({"text": "late"})


def test_a_reply_with_bytes_and_text_is_two_messages(make_site):
    def connect(message):
        message.reply_channel.send({"accept": True, "bytes": b"one", "text": "two", "close": 4000})

    _, client = opened(make_site, connect)
    assert [one.payload for one in client.frames[:2]] == [b"one", b"two"]
    assert client.close_code == 4000
