"""Trailers of a consumer's last reply over HTTP/1.1 (RFC 9112 section 7.1.2)."""

from __future__ import annotations

import pytest

from uvicorn import ReplyError

GET = b"%b / HTTP/%b\r\nHost: a\r\n\r\n"
TRAILERS = [(b"X-Sum", b"1"), (b"x-two", b"b")]


def respond(make_site, *replies, method=b"GET", version=b"1.1"):
    async def consumer(message):
        for reply in replies:
            message["reply_channel"].send(reply)

    client = make_site(consumer).connect()
    client.send(GET % (method, version))
    return client


@pytest.mark.parametrize(
    "replies",
    [
        [{"status": 200, "content": b"abc", "trailers": TRAILERS}],
        [
            {"status": 200, "content": b"abc", "more_content": True},
            {"content": b"", "trailers": TRAILERS},
        ],
    ],
)
def test_trailers_follow_the_last_chunk(make_site, replies):
    client = respond(make_site, *replies)
    head, _, body = client.take().partition(b"\r\n\r\n")
    assert b"\r\ntransfer-encoding: chunked" in head
    assert body == b"3\r\nabc\r\n0\r\nX-Sum: 1\r\nx-two: b\r\n\r\n"
    assert not client.is_closed


@pytest.mark.parametrize(
    ("method", "version", "status"), [(b"HEAD", b"1.1", 200), (b"GET", b"1.0", 200), (b"GET", b"1.1", 204)]
)
def test_where_no_trailers_can_be_they_are_left_out(make_site, method, version, status):
    client = respond(make_site, {"status": status, "trailers": TRAILERS}, method=method, version=version)
    assert b"x-sum" not in client.transport.received.lower()
    assert client.statuses(method.decode()) == [status]


def test_a_promised_length_leaves_no_room_for_trailers(make_site):
    reply = {"status": 200, "headers": [(b"content-length", b"3")], "content": b"abc", "trailers": TRAILERS}
    client = respond(make_site, reply)
    assert client.take().endswith(b"\r\n\r\nabc")


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ({"status": 200, "more_content": True, "trailers": TRAILERS}, "last reply only"),
        ({"status": 200, "trailers": [(b"Content-Type", b"a/b")]}, "cannot be a trailer"),
        ({"status": 200, "trailers": [(b"content-length", b"1")]}, "cannot be a trailer"),
        ({"status": 200, "trailers": [(b"connection", b"close")]}, "cannot be a trailer"),
        ({"status": 200, "trailers": [(b"a\r\n", b"b")]}, "not a header name"),
    ],
)
def test_what_cannot_be_a_trailer_raises_in_the_consumer(make_site, reply, said):
    raised = []

    async def consumer(message):
        try:
            message["reply_channel"].send(reply)
        except ReplyError as error:
            raised.append(str(error))
        message["reply_channel"].send({"status": 200})

    client = make_site(consumer).connect()
    client.send(GET % (b"GET", b"1.1"))
    assert client.statuses() == [200]
    assert said in raised[0]
