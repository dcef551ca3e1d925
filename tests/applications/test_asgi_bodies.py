"""How the body of a request comes to an ASGI application: as it comes, from the head on."""

import asyncio

import pytest
from clients import Echo, Kept

from uvicorn import ChannelClosed, mount

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EXPECT = b"Expect: 100-continue\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
DISCONNECT = {"type": "http.disconnect"}


def post(length=None, fields=b""):
    framing = b"Transfer-Encoding: chunked" if length is None else b"Content-Length: %d" % length
    return b"POST /a HTTP/1.1\r\nHost: a\r\n%b\r\n%b\r\n" % (framing, fields)


def chunk(content):
    return b"%x\r\n%b\r\n" % (len(content), content)


LAST = chunk(b"")


def start(status=200):
    return {"type": "http.response.start", "status": status}


def body(content=b"", more=False):
    return {"type": "http.response.body", "body": content, "more_body": more}


def part(content, more):
    return {"type": "http.request", "body": content, "more_body": more}


class Reader:
    """Receive the whole body, and answer with its length."""

    def __init__(self):
        self.events = []
        self.calls = 0

    async def __call__(self, scope, receive, send):
        self.calls += 1
        size, more = 0, True
        while more:
            self.events.append(await receive())
            if self.events[-1] == DISCONNECT:
                return
            size += len(self.events[-1]["body"])
            more = self.events[-1]["more_body"]
        await send(start())
        await send(body(b"%d" % size))


class Early:
    """Answer at once, without a look at the body, and then receive."""

    def __init__(self, status=401):
        self.status = status
        self.events = []

    async def __call__(self, scope, receive, send):
        await send(start(self.status))
        await send(body(b"no"))
        self.events.append(await receive())


@pytest.fixture(params=["alone", "mounted"])
def make(request, make_site):
    """Make a site of an application, alone or in a list; return a client of it."""

    def made(app, **options):
        return make_site([mount("/", app)] if request.param == "mounted" else app, **options).connect()

    return made


# ---- as it comes ----


def test_the_application_is_called_at_the_head_and_gets_the_body_as_it_comes(make):
    app = Reader()
    client = make(app)
    client.send(post(10))
    assert (app.calls, app.events) == (1, [])
    client.send(b"hello")
    assert app.events == [part(b"hello", True)]
    client.send(b"world")
    assert app.events == [part(b"hello", True), part(b"world", False)]
    assert client.responses()[0].body == b"10"


@pytest.mark.parametrize("data", [post(5) + b"hello", post() + chunk(b"he") + chunk(b"llo") + LAST])
@pytest.mark.parametrize("options", [{}, {"body_buffer": 2}])
def test_head_and_body_in_one_read_are_one_event(make, data, options):
    app = Reader()
    client = make(app, **options)
    client.send(data + data)
    assert app.events == [part(b"hello", False)] * 2
    assert client.statuses() == [200, 200]


def test_more_chunks_than_a_turn_takes_come_as_they_are_taken(make):
    app = Reader()
    client = make(app)
    client.send(post() + chunk(b"x") * 5000 + LAST)
    assert 1 < len(app.events) < 100
    assert client.responses()[0].body == b"5000"


@pytest.mark.parametrize("known", [0, 3])
def test_what_came_with_the_head_is_the_first_event(make, known):
    app = Reader()
    client = make(app)
    for _ in range(known):  # of a head that was seen before
        client.send(post(10) + b"helloworld")
    app.events.clear()
    client.send(post(10) + b"hello")
    assert app.events == [part(b"hello", True)]
    client.send(b"world")
    assert app.events == [part(b"hello", True), part(b"world", False)]
    assert client.statuses() == [200] * (known + 1)


@pytest.mark.parametrize("piece", [1, 7, 100])
@pytest.mark.parametrize("size", [10, 1000])
def test_the_body_is_whole_however_it_is_cut(make, piece, size):
    app = Reader()
    content = bytes(range(250)) * 4
    client = make(app, body_buffer=100)
    client.send(post(size) + content[:size] + post() + chunk(content[:size]) + LAST + NEXT, piece)
    assert b"".join(event["body"] for event in app.events) == content[:size] * 2
    assert [response.body for response in client.responses()] == [b"%d" % size] * 2 + [b"0"]


def test_both_sides_stream_at_the_same_time(make):
    async def app(scope, receive, send):
        await send(start())
        more = True
        while more:
            event = await receive()
            more = event["more_body"]
            await send(body(event["body"].upper(), more))

    client = make(app)
    client.send(post())
    for word in (b"one", b"two"):
        client.send(chunk(word))
        assert client.responses()[0].body.endswith(word.upper())
        assert not client.responses()[0].is_complete
    client.send(LAST + post(1) + b"x")
    assert [response.body for response in client.responses()] == [b"ONETWO", b"X"]
    assert not client.is_closed


def test_reading_stops_while_the_application_is_behind(make):
    async def app(scope, receive, send):
        await asyncio.Event().wait()

    client = make(app, body_buffer=10)
    client.send(post(100))
    for _ in range(10):
        client.send(b"0123456789")
    assert client.transport.is_paused
    client.leave()
    client.site.pass_time(10)


def test_a_message_consumer_gets_a_small_body_whole(make_site):
    echo = Echo()
    client = make_site(echo, body_buffer=5).connect()
    client.send(post(5))
    client.send(b"he")
    assert echo.messages == []
    client.send(b"llo")
    assert [(message["body"], message["body_channel"]) for message in echo.messages] == [(b"hello", None)]


# ---- Expect ----


