"""The task that makes the calls of one socket: begun at once, used again, and as if each call had its own."""

import asyncio
import contextvars

import pytest
from sockets import BINARY, CLOSE, CONT, PING, PONG, TEXT, SocketClient, Socketed, close_frame, frame

VARIABLE = contextvars.ContextVar("VARIABLE", default=0)


class Tasks(Socketed):
    """Echo, and remember the task of each message; do something more for each."""

    def __init__(self, more=None):
        super().__init__()
        self.tasks = []
        self.more = more

    async def __call__(self, message):
        self.tasks.append(asyncio.current_task())
        await super().__call__(message)
        if self.more is not None and message["channel"] == "websocket.receive":
            await self.more(message)


def test_a_consumer_that_need_not_wait_has_answered_when_the_bytes_are_taken(make_site):
    client = SocketClient(make_site(Tasks()))
    client.text("first")  # makes the task
    answered = []

    def feed():
        client.transport.feed(frame(TEXT, b"a"))
        answered.extend(client.texts)

    client.client._do(feed)
    assert answered == ["first", "a"]


def test_the_second_message_of_a_read_waits_for_the_next_turn(make_site):
    consumer = Tasks()
    client = SocketClient(make_site(consumer))
    client.text("first")
    answered = []

    def feed():
        client.transport.feed(frame(TEXT, b"a") + frame(TEXT, b"b"))
        answered.extend(client.texts)

    client.client._do(feed)
    assert answered == ["first", "a"]
    assert client.texts == ["first", "a", "b"]


def test_bytes_that_come_while_another_task_is_at_work_are_answered_later(make_site):
    site = make_site(Tasks())
    client, other = SocketClient(site), SocketClient(site)
    client.text("a")

    async def feed():
        client.transport.feed(frame(TEXT, b"b"))
        await asyncio.sleep(0)

    task = site.loop.create_task(feed())
    site.settle()
    assert task.result() is None
    assert client.texts == ["a", "b"]
    assert other.texts == []


def test_one_task_makes_the_calls_of_one_socket_and_an_idle_socket_has_none(make_site):
    consumer = Tasks()
    site = make_site(consumer)
    client, other = SocketClient(site), SocketClient(site)
    for text in "abc":
        client.text(text)
        other.text(text)
    _, _, first, second, *more = consumer.tasks
    assert first is not second
    assert more == [first, second] * 2
    site.pass_time(3)
    assert first.done()
    assert second.done()
    assert asyncio.all_tasks(site.loop) == set()
    client.text("d")
    assert client.texts == ["a", "b", "c", "d"]


async def _set(message):
    assert VARIABLE.get() == 0
    VARIABLE.set(1)


async def _add_callback(message):
    asyncio.current_task().add_done_callback(lambda task: message["channel_session"].setdefault("done", []).append(1))


@pytest.mark.parametrize("more", [_set, _add_callback])
def test_a_call_that_leaves_something_with_its_task_was_its_last(make_site, more):
    consumer = Tasks(more)
    client = SocketClient(make_site(consumer))
    client.send(frame(TEXT, b"a"), frame(TEXT, b"b"))
    client.text("c")
    assert client.texts == ["a", "b", "c"]
    assert len(set(consumer.tasks[1:])) == 3
    assert all(task.done() for task in consumer.tasks)


def test_callbacks_of_the_task_are_called_after_their_call(make_site):
    consumer = Tasks(_add_callback)
    client = SocketClient(make_site(consumer))
    client.text("a")
    client.text("b")
    assert consumer.messages[0]["channel_session"]["done"] == [1, 1]


def test_an_error_costs_no_other_message_its_call(make_site):
    async def fail(message):
        raise LookupError("broken")

    consumer = Tasks(fail)
    site = make_site(consumer)
    client = SocketClient(site)
    client.send(frame(TEXT, b"a"), frame(TEXT, b"b"))
    assert client.close_code == 1011
    assert consumer.channels[:3] == ["connect", "receive", "receive"]
    assert len(site.log.take("error")) == 1
    client.leave()
    assert consumer.channels[-1] == "disconnect"
    assert site.service.dispatcher.running.is_idle


