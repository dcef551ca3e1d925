"""`http.response.trailers`: trailers of an ASGI application, over HTTP/2 and chunked over HTTP/1.1."""

from __future__ import annotations

import pytest
from h2_clients import connect

from uvicorn import asgi

START = {"type": "http.response.start", "status": 200, "headers": [], "trailers": True}
BODY = {"type": "http.response.body", "body": b"abc"}
MORE = {"type": "http.response.trailers", "headers": [(b"x-one", b"1")], "more_trailers": True}
LAST = {"type": "http.response.trailers", "headers": [(b"x-two", b"2")]}


def application(*events):
    async def serve(scope, receive, send):
        assert "http.response.trailers" in scope["extensions"]
        for event in events:
            await send(event)

    return asgi(serve)


def test_trailers_over_http2(make_http2):
    answer = connect(make_http2(application(START, BODY, MORE, LAST))).get()
    assert (answer.status, answer.body, answer.is_complete) == (200, b"abc", True)
    assert answer.trailers == {"x-one": "1", "x-two": "2"}


def test_trailers_over_http11_come_behind_the_last_chunk(make_site):
    client = make_site(application(START, {**BODY, "more_body": True}, BODY, LAST)).connect()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    head, _, body = client.take().partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    assert body.endswith(b"\r\n0\r\nx-two: 2\r\n\r\n")


def test_trailers_that_were_announced_and_do_not_come_break_the_response_off(make_site):
    site = make_site(application(START, BODY))
    client = site.connect()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.is_closed
    assert not client.responses()[0].is_complete
    assert len(site.log.take("error")) == 1


@pytest.mark.parametrize("events", [[{**START, "trailers": False}, LAST], [START, LAST]])
def test_trailers_out_of_order_are_refused(make_site, events):
    site = make_site(application(*events))
    client = site.connect()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.statuses() == [500]
    assert len(site.log.take("error")) == 1
