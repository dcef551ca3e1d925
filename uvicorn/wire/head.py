"""What a server must check in the head of a request before anybody sees it. Pure.

httptools (llhttp, no lenient mode on) checks the grammar, in `parser.py`; it lets some things pass that RFC 9110 and
9112 forbid. Here is the rest: Host, Connection, Content-Length, Transfer-Encoding, Expect, Upgrade, and the header
policies of Gunicorn. The request line is in `request_line.py`, sizes and ends of lines are in `framing.py`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from uvicorn.errors import ClientError
from uvicorn.messages import Headers
from uvicorn.wire.forwarded import Forwarding

__all__ = ["KNOWN_NAMES", "SPECIAL", "HeaderPolicy", "Special", "is_authority"]

#: Header names whose fields are looked at one by one; all others go to the consumer as they are.
SPECIAL: Final = frozenset({
    b"host", b"connection", b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"sec-websocket-key",
})  # fmt: skip

# Names as clients and proxies write them; what is not here is lowered each time. Fixed: nothing is learned.
_WELL_KNOWN: Final = """
    Accept Accept-Charset Accept-Encoding Accept-Language Access-Control-Request-Headers Access-Control-Request-Method
    Authorization Cache-Control CDN-Loop CF-Connecting-IP CF-IPCountry CF-Ray CF-Visitor Content-Encoding
    Content-Language Content-MD5 Content-Type Cookie Date Device-Memory DNT Downlink ECT Forwarded From If-Match
    If-Modified-Since If-None-Match If-Range If-Unmodified-Since Keep-Alive Last-Event-ID Max-Forwards Origin Pragma
    Priority Proxy-Authorization Proxy-Connection Purpose Range Referer RTT Save-Data Sec-CH-Prefers-Color-Scheme
    Sec-CH-UA Sec-CH-UA-Arch Sec-CH-UA-Full-Version-List Sec-CH-UA-Mobile Sec-CH-UA-Model Sec-CH-UA-Platform
    Sec-CH-UA-Platform-Version Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site Sec-Fetch-User Sec-GPC Sec-Purpose
    Sec-WebSocket-Extensions Sec-WebSocket-Protocol Sec-WebSocket-Version TE Traceparent Tracestate Trailer
    True-Client-IP Upgrade-Insecure-Requests User-Agent Via X-Amz-Cf-Id X-Amzn-Trace-Id X-Api-Key X-B3-ParentSpanId
    X-B3-Sampled X-B3-SpanId X-B3-TraceId X-Client-IP X-Cloud-Trace-Context X-Correlation-ID X-CSRF-Token X-CSRFToken
    X-Envoy-External-Address X-Forwarded-For X-Forwarded-Host X-Forwarded-Path X-Forwarded-Port X-Forwarded-Prefix
    X-Forwarded-Proto X-Forwarded-Protocol X-Forwarded-Scheme X-Forwarded-Server X-Forwarded-SSL X-HTTP-Method-Override
    X-Original-URI X-Real-IP X-Request-ID X-Requested-With X-Scheme X-Trace-ID X-XSRF-Token
