"""The protocol, as clients see it that nobody here wrote; and raw bytes where they are too polite."""

import hashlib
import os

import pytest
import requests
from processes import NEVER, eventually

SIDES = ("sync", "async")
LARGE = os.urandom(1 << 16) * 20  # 1.25 MiB: past every buffer


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("--threads", "4")


@pytest.fixture
def session():
    with requests.Session() as session:
        session.trust_env = False
        yield session


@pytest.mark.parametrize("side", SIDES)
def test_a_session_of_requests_stays_on_one_connection(server, session, side):
    ports = set()
    for _ in range(20):
        ports.add(session.get(f"{server.url}/{side}/describe").json()["client"][1])

    assert len(ports) == 1


@pytest.mark.parametrize("path", ["/sync/echo", "/async/echo"])
@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 524288, 1200000])
def test_a_body_of_any_size_comes_back_as_it_was_sent(server, session, path, size):
    response = session.post(server.url + path, data=LARGE[:size])

    assert response.status_code == 200
    assert hashlib.md5(response.content).digest() == hashlib.md5(LARGE[:size]).digest()


@pytest.mark.parametrize("path", ["/sync/digest", "/async/digest", "/sync/digest-as-it-comes"])
def test_a_chunked_upload_arrives_whole(server, session, path):
    pieces = [LARGE[at : at + 50_000] for at in range(0, len(LARGE), 50_000)]

    response = session.post(server.url + path, data=iter(pieces))

    assert response.json() == [len(LARGE), hashlib.md5(LARGE).hexdigest()]
    assert session.get(f"{server.url}/sync/hello").status_code == 200


@pytest.mark.parametrize("side", SIDES)
def test_curl_with_expect_sends_its_body_after_100(server, tmp_path, side):
    upload = tmp_path / "upload"
    upload.write_bytes(LARGE)
    verbose = tmp_path / "verbose"

    answer = server.curl(
        "-v",
        "--stderr",
        str(verbose),
        "-H",
        "Expect: 100-continue",
        "--expect100-timeout",
        str(NEVER),
        "--data-binary",
        f"@{upload}",
        f"{server.url}/{side}/digest",
    )

    assert answer.decode() == f'[{len(LARGE)}, "{hashlib.md5(LARGE).hexdigest()}"]'
    assert "HTTP/1.1 100 Continue" in verbose.read_text()


def test_a_refused_upload_with_expect_is_never_asked_for(server, tmp_path):
    with server.raw() as raw:
        raw.send(b"POST /nowhere HTTP/1.1\r\nHost: test\r\nContent-Length: 9999999\r\nExpect: 100-continue\r\n\r\n")
        answer = raw.receive()

    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"100 Continue" not in answer


def test_a_large_upload_that_is_not_read_gets_its_answer(server, session):
    response = session.post(f"{server.url}/sync/ignore-body", data=LARGE * 4)

    assert (response.status_code, response.text) == (403, "not read")


@pytest.mark.parametrize("side", SIDES)
def test_curl_with_http_1_0_gets_a_whole_answer_and_the_end(server, side):
    answer = server.curl("--http1.0", "-i", f"{server.url}/{side}/stream?chunks=5&size=1000")

    head, _, body = answer.partition(b"\r\n\r\n")
    assert len(body) == 5000
    assert b"chunked" not in head
    assert b"connection: close" in head.lower()


def test_curl_with_http_1_0_and_keep_alive_makes_two_requests_on_one_connection(server):
    url = f"{server.url}/sync/hello"

    answer = server.curl("--http1.0", "-i", "-H", "Connection: keep-alive", "-w", "%{num_connects};", url, url)

    assert answer.count(b"hello from a thread") == 2
    assert answer.endswith(b"0;")


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("path", ["hello", "stream?chunks=3", "stream?chunks=3&length=1"])
def test_head_has_the_head_of_get_and_no_body(server, session, side, path):
    url = f"{server.url}/{side}/{path}"

    head, get = session.head(url), session.get(url)

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers.get("content-length") == get.headers.get("content-length")


@pytest.mark.parametrize("code", [204, 304])
def test_a_status_without_body_leaves_the_connection_usable(server, session, code):
    first = session.get(f"{server.url}/status?code={code}")
    second = session.get(f"{server.url}/async/hello")

    assert (first.status_code, first.content) == (code, b"")
    assert "transfer-encoding" not in first.headers
    assert second.content == b"hello from the loop"


