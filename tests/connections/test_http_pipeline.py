"""Many requests on one connection: order, bounds, failures that stay where they are."""

from __future__ import annotations

import asyncio

import pytest
from clients import Echo, Kept, in_pool

GET = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"


def gets(*numbers):
    return b"".join(GET % number for number in numbers)


def bodies(client):
    return [response.body for response in client.responses()]


def test_answers_come_in_the_order_of_the_requests(make_site):
    kept = Kept()
    client = make_site(kept).connect()
    client.send(gets(0, 1, 2))
    kept.reply(2, status=200, content=b"2")
    kept.reply(1, status=200, content=b"1")
    assert client.responses() == []
    kept.reply(0, status=200, content=b"0")
    assert bodies(client) == [b"0", b"1", b"2"]
    assert not client.is_closed


def test_a_stream_is_kept_back_until_its_turn_and_goes_on_from_there(make_site):
    kept = Kept()
    client = make_site(kept).connect()
    client.send(gets(0, 1))
    kept.reply(1, status=200, content=b"a", more_content=True)
    kept.reply(1, content=b"b", more_content=True)
    kept.reply(0, status=200, content=b"first", more_content=True)
    kept.reply(0, content=b" end")
    kept.reply(1, content=b"c")
    assert bodies(client) == [b"first end", b"abc"]


@pytest.mark.parametrize("in_thread", [False, True])
def test_threads_may_finish_in_any_order(make_site, in_thread):
    site = make_site(in_pool)
    client = site.connect()
    client.send(gets(0, 1, 2))
    site.pool.queue.reverse()
    for _ in range(3):
        site.run_job(in_thread)
    assert bodies(client) == [b"/0", b"/1", b"/2"]


@pytest.mark.parametrize("piece", [None, 1, 50, 800])
@pytest.mark.parametrize("count", [15, 16, 17, 100])
def test_at_most_sixteen_requests_are_in_flight_and_none_is_lost(make_site, count, piece):
    kept = Kept()
    client = make_site(kept).connect()
    client.send(gets(*range(count)), piece)
    for number in range(count):
        assert len(kept.messages) == min(number + 16, count)
        kept.reply(number, status=200, content=b"%d" % number)
        client.site.settle()
    assert bodies(client) == [b"%d" % number for number in range(count)]
    assert not client.transport.is_paused


@pytest.mark.parametrize("piece", [None, 1, 35, 36, 37, 800])
def test_the_same_request_forty_times_is_answered_forty_times(make_site, piece):
    kept = Kept()
    client = make_site(kept).connect()
    client.send(GET % 7 * 40, piece)
    for number in range(40):
        kept.reply(number, status=200, content=b"%d" % number)
        client.site.settle()
    assert bodies(client) == [b"%d" % number for number in range(40)]
    client.send(b"\n")  # not one more of them
    client.send(b"\n")
    assert len(kept.messages) == 40


def test_reading_is_paused_while_sixteen_are_in_flight(make_site):
    kept = Kept()
    client = make_site(kept).connect()
    client.send(gets(*range(15)))
    assert not client.transport.is_paused
    client.send(gets(15))
    assert client.transport.is_paused
    client.send(gets(16))
    assert len(kept.messages) == 16
    kept.reply(0, status=200)
    client.site.settle()
    assert len(kept.messages) == 17
    assert client.transport.is_paused
    for number in range(1, 17):
        kept.reply(number, status=200)
    client.site.settle()
    assert not client.transport.is_paused
    client.send(gets(17))
    assert kept.paths[-1] == "/17"


def test_requests_that_wait_are_served_when_all_answers_come_at_once(make_site):
    kept = Kept()
    client = make_site(kept).connect()
    client.send(gets(*range(20)))
    for number in reversed(range(16)):
        kept.reply(number, status=200, content=b"%d" % number)
    client.site.settle()
    assert kept.paths[16:] == ["/16", "/17", "/18", "/19"]
    for number in range(16, 20):
        kept.reply(number, status=200, content=b"%d" % number)
    assert bodies(client) == [b"%d" % number for number in range(20)]


def test_requests_that_wait_are_served_though_the_client_has_said_that_it_is_done(make_site):
    kept = Kept()
    client = make_site(kept).connect()
    client.send(gets(*range(20)))
    client.half_close()
    for number in reversed(range(16)):
        kept.reply(number, status=200)
    client.site.settle()
    for number in range(16, 20):
        kept.reply(number, status=200)
    client.site.settle()
    responses = [response for response in client.responses() if response.status != 100]
    assert [response.headers.get("connection") for response in responses] == [None] * 19 + ["close"]
    assert client.is_closed


def test_immediate_answers_never_pause_reading(make_site):
    client = make_site(Echo()).connect()
    for _ in range(10):
        client.send(gets(1, 2, 3))
    assert client.transport.pauses == 0
    assert len(client.responses()) == 30


def test_a_failure_of_one_consumer_does_not_touch_the_others(make_site):
    async def consumer(message):
        if message["path"] == "/1":
            raise ValueError("broken")
        message["reply_channel"].send({"status": 200})

    site = make_site(consumer)
    client = site.connect()
    client.send(gets(0, 1, 2, 1, 0))
    assert client.statuses() == [200, 500, 200, 500, 200]
    assert not client.is_closed
    assert len(site.log.take("error")) == 2


