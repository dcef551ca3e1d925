"""From the bytes of a socket to its messages, and back. Sans-IO.

The library `websockets` does the handshake's arithmetic, the frames and the compression; this is the only file
that knows it. What is added: fragments become messages, with a bound on their number; text is checked fragment by
fragment; and compression costs memory only once it is used.

Spec: RFC 6455; RFC 7692 for `permessage-deflate`.
"""

from __future__ import annotations

import codecs
import logging
from collections.abc import Generator, Sequence
from typing import Any, Final, NamedTuple

from websockets.datastructures import Headers as HandshakeHeaders
from websockets.datastructures import MultipleValuesError
from websockets.exceptions import InvalidHeader
from websockets.extensions.base import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import CloseCode, Frame, Opcode
from websockets.headers import parse_subprotocol
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import ExtensionParameter

from uvicorn.messages import Headers
from uvicorn.wire.limits import SocketLimits
from uvicorn.wire.reply import Fields, encode_fields
from uvicorn.wire.socket_reply import BINARY, TEXT

__all__ = ["Refusal", "SocketCodec", "open_codec"]

_CONT_OPCODE: Final = Opcode.CONT
_CLOSE_OPCODE: Final = Opcode.CLOSE
_TEXT_OPCODE: Final = Opcode.TEXT
_BINARY_OPCODE: Final = Opcode.BINARY
_INVALID_TEXT: Final = 1007
_TOO_BIG: Final = 1009
_NO_CLOSE_FRAME: Final = 1006
_SMALLEST_DEFLATED: Final = 128  # bytes; arbitrary: to compress so few takes longer than to make their frame
_VERSION: Final = "13"
_FEW: Final = 126  # bytes: up to here the length is in the second byte of a frame
#: The first two bytes of a whole frame by its opcode and length (RFC 6455 section 5.2). The library would take a fifth
#: of the time of a small echo for them.
_HEADS: Final = {opcode: [bytes((0x80 | opcode, size)) for size in range(_FEW)] for opcode in (TEXT, BINARY)}
# 2**12 bytes of history and 2**14 of tables for each direction: 45 KiB for a socket that compresses, where zlib's
# own choice would be 300. As `websockets` and the released uvicorn do.
_DEFLATE: Final = {"server_max_window_bits": 12, "client_max_window_bits": 12, "compress_settings": {"memLevel": 5}}

# It tells of each connection; Gunicorn's log is told by us.
_LOGGER: Final = logging.getLogger("uvicorn.websocket")
_LOGGER.setLevel(logging.ERROR)


class Refusal(NamedTuple):
    """The answer to a handshake that is not a valid one."""

    status: int
    fields: Fields
    content: bytes


