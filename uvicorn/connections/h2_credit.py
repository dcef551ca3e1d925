"""How far the client of one stream may be ahead of who takes what it sends. Loop thread only."""

from __future__ import annotations

from uvicorn.connections.h2_owner import StreamOwner

__all__ = ["Credit"]


class Credit:
    """When the window of a stream opens: as its bytes are taken, and not as they come.

    In the shape of an `Intake`, for `RequestBody`.
    """

    __slots__ = ("_owed", "_owner", "_stream_id", "reasons")

    def __init__(self, owner: StreamOwner, stream_id: int) -> None:
        self._owner = owner
        self._stream_id = stream_id
        self._owed = 0  # bytes that came and did not open the window again
        self.reasons = 0  # why it stays closed; 0 if it does not

    @property
    def is_held(self) -> bool:
        """Whether the consumer is behind."""
        return self.reasons != 0

    def came(self, size: int) -> None:
        """Count what has come and is taken, or waits."""
        self._owed += size
        if not self.reasons:
            self.settle()

    def hold(self, reason: int) -> None:
        """Leave the window closed, for this reason too."""
        self.reasons |= reason

    def release(self, reason: int) -> None:
        """Open the window, if this was the last reason not to."""
        if self.reasons & reason:
            self.reasons &= ~reason
            if not self.reasons:
                self.settle()

    def settle(self) -> None:
        """Open the window for all that has come."""
        if self._owed:
            owner = self._owner
            owner.engine.took(self._stream_id, self._owed)
            self._owed = 0
            owner.wants_flush()
