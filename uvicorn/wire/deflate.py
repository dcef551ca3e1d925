"""Compression of the messages of a socket, which costs memory only once it is used. Sans-IO.

Spec: RFC 7692, `permessage-deflate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from websockets.extensions.base import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.typing import ExtensionParameter

__all__ = ["DEFLATE"]

_SMALLEST_DEFLATED: Final = 128  # bytes; arbitrary: to compress so few takes longer than to make their frame
# 2**12 bytes of history and 2**14 of tables for each direction: 45 KiB for a socket that compresses, where zlib's
# own choice would be 300. As `websockets` and the released uvicorn do.
_SETTINGS: Final = {"server_max_window_bits": 12, "client_max_window_bits": 12, "compress_settings": {"memLevel": 5}}


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
            if not frame.rsv1 or frame.opcode is Opcode.CONT:
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


#: offered to clients, as `websockets` wants it
DEFLATE: Final = [_DeflateFactory(**_SETTINGS)]  # type: ignore[arg-type]
