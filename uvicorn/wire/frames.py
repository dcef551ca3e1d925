"""From the bytes of a socket to its messages, and back. Sans-IO.

The library `websockets` does the frames and the compression; this file, `opening.py` and `deflate.py` alone know it.
What is added: fragments become messages, with a bound on their number, and text is checked fragment by fragment.

Spec: RFC 6455.
"""

from __future__ import annotations

import codecs
from collections.abc import Generator
from typing import Any, Final

from websockets.frames import CloseCode, Frame, Opcode
from websockets.server import ServerProtocol

from uvicorn.wire.deflate import SMALLEST_DEFLATED, deflated_frame
from uvicorn.wire.reply import Fields
from uvicorn.wire.shared import SharedMessage
from uvicorn.wire.socket_reply import BINARY, TEXT

__all__ = ["SocketCodec", "SocketProtocol"]

_CONT_OPCODE: Final = Opcode.CONT
_CLOSE_OPCODE: Final = Opcode.CLOSE
_TEXT_OPCODE: Final = Opcode.TEXT
_BINARY_OPCODE: Final = Opcode.BINARY
_INVALID_TEXT: Final = 1007
_TOO_BIG: Final = 1009
_NO_CLOSE_FRAME: Final = 1006
_FEW: Final = 126  # bytes: up to here the length is in the second byte of a frame
#: The first two bytes of a whole frame by its opcode and length (RFC 6455 section 5.2). The library would take a fifth
#: of the time of a small echo for them.
_HEADS: Final = {opcode: [bytes((0x80 | opcode, size)) for size in range(_FEW)] for opcode in (TEXT, BINARY)}


class SocketCodec:
    """The translator of one socket. Made by `open_codec` (opening.py).

    Attributes:
        fields: the header fields of the answer that accepts the handshake.
        subprotocols: what the client offers.
        is_ended: the client's close frame, or a mistake of the client, was the last thing that was read.
        has_output: the codec has to say something itself: pongs, or a close frame.
    """

    __slots__ = ("_answer", "_protocol", "_whole", "fields", "has_output", "is_ended", "subprotocols")

    def __init__(self, protocol: SocketProtocol, fields: Fields, subprotocols: list[str]) -> None:
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

    def shared(self, message: SharedMessage) -> bytes:
        """Return the frame of a message that goes to many sockets: the same one for all that take the same.

        RFC 7692 section 6: a message that is not compressed leaves what was negotiated as it is.
        """
        if self._protocol.extensions and len(message.data) >= SMALLEST_DEFLATED:
            frame = deflated_frame(self._protocol.extensions, message)
            if frame:
                return frame
        if message.frame is None:
            message.frame = Frame(Opcode(message.opcode), message.data).serialize(mask=False)
        return message.frame

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


class SocketProtocol(ServerProtocol):
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

    def __init__(self, protocol: SocketProtocol) -> None:
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
