"""The calls of sockets under any order of events, beside requests that want the same threads.

As `test_interleavings.py`, with consumers of `websocket.connect`, `receive` and `disconnect` on both sides. In the end
also these hold:

- the calls of one socket never overlap, and come in the order of its messages: connect, receive as sent, disconnect;
- a socket has one call of disconnect at most, and that is the last one;
- what a client reads are whole frames, after an answer to its handshake.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
from interleaving_calls import Call, chosen
from interleavings import STEPS, Bench, in_any_order, take_steps
from sockets import CLOSE, KEY, TEXT, close_frame, frame, read_frames

from uvicorn.applications.routing import route

COMMANDS = ("accept", "text", "text", "much", "close", "status", "return", "return", "raise")


class SocketCall(Call):
    """One call of a socket's consumer."""

    replies = {
        **Call.replies,
        "accept": lambda tag: {"accept": True},
        "text": lambda tag: {"text": "answer"},
        "much": lambda tag: {"bytes": b"x" * 100_000},
        "close": lambda tag: {"close": True},
        "status": lambda tag: {"status": 401, "content": b"no"},
    }

    def __init__(self, message, loop=None):
        super().__init__(message, loop)
        self.order = message.get("order", 0)
        self.text = message.get("text")


class SocketBench(Bench):
    """Sockets beside requests."""

    call = SocketCall

    def routes(self):
        self.wrong = []  # what was seen that may not be; a consumer that raised would hide it
        self.active = Counter()
        self.messages = defaultdict(list)  # client -> texts that it sent
        names = ("websocket.connect", "websocket.receive", "websocket.disconnect")
        return [
            *(route(name, self.socket_in_thread, path="^/socket-thread") for name in names),
            *(route(name, self.socket_on_loop, path="^/socket-loop") for name in names),
            *super().routes(),
        ]

    def socket_in_thread(self, message):
        self.begin(message)
        try:
            self.in_thread(message)
        finally:
            self.active[message["path"]] -= 1

    async def socket_on_loop(self, message):
        self.begin(message)
        try:
            await self.on_loop(message)
        finally:
            self.active[message["path"]] -= 1

    def begin(self, message):
        self.active[message["path"]] += 1
        if self.active[message["path"]] != 1:
            self.wrong.append(f"two calls of {message['path']} at once")

    def sockets(self):
        return [client for client in self.alive() if getattr(client, "path", None) is not None]

    def open(self, _, kind):
        if self.is_stopping or len(self.alive()) > 6:
            return
        client = self.site.connect()
        client.owes = -1  # no request is sent on it
        client.path = f"/socket-{('thread', 'loop')[kind % 2]}/{len(self.clients)}"
        self.clients.append(client)
        self.sent[client] = []
        client.send(
            b"GET %b HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n" % (client.path.encode(), KEY)
        )

    def say(self, which, count):
        client = chosen(self.sockets(), which)
        if client is not None:
            for _ in range(1 + count % 4):
                text = f"{len(self.messages[client])}"
                self.messages[client].append(text)
                client.send(frame(TEXT, text.encode()))

    def say_goodbye(self, which, _):
        client = chosen(self.sockets(), which)
        if client is not None:
            client.send(close_frame())

    def go_on_socket(self, which, command):
        call = chosen([call for call in self.ready() if call.channel_name.startswith("websocket")], which)
        if call is not None:
            call.tell(chosen(COMMANDS, command))

    def check(self):
        super().check()
        assert self.wrong == []
        assert not self.site.service.sockets
        assert self.site.service.dispatcher.running.is_idle
        assert not +self.active
        for client in self.clients:
            if getattr(client, "path", None) is not None:
                self.check_socket(client)

    def check_answers(self, client):
        if getattr(client, "path", None) is None:
            super().check_answers(client)

    def check_socket(self, client):
        calls = [call for call in self.calls if call.tag == client.path.encode()]
        names = [call.channel_name.partition(".")[2] for call in calls]
        texts = [call.text for call in calls if call.text is not None]
        assert names[:1] in ([], ["connect"])
        assert names[1:] in (["receive"] * (len(names) - 1), ["receive"] * (len(names) - 2) + ["disconnect"])
        assert texts == self.messages[client][: len(texts)]
        head, end, frames = bytes(client.transport.received).partition(b"\r\n\r\n")
        is_accepted = head.startswith(b"HTTP/1.1 101 ")
        if names[-1:] == ["disconnect"]:
            assert calls[0].channel_name == "websocket.connect"
        if is_accepted:
            assert any(command in ("accept", "text", "much") for command in calls[0].sent)
            assert any(item.opcode == CLOSE for item in whole_frames(frames)) or client.is_closed
        elif end:
            assert head.split()[1] in (b"100", b"200", b"401", b"403", b"500", b"503", b"504"), head
        self.outcomes["socket accepted" if is_accepted else "socket refused" if end else "socket abandoned"] += 1


