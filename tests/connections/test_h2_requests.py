"""Requests and responses over HTTP/2: what the consumer receives and what the client gets, with either engine."""

from __future__ import annotations

import gc
import ipaddress
import threading
import time

import pytest
from clients import CLIENT, SERVER, Echo, Kept, in_pool
from doubles import FakePeers
from h2_clients import Answer, connect
from patience import PATIENCE_SECONDS

from uvicorn import route, streams_body
from uvicorn.wire import forwarded as wire_forwarding
from uvicorn.wire.forwarded import Allowed
from uvicorn.wire.head import HeaderPolicy
from uvicorn.wire.limits import Http2Limits


def test_a_request_reaches_the_consumer_with_every_key_of_the_contract(make_http2):
    echo = Echo()
    client = connect(make_http2(echo, root_path="/mount"))
    answer = client.get("/caf%C3%A9?q=%20", headers=[("x-two", "b"), ("x-two", "A"), ("cookie", "a"), ("cookie", "b")])
    message = dict(echo.messages[0])
    assert message.pop("reply_channel").closed
    assert message == {
        "channel": "http.request",
        "http_version": "2",
        "method": "GET",
        "scheme": "http",
        "path": "/caf\u00e9",
        "raw_path": b"/caf%C3%A9",
        "query_string": b"q=%20",
        "root_path": "/mount",
        "headers": [[b"host", b"example.org"], [b"x-two", b"b"], [b"x-two", b"A"], [b"cookie", b"a; b"]],
        "body": b"",
        "body_channel": None,
        "client": CLIENT,
        "server": SERVER,
        "channel_session": {},
        "request_id": None,
    }
    assert (answer.status, answer.is_complete, answer.reset) == (200, True, None)


def test_http2_over_tls_is_what_was_agreed_upon(make_http2):
    client = connect(make_http2(Echo(), cleartext="off", scheme="https"), is_tls=True)
    assert client.get("/a").body == b"GET /a "


def test_many_requests_of_one_connection_are_answered_from_threads_and_from_the_loop(make_http2):
    site = make_http2([route("http.request", in_pool, path=r"^/pool"), route("http.request", Echo())])
    client = connect(site)
    streams = [client.request(path=f"/{'pool' if number % 2 else 'loop'}/{number}") for number in range(20)]
    while site.pool.queue:
        site.run_job()
    client.flush()
    answers = [client.answers[stream] for stream in streams]
    assert [answer.status for answer in answers] == [200] * 20
    assert answers[3].body == b"/pool/3"
    assert answers[4].body == b"GET /loop/4 "
    assert not site.service.connections.copy().pop().streams


def test_answers_come_in_any_order(make_http2):
    kept = Kept()
    client = connect(make_http2(kept))
    first, second = client.request(path="/1"), client.request(path="/2")
    kept.reply(1, status=200, content=b"second")
    client.site.settle()
    client.flush()
    assert client.answers[second].body == b"second"
    assert first not in client.answers
    kept.reply(0, status=201, content=b"first")
    client.site.settle()
    client.flush()
    assert (client.answers[first].status, client.answers[first].body) == (201, b"first")


@pytest.mark.parametrize("size", [1, 1000, 65536, 65537, 300_000])
def test_a_body_arrives_whole(make_http2, size):
    echo = Echo()
    client = connect(make_http2(echo))
    body = bytes(number % 251 for number in range(size))
    answer = client.answers[client.request("POST", "/b", [("content-length", str(size))], body)]
    assert answer.body == b"POST /b " + body
    assert answer.reset is None


def test_a_body_without_a_length_arrives_whole(make_http2):
    echo = Echo()
    client = connect(make_http2(echo))
    answer = client.answers[client.request("POST", "/b", (), b"x" * 100_000)]
    assert answer.body == b"POST /b " + b"x" * 100_000


