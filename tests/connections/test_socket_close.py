"""The client's close frame: answered behind the replies to what came just before it."""

import asyncio
import struct

import pytest
from clients import Kept
from sockets import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    SocketClient,
    Socketed,
    SocketedInPool,
    close_frame,
    frame,
    handshake,
)

from uvicorn.errors import ConsumeLater
from uvicorn.wire.limits import SocketLimits

BYE = struct.pack("!H", 4001) + b"bye"
CLOSING = close_frame(4001, b"bye")


class Slow(Socketed):
    """Echo a message when the test lets it. Runs on the loop."""

    def __init__(self):
        super().__init__()
        self.running = []

    async def __call__(self, message):
        if message["channel"] == "websocket.receive":
            future = asyncio.get_running_loop().create_future()
            self.running.append(future)
            self.messages.append(message)
            text = await future
            message["reply_channel"].send({"text": text or message["text"]})
        else:
            await super().__call__(message)

    def let_go(self, site, text=None):
        self.running.pop(0).set_result(text)
        site.settle()


def seen(client):
    return [(found.opcode, found.payload) for found in client.frames]


def connected(make_site, consumer, *fields, **limits):
    site = make_site(consumer, disconnect_grace=3.0, sockets=SocketLimits(**limits))
    return site, SocketClient(site, "/", *fields)


@pytest.mark.parametrize("piece", [None, 1])
@pytest.mark.parametrize("in_thread", [False, True])
def test_replies_from_threads_come_before_the_answer(make_site, piece, in_thread):
    consumer = SocketedInPool()
    site = make_site(consumer)
    client = SocketClient(site)
    site.run_job(in_thread)
    client.send(frame(TEXT, b"a"), frame(TEXT, b"b"), CLOSING, piece=piece)
    assert seen(client) == []
    site.run_job(in_thread)
    assert seen(client) == [(TEXT, b"a")]
    assert not client.is_closed
    site.run_job(in_thread)
    assert seen(client) == [(TEXT, b"a"), (TEXT, b"b"), (CLOSE, BYE)]
    assert client.is_closed
    site.run_job(in_thread)
    assert consumer.channels == ["connect", "receive", "receive", "disconnect"]
    assert consumer.messages[-1]["code"] == 4001
    assert site.service.dispatcher.running.is_idle


@pytest.mark.parametrize("piece", [None, 1])
def test_replies_of_coroutines_come_before_the_answer(make_site, piece):
    consumer = Slow()
    site, client = connected(make_site, consumer)
    client.send(frame(TEXT, b"a"), frame(TEXT, b"b"), CLOSING, piece=piece)
    assert seen(client) == []
    consumer.let_go(site)
    consumer.let_go(site)
    assert seen(client) == [(TEXT, b"a"), (TEXT, b"b"), (CLOSE, BYE)]
    assert client.is_closed
    assert consumer.channels == ["connect", "receive", "receive", "disconnect"]


def test_a_consumer_that_replies_at_once_is_before_the_answer(make_site):
    _, client = connected(make_site, Socketed())
    client.send(frame(TEXT, b"a"), CLOSING)
    assert seen(client) == [(TEXT, b"a"), (CLOSE, BYE)]
    assert client.is_closed


@pytest.mark.parametrize("field", [[], [b"Sec-WebSocket-Extensions: permessage-deflate"]])
def test_a_large_reply_comes_before_the_answer_too(make_site, field):
    consumer = Slow()
    site, client = connected(make_site, consumer, *field)
    client.send(frame(TEXT, b"a"), CLOSING)
    consumer.let_go(site, "x" * 1000)
    assert [found.opcode for found in client.frames] == [TEXT, CLOSE]
    assert client.frames[0].payload == b"x" * 1000 or field
    assert (len(client.frames[0].payload) < 100) is bool(field)


def test_messages_from_before_the_acceptance_are_delivered_before_the_answer(make_site):
    consumer = Kept()
    site = make_site(consumer)
    client = SocketClient(site)
    client.send(frame(TEXT, b"a"), CLOSING)
    consumer.reply(0, accept=True)
    site.settle()
    assert seen(client) == [(CLOSE, BYE)]  # the consumer has returned without a reply
    assert [message["channel"] for message in consumer.messages] == [
        "websocket.connect",
        "websocket.receive",
        "websocket.disconnect",
    ]


def test_a_message_that_came_with_the_handshake_is_replied_to(make_site):
    site = make_site(Socketed())
    client = SocketClient.__new__(SocketClient)
    client.client = site.connect()
    client.transport = client.client.transport
    client.client.send(handshake() + frame(TEXT, b"a") + CLOSING)
    assert seen(client) == [(TEXT, b"a"), (CLOSE, BYE)]


def test_a_socket_without_messages_is_answered_at_once(make_site):
    async def consumer(message):
        if message["channel"] == "websocket.connect":
            message["reply_channel"].send({"accept": True})
            await asyncio.Event().wait()

    site, client = connected(make_site, consumer)
    client.send(CLOSING)
    assert seen(client) == [(CLOSE, BYE)]
    assert client.is_closed
    site.pass_time(4)
    assert site.service.dispatcher.running.is_idle


