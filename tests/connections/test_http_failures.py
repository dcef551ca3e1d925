"""Consumers that fail, forget or cheat: what the client gets, and what the log says."""

from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace

import pytest
from clients import Kept, in_pool

from uvicorn import ChannelFull, ServerStopping
from uvicorn.connections.server import Server
from uvicorn.errors import ConsumeLater

if sys.version_info < (3, 11):
    from exceptiongroup import BaseExceptionGroup  # type: ignore[import-not-found, unused-ignore]

GET = b"GET /path?x HTTP/1.1\r\nHost: a\r\n\r\n"


def serve(make_site, consumer, data=GET, **options):
    site = make_site(consumer, **options)
    client = site.connect()
    client.send(data)
    while site.pool.queued:
        site.run_job(in_thread=True)
    return client


def raise_first(message):
    raise ValueError("secret")


def raise_after_start(message):
    message["reply_channel"].send({"status": 200, "content": b"half", "more_content": True})
    raise ValueError("secret")


def raise_after_end(message):
    message["reply_channel"].send({"status": 200, "content": b"whole"})
    raise ValueError("secret")


def forget(message):
    pass


def forget_after_start(message):
    message["reply_channel"].send({"status": 200, "content": b"half", "more_content": True})


def send_twice(message):
    message["reply_channel"].send({"status": 200, "content": b"whole"})
    message["reply_channel"].send({"status": 200, "content": b"again"})


def send_nonsense(message):
    message["reply_channel"].send({"status": 200, "content": "text"})


async def not_awaited():
    raise AssertionError("nobody runs this")


def return_coroutine(message):
    return not_awaited()


CASES = {
    raise_first: (500, True, "Error in"),
    raise_after_start: (200, False, "Error in"),
    raise_after_end: (200, True, "Error in"),
    forget: (500, True, "let go of its reply channel without a reply"),
    forget_after_start: (200, False, "let go of its reply channel in the middle of a reply"),
    send_twice: (200, True, "Error in"),
    send_nonsense: (500, True, "Error in"),
}


def on_the_loop(consumer):
    async def run(message):
        consumer(message)

    run.__qualname__ = consumer.__qualname__
    return run


@pytest.mark.parametrize("side", ["thread", "loop"])
@pytest.mark.parametrize("consumer", CASES, ids=lambda consumer: consumer.__name__)
def test_a_consumer_that_fails_is_answered_for_and_named_in_the_log(make_site, consumer, side):
    status, is_whole, text = CASES[consumer]
    client = serve(make_site, consumer if side == "thread" else on_the_loop(consumer))
    (response,) = client.responses()
    assert (response.status, response.is_complete) == (status, is_whole)
    assert client.is_closed is not is_whole
    (line,) = client.site.log.take("error")
    assert text in line
    assert consumer.__name__ in line
    assert line.endswith("GET /path?x")
    assert b"secret" not in client.transport.received


def later(message):
    raise ConsumeLater


@pytest.mark.parametrize("side", ["thread", "loop"])
def test_who_wants_a_request_later_is_told_that_only_channels_can_do_that(make_site, side):
    client = serve(make_site, later if side == "thread" else on_the_loop(later))
    assert client.statuses() == [500]
    [line] = client.site.log.take("error")
    assert "GET /path?x: ConsumeLater is for the messages of channels" in line
    assert "Channel(name).send(..., delay=seconds)" in line


def test_a_plain_function_that_returns_a_coroutine_is_answered_500(make_site):
    client = serve(make_site, return_coroutine)
    assert client.statuses() == [500]
    assert len(client.site.log.take("error")) == 1


FULL = ChannelFull("the pool and its queue are full")
GROUP = BaseExceptionGroup("several", [BaseExceptionGroup("inner", [FULL]), FULL])
MIXED = BaseExceptionGroup("several", [FULL, KeyError("a mistake")])


@pytest.mark.parametrize("side", ["thread", "loop"])
@pytest.mark.parametrize(
    ("error", "logged"), [(FULL, 0), (GROUP, 0), (MIXED, 1)], ids=["alone", "in groups", "beside a mistake"]
)
def test_channel_full_that_escapes_a_consumer_is_answered_with_503_and_not_with_500(make_site, error, logged, side):
    def consumer(message):
        raise error

    client = serve(make_site, consumer if side == "thread" else on_the_loop(consumer))
    (response,) = client.responses()
    assert (response.status, response.headers["retry-after"]) == (503, "1")
    assert client.is_closed
    assert len(client.site.log.take("error")) == logged
    client.site.service.dispatcher.tick()
    assert client.site.log.take("warning")[0].startswith(f"Rejected 1 requests (the last one: {error}): ")


def test_channel_full_in_the_middle_of_a_response_breaks_it_off(make_site):
    def consumer(message):
        message["reply_channel"].send({"status": 200, "content": b"half", "more_content": True})
        raise FULL

    client = serve(make_site, on_the_loop(consumer))
    (response,) = client.responses()
    assert (response.status, response.is_complete) == (200, False)
    assert len(client.site.log.take("error")) == 1


def test_a_500_does_not_end_the_connection(make_site):
    client = serve(make_site, raise_first, GET * 2)
    assert client.statuses() == [500, 500]
    assert not client.is_closed
    assert len(client.site.log.take("error")) == 2


