"""Files that the system copies into a plain socket: on a real pair of sockets, beside the double of the transport.

The client gets the head of a response from the transport, and the file from the socket.
"""

from __future__ import annotations

import os
import socket
from types import SimpleNamespace

import pytest
from clients import Kept, read_responses
from descriptors import opened

from uvicorn.connections import file_feed, file_transfer, file_turns

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CONTENT = bytes(range(256)) * 8192
pytestmark = pytest.mark.skipif(not hasattr(os, "sendfile"), reason="this system has no sendfile")


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("uvicorn.bridge.files.FilePart.is_at_hand", lambda part, most: True)
    path = tmp_path / "data.bin"
    path.write_bytes(CONTENT)
    return str(path)


@pytest.fixture(autouse=True)
def descriptors(tmp_path, monkeypatch):
    """Fail a test that leaves a descriptor open: of a file or a socket of its own, whatever other threads open."""

    def socketpair():
        made = socket.socketpair()
        sockets.update(os.readlink(f"/proc/self/fd/{end.fileno()}") for end in made)
        return made

    def files():
        return [name for name in opened() if name.startswith(f"{tmp_path}/")]

    sockets = set()
    monkeypatch.setattr("doubles.socket", SimpleNamespace(socketpair=socketpair))
    yield files
    assert files() == []
    assert sockets.intersection(opened()) == set()


class Sockets:
    """A client that is sent files through its socket."""

    def __init__(self, make_site, application, **options):
        self.site = make_site(application, sendfile=True, **options)
        self.client = self.site.connect()
        ours, self.socket = self.client.transport.sockets
        ours.setblocking(False)
        self.socket.setblocking(False)
        self.content = bytearray()
        self.is_over = False

    def send(self, data=GET):
        self.client.send(data)

    def take(self, most=1 << 30):
        """Take so many bytes out of the socket, or all that come."""
        while most > 0:
            self.site.settle()
            try:
                data = self.socket.recv(min(most, 65536))
            except BlockingIOError:
                self.site.loop.turn()  # looks at the sockets
                self.site.settle()
                try:
                    data = self.socket.recv(min(most, 65536))
                except BlockingIOError:
                    return
            if not data:
                self.is_over = True
                return
            most -= len(data)
            self.content += data

    @property
    def head(self):
        return bytes(self.client.transport.received)


@pytest.fixture
def connect(make_site):
    def connect(application, **options):
        return Sockets(make_site, application, **options)

    return connect


def consumer_of(*replies):
    async def consumer(message):
        for reply in replies:
            await message["reply_channel"].send(dict(reply))

    return consumer


@pytest.mark.parametrize("count", [65537, 262144, 262145, len(CONTENT) - 5])
def test_a_file_goes_through_the_socket(connect, path, count):
    client = connect(consumer_of({"status": 200, "file": (path, 5, count)}))
    client.send()
    client.take()
    assert bytes(client.content) == CONTENT[5 : 5 + count]
    assert b"content-length: %d\r\n" % count in client.head
    assert client.head.endswith(b"\r\n\r\n")
    (exchange,) = client.site.reports
    assert exchange.sent_bytes == count
    assert client.site.service.numbers.sent_bytes == count + len(client.head)


def test_a_client_that_is_behind_is_waited_for(connect, path, descriptors):
    client = connect(consumer_of({"status": 200, "file": path}))
    client.send()
    assert len(descriptors()) == 1
    pipeline = client.client.connection.pipeline
    assert pipeline.buffered_bytes() == 1  # for the watch
    assert client.site.reports == []
    client.take()
    assert bytes(client.content) == CONTENT
    assert pipeline.buffered_bytes() == 0
    assert descriptors() == []


def test_the_file_waits_for_what_the_transport_has(connect, path):
    client = connect(consumer_of({"status": 200, "content": b"first", "more_content": True}, {"file": path}))
    client.client.transport.is_stalled = True
    client.send()
    client.take()
    assert client.content == b""
    while client.client.transport.unsent:
        client.client.transport.drain()
        client.site.settle()
    client.client.transport.is_stalled = False
    client.take()
    assert bytes(client.content) == CONTENT
    assert client.client.transport._high == 65536  # as it was


