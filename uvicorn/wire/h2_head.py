"""From the decoded fields of an HTTP/2 head to the message that an HTTP/1.1 head gives. Sans-IO.

The engines check much of this themselves, each in its own way. Here is the one verdict, whatever the engine: what goes
on to a consumer, or to another server behind it, is what HTTP/1.1 could have said, with one meaning. A head that breaks
the rules of HTTP/2 is `ClientError` 400: its stream is reset. What is well formed and not served has a status of its
own, as over HTTP/1.1.

Spec: RFC 9113 sections 8.2 and 8.3; RFC 8441 section 4; RFC 9110 section 8.6.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from uvicorn.errors import ClientError
from uvicorn.messages import Headers, Message
from uvicorn.wire.h2_engine import Pairs
from uvicorn.wire.h2_head_writer import CONNECTION_FIELDS
from uvicorn.wire.head import KNOWN_NAMES, HeaderPolicy, is_authority
from uvicorn.wire.limits import Limits
from uvicorn.wire.request_line import METHODS, NO_REQUEST_LINE, RequestLine, take_origin

__all__ = ["HeadReader"]

_COLON: Final = 0x3A
_SPACE: Final = 0x20
_SLASH: Final = 0x2F
_SCHEMES: Final = frozenset({b"http", b"https"})
_LOOKED_AT: Final = CONNECTION_FIELDS | {b"host", b"te", b"content-length", b"expect", b"cookie", b"priority"}
_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_METHOD: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# Tables for `bytes.translate`, which takes a quarter of the time of a search with `re`: one changes what may not be in
# a target, the other controls. Where nothing is to be changed the same bytes are returned.
_IN_TARGETS: Final = bytes(at if _SPACE < at < 0x7F and at != ord("#") else ord("!") for at in range(256))
_BLANKED: Final = bytes(_SPACE if (at < _SPACE and at != 0x09) or at == 0x7F else at for at in range(256))
_MOST_LENGTH_DIGITS: Final = 18
_VERSION_BYTES: Final = len(b"  HTTP/1.1")  # what a request line has beside method and target
_LINE_BYTES: Final = len(b": \r\n")  # what a field has beside name and value, in HTTP/1.1


class HeadReader:
    """What reads the heads of one connection.

    Args:
        base: a message with what all requests of the connection have in common.
        policy: what to do with header fields of this peer.

    Attributes: besides `is_believed` (what this peer says of a request itself is believed), of the last head:
        request_line: its method and target.
        content_length: -1 if it says none.
        expects_continue: the client waits for 100 before it sends the body.
        protocol: of an extended CONNECT (RFC 8441), or b"".
        priority: the field of RFC 9218, or None.
    """

    __slots__ = (
        "_authority", "_longest_field", "_longest_line", "_most_fields", "_ordinary", "_policy", "_proxied",
        "_special", "base", "content_length", "expects_continue", "is_believed", "priority", "protocol", "request_line",
    )  # fmt: skip

    def __init__(self, base: dict[str, Any], policy: HeaderPolicy, limits: Limits) -> None:
        self.base = base
        self._policy = policy
        self.is_believed = policy.is_believed
        self._longest_field = limits.request_field_size
        self._longest_line = limits.request_line
        self._most_fields = limits.request_fields
        self._ordinary, self._special = _kinds(policy.special)
        self._proxied: Headers = []  # what a trusted proxy says of where the request came from
        self._authority = b""  # the last one that was valid: most often all requests of a connection have the same
        self.request_line = NO_REQUEST_LINE
        self.content_length = -1
        self.expects_continue = False
        self.protocol = b""
        self.priority: bytes | None = None

    def read(self, fields: Pairs, is_ended: bool) -> Message:
        """Read one head.

        Args:
            is_ended: no content follows.

        Returns: the `http.request`, still without reply channel and body.
        Raises: ClientError, 400 for what is malformed, 414, 417, 431 or 501.
        """
        method: bytes | None = None
        scheme: bytes | None = None
        path: bytes | None = None
        authority: bytes | None = None
        protocol: bytes | None = None
        headers: Headers = []
        special: list[tuple[bytes, bytes]] = []
        has_underscores = False
        ordinary, names = self._ordinary, self._special
        longest = self._longest_field
        for name, value in fields:
            if not name or name[0] == _COLON:
                if headers or special:
                    raise ClientError(400, f"the pseudo-field {name[:40]!r} is late")
                if name == b":method" and method is None:
                    method = value
                elif name == b":scheme" and scheme is None:
                    scheme = value
                elif name == b":path" and path is None:
                    path = value
                elif name == b":authority" and authority is None:
                    authority = value
                elif name == b":protocol" and protocol is None:
                    protocol = value
                else:
                    raise ClientError(400, f"the pseudo-field {name[:40]!r} is unknown or doubled")
                continue
            if value and (value[0] <= _SPACE or value[-1] <= _SPACE):
                raise ClientError(400, f"white space around the value of {name[:40]!r}")
            if longest and len(name) + len(value) + _LINE_BYTES > longest:
                raise ClientError(431, "header field too large")
            if name in ordinary:  # most often; without a "_"
                headers.append([name, value])
                continue
            if name in names:
                special.append((name, value))
                if name not in _LOOKED_AT or name in (b"te", b"content-length", b"expect", b"priority"):
                    headers.append([name, value])
                elif name == b"cookie":
                    _add_cookie(headers, value)
                continue
            if not _NAME.fullmatch(name):
                raise ClientError(400, f"{name[:40]!r} is not a name of a field, in lower case")
            has_underscores = has_underscores or b"_" in name
            headers.append([name, value])
        values = b"".join([value for _, value in headers])
        if values.translate(_BLANKED) != values:
            raise ClientError(400, "a control character in the value of a field")
        self.expects_continue = False
        self.priority = host = forwarded_scheme = None
        self.content_length = -1
        if self._proxied:
            self._proxied = []
        if special:
            forwarded_scheme, host = self._read_special(special, is_ended)
        if len(headers) > self._most_fields:
            raise ClientError(431, "too many header fields")
        self._check_line(method or b"", scheme, path or b"", protocol or b"")
        if authority is None:
            authority = host
        if not authority or authority != self._authority:
            if not authority or not is_authority(authority):  # section 8.3.1: here it must not be empty
                raise ClientError(400, f"no :authority, or an invalid one: {(authority or b'')[:64]!r}")
            self._authority = authority
        if host is not None and host.lower() != authority.lower():
            raise ClientError(400, ":authority and Host name two hosts")
        headers.insert(0, [b"host", authority])
        message = self._message(method or b"", path or b"", headers)
        if self._proxied:
            take_origin(self.request_line, message, self._policy, self._proxied, forwarded_scheme)
        if has_underscores:
            message["headers"], root_path = self._policy.map_names(headers)
            if root_path is not None:
                message["root_path"] = root_path
        return message

    def _check_line(self, method: bytes, scheme: bytes | None, target: bytes, protocol: bytes) -> None:
        """Check what a request line would say.

        Raises: ClientError.
        """
        self.protocol = protocol
        if method not in METHODS:
            if not _METHOD.fullmatch(method):
                raise ClientError(400, f"{method[:40]!r} is not a method")
            if method != b"CONNECT" or not protocol:
                raise ClientError(501, f"unknown method {method[:40]!r}")
        elif protocol:
            raise ClientError(400, ":protocol without CONNECT")
        if scheme not in _SCHEMES:
            raise ClientError(400, "no :scheme, or one that is not served")
        line = self._longest_line
        if line and len(method) + len(target) + _VERSION_BYTES > line:
            raise ClientError(414, "request line too long")
        is_path = target and target[0] == _SLASH and target.translate(_IN_TARGETS) == target
        if not is_path and not (target == b"*" and method == b"OPTIONS"):
            raise ClientError(400, f"invalid :path {target[:64]!r}")

    def _message(self, method: bytes, target: bytes, headers: Headers) -> Message:
        raw_path, _, query = target.partition(b"?")
        decoded = unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path
        path = decoded.decode("utf-8", "surrogateescape")
        shown_method = METHODS.get(method, "CONNECT")
        self.request_line = RequestLine(shown_method, target, "2", path)

        message = Message.__new__(Message)
        message.update(self.base)
        message["http_version"] = "2"
        message["method"] = shown_method
        message["path"] = path
        message["raw_path"] = raw_path
        message["query_string"] = query
        message["headers"] = headers
        message["channel_session"] = {}
        client, server = message["client"], message["server"]
        if client and server:  # copies: what one consumer does to its message must not show in the next
            message["client"] = client.copy()
            message["server"] = server.copy()
        return message

    def _read_special(self, fields: list[tuple[bytes, bytes]], is_ended: bool) -> tuple[str | None, bytes | None]:
        """Read the fields that mean something to us; return the scheme that a trusted proxy says, and Host."""
        length: bytes | None = None
        host: bytes | None = None
        scheme: str | None = None
        for name, value in fields:
            if name in CONNECTION_FIELDS or (name == b"te" and value.lower() != b"trailers"):
                raise ClientError(400, f"the field {name!r} is not allowed in HTTP/2")
            if name == b"content-length":
                if length is not None and length != value:
                    raise ClientError(400, "more than one Content-Length")
                length = value
            elif name == b"host":
                if host is not None:
                    raise ClientError(400, "more than one Host header")
                host = value
            elif name == b"expect":
                if value.lower() != b"100-continue":
                    raise ClientError(417, f"unknown expectation {value[:40]!r}")
                self.expects_continue = not is_ended
            elif name == b"priority":
                self.priority = value
            elif name not in _LOOKED_AT:
                self._proxied.append([name, value])
                scheme = self._policy.scheme(name, value, scheme)
        if length is not None:
            if not length.isdigit() or len(length.lstrip(b"0")) > _MOST_LENGTH_DIGITS:
                raise ClientError(400, f"invalid Content-Length {length[:40]!r}")
            self.content_length = int(length[-_MOST_LENGTH_DIGITS:])
            if is_ended and self.content_length:
                raise ClientError(400, "a Content-Length, and no content")
        return scheme, host


@lru_cache(maxsize=16)
def _kinds(special: frozenset[bytes]) -> tuple[frozenset[bytes], frozenset[bytes]]:
    """Return the well-known names that nobody looks at, and those that are looked at.

    Not for each connection: two sets take 4 KiB, and few policies differ.
    """
    looked_at = special | _LOOKED_AT
    return KNOWN_NAMES - looked_at, looked_at


def _add_cookie(headers: Headers, value: bytes) -> None:
    """Join the crumbs of a cookie (RFC 9113 section 8.2.3)."""
    for field in headers:
        if field[0] == b"cookie":
            field[1] += b"; " + value
            return
    headers.append([b"cookie", value])