"""
_MOST_LENGTH_DIGITS: Final = 18  # of a content-length, without leading zeros: below 2**63

# RFC 3986 section 3.2: a name (which may be empty there), most often without "%", or an address; and a port.
_AUTHORITY: Final = re.compile(
    rb"([A-Za-z0-9\-._~!$&'()*+,;=]*|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*|\[[0-9A-Fa-f:.]+\]|"
    rb"\[v[0-9A-Fa-f]+\.[A-Za-z0-9\-._~!$&'()*+,;=:]+\])(?::[0-9]*)?"
)

# What one Connection field asks for; bits.
_CLOSES: Final = 1
_KEEPS: Final = 2
_UPGRADES: Final = 4
_OPTIONS: Final = {
    b"close": _CLOSES, b"keep-alive": _KEEPS, b"upgrade": _UPGRADES, b"Keep-Alive": _KEEPS, b"Upgrade": _UPGRADES,
}  # fmt: skip


class HeaderPolicy:
    """Gunicorn's header settings, as they hold for one peer.

    Args:
        secure_scheme_headers: lower-case name -> value that means https; used from trusted peers only.
        forwarder_headers: lower-case names with "_" that trusted peers may send.
        header_map: "drop", "refuse" or "dangerous", for other names with "_".
        forwarding: reads what a trusted peer says of its client; None if nothing is believed.
        is_believed: what this peer says of a request itself is believed: its id, its trace, when it came in. None for
            whether it is trusted: a peer that passes TCP on has not written that.

    Attributes:
        special: lower-case names of the fields that `Special.read` is to be given.
        special_names: their names, as they are sent most often -> in lower case.
        names: well-known names of other fields, in the same way. None has a "_".
    """

    __slots__ = (
        "_forwarder", "_header_map", "_secure", "_takes_root_path", "forwarding", "is_believed", "names", "special",
        "special_names",
    )  # fmt: skip

    def __init__(
        self,
        secure_scheme_headers: Mapping[bytes, bytes],
        forwarder_headers: frozenset[bytes],
        header_map: str,
        is_trusted: bool,
        forwarding: Forwarding | None = None,
        is_believed: bool | None = None,
    ) -> None:
        self._secure = dict(secure_scheme_headers) if is_trusted else {}
        self.forwarding = forwarding if is_trusted else None
        self.is_believed = is_trusted if is_believed is None else is_believed
        if self.forwarding is not None:  # it reads these in its own way, if they mean what they usually mean
            for name in self.forwarding.names:
                if self._secure.get(name) == b"https":
                    del self._secure[name]
        self._forwarder = forwarder_headers if is_trusted else frozenset()
        self._header_map = header_map
        self._takes_root_path = is_trusted and b"script_name" in forwarder_headers
        self.special = SPECIAL.union(self._secure, () if self.forwarding is None else self.forwarding.names)
        self.special_names = _spellings(b" ".join(self.special))
        self.names = {sent: name for sent, name in _NAMES.items() if name not in self.special}

    @classmethod
    def from_config(
        cls, cfg: Any, is_trusted: bool, forwarding: Forwarding | None = None, is_believed: bool | None = None
    ) -> HeaderPolicy:
        """Read `secure_scheme_headers`, `forwarder_headers` and `header_map` of Gunicorn."""
        secure = {
            name.lower().encode("latin-1"): value.encode("latin-1") for name, value in cfg.secure_scheme_headers.items()
        }
        forwarder = frozenset(name.lower().encode("latin-1") for name in cfg.forwarder_headers)
        return cls(secure, forwarder, cfg.header_map, is_trusted, forwarding, is_believed)

    def map_names(self, headers: Headers) -> tuple[Headers, str | None]:
        """Apply `header_map` and `forwarder_headers` to names with "_"; call it if there may be any.

        Returns: what is left of the fields; and the root path, if a trusted peer says one.
        Raises: ClientError 400 for such a name if `header_map` is "refuse".
        """
        kept: Headers = []
        root_path = None
        for field in headers:
            name = field[0]
            if b"_" in name and name not in self._forwarder and b"*" not in self._forwarder:
                if self._header_map == "drop":
                    continue
                if self._header_map != "dangerous":
                    raise ClientError(400, f"header name {name[:40]!r} has an underscore")
            elif name == b"script_name" and self._takes_root_path:
                root_path = field[1].decode("latin-1")
            kept.append(field)
        return kept, root_path

    def scheme(self, name: bytes, value: bytes, before: str | None) -> str | None:
        """Return what a field of a trusted proxy says of the scheme; `before` is what another one has said.

        Raises: ClientError 400 if they contradict each other.
        """
        secure = self._secure.get(name)
        if secure is None:  # one that `forwarding` reads
            return before
        # Some proxies say the scheme of the socket that is asked for.
        scheme = "https" if value == secure or (value == b"wss" and secure == b"https") else "http"
        if before is not None and before != scheme:
            raise ClientError(400, "contradictory scheme headers")
        return scheme


class Special:
    """What the special header fields of one head say. One for each connection: read anew for each head.

    Attributes:
        content_length: bytes of the body, if `is_chunked` is not set.
        is_chunked: the body comes in chunks.
        expects_continue: the client waits for 100 before it sends the body.
        persists: the client wants the connection kept (RFC 9112 section 9.3).
        asks_for_socket: it has all fields of a WebSocket's handshake (RFC 6455 section 4.2.1), and no body.
        is_proxied: a trusted proxy says something of where the request came from.
        scheme: what a trusted proxy says instead of our own, or None; not what `forwarding` reads.
    """

    __slots__ = (
        "_host", "asks_for_socket", "content_length", "expects_continue", "is_chunked", "is_proxied", "persists",
        "scheme",
    )  # fmt: skip

    def __init__(self) -> None:
        self._host = b""  # the last one that was valid: most clients ask one host through one connection
        self.content_length = 0
        self.is_chunked = self.expects_continue = self.asks_for_socket = self.is_proxied = False
        self.persists = True
        self.scheme: str | None = None

    def read(self, fields: Headers, policy: HeaderPolicy, is_http10: bool) -> None:
        """Read the special fields, given in their order, without white space around their values.

        Raises: ClientError, 400 for what breaks the message's framing or is ambiguous, 417, 501.
        Spec: RFC 9112 sections 3.2, 6.1 and 6.3; RFC 9110 sections 7.8 and 10.1.1.
        """
        hosts = options = 0
        length: bytes | None = None
        codings: bytes | None = None
        expects = names_websocket = has_key = is_proxied = False
        scheme: str | None = None
        for field in fields:
            name = field[0]
            value = field[1]
            if name == b"host":
                hosts += 1
                if value != self._host:
                    # Most name a host in letters, digits, dots and dashes, perhaps a port: that needs no expression.
                    if not value.replace(b".", b"").replace(b"-", b"").isalnum() and not _AUTHORITY.fullmatch(value):
                        raise ClientError(400, f"invalid Host {value[:64]!r}")
                    self._host = value
            elif name == b"connection":
                options |= _OPTIONS.get(value) or _read_options(value)
            elif name == b"content-length":
                if length is not None:
                    raise ClientError(400, "more than one Content-Length")
                length = value
            elif name == b"transfer-encoding":
                codings = value if codings is None else codings + b"," + value
            elif name == b"expect":
                if value.lower() != b"100-continue":
                    raise ClientError(417, f"unknown expectation {value[:40]!r}")
                expects = not is_http10
            elif name == b"upgrade":
                names_websocket = names_websocket or b"websocket" in _list_of(value)
            elif name == b"sec-websocket-key":
                has_key = True
            else:
                is_proxied = True
                scheme = policy.scheme(name, value, scheme)
        if hosts != 1 and (hosts or not is_http10):
            raise ClientError(400, "more than one Host header" if hosts else "no Host header")
        if codings is not None:
            _check_codings(codings, is_http10, length is not None)
        self.is_chunked = codings is not None
        self.content_length = _read_length(length) if length is not None else 0
        self.expects_continue = expects
        self.persists = not options & _CLOSES and (not is_http10 or options & _KEEPS != 0)
        self.asks_for_socket = (
            has_key
            and names_websocket
            and options & _UPGRADES != 0
            and not (is_http10 or self.is_chunked or self.content_length)
        )
        self.is_proxied = is_proxied
        self.scheme = scheme


def is_authority(value: bytes) -> bool:
    """Whether this names a host, and perhaps a port, as the authority of a target must (RFC 9110 section 4.2.1)."""
    found = _AUTHORITY.fullmatch(value)
    return found is not None and found[1] != b""


def _list_of(value: bytes) -> list[bytes]:
    return [item.strip(b" \t") for item in value.lower().split(b",")]


def _read_options(value: bytes) -> int:
    options = 0
    for option in _list_of(value):
        options |= _OPTIONS.get(option, 0)
    return options


def _read_length(value: bytes) -> int:
    digits = value.lstrip(b"0")
    if not value.isdigit() or len(digits) > _MOST_LENGTH_DIGITS:
        raise ClientError(400, f"invalid Content-Length {value[:40]!r}")
    return int(value[-_MOST_LENGTH_DIGITS:])


def _check_codings(codings: bytes, is_http10: bool, has_length: bool) -> None:
    """Refuse all transfer codings but chunked alone.

    Raises: ClientError, 400 if the end of the body could not be known, else 501.
    """
    if is_http10:
        raise ClientError(400, "Transfer-Encoding with HTTP/1.0")
    if has_length:
        raise ClientError(400, "Transfer-Encoding beside Content-Length")
    names = _list_of(codings)
    if names == [b"chunked"]:
        return
    is_known = names[-1] == b"chunked" and b"chunked" not in names[:-1]
    raise ClientError(501 if is_known else 400, f"unsupported Transfer-Encoding {codings[:40]!r}")


def _spellings(known: bytes) -> dict[bytes, bytes]:
    """Return names as they are sent most often, each with its name in lower case."""
    names = {}
    for name in known.split():
        lowered = name.lower()
        for sent in (lowered, name, b"-".join(word.capitalize() for word in lowered.split(b"-"))):
            names[sent] = lowered
    return names


_NAMES: Final = _spellings(_WELL_KNOWN.encode())
#: Names that are well known, in lower case.
KNOWN_NAMES: Final = frozenset(_NAMES.values())
