"""Order, fairness, times and the end of HTTP/2 connections, over both engines."""

from __future__ import annotations

import tracemalloc

import pytest
from clients import Echo, Kept, in_pool
from doubles import FakePeers
from h2_clients import connect
from hpack import Encoder
from hyperframe.frame import HeadersFrame, SettingsFrame, WindowUpdateFrame

from uvicorn import ChannelFull, ServerStopping, route
from uvicorn.connections.h2_limits import Accounts
from uvicorn.connections.h2_schedule import Schedule
from uvicorn.wire.priority import DEFAULT, Priority, read_priority

# ---- order ----


@pytest.mark.parametrize(
    ("value", "priority"),
    [
        (b"", DEFAULT),
        (b"u=1", Priority(1, False)),
        (b"u=1, i", Priority(1, True)),
        (b"i", Priority(3, True)),
        (b"i=?0, u=7", Priority(7, False)),
        (b"u=0;x=1,i=?1;y", Priority(0, True)),
        (b"u=8", Priority(3, False)),
        (b"u=-1", Priority(3, False)),
        (b"u=a, i=3", Priority(3, False)),
        (b"\xff\xfe", Priority(3, False)),
        (b"u=1," * 100, DEFAULT),
    ],
)
def test_priorities_are_read_as_rfc_9218_has_them(value, priority):
    assert read_priority(value) == priority


def turns(schedule, count):
    return [schedule.next() for _ in range(count)]


def test_streams_take_turns():
    schedule = Schedule()
    for stream in (1, 3, 5):
        schedule.add(stream, DEFAULT)
    assert turns(schedule, 6) == [1, 3, 5, 1, 3, 5]
    schedule.discard(3)
    assert turns(schedule, 3) == [1, 5, 1]
    assert 3 not in schedule
    assert 5 in schedule


def test_the_most_urgent_come_first():
    schedule = Schedule()
    schedule.add(1, Priority(7))
    schedule.add(3, Priority(0))
    schedule.add(5, Priority(0))
    assert turns(schedule, 4) == [3, 5, 3, 5]
    schedule.discard(3)
    schedule.discard(5)
    assert turns(schedule, 2) == [1, 1]
    schedule.discard(1)
    assert not schedule
    assert schedule.next() == 0


def test_those_that_come_one_after_the_other_share_one_turn():
    schedule = Schedule()
    for stream in (1, 3, 5):
        schedule.add(stream, Priority(3, False))
    assert turns(schedule, 3) == [1, 1, 1]
    schedule.add(7, DEFAULT)
    assert set(turns(schedule, 8)) == {1, 7}


def order_of(client, *streams):
    """Return the streams in the order in which their first and last pieces came."""
    pieces = [event.stream_id for event in client.events if type(event).__name__ == "DataReceived" and event.data]
    return [stream for stream in pieces if stream in streams]


def large(size=200_000):
    async def consumer(message):
        message["reply_channel"].send({"status": 200, "content": b"x" * size})

    return consumer


def test_large_responses_come_in_turn(make_http2):
    client = connect(make_http2(large(60_000)))
    streams = [client.request(flush=False) for _ in range(3)]
    client.h2.increment_flow_control_window(1 << 20)
    client.flush()
    order = order_of(client, *streams)
    assert set(order[:4]) == set(streams)  # four pieces are written at once
    assert all(client.answers[stream].is_complete for stream in streams)


def test_a_large_response_is_not_copied_for_each_of_its_pieces(make_http2):
    content, copied = bytes(4 << 20), []

    async def consumer(message):
        tracemalloc.start()
        message["reply_channel"].send({"status": 200, "content": content})

    client = connect(make_http2(consumer), is_automatic=False)
    try:
        stream = client.request()
        copied.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert len(client.answers[stream].body) == 65_535  # what the window takes, in four pieces
    assert copied[0] < len(content) // 2


def test_one_response_alone_comes_in_larger_pieces_that_allow_as_many_window_updates(make_http2):
    client = connect(make_http2(large(1_500_000)), window=4 << 20, is_automatic=False)
    client.h2.increment_flow_control_window(4 << 20)
    client.flush()
    accounts = client.transport.protocol.accounts
    accounts.take("window", 1990)  # the frames of the response are 92
    stream = client.request()
    frames = [event for event in client.events if type(event).__name__ == "DataReceived"]
    client.raw(*[WindowUpdateFrame(number, 16384) for _ in frames for number in (0, stream)])
    assert client.answers[stream].body == b"x" * 1_500_000
    assert len(frames) >= 92
    assert not client.is_closed
    assert not accounts.overdrawn


