"""One call at a time for a socket, in order; bounds on both ways; deadlines; the stop."""

import asyncio

import pytest
from clients import Kept
from patience import NEVER_SECONDS
from sockets import PING, PONG, TEXT, SocketClient, Socketed, SocketedInPool, close_frame, frame

from uvicorn.errors import ChannelClosed, ChannelFull, ServerStopping
from uvicorn.wire.limits import SocketLimits


class Held(Socketed):
    """Accept; hold every other call until the test lets it go. Runs on the loop."""

    def __init__(self):
        super().__init__()
        self.running = []

    async def __call__(self, message):
        self.messages.append(message)
        if message["channel"] == "websocket.connect":
            message["reply_channel"].send({"accept": True})
            return
        future = asyncio.get_running_loop().create_future()
        self.running.append(future)
        await future

    def let_go(self, site):
        self.running.pop(0).set_result(None)
        site.settle()

    @property
    def texts(self):
        return [message.get("text") for message in self.messages[1:]]


def test_messages_have_the_keys_of_the_contract(make_site):
    consumer = Socketed()
    client = SocketClient(make_site(consumer), "/p")
    client.text("a")
    client.send(frame(2, b"\xff"), close_frame(3000))
    connect, text, data, disconnect = consumer.messages
    common = {"path": "/p", "request_id": None}
    common |= {name: connect[name] for name in ("channel_session", "reply_channel")}
    assert text == {"channel": "websocket.receive", "order": 1, "text": "a", "bytes": None, **common}
    assert data == {"channel": "websocket.receive", "order": 2, "text": None, "bytes": b"\xff", **common}
    assert disconnect == {"channel": "websocket.disconnect", "order": 3, "code": 3000, "reason": "", **common}


def test_the_session_and_the_reply_channel_live_as_long_as_the_socket(make_site):
    consumer = Socketed()
    site = make_site(consumer)
    client, other = SocketClient(site), SocketClient(site)
    consumer.messages[0]["channel_session"]["name"] = "Ann"
    client.text("a")
    other.text("b")
    assert consumer.messages[2]["channel_session"] == {"name": "Ann"}
    assert consumer.messages[3]["channel_session"] == {}
    assert consumer.messages[2]["reply_channel"] is consumer.messages[0]["reply_channel"]
    assert consumer.messages[2]["reply_channel"] is not consumer.messages[3]["reply_channel"]


def test_calls_of_one_socket_do_not_overlap_and_keep_their_order(make_site):
    consumer = Held()
    site = make_site(consumer)
    client = SocketClient(site)
    client.send(*[frame(TEXT, b"%d" % number) for number in range(5)])
    client.leave()
    for done in range(5):
        assert consumer.texts == [str(number) for number in range(done + 1)]
        consumer.let_go(site)
    assert consumer.channels[-1] == "disconnect"
    consumer.let_go(site)
    assert site.service.dispatcher.running.is_idle


def test_calls_of_different_sockets_run_side_by_side(make_site):
    consumer = Held()
    site = make_site(consumer)
    for number in range(3):
        SocketClient(site).text(str(number))
    assert len(consumer.running) == 3


def test_no_thread_is_held_between_messages(make_site):
    consumer = SocketedInPool()
    site = make_site(consumer)
    client = SocketClient(site)
    site.run_job()
    assert not site.pool.queue
    client.send(frame(TEXT, b"a"), frame(TEXT, b"b"))
    assert len(site.pool.queue) == 1
    site.run_job()
    assert len(site.pool.queue) == 1
    site.run_job()
    assert client.texts == ["a", "b"]
    assert not site.pool.queue


def test_each_call_has_a_fresh_context(make_site):
    import contextvars

    variable = contextvars.ContextVar("variable", default=0)
    seen = []

    async def consumer(message):
        seen.append(variable.get())
        variable.set(1)
        if message["channel"] == "websocket.connect":
            message["reply_channel"].send({"accept": True})

    client = SocketClient(make_site(consumer))
    client.send(frame(TEXT, b"a"), frame(TEXT, b"b"))
    assert seen == [0, 0, 0]


def test_a_plain_function_that_returns_a_coroutine_is_named(make_site):
    async def late(message):
        pass

    site = make_site(lambda message: late(message))
    client = SocketClient(site)
    site.run_job()
    assert client.response.status == 500
    assert len(site.log.take("error")) == 1


