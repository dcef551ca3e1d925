"""A worker whose connections are all open while others wait: what it closes, and what it says."""

from __future__ import annotations

import pytest
from clients import Kept
from sockets import SocketClient

from uvicorn import route
from uvicorn.connections.crowd import Crowd

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"


class FakeDoor:
    """An acceptor that is full, and before which somebody waits, as long as the test says so."""

    def __init__(self, open):
        self.open = open
        self.is_full = True
        self.waits = True
        self.resumed = 0
        self.handshakes = []

    def is_waited_for(self):
        return self.waits

    def resume(self, even_if_full=False):
        assert even_if_full
        self.resumed += 1

    def break_off_handshake(self, before):
        return bool(self.handshakes) and self.handshakes.pop(0) < before


class Full:
    """A site that is full.

    Args:
        connections: `count` of them are open, and what is not seen is in a TLS handshake.
    """

    def __init__(self, site, count=0):
        self.site = site
        self.door = FakeDoor(count)
        self.crowd = Crowd(site.service, self.door)

    def knock(self):
        """Have somebody wait; let the server work."""
        self.site.loop.call_soon(self.crowd.on_knock)
        self.site.settle()
        self.pass_time(0.25)

    def pass_time(self, seconds, drips=(), sips=()):
        """Let time pass; some clients send a byte each second, some take one."""
        for _ in range(int(seconds * 4)):
            for client in drips:
                if not client.is_closed:
                    client.send(b"x")
            for client in sips:
                client.transport.drain(1)
            self.site.pass_time(0.25)
            self.crowd.tick(self.site.loop.now)
            self.site.settle()

    def warnings(self):
        return self.site.log.take("warning")


@pytest.fixture
def kept():
    return Kept()


def idle(site, kept):
    client = site.connect()
    client.send(GET)
    kept.reply(-1, status=200)
    site.settle()
    return client


def reader(site, kept, **reply):
    client = site.connect()
    client.transport.is_stalled = True
    client.send(GET)
    kept.reply(-1, **{"status": 200, "content": b"x" * 100_000, "more_content": True, **reply})
    site.settle()
    return client


def test_idle_connections_are_closed_first_the_oldest_first_one_for_each_that_waits(make_site, kept):
    site = make_site(kept, keepalive=1000)
    full = Full(site)
    clients = []
    for _ in range(3):
        clients.append(idle(site, kept))
        full.pass_time(2)
    for count in range(1, 4):
        full.knock()
        assert [client.is_closed for client in clients] == [True] * count + [False] * (3 - count)
    assert len(full.warnings()) == 1


def test_a_sibling_may_take_who_waits(make_site, kept):
    site = make_site(kept, keepalive=1000)
    full = Full(site)
    client = idle(site, kept)
    site.loop.call_soon(full.crowd.on_knock)
    site.loop.call_soon(full.crowd.on_knock)
    site.settle()
    full.door.waits = False
    full.pass_time(1)
    assert not client.is_closed
    assert full.warnings() == []
    assert full.door.resumed == 1  # it will be told of the next one


def test_a_place_that_became_free_meanwhile_is_enough(make_site, kept):
    site = make_site(kept, keepalive=1000)
    full = Full(site)
    client = idle(site, kept)
    site.loop.call_soon(full.crowd.on_knock)
    site.settle()
    full.door.is_full = False
    full.pass_time(1)
    assert not client.is_closed


def test_a_connection_that_is_busy_again_is_not_idle(make_site, kept):
    site = make_site(kept, keepalive=1000)
    full = Full(site)
    clients = [idle(site, kept), idle(site, kept), idle(site, kept)]
    full.pass_time(2)
    clients[1].transport.is_stalled = False
    full.knock()  # the list is made now
    assert sum(client.is_closed for client in clients) == 1
    left = [client for client in clients if not client.is_closed]
    left[0].send(GET)
    full.site.loop.call_soon(full.crowd.on_knock)
    site.settle()
    assert [client.is_closed for client in left] == [False, True]


def test_requests_in_a_consumer_event_streams_and_sockets_are_never_closed(make_site, kept):
    sockets = Kept()
    routes = [route("http.request", kept), route("websocket.connect", sockets)]
    site = make_site(routes, reply_timeout=0, write_timeout=0)
    waiting = site.connect()
    waiting.send(GET)
    upload = site.connect()  # behind a request that waits: its connection is not closed
    upload.send(GET + POST)
    streams = [
        reader(site, kept, headers=[(b"content-type", b"text/event-stream")]),
        reader(site, kept, headers=[(b"content-type", b"text/event-stream")], content=b"data"),
    ]
    streams[1].transport.drain()
    socket = SocketClient(site)
    sockets.reply(0, accept=True)
    site.settle()
    assert socket.is_open
    full = Full(site, count=5)
    full.knock()
    full.pass_time(10, drips=[upload])
    for _ in range(8):
        full.knock()
    for client in (waiting, upload, *streams):
        assert not client.is_closed
        assert not client.transport.is_closing()
    assert not socket.is_closed
    [line] = full.warnings()
    for text in ("All 5 connections are open", "2 in a consumer", "2 event streams", "1 sockets", "192.0.2.7 (5)"):
        assert text in line


