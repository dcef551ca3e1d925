"""HTTP/2 with real clients: curl, nghttp, h2load, httpx, HAProxy; over TLS and in cleartext, by both engines."""

import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading

import httpx
import pytest
from certificates import Files
from h2_load import Load
from plain_http import PLAIN
from ports import free_port
from processes import PATIENCE, eventually

CLEARTEXT = ("--http-protocols", "h2,h1", "--http2-cleartext", "both", "--threads", "2", "--queue-size", "1000")
HAPROXY = """
defaults
    mode http
    timeout connect 60s
    timeout client 60s
    timeout server 60s
listen test
    bind 127.0.0.1:{port}
    server app {host}:{target} proto h2
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return Files(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def secure(serve_module, files):
    return serve_module(*files.args(), "--threads", "2")


@pytest.fixture(scope="module", params=["ngh2", "h2"])
def plain(serve_module, request):
    return serve_module(*CLEARTEXT, "--http2-engine", request.param)


def needs(program):
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def client_of(server, **arguments):
    return httpx.Client(base_url=server.url, trust_env=False, timeout=PATIENCE, http1=False, http2=True, **arguments)


def test_the_start_says_which_engine_serves(secure, plain):
    assert re.search(r"Serving with uvicorn .*, HTTP/2 by (ngh2|h2) \d", secure.log())
    assert re.search(r"Serving with uvicorn .*, HTTP/2 by (ngh2|h2) \d", plain.log())


def test_http2_is_agreed_on_by_alpn_where_both_can(secure, files):
    context = files.context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", httpx.URL(secure.url).port), timeout=PATIENCE) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as wrapped,
    ):
        assert wrapped.selected_alpn_protocol() == "h2"


@pytest.mark.parametrize("side", ["sync", "async"])
def test_httpx_over_tls(secure, files, side):
    with client_of(secure, verify=files.context()) as client:
        answer = client.get(f"/{side}/describe")
        assert answer.http_version == "HTTP/2"
        described = answer.json()
        assert (described["http_version"], described["scheme"]) == ("2", "https")
        assert client.post(f"/{side}/digest", content=b"x" * 1_000_000).json()[0] == 1_000_000
        assert len(client.get(f"/{side}/stream?chunks=50").content) == 50 * 65536


@pytest.mark.parametrize("side", ["sync", "async"])
def test_httpx_in_cleartext(plain, side):
    with client_of(plain) as client:
        assert client.get(f"/{side}/hello").http_version == "HTTP/2"
        assert client.post(f"/{side}/echo", content=b"x" * 200_000).content == b"x" * 200_000
        assert len(client.get(f"/{side}/stream?chunks=20").content) == 20 * 65536


@pytest.mark.parametrize("side", ["sync", "async"])
def test_curl_in_cleartext_and_over_tls(secure, plain, files, side):
    answer = plain.curl("--http2-prior-knowledge", "-w", " %{http_version}", f"{plain.url}/{side}/hello")
    assert answer.endswith(b" 2")
    told = ("--cacert", str(files.trusted), "-w", "%{http_version};%{num_connects};")
    urls = [f"{secure.url}/{side}/hello"] * 2
    assert secure.curl(*told, *urls).endswith(b"2;0;")
    assert plain.curl("-w", " %{http_version}", f"{plain.url}/{side}/hello").endswith(b" 1.1")


def test_curl_that_asks_for_an_upgrade_is_answered_over_http11(plain):
    assert plain.curl("--http2", "-w", " %{http_version}", f"{plain.url}/sync/hello").endswith(b" 1.1")


@needs("nghttp")
def test_nghttp(plain):
    done = subprocess.run(
        ["nghttp", "-v", f"{plain.url}/async/hello"], capture_output=True, timeout=PATIENCE, check=True
    )
    assert b":status: 200" in done.stdout


@needs("h2load")
@pytest.mark.parametrize("side", ["sync", "async"])
def test_h2load(plain, side):
    done = subprocess.run(
        ["h2load", "-c5", "-m20", "-n1000", f"{plain.url}/{side}/hello"],
        capture_output=True,
        timeout=PATIENCE,
        check=True,
    )
    assert b"1000 succeeded, 0 failed" in done.stdout


@needs("haproxy")
def test_haproxy_with_http2_to_the_server(plain, tmp_path):
    port = free_port()
    host, target = plain.address
    config = tmp_path / "haproxy.cfg"
    config.write_text(HAPROXY.format(port=port, host=host, target=target))
    proxy = subprocess.Popen(["haproxy", "-db", "-f", str(config)], stderr=subprocess.DEVNULL)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", **PLAIN) as client:

            def answered():
                try:
                    return client.get("/async/describe")
                except httpx.TransportError:
                    return None

            assert eventually(answered).json()["http_version"] == "2"
            assert client.post("/sync/digest", content=b"x" * 300_000).json()[0] == 300_000
            assert len(client.get("/sync/stream?chunks=20").content) == 20 * 65536
    finally:
        proxy.kill()
        proxy.wait()


def test_no_request_is_lost_over_five_restarts(serve):
    server = serve(*CLEARTEXT, "--workers", "2")
    loads = [Load(server.address, f"/{side}/hello") for side in ("sync", "async")]
    threads = [threading.Thread(target=load.run, daemon=True) for load in loads]
    for thread in threads:
        thread.start()
    for number in range(5):
        before = [load.done for load in loads]
        eventually(lambda before=before: all(load.done > seen + 100 for load, seen in zip(loads, before, strict=True)))
        old = set(server.workers())
        server.signal(signal.SIGHUP)
        eventually(lambda old=old: not old & set(server.workers()), f"restart {number}")
    for load in loads:
        load.is_stopping = True
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert [load.lost for load in loads] == [[], []]
    assert sum(load.connections for load in loads) > 2
    assert "Traceback" not in server.log()


def test_max_requests_counts_streams_and_loses_none(serve):
    server = serve(*CLEARTEXT, "--workers", "2", "--max-requests", "100")
    load = Load(server.address, "/async/hello")
    thread = threading.Thread(target=load.run, daemon=True)
    thread.start()
    eventually(lambda: load.done > 500)
    load.is_stopping = True
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert load.lost == []
    assert "Autorestarting worker" in server.log()


def test_the_access_log_says_http2(serve):
    server = serve(*CLEARTEXT, "--access-logfile", "-")
    server.curl("--http2-prior-knowledge", f"{server.url}/sync/hello?a=b")
    server.wait_for_log('"GET /sync/hello?a=b HTTP/2" 200')


def test_a_client_that_offers_http11_alone_gets_it(secure, files):
    context = files.context()
    assert isinstance(context, ssl.SSLContext)
    with httpx.Client(base_url=secure.url, verify=context, trust_env=False, timeout=PATIENCE) as client:
        assert client.get("/async/hello").http_version == "HTTP/1.1"
