"""How an HTTP/2 connection comes to its end, and what the server asks of it meanwhile. Loop thread only.

begin_ending    a GOAWAY that refuses nothing, and a ping (RFC 9113 section 6.8)
end_finally     when that is answered, or a second later: the GOAWAY that names the last stream
end_with_last   the connection is closed when no stream is left
close           what is written is sent; then the client's side is awaited for a while
calm_down       too many frames of one kind
break_off       the client has broken the protocol, or a limit
fail, cut, abort    at once
"""

from __future__ import annotations

from typing import Any

from uvicorn.connections.crowding import CLOSING, IDLE, NEW, WAITING, Standing
from uvicorn.connections.exchange import Exchange
from uvicorn.connections.h2_limits import SHARED, Accounts
from uvicorn.connections.h2_owner import StreamOwner
from uvicorn.connections.h2_stream import Stream
from uvicorn.connections.h2_watch import Http2Watch
from uvicorn.connections.intake import PIPELINE, Intake
from uvicorn.connections.service import Lent, Service
from uvicorn.errors import ChannelClosed, ServerStopping
from uvicorn.wire.h2_engine import ENHANCE_YOUR_CALM, NO_ERROR, EngineMaker
from uvicorn.wire.h2_head_writer import HeadWriter
from uvicorn.wire.head import HeaderPolicy

__all__ = ["EndingConnection"]