# ---- a consumer that is slower than its client ----


def test_above_the_mark_of_messages_the_server_stops_reading_and_reads_on_below(make_site):
    consumer = Held()
    site = make_site(consumer, sockets=SocketLimits(queue_size=4))
    client = SocketClient(site)
    client.send(*[frame(TEXT, b"x")] * 4)
    assert not client.transport.is_paused
    client.send(frame(TEXT, b"y"))
    assert client.transport.is_paused
    client.send(*[frame(TEXT, b"z")] * 2)
    assert consumer.texts == ["x"]
    consumer.let_go(site)
    assert client.transport.is_paused
    consumer.let_go(site)
    consumer.let_go(site)
    assert not client.transport.is_paused
    for _ in range(4):
        consumer.let_go(site)
    assert consumer.texts == ["x"] * 4 + ["y"] + ["z"] * 2


def test_above_the_mark_of_bytes_the_server_stops_reading(make_site):
    consumer = Held()
    site = make_site(consumer, sockets=SocketLimits(queue_bytes=10000))
    client = SocketClient(site)
    client.send(frame(TEXT, b"x" * 20000))
    assert not client.transport.is_paused  # the consumer has it
    client.send(frame(TEXT, b"x" * 9000))
    assert not client.transport.is_paused
    client.send(frame(TEXT, b"x" * 2000))
    assert client.transport.is_paused
    consumer.let_go(site)
    consumer.let_go(site)
    assert not client.transport.is_paused


def test_what_was_read_in_one_piece_waits_as_bytes_above_the_mark(make_site):
    consumer = Held()
    site = make_site(consumer, sockets=SocketLimits(queue_size=10))
    client = SocketClient(site)
    client.send(frame(TEXT, b"x") * 50000)
    assert client.transport.is_paused
    assert site.service.sockets.copy().pop().inbound.calls.waiting < 2000
    count = 0
    while consumer.running:
        consumer.let_go(site)
        count += 1
    assert count == 50000


def test_a_consumer_that_takes_nothing_past_the_deadline_is_closed_with_1013(make_site):
    consumer = Held()
    site = make_site(consumer, sockets=SocketLimits(queue_size=2, backlog_timeout=10, ping_interval=0))
    client = SocketClient(site)
    client.send(*[frame(TEXT, b"x")] * 4)
    site.pass_time(8)
    consumer.let_go(site)  # it took one
    client.send(frame(TEXT, b"x"))
    site.pass_time(9)
    assert client.close_code is None
    site.pass_time(3)
    assert client.close_code == 1013
    client.send(close_frame(1013))
    consumer.let_go(site)
    assert consumer.channels[-1] == "disconnect"
    assert consumer.messages[-1]["code"] == 1013
    consumer.let_go(site)


def test_a_full_pool_holds_a_message_and_past_the_deadline_closes_with_1013(make_site):
    site = make_site(SocketedInPool(), queue_timeout=NEVER_SECONDS)  # by the real clock
    client, patient = SocketClient(site), SocketClient(site)
    site.run_job()
    site.run_job()
    site.pool.is_full = True
    client.text("a")
    patient.text("b")
    assert not site.pool.queue
    site.service.call_runner._waiting[0].submitted_at -= NEVER_SECONDS + 1
    site.pass_time(1)
    assert client.close_code == 1013
    assert patient.close_code is None
    site.pool.is_full = False
    site.service.call_runner._offer()
    site.run_job()
    assert patient.texts == ["b"]
    client.leave()
    site.run_job()
    assert site.service.application.only.call.channels[-1] == "disconnect"


def test_a_job_that_the_pool_gives_up_closes_with_1013(make_site):
    site = make_site(SocketedInPool())
    client = SocketClient(site)
    site.run_job()
    client.text("a")
    job = site.pool.queue.popleft()
    site.pool.expire = lambda before: [job]
    site.service.dispatcher.tick()
    site.settle()
    assert client.close_code == 1013
    assert len(site.log.take("warning")) == 1


# ---- a client that is slower than its consumer ----


def connected(make_site, **limits):
    kept = Kept()
    site = make_site(kept, write_buffer=1000, **limits)
    client = SocketClient(site)
    kept.reply(0, accept=True)
    site.settle()
    return site, kept, client


