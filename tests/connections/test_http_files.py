"""Files in replies, over HTTP/1.1 and HTTP/2, by the ways that read; `sendfile` is in test_file_transfer.py."""

from __future__ import annotations

import fcntl
import os
import threading
from typing import Any

import pytest
from clients import Kept
from descriptors import opened
from h2_clients import connect
from patience import until

from uvicorn import ChannelClosed, ChannelFull, ReplyError

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CONTENT = bytes(range(256)) * 4096


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(CONTENT)
    return str(path)


@pytest.fixture(autouse=True)
def descriptors(tmp_path):
    """Fail a test that leaves a file open: one of its own, whatever others have left."""

    def files():
        return [name for name in opened() if name.startswith(f"{tmp_path}/")]

    yield files
    assert files() == []


@pytest.fixture
def at_hand(monkeypatch):
    """All files are in memory, also on a system that needs their place for something else."""
    monkeypatch.setattr("uvicorn.bridge.files.FilePart.is_at_hand", lambda part, most: True)


def consumer_of(*replies):
    async def consumer(message):
        for reply in replies:
            await message["reply_channel"].send(dict(reply))

    return consumer


def in_thread(*replies):
    def consumer(message):
        for reply in replies:
            message["reply_channel"].send(dict(reply))

    return consumer


def respond(make_site, *replies, request=GET, methods=("GET",), **options):
    site = make_site(consumer_of(*replies), **options)
    client = site.connect()
    client.send(request)
    return client.responses(*methods)[0]


SIZES = [0, 1, 1000, 65536, 65537, 300000, len(CONTENT)]


@pytest.mark.parametrize("size", SIZES)
def test_a_whole_reply_has_the_length_of_its_file(make_site, path, size):
    response = respond(make_site, {"status": 200, "file": (path, 3, min(size, len(CONTENT) - 3))})
    assert response.body == CONTENT[3 : 3 + size]
    assert response.headers["content-length"] == str(len(response.body))


@pytest.mark.parametrize("size", SIZES)
def test_a_thread_sends_a_file_as_the_loop_does(make_site, path, size):
    site = make_site(in_thread({"status": 200, "file": (path, 0, size)}))
    client = site.connect()
    client.send(GET)
    site.run_job(in_thread=True)
    assert client.responses()[0].body == CONTENT[:size]


PARTS: list[dict[str, Any]] = [
    {"status": 206, "content": b"--a", "more_content": True},
    {"content": b"--b", "more_content": True},
    {"content": b"--c"},
]


@pytest.mark.parametrize("is_promised", [True, False])
@pytest.mark.parametrize("is_thread", [True, False])
@pytest.mark.parametrize("size", [10, 70000, 400000])
def test_content_and_files_keep_their_order(make_site, path, size, is_promised, is_thread):
    expected = b"--a" + CONTENT[7 : 7 + size] + b"--b" + CONTENT[9 : 9 + size] + b"--c"
    headers = [(b"content-length", b"%d" % len(expected))] if is_promised else []
    replies = [
        {**PARTS[0], "headers": headers},
        {"file": (path, 7, size), "more_content": True},
        PARTS[1],
        {"file": (path, 9, size), "more_content": True},
        PARTS[2],
    ]
    site = make_site(in_thread(*replies) if is_thread else consumer_of(*replies))
    client = site.connect()
    client.send(GET)
    if is_thread:
        run_thread(site)
    (response,) = client.responses()
    assert response.body == expected
    assert response.is_complete
    assert ("content-length" in response.headers) is is_promised


def run_thread(site):
    """Run the job that waits, in a thread of its own, while the loop turns."""
    job = site.pool.queue.popleft()
    thread = threading.Thread(target=job.run, daemon=True)
    thread.start()
    until(lambda: site.settle() or not thread.is_alive(), "the consumer")
    site.settle()


@pytest.mark.parametrize("first", ["file", "content"])
def test_a_last_reply_may_be_a_file(make_site, path, first):
    begin = {"file": (path, 0, 100000)} if first == "file" else {"content": b"ab"}
    response = respond(
        make_site, {"status": 200, **begin, "more_content": True}, {"file": (path, 1, 100000), "more_content": False}
    )
    assert response.body == (CONTENT[:100000] if first == "file" else b"ab") + CONTENT[1:100001]