def test_the_body_is_asked_for_when_it_is_received(make):
    wants = asyncio.Event()

    async def app(scope, receive, send):
        await wants.wait()
        await Reader()(scope, receive, send)

    client = make(app)
    client.send(post(5, EXPECT))
    assert client.take() == b""
    client.site.loop.call_soon(wants.set)
    client.site.settle()
    assert client.take() == CONTINUE
    client.send(b"hello")
    assert client.responses()[0].body == b"5"


def test_a_body_that_came_unasked_is_not_asked_for(make):
    client = make(Reader())
    client.send(post(5, EXPECT) + b"hello")
    assert client.statuses() == [200]


def test_a_client_that_waits_with_its_body_is_refused_without_it(make):
    app = Early()
    client = make(app)
    client.send(post(5, EXPECT))
    [response] = client.responses()
    assert (response.status, response.headers["connection"]) == (401, "close")  # it may send the body, or not
    assert app.events == [DISCONNECT]


# ---- an answer that is complete before the body ----


@pytest.mark.parametrize("framed", [(post(10), b"helloworld"), (post(), chunk(b"helloworld") + LAST)])
@pytest.mark.parametrize("piece", [None, 1])
def test_an_early_answer_keeps_the_connection_if_the_rest_is_short(make, framed, piece):
    app = Early()
    client = make(app)
    head, rest = framed
    client.send(head)
    [response] = client.responses()
    assert (response.status, response.body, response.headers.get("connection")) == (401, b"no", None)
    assert app.events == [DISCONNECT]
    client.send(rest + NEXT, piece)
    assert client.statuses() == [401, 401]
    assert not client.is_closed


def test_an_early_answer_in_parts_keeps_the_connection_too(make):
    async def app(scope, receive, send):
        await send(start())
        await send(body(b"a", True))
        await send(body(b"b"))

    client = make(app)
    client.send(post(5) + b"he")
    client.send(b"llo" + NEXT)
    assert [response.body for response in client.responses()] == [b"ab", b"ab"]


def test_an_early_answer_closes_if_much_is_missing(make):
    client = make(Early(), body_buffer=100)
    client.send(post(101))
    [response] = client.responses()
    assert (response.status, response.headers["connection"]) == (401, "close")
    client.site.pass_time(4)
    assert client.is_closed


def test_the_connection_is_closed_if_more_comes_than_it_is_worth(make):
    client = make(Early(), body_buffer=100)
    client.send(post())
    client.send(chunk(b"x" * 100))
    assert not client.transport.is_eof_written
    client.send(chunk(b"x"))
    assert client.transport.is_eof_written
    client.site.pass_time(4)
    assert client.is_closed
    assert client.statuses() == [401]


def test_the_connection_is_closed_if_the_rest_is_malformed(make):
    client = make(Early())
    client.send(post())
    client.send(b"nonsense\r\n")
    assert client.transport.is_eof_written
    client.site.pass_time(4)
    assert client.is_closed
    assert client.statuses() == [401]


def test_the_connection_is_closed_if_the_rest_does_not_come(make):
    client = make(Early(), body_timeout=10)
    client.send(post(10) + b"hello")
    client.site.pass_time(15)
    assert client.transport.is_eof_written
    client.site.pass_time(4)
    assert client.is_closed
    assert client.statuses() == [401]


def test_reading_goes_on_for_the_rest_of_a_body_that_nobody_reads(make):
    waits = asyncio.Event()

    async def app(scope, receive, send):
        await waits.wait()
        await Early()(scope, receive, send)

    client = make(app, body_buffer=10)
    client.send(post(30) + b"x" * 5)
    client.send(b"x" * 20)
    assert client.transport.is_paused
    client.site.loop.call_soon(waits.set)
    client.site.settle()
    assert not client.transport.is_paused
    client.send(b"x" * 5 + NEXT)
    assert client.statuses() == [401, 401]


def test_early_answers_keep_their_order(make_site):
    kept = Kept()
    site = make_site([mount("/a", Early()), mount("/", kept)])
    client = site.connect()
    client.send(NEXT + post(5))
    assert client.take() == b""
    client.send(b"hel")
    kept.reply(0, status=200)
    assert client.statuses() == [200, 401]
    client.send(b"lo" + NEXT)
    kept.reply(1, status=204)
    assert client.statuses() == [200, 401, 204]


def test_a_worker_that_stops_keeps_no_connection_for_the_rest_of_a_body(make):
    client = make(Early())
    client.site.service.begin_stopping()
    client.send(post(10))
    [response] = client.responses()
    assert response.headers["connection"] == "close"


# ---- a body that does not end ----


def test_an_application_learns_that_the_client_left_in_the_middle_of_its_body(make):
    app = Reader()
    client = make(app)
    client.send(post(10) + b"01234")
    client.leave()
    assert app.events == [part(b"01234", True), DISCONNECT]


def test_a_body_that_pauses_too_long_gets_408(make):
    app = Reader()
    client = make(app, body_timeout=10)
    client.send(post(10) + b"01234")
    client.site.pass_time(15)
    assert client.statuses() == [408]
    assert app.events == [part(b"01234", True), DISCONNECT]


def test_a_body_above_the_limit_gets_413_while_it_comes(make):
    app = Reader()
    client = make(app, request_body=8)
    client.send(post() + chunk(b"01234"))
    client.send(chunk(b"56789"))
    assert client.statuses() == [413]
    assert app.events == [part(b"01234", True), DISCONNECT]


def test_sending_to_a_client_that_left_in_its_body_raises(make):
    errors = []

    async def app(scope, receive, send):
        while (await receive()) != DISCONNECT:
            pass
        try:
            await send(start())
            await send(body())
        except ChannelClosed as error:
            errors.append(error)

    client = make(app)
    client.send(post(10))
    client.leave()
    assert len(errors) == 1