def test_the_fields_of_a_response_are_those_of_http11_without_what_is_about_the_connection(make_http2):
    async def consumer(message):
        message["reply_channel"].send(
            {
                "status": 200,
                "headers": [(b"X-Two", b"b"), (b"Keep-Alive", b"1"), (b"Upgrade", b"h3")],
                "content": b"abc",
            }
        )

    answer = connect(make_http2(consumer)).get()
    assert answer.headers.pop("date")
    assert answer.headers == {"server": "uvicorn", "x-two": "b", "content-length": "3"}


def test_head_and_statuses_without_content(make_http2):
    async def consumer(message):
        status = int(message["query_string"] or b"200")
        message["reply_channel"].send({"status": status, "content": b"" if status == 204 else b"abc"})

    client = connect(make_http2(consumer))
    head = client.answers[client.request("HEAD")]
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", "3")
    empty = client.get("/?204")
    assert (empty.status, empty.body, empty.headers.get("content-length")) == (204, b"", None)
    assert client.get("/?304").body == b""


def test_a_streamed_response_comes_in_pieces_and_larger_than_any_window(make_http2):
    async def consumer(message):
        channel = message["reply_channel"]
        await channel.send({"status": 200, "more_content": True})
        for number in range(20):
            await channel.send({"content": bytes([number]) * 20_000, "more_content": True})
        channel.send({"content": b"end"})

    answer = connect(make_http2(consumer)).get()
    assert answer.body == b"".join(bytes([number]) * 20_000 for number in range(20)) + b"end"
    assert answer.is_complete


def test_a_whole_response_larger_than_any_window(make_http2):
    async def consumer(message):
        message["reply_channel"].send({"status": 200, "content": b"x" * 500_000})

    answer = connect(make_http2(consumer)).get()
    assert answer.body == b"x" * 500_000
    assert answer.headers["content-length"] == "500000"


def test_trailers_follow_the_content(make_http2):
    async def consumer(message):
        channel = message["reply_channel"]
        if message["path"] == "/whole":
            channel.send({"status": 200, "content": b"a", "trailers": [(b"X-Sum", b"1")]})
            return
        await channel.send({"status": 200, "content": b"a", "more_content": True})
        channel.send({"content": b"b" * 100_000, "trailers": [(b"X-Sum", b"2")]})

    client = connect(make_http2(consumer))
    whole, streamed = client.get("/whole"), client.get("/")
    assert (whole.body, whole.trailers, whole.is_complete) == (b"a", {"x-sum": "1"}, True)
    assert (len(streamed.body), streamed.trailers, streamed.is_complete) == (100_001, {"x-sum": "2"}, True)


def test_early_hints_and_continue_are_informational(make_http2):
    kept = Kept()
    client = connect(make_http2(kept))
    stream = client.request()
    kept.messages[0]["reply_channel"].hint([(b"link", b"</a.css>")])
    kept.reply(0, status=200)
    client.site.settle()
    client.flush()
    assert client.answers[stream].hints == [{":status": "103", "link": "</a.css>"}]
    waiting = client.request("POST", "/b", [("expect", "100-continue")], ends=False)
    assert client.answers[waiting].hints == [{":status": "100"}]
    client.data(waiting, b"body")
    assert kept.messages[1]["body"] == b"body"
    kept.reply(1, status=200)


def test_a_request_without_a_route_is_404(make_http2):
    client = connect(make_http2([route("http.request", Echo(), path=r"^/here")]))
    assert client.get("/there").status == 404
    body = client.answers[client.request("POST", "/there", (), b"x", ends=False)]
    assert (body.status, body.is_complete, body.reset) == (404, True, 0)
    assert client.get("/here").status == 200


def test_a_consumer_that_raises_is_answered_500_and_its_siblings_go_on(make_http2):
    async def consumer(message):
        if message["path"] == "/bad":
            raise ValueError("broken")
        message["reply_channel"].send({"status": 200})

    client = connect(make_http2(consumer))
    assert client.get("/bad").status == 500
    assert client.get("/").status == 200
    assert len(client.site.log.take("error")) == 1


