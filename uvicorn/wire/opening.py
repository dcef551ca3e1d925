"""From the header fields of a request to the codec of its socket, or to the answer that refuses it. Sans-IO.

Spec: RFC 6455 section 4.2.
"""

from __future__ import annotations

import logging
from typing import Final, NamedTuple

from websockets.datastructures import Headers as HandshakeHeaders
from websockets.datastructures import MultipleValuesError
from websockets.exceptions import InvalidHeader
from websockets.headers import parse_subprotocol
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from uvicorn.messages import Headers
from uvicorn.wire.deflate import DEFLATE
from uvicorn.wire.frames import SocketCodec, SocketProtocol
from uvicorn.wire.limits import SocketLimits
from uvicorn.wire.reply import Fields, encode_fields

__all__ = ["Refusal", "open_codec"]

_VERSION: Final = "13"

# It tells of each connection; Gunicorn's log is told by us.
_LOGGER: Final = logging.getLogger("uvicorn.websocket")
_LOGGER.setLevel(logging.ERROR)


class Refusal(NamedTuple):
    """The answer to a handshake that is not a valid one."""

    status: int
    fields: Fields
    content: bytes


def open_codec(headers: Headers, limits: SocketLimits) -> SocketCodec | Refusal:
    """Check the header fields of a handshake; return the socket's codec, or the answer to what is not valid.

    Spec: RFC 6455 section 4.2.
    """
    fields = HandshakeHeaders((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)
    negotiation = ServerProtocol(
        extensions=DEFLATE if limits.deflate else None,
        select_subprotocol=_none_selected,
        logger=_LOGGER,
    )
    response = negotiation.accept(Request("/", fields))
    if response.status_code != 101:
        return _refusal(response, fields)
    try:
        offered = [name for value in fields.get_all("Sec-WebSocket-Protocol") for name in parse_subprotocol(value)]
    except InvalidHeader:
        return _refusal(negotiation.reject(400, "Invalid Sec-WebSocket-Protocol.\n"), fields)
    # The one that negotiated waits for a request's bytes; this one begins with frames.
    protocol = SocketProtocol(state=State.OPEN, max_size=limits.max_message_size or None, logger=_LOGGER)
    protocol.extensions = negotiation.extensions
    answer = [
        (name.lower(), value)
        for name, value in response.headers.raw_items()
        if name.lower() in ("sec-websocket-accept", "sec-websocket-extensions")
    ]
    protocol.most_fragments = limits.max_fragments
    return SocketCodec(protocol, encode_fields(answer), [str(name) for name in offered])


def _none_selected(*_: object) -> None:
    """Leave the subprotocol to the consumer."""


def _refusal(response: Response, headers: HandshakeHeaders) -> Refusal:
    status, fields = response.status_code, [("content-type", "text/plain; charset=utf-8")]
    try:
        version = headers.get("Sec-WebSocket-Version")
    except MultipleValuesError:
        version = None
    if version != _VERSION:
        status = 426  # RFC 6455 section 4.2.2; RFC 9110 section 15.5.22
    if status == 426:
        fields += [("upgrade", "websocket"), ("sec-websocket-version", _VERSION)]
    return Refusal(status, encode_fields(fields), bytes(response.body or b""))
