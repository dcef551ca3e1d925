"""Clients that leave, or say that they will send nothing more: they may wait for their answers."""

from __future__ import annotations

import pytest
from clients import Echo, Kept, in_pool

from uvicorn import route

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def test_a_half_closed_client_gets_its_answers_and_is_closed(make_site):
    kept = Kept()
    client = make_site(kept).connect()
    client.send(GET + GET)
    client.half_close()
    assert not client.is_closed
    kept.reply(1, status=200)
    kept.reply(0, status=200)
    client.site.settle()
    assert [response.headers.get("connection") for response in client.responses()] == [None, "close"]
    assert client.is_closed


@pytest.mark.parametrize("data", [b"", b"GET /", GET, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel"])
def test_a_half_closed_client_with_nothing_due_is_closed(make_site, data):
    client = make_site(Echo()).connect()
    if data:
        client.send(data)
    client.half_close()
    assert client.is_closed
    assert client.statuses() == ([200] if data == GET else [])


def test_half_of_a_request_behind_a_whole_one_is_dropped_when_the_client_half_closes(make_site):
    kept = Kept()
    client = make_site(kept).connect()
    client.send(GET + b"GET /")
    client.half_close()
    kept.reply(0, status=200)
    client.site.settle()
    assert client.statuses() == [200]
    assert client.is_closed


def test_a_client_of_a_transport_that_cannot_half_close_has_left(make_site):
    kept = Kept()
    client = make_site(kept).connect(has_eof=False)
    client.send(GET)
    client.half_close()
    assert client.is_closed
    assert kept.messages[0].reply_channel.closed


def test_a_waiting_half_closed_client_is_probed_once_and_lives_if_it_is_there(make_site):
    kept = Kept()
    site = make_site(kept)
    client = site.connect()
    client.send(GET)
    client.half_close()
    assert client.take() == b""
    site.pass_time(5)
    assert client.take() == CONTINUE
    kept.reply(0, status=200)
    site.settle()
    assert client.statuses() == [200]


def test_a_half_closed_client_that_is_gone_is_found_out(make_site):
    kept = Kept()
    site = make_site(kept)
    client = site.connect()
    client.send(GET)
    client.half_close()
    site.pass_time(1)
    client.transport.sockets[1].close()
    site.pass_time(1)
    assert client.is_closed
    assert kept.messages[0].reply_channel.closed


def test_a_job_that_is_queued_for_a_client_that_is_gone_takes_no_thread(make_site):
    site = make_site(in_pool)
    client = site.connect()
    client.send(GET)
    client.half_close()
    assert client.take() == CONTINUE
    client.transport.sockets[1].close()
    site.loop.now += 0.1
    site.settle()
    assert client.is_closed
    assert site.pool.queued == 0
    assert site.log.take("warning") == []


def test_a_client_that_is_gone_when_its_fin_comes_is_not_probed(make_site):
    kept = Kept()
    client = make_site(kept).connect()
    client.send(GET)
    client.transport.sockets[1].close()
    client.half_close()
    assert client.is_closed
    assert client.take() == b""


def test_a_stream_that_began_before_the_client_half_closed_ends_the_connection(make_site):
    kept = Kept()
    client = make_site(kept).connect()
    client.send(GET)
    kept.reply(0, status=200, more_content=True)
    client.half_close()
    kept.reply(0, content=b"end")
    client.site.settle()
    assert client.responses()[0].body == b"end"
    assert client.is_closed


def test_a_half_closed_client_that_goes_during_its_response_is_found_out(make_site):
    kept = Kept()
    site = make_site(kept)
    client = site.connect()
    client.send(GET)
    kept.reply(0, status=200, more_content=True)
    client.half_close()
    site.pass_time(1)
    assert not client.is_closed
    client.transport.sockets[1].close()
    site.pass_time(1)
    assert client.transport.is_aborted


def test_a_client_that_goes_while_it_is_probed_is_looked_at_no_more(make_site):
    site = make_site(in_pool)
    client = site.connect()
    client.send(GET)
    client.half_close()
    client.leave()
    client.transport.end()  # its socket is gone
    site.pass_time(1)
    assert client.take() == CONTINUE


@pytest.mark.parametrize("begins", [False, True])
def test_no_probe_goes_to_http_1_0_nor_into_a_response(make_site, begins):
    kept = Kept()
    site = make_site(kept)
    client = site.connect()
    client.send(GET if begins else OLD)
    if begins:
        kept.reply(0, status=200, content=b"a", more_content=True)
    client.half_close()
    client.take()
    site.pass_time(3)
    assert client.take() == b""
    assert not client.is_closed


def test_a_consumer_of_disconnect_is_told_who_left_early_and_nothing_else(make_site):
    kept, gone = Kept(), Kept()
    site = make_site([route("http.request", kept), route("http.disconnect", gone, path="^/a")])
    client = site.connect()
    client.send(b"".join(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path for path in (b"/a/1", b"/a/2", b"/b")))
    kept.reply(0, status=200)
    client.leave()
    (message,) = gone.messages
    assert (message["channel"], message["path"], message.channel.name) == ("http.disconnect", "/a/2", "http.disconnect")
    with pytest.raises(ConnectionError):
        message.reply_channel.send({"status": 200})


@pytest.mark.parametrize("how", ["complete", "other path", "only request"])
def test_no_disconnect_is_told_when(make_site, how):
    kept, gone = Kept(), Kept()
    path = "^/other" if how == "other path" else None
    site = make_site(
        kept if how == "only request" else [route("http.request", kept), route("http.disconnect", gone, path=path)]
    )
    client = site.connect()
    client.send(GET)
    if how == "complete":
        kept.reply(0, status=200)
    client.leave()
    assert gone.messages == []


def test_a_half_closed_client_gets_all_answers_though_more_wait_than_may_be_in_flight(make_site):
    client = make_site(Echo()).connect()
    client.send(GET * 55)
    client.half_close()
    client.site.settle()
    assert client.statuses() == [200] * 55
    assert client.is_closed


def test_a_client_that_leaves_in_the_middle_of_a_request_is_lost_though_it_takes_nothing(make_site):
    """A transport that closes sends first what it has: it may take long, and nobody learned of it meanwhile."""
    kept = Kept()
    site = make_site(kept)
    client = site.connect()
    client.transport.is_stalled = True
    client.send(b"GET /first HTTP/1.1\r\nHost: test\r\n\r\n")
    client.send(b"POST /half HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\nx")
    site.loop.call_soon(lambda: kept.reply(0, status=200, content=b"part", more_content=True))
    site.settle()
    assert client.transport.unsent
    client.half_close()
    assert client.is_closed
    assert kept.messages[0]["reply_channel"].closed
    assert client.transport.misuse == []


def test_a_half_closed_client_whose_last_answer_is_a_504_gets_it(make_site):
    """The watch looked for a client that may have left behind the answer that was just the last one."""
    kept = Kept()
    site = make_site(kept, reply_timeout=5.0)
    client = site.connect()
    client.send(b"GET / HTTP/1.0\r\nHost: test\r\n\r\n")
    client.half_close()
    site.pass_time(20)
    assert client.statuses() == [504]
    assert client.is_closed
    assert not site.log.take("error")
    kept.messages.clear()