def test_pieces_that_are_sent_at_once_allow_window_updates_too(make_http2):
    async def consumer(message):
        send = message["reply_channel"].send
        await send({"status": 200, "more_content": True})
        for _ in range(20):
            await send({"content": b"x" * 65_536, "more_content": True})
        await send({})

    client = connect(make_http2(consumer), window=4 << 20, is_automatic=False)
    client.h2.increment_flow_control_window(4 << 20)
    client.flush()
    accounts = client.transport.protocol.accounts
    accounts.take("window", 1990)
    stream = client.request()
    frames = [event for event in client.events if type(event).__name__ == "DataReceived" and event.data]
    assert len(frames) >= 80
    client.raw(*[WindowUpdateFrame(number, 16384) for _ in frames for number in (0, stream)])
    assert client.answers[stream].body == b"x" * (20 * 65_536)
    assert not accounts.overdrawn
    assert not client.transport.is_eof_written


def test_a_response_alone_waits_for_its_turn_while_more_requests_may_come(make_http2):
    """As on Python 3.12, where a consumer answers the first request before the second one is read."""
    kept = Kept()
    client = connect(make_http2(kept))
    stream = client.request()
    connection = client.transport.protocol
    connection.is_taking = True
    kept.reply(0, status=200, content=b"x" * 60_000)
    assert not connection.direct_pieces
    assert connection.schedule.has_one()
    connection.is_taking = False
    client.site.settle()
    client.flush()
    assert client.answers[stream].body == b"x" * 60_000


def test_a_schedule_knows_when_one_stream_is_alone():
    schedule = Schedule()
    assert not schedule.has_one()
    schedule.add(1, DEFAULT)
    assert schedule.has_one()
    schedule.add(3, Priority(0))
    assert not schedule.has_one()
    schedule.discard(1)
    assert schedule.has_one()
    schedule.add(5, Priority(0))
    assert not schedule.has_one()


def test_an_urgent_response_overtakes_and_a_late_one_waits(make_http2):
    client = connect(make_http2(large(60_000)))
    client.h2.increment_flow_control_window(1 << 20)
    lazy = client.request(headers=[("priority", "u=7")], flush=False)
    urgent = client.request(headers=[("priority", "u=0")], flush=False)
    client.flush()
    order = order_of(client, lazy, urgent)
    assert order.index(lazy) > max(at for at, stream in enumerate(order) if stream == urgent)


def test_a_priority_update_changes_the_order(make_http2):
    client = connect(make_http2(large(60_000)))
    client.h2.increment_flow_control_window(1 << 20)
    first = client.request(flush=False)
    second = client.request(flush=False)
    update = bytes.fromhex("000007100000000000") + first.to_bytes(4, "big") + b"u=7"
    client.send(client.h2.data_to_send() + update)
    client.flush()
    order = order_of(client, first, second)
    assert order.index(first) > max(at for at, stream in enumerate(order) if stream == second)


def test_priority_updates_for_answered_streams_take_no_place_of_those_that_come_ahead(make_http2):
    small = route("http.request", Echo(), path="^/small")
    client = connect(make_http2([small, route("http.request", large(60_000))]))
    client.h2.increment_flow_control_window(1 << 20)

    def update(stream):
        return bytes.fromhex("000007100000000000") + stream.to_bytes(4, "big") + b"u=7"

    for _ in range(150):
        client.send(update(client.request(path="/small")))
    lazy = client.h2.get_next_available_stream_id()
    client.send(update(lazy))
    assert client.request(flush=False) == lazy
    urgent = client.request(flush=False)
    client.flush()
    order = order_of(client, lazy, urgent)
    assert order.index(lazy) > max(at for at, stream in enumerate(order) if stream == urgent)


def test_a_stalled_stream_holds_up_neither_its_siblings_nor_its_thread_for_ever(make_http2):
    site = make_http2([route("http.request", large(), path="^/large"), route("http.request", in_pool)])
    client = connect(site, is_automatic=False)
    stalled = client.request(path="/large")
    assert len(client.answers[stalled].body) == 65_535
    client.h2.increment_flow_control_window(1 << 20)
    client.flush()
    other = client.request(path="/pool")
    site.run_job()
    client.flush()
    assert client.answers[other].body == b"/pool"
    client.h2.increment_flow_control_window(1 << 20, stalled)
    client.flush()
    assert client.answers[stalled].is_complete


