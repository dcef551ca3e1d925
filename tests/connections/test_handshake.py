"""From a request that asks for a socket to the socket, or to the answer that refuses it."""

import asyncio

import pytest
from clients import CLIENT, SERVER, Kept, in_pool
from doubles import FakePeers
from patience import NEVER_SECONDS
from sockets import ACCEPT, KEY, TEXT, SocketClient, Socketed, frame, handshake

from uvicorn import is_allowed_origin, route
from uvicorn.errors import ChannelClosed
from uvicorn.wire.limits import SocketLimits


def test_a_consumer_that_accepts_opens_the_socket(make_site):
    site = make_site(Socketed())
    client = SocketClient(site)
    assert (client.response.status, client.response.version) == (101, "HTTP/1.1")
    assert client.response.headers["sec-websocket-accept"] == ACCEPT
    assert client.response.headers["upgrade"] == "websocket"
    assert client.response.headers["connection"] == "Upgrade"
    assert client.response.headers["server"] == "uvicorn"
    assert not {"content-length", "transfer-encoding", "sec-websocket-protocol"} & set(client.response.headers)
    assert client.frames == []


@pytest.mark.parametrize(
    ("said", "scheme", "allowed"),
    [(b"wss", "wss", True), (b"https", "wss", True), (b"ws", "ws", False), (b"http", "ws", False)],
)
@pytest.mark.parametrize("is_trusted", [True, False])
def test_a_proxy_may_say_wss_and_the_page_of_the_same_site_is_allowed(make_site, said, scheme, allowed, is_trusted):
    consumer = Socketed()
    site = make_site(consumer, peers=FakePeers(is_trusted=is_trusted))
    SocketClient(site, "/", b"X-Forwarded-Proto: " + said, b"Origin: https://example.org")
    [message] = consumer.messages
    assert message["scheme"] == (scheme if is_trusted else "ws")
    assert is_allowed_origin(message) is (allowed and is_trusted)


def test_the_connect_message_has_the_keys_of_the_contract(make_site):
    consumer = Socketed()
    site = make_site(consumer, scheme="https", root_path="/mount")
    SocketClient(site, "/ch%C3%A4t?a=1", b"Sec-WebSocket-Protocol: one, two", b"Sec-WebSocket-Protocol: three")
    [message] = consumer.messages
    assert {key: message[key] for key in message if key not in ("headers", "reply_channel")} == {
        "channel": "websocket.connect",
        "path": "/ch\xe4t",
        "raw_path": b"/ch%C3%A4t",
        "query_string": b"a=1",
        "root_path": "/mount",
        "scheme": "wss",
        "http_version": "1.1",
        "client": CLIENT,
        "server": SERVER,
        "subprotocols": ["one", "two", "three"],
        "order": 0,
        "channel_session": {},
        "request_id": None,
    }
    assert [b"sec-websocket-key", KEY] in message["headers"]
    assert message.reply_channel is message["reply_channel"]
    assert message.reply_channel.name.startswith("websocket.send!")


def test_the_subprotocol_that_the_consumer_chose_and_its_fields_are_answered(make_site):
    kept = Kept()
    client = SocketClient(make_site(kept), "/", b"Sec-WebSocket-Protocol: one, two")
    kept.reply(0, accept=True, subprotocol="two", headers=[(b"set-cookie", b"a=b")])
    assert client.response.headers["sec-websocket-protocol"] == "two"
    assert client.response.headers["set-cookie"] == "a=b"


@pytest.mark.parametrize("reply", [{"text": "hi"}, {"accept": True, "text": "hi"}])
def test_text_before_acceptance_accepts_and_is_sent(make_site, reply):
    kept = Kept()
    client = SocketClient(make_site(kept))
    kept.reply(0, **reply)
    assert client.texts == ["hi"]


def test_accept_send_and_close_in_one_reply_come_in_this_order(make_site):
    kept = Kept()
    client = SocketClient(make_site(kept))
    kept.reply(0, accept=True, text="bye", close=4001)
    assert client.texts == ["bye"]
    assert client.close_code == 4001