class SocketCodec:
    """The translator of one socket. Made by `open_codec`.

    Attributes:
        fields: the header fields of the answer that accepts the handshake.
        subprotocols: what the client offers.
        is_ended: the client's close frame, or a mistake of the client, was the last thing that was read.
        has_output: the codec has to say something itself: pongs, or a close frame.
    """

    __slots__ = ("_answer", "_protocol", "_whole", "fields", "has_output", "is_ended", "subprotocols")

    def __init__(self, protocol: _Protocol, fields: Fields, subprotocols: list[str]) -> None:
        self._protocol = protocol
        self._whole: _WholeFrames | None = None
        self._answer = b""  # to the client's close frame
        self.fields = fields
        self.subprotocols = subprotocols
        self.is_ended = self.has_output = False

    def feed(self, data: bytes) -> list[str | bytes]:
        """Take in what the client sent; return the messages that are complete, str for text.

        Call `output` afterwards if `has_output`; then `is_ended` may have become true.
        """
        protocol = self._protocol
        messages: list[str | bytes] = []
        if protocol.takes_whole_frames:
            if self._whole is None:
                self._whole = _WholeFrames(protocol)
            data = self._whole.take(data, messages)
            if not data:
                return messages
        protocol.read(data, messages)
        self.has_output = bool(protocol.writes)
        return messages

    def message(self, opcode: int, data: bytes) -> bytes:
        """Return the frame of a message, TEXT (in UTF-8) or BINARY."""
        if len(data) < _FEW:  # never compressed: two bytes and the message are the frame
            return _HEADS[opcode][len(data)] + data
        if self._answer:  # for the library we have sent it
            return Frame(Opcode(opcode), data).serialize(mask=False, extensions=self._protocol.extensions)
        if opcode == TEXT:
            self._protocol.send_text(data)
        else:
            self._protocol.send_binary(data)
        return self.output()

    def ping(self) -> bytes:
        """Return a ping."""
        self._protocol.send_ping(b"")
        return self.output()

    @property
    def owes_close(self) -> bool:
        """Whether the client's close frame is to be answered with `close`; until then messages can be sent."""
        return bool(self._answer)

    def close(self, code: int, reason: str) -> bytes:
        """Return a close frame: the answer to the client's, if there is one."""
        answer, self._answer = self._answer, b""
        if answer:
            return answer
        self._protocol.send_close(code, reason)
        return self.output()

    def output(self) -> bytes:
        """Return what is to be written now; not the answer to the client's close frame."""
        self.has_output = False
        parts = self._protocol.data_to_send()
        if len(parts) == 1 and parts[0]:
            return parts[0]
        if b"" in parts:  # the library's sign for the end of what we send
            self.is_ended = True
            if self._protocol.close_rcvd_then_sent:
                self._answer = parts[-2]
                del parts[-2:]
        return b"".join(parts)

    @property
    def received_code(self) -> int:
        """The code of the client's close frame, 1005 if it was empty; 0 if none came."""
        close = self._protocol.close_rcvd
        return int(close.code) if close is not None else 0

    @property
    def ending(self) -> tuple[int, str]:
        """How the socket ended, code and reason: as the client said, or as we did, or 1006 if no close frame came."""
        for close in (self._protocol.close_rcvd, self._protocol.close_sent):
            if close is not None:
                return int(close.code), close.reason
        return _NO_CLOSE_FRAME, ""


class _Protocol(ServerProtocol):
    """Frames to messages, one frame after the other: so the verdict does not depend on how they were cut.

    Attributes:
        most_fragments: of a message.
        takes_whole_frames: the next byte begins a message, and none was compressed yet.
        is_plain: no frame was compressed, or wrong.
    """

    most_fragments = 0
    takes_whole_frames = is_plain = True
    _messages: list[str | bytes] | None = None  # those that are complete, while something is read
    _parts: list[Any] | None = None  # the fragments of a message that is not complete
    _fragments = 0
    _decoder: codecs.IncrementalDecoder | None = None  # of a text

    def read(self, data: bytes, messages: list[str | bytes]) -> None:
        """Take in what the client sent; add the messages that are complete."""
        self._messages = messages
        self.receive_data(data)
        self._messages = None
        self.events.clear()
        self.takes_whole_frames = self.is_plain and self.current_size is None and not self.reader.buffer

    def recv_frame(self, frame: Frame) -> None:
        """Take one frame. Called by the library for each, before it looks at the next one."""
        opcode = frame.opcode
        if opcode is _CLOSE_OPCODE:
            # RFC 6455 section 5.4 lets control frames come in the middle of a message; the library would answer 1002,
            # which case 7.1.5 of the Autobahn suite forbids.
            self.current_size = None
        ServerProtocol.recv_frame(self, frame)  # super() would cost a small echo one percent
        messages = self._messages
        assert messages is not None
        try:
            if opcode is _TEXT_OPCODE and frame.fin:
                messages.append(bytes(frame.data).decode())
            elif opcode is _BINARY_OPCODE and frame.fin:
                messages.append(bytes(frame.data))
            elif opcode in (_CONT_OPCODE, _TEXT_OPCODE, _BINARY_OPCODE):
                self._take_fragment(frame, messages)
        except UnicodeDecodeError:
            self.fail(_INVALID_TEXT, "text that is not UTF-8")

    def fail(self, code: CloseCode | int, reason: str = "") -> None:
        """Send a close frame, and look at nothing more."""
        self._parts = self._decoder = None
        ServerProtocol.fail(self, code, reason)

    def _take_fragment(self, frame: Frame, messages: list[str | bytes]) -> None:
        parts = self._parts
        if parts is None:
            parts = self._parts = []
            self._fragments = 0
            if frame.opcode is _TEXT_OPCODE:
                self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._fragments += 1
        if self._fragments > self.most_fragments:
            self.fail(_TOO_BIG, f"more than {self.most_fragments} fragments")
            return
        decoder = self._decoder
        part: Any = bytes(frame.data) if decoder is None else decoder.decode(bytes(frame.data), frame.fin)
        if part:
            parts.append(part)
        if frame.fin:
            messages.append(b"".join(parts) if decoder is None else "".join(parts))
            self._parts = self._decoder = None