def test_a_consumer_that_raises_in_the_middle_of_a_response_resets_its_stream_alone(make_http2):
    async def consumer(message):
        await message["reply_channel"].send({"status": 200, "content": b"a", "more_content": True})
        if message["path"] == "/bad":
            raise ValueError("broken")
        message["reply_channel"].send({"content": b"b"})

    client = connect(make_http2(consumer))
    bad = client.get("/bad")
    assert (bad.status, bad.is_complete, bad.reset) == (200, False, 2)
    assert client.get("/").body == b"ab"
    assert len(client.site.log.take("error")) == 1


def test_a_consumer_is_told_that_the_client_has_reset_its_stream(make_http2):
    kept = Kept()
    told = []

    async def disconnected(message):
        told.append(message["path"])

    site = make_http2([route("http.request", kept), route("http.disconnect", disconnected)])
    client = connect(site)
    stream = client.request(path="/a")
    client.reset(stream)
    assert kept.messages[0]["reply_channel"].closed
    assert told == ["/a"]
    assert client.request(path="/b")
    kept.reply(1, status=200)
    site.settle()


def test_a_queued_job_whose_stream_was_reset_takes_no_thread(make_http2):
    client = connect(make_http2(in_pool))
    client.reset(client.request())
    assert not client.site.pool.queue


def test_a_body_that_is_too_large_is_413_and_the_connection_goes_on(make_http2):
    client = connect(make_http2(Echo(), request_body=1000))
    told = client.answers[client.request("POST", "/", [("content-length", "2000")], b"x" * 1000, ends=False)]
    assert (told.status, told.reset) == (413, 0)
    silent = client.answers[client.request("POST", "/", (), b"x" * 1001, ends=False)]
    assert (silent.status, silent.reset) == (413, 0)
    assert client.get().status == 200


def test_the_window_of_a_stream_opens_as_its_consumer_takes(make_http2):
    taken = []

    async def consumer(message):
        taken.append(message)

    client = connect(make_http2(consumer, body_buffer=10_000))
    stream = client.request("POST", "/", [("content-length", "500000")], ends=False)
    sent = 0
    while room := min(client.h2.local_flow_control_window(stream), 16384):
        client.data(stream, b"x" * room, ends=False)
        sent += room
    assert 65_535 <= sent <= 65_535 + 2 * 16_384 + 10_000  # one window, and what the body itself keeps
    sibling = client.request("POST", "/", (), b"small")
    assert taken[1]["body"] == b"small"

    async def read():
        return await taken[0]["body_channel"].receive()

    task = client.site.loop.create_task(read())
    while not task.done():
        client.site.settle()
    for _ in range(8):
        task = client.site.loop.create_task(read())
        client.site.settle()
    client.flush()
    assert client.h2.local_flow_control_window(stream) > 0
    for message in taken:
        message["reply_channel"].send({"status": 200})
    client.site.settle()
    client.flush()
    assert client.answers[sibling].status == 200


def test_a_client_that_leaves_loses_all_its_requests(make_http2):
    kept = Kept()
    client = connect(make_http2(kept))
    client.request(path="/1")
    client.request("POST", "/2", (), b"x", ends=False)
    client.leave()
    assert kept.messages[0]["reply_channel"].closed
    assert not client.site.service.connections


def test_a_response_before_the_request_is_complete_ends_the_stream_without_an_error(make_http2):
    async def consumer(message):
        message["reply_channel"].send({"status": 200, "content": b"early"})

    client = connect(make_http2(consumer, body_buffer=10))
    answer = client.answers[client.request("POST", "/", [("content-length", "100000")], b"x" * 100, ends=False)]
    assert (answer.status, answer.body, answer.is_complete, answer.reset) == (200, b"early", True, 0)


def test_the_settings_are_those_that_were_given(make_http2):
    numbers = {"streams": 7, "window_size": 70_000, "frame_size": 20_000, "header_list_size": 5000}
    client = connect(make_http2(Echo(), numbers=numbers))
    assert {code: client.settings[code] for code in (3, 4, 5, 6, 8, 9)} == {
        3: 7,
        4: 70_000,
        5: 20_000,
        6: 5000,
        8: 1,
        9: 1,
    }