@pytest.mark.parametrize("reply", [{"close": True}, {"close": 4000}, {"accept": False}])
def test_close_before_acceptance_refuses_with_403(make_site, reply):
    kept = Kept()
    site = make_site(kept)
    client = SocketClient(site)
    kept.reply(0, **reply)
    site.settle()
    assert client.response.status == 403
    assert client.is_closed
    assert len(kept.messages) == 1  # no disconnect: it never was a socket


def test_a_status_refuses_with_that_response(make_site):
    kept = Kept()
    site = make_site(kept)
    client = SocketClient(site)
    kept.reply(0, status=302, headers=[(b"location", b"/login")], content=b"log in")
    site.settle()
    assert (client.response.status, client.response.body) == (302, b"log in")
    assert client.response.headers["location"] == "/login"
    assert client.is_closed
    assert kept.messages[0]["reply_channel"].closed


def test_a_status_may_refuse_with_a_stream(make_site):
    kept = Kept()
    site = make_site(kept)
    client = SocketClient(site)
    kept.reply(0, status=200, content=b"a", more_content=True)
    kept.reply(0, content=b"b")
    site.settle()
    assert (client.response.body, client.response.is_complete) == (b"ab", True)


def test_a_plain_consumer_in_the_pool_refuses_with_its_response(make_site):
    site = make_site(lambda message: message["reply_channel"].send({"status": 200, "content": b"page"}))
    client = SocketClient(site)
    site.run_job()
    assert (client.response.status, client.response.body) == (200, b"page")
    assert client.is_closed


def test_a_consumer_that_returns_without_an_answer_refuses_with_403(make_site):
    async def silent(message):
        pass

    site = make_site(silent)
    assert SocketClient(site).response.status == 403
    [told] = [line for line in site.log.take("info") if "has not accepted the socket" in line]
    assert "--channels1 accepts for consumers of Channels 1" in told
    assert site.log.take("warning") == []


def test_a_consumer_in_the_pool_that_returns_without_an_answer_refuses_with_403(make_site):
    site = make_site(lambda message: None)
    client = SocketClient(site)
    site.run_job(in_thread=True)
    assert client.response.status == 403


def test_a_channel_that_is_kept_may_accept_later(make_site):
    kept = Kept()
    site = make_site(kept)
    client = SocketClient(site)
    assert client.transport.received == b""
    kept.reply(0, accept=True)
    assert client.is_open


def test_a_kept_channel_that_is_let_go_refuses(make_site):
    kept = Kept()
    site = make_site(kept)
    client = SocketClient(site)
    kept.messages.clear()
    site.settle()
    assert client.response.status == 403


def test_an_exception_in_connect_gives_500_and_is_logged(make_site):
    async def broken(message):
        raise ValueError("broken")

    site = make_site(broken)
    client = SocketClient(site)
    assert client.response.status == 500
    assert client.is_closed
    [line] = site.log.take("error")
    assert "broken" in line


def test_an_exception_after_acceptance_closes_with_1011(make_site):
    async def broken(message):
        message["reply_channel"].send({"accept": True})
        raise ValueError("broken")

    site = make_site(broken)
    client = SocketClient(site)
    assert client.is_open
    assert client.close_code == 1011
    assert len(site.log.take("error")) == 1


def test_an_exception_in_a_thread_gives_500(make_site):
    def broken(message):
        raise ValueError("broken")

    site = make_site(broken)
    client = SocketClient(site)
    site.run_job()
    assert client.response.status == 500
    assert len(site.log.take("error")) == 1


@pytest.mark.parametrize(
    ("request_bytes", "status", "field"),
    [
        (handshake(version=b"8"), 426, ("sec-websocket-version", "13")),
        (handshake(key=b"short"), 400, ("content-type", "text/plain; charset=utf-8")),
        (handshake("/", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), 400, ("connection", "close")),
        (handshake("/", b"Sec-WebSocket-Protocol: a b"), 400, ("connection", "close")),
        (handshake("/", b"Sec-WebSocket-Extensions: ;"), 400, ("connection", "close")),
        (handshake("/", b"Origin: https://a", b"Origin: https://b"), 400, ("connection", "close")),
    ],
)
def test_a_handshake_that_is_not_valid_is_refused_before_the_consumer_sees_it(make_site, request_bytes, status, field):
    consumer = Socketed()
    client = make_site(consumer).connect()
    client.send(request_bytes)
    [response] = client.responses()
    assert response.status == status
    assert response.headers[field[0]] == field[1]
    assert client.is_closed
    assert consumer.messages == []


