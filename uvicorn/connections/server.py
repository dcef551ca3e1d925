"""All connections of a worker: accept, tick once a second, stop in stages. Loop thread only.

Stopping, in this order (`drain`):

1. accept nothing more, after what is in the backlog;
2. answer what is there with `Connection: close`; idle connections are kept for two seconds at most,
   for a request that may be on its way;
3. at the deadline, name what is left with its stack, wake every thread that waits in a channel
   (`ServerStopping`), cancel every task, and close all connections;
4. leave (`close`); a thread that is stuck in its consumer is not waited for.
"""

from __future__ import annotations

import asyncio
import gc
import time
from typing import Final

from uvicorn.bridge.stacks import describe
from uvicorn.connections.crowd import Crowd
from uvicorn.connections.crowding import IDLE, NEW
from uvicorn.connections.listener import Acceptor, Turns
from uvicorn.connections.service import Service
from uvicorn.connections.unread import has_sent

__all__ = ["Server"]

_POLL_SECONDS: Final = 0.05  # while draining
_NEW_SECONDS: Final = 0.3  # arbitrary: clients send their first request at once, if they have one
_LAST_WORDS_SECONDS: Final = 0.15  # for woken threads and cancelled tasks to end


class Server:
    """What accepts, serves and stops all connections of a worker.

    Args:
        service: what the connections use.
        acceptor: where they come from.
    """

    def __init__(self, service: Service, acceptor: Acceptor) -> None:
        self.service: Final = service
        self._acceptor = acceptor
        self._is_hurried = False
        self._crowd: Final = Crowd(service, acceptor)
        service.on_connection_lost = acceptor.on_connection_lost
        acceptor.on_knock = self._crowd.on_knock

    def take_turns(self, turns: Turns | None) -> None:
        """Accept only when it is this worker's turn."""
        if turns is not None:
            self._acceptor.turns = turns

    def start(self) -> None:
        """Accept connections."""
        self.tick()
        self._acceptor.resume()

    def tick(self) -> None:
        """Do what is due once a second."""
        service = self.service
        now = service.now = service.loop.time()
        service.encoder.set_time(time.time())
        service.dispatcher.tick()
        service.outbox.directory.tick()
        service.call_runner.tick()
        self._watch_connections(now)
        self._crowd.tick(now)
        refused = service.addresses.take_refused()
        if refused:
            service.log.warning("Connections refused (limit_connections_per_address): %s", refused)
        if service.wants_collection:
            service.wants_collection = False
            gc.collect(1)  # the young objects: a look at all would block the loop of an application with many
        self._acceptor.resume(even_if_full=True)

    def step_aside(self) -> None:
        """Leave what comes to another worker, which takes over at once; then `drain`.

        Connections that are idle are closed: or their clients would go on here. A new one whose request may be on its
        way is given a moment.
        """
        self.service.begin_stopping()
        self._acceptor.leave()
        self._close_silent(IDLE)
        self.service.loop.call_later(_NEW_SECONDS, self._close_silent, IDLE, NEW)

    def _close_silent(self, *states: str) -> None:
        for client in (*self.service.connections,):
            standing = client.standing(self.service.loop.time())
            if standing.is_silent and standing.state in states and not has_sent(client):
                client.make_way(standing.state)

    async def drain(self, seconds: float) -> None:
        """Stop, in stages; at most about this many seconds."""
        service = self.service
        deadline = service.loop.time() + seconds
        service.begin_stopping()
        self._acceptor.close()
        while self.is_busy and service.loop.time() < deadline and not self._is_hurried:
            await asyncio.sleep(_POLL_SECONDS)
            self._watch_connections(service.loop.time())
        if self.is_busy:
            self._report_left()
            self.abort()
            await asyncio.sleep(0)
            last = service.loop.time() + (0.0 if self._is_hurried else _LAST_WORDS_SECONDS)
            while not self._are_consumers_idle() and service.loop.time() < last:  # noqa: ASYNC110 (threads end there)
                await asyncio.sleep(_POLL_SECONDS / 10)

    def close_idle(self) -> None:
        """Close the connections between two requests at once: nobody waits for their clients, as `drain` does."""
        now = self.service.loop.time()
        for client in tuple(self.service.connections):
            standing = client.standing(now)
            if standing.state in (IDLE, NEW):
                client.make_way(standing.state)

    def close(self) -> None:
        """End the threads, when nothing needs them any more, and whatever waits for one."""
        self.service.dispatcher.close()
        self.service.spools.stop()
        self.service.files.stop()

    def hurry(self) -> None:
        """Have `drain` go to its end at once."""
        self._is_hurried = True

    def abort(self) -> None:
        """Close every connection, wake every thread that waits in a channel, cancel every task."""
        service = self.service
        service.begin_stopping()
        self._acceptor.abort()
        for client in (*service.connections, *service.sockets):
            client.abort()
        service.dispatcher.abort()
        service.call_runner.abort()

    def describe_requests(self) -> str:
        """Return a line for each request in flight. Runs on: the loop's thread, between any two of its bytecodes."""
        now = self.service.loop.time()
        running = self.service.dispatcher.running
        exchanges = [exchange for connection in tuple(self.service.connections) for exchange in connection.in_flight()]
        calls = [socket for socket in tuple(running.sockets) if socket.handshake is None]
        lines = [
            f"  {found.shown_line} in {found.consumer_name} "
            f"({'loop' if found.job is None else 'pool'}) for {now - found.started_at:.1f} s"
            for found in (*exchanges, *calls)
        ]
        dispatcher = self.service.dispatcher
        states = [repr(state) for state in (*dispatcher.pools, *dispatcher.governors, *dispatcher.frameworks.values())]
        held = dispatcher.held_by()
        states += [f"Threads are held by {held}"] if held else []
        return "\n".join([f"Requests in flight: {len(lines)}", *lines, *states])

    @property
    def is_busy(self) -> bool:
        """Whether a connection is open, or a consumer runs or waits."""
        return self._acceptor.open > 0 or not self._are_consumers_idle()

    def _are_consumers_idle(self) -> bool:
        return self.service.dispatcher.running.is_idle

    def _watch_connections(self, now: float) -> None:
        for client in (*self.service.connections, *self.service.sockets):
            try:
                client.watch.tick(now)
            except Exception:  # a mistake of ours: it costs this client, not the watch of all others, nor the stop
                self.service.log.error("Error in the watch of %r", client, exc_info=True)
                client.cut()

    def _report_left(self) -> None:
        service = self.service
        for exchange, runner in service.dispatcher.running.calls():
            service.log.warning(
                "Still running: %s in %s for %.1f s\n%s",
                exchange.shown_line,
                exchange.consumer_name,
                service.loop.time() - exchange.started_at,
                describe(runner),
            )
        unanswered = sum(len(connection.in_flight()) for connection in service.connections)
        if unanswered:
            service.log.warning("Closing connections with %d requests unanswered", unanswered)
