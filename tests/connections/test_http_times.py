"""Deadlines by the clock, clients that stall, leave, or close half of the connection."""

from __future__ import annotations

import pytest
from clients import Echo, Kept, Silent, in_pool
from doubles import FakePeers

from uvicorn import ReadTimeout

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"


@pytest.mark.parametrize("data", [b"G", b"GET / HTTP/1.1\r\nHos", b"GET / HTTP/1.1\r\nHost: a\r\n\r"])
def test_a_slow_head_gets_408_however_often_something_comes(make_site, data):
    site = make_site(Echo(), header_timeout=10)
    client = site.connect()
    client.send(data)
    site.pass_time(10)
    assert client.responses() == []
    client.send(b"X" if data[-1:] != b"\r" else b"\nGE")
    site.pass_time(0.5)
    expected = [408] if data[-1:] != b"\r" else [200]
    assert client.statuses() == expected
    site.pass_time(10)
    assert client.statuses()[-1] == 408
    site.pass_time(3)
    assert client.is_closed


def test_a_slow_proxy_header_gets_408(make_site):
    site = make_site(Echo(), peers=FakePeers(proxy_mode="auto"), header_timeout=10)
    client = site.connect()
    client.send(b"PROXY TCP4 ")
    site.pass_time(10.5)
    assert client.statuses() == [408]


@pytest.mark.parametrize("begun", [[b"PROXY TCP4 ", b"192.0.2.9 192.0.2.1 5 6\r\n"], [b"\r", b"\n"]])
def test_heads_that_come_whole_are_not_late_whatever_came_in_pieces_before(make_site, begun):
    site = make_site(Echo(), peers=FakePeers(proxy_mode="auto"), header_timeout=10)
    client = site.connect()
    for piece in begun:
        client.send(piece)
    for number in range(12):
        client.send(GET)
        assert client.statuses() == [200] * (number + 1)
        site.pass_time(1)
    assert not client.is_closed


def test_a_slow_head_behind_a_request_that_is_served_gets_its_408_in_turn(make_site):
    kept = Kept()
    site = make_site(kept, header_timeout=10)
    client = site.connect()
    client.send(GET + b"GET /")
    site.pass_time(11)
    assert client.responses() == []
    kept.reply(0, status=200)
    assert client.statuses() == [200, 408]


def test_a_client_that_sends_nothing_is_closed_without_a_word(make_site):
    site = make_site(Echo(), header_timeout=10, keepalive=2)
    client = site.connect()
    site.pass_time(10)
    assert not client.is_closed
    site.pass_time(1)
    assert client.is_closed
    assert client.responses() == []


@pytest.mark.parametrize("data", [GET, b"\r\n" + GET, GET + b"\r\n"])
def test_an_idle_connection_is_closed_after_keepalive(make_site, data):
    site = make_site(Echo(), header_timeout=10, keepalive=2)
    client = site.connect()
    client.send(data)
    site.pass_time(2)
    client.send(GET)
    site.pass_time(2)
    assert not client.is_closed
    site.pass_time(1.5)
    assert client.is_closed
    assert client.statuses() == [200, 200]


def test_a_keepalive_of_a_second_is_over_at_the_first_look_and_not_before(make_site):
    site = make_site(Echo(), keepalive=1)
    client = site.connect()
    client.send(GET)
    site.pass_time(1)  # the first look at an idle connection was a quarter of a second after the answer
    assert not client.is_closed
    site.pass_time(0.25)
    assert client.is_closed


@pytest.mark.parametrize(("keepalive", "seconds"), [(1, 1.25), (5, 6)])
def test_an_idle_connection_whose_next_request_waits_in_the_system_is_kept(make_site, keepalive, seconds):
    """The worker was held up: the client is not to blame, and to close would reset its connection."""
    site = make_site(Echo(), keepalive=keepalive)
    client = site.connect()
    client.send(GET)
    ours, theirs = client.transport.sockets
    theirs.send(GET)
    site.pass_time(seconds)  # the look that closes it otherwise
    assert not client.is_closed
    client.send(ours.recv(100))
    assert client.statuses() == [200, 200]
    site.pass_time(seconds + 0.25)
    assert client.is_closed


