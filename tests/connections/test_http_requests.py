"""Requests over one connection: what the consumer receives, and what the client gets."""

from __future__ import annotations

import pytest
from clients import CLIENT, SERVER, Echo, Kept, in_pool
from doubles import FakePeers

from uvicorn import route

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def test_a_request_reaches_the_consumer_with_every_key_of_the_contract(make_site):
    echo = Echo()
    client = make_site(echo, root_path="/mount").connect()
    client.send(b"GET /caf%C3%A9?q=%20 HTTP/1.1\r\nHost: Example.org\r\nX-Two: b\r\nx-two: A\r\n\r\n")
    message = dict(echo.messages[0])
    assert message.pop("reply_channel").closed
    assert message == {
        "channel": "http.request",
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/caf\u00e9",
        "raw_path": b"/caf%C3%A9",
        "query_string": b"q=%20",
        "root_path": "/mount",
        "headers": [[b"host", b"Example.org"], [b"x-two", b"b"], [b"x-two", b"A"]],
        "body": b"",
        "body_channel": None,
        "client": CLIENT,
        "server": SERVER,
        "channel_session": {},
        "request_id": None,
    }
    assert client.statuses() == [200]


def test_messages_of_one_connection_share_no_mutable_state(make_site):
    echo = Echo()
    client = make_site(echo).connect()
    client.send(GET + GET)
    first, second = echo.messages
    assert first["channel_session"] is not second["channel_session"]
    assert first["headers"] is not second["headers"]


def test_a_client_on_a_unix_socket_has_no_address(make_site):
    echo = Echo()
    make_site(echo).connect(client=None).send(GET)
    assert echo.messages[0]["client"] is None


