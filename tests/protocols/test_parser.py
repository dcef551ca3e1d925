"""From one head, or a piece of a body, to what the server wants to know of it."""

import pytest

from uvicorn.errors import ClientError
from uvicorn.protocols.head import HeaderPolicy
from uvicorn.protocols.parser import RequestParser
from uvicorn.settings import Limits

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
    message, target, _, kept = parser().head(line + b"\r\n")
    assert (message["http_version"], target, kept) == (version, b"/", persists)


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


def test_a_body_is_open_until_its_last_byte():
    requests = parser()
    requests.head(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n")
    requests.begin_body()
    assert (requests.body(b"ab"), requests.is_body_open) == (b"ab", True)
    assert (requests.body(b"c"), requests.is_body_open) == (b"c", False)


def test_trailers_do_not_reach_the_message():
    requests = parser()
    message, _, _, _ = requests.head(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    requests.begin_body()
    assert requests.body(b"1\r\na\r\n0\r\nX-User: eve\r\n\r\n") == b"a"
    assert message["headers"] == [[b"host", b"a"], [b"transfer-encoding", b"chunked"]]


def test_what_a_consumer_does_to_its_addresses_does_not_show_in_the_next_message():
    requests = RequestParser(
        {**BASE, "client": ["192.0.2.1", 1], "server": ["192.0.2.2", 80]},
        HeaderPolicy({}, frozenset(), "drop", False),
        Limits(),
    )
    for _ in range(2):
        message, _, _, _ = requests.head(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (message["client"], message["server"]) == (["192.0.2.1", 1], ["192.0.2.2", 80])
        message["client"][0] = message["server"][0] = "changed"
