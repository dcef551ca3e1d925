"""A worker that leaves connections to its siblings for a while."""

import asyncio
import contextlib
import logging
import socket
import ssl

import pytest
import trustme
import uvloop
from patience import NEVER_SECONDS, PATIENCE_SECONDS

from uvicorn.connections import listener
from uvicorn.connections.addresses import AddressLimit
from uvicorn.connections.listener import Acceptor


class FakeTurns:
    """Leaves connections to others as often as it is told to."""

    def __init__(self, leaves, most=8, seconds=0.001):
        self.leaves = leaves
        self.seconds = seconds
        self.waited = []
        self.on_asked = lambda: None
        self.most = most
        self.asked = 0
        self.told = []

    def tell(self, connections, is_accepting):
        self.told.append((connections, is_accepting))

    def leave_for(self, waited):
        self.asked += 1
        self.waited.append(waited)
        if self.asked == 1:
            self.on_asked()
        return self.seconds if self.asked <= self.leaves else 0.0


class Protocol(asyncio.Protocol):
    """A connection that was accepted."""

    def connection_made(self, transport):
        self.transport = transport


class Door:
    """An acceptor before which clients wait."""

    def __init__(self, turns, limit=100, clients=3, others=0, protocol=Protocol, tls=None):
        self.turns = turns
        self.protocol = protocol
        self.tls = tls
        self.limit = limit
        self.stack = contextlib.ExitStack()
        self.socks = [self._listen(count) for count in (clients, others) if count] or [self._listen(0)]
        self.sock = self.socks[0]

    def _listen(self, clients):
        sock = self.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        sock.setblocking(False)
        for _ in range(clients):
            self.stack.enter_context(socket.create_connection(sock.getsockname()))
        return sock

    async def __aenter__(self):
        self.protocols = []
        self.ports = []  # at which they were accepted

        def make_protocol(client, server, place):
            self.protocols.append(self.protocol())
            self.ports.append(server[1])
            return self.protocols[-1]

        self.acceptor = Acceptor(
            asyncio.get_running_loop(),
            self.socks,
            make_protocol,
            self.limit,
            AddressLimit(0, None),
            logging.getLogger("test"),
            self.tls,
            NEVER_SECONDS,
        )
        self.acceptor.turns = self.turns
        self.acceptor.resume()
        return self

    async def __aexit__(self, *_):
        self.acceptor.leave()
        for task in tuple(self.acceptor._handshakes):
            await task
        for protocol in self.protocols:
            protocol.transport.close()
        await asyncio.sleep(0)  # transports close their sockets in the next turn
        self.stack.close()

    async def until(self, condition):
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE_SECONDS
        while not condition():
            assert loop.time() < deadline
            await asyncio.sleep(0.001)


def run(case):
    asyncio.run(case())


@pytest.mark.parametrize("most", [1, 2, 8])
def test_connections_that_were_left_and_that_nobody_took_are_accepted(most, monkeypatch):
    monkeypatch.setattr(listener, "_LONGEST_SECONDS", NEVER_SECONDS)  # or a busy machine accepts them sooner

    async def case():
        async with Door(FakeTurns(5, most)) as door:
            await door.until(lambda: door.acceptor.open == 3)
            assert door.turns.asked > 5
            assert (3, True) in door.turns.told

    run(case)


def test_connections_are_accepted_in_the_end_whoever_should_take_them():
    async def case():
        turns = FakeTurns(10**9, 2)  # always a sibling's turn
        async with Door(turns) as door:
            await door.until(lambda: door.acceptor.open == 3)
            assert turns.waited[0] == 0.0
            assert sorted(turns.waited)[-1] < 0.05
            assert turns.waited.count(0.0) >= 2  # two at once, then the third one waited anew

    run(case)


def test_a_connection_of_a_second_address_does_not_wait_until_none_waits_at_the_first():
    async def case():
        async with Door(FakeTurns(10**9, 1), clients=20, others=1) as door:
            port = door.socks[1].getsockname()[1]
            await door.until(lambda: port in door.ports)
            assert door.ports.index(port) <= 1

    run(case)


def test_one_that_comes_after_the_one_that_was_left_and_taken_waits_anew():
    async def case():
        turns = FakeTurns(1)
        async with Door(turns, clients=1) as door:
            turns.on_asked = lambda: door.sock.accept()[0].close()  # as a sibling does
            await door.until(lambda: turns.asked and door.acceptor._is_watching)
            door.stack.enter_context(socket.create_connection(door.sock.getsockname()))
            await door.until(lambda: door.acceptor.open)
            assert turns.waited == [0.0, 0.0]

    run(case)


def test_a_worker_that_leaves_a_connection_does_not_spin():
    async def case():
        turns = FakeTurns(10**9, seconds=900.0)
        async with Door(turns) as door:
            await door.until(lambda: turns.asked)
            for _ in range(100):
                await asyncio.sleep(0)
            door.acceptor.resume(even_if_full=True)  # the tick
            for _ in range(100):
                await asyncio.sleep(0)
            assert turns.asked == 1
            assert door.acceptor.open == 0

    run(case)


@pytest.mark.parametrize("has_left", [True, False])
def test_what_waits_is_taken_at_the_stop_though_it_was_left_to_others(has_left):
    async def case():
        turns = FakeTurns(10**9, seconds=900.0)
        async with Door(turns) as door:
            if has_left:
                await door.until(lambda: turns.asked)
            door.acceptor.close()
            assert door.acceptor.open == 3
            assert turns.told[-1] == (3, False)

    run(case)


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("has_tls", [False, True])
def test_a_stop_in_the_turn_in_which_a_connection_is_made_does_not_count_its_end_twice(factory, has_tls):
    class Late(Protocol):
        def connection_made(self, transport):
            super().connection_made(transport)
            door.acceptor.abort()
            transport.close()

        def connection_lost(self, error):
            door.acceptor.on_connection_lost("")
            lost.append(error)

    async def case():
        async with door:
            if has_tls:
                host, port = door.sock.getsockname()
                _, writer = await asyncio.open_connection(host, port, ssl=trusting)
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
            await door.until(lambda: lost and not door.acceptor._handshakes)
            assert door.acceptor.open == 0

    server = trusting = None
    if has_tls:
        authority = trustme.CA()
        server, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
        authority.issue_cert("127.0.0.1").configure_cert(server)
        authority.configure_trust(trusting)
    lost, door = [], Door(FakeTurns(0), clients=0 if has_tls else 1, protocol=Late, tls=server)
    loop = factory()
    try:
        loop.run_until_complete(case())
    finally:
        loop.close()


def test_a_worker_that_is_full_says_so_and_asks_nobody():
    async def case():
        async with Door(FakeTurns(0), limit=2) as door:
            knocks = []
            door.acceptor.on_knock = lambda: knocks.append(1)
            await door.until(lambda: knocks)
            asked = door.turns.asked
            assert door.acceptor.open == 2
            assert door.turns.told[-1] == (2, False)
            door.acceptor.on_connection_lost("")
            await door.until(lambda: door.acceptor.open == 2)
            assert door.turns.asked > asked

    run(case)