def test_a_file_without_await_is_followed_by_what_is_sent_behind_it(make_site, path):
    async def consumer(message):
        send = message["reply_channel"].send
        send({"status": 200, "file": path, "more_content": True})
        send({"content": b"end"})

    client = make_site(consumer).connect()
    client.send(GET)
    assert client.responses()[0].body == CONTENT + b"end"


def test_trailers_follow_a_file(make_site, path):
    client = make_site(consumer_of({"status": 200, "file": path, "trailers": [(b"x-sum", b"1")]})).connect()
    client.send(GET)
    assert client.transport.received.endswith(b"\r\n0\r\nx-sum: 1\r\n\r\n")


@pytest.mark.parametrize("is_single", [True, False])
def test_over_http_1_0_a_file_ends_with_its_length_or_the_connection(make_site, path, is_single):
    replies = (
        [{"status": 200, "file": path}] if is_single else [{"status": 200, "file": path, "more_content": True}, {}]
    )
    response = respond(make_site, *replies, request=b"GET / HTTP/1.0\r\n\r\n")
    assert response.body == CONTENT
    assert ("content-length" in response.headers) is is_single


@pytest.mark.parametrize("size", [0, 1000, len(CONTENT)])
def test_head_has_the_length_and_nothing_is_read(make_site, path, size, monkeypatch):
    monkeypatch.setattr("uvicorn.bridge.files.os.pread", None)
    client = make_site(consumer_of({"status": 200, "file": (path, 0, size)})).connect()
    client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.responses("HEAD")[0].headers["content-length"] == str(size)
    assert client.transport.received.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("is_single", [True, False])
def test_a_status_without_content_sends_nothing_of_a_file(make_site, path, status, is_single):
    more = [{"file": path, "more_content": True}, {"file": path}]
    replies = [{"status": status, "file": path, "more_content": not is_single}, *([] if is_single else more)]
    client = make_site(consumer_of(*replies)).connect()
    client.send(GET)
    client.send(GET)
    assert client.statuses() == [status, status]


def test_pipelined_files_keep_their_order(make_site, path):
    kept = Kept()
    client = make_site(kept).connect()
    client.send(3 * GET)
    kept.reply(2, status=200, file=(path, 2, 200000))
    kept.reply(1, status=200, file=(path, 1, 200000))
    kept.reply(0, status=200, file=(path, 0, 200000))
    kept.messages.clear()
    client.site.settle()
    assert [response.body for response in client.responses()] == [CONTENT[at : at + 200000] for at in range(3)]


@pytest.mark.usefixtures("at_hand")
def test_a_slow_client_has_little_more_than_the_write_buffer_waiting(make_site, path, descriptors):
    client = make_site(consumer_of({"status": 200, "file": path})).connect()
    client.transport.is_stalled = True
    client.send(GET)
    assert len(client.transport.unsent) < 3 * 65536
    assert len(descriptors()) == 1
    while client.transport.unsent:
        client.transport.drain()
        client.site.settle()
        assert len(client.transport.unsent) < 3 * 65536
    assert client.responses()[0].body == CONTENT


def test_who_awaits_a_file_goes_on_when_it_was_taken(make_site, path):
    seen = []

    async def consumer(message):
        await message["reply_channel"].send({"status": 200, "file": path, "more_content": True})
        seen.append("sent")
        await message["reply_channel"].send({"content": b""})

    client = make_site(consumer).connect()
    client.transport.is_stalled = True
    client.send(GET)
    assert seen == []
    while client.transport.unsent:
        client.transport.drain()
        client.site.settle()
    assert seen == ["sent"]
    assert client.responses()[0].is_complete


def test_who_does_not_await_is_refused_at_some_point(make_site, path):
    seen = []

    async def consumer(message):
        send = message["reply_channel"].send
        send({"status": 200, "file": path, "more_content": True})
        try:
            for _ in range(1000):
                send({"file": path, "more_content": True})
        except ChannelFull as error:
            seen.append(str(error))

    site = make_site(consumer)
    client = site.connect()
    client.transport.is_stalled = True
    client.send(GET)
    assert seen == ["the client is far behind: await what send() returns"]
    assert site.log.take("error")  # it let go of its channel


