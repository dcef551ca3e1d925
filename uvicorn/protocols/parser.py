"""From the bytes of one head to what the rest of the server wants to know of it. Sans-IO.

httptools does the parsing; this is the only file that knows it. What it lets pass and the RFCs do not is
checked here, and in `head.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import httptools

from uvicorn.errors import ClientError
from uvicorn.messages import Headers, Message, http_request, split_target
from uvicorn.protocols.head import PLAIN, HeaderPolicy, Special, check_sizes, line_error, target_of
from uvicorn.settings import Limits

__all__ = ["Head", "RequestParser"]

_REST_OF_LINE: Final = len(b"  HTTP/1.1")
_SLASH: Final = 0x2F
_LONGEST_CACHED_TARGET: Final = 256  # bytes; arbitrary, as the next: together under half a megabyte
_MOST_CACHED_TARGETS: Final = 512  # emptied when full
_METHODS: dict[bytes, str] = {}  # llhttp knows 34 methods: no more can come in
_TOKEN_BYTES: Final = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


#: The head of one request: the `http.request`, still without reply channel and body; the request target as received;
#: what the special header fields say; whether the client wants the connection kept.
Head: TypeAlias = "tuple[Message, bytes, Special, bool]"


class RequestParser:
    """Parse the requests of one connection, one piece at a time.

    Args:
        base: a message with what all requests of the connection have in common.
        policy: what to do with header fields of this peer.
    """

    __slots__ = (
        "_events", "_has_addresses", "_headers", "_limits", "_longest_unchecked", "_most_fields", "_parser", "_policy",
        "_special_names", "_specials", "_usual", "base",
    )  # fmt: skip

    def __init__(self, base: dict[str, Any], policy: HeaderPolicy, limits: Limits) -> None:
        self.set_base(base)
        self._policy = policy
        self._special_names = policy.special
        self._limits = limits
        self._longest_unchecked = limits.shortest_refused
        self._most_fields = limits.request_fields
        self._headers: Headers = []  # filled by httptools while a head is fed
        self._specials: Headers = []
        self._usual: Headers = [[b"", b""]]  # like nothing that comes, until a head was usual
        self._events = _Events(self._on_header)
        self._parser = httptools.HttpRequestParser(self._events)

    def set_base(self, base: dict[str, Any]) -> None:
        """Set what all messages of the connection have in common."""
        self.base = base
        self._has_addresses = bool(base.get("client") and base.get("server"))

    def head(self, head: bytes) -> Head:
        """Parse one complete head.

        Raises: ClientError, 400, 414, 417, 431, 501 or 505.
        Spec: RFC 9112 sections 3 to 6 and 9.3.
        """
        line_end = head.find(b"\r\n")
        if len(head) > self._longest_unchecked:
            check_sizes(head, self._limits)
        headers = self._headers = []
        specials = self._specials = []
        parser = self._parser
        is_upgrade = False
        try:
            parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            is_upgrade = True
        except httptools.HttpParserError as error:
            raise _client_error(error, head) from None
        if len(headers) > self._most_fields:
            raise ClientError(431, f"{len(headers)} header fields")
        name = parser.get_method()
        target = self._events.targets.pop()
        version = "1.1" if head.startswith(b" HTTP/1.1\r", line_end - 9) else "1.0"
        if line_end != len(name) + len(target) + _REST_OF_LINE or (
            version == "1.0" and not head.startswith(b" HTTP/1.0\r", line_end - 9)
        ):
            raise line_error(head)
        if specials == self._usual:  # Host alone, and the same as before
            special = PLAIN
        else:
            special = self._policy.apply(specials, version)
            if special is PLAIN:
                self._usual = specials
        if b"_" in head:
            headers, special = self._policy.map_names(headers, special)
        method = _METHODS.get(name) or _METHODS.setdefault(name, name.decode("ascii"))
        if method == "CONNECT":
            raise ClientError(501, "CONNECT is not served")
        split = _SPLITS.get(target)
        if split is None:
            split = _split(target, method, headers)
        message = http_request(self.base, version, method, split, headers)
        if self._has_addresses:  # copies: what one consumer does to its message must not show in the next
            message["client"] = [*message["client"]]
            message["server"] = [*message["server"]]
        if special is PLAIN:
            return message, target, special, version == "1.1"
        if is_upgrade:
            self._ignore_upgrade(special.content_length)
        if special.scheme is not None:
            message["scheme"] = special.scheme
        if special.root_path is not None:
            message["root_path"] = special.root_path
        # Not httptools' should_keep_alive(): it forgets with the end of the message.
        return message, target, special, not special.closes and (version == "1.1" or special.keeps)

    def begin_body(self) -> None:
        """Expect the body of the head that was parsed last."""
        self._events.open_messages.append(True)
        self._headers, self._specials = [], []  # for trailers, which are dropped: not into the message's list

    def body(self, piece: bytes) -> bytes:
        """Parse a piece of a body; return the content in it, without the framing.

        Raises: ClientError 400.
        """
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            pass  # told of already, in the head
        except httptools.HttpParserError as error:
            raise _client_error(error, b"") from None
        return self._events.take_content()

    @property
    def is_body_open(self) -> bool:
        """Whether the end of the body has not come yet."""
        return bool(self._events.open_messages)

    def _on_header(self, name: bytes, value: bytes) -> None:
        """Take one header field, or a trailer field (RFC 9110 section 6.5.1). Called by httptools."""
        name = name.lower()
        field = [name, value]
        self._headers.append(field)
        if name in self._special_names:
            self._specials.append(field)

    def _ignore_upgrade(self, content_length: int) -> None:
        """Go on as if there were no Upgrade field (RFC 9110 section 7.8).

        httptools takes what follows such a head for another protocol, a body too: a new parser, which is
        given the framing alone, reads it as what it is.
        """
        self._parser = httptools.HttpRequestParser(self._events)
        if content_length:
            self._headers, self._specials = [], []
            framing = b"transfer-encoding: chunked" if content_length < 0 else b"content-length: %d" % content_length
            self._parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n\r\n" % framing)
            self._events.targets.clear()


class _Events:
    """What httptools tells, gathered without a Python frame for each event: it calls methods of lists.

    Attributes:
        targets: request targets, filled by `on_url`.
        open_messages: not empty while a body comes in; emptied by `on_message_complete`.
    """

    __slots__ = ("_chunks", "on_body", "on_header", "on_message_complete", "on_url", "open_messages", "targets")

    def __init__(self, on_header: Callable[[bytes, bytes], None]) -> None:
        self.targets: list[bytes] = []
        self.open_messages: list[bool] = []
        self._chunks: list[bytes] = []
        self.on_header = on_header
        self.on_url = self.targets.append
        self.on_body = self._chunks.append
        self.on_message_complete = self.open_messages.clear

    def take_content(self) -> bytes:
        """Return the pieces of a body that came since the last call, as one."""
        chunks = self._chunks
        if not chunks:
            return b""
        content = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        return content


def _client_error(error: httptools.HttpParserError, head: bytes) -> ClientError:
    """Say what httptools found: 400, 501 for an unknown method, 505 for an unknown version."""
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        method = head.partition(b" ")[0]
        if method and _TOKEN_BYTES.issuperset(method):
            return ClientError(501, f"unknown method {method[:40]!r}")
    if head:
        found = line_error(head)
        if found.status == 505:
            return found
    return ClientError(400, str(error) or type(error).__name__)


# Sites have few paths that are asked for often: a hit costs a fifth of the split.
_SPLITS: dict[bytes, tuple[str, bytes, bytes]] = {}


def _split(target: bytes, method: str, headers: Headers) -> tuple[str, bytes, bytes]:
    """Split a request target; remember it if it is a short one in origin-form."""
    if target[0] != _SLASH:
        return split_target(target_of(target, method, headers))
    split = split_target(target)
    if len(target) <= _LONGEST_CACHED_TARGET:
        if len(_SPLITS) >= _MOST_CACHED_TARGETS:
            _SPLITS.clear()
        _SPLITS[target] = split
    return split