def test_a_closed_window_of_the_connection_stops_and_starts_all_streams(make_http2):
    client = connect(make_http2(large(100_000)), is_automatic=False)
    streams = [client.request() for _ in range(2)]
    assert sum(len(client.answers[stream].body) for stream in streams) == 65_535
    client.h2.increment_flow_control_window(1 << 20)
    for stream in streams:
        client.h2.increment_flow_control_window(1 << 20, stream)
    client.flush()
    assert all(client.answers[stream].is_complete for stream in streams)


def test_a_sender_waits_while_the_windows_are_closed_and_goes_on(make_http2):
    sent = []

    async def consumer(message):
        channel = message["reply_channel"]
        await channel.send({"status": 200, "more_content": True})
        for number in range(30):
            await channel.send({"content": b"x" * 10_000, "more_content": True})
            sent.append(number)
        channel.send({"content": b""})

    client = connect(make_http2(consumer), is_automatic=False)
    stream = client.request()
    assert 6 <= len(sent) <= 15  # a window, and write_buffer
    client.h2.increment_flow_control_window(1 << 20)
    client.h2.increment_flow_control_window(1 << 20, stream)
    client.flush()
    client.site.settle()
    client.flush()
    assert len(sent) == 30
    assert client.answers[stream].is_complete


# ---- what waits for a client ----


class Pouring:
    """A consumer that never awaits: it sends until it is refused, by the path so many kilobytes at most."""

    def __init__(self):
        self.sent = {}
        self.refused = []

    async def __call__(self, message):
        path = message["path"]
        channel = message["reply_channel"]
        channel.send({"status": 200, "more_content": True})
        try:
            for _ in range(int(path.rpartition("/")[2])):
                channel.send({"content": b"x" * 1000, "more_content": True})
                self.sent[path] = self.sent.get(path, 0) + 1000
            channel.send({"content": b""})
        except ChannelFull:
            self.refused.append(channel)


def test_all_streams_of_a_client_that_takes_nothing_hold_little_more_than_one(make_http2):
    """The bound was that of an exchange, so a connection with a hundred streams could hold a hundred times as much."""
    pouring = Pouring()
    client = connect(make_http2(pouring, write_buffer=1000, numbers={"streams": 20}), is_automatic=False)
    for number in range(20):
        client.request(path=f"/{number}/9999")
    most = 256 * 1000
    share = most // 20
    assert sum(pouring.sent.values()) <= 65_535 + most + 20 * (share + 2000)
    assert pouring.sent["/0/9999"] >= most
    assert pouring.sent["/19/9999"] >= share
    assert len(pouring.refused) == 20


def test_who_holds_less_than_its_share_is_not_refused_for_what_others_hold(make_http2):
    pouring = Pouring()
    client = connect(make_http2(pouring, write_buffer=1000, numbers={"streams": 20}), is_automatic=False)
    client.request(path="/greedy/9999")
    client.request(path="/modest/12")
    assert pouring.sent["/modest/12"] == 12_000


def test_what_is_taken_or_reset_is_not_held_any_more(make_http2):
    pouring = Pouring()
    client = connect(make_http2(pouring, write_buffer=1000, numbers={"streams": 20}), is_automatic=False)
    connection = next(iter(client.site.service.connections))
    taken, left = client.request(path="/taken/100"), client.request(path="/left/100")
    assert connection.queued_bytes == 200_000 - 65_535
    client.reset(left)
    client.h2.increment_flow_control_window(1 << 20)
    client.h2.increment_flow_control_window(1 << 20, taken)
    client.flush()
    assert len(client.answers[taken].body) == 100_000
    assert connection.queued_bytes == 0


def test_a_consumer_that_never_awaits_fills_no_engine(make_http2):
    """With windows as large as can be all that it sent in one turn of the loop went past its bound."""
    pouring = Pouring()
    client = connect(make_http2(pouring, write_buffer=1000), is_raw=True)
    client.begin(SettingsFrame(0, settings={4: 2**31 - 1}), WindowUpdateFrame(0, window_increment=2**31 - 1 - 65_535))
    client.raw(HeadersFrame(1, Encoder().encode(client.fields(path="/1/9999")), flags=["END_STREAM", "END_HEADERS"]))
    assert pouring.sent["/1/9999"] <= 256 * 1000 + 262_144 + 2000


