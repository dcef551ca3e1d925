"""The chunks of a request body, as a consumer gets them: what all body channels have in common.

Theory of operation
-------------------
Nothing here waits, and nothing is shared: each function runs where its channel's `receive` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from uvicorn.errors import BodyTooLarge, ChannelClosed

__all__ = ["BlockingReader", "content_of", "joined", "loss", "too_large"]


class BlockingReader:
    """A body channel for a thread: iteration and `read`, made of `receive`."""

    _is_over: bool  # the last chunk, or the loss, was told

    @property
    def closed(self) -> bool:
        """Whether nothing can be received any more."""
        return self._is_over

    def receive(self) -> dict[str, Any]:
        """Return the next chunk: {"content": bytes, "more_content": bool}."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[bytes]:
        while not self._is_over:
            content = content_of(self.receive())
            if content:
                yield content

    def read(self, limit: int) -> bytes:
        """Gather the rest of the body.

        Args:
            limit: the most bytes to gather.

        Raises: BodyTooLarge past the limit; else as `receive`, and ChannelClosed if the client left.
        """
        chunks: list[bytes] = []
        left = limit
        for chunk in self:
            left -= len(chunk)
            if left < 0:
                raise too_large(limit)
            chunks.append(chunk)
        return joined(chunks)


def loss(error: Exception) -> dict[str, Any]:
    """Return what `receive` gives if the client has left. Raises: what else has gone wrong."""
    if type(error) is ChannelClosed:
        return {"closed": True}
    raise error


def content_of(chunk: dict[str, Any]) -> bytes:
    """Return the bytes of a chunk. Raises: ChannelClosed if it says that the client has left."""
    if "closed" in chunk:
        raise ChannelClosed("the client left before its body was complete")
    content: bytes = chunk["content"]
    return content


def too_large(limit: int) -> BodyTooLarge:
    """Return the error for a body that passes the limit given to `read`."""
    return BodyTooLarge(f"the body is larger than the limit of {limit} bytes given to read()")


def joined(chunks: list[bytes]) -> bytes:
    """Return all chunks as one; without a copy if there is only one."""
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
