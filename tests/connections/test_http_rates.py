"""Minimum rates and the deadline of a whole request, by the clock, at real connections."""

from __future__ import annotations

import asyncio

import pytest
from clients import Echo, Kept, Silent, in_pool
from patience import PATIENCE_SECONDS

from uvicorn import ChannelClosed, ReadTimeout, route, streams_slowly
from uvicorn.connections import pace

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def drip(site, client, data, seconds):
    """Send these bytes once a second."""
    for _ in range(seconds):
        if client.is_closed or client.responses():
            return
        client.send(data)
        site.pass_time(1)


def sip(site, client, size, seconds):
    """Take so many bytes once a second."""
    for _ in range(seconds):
        client.transport.drain(size)
        site.pass_time(1)


def stalled(site, kept, **reply):
    """Connect a client that takes nothing, and answer it; 64 KiB wait for it then."""
    client = site.connect()
    client.transport.is_stalled = True
    client.send(GET)
    kept.reply(-1, **{"status": 200, "content": b"x" * 65536, "more_content": True, **reply})
    site.settle()
    return client


# ---- bodies ----


@pytest.mark.parametrize(
    ("head", "piece"),
    [(POST % 1_000_000, b"x"), (POST % 1_000_000, b"x" * 200), (CHUNKED, b"1;" + b"e" * 300 + b"\r\nx\r\n")],
)
def test_a_dripping_upload_gets_408(make_site, head, piece):
    """Framing is no content: a client cannot buy time with chunk extensions."""
    site = make_site(Echo())
    client = site.connect()
    client.send(head)
    drip(site, client, piece, 19)
    assert client.responses() == []
    drip(site, client, piece, 150)
    assert client.statuses() == [408]
    assert any("min_body_rate" in line for line in site.log.take("info"))


def test_a_dripping_upload_to_a_consumer_that_streams_raises_in_it(make_site):
    caught = []

    async def consumer(message):
        try:
            await message["body_channel"].read(1 << 20)
        except ReadTimeout as error:
            caught.append(error)
            raise

    site = make_site(consumer)
    client = site.connect()
    client.send(POST % 1_000_000)
    drip(site, client, b"x", 25)
    assert client.statuses() == [408]
    assert len(caught) == 1


def test_an_upload_at_the_rate_is_taken(make_site):
    site = make_site(Echo())
    client = site.connect()
    client.send(POST % (240 * 100))
    drip(site, client, b"x" * 240, 100)
    assert client.statuses() == [200]


def test_each_body_of_a_connection_has_its_own_grace(make_site):
    site = make_site(Echo(), keepalive=60)
    client = site.connect()
    for count in range(1, 6):
        client.send(POST % 15)
        for _ in range(15):
            client.send(b"x")
            site.pass_time(1)
        assert client.statuses() == [200] * count


@pytest.mark.parametrize("declare", [streams_slowly, lambda consumer: [route("http.request", consumer, slow=True)]])
def test_a_consumer_that_is_declared_slow_takes_an_upload_that_drips(make_site, declare):
    async def consumer(message):
        body = message["body"] + (await message["body_channel"].read(1000) if message["body_channel"] else b"")
        message["reply_channel"].send({"status": 200, "content": body})

    site = make_site(declare(consumer), request_timeout=5)
    client = site.connect()
    client.send(POST % 100)
    drip(site, client, b"x", 100)
    assert [response.body for response in client.responses()] == [b"x" * 100]


@pytest.mark.parametrize(
    "reply",
    [{"slow": True}, {"headers": [(b"content-type", b"text/event-stream")]}],
)
def test_a_reply_that_is_slow_on_purpose_frees_the_rest_of_its_request(make_site, reply):
    kept = Kept()
    site = make_site(kept, body_buffer=4)
    client = site.connect()
    client.send(POST % 100 + b"12345")
    kept.reply(0, status=200, more_content=True, **reply)
    site.loop.create_task(kept.messages[0]["body_channel"].read(1000))
    for _ in range(60):
        client.send(b"x")
        site.pass_time(1)
    assert not client.is_closed
    kept.reply(0)


def test_time_in_which_the_consumer_is_busy_is_not_held_against_the_client(make_site):
    """The client waits for an answer to its first part before it sends the second: it is not slow."""
    kept = Kept()
    site = make_site(kept, body_buffer=4, body_timeout=0)
    client = site.connect()
    client.send(POST % 10 + b"12345")
    channel = kept.messages[0]["body_channel"]
    first = site.loop.create_task(channel.receive())
    site.pass_time(100)
    assert first.result()["content"]
    assert client.responses() == []
    site.loop.create_task(channel.read(1000))  # from now on it is awaited
    site.pass_time(18)
    assert client.responses() == []
    site.pass_time(5)
    assert client.statuses() == [408]


def test_a_worker_that_was_held_up_does_not_blame_its_uploads(make_site):
    site = make_site(Echo(), min_rate_grace=2, body_timeout=0)
    client = site.connect()
    client.send(POST % 100_000)
    site.pass_time(1)
    for _ in range(5):
        site.loop.now += 60  # no turn of the loop, then one tick, then what has come
        client.connection.watch.tick(site.loop.now)
        client.send(b"x" * 60 * 240)
        assert client.responses() == []


