"""Compression of the messages of a socket, which costs memory only once it is used. Sans-IO.

*Shared messages.* What goes to many sockets is compressed once for all whose clients have a window of the same size,
by a compressor of its own, which knows nothing of what was sent before. The compressor of a socket does not know that
message, which now is in the client's window; so it begins anew behind it, as a sender may before any message (section
7.1.1: to be allowed to look back is no duty). Without what was sent before, short messages become smaller by less.

Spec: RFC 7692, `permessage-deflate`.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, Final

from websockets.extensions.base import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.typing import ExtensionParameter

from uvicorn.wire.shared import SharedMessage

__all__ = ["DEFLATE", "SMALLEST_DEFLATED", "deflated_frame"]

SMALLEST_DEFLATED: Final = 128  # bytes; arbitrary: to compress so few takes longer than to make their frame
_RSV1: Final = 0x40  # in the first byte of a frame: it is compressed
# 2**12 bytes of history and 2**14 of tables for each direction: 45 KiB for a socket that compresses, where zlib's
# own choice would be 300. As `websockets` and the released uvicorn do.
_COMPRESSOR: Final[dict[str, Any]] = {"memLevel": 5}
_SETTINGS: Final = {"server_max_window_bits": 12, "client_max_window_bits": 12, "compress_settings": _COMPRESSOR}


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
        self._is_behind = False  # the compressor does not know what the client has got last

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        if self._deflate is None:
            if not frame.rsv1 or frame.opcode is Opcode.CONT:
                return frame
            self._deflate = PerMessageDeflate(*self._arguments)
        return self._deflate.decode(frame, max_size=max_size)

    def encode(self, frame: Frame) -> Frame:
        if len(frame.data) < SMALLEST_DEFLATED:  # RFC 7692 section 6: each message may be compressed or not
            return frame
        if self._deflate is None:
            self._deflate = PerMessageDeflate(*self._arguments)
        elif self._is_behind and not self._deflate.local_no_context_takeover:
            self._deflate.encoder = _compressor(self._deflate.local_max_window_bits)
        self._is_behind = False
        return self._deflate.encode(frame)

    def shared(self, message: SharedMessage) -> bytes:
        """Return the compressed frame of a message; empty if that is not smaller."""
        bits: int = self._arguments[3]
        frame = message.deflated.get(bits)
        if frame is None:
            frame = message.deflated[bits] = _frame_of(message, bits)
        if frame:
            self._is_behind = True
        return frame


class _DeflateFactory(ServerPerMessageDeflateFactory):
    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[ExtensionParameter], Any]:
        response, extension = super().process_request_params(params, accepted_extensions)
        return response, _Deflate(extension)


def deflated_frame(extensions: Sequence[Extension], message: SharedMessage) -> bytes:
    """Return the compressed frame of a message that goes to many sockets.

    Args:
        extensions: of this socket.

    Returns: nothing if the socket compresses no messages, or this one does not become smaller.
    """
    for extension in extensions:
        if isinstance(extension, _Deflate):
            return extension.shared(message)
    return b""


def _frame_of(message: SharedMessage, bits: int) -> bytes:
    compressor = _compressor(bits)
    data = compressor.compress(message.data) + compressor.flush(zlib.Z_SYNC_FLUSH)
    data = data[:-4]  # section 7.2.1
    if len(data) >= len(message.data):
        return b""
    frame = Frame(Opcode(message.opcode), data).serialize(mask=False)
    return bytes((frame[0] | _RSV1,)) + frame[1:]


def _compressor(bits: int) -> Any:
    return zlib.compressobj(wbits=-bits, **_COMPRESSOR)


#: offered to clients, as `websockets` wants it
DEFLATE: Final = [_DeflateFactory(**_SETTINGS)]  # type: ignore[arg-type]