@pytest.mark.parametrize(
    "request_bytes",
    [
        handshake().replace(b"GET", b"HEAD"),
        handshake().replace(b"HTTP/1.1", b"HTTP/1.0"),
        handshake().replace(b"websocket", b"h2c"),
        handshake().replace(b"Sec-WebSocket-Key", b"X-Key"),
        handshake("/", b"Content-Length: 2") + b"ab",
    ],
)
def test_an_upgrade_that_asks_for_no_socket_is_ignored(make_site, request_bytes):
    kept = Kept()
    client = make_site(kept).connect()
    client.send(request_bytes)
    assert [message["channel"] for message in kept.messages] == ["http.request"]


def test_a_site_without_a_route_for_sockets_answers_403(make_site):
    client = SocketClient(make_site([route("http.request", in_pool)]))
    assert client.response.status == 403


def test_each_message_goes_where_it_is_routed(make_site):
    calls = []

    async def connect(message):
        calls.append("connect")
        message["reply_channel"].send({"accept": True})

    async def receive(message):
        calls.append(message["text"])

    async def disconnect(message):
        calls.append(message["code"])

    site = make_site(
        [
            route("websocket.connect", connect, path="^/chat"),
            route("websocket.receive", receive, path="^/chat"),
            route("websocket.disconnect", disconnect),
            route("http.disconnect", disconnect),
        ]
    )
    client = SocketClient(site)
    client.text("hi")
    client.leave()
    assert calls == ["connect", "hi", 1006]


def test_messages_without_a_route_are_dropped(make_site):
    async def connect(message):
        message["reply_channel"].send({"accept": True})

    site = make_site([route("websocket.connect", connect)])
    client = SocketClient(site)
    client.text("hi")
    client.leave()
    assert client.is_open


def test_a_socket_may_follow_requests_on_the_same_connection(make_site):
    consumer = Socketed()
    site = make_site([route("http.request", Kept()), route("websocket.connect", consumer)])
    client = site.connect()
    client.send(b"GET /missing HTTP/1.1\r\nHost: a\r\n\r\n")
    site.service.application.find("http.request", "/missing").call.reply(0, status=200, content=b"page")
    assert client.take().endswith(b"page")
    socket = SocketClient(site, client=client)
    assert socket.is_open


