"""WSGI applications that speak WebSocket by themselves get a socket: flask-sock, simple-websocket, and bytes alone."""

import contextlib
import ssl

import pytest
from certificates import Files
from processes import PATIENCE, eventually
from tls_sockets import TLSSocket
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

APP = "raw_socket_consumers:application"
UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: " + "A" * 22 + "==",
)
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\n\r\n"
MOST = 32 << 20  # bytes that may wait between a client and an application: what the kernel takes is most of it


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("--threads", "8", "--wsgi-sockets", "3", app=APP)


@pytest.fixture(scope="module")
def tls_server(serve_module, tmp_path_factory):
    return serve_module("--threads", "2", *Files(tmp_path_factory.mktemp("certificates")).args(), app=APP)


def opened(server, path):
    url = server.url.replace("http", "ws", 1) + path
    if url.startswith("wss:"):
        return TLSSocket(url, ssl._create_unverified_context())
    return connect(url, open_timeout=PATIENCE, close_timeout=PATIENCE, proxy=None, max_size=None)


def said(server):
    return server.get("/said").json()["said"]


def all_are_free(server):
    """Wait until no raw socket is left: the next test wants all places."""

    def is_free():
        with contextlib.ExitStack() as stack:
            try:
                for _ in range(3):
                    stack.enter_context(opened(server, "/echo"))
            except InvalidStatus:
                return False
        return True

    eventually(is_free, "all places to be free")


@pytest.fixture(autouse=True)
def places(request):
    yield
    if "server" in request.fixturenames:
        all_are_free(request.getfixturevalue("server"))


@pytest.mark.parametrize("path", ["/echo", "/plain"])
@pytest.mark.parametrize("which", ["server", "tls_server"])
def test_messages_of_any_size_come_back(request, which, path):
    with opened(request.getfixturevalue(which), path) as ws:
        for size in (1, 126, 100_000, 1_000_000):
            ws.send("m" * size)
            assert ws.recv(PATIENCE) == "m" * size


def test_a_function_that_returns_closes_the_socket_in_order(server):
    with opened(server, "/bye") as ws:
        assert ws.recv(PATIENCE) == "bye"
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(PATIENCE)
    assert closed.value.rcvd.code == 1000


def test_pages_are_served_while_sockets_hold_threads_and_one_more_socket_is_refused(server):
    with opened(server, "/echo"), opened(server, "/echo"), opened(server, "/echo"):
        with pytest.raises(InvalidStatus) as refused:
            opened(server, "/echo")
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["retry-after"] == "1"
        assert server.get("/ready").text == "a page"


def test_what_has_no_socket_there_answers_as_for_a_page(server):
    with pytest.raises(InvalidStatus) as refused:
        opened(server, "/nothing")
    assert refused.value.response.status_code == 404


def test_an_application_that_raises_before_it_writes_is_answered_with_500(server):
    with pytest.raises(InvalidStatus) as refused:
        opened(server, "/fails")
    assert refused.value.response.status_code == 500
    server.wait_for_log("ValueError: before anything was written")


def test_an_application_that_ends_as_with_gunicorn_has_the_connection(server):
    with server.raw() as raw:
        assert raw.get("/as_gunicorn", *UPGRADE).receive() == SWITCHED + b"hello"


def test_bytes_that_come_with_the_head_are_not_lost_and_a_half_closed_client_gets_the_last_word(server):
    with server.raw() as raw:
        raw.send("\r\n".join(["GET /mirror HTTP/1.1", "Host: a", *UPGRADE, "", "early "]).encode())
        assert raw.receive(until=b"early ") == SWITCHED + b"early "
        raw.send(b"late").shut()
        assert raw.receive() == b"late 10 bytes"


def test_a_request_before_it_on_the_connection_is_answered_first(server):
    with server.raw() as raw:
        raw.send(b"GET /ready HTTP/1.1\r\nHost: a\r\n\r\n")
        raw.get("/mirror", *UPGRADE)
        answer = raw.receive(until=SWITCHED)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"a page" + SWITCHED in answer


def test_an_application_reads_the_end_when_its_client_has_left(server):
    with server.raw() as raw:
        raw.get("/until-it-leaves", *UPGRADE).receive(until=b"go")
        raw.reset()
    eventually(lambda: "it has left" in said(server), "the end")


def test_an_application_waits_for_a_client_that_takes_nothing(server):
    with server.raw(receive_buffer=4096) as raw:
        raw.get("/writes", *UPGRADE)
        eventually(lambda: "it has to wait" in said(server), lambda: str(said(server)))
    assert "all was taken" not in said(server)


def test_a_client_waits_for_an_application_that_reads_nothing(server):
    with server.raw() as raw:
        raw.get("/reads_nothing", *UPGRADE).receive(until=SWITCHED)
        raw.socket.settimeout(0.5)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < MOST:
                sent += raw.socket.send(b"x" * 65536)
        assert sent < MOST
        server.get("/gone")


def test_a_socket_is_not_stuck_while_its_client_is_there_and_reads_the_end_at_a_stop(serve):
    server = serve("--threads", "3", "--stuck-after", "1", app=APP)
    with opened(server, "/until-it-leaves") as ws:
        assert ws.recv(PATIENCE) == "go"
        with server.raw() as raw:  # opened later, and given up: its thread goes on
            raw.get("/reads_nothing", *UPGRADE).receive(until=SWITCHED)
        log = server.wait_for_log("are stuck")
        assert "1 of 3 threads" in log
        assert "GET /reads_nothing" in log.partition("are stuck")[2]
        with pytest.raises(InvalidStatus) as refused:  # it has its place still
            opened(server, "/echo")
        assert refused.value.response.status_code == 503
        server.get("/gone")
        assert server.stop() == 0
    assert "Still running" not in server.log()
    assert "Traceback" not in server.log()


def test_without_a_thread_for_it_the_log_says_why_there_is_no_socket(serve):
    server = serve("--threads", "1", app=APP)
    with pytest.raises(InvalidStatus) as refused:
        opened(server, "/echo")
    assert refused.value.response.status_code == 403
    server.wait_for_log("no thread is left for a raw socket (wsgi_sockets is 20, threads is 1)")
