"""Request bodies: whole, streamed, collected; Expect: 100-continue; limits."""

from __future__ import annotations

import io

import pytest
from clients import Echo, Kept, in_pool

from uvicorn import route, streams_body

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"


def post(length=None, fields=b"", version=b"1.1"):
    framing = b"Transfer-Encoding: chunked" if length is None else b"Content-Length: %d" % length
    return b"POST /a HTTP/%b\r\nHost: a\r\n%b\r\n%b\r\n" % (version, framing, fields)


def chunked(*chunks):
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


EXPECT = b"Expect: 100-continue\r\n"


def test_the_body_is_asked_for_once_before_it_is_read(make_site):
    client = make_site(Echo()).connect()
    client.send(post(5, EXPECT))
    assert client.take() == CONTINUE
    client.send(b"hel")
    client.send(b"lo")
    assert client.responses()[0].body == b"POST /a hello"
    assert client.statuses() == [200]


def test_the_body_is_asked_for_on_a_connection_that_has_had_one_before(make_site):
    client = make_site(Echo()).connect()
    client.send(post(5) + b"hello")
    client.take()
    client.send(post(5, EXPECT))
    assert client.take() == CONTINUE
    client.send(b"hello" + post(None, EXPECT))
    assert client.statuses() == [200, 100]


def test_an_upgrade_that_is_ignored_does_not_hinder_asking_for_the_body(make_site):
    client = make_site(Echo()).connect()
    client.send(post(5, EXPECT + b"Connection: upgrade\r\nUpgrade: x\r\n"))
    assert client.take() == CONTINUE
    client.send(b"hello")
    assert client.responses()[0].body == b"POST /a hello"


def test_a_client_of_http_1_0_is_not_asked(make_site):
    client = make_site(Echo()).connect()
    client.send(post(5, EXPECT, b"1.0"))
    assert client.take() == b""
    client.send(b"hello")
    assert client.statuses() == [200]


def test_the_body_is_asked_for_in_its_turn(make_site):
    kept = Kept()
    client = make_site(kept).connect()
    client.send(NEXT + post(5, EXPECT))
    assert client.take() == b""
    kept.reply(0, status=200)
    assert client.statuses() == [200, 100]
    client.send(b"hello")
    assert kept.messages[1]["body"] == b"hello"


def test_a_body_that_comes_unasked_before_its_turn_is_not_asked_for(make_site):
    kept = Kept()
    client = make_site(kept).connect()
    client.send(NEXT + post(5, EXPECT) + b"hello")
    kept.reply(0, status=200)
    kept.reply(1, status=200)
    assert client.statuses() == [200, 200]


def test_a_large_body_is_asked_for_when_the_consumer_receives(make_site):
    kept = Kept()
    client = make_site(kept, body_buffer=4).connect()
    client.send(post(10, EXPECT))
    assert client.take() == b""
    task = client.site.loop.create_task(kept.messages[0]["body_channel"].receive())
    client.site.settle()
    assert client.take() == CONTINUE
    client.send(b"hello")
    assert task.result() == {"content": b"hello", "more_content": True}


def test_a_large_body_that_nobody_wants_is_never_asked_for(make_site):
    async def consumer(message):
        message["reply_channel"].send({"status": 403})

    client = make_site(consumer, body_buffer=4).connect()
    client.send(post(10, EXPECT))
    (response,) = client.responses()
    assert (response.status, response.headers["connection"]) == (403, "close")


@pytest.mark.parametrize("piece", [None, 1, 1000])
def test_a_large_body_comes_in_chunks_to_a_coroutine(make_site, piece):
    echo = Echo()
    content = bytes(range(256)) * 10
    client = make_site(echo, body_buffer=100).connect()
    client.send(post(2560) + content + post() + chunked(content[:99], content[99:]) + NEXT, piece)
    first, second, third = client.responses()
    assert first.body == second.body == b"POST /a " + content
    assert third.body == b"GET /next "
    assert len(echo.messages[0]["body"]) <= 100
    assert echo.messages[0]["body_channel"].closed


def test_a_body_up_to_the_buffer_arrives_whole(make_site):
    echo = Echo()
    client = make_site(echo, body_buffer=5).connect()
    client.send(post(5) + b"hello" + post() + chunked(b"he", b"llo"))
    assert [(message["body"], message["body_channel"]) for message in echo.messages] == [(b"hello", None)] * 2


@pytest.mark.parametrize("piece", [None, 1, 100])
def test_a_body_ends_where_the_next_request_begins(make_site, piece):
    client = make_site(Echo(), body_buffer=5).connect()
    client.send(post(5) + b"hello" + post(0) + post(2) + b"hi" + post(6) + b"larger" + NEXT, piece)
    assert [response.body for response in client.responses()] == [
        b"POST /a hello", b"POST /a ", b"POST /a hi", b"POST /a larger", b"GET /next ",
    ]  # fmt: skip


def test_the_connection_ends_behind_a_body_that_came_with_its_head(make_site):
    client = make_site(Echo()).connect()
    client.send(post(5, b"Connection: close\r\n") + b"hello" + NEXT)
    (response,) = client.responses()
    assert (response.body, response.headers["connection"]) == (b"POST /a hello", "close")


def test_a_body_that_came_with_its_head_and_finds_no_consumer_gets_404(make_site):
    client = make_site([route("http.request", Echo(), path="/other")]).connect()
    client.send(post(5) + b"hello" + NEXT)
    assert client.statuses() == [404]


