"""What may be in a head of HTTP/2, and what the head of a response is: the verdict that both engines share.

An engine may refuse some of this by itself, so here its heads come without one.
"""

from __future__ import annotations

import pytest

from uvicorn.errors import ClientError
from uvicorn.wire.encoder import Encoder
from uvicorn.wire.forwarded import Allowed, Forwarding
from uvicorn.wire.h2_head import HeadReader
from uvicorn.wire.h2_head_writer import HeadWriter, pairs_of
from uvicorn.wire.head import HeaderPolicy
from uvicorn.wire.limits import Limits
from uvicorn.wire.reply import NO_FIELDS, Fields, encode_fields

CLIENT, SERVER = ["192.0.2.7", 50123], ["192.0.2.1", 8000]
BASE = {"channel": "http.request", "scheme": "http", "client": CLIENT, "server": SERVER}
METHOD, SCHEME, AUTHORITY, PATH = GET = [
    (b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"example.org"), (b":path", b"/"),
]  # fmt: skip


def with_path(path):
    return [METHOD, SCHEME, AUTHORITY, (b":path", path)]


def with_method(method, *more):
    return [(b":method", method), SCHEME, AUTHORITY, PATH, *more]


def reader(header_map="drop", is_trusted=False, forwarding=None, base=BASE, **limits):
    policy = HeaderPolicy(
        {b"x-forwarded-proto": b"https", b"x-ssl": b"on"},
        frozenset({b"script_name"}),
        header_map,
        is_trusted,
        forwarding,
    )
    return HeadReader(base, policy, Limits(**limits))


def refused(fields, is_ended=True, **options):
    with pytest.raises(ClientError) as caught:
        reader(**options).read(fields, is_ended)
    return caught.value


# ---- refusals ----


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ([*GET, METHOD], "doubled"),
        ([*GET, PATH], "doubled"),
        ([*GET, (b":status", b"200")], "unknown"),
        ([*GET, (b"", b"a")], "unknown"),
        ([METHOD, SCHEME, AUTHORITY, (b"x", b"y"), PATH], "late"),
        ([METHOD, SCHEME, AUTHORITY, (b"te", b"trailers"), PATH], "late"),
        ([*GET, (b"x", b" a")], "white space"),
        ([*GET, (b"x", b"a\t")], "white space"),
        ([*GET, (b"x", b"\n")], "white space"),
        ([*GET, (b"x", b"a\0b")], "control"),
        ([*GET, (b"x", b"a\rb")], "control"),
        ([*GET, (b"x", b"a\x7fb")], "control"),
        ([*GET, (b"X-Upper", b"a")], "lower case"),
        ([*GET, (b"User-Agent", b"a")], "lower case"),
        ([*GET, (b"x y", b"a")], "lower case"),
        ([*GET, (b"caf\xe9", b"a")], "lower case"),
        ([*GET, (b"connection", b"close")], "not allowed"),
        ([*GET, (b"keep-alive", b"1")], "not allowed"),
        ([*GET, (b"proxy-connection", b"close")], "not allowed"),
        ([*GET, (b"transfer-encoding", b"chunked")], "not allowed"),
        ([*GET, (b"upgrade", b"h2c")], "not allowed"),
        ([*GET, (b"te", b"gzip")], "not allowed"),
        ([*GET, (b"te", b"trailers, gzip")], "not allowed"),
        ([*GET, (b"content-length", b"1"), (b"content-length", b"2")], "more than one Content-Length"),
        ([*GET, (b"content-length", b"")], "invalid Content-Length"),
        ([*GET, (b"content-length", b"+1")], "invalid Content-Length"),
        ([*GET, (b"content-length", b"1, 1")], "invalid Content-Length"),
        ([*GET, (b"content-length", b"9" * 19)], "invalid Content-Length"),
        ([*GET, (b"content-length", b"5")], "no content"),
        ([*GET, (b"host", b"example.org"), (b"host", b"example.org")], "more than one Host"),
        ([*GET, (b"host", b"evil.example")], "two hosts"),
        ([METHOD, SCHEME, PATH], "no :authority"),
        ([METHOD, SCHEME, (b":authority", b"a/b"), PATH], "invalid one"),
        ([METHOD, SCHEME, (b":authority", b"me@a"), PATH], "invalid one"),
        ([SCHEME, AUTHORITY, PATH], "not a method"),
        (with_method(b"GET /"), "not a method"),
        (with_method(b""), "not a method"),
        (with_method(b"GET", (b":protocol", b"websocket")), ":protocol without CONNECT"),
        ([METHOD, AUTHORITY, PATH], "no :scheme"),
        ([METHOD, (b":scheme", b"gopher"), AUTHORITY, PATH], "no :scheme"),
        ([METHOD, SCHEME, AUTHORITY], "invalid :path"),
        (with_path(b"a"), "invalid :path"),
        (with_path(b"/a b"), "invalid :path"),
        (with_path(b"/a#b"), "invalid :path"),
        (with_path(b"/\x7f"), "invalid :path"),
        (with_path(b"/caf\xe9"), "invalid :path"),
        (with_path(b"*"), "invalid :path"),
    ],
)  # fmt: skip
def test_a_malformed_head_is_400(fields, reason):
    error = refused(fields)
    assert (error.status, reason in error.reason) == (400, True), error.reason