def test_a_handshake_waits_for_the_answers_to_earlier_requests(make_site):
    page, consumer = Kept(), Socketed()
    site = make_site(
        [route("http.request", page), route("websocket.connect", consumer), route("websocket.receive", consumer)]
    )
    client = site.connect()
    client.send(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n" + handshake() + frame(TEXT, b"early"))
    assert consumer.channels == ["connect"]
    assert client.take() == b""
    page.reply(0, status=200, content=b"page")
    site.settle()
    data = client.take()
    assert data.index(b"page") < data.index(b"101 Switching")
    assert data.endswith(b"early")


def test_what_a_client_sends_before_acceptance_waits_and_is_bounded(make_site):
    kept = Kept()
    site = make_site(kept)
    client = SocketClient(site)
    client.send(*[frame(TEXT, b"x" * 1000)] * 60)
    assert not client.transport.is_paused
    client.send(*[frame(TEXT, b"x" * 1000)] * 10)
    assert client.transport.is_paused
    kept.reply(0, accept=True)
    site.settle()
    assert not client.transport.is_paused
    assert len(kept.messages) == 71


def test_a_client_that_leaves_before_acceptance_is_told_of(make_site):
    kept = Kept()
    site = make_site(kept)
    client = SocketClient(site)
    client.leave()
    assert [message["channel"] for message in kept.messages] == ["websocket.connect", "websocket.disconnect"]
    assert kept.messages[1]["code"] == 1006
    with pytest.raises(ChannelClosed):
        kept.reply(0, accept=True)


def test_a_client_that_leaves_before_a_thread_was_free_is_not_told_of(make_site):
    consumer = SocketedNever()
    site = make_site(consumer)
    client = SocketClient(site)
    client.leave()
    assert not site.pool.queue
    assert site.service.dispatcher.running.is_idle


class SocketedNever:
    def __call__(self, message):
        raise AssertionError("nobody is there")


def test_a_consumer_that_does_not_answer_in_time_gets_504_for_its_client(make_site):
    kept = Kept()
    site = make_site(kept, sockets=SocketLimits(handshake_timeout=10))
    client = SocketClient(site)
    site.pass_time(9)
    assert client.transport.received == b""
    site.pass_time(3)
    assert client.response.status == 504
    assert len(site.log.take("warning")) == 1
    with pytest.raises(ChannelClosed):
        kept.reply(0, accept=True)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_consumer_that_joined_a_group_and_returned_without_accepting_is_told_how_to_accept(make_site, is_async):
    def connect(message):
        assert message["reply_channel"].name  # as `Group.add` does: the channel is kept

    async def connect_async(message):
        connect(message)

    site = make_site(connect_async if is_async else connect, sockets=SocketLimits(handshake_timeout=10))
    client = SocketClient(site)
    if not is_async:
        site.run_job(in_thread=True)
    site.pass_time(12)
    assert client.response.status == 504
    [line] = site.log.take("warning")
    assert "did not answer websocket.connect in 10 seconds" in line
    assert ". It has returned: To accept it, send {'accept': True}, or a text, to message['reply_channel']" in line


def test_a_consumer_that_runs_still_is_not_told_how_to_accept(make_site):
    async def connect(message):
        await asyncio.Event().wait()

    site = make_site(connect, sockets=SocketLimits(handshake_timeout=10))
    client = SocketClient(site)
    site.pass_time(12)
    assert client.response.status == 504
    [line] = site.log.take("warning")
    assert "accept it" not in line
    client.leave()
    site.settle()


def test_waiting_for_a_thread_is_not_counted_as_silence(make_site):
    site = make_site(
        lambda message: message["reply_channel"].send({"accept": True}), sockets=SocketLimits(handshake_timeout=10)
    )
    client = SocketClient(site)
    site.pass_time(20)
    site.run_job()
    assert client.is_open


def test_a_full_pool_holds_the_handshake_and_past_the_deadline_answers_503(make_site):
    def accept(message):
        message["reply_channel"].send({"accept": True})

    site = make_site(accept, queue_timeout=NEVER_SECONDS)  # by the real clock
    site.pool.is_full = True
    client, patient = SocketClient(site), SocketClient(site)
    assert client.transport.received == b""
    site.service.call_runner._waiting[0].submitted_at -= NEVER_SECONDS + 1
    site.pass_time(1)
    assert client.response.status == 503
    assert client.response.headers["retry-after"] == "1"
    assert site.service.numbers.refused == {"queue_timeout": 1}
    site.pool.is_full = False
    site.service.call_runner._offer()
    site.run_job()
    assert patient.is_open


def test_an_accepted_handshake_is_in_the_access_log(make_site):
    site = make_site(Socketed())
    SocketClient(site)
    assert [(report.status, report.request_line.target) for report in site.reports] == [(101, b"/chat")]


def test_no_socket_is_opened_while_the_worker_stops(make_site):
    kept = Kept()
    site = make_site(kept)
    early, client = SocketClient(site), site.connect()
    site.service.begin_stopping()
    kept.reply(0, accept=True)
    site.settle()
    assert early.response.status == 503
    late = SocketClient(site, client=client)
    assert late.response.status == 503
    assert [message["channel"] for message in kept.messages] == ["websocket.connect", "websocket.disconnect"]


def test_a_socket_for_what_has_none_is_refused_with_the_reason(make_site):
    site = make_site([route("http.request", lambda message: None)])
    client = SocketClient(site)
    assert client.response.status == 403
    assert "403 to a WebSocket handshake: GET /chat: no route for it" in site.log.take("info")[-1]
