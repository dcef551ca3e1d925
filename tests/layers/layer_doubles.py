"""Workers and clients for the tests of groups and channels: real loops and threads, doubles of sockets."""

import asyncio
import threading

from bridge_doubles import Bridge, until_async
from patience import PATIENCE_SECONDS
from pool_doubles import RecordingLog

from uvicorn.applications.router import Router
from uvicorn.bridge.background import BackgroundCalls
from uvicorn.bridge.crossing import install as install_crossing
from uvicorn.bridge.sides import Sides
from uvicorn.errors import ChannelClosed
from uvicorn.layers.background import Background
from uvicorn.layers.backlog import Bounds
from uvicorn.layers.current import install as install_office
from uvicorn.layers.groups import Channel, Group
from uvicorn.layers.hub import Hub
from uvicorn.layers.office import WorkerOffice

__all__ = ["Client", "Node", "RecordingLog", "Worked", "WorkedOnLoop", "make", "node_on", "until_async"]


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

    def when_changed(self, callback):
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
    """A worker: loop, pool, dispatcher and hub.

    Args:
        routes: what an application would have, for messages of channels.
        request_id: returns the id of the request that sends; None if requests have none.
    """

    def __init__(self, layer, bounds=None, group_expiry=86400.0, routes=(), request_id=None, **options):
        super().__init__(**options)
        self.layer = layer
        self.hub = Hub(
            asyncio.get_running_loop(), layer, self.outbox.directory, self.log, bounds or Bounds(), group_expiry
        )
        self.calls = BackgroundCalls(self.dispatcher)
        self.router = Router(routes) if routes else None
        self.background = Background(
            layer,
            self.router.channels() if self.router else {},
            lambda channel, content: self.router.find(channel, "", content) if self.router else None,
            self.calls,
            self.log,
        )
        self.office = WorkerOffice(self.hub, Sides(self.dispatcher.crossing, self.hub.deferred), request_id=request_id)
        self._ticking = None

    async def __aenter__(self):
        install_crossing(self.dispatcher.crossing)
        install_office(self.office)
        await self.hub.start()
        self.background.start()
        self._ticking = asyncio.ensure_future(self._tick())
        return self

    async def _tick(self):
        """Do what a worker does once a second, a little more often."""
        while True:
            await asyncio.sleep(0.05)
            self.hub.tick()

    async def __aexit__(self, *details):
        self.retire()
        self.release()
        await until_async(lambda: not len(self.calls), "the end of background messages")
        self.outbox.drain_now()
        await self.hub.stop()
        if self._ticking is not None:
            self._ticking.cancel()
        await super().__aexit__(*details)
        install_crossing(None)
        install_office(None)

    def retire(self):
        """Begin to stop, as a worker does."""
        self.background.begin_stopping()
        self.layer.retire()
        self.calls.begin_stopping()

    def client(self, kind="websocket.send"):
        return Client(self, kind)

    def group(self, name):
        return Group(name, self.office)

    def channel(self, name):
        return Channel(name, self.office)


def node_on(make_layer, **options):
    """Make a worker in whose log one sees what its layer says, too. `make_layer` is called with the log."""
    log = RecordingLog()
    node = Node(make_layer(log), **options)
    log.records = node.log.records
    return node


def make(carrier, *routes, limits=None, **options):
    """Make a worker with a layer of a carrier; `limits` are those of its channels."""
    return node_on(lambda log: carrier.layer(log, **(limits or {})), routes=routes, **options)


class Worked:
    """A consumer of background messages that keeps what it gets; with `blocks` it does not return before `go`."""

    def __init__(self, blocks=False, error=None, times=1):
        self.messages = []
        self.running = 0
        self.most = 0
        self._error = error
        self._times = times
        self._lock = threading.Lock()
        self.go = threading.Event()
        if not blocks:
            self.go.set()

    def __call__(self, message):
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
            self.messages.append(message)
            number = len(self.messages)
        try:
            assert self.go.wait(PATIENCE_SECONDS)
            if self._error is not None and number <= self._times:
                raise self._error
        finally:
            with self._lock:
                self.running -= 1

    @property
    def numbers(self):
        return [message.get("n") for message in self.messages]


class WorkedOnLoop(Worked):
    """The same on the loop."""

    async def __call__(self, message):
        self.messages.append(message)
        await asyncio.sleep(0)