def test_a_request_of_each_stream_is_reported_with_its_version(make_http2):
    client = connect(make_http2(Echo()))
    client.get("/a")
    client.get("/b")
    reports = client.site.reports
    assert [(report.request_line.http_version, report.request_line.path) for report in reports] == [
        ("2", "/a"),
        ("2", "/b"),
    ]


def test_a_trusted_proxy_says_scheme_and_root_path(make_http2):
    echo = Echo()
    client = connect(make_http2(echo, peers=FakePeers(is_trusted=True)))
    client.get("/a", headers=[("x-forwarded-proto", "https"), ("script_name", "/mount"), ("other_name", "dropped")])
    message = echo.messages[0]
    assert (message["scheme"], message["root_path"]) == ("https", "/mount")
    assert [b"x-forwarded-proto", b"https"] in message["headers"]
    assert b"other_name" not in dict(message["headers"])
    client.get("/b")
    assert echo.messages[1]["scheme"] == "http"


def test_the_word_of_a_peer_that_is_not_trusted_is_not_taken(make_http2):
    echo = Echo()
    client = connect(make_http2(echo))
    client.get("/a", headers=[("x-forwarded-proto", "https"), ("script_name", "/mount")])
    assert (echo.messages[0]["scheme"], echo.messages[0]["root_path"]) == ("http", "")


def test_contradictory_words_of_a_proxy_reset_the_stream(make_http2):
    echo = Echo()
    client = connect(make_http2(echo, peers=FakePeers(is_trusted=True)))
    told = [("x-forwarded-proto", "https"), ("x-forwarded-proto", "http")]
    assert client.get("/a", headers=told).reset == 1
    assert echo.messages == []


def test_the_client_that_a_proxy_names_is_the_client(make_http2):
    class Forwarding(FakePeers):
        def header_policy(self, address):
            allowed = Allowed([str(CLIENT[0])], [ipaddress.ip_network(CLIENT[0])])
            forwarding = wire_forwarding.Forwarding(allowed, "auto")
            return HeaderPolicy({b"x-forwarded-proto": b"https"}, frozenset(), "drop", True, forwarding)

    echo = Echo()
    client = connect(make_http2(echo, peers=Forwarding()))
    client.get("/a", headers=[("x-forwarded-for", "203.0.113.9"), ("x-forwarded-proto", "https")])
    assert echo.messages[0]["client"] == ["203.0.113.9", 0]
    assert echo.messages[0]["scheme"] == "https"


def test_a_thread_that_sends_waits_for_the_windows_of_its_stream(make_http2):
    sent = []

    def consumer(message):
        send = message["reply_channel"].send
        send({"status": 200, "more_content": True})
        for number in range(40):
            send({"content": b"x" * 16384, "more_content": True})
            sent.append(number)
        send({"content": b"end"})

    client = connect(make_http2(consumer), is_automatic=False)
    stream = client.request()
    thread = threading.Thread(target=client.site.pool.queue.popleft().run, daemon=True)
    thread.start()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(client.answers.get(stream, Answer()).body) < 65_535 or len(sent) < 16:
        assert time.monotonic() < deadline
        client.site.settle()
        client.flush()
    assert len(sent) < 30  # the window, and four times write_buffer
    client.h2.increment_flow_control_window(1 << 24)
    client.h2.increment_flow_control_window(1 << 24, stream)
    while not client.answers[stream].is_complete:
        assert time.monotonic() < deadline
        client.flush()
        client.site.settle()
    thread.join(PATIENCE_SECONDS)
    assert client.answers[stream].body == b"x" * 16384 * 40 + b"end"