class _WholeFrames:
    """The reader of messages that came whole, in one frame each.

    It is the library's parser for a frame, without what it has around it for frames that come in pieces: a quarter of
    the time of a small echo. What is not a whole message without compression is left to the rest of the library.
    """

    __slots__ = ("_at", "_data", "_frames", "_protocol")

    def __init__(self, protocol: _Protocol) -> None:
        self._protocol = protocol
        self._data = b""
        self._at = 0
        self._frames = self._parse()

    def take(self, data: bytes, messages: list[str | bytes]) -> bytes:
        """Add the messages that these bytes begin with; return the rest."""
        self._data = data
        self._at = at = 0
        try:
            while at < len(data):
                frame = next(self._frames)
                if frame is None:  # it is not complete
                    self._frames = self._parse()
                    break
                if frame.opcode is _TEXT_OPCODE and frame.fin:
                    messages.append(frame.data.decode())
                elif frame.opcode is _BINARY_OPCODE and frame.fin:
                    messages.append(bytes(frame.data))
                else:
                    break
                at = self._at
        except Exception:  # the library will say what is wrong with it
            self._protocol.is_plain = False
            self._frames = self._parse()
        self._data = b""
        return data[at:] if at else data

    def _parse(self) -> Generator[Any, None, None]:
        """Yield each frame, or None if bytes are missing."""
        read_exact, max_size = self._read_exact, self._protocol.max_message_size
        while True:
            yield (yield from Frame.parse(read_exact, mask=True, max_size=max_size))

    def _read_exact(self, size: int) -> Generator[None, None, bytes]:
        at = self._at
        self._at = end = at + size
        if end > len(self._data):
            yield
        return self._data[at:end]


class _Deflate(Extension):
    """Compression from the first message on that is worth it: until then a socket has no tables and no history."""

    name = ServerPerMessageDeflateFactory.name

    def __init__(self, negotiated: PerMessageDeflate) -> None:
        # In the order of its constructor. The negotiated one is let go, with its tables.
        self._arguments = (
            negotiated.remote_no_context_takeover,
            negotiated.local_no_context_takeover,
            negotiated.remote_max_window_bits,
            negotiated.local_max_window_bits,
            negotiated.compress_settings,
        )
        self._deflate: PerMessageDeflate | None = None

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        if self._deflate is None:
            if not frame.rsv1 or frame.opcode is _CONT_OPCODE:
                return frame
            self._deflate = PerMessageDeflate(*self._arguments)
        return self._deflate.decode(frame, max_size=max_size)

    def encode(self, frame: Frame) -> Frame:
        if len(frame.data) < _SMALLEST_DEFLATED:  # RFC 7692 section 6: each message may be compressed or not
            return frame
        if self._deflate is None:
            self._deflate = PerMessageDeflate(*self._arguments)
        return self._deflate.encode(frame)


class _DeflateFactory(ServerPerMessageDeflateFactory):
    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[ExtensionParameter], Any]:
        response, extension = super().process_request_params(params, accepted_extensions)
        return response, _Deflate(extension)


_DEFLATE_FACTORIES: Final = [_DeflateFactory(**_DEFLATE)]  # type: ignore[arg-type]


def open_codec(headers: Headers, limits: SocketLimits) -> SocketCodec | Refusal:
    """Check the header fields of a handshake; return the socket's codec, or the answer to what is not valid.

    Spec: RFC 6455 section 4.2.
    """
    fields = HandshakeHeaders((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)
    negotiation = ServerProtocol(
        extensions=_DEFLATE_FACTORIES if limits.deflate else None,
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
    protocol = _Protocol(state=State.OPEN, max_size=limits.max_message_size or None, logger=_LOGGER)
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
