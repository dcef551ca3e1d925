"""What is refused, with which status; and that nothing behind a refused request is ever served."""

from __future__ import annotations

import pytest
from clients import Echo
from doubles import FakePeers

from uvicorn.wire.forwarded import Allowed, Forwarding

NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
HOST = b"Host: a\r\n"


def get(line=b"GET / HTTP/1.1", fields=HOST):
    return line + b"\r\n" + fields + b"\r\n"


def post(fields, body):
    return b"POST / HTTP/1.1\r\n" + HOST + fields + b"\r\n" + body


REFUSED = {
    # framing: RFC 9112 section 6, request smuggling
    "length and coding": (400, post(b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\nX")),
    "coding and length": (400, post(b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n", b"0\r\n\r\nX")),
    "two lengths": (400, post(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello")),
    "the same length twice": (400, post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello")),
    "a list of lengths": (400, post(b"Content-Length: 5, 5\r\n", b"hello")),
    "a length with a sign": (400, post(b"Content-Length: +5\r\n", b"hello")),
    "a negative length": (400, post(b"Content-Length: -5\r\n", b"hello")),
    "a hexadecimal length": (400, post(b"Content-Length: 0x5\r\n", b"hello")),
    "an underscore in a length": (400, post(b"Content-Length: 1_0\r\n", b"hello")),
    "an empty length": (400, post(b"Content-Length:\r\n", b"hello")),
    "a length above 64 bits": (400, post(b"Content-Length: 18446744073709551621\r\n", b"hello")),
    "another coding first": (501, post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n")),
    "another coding last": (400, post(b"Transfer-Encoding: chunked, gzip\r\n", b"0\r\n\r\n")),
    "another coding": (400, post(b"Transfer-Encoding: gzip\r\n", b"0\r\n\r\n")),
    "almost chunked": (400, post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n")),
    "quoted chunked": (400, post(b'Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n")),
    "chunked with a parameter": (400, post(b"Transfer-Encoding: chunked;a=b\r\n", b"0\r\n\r\n")),
    "identity": (400, post(b"Transfer-Encoding: identity\r\n", b"0\r\n\r\n")),
    "no coding": (400, post(b"Transfer-Encoding:\r\n", b"0\r\n\r\n")),
    "chunked twice": (400, post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n")),
    "chunked, chunked": (501, post(b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n")),
    "chunked, then gzip": (400, post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n", b"0\r\n\r\n")),
    "a vertical tab before chunked": (400, post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n")),
    "chunked with 1.0": (400, b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    # header fields: RFC 9112 section 5
    "a folded line": (400, get(fields=HOST + b"X: a\r\n b\r\n")),
    "a folded first line": (400, get(fields=b" Host: a\r\nHost: a\r\n")),
    "a folded coding": (400, post(b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n")),
    "a space before the colon": (400, get(fields=HOST + b"X : a\r\n")),
    "a space before the colon of a length": (400, post(b"Content-Length : 5\r\n", b"hello")),
    "a space in a name": (400, get(fields=HOST + b"X Y: a\r\n")),
    "a line without a colon": (400, get(fields=HOST + b"nonsense\r\n")),
    "an empty name": (400, get(fields=HOST + b": a\r\n")),
    "NUL in a value": (400, get(fields=HOST + b"X: a\0b\r\n")),
    "NUL in a name": (400, get(fields=HOST + b"X\0: a\r\n")),
    "a lone CR in a value": (400, get(fields=HOST + b"X: a\rb\r\n")),
    "a lone LF after a field": (400, get(fields=b"Host: a\nX: b\r\n")),
    "lone LFs at the end": (400, b"GET / HTTP/1.1\r\nHost: a\n\n"),
    "a lone LF after the request line": (400, b"GET / HTTP/1.1\nHost: a\r\n\r\n"),
    "only LFs": (400, b"GET / HTTP/1.1\nHost: a\n\n"),
    "a lone CR after the request line": (400, b"GET / HTTP/1.1\rHost: a\r\n\r\n"),
    "CR CR LF": (400, get(fields=HOST + b"X: a\r\r\n")),
    # Host: RFC 9112 section 3.2
    "no host": (400, b"GET / HTTP/1.1\r\n\r\n"),
    "no host, other fields": (400, get(fields=b"X: 1\r\n")),
    "two hosts": (400, get(fields=HOST + b"Host: b\r\n")),
    "the same host twice": (400, get(fields=HOST + HOST)),
    "two hosts with 1.0": (400, get(b"GET / HTTP/1.0", HOST + b"host: b\r\n")),
    "no host in the absolute form": (400, b"GET http://a/ HTTP/1.1\r\n\r\n"),
    # the request line: RFC 9112 section 3
    "two spaces before the target": (400, get(b"GET  / HTTP/1.1")),
    "two spaces before the version": (400, get(b"GET /  HTTP/1.1")),
    "a space in the target": (400, get(b"GET /a b HTTP/1.1")),
    "a space at the end": (400, get(b"GET / HTTP/1.1 ")),
    "a tab": (400, get(b"GET\t/\tHTTP/1.1")),
    "no version": (400, get(b"GET /")),
    "a lower-case version": (400, get(b"GET / http/1.1")),
    "another protocol": (400, get(b"GET / RTSP/1.0")),
    "a version of three parts": (400, get(b"GET / HTTP/1.1.1")),
    "version 0.9": (505, get(b"GET / HTTP/0.9")),
    "version 1.2": (505, get(b"GET / HTTP/1.2")),
    "version 2.0": (505, get(b"GET / HTTP/2.0")),
    "the preface of HTTP/2": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "a lower-case method": (501, get(b"get / HTTP/1.1")),
    "an unknown method": (501, get(b"BREW / HTTP/1.1")),
    "a method with a bad character": (400, get(b"GE(T / HTTP/1.1")),
    "CONNECT": (501, get(b"CONNECT a:443 HTTP/1.1")),
    "an asterisk": (400, get(b"GET * HTTP/1.1")),
    "a target without a slash": (400, get(b"GET a/b HTTP/1.1")),
    "an absolute form without authority": (400, get(b"GET http:///a HTTP/1.1")),
    "an absolute form of another scheme": (400, get(b"GET ftp://a/ HTTP/1.1")),
    "a control character in the target": (400, get(b"GET /\x01 HTTP/1.1")),
    "high bytes in the target": (400, get(b"GET /\xc3\xa9 HTTP/1.1")),
    # not HTTP at all
    "a TLS hello": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "binary": (400, b"\x00\x01\x02\r\n\r\n"),
    "high bytes": (400, b"\xff\xfe\r\n\r\n"),
    "a bracket": (400, b"[ / HTTP/1.1\r\n\r\n"),
    # the rest
    "an unknown expectation": (417, post(b"Expect: the-unexpected\r\nContent-Length: 5\r\n", b"hello")),
    "one of two expectations": (417, post(b"Expect: 100-continue\r\nExpect: x\r\nContent-Length: 5\r\n", b"hello")),
    "a chunk of no size": (400, post(b"Transfer-Encoding: chunked\r\n", b"\r\n\r\n")),
    "a chunk of a wrong size": (400, post(b"Transfer-Encoding: chunked\r\n", b"3\r\nhello\r\n0\r\n\r\n")),
    "a chunk size that is no number": (400, post(b"Transfer-Encoding: chunked\r\n", b"g\r\nhello\r\n0\r\n\r\n")),
    "a chunk size with 0x": (400, post(b"Transfer-Encoding: chunked\r\n", b"0x5\r\nhello\r\n0\r\n\r\n")),
    "a negative chunk size": (400, post(b"Transfer-Encoding: chunked\r\n", b"-5\r\nhello\r\n0\r\n\r\n")),
    "a chunk size above 64 bits": (400, post(b"Transfer-Encoding: chunked\r\n", b"10000000000000005\r\nhello\r\n")),
    "a lone LF after a chunk size": (400, post(b"Transfer-Encoding: chunked\r\n", b"5\nhello\r\n0\r\n\r\n")),
    "a lone LF after a chunk": (400, post(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\n0\r\n\r\n")),
    "a lone LF after the last chunk": (400, post(b"Transfer-Encoding: chunked\r\n", b"0\n\r\n")),
    "a lone LF at the end of a body": (400, post(b"Transfer-Encoding: chunked\r\n", b"0\r\n\n")),
    "a lone LF in a chunk extension": (400, post(b"Transfer-Encoding: chunked\r\n", b"5;a\nhello\r\n0\r\n\r\n")),
    "a space after a chunk size": (400, post(b"Transfer-Encoding: chunked\r\n", b"5 \r\nhello\r\n0\r\n\r\n")),
    "a folded trailer": (400, post(b"Transfer-Encoding: chunked\r\n", b"0\r\nX: a\r\n b\r\n\r\n")),
}  # fmt: skip

ANY_OF = {  # several answers are right; what counts is that it is refused
    "another coding last": {400, 501},
    "another coding": {400, 501},
    "almost chunked": {400, 501},
    "quoted chunked": {400, 501},
    "chunked with a parameter": {400, 501},
    "identity": {400, 501},
    "no coding": {400, 501},
    "chunked twice": {400, 501},
    "chunked, chunked": {400, 501},
    "chunked, then gzip": {400, 501},
    "a lower-case version": {400, 505},
    "a version of three parts": {400, 505},
}


@pytest.mark.parametrize("piece", [None, 1])
@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_request_is_refused_and_nothing_behind_it_is_served(make_site, name, piece):
    status, data = REFUSED[name]
    echo = Echo()
    site = make_site(echo)
    client = site.connect()
    client.send(data + NEXT, piece)
    (response,) = client.responses()
    assert response.status in ANY_OF.get(name, {status})
    assert response.headers["connection"] == "close"
    assert echo.messages == []
    assert [line for level, line in site.log.lines if level == "info"]
    site.pass_time(3)
    assert client.is_closed


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_request_is_refused_behind_a_good_one(make_site, name):
    status, data = REFUSED[name]
    client = make_site(Echo()).connect()
    client.send(NEXT + data + NEXT)
    first, second = client.responses()
    assert (first.status, first.body) == (200, b"GET /next ")
    assert second.status in ANY_OF.get(name, {status})


ACCEPTED = {
    "an absolute form": get(b"GET http://b/ HTTP/1.1"),
    "an absolute form of https": get(b"GET HTTPS://b HTTP/1.1"),
    "an asterisk": get(b"OPTIONS * HTTP/1.1"),
    "an empty host": get(fields=b"Host:\r\n"),
    "no host with 1.0": b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "no space after the colon": get(fields=b"Host:a\r\n"),
    "tabs around a value": get(fields=b"Host:\ta\t\r\n"),
    "an empty value": get(fields=HOST + b"X:\r\n"),
    "latin-1 in a value": get(fields=HOST + b"X: \xe9\r\n"),
    "an empty line before": b"\r\n" + get(),
    "two empty lines before": b"\r\n\r\n" + get(),
    "the same expectation twice": post(b"Expect: 100-continue\r\nExpect: 100-Continue\r\n", b""),
    "space around chunked": post(b"Transfer-Encoding: \tchunked \r\n", b"0\r\n\r\n"),
    "zeros before a length": post(b"Content-Length: 005\r\n", b"hello"),
    "zeros before a chunk size": post(b"Transfer-Encoding: chunked\r\n", b"005\r\nhello\r\n000\r\n\r\n"),
}


@pytest.mark.parametrize("piece", [None, 1])
@pytest.mark.parametrize("name", ACCEPTED)
def test_an_unusual_request_is_served_and_so_is_the_next(make_site, name, piece):
    client = make_site(Echo()).connect()
    client.send(ACCEPTED[name] + NEXT, piece)
    assert client.statuses() == [200, 200]
    assert client.responses()[1].body == b"GET /next "


def test_a_refused_client_may_send_on_for_a_while_and_reads_its_answer(make_site):
    site = make_site(Echo())
    client = site.connect()
    client.send(post(b"Expect: x\r\nContent-Length: 100000\r\n", b""))
    assert client.statuses() == [417]
    assert client.transport.is_eof_written
    client.send(b"x" * 1000)
    assert not client.is_closed
    client.half_close()
    assert client.is_closed
    assert not client.transport.is_aborted


def test_the_log_says_what_was_wrong_and_who_it_was(make_site):
    site = make_site(Echo())
    site.connect().send(b"\x16\x03\x01")
    site.connect(client=None).send(b"GET / HTTP/1.1\r\n\r\n")
    first, second = site.log.take("info")
    assert first.startswith("400 to 192.0.2.7: TLS")
    assert second == "400 to unix socket: no Host header"


PROXY = b"PROXY TCP4 198.51.100.9 203.0.113.1 4000 443\r\n"


@pytest.mark.parametrize("piece", [None, 1])
def test_the_proxy_header_says_who_the_client_is(make_site, piece):
    echo = Echo()
    client = make_site(echo, peers=FakePeers(proxy_mode="auto")).connect()
    client.send(PROXY + NEXT + NEXT, piece)
    assert client.statuses() == [200, 200]
    for message in echo.messages:
        assert (message["client"], message["server"]) == (["198.51.100.9", 4000], ["203.0.113.1", 443])


def test_behind_a_proxy_header_what_the_client_writes_is_not_its_address(make_site):
    """With a proxy that forwards TCP, X-Forwarded-For would be the client's own word."""
    echo = Echo()

    class Peers(FakePeers):
        def policy_behind(self, address, client):
            return FakePeers().header_policy(client)

    peers = Peers(proxy_mode="auto", is_trusted=True, forwarding=Forwarding(Allowed(["*"])))
    forged = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.66\r\n\r\n"
    make_site(echo, peers=peers).connect().send(PROXY + forged)
    make_site(echo, peers=peers).connect().send(forged)
    assert [message["client"] for message in echo.messages] == [["198.51.100.9", 4000], ["192.0.2.66", 0]]


def test_a_proxy_header_is_optional(make_site):
    client = make_site(Echo(), peers=FakePeers(proxy_mode="auto")).connect()
    client.send(NEXT)
    assert client.statuses() == [200]


@pytest.mark.parametrize(
    ("status", "data", "peers"),
    [
        (400, b"PROXY TCP4 nonsense\r\n" + NEXT, FakePeers(proxy_mode="v1")),
        (403, PROXY + NEXT, FakePeers(proxy_mode="v1", may_proxy=False)),
        (400, PROXY + NEXT, FakePeers(proxy_mode="v2")),
        (400, PROXY + NEXT, FakePeers()),
    ],
)
def test_a_proxy_header_is_refused_where_it_is_not_right(make_site, status, data, peers):
    echo = Echo()
    client = make_site(echo, peers=peers).connect()
    client.send(data)
    assert client.statuses() == [status]
    assert echo.messages == []