REQUESTS = [
    (b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /a "),
    (b"DELETE /a?b HTTP/1.1\r\nHost: a\r\n\r\n", b"DELETE /a "),
    (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", b"OPTIONS * "),
    (b"PROPFIND /a HTTP/1.1\r\nHost: a\r\n\r\n", b"PROPFIND /a "),
    (b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello", b"POST /a hello"),
    (b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", b"POST /a "),
    (b"GET /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok", b"GET /a ok"),
    (b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
     b"POST /a hello"),
    (b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", b"POST /a "),
    (b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\r\n\r\n\r\n0\r\nX-T: 1\r\nX-U: 2\r\n\r\n",
     b"POST /a \r\n\r\n"),
    (b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n\r\n\r\n\r\n\r\n", b"PUT /a \r\n\r\n\r\n\r\n"),
    (b"GET /a HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", b"GET /a "),
    (b"POST /a HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello",
     b"POST /a hello"),
    (b"POST /a HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n"
     b"5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n", b"POST /a hello"),
    (b"GET http://b/a HTTP/1.1\r\nHost: a\r\n\r\n", b"GET /a "),
]  # fmt: skip


@pytest.mark.parametrize(("request_bytes", "answer"), REQUESTS)
def test_a_request_is_answered_and_so_is_the_next_on_its_connection(make_site, request_bytes, answer):
    client = make_site(Echo()).connect()
    client.send(request_bytes + b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [response.body for response in client.responses()] == [answer, b"GET /next "]
    assert not client.is_closed


@pytest.mark.parametrize(("request_bytes", "answer"), REQUESTS)
def test_requests_may_be_cut_at_every_byte(make_site, request_bytes, answer):
    site = make_site(Echo())
    data = request_bytes + b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
    for at in range(1, len(data)):
        client = site.connect()
        client.transport.feed(data[:at])
        client.transport.feed(data[at:])
        site.settle()
        assert [response.body for response in client.responses()] == [answer, b"GET /next "], at


@pytest.mark.parametrize(("request_bytes", "answer"), REQUESTS)
def test_requests_may_come_byte_by_byte(make_site, request_bytes, answer):
    client = make_site(Echo()).connect()
    client.send((request_bytes + b"\r\n") * 3, piece=1)
    assert [response.body for response in client.responses()] == [answer] * 3


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_trailer_fields_reach_no_consumer(make_site, piece):
    echo = Echo()
    client = make_site(echo).connect()
    client.send(
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\nX-User: eve\r\nX-Last: eve\r\n\r\n" + GET,
        piece,
    )
    assert [message["headers"] for message in echo.messages] == [
        [[b"host", b"a"], [b"transfer-encoding", b"chunked"]],
        [[b"host", b"a"]],
    ]


def test_trailer_fields_behind_an_ignored_upgrade_reach_no_consumer(make_site):
    echo = Echo()
    client = make_site(echo).connect()
    client.send(
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\nX-User: eve\r\nHost: evil\r\n\r\n" + GET
    )
    assert [len(message["headers"]) for message in echo.messages] == [4, 1]
    assert client.statuses() == [200, 200]


def test_the_absolute_form_puts_its_authority_into_host(make_site):
    echo = Echo()
    client = make_site(echo).connect()
    client.send(b"GET http://Shop.example:81/cart?x=1 HTTP/1.1\r\nX: 1\r\nHost: other\r\n\r\n")
    message = echo.messages[0]
    assert (message["path"], message["query_string"]) == ("/cart", b"x=1")
    assert message["headers"] == [[b"x", b"1"], [b"host", b"Shop.example:81"]]


def test_a_message_of_a_trusted_proxy_has_its_scheme_and_root_path(make_site):
    echo = Echo()
    client = make_site(echo, peers=FakePeers(is_trusted=True)).connect()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\nSCRIPT_NAME: /app\r\nA_B: c\r\n\r\n")
    assert (echo.messages[0]["scheme"], echo.messages[0]["root_path"]) == ("https", "/app")
    assert [name for name, _ in echo.messages[0]["headers"]] == [b"host", b"x-forwarded-proto", b"script_name"]


def test_nobody_else_can_set_scheme_or_root_path(make_site):
    echo = Echo()
    client = make_site(echo).connect()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\nSCRIPT_NAME: /app\r\n\r\n")
    assert (echo.messages[0]["scheme"], echo.messages[0]["root_path"]) == ("http", "")
    assert [name for name, _ in echo.messages[0]["headers"]] == [b"host", b"x-forwarded-proto"]


def test_an_underscore_in_a_header_name_can_be_refused(make_site):
    client = make_site(Echo(), peers=FakePeers(header_map="refuse")).connect()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nA_B: c\r\n\r\n")
    assert client.statuses() == [400]


def test_a_path_without_a_route_gets_404_and_the_connection_lives_on(make_site):
    client = make_site([route("http.request", Echo(), path="^/a")]).connect()
    client.send(b"GET /b HTTP/1.1\r\nHost: a\r\n\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.statuses() == [404, 200]


def test_a_body_for_a_path_without_a_route_is_not_read(make_site):
    client = make_site([route("http.request", Echo(), path="^/a")]).connect()
    client.send(b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /a HTTP/1.1\r\nHost: a\r\n\r\n")
    (response,) = client.responses()
    assert (response.status, response.headers["connection"]) == (404, "close")


@pytest.mark.parametrize("in_thread", [False, True])
def test_a_synchronous_consumer_answers_through_the_pool(make_site, in_thread):
    site = make_site(in_pool)
    client = site.connect()
    client.send(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.responses() == []
    site.run_job(in_thread)
    assert [response.body for response in client.responses()] == [b"/a"]


def test_a_synchronous_consumer_is_not_called_before_its_body_is_there(make_site):
    site = make_site(in_pool)
    client = site.connect()
    client.send(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell")
    assert site.pool.queued == 0
    client.send(b"o")
    assert site.pool.queued == 1
    site.run_job()
    assert client.statuses() == [200]


def test_a_full_pool_answers_503_and_closes(make_site):
    site = make_site(in_pool)
    site.pool.is_full = True
    client = site.connect()
    client.send(GET)
    (response,) = client.responses()
    assert (response.status, response.headers["retry-after"], response.headers["connection"]) == (503, "1", "close")
    assert site.service.numbers.refused == {"queue_size": 1}
    assert client.is_closed
    site.pass_time(1)
    assert "Rejected 1 requests" in site.log.take("warning")[0]


def test_each_request_is_counted_and_reported_once(make_site):
    site = make_site(Echo())
    client = site.connect()
    client.send(GET * 3)
    assert site.request_count == 3
    assert [exchange.status for exchange in site.reports] == [200] * 3


def test_a_request_that_is_not_answered_is_reported_when_the_client_leaves(make_site):
    kept = Kept()
    site = make_site(kept)
    client = site.connect()
    client.send(GET)
    assert site.reports == []
    client.leave()
    assert [(exchange.status, exchange.is_lost) for exchange in site.reports] == [(0, True)]
    assert kept.messages[0].reply_channel.closed


@pytest.mark.parametrize("piece", [None, 1])
@pytest.mark.parametrize(
    ("limits", "target", "fields", "status"),
    [
        ({"request_line": 30}, 17, b"", 200),
        ({"request_line": 30}, 18, b"", 414),
        ({"request_line": 30}, 5000, b"", 414),
        ({"request_field_size": 30}, 1, b"X: " + b"y" * 25 + b"\r\n", 200),
        ({"request_field_size": 30}, 1, b"X: " + b"y" * 26 + b"\r\n", 431),
        ({"request_field_size": 30}, 1, b"X: " + b"y" * 9000 + b"\r\n", 431),
        ({"request_fields": 3}, 1, b"X: y\r\n" * 2, 200),
        ({"request_fields": 3}, 1, b"X: y\r\n" * 3, 431),
        ({"request_line": 0, "request_field_size": 0}, 9000, b"X: " + b"y" * 9000 + b"\r\n", 200),
    ],
)
def test_the_size_of_a_head_is_limited_exactly(make_site, limits, target, fields, status, piece):
    client = make_site(Echo(), **limits).connect()
    client.send(b"GET /%b HTTP/1.1\r\nHost: a\r\n%b\r\n" % (b"p" * (target - 1), fields), piece)
    assert client.statuses() == [status]


def test_an_exchange_shows_its_request_and_its_state(make_site):
    kept = Kept()
    site = make_site(kept)
    client = site.connect()
    client.send(b"GET /%20 HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
    first, second = client.connection.pipeline.exchanges
    assert repr(first) == "<Exchange GET /%20 clients.Kept() waiting>"
    kept.reply(0, status=200, more_content=True)
    assert repr(first) == "<Exchange GET /%20 clients.Kept() 200>"
    kept.reply(0)
    client.leave()
    assert repr(first) == "<Exchange GET /%20 clients.Kept() closed>"
    assert repr(second) == "<Exchange GET /%20 clients.Kept() lost>"
    assert client.connection.addresses() == (CLIENT, SERVER)
