"""The request line: read once, and remembered. Sans-IO.

Sites have few paths that are asked for often, so most request lines have been seen before, from this client or
another. What a line says is one object that all its exchanges share; nobody writes to it.

Spec: RFC 9112 section 3.
"""

from __future__ import annotations

from typing import Any, Final

from uvicorn.messages import Headers, split_target
from uvicorn.wire.head import target_of

__all__ = ["NO_REQUEST_LINE", "REMEMBERED", "RequestLine", "read_request_line"]

_SLASH: Final = 0x2F
_LONGEST_REMEMBERED: Final = 256  # bytes; arbitrary, as the next: together under half a megabyte
_MOST_REMEMBERED: Final = 512  # emptied when full

#: Lines that httptools has passed, without their CRLF; their targets are in origin-form.
REMEMBERED: Final[dict[bytes, RequestLine]] = {}


class RequestLine:
    """Hold what one request line says.

    Args:
        target: as received.
        split: path, raw path and query string, as `split_target` returns them.

    Attributes:
        path: decoded.
        keys: what it puts into a message.
        is_usual: HTTP/1.1, and not HEAD: the response has a body, and the connection is kept.
    """

    __slots__ = ("http_version", "is_head", "is_http10", "is_usual", "keys", "method", "path", "target")

    def __init__(self, method: str, target: bytes, http_version: str, split: tuple[str, bytes, bytes]) -> None:
        self.method = method
        self.target = target
        self.http_version = http_version
        self.path = split[0]
        self.is_head = method == "HEAD"
        self.is_http10 = http_version == "1.0"
        self.is_usual = not self.is_head and not self.is_http10
        self.keys: dict[str, Any] = {
            "http_version": http_version,
            "method": method,
            "path": split[0],
            "raw_path": split[1],
            "query_string": split[2],
        }

    @property
    def shown_target(self) -> str:
        """The target as received, safe to log."""
        return self.target.decode("ascii", "backslashreplace")

    @property
    def shown(self) -> str:
        """Method and target, safe to log."""
        return f"{self.method} {self.shown_target}"


#: Stands for the line of what is not a request.
NO_REQUEST_LINE: Final = RequestLine("-", b"-", "1.1", ("", b"", b""))


def read_request_line(line: bytes, method: str, target: bytes, http_version: str, headers: Headers) -> RequestLine:
    """Split the target of a line that httptools has passed; remember the line if it is a short one in origin-form.

    Raises: ClientError 400 for a target in no form that is served; one in absolute-form is put into `headers`.
    """
    sent = target.partition(b"#")[0]  # no target may have a fragment: one that does is read as if it had none
    if target[0] != _SLASH:
        return RequestLine(method, target, http_version, split_target(target_of(sent, method, headers)))
    request = RequestLine(method, target, http_version, split_target(sent))
    if len(line) <= _LONGEST_REMEMBERED:
        if len(REMEMBERED) >= _MOST_REMEMBERED:
            REMEMBERED.clear()
        REMEMBERED[line] = request
    return request