def whole_frames(data):
    """Read frames, but for one that was cut off by the end of the connection."""
    at = 0
    while len(data) >= at + 2:
        size, head = data[at + 1], 2
        if size > 125:
            head = 4 if size == 126 else 10
            size = int.from_bytes(data[at + 2 : at + head], "big")
        if len(data) < at + head + size:
            break
        at += head + size
    return read_frames(data[:at])


SOCKET_STEPS = (
    *STEPS, *[SocketBench.open] * 4, *[SocketBench.say] * 6, SocketBench.say_goodbye, *[SocketBench.go_on_socket] * 14,
)  # fmt: skip
TOTALS = Counter()


@in_any_order(SOCKET_STEPS)
def test_the_calls_of_sockets_never_overlap_and_all_end_whatever_the_order(steps, has_hooks, queue_timeout):
    bench = SocketBench(has_hooks, queue_timeout)
    take_steps(bench, steps)
    TOTALS.update(bench.outcomes, orders=1, steps=len(steps))


def test_the_orders_had_sockets_of_all_kinds():
    print(dict(TOTALS))
    assert not TOTALS or all(TOTALS[f"socket {outcome}"] for outcome in ("accepted", "refused", "abandoned"))


# ---- orders that went wrong once ----


@pytest.fixture
def bench():
    made = SocketBench(has_hooks=True, queue_timeout=30.0)
    yield made
    made.end()


def do(bench, *steps):
    for step in steps:
        step(bench)
        bench.settle()


def opened(kind):
    return lambda bench: bench.open(0, ("thread", "loop").index(kind))


def told(command):
    return lambda bench: bench.go_on_socket(0, COMMANDS.index(command))


def left(bench):
    bench.sockets()[0].leave()


def test_post_request_of_a_socket_does_not_wait_for_a_consumer_that_accepted_and_runs_on(bench):
    """It was run in the context of the consumer, which its thread was in: RuntimeError, and no hook."""
    do(bench, opened("thread"), told("accept"))
    assert [call.is_over for call in bench.calls] == [False]
    assert sum(bench.hooks.after_of.values()) == 1


def test_a_client_that_leaves_during_its_handshake_does_not_have_the_next_call_begin_early(bench):
    """The job of `post_request` was taken for one that no thread had begun, and taken back: calls overlapped."""
    do(bench, opened("thread"), left)
    assert [call.channel_name for call in bench.calls] == ["websocket.connect"]
    assert sum(bench.hooks.after_of.values()) == 1
    do(bench, told("accept"))


@pytest.mark.parametrize("kind", ["thread", "loop"])
def test_the_disconnect_of_a_socket_that_was_never_accepted_is_no_request_for_the_hooks(bench, kind):
    do(bench, opened(kind), left, told("return"))
    assert set(bench.hooks.before_of.values()) == {1}


def test_the_log_names_the_consumer_that_raises_after_its_client_has_left(bench):
    do(bench, opened("thread"), left, told("raise"))
    errors = [text for level, text in bench.site.log.lines if level == "error"]
    assert errors == ["Error in test_socket_interleavings.SocketBench.socket_in_thread: GET /socket-thread/3"]


@pytest.mark.parametrize("is_accepted", [True, False])
def test_a_socket_whose_client_half_closes_and_takes_nothing_is_lost_at_once(bench, is_accepted):
    do(bench, opened("thread"), *([told("accept")] if is_accepted else []))
    [client] = bench.sockets()
    client.transport.is_stalled = True
    do(bench, told("text") if is_accepted else lambda bench: bench.calls[0].tell("first"))
    assert client.transport.unsent
    client.half_close()
    assert client.is_closed
    assert client.transport.misuse == []
