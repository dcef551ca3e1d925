"""What a connection may begin with, before its first head: a PROXY header, the preface of HTTP/2. Loop thread only."""

from __future__ import annotations

from typing import Any

from uvicorn.connections.client_connection import ClientConnection
from uvicorn.connections.life import HEAD, PREFACE
from uvicorn.connections.service import Service
from uvicorn.errors import ClientError
from uvicorn.wire.framing import HeadBuffer
from uvicorn.wire.h2_engine import PREFACE as HTTP2_PREFACE
from uvicorn.wire.proxy import LONGEST_PROXY_HEADER, read_proxy_header

__all__ = ["BeginningConnection"]


class BeginningConnection(ClientConnection):
    """One connection, as far as to its first head. Arguments as those of its base."""

    __slots__ = ("_buffer",)

    def __init__(self, service: Service, client: list[Any] | None, server: list[Any] | None, place: str) -> None:
        super().__init__(service, client, server, place)
        self._buffer = HeadBuffer(service.limits)
        if self.life.state == HEAD and service.http2 is not None:
            self._await_preface()

    def _find_head(self, data: bytes, at: int) -> int:
        """Take the next head, if it is complete; return where the next bytes begin. Raises: ClientError."""
        raise NotImplementedError

    def _take_proxy_header(self, data: bytes, at: int) -> int:
        """Read the PROXY header, if there is one; return where the next bytes begin.

        Raises: ClientError, 400, or 403 from a peer that is not in `proxy_allow_ips`.
        """
        gathered = self._buffer.data
        before = len(gathered)
        gathered += data[at : at + LONGEST_PROXY_HEADER]
        header = read_proxy_header(gathered, self.service.peers.proxy_mode)
        if header is None:
            self.watch.on_head_began()
            return min(len(data), at + LONGEST_PROXY_HEADER)
        self.life.on("proxy_read")
        if self.service.http2 is not None:
            self._await_preface()
        if not header.size:
            held = bytes(gathered[:before])
            gathered.clear()
            if self.life.state == PREFACE:
                gathered += held
                return self._take_preface(data, at)
            if held:  # what began like a PROXY header: no complete head
                self._buffer.take(held, 0)
            return self._find_head(data, at)
        gathered.clear()
        self.watch.head_since = 0.0
        if not self.service.peers.may_send_proxy_header(self.address):
            raise ClientError(403, "PROXY header from a peer that is not in proxy_allow_ips")
        if header.client is not None:
            place = self.service.addresses.enter_proxied(str(header.client[0]))
            if place is None:
                raise ClientError(503, "too many connections of this client (limit_connections_per_address)")
            self.place = place
            self._parser.set_policy(self.service.peers.policy_behind(self.address, str(header.client[0])))
            self._parser.set_base(self.service.base_message(header.client, header.server))
        return at + header.size - before

    def _await_preface(self) -> None:
        """Look for the preface of HTTP/2 first, if this peer may begin so."""
        service = self.service
        if service.http2 is not None and service.http2.is_cleartext and service.peers.may_begin_http2(self.address):
            self.life.on("awaits_preface")

    def _take_preface(self, data: bytes, at: int) -> int:
        """Look for the preface of HTTP/2; return where the next bytes begin.

        Raises: ClientError 400 if there is none, and this peer has to send it.
        """
        http2 = self.service.http2
        assert http2 is not None
        held = bytes(self._buffer.data)
        begun = held + data[at : at + len(HTTP2_PREFACE) - len(held)]
        if len(begun) < len(HTTP2_PREFACE) and HTTP2_PREFACE.startswith(begun):
            self._buffer.data += begun[len(held) :]
            self.watch.on_head_began()
            return at + len(begun) - len(held)
        self._buffer.data.clear()
        if begun == HTTP2_PREFACE:
            self.watch.head_since = 0.0
            self.service.connections.discard(self)
            http2.begin(self, has_preface=True)
            return at + len(begun) - len(held)
        if http2.is_strict:
            raise ClientError(400, "no preface of HTTP/2 from a peer that is to send it (http2_cleartext)")
        self.life.on("preface_read")
        if held:
            self._buffer.take(held, 0)
        return self._find_head(data, at)
