"""From the bytes of one head to what the rest of the server needs of it. Sans-IO.

httptools does the parsing; this is the only file that knows it. What it lets pass and the RFCs do not is checked in
`head.py` and `request_line.py`.

**Its state does not outlive a message.** httptools is given heads and nothing else, and used again only if it says
itself that the message is over and that another one may follow. What it has understood and we have not (a body of
another length, an upgrade, `Proxy-Connection: close`) is forgotten with it. `lone_head` gives it what is most likely a
head alone; if it was more, that is forgotten, too, and the heads are found and given one by one.

**No two heads are the same.** Nothing is kept from one head for the next one, but that its Host was valid: real clients
send another path, cookie or id each time. The way of a new head is short instead: one call for each field, which looks
its name up among the well-known ones, and one pass over the few fields that are special. This file and `head.py` are
compiled; so there is nothing on that way but attributes of plain types, lists, and calls of methods.
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import httptools

from uvicorn.errors import ClientError
from uvicorn.messages import Headers, Message
from uvicorn.wire.framing import check_head
from uvicorn.wire.head import HeaderPolicy, Special
from uvicorn.wire.limits import Limits
from uvicorn.wire.request_line import METHODS, NO_REQUEST_LINE, RequestLine, line_error, origin_of, take_origin

__all__ = ["RequestParser"]

_MOST_AT_ONCE: Final = 8192  # bytes that are parsed before it is known that they are one head; arbitrary
_TRAILING: Final = re.compile(rb"(?<=[^\r\n\t ])[\t ]+(?=\r\n)")
# Numbers: `in` takes one in a twentieth of the time that it takes bytes (uncompiled).
_LF: Final = 0x0A
_CR: Final = 0x0D
_SLASH: Final = 0x2F
_SPACE: Final = 0x20
_HASH: Final = 0x23
_PERCENT: Final = 0x25
_UNDERSCORE: Final = 0x5F
_END: Final = b"\r\n\r\n"
_END_11: Final = b" HTTP/1.1\r\n"
_END_10: Final = b" HTTP/1.0\r\n"


class RequestParser:
    """The parser of the heads of one connection, one complete head at a time.

    Args:
        base: a message with what all requests of the connection have in common.
        policy: what to do with header fields of this peer.

    Attributes:
        is_believed: what this peer says of a request itself is believed.
        request_line: of the last head.
        special: what the special fields of the last head say.
    """

    __slots__ = (
        "_client", "_has_ended", "_has_more", "_has_underscores", "_headers", "_is_reusable", "_is_upgrade", "_limits",
        "_longest_unchecked", "_longest_unsearched", "_most_fields", "_names", "_parser", "_policy", "_server",
        "_special_names", "_special_spellings", "_specials", "_target", "base", "is_believed", "request_line",
        "special",
    )  # fmt: skip

    def __init__(self, base: dict[str, Any], policy: HeaderPolicy, limits: Limits) -> None:
        self.set_base(base)
        self.set_policy(policy)
        self._limits = limits
        self._longest_unchecked = limits.shortest_refused
        self._longest_unsearched = min(limits.shortest_refused, _MOST_AT_ONCE)
        self._most_fields = limits.request_fields
        self.request_line = NO_REQUEST_LINE
        self.special = Special()
        # Of the head that is being read, as httptools tells it:
        self._target = b""
        self._headers: Headers = []
        self._specials: Headers = []
        self._has_underscores = self._has_ended = self._is_reusable = self._is_upgrade = self._has_more = False
        self._parser: Any = None  # an httptools.HttpRequestParser

    def set_policy(self, policy: HeaderPolicy) -> None:
        """Set what to do with the header fields of this peer."""
        self._policy = policy
        self.is_believed = policy.is_believed
        self._names = policy.names
        self._special_names = policy.special
        self._special_spellings = policy.special_names

    def set_base(self, base: dict[str, Any]) -> None:
        """Set what all messages of the connection have in common."""
        self.base = base
        has_addresses = base.get("client") and base.get("server")
        self._client: list[Any] = base["client"] if has_addresses else []
        self._server: list[Any] = base["server"] if has_addresses else []

    def lone_head(self, data: bytes) -> Message | None:
        """Parse what ends with an empty line, and does not begin with one: a head alone, most often.

        The end of the head is not looked for, which would be 3% of a small page. httptools tells of what is behind it:
        a target, a body, bytes behind an upgrade, or something that it does not know; or it has seen the end of a
        body, which `head` notices. What it says nothing about are empty lines.

        Returns: as `head`; None if it is not one head and nothing else: then there is no message, and what
            `request_line` and `special` say is of no head.
        Raises: as `head`.
        """
        if _LF <= data[-len(_END) - 1] <= _CR or (len(data) > self._longest_unsearched and not _is_lone(data)):
            return None
        self._has_more = False
        try:
            message = self.head(data)
        except ClientError:
            if _is_lone(data):
                raise
            self._has_more = True
        if not self._has_more:
            return message
        self._parser = None
        self._headers = []
        self._specials.clear()
        return None

    def head(self, head: bytes) -> Message:
        """Parse one complete head; set `request_line` and `special`.

        Returns: the `http.request`, still without reply channel and body. It shares nothing with the parser.
        Raises: ClientError, 400, 414, 417, 431, 501 or 505.
        Spec: RFC 9112 sections 3 to 6 and 9.3.
        """
        if len(head) > self._longest_unchecked:
            check_head(head, self._limits)
        name = self._feed(head)
        headers, self._headers = self._headers, []
        if len(headers) > self._most_fields:
            raise ClientError(431, f"{len(headers)} header fields")
        target = self._target
        at = len(name) + len(target) + 1  # if nothing but one space was between them
        is_http10 = False
        if not head.startswith(_END_11, at):
            is_http10 = head.startswith(_END_10, at)
            if not is_http10:
                raise line_error(head) or ClientError(400, "invalid request line")
        method = METHODS.get(name)
        if method is None or _HASH in target:  # no target may have a fragment
            raise line_error(head) or ClientError(400, f"a fragment in the request target {target[:64]!r}")
        special = self.special
        special.read(self._specials, self._policy, is_http10)
        if special.asks_for_socket and method != "GET":
            special.asks_for_socket = False
        has_body = special.is_chunked or special.content_length > 0
        if has_body == self._has_ended and not self._is_upgrade:  # httptools looks for no body behind an upgrade
            # No head is known that comes here; but a head and an empty body in chunks do, by `lone_head`.
            raise ClientError(400, "httptools and we do not agree whether there is a body")
        origin = target if target[0] == _SLASH else origin_of(target, method, headers)
        raw_path, _, query = origin.partition(b"?")
        decoded = unquote_to_bytes(raw_path) if _PERCENT in raw_path else raw_path
        path = decoded.decode("utf-8", "surrogateescape")
        version = "1.0" if is_http10 else "1.1"
        self.request_line = RequestLine(method, target, version, path)

        message = Message.__new__(Message)
        message.update(self.base)
        message["http_version"] = version
        message["method"] = method
        message["path"] = path
        message["raw_path"] = raw_path
        message["query_string"] = query
        message["headers"] = headers
        message["channel_session"] = {}
        if self._client:  # copies: what one consumer does to its message must not show in the next
            message["client"] = self._client[:]  # compiled without a call, which `copy` is
            message["server"] = self._server[:]
        if special.is_proxied:
            take_origin(self.request_line, message, self._policy, self._specials, special.scheme)
        self._specials.clear()
        if self._has_underscores:
            message["headers"], root_path = self._policy.map_names(headers)
            if root_path is not None:
                message["root_path"] = root_path
        return message

    def _feed(self, head: bytes) -> bytes:
        """Give a head to httptools, which calls the methods below; return the method's name.

        Raises: ClientError, 400, 414, 431, 501 or 505.
        """
        self._has_underscores = self._has_ended = self._is_reusable = self._is_upgrade = False
        parser = self._parser
        if parser is None:
            parser = self._parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(head)
        except httptools.HttpParserUpgrade as upgrade:
            if upgrade.args[0] < len(head):
                self._has_more = True
            self._is_upgrade = True
            self._is_reusable = False
        except httptools.HttpParserError as error:
            check_head(head, self._limits)  # has the first word: it judges heads that are not complete yet
            stripped = _strip_values(head)
            if stripped == head:
                raise line_error(head) or ClientError(400, str(error) or type(error).__name__) from None
            self._parser = None
            self._headers = []
            self._specials.clear()
            return self._feed(stripped)
        if not self._is_reusable:
            self._parser = None
        name: bytes = parser.get_method()
        return name

    # ---- called by httptools ----

    def on_url(self, url: bytes) -> None:
        """Take the request target."""
        if self._has_ended:
            self._has_more = True
        self._target = url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header field."""
        if value and value[-1] <= _SPACE:  # httptools takes the white space before it alone
            value = value.rstrip()
        lowered = self._names.get(name)
        if lowered is not None:
            self._headers.append([lowered, value])
            return
        lowered = self._special_spellings.get(name)
        if lowered is None:
            lowered = name.lower()
            if lowered not in self._special_names:
                self._headers.append([lowered, value])
                if _UNDERSCORE in lowered:
                    self._has_underscores = True
                return
        field = [lowered, value]
        self._headers.append(field)
        self._specials.append(field)

    def on_body(self, body: bytes) -> None:
        """What was given is more than a head."""
        self._has_more = True

    def on_message_complete(self) -> None:
        """There is no body, as httptools sees it; it says whether it would take another message."""
        self._has_ended = True
        self._is_reusable = self._parser.should_keep_alive()


def _is_lone(data: bytes) -> bool:
    """Whether the first head's end is the end."""
    return data.find(_END) + len(_END) == len(data)


def _strip_values(head: bytes) -> bytes:
    """Return a head without the white space behind the values of its fields (RFC 9112 section 5).

    httptools refuses some of it after Content-Length and Transfer-Encoding. A line of white space alone stays: it is no
    empty line.
    """
    line, end, fields = head.partition(b"\r\n")
    return line + end + _TRAILING.sub(b"", fields)