def test_chunks_are_framed_around_the_file(connect, path):
    replies = [{"status": 200, "content": b"ab", "more_content": True}, {"file": path, "more_content": True}, {}]
    client = connect(consumer_of(*replies))
    client.send()
    client.take()
    assert bytes(client.content) == CONTENT
    _, _, chunks = client.head.partition(b"\r\n\r\n")
    assert chunks == b"2\r\nab\r\n" + b"%x\r\n" % len(CONTENT) + b"\r\n" + b"0\r\n\r\n"


def test_pipelined_answers_wait_for_the_file(connect, path):
    kept = Kept()
    client = connect(kept)
    client.send(2 * GET)
    kept.reply(1, status=200, content=b"second")
    kept.reply(0, status=200, file=path)
    client.site.settle()
    kept.messages.clear()
    assert b"second" not in client.head
    client.take()
    assert client.head.endswith(b"\r\n\r\nsecond")
    assert bytes(client.content) == CONTENT


def test_others_have_the_loop_between_two_windows(connect, path, monkeypatch):
    sizes = []
    sendfile = os.sendfile
    monkeypatch.setattr(file_feed, "WINDOW", 524288)  # several in the file
    monkeypatch.setattr(file_transfer.os, "sendfile", lambda *given: sizes.append(sendfile(*given)) or sizes[-1])
    client = connect(consumer_of({"status": 200, "file": path}))
    for sock in client.client.transport.sockets:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
    client.site.loop.call_soon(client.client.transport.feed, GET)
    turns = 0
    while not client.client.connection.pipeline.buffered_bytes() and turns < 100:
        before = len(sizes)
        client.site.loop.turn()
        turns += 1
        assert len(sizes) <= before + 1
    client.take()
    assert bytes(client.content) == CONTENT
    assert max(sizes) <= 524288


def test_a_client_that_was_behind_is_sent_one_window_in_a_turn(connect, path, monkeypatch):
    calls = []
    sendfile = os.sendfile
    monkeypatch.setattr(file_feed, "WINDOW", 524288)
    client = connect(consumer_of({"status": 200, "file": path}))
    client.send()

    def few(out, file, at, most):  # as if there were room for all of it
        calls.append(most)
        return sendfile(out, file, at, 10) and most

    monkeypatch.setattr(file_transfer.os, "sendfile", few)
    while client.site.reports == [] and client.socket.recv(1 << 20):
        before = len(calls)
        client.site.loop.turn()
        assert len(calls) <= before + 1
    assert calls
    client.client.leave()


def test_many_fast_clients_of_files_share_a_turn_and_are_served_one_after_the_other(connect, path, monkeypatch):
    """Each of them was sent one window in each turn, however many there were."""
    calls = []
    monkeypatch.setattr(file_feed, "WINDOW", 524288)
    monkeypatch.setattr(file_turns, "_MOST", 2 * 524288)
    client = connect(consumer_of({"status": 200, "file": path}))
    clients = [client.client, *(client.site.connect() for _ in range(4))]
    for other in clients:
        other.transport.sockets[0].setblocking(False)

    def fast(out, file, at, most):  # as if there were room for all of it
        calls.append(out)
        return most

    monkeypatch.setattr(file_transfer.os, "sendfile", fast)
    for other in clients:
        client.site.loop.call_soon(other.transport.feed, GET)
    counts = []
    while len(client.site.reports) < len(clients) and len(counts) < 100:
        before = len(calls)
        client.site.loop.turn()
        counts.append(len(calls) - before)
    windows = len(CONTENT) // 524288
    assert len(calls) == windows * len(clients)
    assert max(counts) == 2
    for begin in range(0, len(calls), len(clients)):  # in each round everybody once
        assert len({*calls[begin : begin + len(clients)]}) == len(clients)
    for other in clients:
        other.leave()


def test_a_client_that_leaves_leaves_nothing_open(connect, path, descriptors):
    client = connect(consumer_of({"status": 200, "file": path}))
    client.send()
    client.client.leave()
    assert descriptors() == []
    assert client.client.connection.pipeline.buffered_bytes() == 0


