"""A client of HTTP/2, on the doubles: h2's client side talks to the real connection code, over either engine.

The fixture `make_http2` makes sites, `connect` gives an `Http2Client`. Raw frames are made with hyperframe.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

from clients import Client
from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from hpack import Decoder
from hyperframe.frame import Frame, HeadersFrame

from uvicorn.connections.h2_connection import Http2
from uvicorn.wire.h2_engine import PREFACE
from uvicorn.wire.h2_engines import engine_maker
from uvicorn.wire.limits import Http2Limits

ENGINES = ["ngh2", "h2"]
AUTHORITY = "example.org"


@dataclass
class Answer:
    """What a client has got on one stream."""

    status: int = 0
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    trailers: dict = field(default_factory=dict)
    hints: list = field(default_factory=list)
    is_complete: bool = False
    reset: int | None = None


class Http2Client(Client):
    """One connection, seen from the client.

    Args:
        window: what each stream may send us; None for the default.
        is_automatic: windows are opened as content comes.
        is_tls: HTTP/2 was agreed upon in the TLS handshake.
    """

    def __init__(self, site, window=None, is_automatic=True, is_tls=False, is_raw=False, **options):
        self.is_tls = is_tls
        self.is_automatic = is_automatic
        self.answers = {}
        self.events = []
        self.goaways = []
        self.pongs = 0
        self.settings = {}
        self._seen = 0
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="latin-1"))
        self.decoder = Decoder()
        super().__init__(site, **options)
        site.settle()
        if window is not None:
            self.h2.local_settings[4] = window
            self.h2.local_settings.acknowledge()
        if not is_raw:
            self.h2.initiate_connection()
            self.flush()

    def prepare(self):
        if self.is_tls:
            self.transport.extra["ssl_object"] = SimpleNamespace(selected_alpn_protocol=lambda: "h2")

    def flush(self):
        """Send what the client has to say, and read what comes back, until both are silent."""
        while True:
            data = self.h2.data_to_send()
            if data:
                self.send(data)
            if not self._read() and not self.h2.data_to_send(0) and not data:
                return

    def _read(self):
        received = self.transport.received
        data = bytes(received[self._seen :])
        self._seen = len(received)
        if not data:
            return False
        for event in self.h2.receive_data(data):
            self.events.append(event)
            self._take(event)
        return True

    def _take(self, event):
        answer = self.answers.setdefault(getattr(event, "stream_id", 0), Answer())
        if isinstance(event, events.ResponseReceived):
            answer.status = int(dict(event.headers)[":status"])
            pairs = [pair for pair in event.headers if pair[0] != ":status"]
            answer.headers = dict(pairs)
            assert len(answer.headers) == len(pairs), f"a field is doubled: {pairs}"
        elif isinstance(event, events.InformationalResponseReceived):
            answer.hints.append(dict(event.headers))
        elif isinstance(event, events.TrailersReceived):
            answer.trailers = dict(event.headers)
        elif isinstance(event, events.DataReceived):
            answer.body += event.data
            if self.is_automatic and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, events.StreamEnded):
            answer.is_complete = True
        elif isinstance(event, events.StreamReset):
            answer.reset = int(event.error_code)
        elif isinstance(event, events.ConnectionTerminated):
            self.goaways.append((event.last_stream_id, int(event.error_code)))
        elif isinstance(event, events.PingAckReceived):
            self.pongs += 1
        elif isinstance(event, events.RemoteSettingsChanged):
            self.settings.update({int(code): change.new_value for code, change in event.changed_settings.items()})

    def fields(self, method="GET", path="/", headers=(), scheme="http", authority=AUTHORITY):
        return [
            (":method", method),
            (":scheme", scheme),
            (":authority", authority),
            (":path", path),
            *headers,
        ]

    def request(self, method="GET", path="/", headers=(), body=None, ends=True, flush=True):
        """Send a request; return its stream. A body of None is none; `ends` is False if more follows."""
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, self.fields(method, path, headers), end_stream=body is None and ends)
        if body is not None:
            self.data(stream, body, ends, flush=False)
        if flush:
            self.flush()
        return stream

    def data(self, stream, body, ends=True, flush=True):
        """Send content, as the windows allow."""
        at = 0
        while at < len(body):
            room = min(self.h2.local_flow_control_window(stream), 16384)
            if not room:
                before = self._seen
                self.flush()
                assert self._seen > before, f"the window stays closed after {at} bytes"
                continue
            self.h2.send_data(stream, body[at : at + room])
            at += room
        if ends:
            self.h2.end_stream(stream)
        if flush:
            self.flush()

    def get(self, path="/", **arguments):
        """Return the answer to a request."""
        return self.answers.setdefault(self.request(path=path, **arguments), Answer())

    def reset(self, stream, code=8):
        self.h2.reset_stream(stream, code)
        self.flush()

    # ---- raw frames ----

    def begin(self, *frames):
        """Send the preface and an empty SETTINGS, and these frames."""
        self.raw(PREFACE, bytes.fromhex("000000040000000000"), *frames)

    def raw(self, *parts):
        """Send bytes and hyperframe's frames."""
        self.send(b"".join(part if isinstance(part, bytes) else part.serialize() for part in parts))

    def received_heads(self):
        """Return the status of each head that came, and forget all that came."""
        heads = [frame for frame in self.frames() if isinstance(frame, HeadersFrame)]
        return [dict(self.decoder.decode(frame.data)).get(":status") for frame in heads]

    def frames(self):
        """Return all frames that came, as hyperframe has them; and forget them."""
        data, frames = memoryview(bytes(self.transport.received[self._seen :])), []
        self._seen = len(self.transport.received)
        while data:
            frame, length = Frame.parse_frame_header(data[:9])
            frame.parse_body(data[9 : 9 + length])
            frames.append(frame)
            data = data[9 + length :]
        return frames


class Http2Sites:
    """What makes sites that speak HTTP/2 by one engine, in cleartext."""

    def __init__(self, make_site, engine):
        self._make_site = make_site
        self.engine = engine

    def __call__(self, application, cleartext="prior-knowledge", numbers=None, **options):
        """Make a site.

        Args:
            numbers: values of `Http2Limits` that are not the default.
        """
        limits = Http2Limits(**(numbers or {}))
        http2 = Http2(engine_maker(self.engine, limits)[0], cleartext)
        return self._make_site(application, http2=http2, http2_limits=limits, **options)


def connect(site, **options):
    """Return a client that is connected to a site."""
    site.clients.append(Http2Client(site, **options))
    return site.clients[-1]