def test_a_request_that_is_over_leaves_nothing_to_the_garbage_collector(make_http2):
    async def consumer(message):
        message["reply_channel"].send({"status": 200, "content": b"x" * 100_000 if message["body"] else b"x"})

    client = connect(make_http2(consumer))
    client.get()
    gc.collect()
    gc.freeze()  # what earlier tests have left may become garbage meanwhile
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        client.get()
        client.request("POST", "/", (), b"x" * 1000)
        client.site.reports.clear()
        gc.collect()
        left = [found for found in gc.garbage if type(found).__name__ in ("Exchange", "Stream", "Message")]
    finally:
        gc.set_debug(0)
        gc.unfreeze()
        gc.garbage.clear()
    assert left == []


def test_a_stream_whose_consumer_keeps_up_gets_a_wider_window(make_http2):
    client = connect(make_http2(Echo(), body_buffer=10_000))
    stream = client.request("POST", "/", (), b"x" * 200_000, ends=False)
    assert client.h2._get_stream_by_id(stream).outbound_flow_control_window > 900_000
    client.data(stream, b"x" * 1_000_000)
    assert client.answers[stream].body == b"POST / " + b"x" * 1_200_000


def test_the_windows_of_all_streams_together_are_bounded_by_default():
    limits = Http2Limits()
    wider = limits.most_wide * (limits.wide_window - limits.window_size)
    assert limits.streams * limits.window_size + wider <= 10 << 20
    assert limits.connection_window > 2 * (limits.streams * limits.window_size + wider)


def test_frames_that_came_in_one_read_are_one_piece_of_a_body(make_http2):
    pieces = []

    async def consumer(message):
        pieces.append(message["body"])
        async for piece in message["body_channel"]:
            pieces.append(piece)
        message["reply_channel"].send({"status": 200})

    client = connect(make_http2(streams_body(consumer), body_buffer=100))
    stream = client.request("POST", "/", (), b"x" * 200, ends=False)
    for letter in (b"a", b"b", b"c"):
        client.h2.send_data(stream, letter * 10)
    client.flush()
    client.data(stream, b"end")
    assert client.answers[stream].status == 200
    assert b"a" * 10 + b"b" * 10 + b"c" * 10 in pieces


def pour(client, stream, most=1_000_000):
    """Send as much content as the windows allow, and no end."""
    sent = 0
    while sent < most and (room := min(client.h2.local_flow_control_window(stream), 16384)) > 0:
        client.data(stream, b"x" * room, ends=False)
        client.site.settle()
        client.flush()
        sent += room
    return sent


def test_consumers_that_stop_reading_hold_up_no_other_stream_however_wide_their_windows_are(make_http2):
    """Windows that had been made larger could together close that of the connection."""
    stalled = []

    async def consumer(message):
        size = 0
        if message["path"] == "/stalls":
            async for piece in message["body_channel"]:
                size += len(piece)
                if size > 40_000:
                    stalled.append(message)
                    return
        message["reply_channel"].send({"status": 200})

    numbers = {"window_size": 6000, "streams": 20, "wide_window": 60_000, "most_wide": 2}
    client = connect(make_http2(streams_body(consumer), body_buffer=10_000, numbers=numbers))
    streams = [client.request("POST", "/stalls", ends=False) for _ in range(10)]
    sent = [pour(client, stream) for stream in streams]
    assert len(stalled) == 10
    assert sum(size > 90_000 for size in sent) == 2  # what was read, and a wide window
    assert client.answers[client.request("POST", "/", (), b"x" * 5000)].status == 200
    client.reset(streams[0])
    assert pour(client, client.request("POST", "/stalls", ends=False)) > 90_000


def test_what_streams_owed_that_were_reset_is_given_back_to_the_connection(make_http2):
    kept = Kept()
    client = connect(make_http2(kept, body_buffer=1000, numbers={"streams": 3, "most_wide": 0}))
    for _ in range(20):
        stream = client.request("POST", "/", (), b"x" * 60_000, ends=False)  # fails if the window stays closed
        client.reset(stream)
    assert len(kept.messages) <= 20
