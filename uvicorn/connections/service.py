"""What all connections of one worker share."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from uvicorn.bridge.consumer import Consumer
from uvicorn.bridge.dispatcher import Dispatcher
from uvicorn.bridge.file_reader import FileReader
from uvicorn.bridge.outbox import Log, Outbox
from uvicorn.bridge.socket_calls import CallRunner
from uvicorn.bridge.spool import SpoolWriter
from uvicorn.connections.addresses import AddressLimit, Peers
from uvicorn.connections.crowding import Standing
from uvicorn.connections.file_turns import file_turns
from uvicorn.connections.numbers import Numbers
from uvicorn.connections.turns import Turns
from uvicorn.errors import ConsumeLater
from uvicorn.wire.encoder import Encoder
from uvicorn.wire.limits import Limits

__all__ = ["Application", "Client", "Lent", "NextVersion", "Service", "Ticking"]


_NOT_LATER: Final = (
    ": ConsumeLater is for the messages of channels, which can wait, not for those of requests and sockets. Answer, or "
    "send what has to be done to a channel: Channel(name).send(..., delay=seconds)"
)


class Application(Protocol):
    """What is served: it finds the consumer for a message, or None."""

    only: Consumer | None  # serves every request, if it is set
    by_content: bool  # each message of a socket is looked up by what it says

    def find(self, channel: str, path: str, message: Mapping[str, Any] | None = None) -> Consumer | None:
        """Return the consumer for a message of this channel and path; other keys may be matched, too."""


class Lent(Protocol):
    """What a connection that goes on as one of HTTP/2 hands over."""

    service: Service
    transport: asyncio.Transport
    intake: Any
    place: str
    address: str | None

    def addresses(self) -> tuple[list[Any] | None, list[Any] | None]:
        """Return the client's and our address, as the messages have them."""


class NextVersion(Protocol):
    """What knows HTTP/2, and when a connection speaks it."""

    is_cleartext: bool  # a trusted client may begin with the preface, without TLS
    is_strict: bool  # and has to

    def is_negotiated(self, transport: asyncio.BaseTransport) -> bool:
        """Whether client and server have agreed upon it in their TLS handshake."""

    def begin(self, connection: Lent, has_preface: bool) -> None:
        """Go on with a connection, whose preface was read already or not."""


class Attendable(Protocol):
    """A request or a socket, for the log."""

    attended: Any  # `attendants.Attended`, or None

    @property
    def consumer_name(self) -> str:
        """How logs call the consumer."""

    @property
    def shown_line(self) -> str:
        """What is called, safe to log."""


class Accompanying(Protocol):
    """What goes with each request: `attendants.Attendants`."""

    def begin(self, exchange: Any, message: dict[str, Any], is_believed: bool) -> None:
        """A head was read: the exchange gets its `attended`. Must not raise."""

    def end_socket(self, socket: Any) -> None:
        """A socket that was accepted is gone. Must not raise."""

    def figures(self) -> dict[str, Any]:
        """Return the numbers of its own: family -> labels -> value."""


class Ticking(Protocol):
    """What is looked at once a second."""

    def tick(self, now: float) -> None:
        """Look at all deadlines; `now` is loop time, in seconds."""


class Client(Protocol):
    """What the server asks of a connection, and of a socket."""

    @property
    def watch(self) -> Ticking:
        """What is looked at once a second."""

    @property
    def client_name(self) -> str:
        """The client's address, for the log."""

    def standing(self, now: float) -> Standing:
        """Return what it is doing, for who has to choose among all; without a state if another one tells it."""

    def make_way(self, state: str) -> None:
        """Close, so that others have the place at once; `state` is what it is doing."""

    def in_flight(self) -> Sequence[Any]:
        """Return the exchanges that are not answered."""

    def begin_ending(self) -> None:
        """Come to an end soon: the worker stops."""

    def abort(self) -> None:
        """Close at once, because the worker stops, and say so to whoever waits for it."""

    def cut(self) -> None:
        """Close at once, whatever is on its way."""