def test_a_connection_is_not_idle_while_an_answer_is_due(make_site):
    kept = Kept()
    site = make_site(kept, keepalive=2)
    client = site.connect()
    client.send(GET)
    site.pass_time(100)
    kept.reply(0, status=200)
    assert client.statuses() == [200]
    site.pass_time(1)
    assert not client.is_closed


@pytest.mark.parametrize("header_timeout", [0, 1, 10])
def test_an_idle_connection_is_closed_soon_when_the_server_stops(make_site, header_timeout):
    site = make_site(Echo(), keepalive=60, header_timeout=header_timeout)
    new, used = site.connect(), site.connect()
    used.send(GET)
    site.service.begin_stopping()
    site.pass_time(4)
    assert new.is_closed
    assert used.is_closed


def test_no_limits_mean_no_limits(make_site):
    kept = Kept()
    site = make_site(
        kept, header_timeout=0, body_timeout=0, reply_timeout=0, write_timeout=0, min_body_rate=0, min_write_rate=0
    )
    clients = [site.connect() for _ in range(4)]
    for client, data in zip(clients, [b"", b"GET", POST, GET], strict=True):
        if data:
            client.send(data)
    stalled = site.connect()
    stalled.transport.is_stalled = True
    stalled.send(GET)
    kept.reply(1, status=200)
    for _ in range(10):
        site.pass_time(10)
    assert [client.is_closed for client in clients] == [False] * 4
    assert not stalled.transport.is_aborted


def test_a_pause_in_a_body_gets_408(make_site):
    echo = Echo()
    site = make_site(echo, body_timeout=30, min_body_rate=0)
    client = site.connect()
    client.send(POST)
    for _ in range(3):
        site.pass_time(30)
        client.send(b"x")
    site.pass_time(30.5)
    assert client.statuses() == [408]
    assert echo.messages == []
    site.pass_time(3)
    assert client.is_closed


def test_a_pause_in_a_streamed_body_raises_in_the_consumer_and_is_not_its_mistake(make_site):
    caught = []

    async def consumer(message):
        try:
            await message["body_channel"].read(100)
        except ReadTimeout as error:
            caught.append(error)
            raise

    site = make_site(consumer, body_timeout=30, body_buffer=4, min_body_rate=0)
    client = site.connect()
    client.send(POST + b"12345")
    site.pass_time(31)
    assert client.statuses() == [408]
    assert len(caught) == 1
    assert site.log.take("error") == []


def test_time_in_which_the_consumer_does_not_take_the_body_is_not_counted(make_site):
    kept = Kept()
    site = make_site(kept, body_timeout=30, body_buffer=4, min_body_rate=0)
    client = site.connect()
    client.send(POST + b"12345")
    site.pass_time(100)
    assert client.responses() == []
    site.loop.create_task(kept.messages[0]["body_channel"].read(100))
    site.pass_time(29)
    assert client.responses() == []
    site.pass_time(31)
    assert client.statuses() == [408]


def test_nothing_is_written_when_a_deadline_passes_after_an_early_answer(make_site):
    kept = Kept()
    site = make_site(kept, body_timeout=30, body_buffer=4, min_body_rate=0)
    client = site.connect()
    client.send(POST + b"1234")
    site.loop.create_task(kept.messages[0]["body_channel"].read(100))
    site.pass_time(29.5)
    kept.reply(0, status=403)
    site.pass_time(1)
    assert client.statuses() == [403]
    assert client.transport.is_eof_written
    site.pass_time(2)
    assert client.is_closed


def test_nothing_is_written_when_a_head_is_late_on_a_connection_that_closes(make_site):
    kept = Kept()
    site = make_site(kept, header_timeout=10)
    client = site.connect()
    client.send(GET + b"GET /")
    client.transport.is_stalled = True
    kept.reply(0, status=200, headers=[(b"connection", b"close")])
    site.pass_time(11)
    client.transport.drain()
    site.settle()
    assert client.statuses() == [200]
    assert client.is_closed


