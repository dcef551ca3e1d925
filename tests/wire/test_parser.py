"""From one head to what the server wants to know of it."""

import pytest

from uvicorn.errors import ClientError
from uvicorn.wire.forwarded import Allowed, Forwarding
from uvicorn.wire.head import HeaderPolicy
from uvicorn.wire.limits import Limits
from uvicorn.wire.parser import RequestParser

BASE = {"channel": "http.request", "body": b"", "body_channel": None}


def parser(**limits):
    return RequestParser(BASE, HeaderPolicy({}, frozenset(), "drop", False), Limits(**limits))


@pytest.mark.parametrize(
    ("line", "version", "persists"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n", "1.1", True),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n", "1.1", False),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Keep-Alive, Close\r\n", "1.1", False),
        (b"GET / HTTP/1.0\r\n", "1.0", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n", "1.0", True),
    ],
)
def test_a_head_tells_its_version_and_whether_the_connection_is_kept(line, version, persists):
    requests = parser()
    message = requests.head(line + b"\r\n")
    assert (message["http_version"], requests.request_line.target) == (version, b"/")
    assert requests.special.persists is persists


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"BREW / HTTP/1.1\r\n\r\n", 501),
        (b"get / HTTP/1.1\r\n\r\n", 501),
        (b"GE(T / HTTP/1.1\r\n\r\n", 400),
        (b" / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/3.0\r\n\r\n", 505),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"GET /HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHo(st: a\r\n\r\n", 400),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    ],
)
def test_what_the_parser_finds_becomes_a_status(head, status):
    with pytest.raises(ClientError) as caught:
        parser().head(head)
    assert caught.value.status == status


def test_the_parsers_words_are_the_reason():
    with pytest.raises(ClientError, match="Invalid header token"):
        parser().head(b"GET / HTTP/1.1\r\nHost : a\r\n\r\n")


def test_white_space_around_a_value_is_not_part_of_it():
    requests = parser()
    message = requests.head(
        b"POST / HTTP/1.1\r\nHost: a \r\nX:\t b c\t \r\nY: \t\r\nConnection: close \r\nContent-Length: 1\t\r\n"
        b"Expect: 100-continue  \r\n\r\n"
    )
    assert message["headers"] == [
        [b"host", b"a"],
        [b"x", b"b c"],
        [b"y", b""],
        [b"connection", b"close"],
        [b"content-length", b"1"],
        [b"expect", b"100-continue"],
    ]
    special = requests.special
    assert (special.content_length, special.expects_continue, special.persists) == (1, True, False)


