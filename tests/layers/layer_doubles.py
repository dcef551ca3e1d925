"""Workers and clients for the tests of groups and channels: real loops and threads, doubles of sockets."""

import asyncio

from bridge_doubles import Bridge, until_async

from uvicorn.bridge.consumer import Consumer
from uvicorn.bridge.crossing import install as install_crossing
from uvicorn.bridge.sides import Sides
from uvicorn.errors import ChannelClosed
from uvicorn.layers.backlog import Bounds
from uvicorn.layers.groups import Channel, Group
from uvicorn.layers.hub import Hub
from uvicorn.layers.office import WorkerOffice

__all__ = ["Client", "Node", "until_async"]


class Client:
    """A reply channel, and what has come through it."""

    def __init__(self, node, kind="websocket.send"):
        self.directory = node.outbox.directory
        self._name = self.directory.new_name(kind)
        self.received = []
        self.gaps = []
        self.given_up = []
        self.closed = False
        self.is_writable = True
        self.error = None
        self._waiters = []

    @property
    def name(self):
        if not self.closed:
            self.directory.keep(self._name, self)
        return self._name

    def send(self, reply):
        if self.closed:
            raise ChannelClosed("gone")
        if self.error is not None:
            raise self.error
        self.received.append(reply)

    def on_change(self, callback):
        self._waiters.append(callback)

    def give_up(self, reason):
        self.given_up.append(reason)
        self.leave()

    def tell_gap(self, missed):
        self.gaps.append(missed)

    def catch_up(self):
        self.is_writable = True
        self._call_back()

    def leave(self):
        self.closed = True
        self.directory.closed(self._name)
        self._call_back()

    def _call_back(self):
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter()

    @property
    def texts(self):
        return [reply.get("text") for reply in self.received]


class Node(Bridge):
    """A worker: loop, pool, dispatcher and hub."""

    def __init__(self, layer, bounds=None, group_expiry=86400.0, **options):
        super().__init__(**options)
        self.layer = layer
        self.hub = Hub(
            asyncio.get_running_loop(), layer, self.outbox.directory, self.log, bounds or Bounds(), group_expiry
        )
        self.office = WorkerOffice(self.hub, Sides(self.dispatcher.crossing, self.hub))

    async def __aenter__(self):
        install_crossing(self.dispatcher.crossing)
        await self.hub.start()
        return self

    async def __aexit__(self, *details):
        await super().__aexit__(*details)
        await self.hub.stop()
        install_crossing(None)

    def client(self, kind="websocket.send"):
        return Client(self, kind)

    def group(self, name):
        return Group(name, self.office)

    def channel(self, name):
        return Channel(name, self.office)

    def consume(self, function, **keys):
        """Call a consumer as for a request; return its exchange."""
        Consumer(function)
        return self.call(function, **keys)
