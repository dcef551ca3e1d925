"""A WSGI application that speaks WebSocket by itself, over a stream of HTTP/2: it sees a handshake of HTTP/1.1."""

from __future__ import annotations

import pytest
from h2_clients import Answer, connect

from uvicorn import wsgi
from uvicorn.wire.limits import SocketLimits

SOCKET = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":authority", "example.org")]
HEAD = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
)


class RawClient:
    """A socket on one stream of a client."""

    def __init__(self, client):
        self.client = client
        self.stream = client.h2.get_next_available_stream_id()
        fields = [*SOCKET, (":path", "/chat?a=b"), ("sec-websocket-version", "13"), ("cookie", "c=d")]
        client.h2.send_headers(self.stream, fields)
        client.flush()

    @property
    def answer(self):
        return self.client.answers.get(self.stream) or Answer()

    def send(self, data, ends=False):
        self.client.data(self.stream, data, ends)
        self.settle()

    def settle(self):
        for _ in range(5):  # each turn looks at the sockets once
            self.client.site.settle()
        self.client.flush()


@pytest.fixture
def speaking(make_http2):
    """Serve an application that does this with its end of the socket, and ask for one; return the client's side."""

    def make(speak, answer=(), **options):
        failures = []

        def application(environ, start_response):
            end = environ["werkzeug.socket"]
            end.setblocking(False)
            try:
                speak(raw, end, environ)
            except AssertionError as error:
                failures.append(error)
            if answer:
                start_response("404 Not Found", [])
            return answer

        raw = RawClient(connect(make_http2(wsgi(application), **options)))
        raw.client.site.run_job()
        raw.settle()
        for failure in failures:
            raise failure
        return raw

    return make


def test_the_application_sees_a_handshake_of_http11_and_its_head_becomes_that_of_the_stream(speaking):
    seen = {}

    def speak(raw, end, environ):
        seen.update(environ)
        end.send(HEAD + b"early")

    raw = speaking(speak)
    assert {name: seen[name] for name in ("REQUEST_METHOD", "HTTP_UPGRADE", "HTTP_CONNECTION", "HTTP_COOKIE")} == {
        "REQUEST_METHOD": "GET",
        "HTTP_UPGRADE": "websocket",
        "HTTP_CONNECTION": "upgrade",
        "HTTP_COOKIE": "c=d",
    }
    assert (seen["PATH_INFO"], seen["QUERY_STRING"], len(seen["HTTP_SEC_WEBSOCKET_KEY"])) == ("/chat", "a=b", 24)
    assert (raw.answer.status, raw.answer.body, raw.answer.is_complete) == (200, b"early", True)
    assert raw.answer.headers["sec-websocket-protocol"] == "chat"
    assert not {"upgrade", "connection", "sec-websocket-accept"} & set(raw.answer.headers)
    assert [report.status for report in raw.client.site.reports] == [101]
    assert not raw.client.transport.is_lost


def test_bytes_go_both_ways_and_the_clients_end_is_read(speaking):
    def speak(raw, end, environ):
        for piece in (HEAD[:7], HEAD[7:-1], HEAD[-1:]):  # as the system cuts it
            assert raw.answer.status == 0
            end.send(piece)
            raw.settle()
        assert (raw.answer.status, raw.answer.body) == (200, b"")
        raw.send(b"one")
        end.send(end.recv(100) + b" more")
        raw.settle()
        assert raw.answer.body == b"one more"
        raw.send(b"last", ends=True)
        assert end.recv(100) == b"last"
        assert end.recv(100) == b""
        assert not raw.answer.is_complete
        end.send(b" word")

    raw = speaking(speak)
    assert raw.answer.body == b"one more word"
    assert raw.answer.is_complete
    assert not raw.client.site.service.sockets


def test_an_application_that_writes_nothing_answers_as_for_a_page(speaking):
    raw = speaking(lambda raw, end, environ: end.close(), answer=[b"no socket here"])
    assert (raw.answer.status, raw.answer.body) == (404, b"no socket here")
    assert not raw.client.site.service.sockets


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"HTTP/1.1 101 \r\nno field\r\n\r\n", b"x" * 65537]
)
def test_what_is_no_answer_to_a_handshake_resets_the_stream_and_is_logged(speaking, head):
    raw = speaking(lambda raw, end, environ: (end.setblocking(True), end.send(head)))
    assert raw.answer.reset is not None
    assert raw.answer.status == 0
    assert "no response to a handshake" in raw.client.site.log.take("error")[0]
    assert not raw.client.site.service.sockets


def test_a_head_that_does_not_come_to_its_end_resets_the_stream(speaking):
    raw = speaking(lambda raw, end, environ: end.send(HEAD[:20]))
    assert raw.answer.reset is not None
    assert raw.answer.status == 0


def test_the_application_reads_the_end_of_a_client_that_resets_its_stream(speaking):
    def speak(raw, end, environ):
        end.send(HEAD)
        raw.settle()
        raw.client.reset(raw.stream)
        raw.settle()
        assert end.recv(100) == b""

    raw = speaking(speak)
    assert not raw.client.site.service.sockets
    assert not raw.client.transport.is_lost


def test_no_more_of_them_than_wsgi_sockets(speaking):
    def speak(raw, end, environ):
        end.send(HEAD)
        raw.settle()
        assert RawClient(raw.client).answer.status == 503

    speaking(speak, sockets=SocketLimits(wsgi_sockets=1))


def test_a_handshake_that_is_refused_at_once_leaves_no_socket_behind(make_http2):
    client = connect(make_http2(wsgi(lambda environ, start_response: [])))
    client.site.pool.is_full = True
    raw = RawClient(client)
    raw.settle()
    assert raw.answer.status == 503
    assert not client.site.service.sockets
    client.site.log.take("warning")