def test_the_awaitable_of_send_waits_until_the_client_has_caught_up(make_site):
    site, kept, client = connected(make_site)
    client.transport.is_stalled = True
    states = []

    async def stream():
        for number in range(4):
            await kept.reply(0, bytes=b"x" * 600)
            states.append(number)

    task = site.loop.create_task(stream())
    site.settle()
    assert states == [0]
    client.transport.is_stalled = False
    client.transport.drain()
    site.settle()
    assert task.done()
    assert len(client.frames) == 4


def test_a_consumer_that_does_not_await_is_refused_when_far_too_much_waits(make_site):
    _, kept, client = connected(make_site)
    client.transport.is_stalled = True
    for _ in range(254):
        kept.reply(0, bytes=b"x" * 1000)
    kept.reply(0, bytes=b"x" * 1000)
    with pytest.raises(ChannelFull):
        kept.reply(0, bytes=b"x")
    client.transport.is_stalled = False
    client.transport.drain()
    kept.reply(0, bytes=b"x")


def test_a_client_that_takes_nothing_past_the_deadline_is_closed_with_1013(make_site):
    site, kept, client = connected(make_site, write_timeout=10, sockets=SocketLimits(ping_interval=0, close_timeout=5))
    client.transport.is_stalled = True
    kept.reply(0, bytes=b"x" * 5000)
    site.pass_time(6)
    client.transport.drain(10)  # it takes something
    site.pass_time(8)
    assert not kept.messages[0]["reply_channel"].closed
    site.pass_time(4)
    assert kept.messages[0]["reply_channel"].closed
    site.pass_time(7)
    assert client.is_closed
    assert kept.messages[-1]["code"] == 1013


def test_a_worker_that_was_held_up_does_not_blame_the_client_of_a_socket(make_site):
    site, kept, client = connected(make_site, write_timeout=10, sockets=SocketLimits(ping_interval=0))
    client.transport.is_stalled = True
    kept.reply(0, bytes=b"x" * 5000)
    site.pass_time(1)
    for _ in range(3):
        site.loop.now += 60  # no turn of the loop, then one tick, and then it finds that the client has taken something
        for socket in list(site.service.sockets):
            socket.watch.tick(site.loop.now)
        client.transport.drain(10)
        site.pass_time(1)
        assert not kept.messages[0]["reply_channel"].closed


def test_a_client_that_pings_and_does_not_read_is_not_read_from(make_site):
    site, _, client = connected(make_site)
    client.transport.is_stalled = True
    client.send(*[frame(PING, b"x" * 100)] * 20)
    assert client.transport.is_paused
    client.transport.is_stalled = False
    client.transport.drain()
    site.settle()
    assert not client.transport.is_paused
    assert {got.opcode for got in client.frames} == {PONG}


# ---- pings ----


def test_a_silent_client_is_pinged_and_closed_with_1011_if_it_stays_silent(make_site):
    site = make_site(Socketed(), sockets=SocketLimits(ping_interval=20, ping_timeout=10, close_timeout=3))
    client = SocketClient(site)
    site.pass_time(19)
    assert client.frames == []
    site.pass_time(2)
    assert [got.opcode for got in client.frames] == [PING]
    site.pass_time(8)
    assert client.close_code is None
    site.pass_time(4)
    assert client.close_code == 1011
    site.pass_time(5)
    assert client.is_closed


def test_a_client_that_answers_is_pinged_again_and_again(make_site):
    site = make_site(Socketed(), sockets=SocketLimits(ping_interval=20, ping_timeout=10))
    client = SocketClient(site)
    for count in range(1, 6):
        site.pass_time(21)
        assert len(client.frames) == count
        client.send(frame(PONG))
        site.pass_time(1)
    assert client.close_code is None


def test_a_client_that_sends_is_not_pinged(make_site):
    site = make_site(Held(), sockets=SocketLimits(ping_interval=20))
    client = SocketClient(site)
    for _ in range(10):
        site.pass_time(15)
        client.text("x")
    assert client.frames == []


def test_pings_can_be_turned_off(make_site):
    site = make_site(Socketed(), sockets=SocketLimits(ping_interval=0))
    client = SocketClient(site)
    site.pass_time(100)
    assert client.frames == []