def test_reading_stops_while_the_consumer_is_behind_and_goes_on_after(make_site):
    kept = Kept()
    client = make_site(kept, body_buffer=10).connect()
    client.send(post(100))
    channel = kept.messages[0]["body_channel"]
    for _ in range(10):
        client.send(b"0123456789")
    assert client.transport.is_paused
    task = client.site.loop.create_task(channel.read(100))
    client.site.settle()
    assert task.result() == b"0123456789" * 10
    assert not client.transport.is_paused


def test_reading_goes_on_when_the_exchange_ends_with_its_body_unread(make_site):
    kept = Kept()
    client = make_site(kept, body_buffer=4).connect()
    client.send(post(10) + b"0123456789")
    assert client.transport.is_paused
    kept.reply(0, status=200)
    client.site.settle()
    client.send(NEXT)
    kept.reply(1, status=200)
    assert client.statuses() == [200, 200]


def test_a_coroutine_learns_that_the_client_left_in_the_middle_of_its_body(make_site):
    kept = Kept()
    client = make_site(kept, body_buffer=4).connect()
    client.send(post(10) + b"01234")
    task = client.site.loop.create_task(kept.messages[0]["body_channel"].receive())
    client.site.settle()
    second = client.site.loop.create_task(kept.messages[0]["body_channel"].receive())
    client.leave()
    assert task.result() == {"content": b"01234", "more_content": True}
    assert second.result() == {"closed": True}


@pytest.mark.parametrize("end", ["half_close", "leave"])
def test_a_consumer_is_never_called_for_a_body_that_does_not_end(make_site, end):
    echo = Echo()
    client = make_site(echo).connect()
    client.send(post(10) + b"01234")
    getattr(client, end)()
    assert echo.messages == []
    assert client.is_closed


@pytest.mark.parametrize("size", [5, 6])
@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("piece", [None, 1])
def test_a_body_above_the_limit_gets_413(make_site, size, is_chunked, piece):
    echo = Echo()
    client = make_site(echo, request_body=5).connect()
    body = b"x" * size
    client.send((post() + chunked(body) if is_chunked else post(size) + body) + NEXT, piece)
    if size == 5:
        assert client.statuses() == [200, 200]
    else:
        (response,) = client.responses()
        assert (response.status, response.headers["connection"]) == (413, "close")
        assert echo.messages == []


def test_413_comes_instead_of_100(make_site):
    client = make_site(Echo(), request_body=5).connect()
    client.send(post(6, EXPECT))
    assert client.statuses() == [413]


def test_a_stream_above_the_limit_gets_413_and_its_consumer_learns_that_it_ended(make_site):
    site = make_site(Echo(), request_body=20, body_buffer=4)
    client = site.connect()
    client.send(post() + b"a\r\n0123456789\r\n")
    assert client.responses() == []
    client.send(b"b\r\n0123456789a\r\n")
    assert client.statuses() == [413]
    site.pass_time(3)
    assert client.is_closed
    assert site.log.take("error") == []  # the client's mistake, not the consumer's


@pytest.mark.parametrize("data", [b"5;" + b"x" * 20000 + b"\r\nhello\r\n", b"0\r\n" + b"X: y\r\n" * 5000])
def test_chunk_extensions_and_trailers_have_a_limit(make_site, data):
    echo = Echo()
    client = make_site(echo).connect()
    client.send(post() + data, 1000)
    assert client.statuses() == [431]
    assert echo.messages == []


@pytest.mark.parametrize("piece", [None, 1000])
def test_a_large_body_is_collected_for_a_thread(make_site, piece):
    bodies = []

    def consumer(message):
        bodies.append((len(message["body"]), message["body"] + message["body_channel"].read(100000)))
        message["reply_channel"].send({"status": 200})

    site = make_site(consumer, body_buffer=10)
    client = site.connect()
    content = bytes(range(256)) * 100
    client.send(post(len(content)) + content[:-1], piece)
    assert site.pool.queued == 0
    client.send(content[-1:])
    site.run_job()
    assert bodies == [(10, content)]
    assert client.statuses() == [200]


def test_a_very_large_body_goes_to_the_disk(make_site):
    bodies = []
    made = []

    def consumer(message):
        bodies.append(message["body"] + message["body_channel"].read(10000000))
        message["reply_channel"].send({"status": 200})

    def make_file():
        made.append(io.BytesIO())
        return made[-1]

    site = make_site(consumer)
    client = site.connect()
    content = bytes(range(256)) * 10000
    client.send(post(len(content)) + content[:-1], 65536)
    assert client.transport.is_paused
    site.spools.work(make_file)
    site.settle()
    client.send(content[-1:])
    while site.spools.waiting:
        site.spools.work(make_file)
        site.settle()
    site.run_job()
    assert bodies == [content]
    assert len(made) == 1
    assert client.statuses() == [200]


def test_a_disk_that_fails_is_answered_500_and_logged(make_site):
    site = make_site(in_pool)
    client = site.connect()
    content = b"x" * 2000000
    client.send(post(len(content)) + content, 65536)
    site.spools.work(None, OSError("disk full"))
    site.settle()
    assert client.statuses() == [500]
    assert site.pool.queued == 0
    assert "disk full" in site.log.take("error")[0]
    site.pass_time(3)
    assert client.is_closed


def test_a_stream_for_a_thread_that_finds_the_pool_full_gets_503(make_site):
    site = make_site(streams_body(lambda message: None), body_buffer=4)
    site.pool.is_full = True
    for data in (post(10), post(10) + b"0123456789", post() + b"a\r\n01234", post() + chunked(b"0123456789") + NEXT):
        client = site.connect()
        client.send(data)
        (response,) = client.responses()
        assert (response.status, response.headers["connection"]) == (503, "close"), data
