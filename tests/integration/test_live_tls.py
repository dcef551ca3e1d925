"""TLS, with certificates of an authority made for these tests."""

import signal
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from certificates import Files
from processes import PATIENCE, eventually

GET = b"GET %b HTTP/1.1\r\nHost: test\r\n\r\n"
HOOK = """
import signal
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor

def ssl_context(conf, default_ssl_context_factory):
    context = default_ssl_context_factory()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with open("asked.txt", "w") as file:
        file.write(conf.certfile)
    return context
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return Files(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server(serve_module, files):
    return serve_module(*files.args(), "--threads", "2")


def client_of(server, context):
    return httpx.Client(base_url=server.url, verify=context, trust_env=False, timeout=PATIENCE)


@pytest.mark.parametrize("side", ["sync", "async"])
def test_https_serves_and_is_told_to_consumers(server, files, side):
    with client_of(server, files.context()) as client:
        assert client.get(f"/{side}/describe").json()["scheme"] == "https"
        assert client.post(f"/{side}/digest", content=b"x" * 1_000_000).json()[0] == 1_000_000
        assert len(client.get(f"/{side}/stream?chunks=100").content) == 100 * 65536
        assert client.get(f"/{side}/hello").headers["content-length"] == "19"


def test_http_1_1_is_agreed_on_by_alpn(server, files):
    context = files.context()
    context.set_alpn_protocols(["spdy/3", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", httpx.URL(server.url).port), timeout=PATIENCE) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        assert secure.selected_alpn_protocol() == "http/1.1"


@pytest.mark.parametrize("side", ["sync", "async"])
def test_curl_accepts_the_certificate_and_keeps_the_connection(server, files, side):
    url = f"{server.url}/{side}/hello"

    answer = server.curl("--cacert", files.trusted, "-w", "%{num_connects};", url, url)

    assert answer.count(b"hello from") == 2
    assert answer.endswith(b"0;")


def test_plain_http_to_a_tls_port_is_closed_and_hurts_nobody(server, files):
    with server.raw() as raw:
        raw.get("/sync/hello")
        assert not raw.receive().startswith(b"HTTP/1.1 200")
    with client_of(server, files.context()) as client:
        assert client.get("/sync/hello").status_code == 200
    assert "Traceback" not in server.log()


@pytest.mark.slow
def test_a_handshake_that_never_comes_is_given_up(serve, files):
    server = serve(*files.args(), "--header-timeout", "5")
    with server.raw() as raw:
        assert raw.is_closed()


@pytest.mark.slow
def test_a_tls_client_that_vanishes_leaves_nothing_behind(server, files):
    with client_of(server, files.context()) as client:

        def objects():
            state = client.get("/state").json()
            return state["objects"]["HTTPConnection"], state["objects"]["Message"]

        for way in ("reset", "close"):
            for number in range(20):
                raw = server.raw()
                raw.socket = files.context().wrap_socket(raw.socket, server_hostname="localhost")
                raw.get("/async/stream?chunks=1000000" if number % 2 else "/async/never-return")
                if number % 2:
                    raw.receive(size=1000)
                if way == "reset":
                    raw.reset()
                raw.socket.close()
        eventually(lambda: objects() == (1, 1), "all connections and messages to go")


def test_a_certificate_that_nobody_knows_fails_in_the_client_only(server, files):
    with client_of(server, ssl.create_default_context()) as client, pytest.raises(httpx.ConnectError):
        client.get("/sync/hello")
    with client_of(server, files.context()) as client:
        assert client.get("/sync/hello").status_code == 200
    assert "Traceback" not in server.log()


def test_tls_to_a_plain_port_is_refused_with_a_hint(serve, files):
    server = serve()
    url = server.url.replace("http:", "https:")
    with (
        httpx.Client(verify=files.context(), trust_env=False, timeout=PATIENCE) as client,
        pytest.raises(httpx.ConnectError),
    ):
        client.get(url)

    server.wait_for_log("TLS on a plain HTTP port")
    assert server.get("/sync/hello").status_code == 200


def test_the_ssl_context_hook_has_the_last_word(serve, files):
    server = serve(*files.args(), config=HOOK)
    old = files.context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2

    with client_of(server, files.context()) as client:
        assert client.get("/sync/hello").status_code == 200
    with client_of(server, old) as client, pytest.raises(httpx.ConnectError):
        client.get("/sync/hello")
    assert (server.folder / "asked.txt").read_text() == files.certificate


def test_a_client_certificate_can_be_asked_for(serve, files):
    server = serve(*files.args(), "--ca-certs", files.trusted, "--cert-reqs", "2", is_ready=False)
    server.wait_until_listening()

    with client_of(server, files.context(client=True)) as client:
        assert client.get("/sync/hello").status_code == 200
    with client_of(server, files.context()) as client, pytest.raises(httpx.TransportError):
        client.get("/sync/hello")


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_a_stop_closes_tls_connections_in_order(serve, files, loop):
    server = serve(*files.args(), "--asgi-loop", loop)

    with client_of(server, files.context()) as client:
        assert client.get("/sync/hello").status_code == 200
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
    assert "Traceback" not in server.log()
    assert "[ERROR]" not in server.log()


@pytest.mark.slow
def test_hup_under_tls_load_loses_no_answer(serve, files):
    server = serve(*files.args(), "--workers", "2", "--threads", "4")
    context = files.context()
    stopping = threading.Event()

    def ask():
        answers = []
        while not stopping.is_set():
            with client_of(server, context) as client:  # a new connection, and handshake, each time
                answers.append(client.get("/sync/hello").status_code)
        return answers

    with ThreadPoolExecutor(3) as clients:
        asking = [clients.submit(ask) for _ in range(3)]
        try:
            for _ in range(3):
                old = set(eventually(lambda: len(server.workers()) == 2 and server.workers()))
                server.signal(signal.SIGHUP)
                eventually(lambda old=old: not old & set(server.workers()), "the old workers to leave")
        finally:
            stopping.set()
        answers = [status for answer in asking for status in answer.result()]

    assert len(answers) > 10
    assert set(answers) == {200}


@pytest.mark.slow
def test_failed_handshakes_do_not_shift_the_count_of_connections(serve, files):
    server = serve(*files.args(), "--worker-connections", "2", "--header-timeout", "5")

    def connect():
        raw = server.raw()
        raw.socket = files.context().wrap_socket(raw.socket, server_hostname="localhost")
        return raw

    for sent in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"") * 3:
        with server.raw() as raw:
            raw.send(sent)
            if sent[:1] == b"G":
                raw.receive()
    with server.raw() as raw:
        assert raw.is_closed()  # given up after header_timeout

    with connect() as first, connect() as second:
        for raw in (first, second, first, second):
            assert raw.get("/async/hello").receive(until=b"loop").endswith(b"loop")
        for raw in (first, second):
            # An idle one would be closed for the third. The answer to the first request tells that both were read.
            raw.send(GET % b"/async/hello", GET % b"/async/hold?name=busy")
            assert raw.receive(until=b"loop").endswith(b"loop")
        with server.raw() as third:
            third.send(b"nonsense")
            server.wait_for_log("All 2 connections are open")  # it counts two, and sees that one waits
            third.socket.setblocking(False)
            with pytest.raises(BlockingIOError):  # not accepted: it would have been refused
                third.socket.recv(1)
            first.socket.close()
            third.socket.settimeout(PATIENCE)
            assert not third.receive().startswith(b"HTTP/1.1 2")