def test_a_target_has_visible_ascii_but_no_fragment():
    for byte in range(256):
        fields = with_path(b"/a" + bytes([byte]) + b"b")
        if 0x21 <= byte <= 0x7E and byte != ord("#"):
            assert reader().read(fields, True)["raw_path"] == fields[-1][1].partition(b"?")[0]
        else:
            assert "invalid :path" in refused(fields).reason, byte


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        (with_path(b"/" + b"a" * 4094), 414),
        ([*GET, (b"x", b"a" * 8190)], 431),
        ([*GET, *((b"x-%d" % number, b"") for number in range(101))], 431),
        ([*GET, (b"expect", b"tea")], 417),
        (with_method(b"BREW"), 501),
        ([(b":method", b"CONNECT"), (b":authority", b"example.org:443")], 501),
    ],
)
def test_what_is_well_formed_and_not_served_has_the_status_of_http11(fields, status):
    assert refused(fields).status == status


def test_limits_of_zero_are_none():
    fields = [*with_path(b"/" + b"a" * 10_000), (b"x", b"a" * 10_000)]
    assert len(reader(request_line=0, request_field_size=0).read(fields, True)["raw_path"]) == 10_001


# ---- what is taken ----


@pytest.mark.parametrize(
    ("fields", "is_ended", "said"),
    [
        ([], True, {}),
        ([(b"host", b"EXAMPLE.org"), (b"te", b"Trailers")], True, {}),
        ([(b"content-length", b"12")], False, {"content_length": 12}),
        ([(b"content-length", b"0" * 40 + b"7"), (b"content-length", b"0" * 40 + b"7")], False, {"content_length": 7}),
        ([(b"content-length", b"0")], True, {"content_length": 0}),
        ([(b"expect", b"100-Continue")], False, {"expects_continue": True}),
        ([(b"expect", b"100-continue")], True, {}),
        ([(b"priority", b"u=1")], True, {"priority": b"u=1"}),
    ],
)
def test_what_the_special_fields_say(fields, is_ended, said):
    heads = reader()
    heads.read([*GET, (b"priority", b"u=7"), (b"expect", b"100-continue"), (b"content-length", b"3")], False)
    heads.read([*GET, *fields], is_ended)  # nothing is left of the one before
    nothing = {"content_length": -1, "expects_continue": False, "priority": None, "protocol": b""}
    assert {name: getattr(heads, name) for name in nothing} == {**nothing, **said}


def test_an_extended_connect_names_its_protocol():
    heads = reader()
    message = heads.read(with_method(b"CONNECT", (b":protocol", b"websocket")), False)
    assert (message["method"], heads.protocol) == ("CONNECT", b"websocket")