@pytest.mark.parametrize("target", [b"/a#b", b"/#", b"/a?b#c", b"http://a/#b", b"#"])
def test_a_fragment_in_a_target_is_refused(target):
    with pytest.raises(ClientError) as caught:
        parser().head(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert caught.value.status == 400


def test_what_a_consumer_does_to_its_addresses_does_not_show_in_the_next_message():
    requests = RequestParser(
        {**BASE, "client": ["192.0.2.1", 1], "server": ["192.0.2.2", 80]},
        HeaderPolicy({}, frozenset(), "drop", False),
        Limits(),
    )
    for _ in range(2):
        message = requests.head(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (message["client"], message["server"]) == (["192.0.2.1", 1], ["192.0.2.2", 80])
        message["client"][0] = message["server"][0] = "changed"


# ---- one head after another ----

PLAIN = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"

# What llhttp remembers of a message, if it is let: a close, a body, an upgrade, a version.
BEFORE = [
    PLAIN,
    b"GET / HTTP/1.1\r\nHost: a\r\nProxy-Connection: close\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 9\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: b\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\nx_y: z\r\n\r\n",
    b"GET http://b/c?d HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nX-Forwarded-Proto: https\r\n\r\n",
]
FACTS = ("content_length", "is_chunked", "expects_continue", "persists", "asks_for_socket", "scheme")


def facts(requests, head):
    message = requests.head(head)
    line = requests.request_line
    return (
        message,
        line.method,
        line.target,
        line.http_version,
        line.path,
        line.is_head,
        line.is_http10,
        [getattr(requests.special, name) for name in FACTS],
    )


@pytest.mark.parametrize("head", BEFORE)
def test_nothing_of_a_head_shows_in_the_next_one(head):
    for before in BEFORE:
        requests = parser()
        requests.head(before)
        assert facts(requests, head) == facts(parser(), head), before


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST"])
def test_only_a_get_asks_for_a_socket(method):
    requests = parser()
    requests.head(method + BEFORE[-3][3:])
    assert requests.special.asks_for_socket is (method == b"GET")


def test_what_a_consumer_does_to_its_message_does_not_show_in_the_next():
    requests = RequestParser(
        {**BASE, "headers": [], "channel_session": {}, "client": ["a", 1], "server": ["b", 2]},
        HeaderPolicy({b"x-forwarded-proto": b"https"}, frozenset({b"script_name"}), "drop", True),
        Limits(),
    )
    head = PLAIN[:-2] + b"X-Forwarded-Proto: https\r\nScript_Name: /b\r\nx_y: z\r\nConnection: close\r\n\r\n"
    first = requests.head(head)
    expected = {key: value.copy() if hasattr(value, "copy") else value for key, value in first.items()}
    expected["headers"] = [list(field) for field in first["headers"]]
    for message in (first, requests.head(head), requests.head(PLAIN)):
        for value in message.values():
            if isinstance(value, list):
                for field in value:
                    if isinstance(field, list):
                        field[:] = [b"host", b"changed"]
                value.append("changed")
            elif isinstance(value, dict):
                value["changed"] = True
        message.clear()
    assert requests.head(head) == expected


def test_two_messages_share_no_list():
    base = {**BASE, "client": ["a", 1], "server": ["b", 2]}
    requests = RequestParser(base, HeaderPolicy({}, frozenset(), "drop", False), Limits())
    first, second = requests.head(PLAIN), requests.head(PLAIN)
    for key in ("headers", "client", "server", "channel_session"):
        assert first[key] == second[key]
        assert first[key] is not second[key]
    assert first["headers"][0] is not second["headers"][0]


def test_a_head_has_the_addresses_that_were_set_last():
    requests = parser()
    requests.head(PLAIN)
    requests.set_base({**BASE, "client": ["b", 1], "server": ["c", 2]})
    message = requests.head(PLAIN)
    assert (message["client"], message["server"]) == (["b", 1], ["c", 2])


def test_a_trusted_peer_says_the_scheme_and_the_root_path():
    policy = HeaderPolicy({b"x-forwarded-proto": b"https"}, frozenset({b"script_name"}), "drop", True)
    requests = RequestParser({**BASE, "scheme": "http", "root_path": ""}, policy, Limits())
    message = requests.head(
        b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\nSCRIPT_NAME: /app\r\nx_y: z\r\n\r\n"
    )
    assert (message["scheme"], message["root_path"]) == ("https", "/app")
    assert [name for name, _ in message["headers"]] == [b"host", b"x-forwarded-proto", b"script_name"]
    message = requests.head(PLAIN)
    assert (message["scheme"], message["root_path"]) == ("http", "")


@pytest.mark.parametrize(
    ("fields", "limits"),
    [(b"X: y\r\n" * 3, {"request_fields": 3}), (b"X: " + b"y" * 50 + b"\r\n", {"request_field_size": 50})],
)
def test_a_head_that_came_whole_is_measured_too(fields, limits):
    with pytest.raises(ClientError) as caught:
        parser(**limits).head(PLAIN[:-2] + fields + b"\r\n")
    assert caught.value.status == 431


# ---- what a trusted proxy says of its client ----

CHAIN = b"X-Forwarded-For: 192.0.2.66, 192.0.2.1\r\nX-Forwarded-Proto: https\r\n"


def behind_proxy(is_trusted=True):
    secure = {b"x-forwarded-proto": b"https", b"x-forwarded-ssl": b"on"}
    policy = HeaderPolicy(secure, frozenset(), "drop", is_trusted, Forwarding(Allowed(["10.0.0.1"])))
    base = {**BASE, "scheme": "http", "client": ["10.0.0.1", 4000], "server": ["10.0.0.2", 80]}
    return RequestParser(base, policy, Limits())


def test_a_trusted_proxy_says_client_and_scheme_of_this_request_alone():
    requests = behind_proxy()
    message = requests.head(b"GET / HTTP/1.1\r\nHost: a\r\n" + CHAIN + b"\r\n")
    assert (message["client"], message["scheme"]) == (["192.0.2.1", 0], "https")
    assert (requests.request_line.client, requests.request_line.scheme) == (["192.0.2.1", 0], "https")
    assert requests.request_line.client is not message["client"]  # what a consumer does to it must not show in the log
    assert [b"x-forwarded-for", b"192.0.2.66, 192.0.2.1"] in message["headers"]

    message = requests.head(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (message["client"], message["scheme"]) == (["10.0.0.1", 4000], "http")
    assert (requests.request_line.client, requests.request_line.scheme) == (None, None)


def test_a_peer_that_is_not_trusted_says_nothing_of_its_client():
    message = behind_proxy(is_trusted=False).head(b"GET / HTTP/1.1\r\nHost: a\r\n" + CHAIN + b"\r\n")
    assert (message["client"], message["scheme"]) == (["10.0.0.1", 4000], "http")


@pytest.mark.parametrize(
    ("fields", "client", "scheme"),
    [
        (b"X-Forwarded-For: unknown\r\n", ["10.0.0.1", 4000], "http"),
        (b"X-Forwarded-For: \xff\xfe\r\nX-Forwarded-Proto: \xff\r\n", ["10.0.0.1", 4000], "http"),
        (b"X-Forwarded-Ssl: on\r\n", ["10.0.0.1", 4000], "https"),
        (b"X-Forwarded-Ssl: on\r\nX-Forwarded-Proto: https\r\n", ["10.0.0.1", 4000], "https"),
        (b"Forwarded: for=192.0.2.1;proto=https\r\n", ["192.0.2.1", 0], "https"),
        (b"x_forwarded_for: 192.0.2.1\r\n", ["10.0.0.1", 4000], "http"),
    ],
)
def test_what_a_trusted_proxy_does_not_say_is_the_connections(fields, client, scheme):
    message = behind_proxy().head(b"GET / HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n")
    assert (message["client"], message["scheme"]) == (client, scheme)


def test_a_proxy_that_contradicts_itself_is_refused():
    with pytest.raises(ClientError, match="contradictory"):
        behind_proxy().head(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Ssl: on\r\nX-Forwarded-Proto: http\r\n\r\n")