# ---- the end ----


def test_a_close_of_the_consumer_waits_for_the_client(make_site):
    consumer = Socketed()
    site = make_site(consumer)
    client = SocketClient(site)
    channel = consumer.messages[0]["reply_channel"]
    channel.send({"text": "bye", "close": 4000, "reason": "enough"})
    assert client.texts == ["bye"]
    assert client.frames[-1].payload == b"\x0f\xa0enough"
    assert not client.is_closed
    assert channel.closed
    client.send(frame(TEXT, b"late"), close_frame(4000))
    assert client.is_closed
    assert consumer.channels == ["connect", "disconnect"]
    assert consumer.messages[-1]["code"] == 4000
    with pytest.raises(ChannelClosed):
        channel.send({"text": "too late"})


def test_a_client_that_does_not_answer_a_close_is_cut(make_site):
    consumer = Socketed()
    site = make_site(consumer, sockets=SocketLimits(close_timeout=5))
    client = SocketClient(site)
    consumer.messages[0]["reply_channel"].send({"close": 4000})
    site.pass_time(4)
    assert not client.is_closed
    site.pass_time(2)
    assert client.is_closed
    assert consumer.messages[-1]["code"] == 4000


def test_a_client_that_made_a_mistake_and_stays_is_cut(make_site):
    site = make_site(Socketed(), sockets=SocketLimits(close_timeout=5))
    client = SocketClient(site)
    client.send(b"\xff" * 10, b"\xff" * 10)
    assert client.close_code == 1002
    assert client.transport.is_eof_written
    site.pass_time(7)
    assert client.is_closed


def test_disconnect_comes_at_once_after_a_mistake_behind_what_was_received(make_site):
    consumer = Held()
    site = make_site(consumer, disconnect_grace=3.0)
    client = SocketClient(site)
    client.send(frame(TEXT, b"a"), frame(TEXT, b"b"), b"\xff" * 10)
    assert client.close_code == 1002
    consumer.let_go(site)
    assert consumer.channels == ["connect", "receive", "receive"]
    consumer.let_go(site)
    assert consumer.channels == ["connect", "receive", "receive", "disconnect"]
    assert not client.is_closed
    client.leave()
    site.pass_time(10)
    assert consumer.channels == ["connect", "receive", "receive", "disconnect"]
    consumer.let_go(site)  # the loss of the connection has not cancelled it
    assert site.service.dispatcher.running.is_idle


def test_a_call_that_runs_when_the_client_makes_a_mistake_is_cancelled_after_the_grace(make_site):
    consumer = Held()
    site = make_site(consumer, disconnect_grace=3.0)
    client = SocketClient(site)
    client.send(frame(TEXT, b"a"), b"\xff" * 10)
    site.pass_time(2)
    assert consumer.channels == ["connect", "receive"]
    site.pass_time(2)
    assert consumer.channels == ["connect", "receive", "disconnect"]
    consumer.running.pop().cancel()


def test_channel_full_that_escapes_a_call_closes_with_1013_and_refuses_a_handshake_with_503(make_site):
    class Full(Socketed):
        async def __call__(self, message):
            if message["channel"] == "websocket.receive" or message["path"] == "/full":
                raise ChannelFull("the pool and its queue are full")
            await super().__call__(message)

    site = make_site(Full())
    client = SocketClient(site)
    client.text("a")
    assert client.close_code == 1013
    assert SocketClient(site, "/full").response.status == 503
    assert site.log.take("error") == []


def test_an_exception_in_receive_closes_with_1011_and_disconnect_follows(make_site):
    consumer = Failing()
    site = make_site(consumer)
    client = SocketClient(site)
    client.text("x")
    assert client.close_code == 1011
    assert len(site.log.take("error")) == 1
    client.send(close_frame(1011))
    assert consumer.channels == ["connect", "receive", "disconnect"]


class Failing(Socketed):
    async def __call__(self, message):
        self.messages.append(message)
        if message["channel"] == "websocket.receive":
            raise ValueError("broken")
        if message["channel"] == "websocket.connect":
            message["reply_channel"].send({"accept": True})


