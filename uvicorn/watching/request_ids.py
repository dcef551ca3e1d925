"""One id for each request, by which its lines are found in all logs: that of a trusted proxy, or one of our own.

The id is in `message["request_id"]`, in the request's `x-request-id` field (whoever reads that finds the id that is in
the log), in the same field of the response, and in `current_request_id` wherever code runs for the request.
"""

from __future__ import annotations

import contextvars
import os
import re
from typing import Any, Final

__all__ = ["RequestIds", "current_request_id", "is_request_id"]

_FIELD: Final = b"x-request-id"
_SPELLINGS: Final = frozenset((_FIELD, b"x_request_id"))  # one name for WSGI, where `header_map` lets the other pass
# Letters, digits, and what ids of all kinds have between them: UUIDs, base64, paths of Envoy and AWS. No quotes, spaces
# or commas, which would break lines of logs and lists. The length is that of the longest which Heroku takes.
_ID: Final = re.compile(rb"[A-Za-z0-9._~+/=:@-]{1,200}")
_RANDOM_BYTES: Final = 16  # as many as a UUID has

#: the id of the request for which code runs just now; None outside of requests
current_request_id: Final[contextvars.ContextVar[str | None]] = contextvars.ContextVar(
    "uvicorn_request_id", default=None
)


class RequestIds:
    """An attendant that gives each request an id."""

    def begin(self, exchange: Any, message: dict[str, Any], is_believed: bool) -> None:
        """Take the id that a trusted peer has sent, if it is one; otherwise make one, and put it in its place."""
        values = [field[1] for field in exchange.headers if field[0] in _SPELLINGS]
        if is_believed and len(values) == 1 and is_request_id(values[0]):
            value = values[0]
        else:
            value = os.urandom(_RANDOM_BYTES).hex().encode()
        if values != [value]:
            for headers in (message["headers"], exchange.headers):
                if values:
                    headers[:] = [field for field in headers if field[0] not in _SPELLINGS]
                headers.append([_FIELD, value])
        text = value.decode()
        attended = exchange.attended
        attended.request_id = message["request_id"] = text
        attended.block = b"x-request-id: %b\r\n" % value
        attended.block_name = b"x-request-id:"
        current_request_id.set(text)

    def end(self, exchange: Any) -> None:
        """Do nothing."""

    def end_socket(self, socket: Any) -> None:
        """Do nothing."""

    def figures(self) -> dict[str, Any]:
        """Return none."""
        return {}


def is_request_id(value: bytes) -> bool:
    """Whether this may be the id of a request: by its length and its characters."""
    return _ID.fullmatch(value) is not None