def test_a_failure_after_the_start_of_a_stream_ends_the_connection_after_the_answers_before_it(make_site):
    kept = Kept()

    async def consumer(message):
        if message["path"] != "/1":
            await kept(message)
            return
        message["reply_channel"].send({"status": 200, "content": b"half", "more_content": True})
        raise ValueError("broken")

    site = make_site(consumer)
    client = site.connect()
    client.send(gets(0, 1, 2))
    kept.reply(0, status=200, content=b"whole")
    client.site.settle()
    assert bodies(client) == [b"whole"]
    assert client.is_closed
    assert kept.messages[1].reply_channel.closed
    assert len(site.log.take("error")) == 1


def test_other_connections_live_on_when_one_is_lost(make_site):
    kept = Kept()
    site = make_site(kept)
    first, second = site.connect(), site.connect()
    first.send(gets(0, 1))
    second.send(gets(2))
    first.leave()
    kept.reply(2, status=200)
    assert second.statuses() == [200]
    assert site.service.connections == {second.connection}


class Streaming:
    """Keep the message of /0, and send one chunk after the other to whoever asks for something else."""

    def __init__(self, chunk):
        self.chunk, self.kept, self.sent_bytes = chunk, [], 0

    async def __call__(self, message):
        if message["path"] == "/0":
            self.kept.append(message)
            return
        drained = message["reply_channel"].send({"status": 200, "more_content": True})
        while True:
            await drained
            drained = message["reply_channel"].send({"content": self.chunk, "more_content": True})
            self.sent_bytes += len(self.chunk)


@pytest.mark.parametrize("chunk", [b"x" * 100, b"x" * 5000])
def test_a_stream_out_of_turn_is_held_back_in_bounds(make_site, chunk):
    consumer = Streaming(chunk)
    client = make_site(consumer, write_buffer=1000).connect()
    client.send(gets(0, 1))
    assert 1000 - 500 <= consumer.sent_bytes <= 1000 + len(chunk)


def test_a_stream_out_of_turn_stays_in_bounds_while_the_client_catches_up_with_another(make_site):
    consumer = Streaming(b"x" * 500)
    client = make_site(consumer, write_buffer=1000).connect()
    client.send(gets(0, 1))
    consumer.kept[0].reply_channel.send({"status": 200, "more_content": True})
    for _ in range(20):
        client.transport.is_stalled = True
        consumer.kept[0].reply_channel.send({"content": b"y" * 2000, "more_content": True})
        client.transport.is_stalled = False
        client.transport.drain()
        client.site.settle()
    assert consumer.sent_bytes <= 2000


def test_a_stream_goes_on_when_its_turn_comes(make_site):
    async def consumer(message):
        if message["path"] == "/0":
            kept.append(message)
            return
        channel = message["reply_channel"]
        await channel.send({"status": 200, "more_content": True})
        for _ in range(10):
            await channel.send({"content": b"x" * 500, "more_content": True})
        channel.send({})

    kept = []
    client = make_site(consumer, write_buffer=1000).connect()
    client.send(gets(0, 1))
    kept.pop().reply_channel.send({"status": 200})
    client.site.settle()
    assert bodies(client) == [b"", b"x" * 5000]


def test_send_waits_for_a_client_that_is_behind_until_it_has_caught_up(make_site):
    progress = []

    async def consumer(message):
        channel = message["reply_channel"]
        await channel.send({"status": 200, "content": b"x" * 2000, "more_content": True})
        progress.append("drained")
        channel.send({"content": b"end"})

    client = make_site(consumer, write_buffer=1000).connect()
    client.transport.is_stalled = True
    client.send(gets(0))
    assert progress == []
    client.transport.drain()
    client.site.settle()
    assert progress == ["drained"]
    client.transport.drain()
    assert bodies(client) == [b"x" * 2000 + b"end"]


def test_a_consumer_that_waits_for_a_client_learns_that_it_left(make_site):
    caught = []

    async def consumer(message):
        try:
            await message["reply_channel"].send({"status": 200, "content": b"x" * 2000, "more_content": True})
        except (ConnectionError, asyncio.CancelledError) as error:
            caught.append(type(error).__name__)
            raise

    client = make_site(consumer, write_buffer=1000).connect()
    client.transport.is_stalled = True
    client.send(gets(0))
    client.leave()
    assert caught == ["ChannelClosed"]


def test_a_client_that_sends_requests_and_reads_no_answer_is_not_served_without_end(make_site):
    served = []

    async def large(message):
        served.append(message["path"])
        message["reply_channel"].send({"status": 200, "content": b"x" * 1000})

    site = make_site(large, write_buffer=2000)
    client = site.connect()
    client.transport.is_stalled = True
    for number in range(40):
        client.send(gets(number))
        site.settle()
    assert len(served) == 3  # two below the mark, and the one that passed it
    client.transport.is_stalled = False
    client.transport.drain()
    site.settle()
    assert served == [f"/{number}" for number in range(40)]
    assert client.statuses() == [200] * 40


def test_a_client_that_reads_nothing_is_not_idle_and_is_dropped_after_write_timeout(make_site):
    async def large(message):
        message["reply_channel"].send({"status": 200, "content": b"x" * 1000})

    site = make_site(large, write_buffer=500, keepalive=2, write_timeout=60, min_write_rate=0)
    client = site.connect()
    client.transport.is_stalled = True
    client.send(gets(0, 1))
    site.settle()
    site.pass_time(50)
    assert not client.is_closed
    site.pass_time(15)
    assert client.is_closed
