"""An id for each request: where it comes from, and where it is seen."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from clients import Kept, in_pool
from doubles import FakePeers
from h2_clients import connect
from sockets import SocketClient, close_frame, frame

from uvicorn import asgi, route, wsgi
from uvicorn.connections.attendants import Attendants
from uvicorn.watching.request_ids import RequestIds, current_request_id, is_request_id

MADE = re.compile(r"[0-9a-f]{32}")
GET = b"GET / HTTP/1.1\r\nHost: a\r\n"


@pytest.fixture
def make_identified(make_site):
    """Make sites whose requests have ids."""

    def make(application, is_trusted=False, **options):
        return make_site(application, peers=FakePeers(is_trusted=is_trusted, **options), attendants=[RequestIds()])

    return make


class Seen:
    """A coroutine that answers, and keeps its message and the current id."""

    def __init__(self, **reply):
        self.messages = []
        self.current = []
        self.reply = {"status": 200, **reply}

    async def __call__(self, message):
        self.current.append(current_request_id.get())
        await asyncio.sleep(0)
        self.current.append(current_request_id.get())
        self.messages.append(dict(message, reply_channel=None))
        message["reply_channel"].send(self.reply)


def ask(site, *fields, path=b"/"):
    """Send a request; return the id in its response."""
    client = site.connect()
    head = b"".join(b"%b\r\n" % field for field in (b"GET %b HTTP/1.1" % path, b"Host: a", *fields))
    client.send(head + b"\r\n")
    site.settle()
    while site.pool.queue:
        site.run_job(in_thread=True)
    return client.responses()[-1].headers.get("x-request-id")


def ids_in(headers):
    return [value.decode() for name, value in headers if name == b"x-request-id"]


def test_a_request_gets_an_id_that_is_seen_everywhere(make_identified):
    seen = Seen()
    site = make_identified(seen)
    made = ask(site)
    assert MADE.fullmatch(made)
    assert seen.current == [made, made]
    assert seen.messages[0]["request_id"] == made
    assert ids_in(seen.messages[0]["headers"]) == [made]
    assert ids_in(site.reports[0].headers) == [made]
    assert site.reports[0].attended.request_id == made


def test_no_two_requests_have_the_same_id(make_identified):
    site = make_identified(Seen())
    assert len({ask(site) for _ in range(50)}) == 50


def test_outside_of_a_request_there_is_none(make_identified):
    ask(make_identified(Seen()))
    assert current_request_id.get() is None


def test_without_the_setting_there_is_none(make_site):
    seen = Seen()
    site = make_site(seen)
    assert ask(site, b"X-Request-ID: theirs") is None
    assert seen.messages[0]["request_id"] is None
    assert ids_in(seen.messages[0]["headers"]) == ["theirs"]
    assert seen.current == [None, None]


def test_the_id_of_a_trusted_peer_is_taken(make_identified):
    seen = Seen()
    assert ask(make_identified(seen, is_trusted=True), b"X-Request-ID:  a1b2-C3  ") == "a1b2-C3"
    assert seen.messages[0]["request_id"] == "a1b2-C3"
    assert ids_in(seen.messages[0]["headers"]) == ["a1b2-C3"]


def test_the_id_of_a_peer_that_is_not_trusted_is_replaced(make_identified):
    seen = Seen()
    made = ask(make_identified(seen), b"X-Request-ID: theirs")
    assert MADE.fullmatch(made)
    assert ids_in(seen.messages[0]["headers"]) == [made]


@pytest.mark.parametrize(
    "value", [b"", b"a b", b"a,b", b'a"b', b"a\tb", b"a;b", b"\xe9", b"a" * 201, b"${jndi}", b"a\\b"]
)
def test_what_is_no_id_is_replaced(make_identified, value):
    assert not is_request_id(value)
    assert MADE.fullmatch(ask(make_identified(Seen(), is_trusted=True), b"X-Request-ID: " + value))


@pytest.mark.parametrize("value", [b"a", b"a" * 200, b"5c1f-4e", b"Root=1-67891233-abcdef", b"a_b~c+d/e:f@g.h=="])
def test_ids_of_all_kinds_are_taken(make_identified, value):
    assert ask(make_identified(Seen(), is_trusted=True), b"x-request-id: " + value) == value.decode()


def test_two_ids_are_none(make_identified):
    seen = Seen()
    made = ask(make_identified(seen, is_trusted=True), b"X-Request-ID: one", b"X-Request-ID: two")
    assert MADE.fullmatch(made)
    assert ids_in(seen.messages[0]["headers"]) == [made]


def test_an_id_with_an_underscore_in_its_name_does_not_reach_wsgi_beside_ours(make_identified):
    seen = Seen()
    ask(make_identified(seen, header_map="dangerous"), b"X_Request_ID: theirs")
    assert [name for name, _ in seen.messages[0]["headers"]] == [b"host", b"x-request-id"]


def test_a_consumer_that_sends_the_field_itself_is_left_alone(make_identified):
    seen = Seen(headers=[(b"X-Request-Id", b"its own")])
    assert ask(make_identified(seen)) == "its own"


def test_a_consumer_in_a_thread_sees_it_too(make_identified):
    seen = []

    def consumer(message):
        seen.extend([current_request_id.get(), message["request_id"]])
        message["reply_channel"].send({"status": 200})

    made = ask(make_identified(consumer))
    assert seen == [made, made]


@pytest.mark.parametrize("path", [b"/none", b"/fails", b"/silent"])
def test_answers_of_the_server_itself_have_it(make_identified, path):
    async def fails(message):
        raise ValueError

    async def silent(message):
        pass

    site = make_identified(
        [route("http.request", fails, path="^/fails"), route("http.request", silent, path="^/silent")]
    )
    assert MADE.fullmatch(ask(site, path=path))
    site.log.take("error")


def test_a_stream_has_it_once(make_identified):
    async def consumer(message):
        send = message["reply_channel"].send
        await send({"status": 200, "content": b"a", "more_content": True})
        await send({"content": b"b", "more_content": True})
        await send({})

    site = make_identified(consumer)
    client = site.connect()
    client.send(GET + b"\r\n")
    site.settle()
    assert bytes(client.transport.received).count(b"x-request-id: ") == 1
    assert client.responses()[0].body == b"ab"


def test_a_file_is_sent_with_the_id(make_identified, tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(b"x" * 1000)
    site = make_identified(Seen(file=str(path)))
    client = site.connect()
    client.send(GET + b"\r\n")
    site.settle()
    [response] = client.responses()
    assert (response.body, response.headers["content-length"]) == (b"x" * 1000, "1000")
    assert MADE.fullmatch(response.headers["x-request-id"])


def test_a_field_whose_name_ends_like_it_is_another_one(make_identified):
    seen = Seen(headers=[(b"my-x-request-id", b"mine")])
    site = make_identified(seen)
    client = site.connect()
    client.send(GET + b"\r\n")
    site.settle()
    [response] = client.responses()
    assert response.headers["my-x-request-id"] == "mine"
    assert MADE.fullmatch(response.headers["x-request-id"])


def test_trailers_are_sent_with_the_id(make_identified):
    async def consumer(message):
        reply = {"status": 200, "content": b"a", "trailers": [(b"x-sum", b"1")]}
        message["reply_channel"].send(reply)

    client = make_identified(consumer).connect()
    client.send(GET + b"\r\n")
    head, _, rest = bytes(client.transport.received).partition(b"\r\n\r\n")
    assert b"x-request-id: " in head
    assert rest == b"1\r\na\r\n0\r\nx-sum: 1\r\n\r\n"


def test_what_is_no_request_has_none(make_identified):
    client = make_identified(Kept()).connect()
    client.send(b"GET / HTTP/1.1\r\n\r\n")
    assert client.statuses() == [400]
    assert "x-request-id" not in client.responses()[0].headers


def test_a_wsgi_application_finds_it_in_its_environ(make_identified):
    seen = []

    def application(environ, start_response):
        seen.extend([environ["HTTP_X_REQUEST_ID"], current_request_id.get()])
        start_response("200 OK", [])
        return [b""]

    made = ask(make_identified(wsgi(application)))
    assert seen == [made, made]


def test_an_asgi_application_finds_it_in_its_scope(make_identified):
    seen = []

    async def application(scope, receive, send):
        seen.extend([scope["state"]["request_id"], *ids_in(scope["headers"]), current_request_id.get()])
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    made = ask(make_identified(asgi(application)))
    assert seen == [made, made, made]


def test_a_state_of_the_application_that_has_the_name_is_left_alone(make_identified):
    seen = []

    async def application(scope, receive, send):
        seen.append(scope["state"])
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    consumer: Any = asgi(application)
    consumer.target.state["request_id"] = "mine"
    ask(make_identified(consumer))
    assert seen == [{"request_id": "mine"}]
    assert consumer.target.state == {"request_id": "mine"}


def test_http2_has_it_too(make_http2):
    seen = Seen()
    client = connect(make_http2(seen, peers=FakePeers(is_trusted=True), attendants=[RequestIds()]))
    answer = client.get("/", headers=[("x-request-id", "two")])
    assert answer.headers["x-request-id"] == "two"
    assert seen.messages[0]["request_id"] == "two"
    assert seen.current == ["two", "two"]


# ---- the log ----


class ContextLog:
    """A log that notes the current id with each line."""

    def __init__(self, log):
        self.log = log
        self.seen = []

    def __getattr__(self, level):
        def write(*args, **kwargs):
            self.seen.append((current_request_id.get(), args[0] % args[1:]))
            getattr(self.log, level)(*args, **kwargs)

        return write


def noted(site):
    """Have a site's log note ids; return what it has noted."""
    log = site.service.log = ContextLog(site.log)
    return log.seen


