"""From the bytes of one head to what the rest of the server wants to know of it. Sans-IO.

httptools does the parsing; this is the only file that knows it. What it lets pass and the RFCs do not is
checked here, and in `head.py`.

A client sends the same header fields with each request of a connection, or nearly so (that is what HPACK lives on,
RFC 7541 section 2). Fields that came twice in a row, byte for byte, are kept, and not parsed and checked a third time:
of such a head only the request line is read, and not even that if it is known (`request_line.py`). A head that is the
same as the one before it, as from a client that polls, is not even cut into its parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import httptools

from uvicorn.errors import ClientError
from uvicorn.messages import Headers, Message
from uvicorn.wire.head import PLAIN, UPGRADE, HeaderPolicy, Special, asks_for_socket, check_sizes, line_error
from uvicorn.wire.limits import Limits
from uvicorn.wire.request_line import NO_REQUEST_LINE, REMEMBERED, RequestLine, read_request_line

__all__ = ["Head", "RequestParser"]

_REST_OF_LINE: Final = len(b"  HTTP/1.1")
_LONGEST_KEPT: Final = 4096  # bytes; arbitrary: what one connection may cost while it is idle
_EMPTY_LINE: Final = b"\r\n\r\n"
_METHODS: dict[bytes, str] = {}  # llhttp knows 34 methods: no more can come in
_TOKEN_BYTES: Final = frozenset(b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")

#: The head of one request: the `http.request`, still without reply channel and body; its request line;
#: what the special header fields say; whether the client wants the connection kept.
Head: TypeAlias = "tuple[Message, RequestLine, Special, bool]"


class RequestParser:
    """Parse the requests of one connection, one piece at a time.

    Args:
        base: a message with what all requests of the connection have in common.
        policy: what to do with header fields of this peer.

    Attributes:
        known_head: a complete head without a body that came before, or None.
    """

    __slots__ = (
        "_client", "_events", "_headers", "_kept_block", "_kept_fields", "_kept_special", "_last_block",
        "_last_line", "_limits", "_longest_unchecked", "_parser", "_policy", "_server", "_special_names", "_specials",
        "_template", "_usual", "base", "known_head",
    )  # fmt: skip

    def __init__(self, base: dict[str, Any], policy: HeaderPolicy, limits: Limits) -> None:
        self.set_base(base)
        self._policy = policy
        self._special_names = policy.special
        self._limits = limits
        self._longest_unchecked = limits.shortest_refused
        self._headers: Headers = []  # filled by httptools while a head is fed
        self._specials: Headers = []
        self._usual: Headers = [[b"", b""]]  # like nothing that comes, until a head was usual
        self._last_block = b""
        self._kept_block = b""  # fields that came twice: all that follows the request line
        self._kept_fields: tuple[tuple[bytes, bytes], ...] = ()
        self._kept_special = PLAIN
        self._events = _Events(self._on_header)
        self._parser = httptools.HttpRequestParser(self._events)

    def set_base(self, base: dict[str, Any]) -> None:
        """Set what all messages of the connection have in common."""
        self.base = base
        has_addresses = base.get("client") and base.get("server")
        self._client: list[Any] = base["client"] if has_addresses else []
        self._server: list[Any] = base["server"] if has_addresses else []
        self._last_line = NO_REQUEST_LINE
        self._template = base
        self.known_head: bytes | None = None

    def head(self, head: bytes) -> Head:
        """Parse one complete head.

        Raises: ClientError, 400, 414, 417, 431, 501 or 505.
        Spec: RFC 9112 sections 3 to 6 and 9.3.
        """
        if head == self.known_head:
            request = self._last_line
            special = PLAIN
            is_http10 = False
            headers = []
            for name, value in self._kept_fields:  # not a comprehension, which is a call before Python 3.12
                headers.append([name, value])
        else:
            headers, request, special, is_http10 = self._read(head)
        message = Message(self._template)
        message["headers"] = headers
        message["channel_session"] = {}
        if self._client:  # copies: what one consumer does to its message must not show in the next
            message["client"] = self._client.copy()
            message["server"] = self._server.copy()
        if special is PLAIN:
            return message, request, special, not is_http10
        if special.scheme is not None:
            message["scheme"] = special.scheme
        if special.root_path is not None:
            message["root_path"] = special.root_path
        # Not httptools' should_keep_alive(): it forgets with the end of the message.
        return message, request, special, not special.closes and (special.keeps or not is_http10)

    def _read(self, head: bytes) -> tuple[Headers, RequestLine, Special, bool]:
        """Read a head that is not the same as the last one; prepare the template of its message."""
        if len(head) > self._longest_unchecked:
            check_sizes(head, self._limits)
        self.known_head = None
        line, _, block = head.partition(b"\r\n")
        request = REMEMBERED.get(line)
        is_http10 = request.is_http10 if request is not None else not line.endswith(b" HTTP/1.1")
        if block == self._kept_block and not is_http10:
            special = self._kept_special
            headers = [[name, value] for name, value in self._kept_fields]
            if request is self._last_line and special is PLAIN:
                self.known_head = head
            elif request is None:
                self._feed(line + _EMPTY_LINE)
                request = self._read_line(line, headers)
        else:
            is_upgrade = self._feed(head)
            headers, special = self._read_fields(block, "1.0" if is_http10 else "1.1", is_upgrade)
            if request is None:
                request = self._read_line(line, headers)
            else:
                self._events.targets.clear()
            if is_upgrade:
                if not special.content_length and asks_for_socket(request.method, request.http_version, headers):
                    special = special._replace(content_length=UPGRADE)
                else:
                    self._ignore_upgrade(special.content_length)
        if request is not self._last_line:
            self._last_line = request
            self._template = {**self.base, **request.keys}
        return headers, request, special, is_http10

    def _feed(self, head: bytes) -> bool:
        """Give a head to httptools; return whether it asks for another protocol."""
        self._headers = []
        self._specials = []
        try:
            self._parser.feed_data(head)
        except httptools.HttpParserUpgrade:
            return True
        except httptools.HttpParserError as error:
            raise _client_error(error, head) from None
        return False

    def _read_fields(self, block: bytes, version: str, is_upgrade: bool) -> tuple[Headers, Special]:
        """Check the fields that httptools has read, and keep them if they came a second time."""
        headers = self._headers
        if len(headers) > self._limits.request_fields:
            raise ClientError(431, f"{len(headers)} header fields")
        if self._specials == self._usual:  # Host alone, and the same as before
            special = PLAIN
        else:
            special = self._policy.apply(self._specials, version)
            if special is PLAIN:
                self._usual = self._specials
        if b"_" in block:
            headers, special = self._policy.map_names(headers, special)
        if block != self._last_block:
            self._last_block = block if len(block) <= _LONGEST_KEPT else b""
        elif version == "1.1" and not (is_upgrade or special.is_unusual):
            self._kept_block = block
            self._kept_fields = tuple((name, value) for name, value in headers)
            self._kept_special = special
        return headers, special

    def _read_line(self, line: bytes, headers: Headers) -> RequestLine:
        """Check the request line of what httptools was given last, where it is too lenient."""
        name = self._parser.get_method()
        target = self._events.targets.pop()
        version = "1.1" if line.endswith(b" HTTP/1.1") else "1.0"
        if len(line) != len(name) + len(target) + _REST_OF_LINE or (
            version == "1.0" and not line.endswith(b" HTTP/1.0")
        ):
            raise line_error(line)
        method = _METHODS.get(name) or _METHODS.setdefault(name, name.decode("ascii"))
        if method == "CONNECT":
            raise ClientError(501, "CONNECT is not served")
        return read_request_line(line, method, target, version, headers)

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