def test_the_slowest_are_closed_when_no_idle_one_is_left_and_others_have_waited_for_a_while(make_site, kept):
    site = make_site(kept, min_body_rate=0, min_write_rate=0, keepalive=1000, body_buffer=10_000_000)
    slower, faster, fair = (site.connect() for _ in range(3))
    for client in (slower, faster, fair):
        client.send(POST)
    sipping = reader(site, kept)
    full = Full(site, count=4)

    def pass_time(seconds):
        for _ in range(seconds):
            faster.send(b"x" * 1000)
            fair.send(b"x" * 8000)
            full.pass_time(1, drips=[slower] if not slower.is_closed else [], sips=[sipping])

    pass_time(5)
    full.knock()
    assert not any(client.is_closed for client in (slower, faster, fair, sipping))
    pass_time(2)
    closed = []
    for _ in range(4):
        full.knock()
        closed.append([client.is_closed for client in (slower, sipping, faster, fair)])
    assert closed[1] == [True, True, False, False]
    assert closed[3] == [True, True, True, False]
    assert slower.statuses() == [503]
    assert sipping.transport.is_aborted


def test_the_rest_of_a_body_that_nobody_reads_is_cut_off_without_a_second_answer(make_site, kept):
    site = make_site(kept, body_buffer=60, min_body_rate=0, keepalive=1000)
    client = site.connect()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n" + b"x" * 50)
    kept.reply(0, status=200)
    full = Full(site, count=1)
    full.knock()
    full.pass_time(4, drips=[])
    assert not client.is_closed
    full.knock()
    assert client.is_closed
    assert client.statuses() == [200]


@pytest.mark.parametrize("data", [b"", b"GET / HT"])
def test_connections_without_a_request_are_closed_when_others_press(make_site, kept, data):
    site = make_site(kept, header_timeout=60)
    client = site.connect()
    if data:
        client.send(data)
    full = Full(site, count=1)
    full.pass_time(3)
    full.knock()
    assert not client.is_closed
    full.pass_time(1)
    full.knock()
    assert client.is_closed


def test_a_client_that_reads_its_refusal_gives_its_place_to_others(make_site, kept):
    site = make_site(kept)
    full = Full(site, count=1)
    full.knock()
    full.pass_time(1)
    client = site.connect()
    client.send(b"BREW / HTTP/1.1\r\n\r\n")
    full.knock()
    assert not client.is_closed
    full.pass_time(0.75)
    full.knock()
    assert client.is_closed


def test_with_tls_a_connection_is_cut_and_not_asked_to_close(make_site, kept):
    site = make_site(kept, keepalive=1000)
    client = site.connect(has_eof=False)
    client.transport.awaits_peer = True
    client.send(GET)
    kept.reply(0, status=200)
    site.settle()
    full = Full(site, count=1)
    full.knock()
    assert client.transport.is_aborted


def test_handshakes_that_do_not_end_are_broken_off(make_site, kept):
    site = make_site(kept)
    full = Full(site, count=2)
    full.door.handshakes = [site.loop.now, site.loop.now + 60]
    full.knock()
    assert "2 in a TLS handshake" in full.warnings()[0]
    assert len(full.door.handshakes) == 2
    full.pass_time(2)
    full.knock()
    assert len(full.door.handshakes) == 1


def test_the_log_has_one_line_at_the_begin_and_one_at_the_end(make_site, kept):
    site = make_site(kept, keepalive=1000)
    full = Full(site, count=3)
    for _ in range(3):
        idle(site, kept)
    full.pass_time(2)
    for _ in range(20):
        full.knock()
        full.pass_time(1)
    [begin] = full.warnings()
    assert begin == (
        "All 3 connections are open (worker_connections), and others wait: 3 idle; most from 192.0.2.7 (3)"
    )
    full.door.waits = False
    full.door.open = 0
    full.pass_time(4)
    assert full.warnings() == []
    full.pass_time(2)
    [end] = full.warnings()
    assert end.startswith("Connections are accepted again, after ")
    assert end.endswith(" seconds; closed to make room: 3 idle. Open are 0: none")
    full.pass_time(20)
    assert full.warnings() == []


def test_a_worker_that_stops_makes_no_room(make_site, kept):
    site = make_site(kept, keepalive=1000)
    client = idle(site, kept)
    full = Full(site, count=1)
    site.service.begin_stopping()
    full.knock()
    assert full.warnings() == []
    assert not client.is_closed