def test_pipelined_requests_are_answered_in_their_order(server):
    with server.raw() as raw:
        raw.get("/sync/slow?seconds=0.2").get("/async/hello").get("/sync/echo").get("/sync/hello", "Connection: close")
        answer = raw.receive()

    bodies = [part.rpartition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200 OK")[1:]]
    assert bodies == [b"slept in a thread", b"hello from the loop", b"", b"hello from a thread"]


def test_two_hundred_pipelined_requests_are_all_answered(server):
    with server.raw() as raw:
        for number in range(200):
            raw.get(f"/{SIDES[number % 2]}/describe?{number}", *(["Connection: close"] if number == 199 else []))
        answer = raw.receive()

    assert [answer.find(b'"query": "%d"' % number) for number in range(200)] == sorted(
        answer.find(b'"query": "%d"' % number) for number in range(200)
    )
    assert answer.count(b"HTTP/1.1 200 OK") == 200


@pytest.mark.parametrize("path", ["/sync/hello", "/async/hello", "/sync/slow", "/async/slow", "/async/later"])
def test_a_half_closed_client_gets_its_answer(server, path):
    with server.raw() as raw:
        answer = raw.get(path).shut().receive()

    assert answer.count(b"HTTP/1.1 200 OK") == 1
    assert answer.endswith((b"thread", b"loop"))


@pytest.mark.parametrize("side", SIDES)
def test_a_half_closed_client_gets_a_whole_stream(server, side):
    with server.raw() as raw:
        answer = raw.get(f"/{side}/stream?chunks=100&length=1").shut().receive()

    response = answer.partition(b"HTTP/1.1 200 OK")[2]  # a 100 Continue may come before it
    assert len(response.partition(b"\r\n\r\n")[2]) == 100 * 65536


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("name", "status"), [("fail", 500), ("bad-reply", 500), ("drop", 500), ("later", 200)])
def test_what_a_consumer_does_wrong_is_500_and_the_connection_lives(server, session, side, name, status):
    response = session.get(f"{server.url}/{side}/{name}")

    assert response.status_code == status
    assert "Traceback" not in response.text
    assert session.get(f"{server.url}/{side}/hello").status_code == 200


@pytest.mark.parametrize("side", SIDES)
def test_a_consumer_that_fails_in_its_reply_breaks_the_connection_off(server, side):
    with server.raw() as raw:
        answer = raw.get(f"/{side}/fail-late").receive()

    assert b"\r\n\r\n4\r\nhalf\r\n" in answer
    assert not answer.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/sync/fail", "RuntimeError: failed in a thread"),
        ("/async/fail", "RuntimeError: failed on the loop"),
        ("/sync/bad-reply", "content must be bytes, bytearray or memoryview, not str 'text': encode it first"),
        ("/sync/drop", "odd_consumers.drop let go of its reply channel without a reply: GET /sync/drop"),
        ("/async/drop", "odd_consumers.drop_async let go of its reply channel without a reply: GET /async/drop"),
        ("/sync/give-coroutine", "odd_consumers.give_coroutine is a plain function but returned a coroutine"),
    ],
)
def test_the_log_says_what_a_consumer_did_wrong(server, path, words):
    assert server.get(path).status_code == 500

    eventually(lambda: words in server.log(), f"{words!r} in the log")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/3.0\r\nHost: test\r\n\r\n", 505),
        (b"FETCH / HTTP/1.1\r\nHost: test\r\n\r\n", 501),
        (b"GET /%s HTTP/1.1\r\nHost: test\r\n\r\n" % (b"x" * 5000), 414),
        (b"GET / HTTP/1.1\r\nHost: test\r\nX: %s\r\n\r\n" % (b"x" * 9000), 431),
        (b"GET / HTTP/1.1\r\nHost: test\r\n%s\r\n" % (b"X: y\r\n" * 101), 431),
        (b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: test\r\nExpect: magic\r\n\r\n", 417),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"hello\n", 400),
    ],
)
def test_nonsense_is_answered_once_and_the_connection_closed(server, sent, status):
    with server.raw() as raw:
        answer = raw.send(sent).receive()

    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"connection: close" in answer


def test_a_request_that_comes_byte_by_byte_is_one_request(server):
    with server.raw() as raw:
        for byte in b"POST /sync/echo HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello":
            raw.send(bytes([byte]))
        answer = raw.receive()

    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b"\r\n\r\nhello")


def test_curl_that_offers_http_2_is_served_http_1_1(server):
    answer = server.curl("--http2", "-w", " %{http_version}", f"{server.url}/sync/hello")

    assert answer == b"hello from a thread 1.1"


def test_curl_uploads_what_it_reads_from_a_pipe(server):
    answer = server.curl("-T", "-", f"{server.url}/async/echo", stdin=b"piped " * 50_000)

    assert answer == b"piped " * 50_000


@pytest.mark.parametrize("side", ["sync", "async"])
def test_a_channel_that_only_a_cycle_of_references_holds_gets_500(server, side):
    """Long before reply_timeout, which would say 504."""
    assert server.get(f"/{side}/drop-in-a-cycle").status_code == 500
