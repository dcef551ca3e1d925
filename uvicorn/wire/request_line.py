"""The request line. Sans-IO.

httptools has checked its characters. Here is what it lets pass and RFC 9112 does not: white space, targets in forms
that are not served, fragments; what is wrong with a line that it has refused; and what a trusted proxy says beside it.

Spec: RFC 9112 section 3.
"""

from __future__ import annotations

import re
from typing import Any, Final

from uvicorn.errors import ClientError
from uvicorn.messages import Headers, Message, split_absolute_target
from uvicorn.wire.head import HeaderPolicy, is_authority

__all__ = ["METHODS", "NO_REQUEST_LINE", "ForwardedLine", "RequestLine", "line_error", "origin_of", "read_origin"]

#: Those of llhttp, but for CONNECT (which is not served) and the preface of HTTP/2.
METHODS: Final = {
    name.encode(): name
    for name in (
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
        "OPTIONS",
        "TRACE",
        "QUERY",
        "ACL",
        "BIND",
        "CHECKOUT",
        "COPY",
        "LINK",
        "LOCK",
        "M-SEARCH",
        "MERGE",
        "MKACTIVITY",
        "MKCALENDAR",
        "MKCOL",
        "MOVE",
        "NOTIFY",
        "PROPFIND",
        "PROPPATCH",
        "PURGE",
        "REBIND",
        "REPORT",
        "SEARCH",
        "SOURCE",
        "SUBSCRIBE",
        "UNBIND",
        "UNLINK",
        "UNLOCK",
        "UNSUBSCRIBE",
    )
}
_SERVED: Final = (b"HTTP/1.1", b"HTTP/1.0")
_LINE: Final = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+) [\x21-\x7e]+ (HTTP/[0-9]\.[0-9])")


class RequestLine:
    """What one request line says.

    Args:
        target: as received.
        path: decoded.

    Attributes:
        is_usual: HTTP/1.1, and not HEAD: the response has a body, and the connection is kept.
    """

    __slots__ = ("http_version", "is_head", "is_http10", "is_usual", "method", "path", "target")

    def __init__(self, method: str, target: bytes, http_version: str, path: str) -> None:
        self.method = method
        self.target = target
        self.http_version = http_version
        self.path = path
        self.is_head = method == "HEAD"
        self.is_http10 = http_version == "1.0"
        self.is_usual = http_version == "1.1" and not self.is_head

    @property
    def shown_target(self) -> str:
        """The target as received, safe to log."""
        return self.target.decode("ascii", "backslashreplace")

    @property
    def shown(self) -> str:
        """Method and target, safe to log."""
        return f"{self.method} {self.shown_target}"


class ForwardedLine(RequestLine):
    """The request line of a request of which a trusted proxy says where it came from, for the access log.

    Attributes:
        client: [address, port], or None if it is not known.
        scheme: "http", "https", or None if it is that of the connection.
    """

    __slots__ = ("client", "scheme")

    def __init__(self, line: RequestLine, client: list[Any] | None, scheme: str | None) -> None:
        super().__init__(line.method, line.target, line.http_version, line.path)
        self.client = client
        self.scheme = scheme


#: Stands for the line of what is not a request.
NO_REQUEST_LINE: Final = RequestLine("-", b"-", "1.1", "")


def line_error(head: bytes) -> ClientError | None:
    """Say what is wrong with the request line of a head that was refused; None if it is the rest that is wrong.

    Returns: 505 for a version and 501 for a method that is not served, 400 for what is no request line.
    Spec: RFC 9112 section 3; RFC 9110 sections 15.6.2 and 15.6.6.
    """
    line = head.partition(b"\r\n")[0]
    found = _LINE.fullmatch(line)
    if found is None:
        return ClientError(400, f"invalid request line {line[:64]!r}")
    method, version = found.groups()
    if version not in _SERVED:
        return ClientError(505, f"unsupported version {version!r}")
    if method not in METHODS:
        return ClientError(501, f"unknown method {method[:40]!r}")
    return None


def origin_of(target: bytes, method: str, headers: Headers) -> bytes:
    """Bring a target that is not in origin-form into it; put the authority of one in absolute-form into Host.

    Raises: ClientError 400 for a target in another form.
    Spec: RFC 9112 sections 3.2.2 (absolute-form) and 3.2.4 (asterisk-form).
    """
    if target == b"*" and method == "OPTIONS":
        return target
    try:
        authority, origin = split_absolute_target(target)
    except ValueError:
        raise ClientError(400, f"invalid request target {target[:64]!r}") from None
    if not is_authority(authority):
        raise ClientError(400, f"invalid authority {authority[:64]!r} in the request target")
    for field in headers:
        if field[0] == b"host":
            field[1] = authority
            break
    else:
        headers.insert(0, [b"host", authority])  # HTTP/1.0
    return origin


def read_origin(
    policy: HeaderPolicy, proxied: Headers, scheme: str | None, line: RequestLine, message: Message
) -> RequestLine:
    """Put into a message what a trusted proxy says of where its request came from.

    Args:
        proxied: the fields that `policy` takes from a proxy; others may be among them.
        scheme: what the fields that say a scheme alone have said.

    Returns: the request line, with what the access log is to show.
    Raises: ClientError 400 if the proxy contradicts itself.
    """
    forwarding = policy.forwarding
    if forwarding is not None:
        origin = forwarding.read(proxied)
        if origin.scheme is not None:
            if scheme is not None and scheme != origin.scheme:
                raise ClientError(400, "contradictory scheme headers")
            scheme = origin.scheme
        if origin.client is not None:
            message["client"] = origin.client.copy()
        line = ForwardedLine(line, origin.client, scheme)
    if scheme is not None:
        message["scheme"] = scheme
    return line
