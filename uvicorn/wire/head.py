"""What a server must check in the head of a request before anybody sees it. Pure functions.

httptools (llhttp, no lenient mode on) checks the grammar, in `parser.py`; it has no limits, and lets some
things pass that RFC 9110 and 9112 forbid. Here is the rest: sizes, the request line, Host, Connection,
Transfer-Encoding, Expect, and the header policies of Gunicorn.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from uvicorn.errors import ClientError
from uvicorn.messages import Headers, split_absolute_target
from uvicorn.wire.limits import Limits

__all__ = [
    "PLAIN",
    "SPECIAL",
    "UPGRADE",
    "HeaderPolicy",
    "Special",
    "asks_for_socket",
    "check_sizes",
    "line_error",
    "target_of",
]

#: Header names whose fields are looked at one by one; all others go to the consumer as they are.
SPECIAL: Final = frozenset({b"host", b"connection", b"content-length", b"transfer-encoding", b"expect"})

#: The content_length of a request that asks for a WebSocket.
UPGRADE: Final = -2

_HOST: Final = re.compile(rb"[A-Za-z0-9\-._~%!$&'()*+,;=:\[\]]*")  # RFC 3986 section 3.2.2, and a port
_VERSION: Final = re.compile(rb"HTTP/[0-9]\.[0-9]")
_CRLF: Final = b"\r\n"


class Special(NamedTuple):
    """What the special header fields of a request say.

    Attributes:
        content_length: bytes of the body; 0 for none; -1 for the chunked transfer coding; UPGRADE.
        expects_continue: the client waits for 100 before it sends the body.
        closes, keeps: the client asks for `Connection: close`, or `keep-alive`.
        scheme, root_path: what a trusted proxy says instead of our own, or None.
    """

    content_length: int = 0
    expects_continue: bool = False
    closes: bool = False
    keeps: bool = False
    scheme: str | None = None
    root_path: str | None = None

    @property
    def is_unusual(self) -> bool:
        """Whether the request has a body, or is the last one of its connection."""
        return self.content_length != 0 or self.expects_continue or self.closes


#: What they say in a request that has Host alone.
PLAIN: Final = Special()


class HeaderPolicy:
    """Apply Gunicorn's header settings, and the rules of the RFCs, to the fields of one request.

    Args:
        secure_scheme_headers: lower-case name -> value that means https; used from trusted peers only.
        forwarder_headers: lower-case names with "_" that trusted peers may send.
        header_map: "drop", "refuse" or "dangerous", for other names with "_".
    """

    def __init__(
        self,
        secure_scheme_headers: Mapping[bytes, bytes],
        forwarder_headers: frozenset[bytes],
        header_map: str,
        is_trusted: bool,
    ) -> None:
        self._secure = dict(secure_scheme_headers) if is_trusted else {}
        self._forwarder = forwarder_headers if is_trusted else frozenset()
        self._header_map = header_map
        self._takes_root_path = is_trusted and b"script_name" in forwarder_headers
        #: names to give to `apply`
        self.special: Final = SPECIAL | self._secure.keys()

    @classmethod
    def from_config(cls, cfg: Any, is_trusted: bool) -> HeaderPolicy:
        """Read `secure_scheme_headers`, `forwarder_headers` and `header_map` of Gunicorn."""
        secure = {
            name.lower().encode("latin-1"): value.encode("latin-1") for name, value in cfg.secure_scheme_headers.items()
        }
        forwarder = frozenset(name.lower().encode("latin-1") for name in cfg.forwarder_headers)
        return cls(secure, forwarder, cfg.header_map, is_trusted)

    def apply(self, fields: Headers, http_version: str) -> Special:
        """Read the special fields, given in their order.

        Raises: ClientError, 400 for what breaks the message's framing or is ambiguous, 417, 501.
        Spec: RFC 9112 sections 3.2, 6.1 and 6.3; RFC 9110 section 10.1.1.
        """
        hosts = length = 0
        expects = closes = keeps = False
        scheme: str | None = None
        for name, value in fields:
            if name == b"host":
                hosts += 1
                if not _HOST.fullmatch(value.strip(b" \t")):
                    raise ClientError(400, f"invalid Host {value[:64]!r}")
            elif name == b"connection":
                options = [option.strip() for option in value.lower().split(b",")]
                closes = closes or b"close" in options
                keeps = keeps or b"keep-alive" in options
            elif name == b"content-length":
                length = _content_length(value)
            elif name == b"transfer-encoding":
                length = _check_coding(value, http_version)
            elif name == b"expect":
                if value.lower() != b"100-continue":
                    raise ClientError(417, f"unknown expectation {value[:40]!r}")
                expects = http_version == "1.1"
            else:
                scheme = self._scheme(name, value, scheme)
        if hosts > 1 or (not hosts and http_version == "1.1"):
            raise ClientError(400, "more than one Host header" if hosts else "no Host header")
        if len(fields) == hosts == 1:
            return PLAIN
        return Special(length, expects, closes, keeps, scheme)

    def map_names(self, headers: Headers, special: Special) -> tuple[Headers, Special]:
        """Apply `header_map` and `forwarder_headers` to names with "_"; call it if there may be any.

        Raises: ClientError 400 for such a name if `header_map` is "refuse".
        """
        kept: Headers = []
        for field in headers:
            name = field[0]
            if b"_" in name and name not in self._forwarder and b"*" not in self._forwarder:
                if self._header_map == "drop":
                    continue
                if self._header_map != "dangerous":
                    raise ClientError(400, f"header name {name[:40]!r} has an underscore")
            elif name == b"script_name" and self._takes_root_path:
                special = special._replace(root_path=field[1].decode("latin-1"))
            kept.append(field)
        return kept, special

    def _scheme(self, name: bytes, value: bytes, before: str | None) -> str:
        secure = self._secure[name]
        # Some proxies say the scheme of the socket that is asked for.
        scheme = "https" if value == secure or (value == b"wss" and secure == b"https") else "http"
        if before is not None and before != scheme:
            raise ClientError(400, "contradictory scheme headers")
        return scheme


def asks_for_socket(method: str, http_version: str, headers: Headers) -> bool:
    """Whether a request with an Upgrade field, and without a body, asks for a socket; if not, the field is ignored.

    Spec: RFC 6455 section 4.2.1; RFC 9110 section 7.8.
    """
    if method != "GET" or http_version != "1.1":
        return False
    upgrades = [value for name, value in headers if name == b"upgrade"]
    has_key = any(name == b"sec-websocket-key" for name, _ in headers)
    return has_key and any(b"websocket" in value.lower() for value in upgrades)


def line_error(head: bytes) -> ClientError:
    """Say what is wrong with a request line: 505 for a version that is not served, else 400.

    Spec: RFC 9112 section 3; RFC 9110 section 15.6.6.
    """
    line = head.partition(_CRLF)[0]
    tail = line.rpartition(b" ")[2]
    if _VERSION.fullmatch(tail) and tail not in (b"HTTP/1.0", b"HTTP/1.1"):
        return ClientError(505, f"unsupported version {tail!r}")
    return ClientError(400, f"invalid request line {line[:64]!r}")


def check_sizes(head: bytes, limits: Limits) -> None:
    """Refuse a complete head with a line that is too long; needed only if the head is long enough.

    Raises: ClientError, 414 or 431.
    """
    lines = head.split(_CRLF)
    if limits.request_line and len(lines[0]) > limits.request_line:
        raise ClientError(414, f"request line of {len(lines[0])} bytes")
    if limits.request_field_size and max(map(len, lines[1:])) + 2 > limits.request_field_size:
        raise ClientError(431, "header field too large")


def target_of(target: bytes, method: str, headers: Headers) -> bytes:
    """Bring a request target that is not in origin-form into it; put its authority into Host.

    Raises: ClientError 400.
    Spec: RFC 9112 sections 3.2.2 (absolute-form) and 3.2.4 (asterisk-form).
    """
    if target == b"*" and method == "OPTIONS":
        return target
    try:
        authority, origin = split_absolute_target(target)
    except ValueError:
        raise ClientError(400, f"invalid request target {target[:64]!r}") from None
    for field in headers:
        if field[0] == b"host":
            field[1] = authority
    return origin


def _content_length(value: bytes) -> int:
    if not value.isdigit():  # llhttp has checked already; this guards int()
        raise ClientError(400, "invalid content-length")
    return int(value)


def _check_coding(value: bytes, http_version: str) -> int:
    if http_version == "1.0":
        raise ClientError(400, "transfer-encoding with HTTP/1.0")
    if value.strip().lower() != b"chunked":
        raise ClientError(501, f"unsupported transfer-encoding {value[:40]!r}")
    return -1