def test_a_500_shows_its_error_in_development_only(make_site):
    client = serve(make_site, raise_first, shows_errors=True)
    (response,) = client.responses()
    assert response.status == 500
    assert b"ValueError: secret" in response.body
    client.site.log.take("error")


def test_a_consumer_may_let_channel_closed_escape(make_site):
    kept = Kept()

    async def consumer(message):
        kept.messages.append(message)
        await released.wait()
        message["reply_channel"].send({"status": 200})

    released = asyncio.Event()
    site = make_site(consumer)
    client = site.connect()
    client.send(GET)
    client.leave()
    released.set()
    site.settle()
    assert site.log.take("error") == []
    assert site.service.dispatcher.running.is_idle


def test_a_task_whose_client_left_is_cancelled_after_the_grace(make_site):
    ends = []

    async def consumer(message):
        try:
            await asyncio.Event().wait()
        finally:
            ends.append(message["path"])

    site = make_site(consumer, disconnect_grace=3)
    client = site.connect()
    client.send(GET)
    client.leave()
    site.pass_time(2)
    assert ends == []
    site.pass_time(3)
    assert ends == ["/path"]


def test_a_job_whose_client_left_takes_no_thread(make_site):
    site = make_site(raise_first)
    client = site.connect()
    client.send(GET)
    assert site.pool.queued == 1
    client.leave()
    assert site.pool.queued == 0


def test_a_channel_that_is_let_go_after_the_client_left_is_nobodys_mistake(make_site):
    kept = Kept()
    site = make_site(kept)
    client = site.connect()
    client.send(GET)
    client.leave()
    kept.messages.clear()
    site.settle()
    assert site.log.take("error") == []


def test_a_kept_channel_may_be_answered_later(make_site):
    kept = Kept()
    client = serve(make_site, kept)
    client.site.pass_time(100)
    assert client.responses() == []
    kept.reply(0, status=200, content=b"late")
    assert client.responses()[0].body == b"late"


def test_a_channel_let_go_by_its_last_holder_is_answered_500(make_site):
    kept = Kept()
    client = serve(make_site, kept)
    kept.messages.clear()
    client.site.settle()
    assert client.statuses() == [500]
    assert "let go of its reply channel without a reply" in client.site.log.take("error")[0]


def test_a_mistake_of_ours_costs_one_connection_and_is_logged(make_site, monkeypatch):
    kept = Kept()
    site = make_site(kept)
    broken, whole = site.connect(), site.connect()
    with monkeypatch.context() as patch:
        patch.setattr(site.service, "limits", None)
        broken.send(GET.replace(b"Host: a", b"Host: a\r\nContent-Length: 5"))
    whole.send(GET)
    kept.reply(0, status=200)
    assert whole.statuses() == [200]
    assert broken.transport.is_aborted
    assert site.log.take("error") == ["Error in the connection of 192.0.2.7"]


def test_a_mistake_of_ours_in_a_response_costs_one_connection_and_is_logged(make_site, monkeypatch):
    kept = Kept()
    site = make_site(kept)
    client = site.connect()
    client.send(GET)
    monkeypatch.setattr(site.service, "encoder", None)
    kept.reply(0, status=200)
    assert client.transport.is_aborted
    assert site.log.take("error") == ["Error in the response to GET /path?x"]


def test_a_reply_of_a_thread_that_comes_after_the_client_left_is_dropped(make_site):
    site = make_site(in_pool)
    client = site.connect()
    client.send(GET)
    site.loop.call_soon(client.transport.break_off)
    site.run_job(in_thread=True)
    assert client.take() == b""
    assert site.log.take("error") == []


def test_a_loop_send_far_ahead_of_its_client_is_refused(make_site):
    async def consumer(message):
        channel = message["reply_channel"]
        channel.send({"status": 200, "more_content": True})
        for _ in range(1000):
            channel.send({"content": b"x" * 1000, "more_content": True})

    site = make_site(consumer, write_buffer=1000)
    client = site.connect()
    client.transport.is_stalled = True
    client.send(GET)
    assert 256000 < len(client.transport.unsent) < 260000
    assert "Error in" in site.log.take("error")[0]


def test_every_consumer_of_a_connection_learns_that_the_worker_stops(make_site):
    kept = Kept()
    site = make_site(kept)
    client = site.connect()
    client.send(GET * 3)
    server = Server(site.service, SimpleNamespace(on_connection_lost=lambda place: None, abort=lambda: None))
    site.loop.call_soon(server.abort)
    site.settle()
    assert client.transport.is_aborted
    for number in range(3):
        with pytest.raises(ServerStopping):
            kept.reply(number, status=200)


def test_a_coroutine_that_reads_its_body_does_not_outlive_the_worker(make_site):
    ends = []

    async def consumer(message):
        try:
            await message["body_channel"].receive()
        except (ServerStopping, asyncio.CancelledError):
            ends.append(message["path"])
            raise

    site = make_site(consumer, body_buffer=4)
    client = site.connect()
    client.send(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
    server = Server(site.service, SimpleNamespace(on_connection_lost=lambda place: None, abort=lambda: None))
    site.loop.call_soon(server.abort)
    site.settle()
    assert client.is_closed
    assert ends == ["/up"]