@pytest.mark.parametrize(
    ("path", "decoded", "raw", "query"),
    [
        (b"/", "/", b"/", b""),
        (b"/caf%C3%A9?q=%20?", "/café", b"/caf%C3%A9", b"q=%20?"),
        (b"/%FF", "/\udcff", b"/%FF", b""),
        (b"/?", "/", b"/", b""),
    ],
)
def test_a_path_is_decoded_and_kept_as_it_came(path, decoded, raw, query):
    heads = reader()
    message = heads.read(with_path(path), True)
    assert (message["path"], message["raw_path"], message["query_string"]) == (decoded, raw, query)
    assert (heads.request_line.target, heads.request_line.http_version) == (path, "2")


def test_an_asterisk_is_for_options():
    fields = [(b":method", b"OPTIONS"), SCHEME, AUTHORITY, (b":path", b"*")]
    assert reader().read(fields, True)["path"] == "*"


def test_host_stands_for_an_authority_that_is_not_there():
    message = reader().read([METHOD, SCHEME, PATH, (b"host", b"a.example")], True)
    assert message["headers"] == [[b"host", b"a.example"]]


def test_crumbs_of_a_cookie_are_joined_where_the_first_one_was():
    message = reader().read([*GET, (b"x", b""), (b"cookie", b"a=1"), (b"y", b""), (b"cookie", b"b=2")], True)
    assert message["headers"][1:] == [[b"x", b""], [b"cookie", b"a=1; b=2"], [b"y", b""]]


def test_messages_of_one_connection_share_no_address():
    heads = reader()
    first = heads.read(GET, True)
    first["client"].append("changed")
    first["server"].append("changed")
    second = heads.read(GET, True)
    assert (second["client"], second["server"]) == (CLIENT, SERVER) == (["192.0.2.7", 50123], ["192.0.2.1", 8000])


def test_a_unix_socket_has_no_addresses():
    message = reader(base={**BASE, "client": None, "server": None}).read(GET, True)
    assert (message["client"], message["server"]) == (None, None)


# ---- proxies, and names with an underscore ----

NAMED = [(b"x_y", b"a"), (b"script_name", b"/mount")]


@pytest.mark.parametrize(
    ("header_map", "is_trusted", "names", "root_path"),
    [
        ("drop", False, [], None),
        ("drop", True, [b"script_name"], "/mount"),
        ("dangerous", False, [b"x_y", b"script_name"], None),
        ("dangerous", True, [b"x_y", b"script_name"], "/mount"),
    ],
)
def test_names_with_an_underscore_are_for_the_policy(header_map, is_trusted, names, root_path):
    message = reader(header_map, is_trusted).read([*GET, *NAMED], True)
    assert [name for name, _ in message["headers"][1:]] == names
    assert message.get("root_path") == root_path


def test_names_with_an_underscore_may_be_refused():
    assert refused([*GET, *NAMED], header_map="refuse").status == 400


def forwarding():
    return Forwarding(Allowed(["192.0.2.7", "10.0.0.0/8"]), "auto")


FOR, HTTPS = (b"x-forwarded-for", b"203.0.113.9, 10.0.0.1"), (b"x-forwarded-proto", b"https")


@pytest.mark.parametrize(
    ("fields", "reads", "scheme", "client"),
    [
        ([], True, "http", CLIENT),
        ([HTTPS], False, "https", CLIENT),
        ([(b"x-ssl", b"off")], False, "http", CLIENT),
        ([HTTPS, FOR], False, "https", CLIENT),
        ([HTTPS, FOR], True, "https", ["203.0.113.9", 0]),
        ([FOR], True, "http", ["203.0.113.9", 0]),
        ([FOR, (b"x-ssl", b"on")], True, "https", ["203.0.113.9", 0]),
        ([(b"x-ssl", b"on")], True, "https", CLIENT),
        ([(b"x-forwarded-for", b"unknown")], True, "http", CLIENT),
    ],
)
def test_a_trusted_proxy_says_where_a_request_came_from(fields, reads, scheme, client):
    heads = reader(is_trusted=True, forwarding=forwarding() if reads else None)
    message = heads.read([*GET, *fields], True)
    assert (message["scheme"], message["client"]) == (scheme, client)
    assert [pair for pair in message["headers"] if pair[0] != b"host"] == [list(field) for field in fields]
    message = heads.read(GET, True)  # nothing is left of what it said
    assert (message["scheme"], message["client"]) == ("http", CLIENT)