def test_a_client_that_resets_leaves_nothing_open(connect, path, descriptors):
    client = connect(consumer_of({"status": 200, "file": path}))
    client.send()
    client.socket.close()
    client.site.loop.turn()
    client.site.settle()
    client.client.leave()  # what the transport tells
    assert descriptors() == []


@pytest.mark.parametrize("setting", ["write_timeout", "min_write_rate"])
def test_a_client_that_takes_nothing_is_dropped(connect, path, descriptors, setting):
    limits = {"write_timeout": 5.0, "min_write_rate": 0}
    if setting == "min_write_rate":
        limits = {"write_timeout": 0.0, "min_write_rate": 240, "min_rate_grace": 5.0}
    client = connect(consumer_of({"status": 200, "file": path}), **limits)
    client.send()
    client.site.pass_time(30)
    assert client.client.is_closed
    assert descriptors() == []
    assert setting in " ".join(client.site.log.take("info"))


def test_a_client_that_takes_enough_is_kept(connect, path):
    client = connect(consumer_of({"status": 200, "file": path}), write_timeout=5.0)
    client.send()
    for _ in range(6):
        client.take(280000)
        client.site.pass_time(3)
    client.take()
    assert bytes(client.content) == CONTENT


def test_a_file_that_shrinks_breaks_off_its_response(connect, path):
    client = connect(consumer_of({"status": 200, "file": path}))
    client.send()
    os.truncate(path, 300000)
    client.take()
    assert client.client.is_closed
    assert bytes(client.content) == CONTENT[: len(client.content)]
    assert "became shorter" in client.site.log.take("error")[0]


def test_a_whole_reply_whose_consumer_raises_is_sent_to_its_end(connect, path):
    async def consumer(message):
        message["reply_channel"].send({"status": 200, "file": path})
        raise ValueError("late")

    client = connect(consumer)
    client.send()
    client.take()
    assert bytes(client.content) == CONTENT
    assert "Error in" in client.site.log.take("error")[0]


def test_a_worker_that_stops_at_its_deadline_leaves_nothing_open(connect, path, descriptors):
    client = connect(consumer_of({"status": 200, "file": path}))
    client.send()
    client.client.connection.abort()
    client.site.settle()
    assert descriptors() == []


@pytest.mark.parametrize("is_begun", [True, False])
@pytest.mark.parametrize("is_chunked", [True, False])
def test_a_file_that_cannot_be_copied_by_the_system_is_read(connect, path, monkeypatch, is_begun, is_chunked):
    sendfile, calls = os.sendfile, []

    def failing(*given):
        calls.append(given)
        if len(calls) > is_begun:
            raise OSError(22, "Invalid argument")
        return sendfile(*given)

    monkeypatch.setattr(file_transfer.os, "sendfile", failing)
    replies = [{"status": 200, "file": path}]
    if is_chunked:
        replies = [{"status": 200, "file": path, "more_content": True}, {}]
    client = connect(consumer_of(*replies))
    client.send()
    client.take()
    head, _, rest = client.head.partition(b"\r\n\r\n")
    first = bytes(client.content)
    assert bool(first) is is_begun
    if is_chunked:
        frame = b"%x\r\n" % len(CONTENT)
        assert rest.startswith(frame)
        rest = frame + first + rest[len(frame) :]
    else:
        rest = first + rest
    (response,) = read_responses(head + b"\r\n\r\n" + rest)
    assert response.body == CONTENT
    assert response.is_complete
    assert client.site.reports[0].sent_bytes == len(CONTENT)


def test_without_another_descriptor_a_file_is_read(connect, path, monkeypatch):
    def dup(descriptor):
        raise OSError(24, "Too many open files")

    client = connect(consumer_of({"status": 200, "file": path}))
    monkeypatch.setattr(file_transfer.os, "dup", dup)
    client.send()
    monkeypatch.undo()
    client.take()
    _, _, rest = client.head.partition(b"\r\n\r\n")
    assert bytes(client.content) + rest == CONTENT
    assert client.content