def test_no_minimum_rate_lets_a_body_drip(make_site):
    site = make_site(Echo(), min_body_rate=0)
    client = site.connect()
    client.send(POST % 100)
    drip(site, client, b"x", 100)
    assert client.statuses() == [200]


def test_the_rest_of_a_body_that_nobody_reads_may_not_drip_either(make_site):
    kept = Kept()
    site = make_site(kept, body_buffer=60, keepalive=1000)
    client = site.connect()
    client.send(POST % 100 + b"x" * 50)
    kept.reply(0, status=200)
    for _ in range(25):
        if not client.is_closed:
            client.send(b"x")
        site.pass_time(1)
    assert client.statuses()[0] == 200
    assert client.is_closed


# ---- responses ----


def test_a_drip_reader_is_dropped_and_its_consumer_learns_it(make_site):
    kept = Kept()
    site = make_site(kept)
    client = stalled(site, kept)
    sip(site, client, 1, 19)
    assert not client.transport.is_aborted
    sip(site, client, 1, 5)
    assert client.transport.is_aborted
    assert kept.messages[0]["reply_channel"].closed
    with pytest.raises(ChannelClosed):
        kept.reply(0, content=b"more", more_content=True)
    assert any("min_write_rate" in line for line in site.log.take("info"))


def test_a_thread_behind_a_drip_reader_is_free_when_it_is_dropped(make_site):
    caught = []

    def consumer(message):
        try:
            for _ in range(100):
                message["reply_channel"].send(
                    {"content": b"x" * 65536, "more_content": True}
                    if _
                    else {"status": 200, "content": b"x" * 65536, "more_content": True}
                )
        except ChannelClosed as error:
            caught.append(error)
            raise

    site = make_site(consumer)
    client = site.connect()
    client.transport.is_stalled = True
    client.send(GET)
    import threading

    job = site.pool.queue.popleft()
    thread = threading.Thread(target=job.run, daemon=True)
    thread.start()
    for _ in range(10_000):  # until the thread waits, however long that takes: the clock stands still
        site.settle()
        if job.is_waiting and client.transport.unsent:
            break
        thread.join(0.01)
    sip(site, client, 1, 25)
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()
    assert len(caught) == 1
    assert client.transport.is_aborted


def test_a_reader_at_the_rate_is_kept_though_it_never_catches_up(make_site):
    kept = Kept()
    site = make_site(kept)
    client = stalled(site, kept)
    sip(site, client, 240, 250)
    assert not client.is_closed


def test_a_reader_that_catches_up_begins_anew(make_site):
    kept = Kept()
    site = make_site(kept)
    client = stalled(site, kept)
    for _ in range(5):
        site.pass_time(15)
        client.transport.drain()
        site.pass_time(1)
        kept.reply(0, content=b"x" * 1000, more_content=True)
    assert not client.is_closed


def test_a_consumer_that_sends_little_does_not_make_its_client_slow(make_site):
    kept = Kept()
    site = make_site(kept)
    client = site.connect()
    client.send(GET)
    kept.reply(0, status=200, more_content=True)
    for _ in range(100):
        kept.reply(0, content=b"x", more_content=True)
        site.pass_time(1)
    assert not client.is_closed


@pytest.mark.parametrize(
    "reply",
    [
        {"slow": True},
        {"slow": True, "more_content": False},
        {"headers": [("Content-Type", "Text/Event-Stream; charset=utf-8")]},
        {"headers": [(b"x", b"y"), (b"content-type", b"text/event-stream")]},
    ],
)
def test_a_reply_that_is_slow_on_purpose_may_be_taken_slowly_to_its_end(make_site, reply):
    kept = Kept()
    site = make_site(kept, write_buffer=1000, write_timeout=0, reply_timeout=0)
    client = stalled(site, kept, **reply)
    sip(site, client, 1, 50)
    if reply.get("more_content", True):
        kept.reply(0)  # the exchange is over; its end is still on the way
    sip(site, client, 1, 50)
    assert not client.is_closed


@pytest.mark.parametrize("content_type", ["text/event-stream-like", "text/plain", "x-text/event-stream"])
def test_other_streams_are_no_event_streams(make_site, content_type):
    kept = Kept()
    site = make_site(kept)
    client = stalled(site, kept, headers=[("content-type", content_type), ("x-is", "text/event-stream")])
    site.pass_time(25)
    assert client.transport.is_aborted


@pytest.mark.parametrize("more", [True, False])
def test_a_route_that_is_declared_slow_may_be_read_slowly(make_site, more):
    async def consumer(message):
        message["reply_channel"].send({"status": 200, "content": b"x" * 100_000, "more_content": more})
        if more:
            await asyncio.Event().wait()

    site = make_site([route("http.request", consumer, slow=True)], reply_timeout=0)
    client = site.connect()
    client.transport.is_stalled = True
    client.send(GET)
    sip(site, client, 1, 100)
    assert not client.is_closed