# ---- accounts ----


def test_an_account_is_overdrawn_by_too_much_and_filled_by_time_and_by_work():
    accounts = Accounts(0.0)
    accounts.take("resets", 200)
    assert accounts.overdrawn == ""
    accounts.tick(1.0)
    accounts.take("resets", 10)
    accounts.give("resets", 5)
    accounts.take("resets", 5)
    assert accounts.overdrawn == ""
    accounts.take("resets")
    assert accounts.overdrawn == "resets"


def test_an_account_holds_no_more_than_it_began_with():
    accounts = Accounts(0.0)
    accounts.take("ping", 1)
    accounts.give("ping", 1000)
    accounts.tick(1000.0)
    accounts.take("ping", 201)
    assert accounts.overdrawn == "ping"


# ---- times ----


def test_a_consumer_that_is_silent_is_answered_504_and_its_siblings_go_on(make_http2):
    kept = Kept()
    site = make_http2([route("http.request", kept, path="^/slow"), route("http.request", Echo())], reply_timeout=3)
    client = connect(site)
    stream = client.request(path="/slow")
    site.pass_time(6)
    client.flush()
    assert client.answers[stream].status == 504
    assert client.get("/").status == 200
    assert "reply_timeout" in site.log.take("warning")[0]


def test_a_body_that_does_not_come_is_408(make_http2):
    client = connect(make_http2(Echo(), body_timeout=3))
    stream = client.request("POST", "/", (), b"x", ends=False)
    client.site.pass_time(6)
    client.flush()
    assert (client.answers[stream].status, client.answers[stream].reset) == (408, 0)


def test_a_request_that_takes_too_long_is_504(make_http2):
    client = connect(make_http2(Kept(), request_timeout=3, keepalive=100))
    stream = client.request()
    client.site.pass_time(6)
    client.flush()
    assert client.answers[stream].status == 504
    client.site.log.take("warning")


def test_an_idle_connection_is_closed_with_goaway_after_keepalive(make_http2):
    client = connect(make_http2(Echo(), keepalive=2))
    client.get()
    client.site.pass_time(1)
    assert not client.goaways
    client.site.pass_time(6)
    client.flush()
    assert client.goaways == [(1, 0)]
    assert client.transport.is_eof_written or client.is_closed


def test_an_idle_connection_whose_next_frames_wait_in_the_system_is_kept(make_http2):
    client = connect(make_http2(Echo(), keepalive=2))
    client.get()
    ours, theirs = client.transport.sockets
    theirs.send(b"frames")
    client.site.pass_time(7)
    client.flush()
    assert not client.goaways
    ours.recv(100)
    client.site.pass_time(1)
    client.flush()
    assert client.goaways == [(1, 0)]


def test_a_connection_with_a_request_is_not_idle(make_http2):
    kept = Kept()
    client = connect(make_http2(kept, keepalive=2))
    stream = client.request()
    client.site.pass_time(20)
    kept.reply(0, status=200)
    client.site.settle()
    client.flush()
    assert client.answers[stream].status == 200


def test_without_keepalive_a_connection_ends_with_its_first_answers(make_http2):
    client = connect(make_http2(Echo(), keepalive=0))
    assert client.get().status == 200
    assert client.goaways
    assert client.transport.is_eof_written


# ---- the end ----


def test_stopping_sends_two_goaways_and_answers_what_was_accepted(make_http2):
    kept = Kept()
    client = connect(make_http2(kept))
    first = client.request(path="/1")
    client.site.service.begin_stopping()
    client.site.settle()
    data = bytes(client.transport.received[client._seen :])
    assert b"\x7f\xff\xff\xff" in data  # GOAWAY that refuses nothing
    racing = raw_request(client, 3)
    client.send(racing)  # on its way before the client has read it
    assert kept.paths == ["/1", "/racing"]
    client.send(bytes.fromhex("0000080601000000000000000000000000"))  # the answer to the ping
    client.send(raw_request(client, 5))
    assert kept.paths == ["/1", "/racing"]
    assert not client.transport.is_eof_written
    for number in range(2):
        kept.reply(number, status=200, content=b"done")
    client.site.settle()
    assert client.transport.is_eof_written
    frames = client.frames()
    last = [frame.last_stream_id for frame in frames if type(frame).__name__ == "GoAwayFrame"]
    assert last[:2] == [2**31 - 1, 3]
    ended = [frame.stream_id for frame in frames if "END_STREAM" in frame.flags]
    assert sorted(ended) == [first, 3]