def fails_in_thread(message):
    raise ValueError("x")


async def fails_on_loop(message):
    raise ValueError("x")


async def lets_go(message):
    pass


def lets_go_in_thread(message):
    return b"what"


@pytest.mark.parametrize("consumer", [fails_in_thread, fails_on_loop, lets_go, lets_go_in_thread])
def test_lines_of_the_server_about_a_request_have_its_id(make_identified, consumer):
    site = make_identified(consumer)
    seen = noted(site)
    made = ask(site)
    assert seen
    assert {identity for identity, _ in seen} == {made}
    site.log.take("error")


def test_the_access_log_is_written_in_the_context_of_the_request(make_site):
    seen = []
    site = make_site(in_pool, attendants=[RequestIds()])
    service = site.service
    service.attendants = Attendants(
        [RequestIds()], service.dispatcher.context, lambda _: seen.append(current_request_id.get()), site.log
    )
    service.report = service.attendants.report
    assert [ask(site)] == seen


def test_an_attendant_that_raises_is_logged_and_the_request_goes_on(make_site):
    class Broken:
        def begin(self, exchange, message, is_believed):
            raise ValueError

        end = end_socket = lambda self, exchange: 1 / 0

    seen = Seen()
    site = make_site(seen, attendants=[Broken(), RequestIds()])
    assert MADE.fullmatch(ask(site))
    assert site.log.take("error") == ["Error in Broken.begin", "Error in Broken.end"]


