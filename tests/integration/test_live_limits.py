"""Many slow clients, and one address with many connections: others are served all the while."""

import contextlib
import threading

import pytest
from processes import eventually

POST = b"POST %s HTTP/1.1\r\nHost: test\r\nContent-Length: 1000000\r\n\r\n"


@contextlib.contextmanager
def again_and_again(act, seconds):
    """Have a thread do something each time so many seconds have passed."""
    is_over = threading.Event()

    def go():
        while not is_over.wait(seconds):
            act()

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def dripping(raws, data=b"x", seconds=0.2):
    """Send a byte to each of them again and again, as long as the server takes it."""
    left = list(raws)

    def drip():
        for raw in tuple(left):
            try:
                raw.socket.send(data, 0x40)  # MSG_DONTWAIT
            except BlockingIOError:
                pass
            except OSError:
                left.remove(raw)

    return again_and_again(drip, seconds)


def sipping(raws, seconds=0.2):
    """Read a byte from each of them again and again, as long as there are any."""

    def sip():
        for raw in raws:
            with contextlib.suppress(OSError):
                raw.socket.recv(1)

    return again_and_again(sip, seconds)


@pytest.fixture
def many():
    """Close what a test has opened."""
    with contextlib.ExitStack() as stack:
        yield lambda raws: [stack.enter_context(raw) for raw in raws]


@pytest.mark.slow
@pytest.mark.parametrize("path", [b"/sync/echo", b"/async/digest", b"/sync/digest-as-it-comes"])
def test_more_dripping_uploads_than_connections_leave_the_worker_to_others(serve, many, path):
    server = serve("--worker-connections", "40", "--threads", "50")

    raws = many(server.raw().send(POST % path) for _ in range(55))  # at once: or they would be without a request
    with dripping(raws):
        server.wait_for_log("All 40 connections are open (worker_connections), and others wait: ")
        for _ in range(3):
            assert server.get("/async/hello").status_code == 200
            assert server.get("/sync/hello").status_code == 200
        log = server.log()
        # Once; and once more if nobody has waited for seconds meanwhile, because this machine stood still.
        again = log.count("Connections are accepted again")
        assert log.count("connections are open (worker_connections)") == 1 + again
        assert " sending a body" in log  # some consumers may not have asked for theirs yet
        assert "; most from 127.0.0.1 (40)" in log
        for raw in raws:
            raw.socket.close()
    log = server.wait_for_log("Connections are accepted again")
    assert "closed to make room: " in log
    assert "Traceback" not in log


@pytest.mark.slow
def test_a_dripping_upload_that_is_closed_for_others_gets_503(serve, many):
    server = serve("--worker-connections", "1")

    [raw] = many([server.raw()])
    raw.send(POST % b"/sync/echo")
    with dripping([raw]):
        assert server.get("/async/hello").status_code == 200
        assert raw.receive().startswith(b"HTTP/1.1 503 Service Unavailable\r\n")


@pytest.mark.slow
def test_dripping_uploads_get_408_when_their_grace_is_over(serve, many):
    server = serve("--min-rate-grace", "1")

    raws = many(server.raw() for _ in range(10))
    for raw in raws:
        raw.send(POST % b"/sync/echo")
    with dripping(raws):
        assert {raw.receive().partition(b"\r\n")[0] for raw in raws} == {b"HTTP/1.1 408 Request Timeout"}


@pytest.mark.slow
def test_drip_readers_of_a_synchronous_stream_do_not_hold_the_pool(serve, many):
    server = serve("--threads", "8", "--min-rate-grace", "1")

    raws = many(server.raw(receive_buffer=4096) for _ in range(8))
    for raw in raws:
        raw.get("/sync/stream?chunks=10000")
    with sipping(raws):
        assert server.get("/sync/hello").status_code == 200  # it waits for a thread
        eventually(lambda: server.state()["calls"].get("sync stream: ChannelClosed") == 8, "all threads to be free")
    for raw in raws:
        with pytest.raises(ConnectionResetError):  # and the system keeps nothing for it
            raw.receive()
    assert "Traceback" not in server.log()


@pytest.mark.slow
def test_an_idle_connection_is_closed_for_a_new_one(serve, many):
    server = serve("--worker-connections", "3")

    raws = many(server.raw() for _ in range(3))
    for raw in raws:
        assert raw.get("/async/hello").receive(until=b"loop")
    assert server.get("/async/hello").status_code == 200
    assert "3 idle" in server.log()
    answers = []
    for raw in raws:
        with contextlib.suppress(OSError):
            answers.append(raw.get("/async/hello").receive(until=b"loop"))
    assert len([answer for answer in answers if answer]) == 2  # one was enough


def test_an_address_has_as_many_connections_as_it_may(serve, many):
    server = serve("--limit-connections-per-address", "3")

    def open_one():
        [raw] = many([server.raw()])
        try:
            answer = raw.get("/async/hello").receive(until=b"loop")
        except OSError:
            answer = b""
        return raw if answer else None

    eventually(lambda: (raw := open_one()) and (raw.socket.close() or True), "the first one to have left")
    raws = [eventually(open_one, "a place") for _ in range(3)]
    assert open_one() is None
    raws[0].socket.close()
    assert eventually(open_one, "the place to be free")
    server.wait_for_log("Connections refused (limit_connections_per_address): ")


def test_the_clients_of_a_proxy_are_counted_and_not_the_proxy(serve, many):
    server = serve("--limit-connections-per-address", "1", "--proxy-protocol", "v1")

    def open_one(address):
        [raw] = many([server.raw()])
        raw.send(b"PROXY TCP4 %s 192.0.2.1 50000 80\r\n" % address)
        return raw.get("/async/hello").receive(until=b"\r\n")

    assert open_one(b"192.0.2.7").startswith(b"HTTP/1.1 200")
    assert open_one(b"192.0.2.8").startswith(b"HTTP/1.1 200")
    assert open_one(b"192.0.2.7").startswith(b"HTTP/1.1 503")


@pytest.mark.slow
def test_a_request_past_request_timeout_is_ended(serve):
    server = serve("--request-timeout", "1", "--reply-timeout", "0")

    assert server.get("/async/never-return").status_code == 504
    server.wait_for_log("A request took more than 1 seconds (request_timeout)")
