"""A worker whose connections are all open while others wait: it makes room, and says so once. Loop thread only.

    Acceptor, full      knocked: somebody waits; nothing is accepted meanwhile
    ... 50 ms later     look: if somebody still waits (no sibling has accepted it), the crowd begins; if not, the
                        acceptor tells of the next one
    Acceptor            knocked: from now on each one that waits has a connection closed for it
    tick                a new list of those that may leave; the end, when nobody has waited for a while. The server has
                        the acceptor tell again of who waits

Who may leave, and in which order, is decided in `crowding.py`. The list is made at most once a second: a flood
of new connections costs a step in a list for each, not a look at all connections.
"""

from __future__ import annotations

from collections import Counter
from typing import Final, Protocol

from uvicorn.connections.crowding import HANDSHAKE, Standing, describe, may_leave, order
from uvicorn.connections.service import Client, Service

__all__ = ["Crowd", "Door"]

_PATIENCE_SECONDS: Final = 0.05  # arbitrary: for a sibling to accept who waits
_PRESSING_SECONDS: Final = 1.0  # arbitrary: how long others wait before more than idle connections are closed
_QUIET_SECONDS: Final = 5.0  # arbitrary: without anybody waiting; then the crowd is over


class Door(Protocol):
    """What a crowd needs of the acceptor."""

    open: int  # connections, handshakes included

    @property
    def is_full(self) -> bool:
        """Whether all connections are open."""

    def is_waited_for(self) -> bool:
        """Whether a connection waits to be accepted."""

    def resume(self, even_if_full: bool = False) -> None:
        """Accept what waits, or be told of it."""

    def break_off_handshake(self, before: float) -> bool:
        """Break off a TLS handshake that began before this time; return whether there was one."""


class Crowd:
    """What makes room while all connections are open and others wait."""

    def __init__(self, service: Service, door: Door) -> None:
        self._service = service
        self._door = door
        self._began_at = 0.0  # 0: there is no crowd
        self._wanted_at = 0.0  # when somebody last waited
        self._is_looking = False
        self._list: list[Client] | None = None  # who may leave, the first one last
        self._closed: Counter[str] = Counter()  # state -> connections closed for others

    def on_knock(self) -> None:
        """A client waits: room is made for it, or a sibling takes it; the acceptor accepts nothing meanwhile."""
        self._wanted_at = self._service.loop.time()
        if self._began_at:
            self._make_room()
        elif not self._is_looking:
            self._is_looking = True
            self._service.loop.call_later(_PATIENCE_SECONDS, self._look)

    def tick(self, now: float) -> None:
        """Look once a second."""
        if not self._began_at:
            return
        self._list = None
        if self._door.is_full and self._door.is_waited_for():
            self._wanted_at = now
        if now - self._wanted_at >= _QUIET_SECONDS:
            self._service.log.warning(
                "Connections are accepted again, after %.1f seconds; closed to make room: %s. Open are %d: %s",
                self._wanted_at - self._began_at,
                _counts(self._closed),
                self._door.open,
                self._describe(),
            )
            self._began_at = 0.0
            self._closed.clear()

    def _look(self) -> None:
        self._is_looking = False
        if self._service.is_stopping:
            return
        if not self._door.is_full or not self._door.is_waited_for():
            self._door.resume(even_if_full=True)
            return
        self._began_at = self._wanted_at = self._service.loop.time()
        self._service.log.warning(
            "All %d connections are open (worker_connections), and others wait: %s", self._door.open, self._describe()
        )
        self._make_room()

    def _make_room(self) -> None:
        """Close one connection, if one may be closed."""
        now = self._service.loop.time()
        is_pressing = now - self._began_at >= _PRESSING_SECONDS
        if self._list is None:
            found = [
                (order(standing), connection)
                for connection, standing in self._standings(now)
                if may_leave(standing, is_pressing)
            ]
            found.sort(key=lambda item: item[0], reverse=True)
            self._list = [connection for _, connection in found]
        while self._list:
            connection = self._list.pop()
            standing = connection.standing(now)  # it may have done something since the list was made
            if may_leave(standing, is_pressing) and connection in self._service.connections:
                self._closed[standing.state] += 1
                connection.make_way(standing.state)
                return
        if is_pressing and self._door.break_off_handshake(now - _PRESSING_SECONDS):
            self._closed[HANDSHAKE] += 1

    def _standings(self, now: float) -> list[tuple[Client, Standing]]:
        service = self._service
        return [(client, client.standing(now)) for client in (*service.connections, *service.sockets)]

    def _describe(self) -> str:
        standings = self._standings(self._service.loop.time())
        states = [standing.state for _, standing in standings if standing.state]
        states += [HANDSHAKE] * (self._door.open - len(states))
        return describe(states, [client.client_name for client, standing in standings if standing.state])


def _counts(closed: Counter[str]) -> str:
    return ", ".join(f"{count} {state}" for state, count in closed.most_common()) or "none"