def test_a_call_that_has_gone_on_for_long_is_not_waited_for(make_site):
    """It is a stream, such as one that a first message has asked for."""
    consumer = Slow()
    site, client = connected(make_site, consumer)
    client.send(frame(TEXT, b"subscribe"))
    site.pass_time(5)
    client.send(CLOSING)
    assert seen(client) == [(CLOSE, BYE)]
    assert client.is_closed
    site.pass_time(4)  # it is cancelled after the grace
    assert consumer.channels == ["connect", "receive", "disconnect"]


def test_the_wait_has_an_end(make_site):
    consumer = Slow()
    site, client = connected(make_site, consumer, close_timeout=10)
    client.send(frame(TEXT, b"a"), CLOSING)
    site.pass_time(9)
    assert seen(client) == []
    site.pass_time(2)
    assert seen(client) == [(CLOSE, BYE)]
    assert client.is_closed
    site.pass_time(4)
    assert consumer.channels == ["connect", "receive", "disconnect"]
    assert site.service.dispatcher.running.is_idle


def test_the_wait_can_be_turned_off(make_site):
    consumer = Slow()
    _, client = connected(make_site, consumer, close_timeout=0)
    client.send(frame(TEXT, b"a"), CLOSING)
    assert seen(client) == [(CLOSE, BYE)]


@pytest.mark.parametrize("reply", [{"close": 4000}, {"text": "last", "close": True}])
def test_a_consumer_that_closes_meanwhile_answers_with_the_clients_code(make_site, reply):
    consumer = Slow()
    site, client = connected(make_site, consumer)
    client.send(frame(TEXT, b"a"), CLOSING)
    consumer.messages[-1]["reply_channel"].send(reply)
    assert seen(client)[-1] == (CLOSE, BYE)
    assert client.texts == ["last"][: len(reply) - 1]
    site.settle()
    assert client.is_closed
    consumer.running.pop().cancel()


def test_a_consumer_that_raises_meanwhile_is_logged_and_the_close_frame_answered(make_site):
    consumer = Slow()
    site, client = connected(make_site, consumer)
    client.send(frame(TEXT, b"a"), CLOSING)
    consumer.running.pop().set_exception(ValueError("broken"))
    site.settle()
    assert seen(client) == [(CLOSE, BYE)]
    assert len(site.log.take("error")) == 1
    assert consumer.channels == ["connect", "receive", "disconnect"]


def test_who_wants_the_message_of_a_socket_later_is_told_that_only_channels_can_do_that(make_site):
    consumer = Slow()
    site, client = connected(make_site, consumer)
    client.send(frame(TEXT, b"a"))
    consumer.running.pop().set_exception(ConsumeLater())
    site.settle()
    assert client.close_code == 1011
    [line] = site.log.take("error")
    assert "ConsumeLater is for the messages of channels" in line


def test_pings_are_answered_at_once_and_what_follows_the_close_frame_is_ignored(make_site):
    consumer = Slow()
    site, client = connected(make_site, consumer)
    client.send(frame(TEXT, b"a"), frame(PING, b"p"), CLOSING, frame(PING, b"late"), frame(TEXT, b"late"))
    client.send(frame(PING, b"later"), CLOSING, b"\xff" * 10)
    assert seen(client) == [(PONG, b"p")]
    consumer.let_go(site)
    assert seen(client) == [(PONG, b"p"), (TEXT, b"a"), (CLOSE, BYE)]


def test_a_client_that_sends_no_more_gets_the_replies_to_what_it_sent(make_site):
    consumer = Slow()
    site, client = connected(make_site, consumer)
    client.send(frame(TEXT, b"a"), CLOSING)
    client.client.half_close()
    assert not client.is_closed
    consumer.let_go(site)
    assert seen(client) == [(TEXT, b"a"), (CLOSE, BYE)]
    assert client.is_closed


def test_a_client_that_leaves_meanwhile_is_told_to_the_consumer(make_site):
    consumer = Slow()
    site, client = connected(make_site, consumer)
    client.send(frame(TEXT, b"a"), CLOSING)
    client.leave()
    consumer.let_go(site)
    assert consumer.channels == ["connect", "receive", "disconnect"]
    assert consumer.messages[-1]["code"] == 4001
    assert site.service.dispatcher.running.is_idle


def test_reading_goes_on_for_the_end_of_a_client_whose_messages_wait(make_site):
    consumer = Slow()
    site, client = connected(make_site, consumer, queue_size=2)
    client.send(frame(TEXT, b"a"), frame(TEXT, b"b"), CLOSING)
    assert not client.transport.is_paused
    client.leave()
    consumer.let_go(site)
    consumer.let_go(site)
    assert consumer.channels == ["connect", "receive", "receive", "disconnect"]


def test_a_worker_that_stops_answers_at_once(make_site):
    consumer = Slow()
    site, client = connected(make_site, consumer)
    client.send(frame(TEXT, b"a"), CLOSING)
    site.service.begin_stopping()
    site.settle()
    assert seen(client) == [(CLOSE, BYE)]
    consumer.let_go(site)
    assert consumer.channels == ["connect", "receive", "disconnect"]