def test_a_task_that_is_cancelled_while_it_waits_is_replaced(make_site):
    consumer = Tasks()
    site = make_site(consumer)
    client = SocketClient(site)
    client.text("a")
    consumer.tasks[-1].cancel()
    site.settle()
    assert consumer.tasks[-1].cancelled()
    client.text("b")
    assert client.texts == ["a", "b"]


def test_a_call_that_is_cancelled_from_outside_is_the_last_of_its_task(make_site):
    async def wait(message):
        if message["text"] == "a":
            await asyncio.get_running_loop().create_future()

    consumer = Tasks(wait)
    site = make_site(consumer)
    client = SocketClient(site)
    client.send(frame(TEXT, b"a"), frame(TEXT, b"b"))
    cancelled = consumer.tasks[-1]
    cancelled.cancel()
    site.settle()
    assert consumer.channels == ["connect", "receive", "receive"]
    assert consumer.tasks[-1] is not cancelled
    assert site.log.take("error")


def test_with_a_task_factory_each_call_is_a_task_of_its_own(make_site):
    made = []

    def factory(loop, call, **keys):
        made.append(asyncio.Task(call, loop=loop, **keys))
        return made[-1]

    consumer = Tasks()
    site = make_site(consumer)
    site.loop.set_task_factory(factory)
    site.pass_time(1)  # it is looked at once a second
    client = SocketClient(site)
    client.text("a")
    client.text("b")
    assert consumer.tasks == made
    assert len(set(made)) == 3


def test_no_task_is_left_when_the_client_has_left(make_site):
    consumer = Tasks()
    site = make_site(consumer)
    client = SocketClient(site)
    client.text("a")
    client.leave()
    assert consumer.channels[-1] == "disconnect"
    assert asyncio.all_tasks(site.loop) == set()


# ---- messages that come whole, and those that do not ----


@pytest.mark.parametrize("piece", [None, 1, 3, 40])
@pytest.mark.parametrize("is_deflating", [True, False])
def test_whole_and_other_frames_come_in_their_order_however_they_are_cut(make_site, piece, is_deflating):
    fields = [b"Sec-WebSocket-Extensions: permessage-deflate"] if is_deflating else []
    client = SocketClient(make_site(Tasks()), "/", *fields)
    client.send(
        frame(TEXT, b"a"),
        frame(BINARY, b"b"),
        frame(PING, b"p"),
        frame(TEXT, b"c", fin=False),
        frame(CONT, b"d"),
        frame(TEXT, b"e" * 60),
        frame(TEXT, b"f" * 300),
        frame(TEXT, b""),
        close_frame(),
        piece=piece,
    )
    texts = [message["text"] or message["bytes"] or "" for message in client_messages(client)]
    assert texts == ["a", b"b", "cd", "e" * 60, "f" * 300, ""]
    opcodes = [found.opcode for found in client.frames]
    assert opcodes.count(PONG) == 1
    assert opcodes[-1] == CLOSE
    assert client.close_code == 1000


def client_messages(client):
    """Return the messages that the consumer of this client's site got from it."""
    consumer = client.client.site.service.application.only.target
    return [message for message in consumer.messages if message["channel"] == "websocket.receive"]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"x", mask=None), 1002),
        (frame(3, b"x"), 1002),
        (frame(TEXT, b"x", rsv=4), 1002),
    ],
)
def test_a_mistake_after_whole_messages_closes_the_socket_and_they_are_delivered(make_site, bad, code):
    client = SocketClient(make_site(Tasks()))
    client.text("a")
    client.send(frame(TEXT, b"b"), bad)
    assert [message["text"] for message in client_messages(client)] == ["a", "b"]
    assert client.close_code == code