@pytest.mark.parametrize("head", [GET, GET[:-2] + b"Connection: close\r\n\r\n"])
def test_a_slow_reader_of_a_declared_whole_reply_has_its_time_on_a_closing_connection_too(make_site, head):
    async def consumer(message):
        message["reply_channel"].send({"status": 200, "content": b"x" * 100_000})

    site = make_site([route("http.request", consumer, slow=True)])
    client = site.connect()
    client.transport.is_stalled = True
    client.send(head)
    sip(site, client, 1, 100)
    assert not client.is_closed
    assert not client.transport.is_aborted


def test_a_pause_that_is_too_long_ends_a_declared_one_too(make_site):
    kept = Kept()
    site = make_site(kept, write_timeout=60)
    client = stalled(site, kept, slow=True)
    site.pass_time(65)
    assert client.transport.is_aborted


def test_the_next_response_of_a_connection_is_measured_again(make_site):
    kept = Kept()
    site = make_site(kept)
    client = stalled(site, kept, slow=True)
    sip(site, client, 1, 30)
    client.transport.drain()
    kept.reply(0)
    site.pass_time(1)
    client.send(GET)
    kept.reply(1, status=200, content=b"x" * 65536, more_content=True)
    sip(site, client, 1, 25)
    assert client.transport.is_aborted


def test_no_exchange_is_kept_when_the_client_has_taken_all(make_site):
    kept = Kept()
    site = make_site(kept, keepalive=60)
    client = stalled(site, kept, content=b"x" * 100_000, more_content=False)
    pipeline = client.connection.pipeline
    site.pass_time(1)
    assert pipeline.tail is not None
    client.transport.drain()
    site.pass_time(1)
    assert (pipeline.tail, client.connection.watch.taking) == (None, None)


@pytest.mark.parametrize("size", [0, 64, 1000])
def test_a_system_that_does_not_tell_what_was_acknowledged_is_no_mistake(make_site, monkeypatch, size):
    class Odd:
        family = 2

        def setsockopt(self, *_):
            raise OSError("not here")

        def getsockopt(self, *_):
            if not size:
                raise OSError("not here")
            return b"x" * size

    kept = Kept()
    site = make_site(kept)
    client = stalled(site, kept)
    monkeypatch.setattr(type(client.transport), "get_extra_info", lambda *_: Odd())
    sip(site, client, 300, 30)
    assert not client.is_closed
    sip(site, client, 1, 65)
    assert client.transport.is_aborted


def test_what_the_client_has_acknowledged_counts_and_not_what_the_system_has_taken(make_site, monkeypatch):
    """Linux keeps megabytes for a client that reads nothing: they are not taken."""
    acknowledged = [0]
    monkeypatch.setattr(pace, "taken_bytes", lambda connection: acknowledged[0])
    kept = Kept()
    site = make_site(kept)
    client = stalled(site, kept)
    sip(site, client, 2000, 25)
    assert client.transport.is_aborted


# ---- the whole request ----


def test_a_whole_request_has_no_deadline_by_default(make_site):
    kept = Kept()
    site = make_site(kept, reply_timeout=0)
    client = site.connect()
    client.send(GET)
    site.pass_time(1000)
    assert client.responses() == []


def test_a_request_past_request_timeout_gets_504_though_its_consumer_is_not_silent(make_site):
    consumer = Silent()
    site = make_site(consumer, request_timeout=60)
    client = site.connect()
    client.send(GET)
    site.pass_time(60)
    assert client.responses() == []
    site.pass_time(2)
    assert client.statuses() == [504]
    assert consumer.cancelled == ["/"]
    assert "60 seconds (request_timeout)" in site.log.take("warning")[0]


def test_a_stream_past_request_timeout_is_broken_off(make_site):
    kept = Kept()
    site = make_site(kept, request_timeout=60)
    client = site.connect()
    client.send(GET)
    kept.reply(0, status=200, more_content=True)
    for _ in range(70):
        if not kept.messages[0]["reply_channel"].closed:
            kept.reply(0, content=b"x", more_content=True)
        site.pass_time(1)
    assert client.is_closed
    assert not client.responses()[0].is_complete
    site.log.take("warning")


def test_an_upload_past_request_timeout_gets_408(make_site):
    site = make_site(Echo(), request_timeout=60)
    client = site.connect()
    client.send(POST % 1_000_000)
    drip(site, client, b"x" * 1000, 70)
    assert client.statuses() == [408]
    site.log.take("warning")


def test_time_in_the_queue_counts_for_request_timeout(make_site):
    site = make_site(in_pool, request_timeout=60)
    client = site.connect()
    client.send(GET)
    site.pass_time(63)
    assert client.statuses() == [504]
    assert not site.pool.queue
    site.log.take("warning")


@pytest.mark.parametrize("reply", [{"slow": True}, {"headers": [(b"content-type", b"text/event-stream")]}])
def test_streams_that_are_slow_on_purpose_have_no_deadline(make_site, reply):
    kept = Kept()
    site = make_site(kept, request_timeout=60, reply_timeout=0)
    client = site.connect()
    client.send(GET)
    kept.reply(0, status=200, more_content=True, **reply)
    site.pass_time(200)
    assert not client.is_closed
