"""No client's bytes hold up the others: events and bytes are counted for each turn of the loop, never time."""

from __future__ import annotations

import pytest
from clients import Echo, Kept
from sockets import BINARY, CONT, PING, TEXT, SocketClient, frame

from uvicorn.connections import body as body_module
from uvicorn.connections.turns import SHARE, STEPS
from uvicorn.wire.frames import SocketCodec
from uvicorn.wire.limits import SocketLimits

GET = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
ONE_READ = 256_000  # what uvloop reads at a time


class Requests:
    """Count requests, and the most of them that were taken in one turn."""

    def __init__(self, site):
        self._site = site
        self.most = self._before = 0

    def turn_ended(self):
        self.most = max(self.most, self._site.request_count - self._before)
        self._before = self._site.request_count


class Counter:
    """Count calls, and the most of them in one turn."""

    def __init__(self, monkeypatch, owner, name):
        self.calls = self.most = self._before = 0
        original = getattr(owner, name)

        def counted(*args):
            self.calls += 1
            return original(*args)

        monkeypatch.setattr(owner, name, counted)

    def turn_ended(self):
        self.most = max(self.most, self.calls - self._before)
        self._before = self.calls


def flood(client, data, counter):
    """Deliver what was read in one turn, and run turns until all is done."""
    loop = client.site.loop if hasattr(client, "site") else client.client.site.loop
    loop.call_soon(client.transport.feed, data)
    for _ in range(100_000):
        loop._is_busy = False
        loop.turn()
        counter.turn_ended()
        if not loop._is_busy:
            return
    raise AssertionError("the loop does not come to rest")


def test_pipelined_requests_are_taken_by_shares(make_site):
    echo = Echo()
    client = make_site(echo).connect()
    counter = Requests(client.site)
    flood(client, b"".join(GET % number for number in range(1000)), counter)
    assert [message["path"] for message in echo.messages] == [f"/{number}" for number in range(1000)]
    assert counter.most <= SHARE
    assert not client.transport.is_paused


def test_requests_whose_bodies_came_with_them_count_as_two_steps(make_site):
    echo = Echo()
    client = make_site(echo).connect()
    counter = Requests(client.site)
    post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n%03d"
    flood(client, b"".join(post % number for number in range(500)), counter)
    assert [message["body"] for message in echo.messages] == [b"%03d" % number for number in range(500)]
    assert counter.most == SHARE // 2


def test_requests_of_a_hundred_clients_are_taken_by_the_budget(make_site):
    echo = Echo()
    site = make_site(echo)
    clients = [site.connect() for _ in range(100)]
    counter = Requests(site)
    for client in clients[1:]:
        site.loop.call_soon(client.transport.feed, b"".join(GET % number for number in range(20)))
    flood(clients[0], b"".join(GET % number for number in range(20)), counter)
    assert len(echo.messages) == 2000
    assert counter.most <= STEPS


def test_a_request_beside_a_flood_is_answered_before_the_flood_is_over(make_site):
    echo = Echo()
    site = make_site(echo)
    flooding, other = site.connect(), site.connect()
    site.loop.call_soon(flooding.transport.feed, b"".join(GET % number for number in range(1000)))
    site.loop.turn()
    site.loop.call_soon(other.transport.feed, GET % 0)
    for _ in range(3):
        site.loop.turn()
    assert other.statuses() == [200]
    assert len(flooding.statuses()) <= 5 * SHARE


def test_more_requests_than_may_be_in_flight_wait_as_bytes_and_no_more_is_read(make_site):
    kept = Kept()
    client = make_site(kept).connect()
    requests = [GET % number for number in range(10_000)]
    client.send(b"".join(requests[:1000]))
    waiting = client.connection.intake.waiting_bytes
    assert len(kept.messages) == 16
    assert waiting == sum(map(len, requests[16:1000]))
    assert client.transport.is_paused
    for number in range(984):  # one answer at a time: reading must not go on while requests wait
        assert client.transport.is_paused
        kept.reply(number, status=200)
        client.site.settle()
        assert client.connection.intake.waiting_bytes <= waiting
    assert len(kept.messages) == 1000
    assert client.connection.intake.waiting_bytes == 0


def test_a_client_that_takes_no_answers_is_not_read_from(make_site):
    echo = Echo()
    client = make_site(echo).connect()
    client.transport.is_stalled = True
    for _ in range(10):
        client.send(b"".join(GET % number for number in range(600)))
    assert client.transport.is_paused
    assert client.connection.intake.waiting_bytes <= 600 * len(GET)
    assert client.transport.get_write_buffer_size() <= 65536 + 16 * 200
    client.transport.is_stalled = False
    client.transport.drain()
    client.site.settle()
    assert len(echo.messages) == 6000


def test_chunks_of_one_byte_are_taken_by_slices(make_site, monkeypatch):
    echo = Echo()
    client = make_site(echo, body_buffer=1_000_000).connect()
    counter = Counter(monkeypatch, body_module.RequestBody, "feed")
    client.send(POST)
    flood(client, b"1\r\nx\r\n" * (ONE_READ // 6) + b"0\r\n\r\n", counter)
    assert len(echo.messages[0]["body"]) == ONE_READ // 6
    assert counter.most <= SHARE
    assert counter.calls > 2 * SHARE


@pytest.mark.parametrize(
    ("one", "size"),
    [(frame(TEXT, b"x"), 7), (frame(PING), 6), (frame(BINARY, b"x" * 200), 208)],
    ids=["messages of one byte", "empty pings", "messages"],
)
def test_frames_are_taken_by_shares(make_site, monkeypatch, one, size):
    async def consumer(message):
        if message["channel"] == "websocket.connect":
            message["reply_channel"].send({"accept": True})

    client = SocketClient(make_site(consumer))
    counter = Counter(monkeypatch, SocketCodec, "feed")
    count = ONE_READ // 20 // size
    flood(client, one * count, counter)
    assert counter.calls == count
    assert counter.most <= SHARE


def test_fragments_are_taken_by_shares(make_site, monkeypatch):
    kept = Kept()
    client = SocketClient(make_site(kept))
    kept.reply(0, accept=True)
    client.client.site.settle()
    counter = Counter(monkeypatch, SocketCodec, "feed")
    flood(client, frame(TEXT, b"a", fin=False) + frame(CONT, b"b", fin=False) * 1000 + frame(CONT, b"c"), counter)
    assert kept.messages[1]["text"] == "a" + "b" * 1000 + "c"
    assert counter.most <= SHARE


def test_messages_that_a_consumer_does_not_take_wait_within_their_bounds(make_site):
    kept = Kept()
    site = make_site(kept, sockets=SocketLimits(queue_size=8))
    client = SocketClient(site)
    waits = site.loop.create_future()

    async def never(message):
        kept.messages.append(message)
        await waits

    kept.reply(0, accept=True)
    site.settle()
    site.service.application.only.call = never
    for _ in range(5):
        client.send(frame(TEXT, b"x") * 200)
    socket = client.transport.protocol
    assert socket.inbound.calls.waiting <= 8
    assert socket.intake.waiting_bytes <= 200 * 7
    assert client.transport.is_paused
    waits.set_result(None)
    site.settle()
    assert [message["text"] for message in kept.messages[1:]] == ["x"] * 1000