def test_a_client_that_leaves_is_told_to_who_awaits_and_the_file_is_closed(make_site, path, descriptors):
    seen = []

    async def consumer(message):
        try:
            await message["reply_channel"].send({"status": 200, "file": path, "more_content": True})
        except ChannelClosed as error:
            seen.append(type(error))
            raise

    client = make_site(consumer).connect()
    client.transport.is_stalled = True
    client.send(GET)
    assert len(descriptors()) == 1
    client.leave()
    assert seen == [ChannelClosed]
    assert descriptors() == []


def test_a_file_for_a_client_that_has_left_is_closed(make_site, path):
    kept = Kept()
    client = make_site(kept).connect()
    client.send(GET)
    client.leave()
    file = open(path, "rb")  # noqa: SIM115
    with pytest.raises(ChannelClosed):
        kept.reply(0, status=200, file=file)
    assert file.closed


def test_a_file_that_shrinks_breaks_off_its_response_and_the_log_names_it(make_site, path):
    site = make_site(consumer_of({"status": 200, "file": path}))
    client = site.connect()
    client.transport.is_stalled = True
    client.send(GET)
    os.truncate(path, 100000)
    while client.transport.unsent:
        client.transport.drain()
        site.settle()
    assert client.is_closed
    (response,) = client.responses()
    assert not response.is_complete
    assert CONTENT.startswith(response.body)
    (line,) = site.log.take("error")
    assert f"cannot send the file {path}: the file {path} became shorter" in line
    assert "GET /" in line


def test_a_file_that_is_removed_is_sent_all_the_same(make_site, path):
    site = make_site(consumer_of({"status": 200, "file": path}))
    client = site.connect()
    client.transport.is_stalled = True
    client.send(GET)
    os.unlink(path)
    while client.transport.unsent:
        client.transport.drain()
        site.settle()
    assert client.responses()[0].body == CONTENT


def test_a_file_that_cannot_be_opened_raises_in_the_consumer_which_can_say_something_else(make_site, path):
    async def consumer(message):
        channel = message["reply_channel"]
        try:
            channel.send({"status": 200, "file": path + ".no"})
        except FileNotFoundError:
            channel.send({"status": 404, "content": b"gone"})

    client = make_site(consumer).connect()
    client.send(GET)
    assert (client.responses()[0].status, client.responses()[0].body) == (404, b"gone")


def test_a_consumer_that_raises_behind_a_whole_reply_does_not_break_it_off(make_site, path):
    async def consumer(message):
        message["reply_channel"].send({"status": 200, "file": path})
        raise ValueError("late")

    site = make_site(consumer)
    client = site.connect()
    client.transport.is_stalled = True
    client.send(GET)
    assert "Error in" in site.log.take("error")[0]
    while client.transport.unsent:
        client.transport.drain()
        site.settle()
    assert client.responses()[0].body == CONTENT
    assert not client.is_closed


def test_a_consumer_that_raises_in_the_middle_breaks_off(make_site, path, descriptors):
    async def consumer(message):
        message["reply_channel"].send({"status": 200, "file": path, "more_content": True})
        raise ValueError("early")

    site = make_site(consumer)
    client = site.connect()
    client.transport.is_stalled = True
    client.send(GET)
    assert descriptors() == []
    assert "Error in" in site.log.take("error")[0]


def test_a_second_status_behind_a_file_raises(make_site, path):
    seen = []

    async def consumer(message):
        send = message["reply_channel"].send
        send({"status": 200, "file": path, "more_content": True})
        try:
            send({"status": 200})
        except ReplyError as error:
            seen.append(str(error))
        send({})

    client = make_site(consumer).connect()
    client.send(GET)
    assert seen == ["status is allowed in the first reply only: this response has begun"]
    assert client.responses()[0].body == CONTENT


# ---- the disk ----