def test_sending_to_a_client_that_has_left_is_no_error_of_the_consumer(make_site):
    class Late(Held):
        async def __call__(self, message):
            await super().__call__(message)
            if message["channel"] == "websocket.receive":
                message["reply_channel"].send({"text": "x"})

    consumer = Late()
    site = make_site(consumer)
    client = SocketClient(site)
    client.text("x")
    client.leave()
    consumer.let_go(site)
    assert consumer.channels == ["connect", "receive", "disconnect"]
    consumer.let_go(site)


def test_a_task_whose_client_has_left_is_cancelled_after_the_grace(make_site):
    consumer = Held()
    site = make_site(consumer, disconnect_grace=3.0)
    client = SocketClient(site)
    client.text("x")
    client.leave()
    site.pass_time(2)
    assert consumer.channels == ["connect", "receive"]
    site.pass_time(2)
    assert consumer.channels == ["connect", "receive", "disconnect"]
    consumer.running.pop()  # the disconnect itself is not cancelled
    site.pass_time(10)
    assert not site.service.dispatcher.running.is_idle
    site.abort_calls()
    site.settle()
    assert site.service.dispatcher.running.is_idle


# ---- the stop ----


def test_stopping_closes_sockets_with_1012_and_lets_disconnect_run(make_site):
    consumer = Socketed()
    site = make_site(consumer)
    client = SocketClient(site)
    site.service.begin_stopping()
    site.service.begin_stopping()
    assert client.close_code == 1012
    client.send(close_frame(1012))
    assert consumer.messages[-1]["code"] == 1012
    with pytest.raises(ServerStopping):
        consumer.messages[0]["reply_channel"].send({"text": "x"})


def test_an_abort_wakes_a_consumer_that_waits_for_its_client(make_site):
    site, kept, client = connected(make_site)
    client.transport.is_stalled = True
    kept.reply(0, bytes=b"x" * 5000)

    async def waiting():
        await kept.reply(0, bytes=b"x")

    task = site.loop.create_task(waiting())
    site.settle()
    for socket in tuple(site.service.sockets):
        socket.abort()
    site.settle()
    assert isinstance(task.exception(), ServerStopping)
    assert client.is_closed


def test_a_mistake_of_ours_costs_one_socket(make_site):
    site = make_site(Socketed())
    client, other = SocketClient(site), SocketClient(site)
    client.transport.protocol.inbound._codec = BrokenCodec()
    client.text("x")
    assert client.is_closed
    assert len(site.log.take("error")) == 1
    other.text("x")
    assert other.texts == ["x"]


class BrokenCodec:
    is_ended = False
    ending = 1006, ""
    feed = None


class Keeping(Socketed):
    """Leave a task behind at `websocket.connect`; it ends when `end` says so."""

    async def __call__(self, message):
        await super().__call__(message)
        if message["channel"] == "websocket.connect":
            self.end = asyncio.get_running_loop().create_future()
            message["reply_channel"].keep(self.run(), "kept")

    async def run(self):
        await self.end


def test_a_task_that_a_consumer_keeps_is_waited_for_when_the_worker_stops(make_site):
    consumer = Keeping()
    site = make_site(consumer)
    client = SocketClient(site)
    client.text("a")
    client.leave()
    assert consumer.channels == ["connect", "receive", "disconnect"]
    assert not site.service.dispatcher.running.is_idle
    assert [task.get_name() for _, task in site.service.dispatcher.running.calls()] == ["kept"]
    consumer.end.set_result(None)
    site.settle()
    assert site.service.dispatcher.running.is_idle


def test_what_a_kept_task_raises_is_the_failure_of_its_consumer(make_site):
    consumer = Keeping()
    site = make_site(consumer)
    client = SocketClient(site)
    consumer.end.set_exception(LookupError("broken"))
    site.settle()
    assert client.close_code == 1011
    [line] = site.log.take("error")
    assert "Keeping()" in line


def test_a_kept_task_is_cancelled_by_an_abort_and_none_is_begun_after_it(make_site):
    consumer = Keeping()
    site = make_site(consumer)
    SocketClient(site)
    [(socket, task)] = site.service.dispatcher.running.calls()
    site.abort_calls()
    site.settle()
    assert task.cancelled()
    assert site.log.take("error")  # the socket was still open
    socket.keep(consumer.run(), "late")
    assert site.service.dispatcher.running.is_idle