class Service:
    """What all connections of a worker share, and the few numbers that they change together.

    Args:
        on_most_requests: called for each request from the `most_requests`-th on.
        report: called with each exchange that has ended, for the access log; None if nobody wants it.
        shows_errors: put tracebacks into 500 responses (`--reload`).
        clock: loop time, but exact: uvloop's own is that of the beginning of its turn, in milliseconds.
        http2: what knows HTTP/2; None if it is not served.
        attendants: what goes with each request; None if nothing does. `report` is theirs then.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        application: Application,
        dispatcher: Dispatcher,
        outbox: Outbox,
        encoder: Encoder,
        spools: SpoolWriter,
        peers: Peers,
        log: Log,
        *,
        scheme: str = "http",
        root_path: str = "",
        most_requests: int = sys.maxsize,
        on_most_requests: Callable[[], None] = lambda: None,
        report: Callable[[Any], None] | None = None,
        shows_errors: bool = False,
        clock: Callable[[], float] | None = None,
        http2: NextVersion | None = None,
        attendants: Accompanying | None = None,
    ) -> None:
        self.loop: Final = loop
        self.clock: Final = loop.time if clock is None else clock
        self.limits: Final = limits
        self.application: Final = application
        self.dispatcher: Final = dispatcher
        self.outbox: Final = outbox
        self.encoder: Final = encoder
        self.spools: Final = spools
        self.files = FileReader(outbox)
        self.peers: Final = peers
        self.log: Final = log
        self.scheme: Final = scheme
        self.root_path: Final = root_path
        self.has_hooks: Final = dispatcher.hooks is not None
        self.requests = 0
        self.numbers: Final = Numbers()
        self.most_requests: Final = most_requests
        self.on_most_requests: Final = on_most_requests
        self.report: Final = report
        self.shows_errors: Final = shows_errors
        self.http2: Final = http2
        self.attendants: Final = attendants
        self.connections: Final[set[Client]] = set()
        self.sockets: Final[set[Client]] = set()
        self.raw_sockets: Final[set[Any]] = set()  # of WSGI applications; until their threads have returned
        self.turns: Final = Turns(loop.call_soon)
        self.file_turns: Final = file_turns(loop.call_soon)
        self.call_runner: Final = CallRunner(dispatcher)
        self.addresses: Final = AddressLimit(limits.connections_per_address, peers)
        self.on_connection_lost: Callable[[str], None] = lambda place: None  # called with its place in `addresses`
        self.is_observed: Final = report is not None or dispatcher.hooks is not None  # times must be exact
        self.keeps_connections: Final = limits.keepalive > 0
        self.is_stopping = False
        self.wants_collection = False  # a reply channel may be held by nothing but a cycle of references
        self.now = loop.time()  # set by each tick: exact to a second

    def begin_stopping(self) -> None:
        """Have each response from here on say that it is the connection's last; close the sockets."""
        self.is_stopping = True
        for client in (*self.connections, *self.sockets):
            client.begin_ending()

    def log_of(self, owner: Attendable) -> Log:
        """Return what writes lines about one request, or socket: each has the request's id."""
        return self.log if owner.attended is None else owner.attended.log(self.log)

    def log_failure(self, owner: Attendable, error: BaseException) -> None:
        """Log what a consumer has raised."""
        if owner.attended is not None:
            owner.attended.on_failed(error)
        self.log_of(owner).error(
            "Error in %s: %s%s",
            owner.consumer_name,
            owner.shown_line,
            _NOT_LATER if isinstance(error, ConsumeLater) else "",
            exc_info=(type(error), error, error.__traceback__),
        )

    def shown_error(self, error: BaseException) -> str:
        """Return what a 500 response shows of an error: nothing, but in development."""
        if not self.shows_errors:
            return ""
        return "".join(traceback.format_exception(type(error), error, error.__traceback__))

    def base_message(self, client: list[Any] | None, server: list[Any] | None) -> dict[str, Any]:
        """Return a message with what all requests of one connection have in common.

        The other keys are there already: copying a dict is cheaper than letting it grow.
        """
        return {
            "channel": "http.request",
            "reply_channel": None,
            "http_version": "1.1",
            "method": "",
            "scheme": self.scheme,
            "path": "",
            "raw_path": b"",
            "query_string": b"",
            "root_path": self.root_path,
            "headers": [],
            "body": b"",
            "body_channel": None,
            "client": client,
            "server": server,
            "channel_session": {},
            "request_id": None,
        }