@pytest.fixture
def cold(monkeypatch):
    """No file is in memory."""
    monkeypatch.setattr("uvicorn.bridge.files.FilePart.is_at_hand", lambda part, most: False)


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 300000])
@pytest.mark.usefixtures("cold")
def test_what_is_not_in_memory_is_read_by_a_thread(make_site, path, size):
    site = make_site(consumer_of({"status": 200, "file": (path, 0, size)}))
    client = site.connect()
    client.send(GET)
    assert client.responses()[0].body == CONTENT[:size]
    assert client.responses()[0].headers["content-length"] == str(size)
    assert site.files.works == -(-size // 262144)


@pytest.mark.usefixtures("cold")
def test_others_are_served_while_a_disk_is_slow(make_site, path):
    site = make_site(consumer_of({"status": 200, "file": path}))
    site.files.is_held = True
    slow, quick = site.connect(), site.connect()
    slow.send(GET)
    quick.send(GET.replace(b"GET", b"HEAD"))
    assert slow.transport.received == b""
    assert quick.statuses("HEAD") == [200]
    while site.files.waiting:
        site.loop.call_soon(site.files.work)
        site.settle()
    assert slow.responses()[0].body == CONTENT


@pytest.mark.usefixtures("cold")
def test_a_file_that_cannot_be_read_at_all_is_500(make_site, path):
    site = make_site(consumer_of({"status": 200, "file": path}))
    site.files.is_held = True
    client = site.connect()
    client.send(GET)
    os.truncate(path, 0)
    site.loop.call_soon(site.files.work)
    site.settle()
    assert client.statuses() == [500]
    assert "became shorter" in site.log.take("error")[0]
    assert not client.is_closed


@pytest.mark.usefixtures("cold")
def test_a_client_that_leaves_while_a_disk_is_slow_leaves_no_file_open(make_site, path, descriptors):
    site = make_site(consumer_of({"status": 200, "file": path}))
    site.files.is_held = True
    client = site.connect()
    client.send(GET)
    client.leave()
    assert len(descriptors()) == 1  # a thread may be reading it
    site.loop.call_soon(site.files.work)
    site.settle()
    assert descriptors() == []


def test_a_response_is_reported_when_its_file_is_taken(make_site, path):
    site = make_site(consumer_of({"status": 200, "file": path}))
    client = site.connect()
    client.transport.is_stalled = True
    client.send(GET)
    assert site.reports == []
    while client.transport.unsent:
        client.transport.drain()
        site.settle()
    (exchange,) = site.reports
    assert exchange.sent_bytes == len(CONTENT)
    assert site.service.numbers.sent_bytes == len(client.transport.received)


@pytest.mark.parametrize("setting", ["write_timeout", "min_write_rate"])
def test_a_client_that_takes_nothing_is_dropped(make_site, path, descriptors, setting):
    limits = {"write_timeout": 5.0, "min_write_rate": 0}
    if setting == "min_write_rate":
        limits = {"write_timeout": 0.0, "min_write_rate": 240, "min_rate_grace": 5.0}
    site = make_site(consumer_of({"status": 200, "file": path}), **limits)
    client = site.connect()
    client.transport.is_stalled = True
    client.send(GET)
    site.pass_time(30)
    assert client.is_closed
    assert descriptors() == []
    assert setting in " ".join(site.log.take("info"))


def test_a_file_on_its_way_is_no_silence_of_its_consumer(make_site, path):
    site = make_site(consumer_of({"status": 200, "file": path}), reply_timeout=5.0, write_timeout=0.0, min_write_rate=0)
    client = site.connect()
    client.transport.is_stalled = True
    client.send(GET)
    site.pass_time(60)
    while client.transport.unsent:
        client.transport.drain()
        site.settle()
    assert client.responses()[0].is_complete
    assert not site.service.wants_collection


# ---- HTTP/2 ----


@pytest.mark.parametrize("size", SIZES)
def test_over_http_2_a_file_has_its_length_and_waits_for_windows(make_http2, path, size):
    answer = connect(make_http2(consumer_of({"status": 200, "file": (path, 0, size)}))).get()
    assert answer.headers["content-length"] == str(size)
    assert answer.body == CONTENT[:size]
    assert answer.is_complete


def test_over_http_2_a_file_is_read_in_pieces_of_64_kib(make_http2, path, monkeypatch):
    """In frames of 16 KiB it costs a third more, if nobody else is on the connection."""
    monkeypatch.setattr("uvicorn.bridge.files.FilePart.is_at_hand", lambda part, most: True)
    sizes, pread = [], os.pread
    monkeypatch.setattr("uvicorn.bridge.files.os.pread", lambda *given: sizes.append(given[1]) or pread(*given))
    client = connect(make_http2(consumer_of({"status": 200, "file": path})), window=1 << 20)
    assert client.get().body == CONTENT
    assert set(sizes[:-1]) == {65536}
    assert sum(sizes) == len(CONTENT)


def test_over_http_2_content_and_files_keep_their_order(make_http2, path):
    replies = [PARTS[0], {"file": (path, 7, 200000), "more_content": True}, PARTS[1], {"file": (path, 9, 200000)}]
    answer = connect(make_http2(consumer_of(*replies))).get()
    assert answer.body == b"--a" + CONTENT[7:200007] + b"--b" + CONTENT[9:200009]
    assert answer.is_complete


def test_over_http_2_trailers_follow_a_file(make_http2, path):
    answer = connect(make_http2(consumer_of({"status": 200, "file": path, "trailers": [(b"x-sum", b"1")]}))).get()
    assert answer.body == CONTENT
    assert answer.trailers == {"x-sum": "1"}


def test_over_http_2_head_has_the_length(make_http2, path):
    answer = connect(make_http2(consumer_of({"status": 200, "file": path}))).get(method="HEAD")
    assert answer.headers["content-length"] == str(len(CONTENT))
    assert answer.body == b""
    assert answer.is_complete


def test_over_http_2_a_stream_whose_window_is_closed_holds_up_no_other(make_http2, path, descriptors):
    site = make_http2(consumer_of({"status": 200, "file": path}))
    client = connect(site, window=65535, is_automatic=False)
    slow = client.get()
    assert len(slow.body) == 65535
    client.h2.increment_flow_control_window(10 * len(CONTENT))
    client.flush()
    quick = client.get(method="HEAD")
    assert quick.is_complete
    assert not slow.is_complete
    (connection,) = site.service.connections
    assert connection.queued_bytes < 3 * 65536
    client.reset(1)
    assert descriptors() == []


def test_over_http_2_a_file_that_shrinks_resets_its_stream_and_no_other(make_http2, path):
    site = make_http2(consumer_of({"status": 200, "file": path}))
    client = connect(site, window=65535, is_automatic=False)
    answer = client.get()
    os.truncate(path, 70000)
    client.h2.increment_flow_control_window(1 << 20)
    client.h2.increment_flow_control_window(1 << 20, 1)
    client.flush()
    assert answer.reset == 2
    assert not answer.is_complete
    assert "became shorter" in site.log.take("error")[0]
    assert client.goaways == []


def test_over_http_2_a_client_that_leaves_leaves_no_file_open(make_http2, path, descriptors):
    client = connect(make_http2(consumer_of({"status": 200, "file": path})), window=65535, is_automatic=False)
    client.get()
    assert len(descriptors()) == 1
    client.leave()
    assert descriptors() == []


@pytest.mark.parametrize("limit", [(4, 4), (8, 4096)])
def test_clients_that_take_no_files_leave_descriptors_to_others(make_site, path, monkeypatch, limit):
    monkeypatch.setattr("uvicorn.bridge.files.resource.getrlimit", lambda _: limit)
    monkeypatch.setattr("uvicorn.bridge.files.os.open", opener_of(limit[0] - 1))
    response = respond(make_site, {"status": 200, "file": path})
    assert (response.status, response.headers["retry-after"]) == (503, "1")


def opener_of(number, real=os.open):
    """Return what opens files under a number, or a higher one."""

    def opened(path, flags):
        low = real(path, flags)
        high = fcntl.fcntl(low, fcntl.F_DUPFD, number)
        os.close(low)
        return high

    return opened


@pytest.mark.parametrize("most", [100_000, -1])
def test_where_enough_descriptors_are_left_a_file_is_sent(make_site, path, monkeypatch, most):
    monkeypatch.setattr("uvicorn.bridge.files.resource.getrlimit", lambda _: (most, most))
    assert respond(make_site, {"status": 200, "file": path}).body == CONTENT


@pytest.mark.usefixtures("at_hand")
def test_a_small_file_and_one_in_a_response_that_has_begun_are_sent_all_the_same(make_site, path, monkeypatch):
    monkeypatch.setattr("uvicorn.bridge.files.resource.getrlimit", lambda _: (4, 4))
    assert respond(make_site, {"status": 200, "file": (path, 0, 100)}).body == CONTENT[:100]
    replies = [{"status": 200, "content": b"a", "more_content": True}, {"file": path}]
    assert respond(make_site, *replies).body == b"a" + CONTENT