def raw_request(client, stream):
    fields = client.fields(path="/racing")
    return HeadersFrame(stream, Encoder().encode(fields), flags=["END_STREAM", "END_HEADERS"]).serialize()


def test_a_client_that_does_not_answer_the_ping_is_told_the_end_a_second_later(make_http2):
    client = connect(make_http2(Kept()))
    client.site.service.begin_stopping()
    client.site.settle()
    client.site.pass_time(2)
    last = [frame.last_stream_id for frame in client.frames() if type(frame).__name__ == "GoAwayFrame"]
    assert last == [2**31 - 1, 0]
    assert client.transport.is_eof_written


def test_a_worker_that_cannot_wait_tells_the_consumer(make_http2):
    kept = Kept()
    client = connect(make_http2(kept))
    client.request()
    for connection in tuple(client.site.service.connections):
        connection.abort()
    with pytest.raises(ServerStopping):
        kept.reply(0, status=200)


def test_connection_close_of_a_consumer_ends_the_connection_behind_its_streams(make_http2):
    async def consumer(message):
        message["reply_channel"].send({"status": 200, "headers": [(b"connection", b"close")], "content": b"bye"})

    client = connect(make_http2(consumer))
    answer = client.get()
    assert (answer.body, answer.is_complete) == (b"bye", True)
    assert client.goaways
    assert "connection" not in answer.headers
    client.site.pass_time(2)
    assert client.transport.is_eof_written


def test_an_idle_client_that_says_goaway_is_closed_at_once(make_http2):
    client = connect(make_http2(Echo(), keepalive=100))
    client.get()
    client.h2.close_connection()
    client.flush()
    client.site.settle()
    assert client.transport.is_eof_written or client.is_closed


def test_a_client_that_says_goaway_is_answered_and_closed(make_http2):
    kept = Kept()
    client = connect(make_http2(kept))
    client.request()
    client.raw(bytes.fromhex("0000080700000000000000000000000000"))
    assert not client.transport.is_eof_written
    kept.reply(0, status=200)
    client.site.settle()
    assert client.transport.is_eof_written


# ---- how a connection begins ----


@pytest.mark.parametrize("piece", [1, 5, 23, 24, 25])
def test_the_preface_may_come_in_pieces(make_http2, piece):
    echo = Echo()
    client = connect(make_http2(echo), is_raw=True)
    client.h2.initiate_connection()
    client.h2.send_headers(1, client.fields(), end_stream=True)
    client.send(client.h2.data_to_send(), piece)
    client.flush()
    assert client.answers[1].status == 200


@pytest.mark.parametrize("piece", [None, 1])
def test_http11_is_served_beside_it_where_both_are_allowed(make_http2, piece):
    client = make_http2(Echo(), cleartext="both").connect()
    client.send(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", piece)
    client.send(b"PUT /a HTTP/1.1\r\nHost: a\r\n\r\n", piece)
    assert client.statuses() == [200, 200]


def test_who_has_to_send_the_preface_and_does_not_gets_400(make_http2):
    client = make_http2(Echo()).connect()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.statuses() == [400]
    assert client.is_closed or client.transport.is_eof_written


def test_an_untrusted_peer_is_served_http11_only(make_http2):
    class Untrusting(FakePeers):
        def may_begin_http2(self, address):
            return False

    site = make_http2(Echo(), peers=Untrusting())
    client = site.connect()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.statuses() == [200]
    client = site.connect()
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert client.statuses() == [505]


def test_a_proxy_header_may_come_before_the_preface(make_http2):
    echo = Echo()
    client = connect(make_http2(echo, peers=FakePeers(proxy_mode="auto")), is_raw=True)
    client.send(b"PROXY TCP4 203.0.113.9 198.51.100.1 4711 443\r\n")
    client.h2.initiate_connection()
    client.flush()
    client.get()
    assert echo.messages[0]["client"] == ["203.0.113.9", 4711]


def test_without_a_proxy_header_the_preface_is_found_too(make_http2):
    client = connect(make_http2(Echo(), peers=FakePeers(proxy_mode="auto")))
    assert client.get().status == 200


def test_a_half_preface_has_its_time(make_http2):
    client = make_http2(Echo(), header_timeout=3).connect()
    client.send(b"PRI * HT")
    client.site.pass_time(8)
    assert client.statuses() == [408]