class EndingConnection(StreamOwner):
    """One connection, as the server and its watch see it.

    Args:
        lent: the connection that it was until now.

    Attributes:
        requests: how many heads were read.
        silent_bytes: what came since a frame was last told of.
        closes_when_idle: the client opens no further stream, or may not.
        has_announced: the first GOAWAY is on its way.
        is_ended: the engine says nothing more.
        is_over: nothing is taken in or written any more.
    """

    __slots__ = (
        "_client", "_is_final", "_server", "accounts", "address", "closes_when_idle", "has_announced", "intake",
        "is_ended", "is_over", "place", "requests", "silent_bytes", "transport", "watch", "written_bytes",
    )  # fmt: skip

    def __init__(self, lent: Lent, make_engine: EngineMaker, writer: HeadWriter) -> None:
        service: Service = lent.service
        super().__init__(service, make_engine(), writer)
        self.place = lent.place
        self.address = lent.address
        self.transport = lent.transport
        self.intake: Intake = lent.intake
        self._client, self._server = lent.addresses()
        self.accounts = Accounts(service.loop.time())
        self.requests = self.silent_bytes = self.written_bytes = 0
        self.closes_when_idle = not service.keeps_connections
        self.has_announced = self._is_final = self.is_ended = self.is_over = False
        self.watch = Http2Watch(self)

    def flush(self) -> None:
        """Write what the windows and the client allow."""
        raise NotImplementedError

    @property
    def client_name(self) -> str:
        """The client's address for the log."""
        return self._client[0] if self._client else "unix socket"

    def addresses(self) -> tuple[list[Any] | None, list[Any] | None]:
        """Return the client's and our address, as the messages of this connection have them."""
        return self._client, self._server

    def header_policy(self) -> HeaderPolicy:
        """Return what to do with the header fields of this client, and whether it is a trusted proxy."""
        peers = self.service.peers
        if self._client and self._client[0] != self.address:  # a PROXY header has named it
            return peers.policy_behind(self.address, self._client[0])
        return peers.header_policy(self.address)

    # ---- told by streams ----

    def over(self, stream: Stream) -> None:
        """A stream has come to its end."""
        if self.streams.get(stream.id) is stream:
            del self.streams[stream.id]
        if self.schedule:
            self.schedule.discard(stream.id)
        if self.closes_when_idle:
            self._close_if_idle()

    def answered(self) -> None:
        """A response is complete."""
        self.accounts.answered()

    def take_no_more(self) -> None:
        """A response says `connection: close`: the connection comes to its end."""
        self.begin_ending()

    # ---- the end ----

    def begin_ending(self) -> None:
        """Tell the client to go elsewhere; what it has sent meanwhile is answered."""
        if self.is_ending or self.is_over:
            return
        self.is_ending = self.has_announced = True
        self.engine.announce_end()
        self.engine.ping()
        self.watch.announced()
        self.wants_flush()

    def end_with_last(self) -> None:
        """Close when the last stream is over."""
        self.closes_when_idle = True
        self._close_if_idle()

    def end_finally(self) -> None:
        """Refuse what begins from here on; close when the last stream is over."""
        if not self._is_final and not self.is_over:
            self._is_final = True
            self.engine.end()
            self.end_with_last()
            self.wants_flush()

    def _close_if_idle(self) -> None:
        if self.closes_when_idle and not self.streams and not self.is_over and not self.is_taking:
            self.service.loop.call_soon(self._close_idle)

    def _close_idle(self) -> None:
        if not self.streams and not self.is_over:
            if not self._is_final:
                self._is_final = True
                self.engine.end()
            self.flush()
            self.close()

    def on_engine_ended(self, code: int, reason: str) -> None:
        """The engine has ended the connection."""
        if self.is_over:
            return
        self.is_ended = True
        if code != NO_ERROR:
            self.service.log.info("Closing the HTTP/2 connection of %s: error %d %s", self.client_name, code, reason)
        self.service.loop.call_soon(self.close)  # behind the last bytes

    def close(self) -> None:
        """Close when everything is written; read on for a while, since closing with unread bytes is a reset."""
        if self.is_over or self.transport.is_closing():
            return
        self.is_over = True
        self.lose_all(ChannelClosed("the connection is closed"))
        self.intake.drop()
        self.intake.release(PIPELINE)
        self.watch.linger()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def break_off(self, code: int, reason: str) -> None:
        """Close, because the client has broken the protocol or a limit."""
        if self.is_over:
            return
        self.service.log.info("Closing the HTTP/2 connection of %s: %s", self.client_name, reason)
        data = self.engine.farewell(code, reason.encode("ascii", "replace")[:80])
        if data:
            self.transport.write(data)
        self.close()

    def calm_down(self) -> None:
        """There were too many frames of one kind: the client goes.

        A trusted proxy is no client: others that it has put on this connection have done nothing. What is asked for is
        answered, if what was too much is what a single one of them can do, and the proxy makes another connection.
        """
        if self.is_over:
            return
        kind = self.accounts.overdrawn
        if kind in SHARED and not self._is_final and self.header_policy().is_believed:
            self.service.log.info("The proxy %s has to connect anew: too many %s", self.client_name, kind)
            self.accounts = Accounts(self.service.loop.time())
            self.end_finally()
        else:
            self.break_off(ENHANCE_YOUR_CALM, f"too many frames of one kind: {kind}")

    def fail(self) -> None:
        """End the connection, and no other, for a mistake of ours."""
        self.service.log.error("Error in the connection of %s", self.address or "unix socket", exc_info=True)
        self.is_over = True
        self.transport.abort()

    def lose_all(self, error: Exception, is_stopping: bool = False) -> None:
        """Tell all streams that nobody waits for them."""
        for stream in tuple(self.streams.values()):
            stream.client_left(error, is_stopping)

    def standing(self, now: float) -> Standing:
        """Return what the connection is doing, for who has to choose among all of them."""
        if self.is_over:
            return Standing(CLOSING, self.watch.lingering_seconds(now))
        if self.streams:
            return Standing(WAITING)
        return Standing(IDLE if self.requests else NEW, self.watch.idle_seconds(now))

    def make_way(self, state: str) -> None:
        """Close, so that others have the place at once."""
        if state in (IDLE, NEW):
            data = self.engine.farewell(NO_ERROR, b"")
            self.transport.write(data)
            if self.transport.can_write_eof():
                self.transport.close()
                return
        self.cut()

    def in_flight(self) -> tuple[Exchange, ...]:
        """Return the exchanges that are not answered."""
        return tuple(stream.exchange for stream in self.streams.values() if not stream.exchange.is_closed)

    def cut(self) -> None:
        """Close at once, whatever is on its way."""
        self.transport.abort()

    def abort(self) -> None:
        """Close at once, because the worker stops, and say so to whoever waits for this connection."""
        self.lose_all(ServerStopping("the worker is stopping"), is_stopping=True)
        self.is_over = True
        self.transport.abort()