# ---- sockets ----


def test_every_call_of_a_socket_has_the_id_of_its_handshake(make_identified):
    seen = []

    async def consumer(message):
        seen.append((message["channel"], message["request_id"], current_request_id.get()))
        if message["channel"] == "websocket.connect":
            message["reply_channel"].send({"accept": True})

    site = make_identified([route(f"websocket.{name}", consumer) for name in ("connect", "receive", "disconnect")])
    client = SocketClient(site)
    made = client.response.headers["x-request-id"]
    for number in range(3):
        client.send(frame(1, b"%d" % number))
        site.settle()
    client.send(close_frame())
    site.settle()
    names = ["connect", "receive", "receive", "receive", "disconnect"]
    assert seen == [(f"websocket.{name}", made, made) for name in names]
    assert MADE.fullmatch(made)


def test_every_call_of_a_socket_in_threads_has_it(make_identified):
    seen = []

    def consumer(message):
        seen.append((message["request_id"], current_request_id.get()))
        if message["channel"] == "websocket.connect":
            message["reply_channel"].send({"accept": True})

    site = make_identified([route(f"websocket.{name}", consumer) for name in ("connect", "receive", "disconnect")])
    client = SocketClient(site)
    site.settle()
    site.run_job(in_thread=True)
    client.send(frame(1, b"a"))
    site.settle()
    site.run_job(in_thread=True)
    assert len(seen) == 2
    assert len({*seen[0], *seen[1]}) == 1


def test_the_context_of_one_message_does_not_leak_into_the_next(make_identified):
    seen = []

    async def consumer(message):
        if message["channel"] == "websocket.connect":
            message["reply_channel"].send({"accept": True})
            return
        seen.append(current_request_id.get())
        current_request_id.set("changed")

    site = make_identified([route(f"websocket.{name}", consumer) for name in ("connect", "receive")])
    client = SocketClient(site)
    for _ in range(3):
        client.send(frame(1, b"a"))
        site.settle()
    assert len(set(seen)) == 1
    assert seen[0] != "changed"
