"""Bodies far larger than any buffer, in both directions, while the worker stays small."""

import hashlib
import socket
from pathlib import Path

import pytest
from processes import PATIENCE, descriptors, eventually

PIECE = bytes(range(256)) * 256  # as live_consumers.PIECE
PIECES = 4096  # 256 MiB: more than a worker may have
SIZE = PIECES * len(PIECE)
MOST = 150  # megabytes that a worker may ever have

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("--threads", "2", "--write-timeout", "60")


@pytest.fixture(scope="module")
def sent_digest():
    digest = hashlib.md5()
    for _ in range(PIECES):
        digest.update(PIECE)
    return digest.hexdigest()


def worker_rests(server):
    """Wait until the worker uses no processor time: it can do no more."""
    stat = Path(f"/proc/{server.worker()}/stat")
    seen = []

    def rests():
        seen.append(stat.read_text().rpartition(")")[2].split()[11:13])
        return len(seen) > 25 and all(times == seen[-1] for times in seen[-25:])

    eventually(rests, "the worker to rest")


@pytest.mark.parametrize("side", ["sync", "async"])
@pytest.mark.parametrize("query", ["", "&length=1"], ids=["chunked", "content-length"])
def test_a_quarter_of_a_gibibyte_goes_to_a_client_that_reads_in_bursts_without_filling_the_worker(server, side, query):
    buffer = bytearray(1 << 20)
    tail = b""
    got = 0
    with server.raw(receive_buffer=1 << 18) as raw:
        raw.get(f"/{side}/stream?chunks={PIECES}{query}", "Connection: close")
        for _ in range(3):
            worker_rests(server)
            assert server.memory() < MOST
            for _ in range(8):
                got += raw.socket.recv_into(buffer)
        while size := raw.socket.recv_into(buffer):
            got += size
            tail = (tail + buffer[max(0, size - 256) : size])[-256:]

    if query:
        assert SIZE < got < SIZE + 500
        assert PIECE.endswith(tail)
    else:
        framing = len(b"10000\r\n\r\n") * PIECES
        assert SIZE + framing < got < SIZE + framing + 500
        assert tail.endswith(b"\r\n0\r\n\r\n")
    assert server.memory("VmHWM") < MOST


@pytest.mark.parametrize("path", ["/async/digest", "/sync/digest", "/sync/digest-as-it-comes"])
def test_a_quarter_of_a_gibibyte_comes_to_a_consumer_without_filling_the_worker(server, sent_digest, path):
    with server.raw() as raw:
        raw.send(f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {SIZE}\r\n\r\n".encode())
        block = PIECE * 16
        for _ in range(PIECES // 16):
            raw.socket.sendall(block)
        raw.socket.settimeout(PATIENCE)
        answer = raw.receive(until=b"]")

    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b'[%d, "%s"]' % (SIZE, sent_digest.encode()))
    assert server.memory("VmHWM") < MOST


def test_a_client_ahead_of_its_consumer_is_stopped(server):
    sent = 0
    with server.raw() as raw:
        raw.send(f"POST /async/hold?name=reader HTTP/1.1\r\nHost: test\r\nContent-Length: {SIZE}\r\n\r\n".encode())
        eventually(lambda: server.state()["holding"].get("reader"), "the consumer to run")
        raw.socket.setblocking(False)
        for _ in range(3):
            worker_rests(server)
            while True:
                try:
                    sent += raw.socket.send(PIECE)
                except BlockingIOError:
                    break
        assert sent < 64 << 20  # what the buffers of the kernel take, far from all
        assert server.memory() < MOST
        server.get("/release?name=reader")
        raw.socket.setblocking(True)
        raw.socket.settimeout(PATIENCE)
        assert raw.receive(until=b"reader").startswith(b"HTTP/1.1 200 OK")


def test_a_stream_to_many_clients_that_do_not_read_fills_no_memory(server):
    raws = [server.raw(receive_buffer=4096) for _ in range(100)]
    try:
        for raw in raws:
            raw.get("/async/stream?chunks=1000")
        worker_rests(server)
        assert server.memory() < MOST
        assert server.get("/sync/hello").status_code == 200
    finally:
        for raw in raws:
            raw.socket.close()
    eventually(lambda: server.state()["objects"]["HTTPConnection"] == 1, "the connections to go")


def test_an_upload_that_breaks_off_leaves_no_temporary_file(serve, tmp_path):
    server = serve(config=f"tmp_upload_dir = {str(tmp_path)!r}")
    pid = server.worker()

    def has_file():
        return any(name.startswith(str(tmp_path)) for _, name in descriptors(pid))

    with server.raw() as raw:
        raw.send(b"POST /sync/digest HTTP/1.1\r\nHost: test\r\nContent-Length: 90000000\r\n\r\n", PIECE * 64)
        eventually(has_file, "a temporary file in tmp_upload_dir")
        raw.socket.shutdown(socket.SHUT_RDWR)
    eventually(lambda: not has_file(), "the temporary file to go")
    assert list(tmp_path.iterdir()) == []