def test_a_silent_consumer_gets_cut_with_504(make_site):
    consumer = Silent()
    site = make_site(consumer, reply_timeout=300)
    client = site.connect()
    client.send(GET)
    site.pass_time(301)
    assert client.responses() == []
    site.pass_time(2)
    (response,) = client.responses()
    assert (response.status, response.headers["connection"]) == (504, "close")
    assert client.is_closed
    assert consumer.cancelled == ["/"]
    assert "was silent for 300 seconds" in site.log.take("warning")[0]


def test_two_silent_consumers_of_one_connection_are_both_cut(make_site):
    kept = Kept()
    site = make_site(kept, reply_timeout=300)
    client = site.connect()
    client.send(GET + GET)
    site.pass_time(302)
    assert client.statuses() == [504]
    assert client.is_closed
    assert [message.reply_channel.closed for message in kept.messages] == [True, True]


def test_a_stream_that_falls_silent_is_broken_off(make_site):
    kept = Kept()
    site = make_site(kept, reply_timeout=300)
    client = site.connect()
    client.send(GET)
    site.pass_time(299)
    kept.reply(0, status=200, content=b"a", more_content=True)
    site.pass_time(299)
    kept.reply(0, content=b"b", more_content=True)
    site.pass_time(299)
    assert not client.is_closed
    site.pass_time(3)
    assert client.is_closed
    (response,) = client.responses()
    assert (response.body, response.is_complete) == (b"ab", False)


def test_waiting_for_a_thread_is_not_being_silent(make_site):
    site = make_site(in_pool, reply_timeout=10)
    client = site.connect()
    client.send(GET)
    site.pass_time(20)
    assert client.responses() == []
    site.run_job()
    assert client.statuses() == [200]


def test_waiting_for_a_slow_client_is_not_being_silent(make_site):
    kept = Kept()
    site = make_site(kept, reply_timeout=10, write_timeout=0, write_buffer=100, min_write_rate=0)
    client = site.connect()
    client.transport.is_stalled = True
    client.send(GET)
    kept.reply(0, status=200, content=b"x" * 1000, more_content=True)
    site.pass_time(60)
    client.transport.drain()
    kept.reply(0)
    client.transport.drain()
    assert client.responses()[0].body == b"x" * 1000


def test_a_client_that_takes_nothing_is_dropped(make_site):
    kept = Kept()
    site = make_site(kept, write_timeout=60, min_write_rate=0)
    client = site.connect()
    client.transport.is_stalled = True
    client.send(GET)
    kept.reply(0, status=200, content=b"x" * 1000)
    for _ in range(3):
        site.pass_time(50)
        client.transport.drain(1)
    site.pass_time(1)
    assert not client.is_closed
    site.pass_time(61)
    assert client.transport.is_aborted


def test_a_client_that_reads_its_refusal_has_two_seconds(make_site):
    site = make_site(Echo())
    client = site.connect()
    client.send(b"BREW / HTTP/1.1\r\n\r\n")
    site.pass_time(2)
    assert not client.is_closed
    site.pass_time(0.5)
    assert client.is_closed


def test_a_client_without_half_close_is_closed_at_once(make_site):
    client = make_site(Echo()).connect(has_eof=False)
    client.send(b"BREW / HTTP/1.1\r\n\r\n")
    assert client.statuses() == [501]
    assert client.is_closed


def test_a_client_that_does_not_answer_the_end_of_its_tls_session_is_cut(make_site):
    site = make_site(Echo())
    client = site.connect(has_eof=False)
    transport = client.transport
    transport.awaits_peer = True
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    site.pass_time(1.5)
    assert (client.statuses(), transport.is_closing(), transport.is_lost) == ([200], True, False)
    site.pass_time(1.5)
    assert (transport.is_aborted, transport.is_lost) == (True, True)
