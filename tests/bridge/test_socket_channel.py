"""The reply channel of a socket, from many threads."""

import gc
import threading

import pytest
from doubles import FakeLoop
from patience import PATIENCE_SECONDS, until

from uvicorn.bridge.outbox import Outbox
from uvicorn.bridge.socket_channel import SocketChannel
from uvicorn.connections.flow import WriteGate
from uvicorn.errors import ChannelClosed, ReplyError, ServerStopping


class FakeSocket:
    """Take what is sent; behind as long as the test says so."""

    def __init__(self, write_buffer=1000):
        self.is_closed = self.is_lost = self.is_stopping = False
        self.write_buffer = write_buffer
        self.handshake = None
        self.gate = WriteGate()
        self.replies = []
        self.drops = 0
        self.waiting = set()

    def reply(self, reply):
        self.replies.append(reply)

    def on_dropped(self, _=None):
        self.drops += 1

    def is_writable(self):
        return self.gate.is_open

    def is_flooded(self):
        return False

    def when_writable(self, callback):
        self.gate.wait(callback)

    def set_waiting(self, is_waiting):
        (self.waiting.add if is_waiting else self.waiting.discard)(threading.get_ident())

    def lose(self, is_stopping=False):
        self.is_closed = self.is_lost = True
        self.is_stopping = is_stopping
        self.gate.open()


@pytest.fixture
def loop():
    loop = FakeLoop()
    yield loop
    loop.end()


@pytest.fixture
def outbox(loop):
    return Outbox(loop)


def open_channel(socket, outbox):
    return SocketChannel(socket, outbox, [], name="websocket.send!test")


def in_thread(function, *args):
    """Start a thread; `result()` gives what it raised, or None."""
    errors = []

    def run():
        try:
            function(*args)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def result():
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()
        return errors[0] if errors else None

    return result


def settle_until(loop, condition):
    def settled():
        loop.settle()
        return condition()

    until(settled)


def test_ten_thousand_sends_of_each_of_twenty_threads_arrive_whole_and_in_order(loop, outbox):
    socket = FakeSocket()
    channel = open_channel(socket, outbox)
    barrier = threading.Barrier(20)

    def send(thread):
        barrier.wait(PATIENCE_SECONDS)
        for number in range(10_000):
            channel.send({"text": f"{thread} {number}"})

    results = [in_thread(send, thread) for thread in range(20)]
    settle_until(loop, lambda: len(socket.replies) == 200_000)
    assert [result() for result in results] == [None] * 20
    seen = dict.fromkeys(range(20), 0)
    for _, _, data, _ in socket.replies:
        thread, number = map(int, data.split())
        assert number == seen[thread]
        seen[thread] += 1
    assert set(seen.values()) == {10_000}


def test_a_thread_blocks_while_the_client_is_behind_and_goes_on_when_it_has_caught_up(loop, outbox):
    socket = FakeSocket(write_buffer=10)
    channel = open_channel(socket, outbox)
    socket.gate.close()

    def send():
        for number in range(4):
            channel.send({"text": f"{number}" * 24})

    result = in_thread(send)
    settle_until(loop, lambda: socket.waiting)
    loop.settle()
    assert len(socket.replies) == 2
    socket.gate.open()
    settle_until(loop, lambda: len(socket.replies) == 4)
    assert result() is None
    assert not socket.waiting


@pytest.mark.parametrize(("is_stopping", "error"), [(False, ChannelClosed), (True, ServerStopping)])
def test_a_thread_that_waits_for_a_client_that_is_lost_is_woken(loop, outbox, is_stopping, error):
    socket = FakeSocket(write_buffer=1)
    channel = open_channel(socket, outbox)
    socket.gate.close()
    result = in_thread(channel.send, {"text": "long enough"})
    settle_until(loop, lambda: socket.waiting and socket.replies)
    socket.lose(is_stopping)
    loop.settle()
    assert type(result()) is error
    assert channel.closed
    with pytest.raises(error):
        channel.send({"text": "x"})


def test_a_send_on_the_loop_does_not_overtake_that_of_a_thread(loop, outbox):
    socket = FakeSocket()
    channel = open_channel(socket, outbox)
    assert in_thread(channel.send, {"text": "first"})() is None
    channel.send({"text": "second"})
    assert [reply[2] for reply in socket.replies] == [b"first", b"second"]


def test_the_last_reply_of_a_thread_does_not_wait(loop, outbox):
    socket = FakeSocket(write_buffer=1)
    channel = open_channel(socket, outbox)
    socket.gate.close()
    assert in_thread(channel.send, {"text": "long enough", "close": True})() is None
    loop.settle()
    assert socket.replies[0][1].close_code == 1000
    assert channel.closed


def test_a_mistake_raises_in_the_thread_that_made_it_and_nothing_is_sent(loop, outbox):
    socket = FakeSocket()
    channel = open_channel(socket, outbox)
    assert type(in_thread(channel.send, {"txet": "x"})()) is ReplyError
    loop.settle()
    assert socket.replies == []


def test_a_channel_that_is_let_go_before_acceptance_tells_the_socket(loop, outbox):
    socket = FakeSocket()
    channel = SocketChannel(socket, outbox, [])
    del channel
    gc.collect()
    loop.settle()
    assert socket.drops == 1


def test_a_channel_that_is_let_go_after_acceptance_tells_nobody(loop, outbox):
    socket = FakeSocket()
    channel = SocketChannel(socket, outbox, [])
    channel.send({"accept": True})
    del channel
    loop.settle()
    assert socket.drops == 0


def test_channels_have_names_of_their_own(outbox):
    socket = FakeSocket()
    channels = [SocketChannel(socket, outbox, []) for _ in range(2)]
    assert channels[0].name != channels[1].name
    assert repr(channels[0]) == f"<SocketChannel {channels[0].name}>"
    for channel in channels:
        channel.send({"close": True})
    assert repr(channels[0]) == f"<SocketChannel {channels[0].name} closed>"