@pytest.mark.parametrize(
    ("fields", "reads"), [([HTTPS, (b"x-ssl", b"off")], False), ([HTTPS, (b"x-ssl", b"off")], True)]
)
def test_a_proxy_that_contradicts_itself_is_400(fields, reads):
    options = {"forwarding": forwarding()} if reads else {}
    assert refused([*GET, *fields], is_trusted=True, **options).status == 400


# ---- responses ----

DATE = (b"date", b"Thu, 01 Jan 1970 00:00:00 GMT")


@pytest.mark.parametrize(
    ("status", "headers", "length", "pairs"),
    [
        (200, [], None, [(b"server", b"me"), DATE]),
        (200, [], 3, [(b"server", b"me"), DATE, (b"content-length", b"3")]),
        (200, [(b"X-Two", b"b")], 0, [(b"server", b"me"), DATE, (b"x-two", b"b"), (b"content-length", b"0")]),
        (200, [(b"Server", b"x")], None, [DATE, (b"server", b"x")]),
        (200, [(b"Date", b"x")], None, [(b"server", b"me"), (b"date", b"x")]),
        (200, [(b"Date", b"x"), (b"Server", b"y")], None, [(b"date", b"x"), (b"server", b"y")]),
        (200, [(b"content-length", b"7")], 3, [(b"server", b"me"), DATE, (b"content-length", b"7")]),
        (204, [(b"content-length", b"0")], None, [(b"server", b"me"), DATE]),
        (200, [(b"Connection", b"close"), (b"Upgrade", b"h3")], None, [(b"server", b"me"), DATE]),
    ],
)  # fmt: skip
def test_the_head_of_a_response(status, headers, length, pairs):
    writer = HeadWriter(Encoder("me"))
    for _ in range(2):  # the second time with what was kept for the status
        made = writer.head(status, encode_fields(headers), length)
        assert made == [(b":status", b"%d" % status), *pairs]


def test_the_date_of_a_response_follows_the_time():
    encoder = Encoder("")
    writer = HeadWriter(encoder)
    assert writer.head(200, NO_FIELDS, None) == [(b":status", b"200"), DATE]
    encoder.set_time(784111777.9)
    assert writer.head(200, NO_FIELDS, None)[1] == (b"date", b"Sun, 06 Nov 1994 08:49:37 GMT")


@pytest.mark.parametrize(
    "headers",
    [
        [(b"x-a", b"1"), (b"X-B", b"\t 2: 3 "), (b"x-empty", b""), (b"1", b" ")],
        [(b"Set-Cookie", b"a"), (b"set-cookie", b"b")],
        [("Upgrade", "h3"), ("proxy-connection", "close"), ("Keep-Alive", "timeout=5"), ("content-length", "7")],
        [(b"Server", b"x"), (b"Date", b"y"), (b"Transfer-Encoding", b"chunked")],
        [],
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", [200, 204])
def test_a_head_is_the_same_from_the_fields_of_a_reply_as_from_their_lines(headers, status):
    fields = encode_fields(headers)
    lines = Fields(
        fields.block, fields.content_length, fields.closes, fields.has_date, fields.has_server, fields.is_plain
    )
    writer = HeadWriter(Encoder("me"))
    assert fields.parts is not None
    assert lines.parts is None
    assert writer.head(status, fields, None) == writer.head(status, lines, None)
    assert fields.after(b"x-id: 1\r\n").parts is None  # its lines are others


def test_encoded_lines_as_http2_has_them():
    block = b"X-A: 1: 2\r\nx-empty: \r\nTransfer-Encoding: chunked\r\nX-White:  \t a \r\n"
    assert pairs_of(block) == [(b"x-a", b"1: 2"), (b"x-empty", b""), (b"x-white", b"a")]
