"""Groups over the real sockets and requests of a site of doubles."""

from typing import Any

import pytest
from sockets import SocketClient

from uvicorn import route
from uvicorn.errors import DenyConnection
from uvicorn.layers.backlog import Bounds
from uvicorn.layers.groups import Channel, Group
from uvicorn.layers.handover import DONE
from uvicorn.layers.hub import Hub
from uvicorn.layers.office import WorkerOffice
from uvicorn.wire.shared import share


class OnLoop:
    """All calls come from the loop."""

    is_loop = True


class Alone:
    """A layer within one process, without a loop of its own."""

    hub: Any = None
    takes_in_order = True

    def subscribe(self, group):
        return DONE

    def unsubscribe(self, group):
        pass

    def publish(self, group, content):
        self.hub.on_group(group, content)
        return DONE


@pytest.fixture
def make(make_site):
    """Make a site with a hub; Group and Channel are those of it."""

    def made(routes, **bounds):
        site = make_site(routes)
        alone = Alone()
        hub = site.hub = Hub(site.loop, alone, site.service.outbox.directory, site.log, Bounds(**bounds), share=share)
        alone.hub = hub
        site.office = WorkerOffice(hub, OnLoop())
        return site

    return made


class Room:
    """A consumer of sockets, all of which are in one group."""

    def __init__(self):
        self.site: Any = None
        self.gaps = []
        self.names = []

    async def connect(self, message):
        message.reply_channel.send({"accept": True})
        Group("room", self.site.office).add(message.reply_channel)
        self.names.append(message.reply_channel.name)

    async def gap(self, message):
        self.gaps.append((message["missed"], message["order"]))

    def routes(self):
        return [
            route("websocket.connect", self.connect),
            route("websocket.gap", self.gap),
        ]


@pytest.fixture
def room():
    return Room()


def opened(site, count):
    sockets = [SocketClient(site) for _ in range(count)]
    site.settle()
    assert all(socket.is_open for socket in sockets)
    return sockets


def texts(socket):
    return [frame.payload.decode() for frame in socket.frames if frame.opcode == 1]


def test_a_group_message_is_a_frame_for_each_socket(make, room):
    room.site = site = make(room.routes())
    sockets = opened(site, 3)
    for text in ("short", "x" * 70_000):
        Group("room", site.office).send({"text": text})
        Group("room", site.office).send({"bytes": text.encode()})
    site.settle()
    for socket in sockets:
        assert texts(socket) == ["short", "x" * 70_000]
        assert [frame.payload for frame in socket.frames if frame.opcode == 2] == [b"short", b"x" * 70_000]


def test_compression_stays_right_beside_others_without(make, room):
    room.site = site = make(room.routes())
    plain, deflated = SocketClient(site), SocketClient(site, "/chat", b"Sec-WebSocket-Extensions: permessage-deflate")
    site.settle()
    for _ in range(2):
        Group("room", site.office).send({"text": "y" * 500})
    site.settle()
    assert texts(plain) == ["y" * 500] * 2
    assert [frame.rsv for frame in deflated.frames] == [4, 4]
    assert all(len(frame.payload) < 100 for frame in deflated.frames)


def test_a_group_message_may_close_all_sockets(make, room):
    room.site = site = make(room.routes())
    sockets = opened(site, 2)
    Group("room", site.office).send({"text": "bye", "close": 4001})
    site.settle()
    for socket in sockets:
        assert texts(socket) == ["bye"]
        assert socket.frames[-1].code == 4001
    assert site.hub._groups == {}


def test_a_socket_that_closes_is_no_member_any_more_and_nothing_of_it_is_kept(make, room):
    room.site = site = make(room.routes())
    [first, second] = opened(site, 2)
    first.leave()
    site.settle()
    assert len(site.hub._groups["room"]) == 1
    assert len(site.service.outbox.directory) == 1
    Group("room", site.office).send({"text": "still"})
    site.settle()
    assert texts(second) == ["still"]


def test_a_client_that_stops_reading_is_closed_with_1013_and_costs_nobody_else(make, room):
    room.site = site = make(room.routes(), messages=3)
    [slow, other] = opened(site, 2)
    slow.transport.protocol.pause_writing()
    for number in range(5):
        Group("room", site.office).send({"text": str(number)})
    site.settle()
    assert texts(other) == ["0", "1", "2", "3", "4"]
    assert slow.frames[-1].code == 1013
    assert len(site.hub._groups["room"]) == 1


def test_the_consumer_of_a_client_that_was_behind_is_told_what_it_missed(make, room):
    room.site = site = make(room.routes(), messages=2, policy="drop-oldest")
    [slow] = opened(site, 1)
    slow.transport.protocol.pause_writing()
    for number in range(5):
        Group("room", site.office).send({"text": str(number)})
    site.settle()
    assert room.gaps == []
    slow.transport.protocol.resume_writing()
    site.settle()
    assert texts(slow) == ["3", "4"]
    assert room.gaps == [(3, 1)]


def test_a_request_whose_channel_was_passed_on_by_name_is_answered_later(make):
    names = []

    async def poll(message):
        names.append(message.reply_channel.name)

    site = make(poll)
    client = site.connect()
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    site.settle()
    assert client.statuses("GET") == []
    Channel(names[0], site.office).send({"status": 200, "content": b"news"})
    site.settle()
    [response] = client.responses("GET")
    assert (response.status, response.body) == (200, b"news")
    site.service.outbox.directory.tick()
    assert len(site.service.outbox.directory) == 0


def test_a_request_that_is_in_a_group_is_answered_by_it_and_a_second_message_is_for_others(make):
    async def poll(message):
        await Group("news", site.office).add(message.reply_channel)

    site = make(poll)
    clients = [site.connect() for _ in range(2)]
    for client in clients:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    site.settle()
    for text in (b"1", b"2"):
        Group("news", site.office).send({"status": 200, "content": text})
        site.settle()
    assert [client.responses("GET")[0].body for client in clients] == [b"1", b"1"]


def test_a_request_whose_channel_was_kept_and_forgotten_gets_504_after_reply_timeout(make_site):
    async def forget(message):
        assert message.reply_channel.name

    site = make_site(forget, reply_timeout=5.0)
    client = site.connect()
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    site.settle()
    assert client.statuses("GET") == []
    site.pass_time(10)
    assert client.statuses("GET") == [504]


def test_a_socket_is_refused_without_a_word_in_the_log_by_deny_connection(make_site):
    async def refuse(message):
        raise DenyConnection

    site = make_site([route("websocket.connect", refuse)])
    socket = SocketClient(site)
    site.settle()
    assert socket.response.status == 403