def test_while_few_descriptors_are_left_a_file_is_read(connect, path, monkeypatch):
    length = [(b"content-length", b"%d" % len(CONTENT))]
    client = connect(consumer_of({"status": 200, "headers": length, "more_content": True}, {"file": path}))
    monkeypatch.setattr("uvicorn.bridge.files.resource.getrlimit", lambda _: (4, 4))
    client.send()
    client.take()
    _, _, rest = client.head.partition(b"\r\n\r\n")
    assert rest  # by the transport, and not by a second descriptor of the socket
    assert bytes(client.content) + rest == CONTENT


def test_a_transport_that_closes_is_left_alone(connect, path, monkeypatch, descriptors):
    """Its descriptor may be that of another connection, soon."""
    client = connect(consumer_of({"status": 200, "file": path}))
    monkeypatch.setattr(client.client.transport, "is_closing", lambda: True)
    client.send()
    client.take()
    assert client.content == b""
    monkeypatch.undo()
    client.client.leave()
    assert descriptors() == []


@pytest.mark.parametrize("extra", ["ssl_object", "sslcontext"])
def test_with_tls_a_file_is_read(make_site, path, extra):
    site = make_site(consumer_of({"status": 200, "file": path}), sendfile=True)
    client = site.connect()
    client.transport.extra[extra] = object()
    client.send(GET)
    assert client.responses()[0].body == CONTENT


def test_what_is_not_in_memory_is_warmed_by_a_thread(connect, path, monkeypatch):
    monkeypatch.setattr("uvicorn.bridge.files.FilePart.is_at_hand", lambda part, most: False)
    client = connect(consumer_of({"status": 200, "file": path}))
    client.send()
    client.take()
    assert bytes(client.content) == CONTENT
    assert client.site.files.works == 1  # for 2 MiB


def test_no_more_is_sent_than_a_thread_has_warmed(connect, path, monkeypatch):
    """The system would read the rest from the disk, on the loop."""
    ends, sent = [0], []
    sendfile, warm = os.sendfile, file_feed.FilePart.warm

    def sending(out, file, at, most):
        sent.append(at + most <= ends[-1])
        return sendfile(out, file, at, most)

    def warming(part, most):
        ends.append(part.at + most)
        warm(part, most)

    monkeypatch.setattr(file_feed, "WINDOW", 300000)
    monkeypatch.setattr("uvicorn.bridge.files.FilePart.is_at_hand", lambda part, most: False)
    monkeypatch.setattr("uvicorn.bridge.files.FilePart.warm", warming)
    monkeypatch.setattr(file_transfer.os, "sendfile", sending)
    client = connect(consumer_of({"status": 200, "file": path}))
    client.send()
    client.take()
    assert bytes(client.content) == CONTENT
    assert ends[1:] == list(range(300000, len(CONTENT) + 300000, 300000))
    assert all(sent)


def test_others_are_served_and_nobody_is_blamed_while_a_disk_is_slow(connect, path, monkeypatch, descriptors):
    monkeypatch.setattr("uvicorn.bridge.files.FilePart.is_at_hand", lambda part, most: False)
    client = connect(consumer_of({"status": 200, "file": path}), write_timeout=5.0)
    client.site.files.is_held = True
    client.send()
    client.site.pass_time(60)
    assert client.head == b""
    assert client.client.connection.pipeline.buffered_bytes() == 0
    client.client.leave()
    assert len(descriptors()) == 1
    client.site.loop.call_soon(client.site.files.work)
    client.site.settle()
    assert descriptors() == []


def test_a_disk_that_fails_before_anything_was_sent_is_500(connect, path, monkeypatch):
    def warm(part, most):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("uvicorn.bridge.files.FilePart.is_at_hand", lambda part, most: False)
    monkeypatch.setattr("uvicorn.bridge.files.FilePart.warm", warm)
    client = connect(consumer_of({"status": 200, "file": path}))
    client.send()
    assert client.client.statuses() == [500]
    assert "Input/output error" in client.site.log.take("error")[0]
