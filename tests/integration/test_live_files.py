"""Files in replies over every carrier: who sends them, and what becomes of them when something goes wrong."""

import json
import os
import sys

import pytest
from certificates import Files
from processes import eventually

SIZE = 12_345_678
GET = "GET {} HTTP/1.1\r\nHost: a\r\n\r\n"
COPIES = sys.platform == "linux"

# name -> arguments of the server, those of curl, whether the system copies
CARRIERS = {
    "uvloop": ((), (), True),
    "asyncio": (("--asgi-loop", "asyncio"), (), True),
    "unix": ((), ("--unix-socket", "{socket}"), True),
    "read": (("--no-sendfile",), (), False),
    "tls": (("tls",), ("-k", "--http1.1"), False),
    "tls asyncio": (("tls", "--asgi-loop", "asyncio"), ("-k", "--http1.1"), False),
    "http2": (("tls",), ("-k", "--http2"), False),
    "cleartext http2": (
        ("--http-protocols", "h2,h1", "--http2-cleartext", "both"),
        ("--http2-prior-knowledge",),
        False,
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    (folder / "big").write_bytes(os.urandom(SIZE))
    (folder / "small").write_bytes(b"small file")
    (folder / "empty").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def carriers(serve_module, tmp_path_factory, folder):
    """Return a function that starts a server for a carrier, or finds it: (server, words for curl, copies)."""
    certificates = Files(tmp_path_factory.mktemp("certificates"))
    found = {}

    def carrier(name):
        arguments, words, copies = CARRIERS[name]
        binds = ("127.0.0.1:0",)
        if name == "unix":
            path = f"{tmp_path_factory.mktemp('s')}/s"
            binds = (*binds, f"unix:{path}")
            words = ("--unix-socket", path)
        if (arguments, binds) not in found:
            given = [word for each in arguments for word in (certificates.args() if each == "tls" else (each,))]
            found[arguments, binds] = serve_module(
                *given, "--threads", "2", app="file_consumers:routes", binds=binds, env={"FILES": str(folder)}
            )
        return found[arguments, binds], words, copies and COPIES

    return carrier


@pytest.fixture(params=CARRIERS)
def carrier(request, carriers):
    return carriers(request.param)


@pytest.fixture(params=["uvloop", "asyncio"])
def plain(request, carriers):
    return carriers(request.param)[0]


def state(server):
    words = ("-k",) if server.url.startswith("https") else ()
    return json.loads(server.curl(*words, f"{server.url}/state"))


def nothing_is_open(server):
    eventually(lambda: state(server)["open"] == [], lambda: f"no file open: {state(server)}")


@pytest.mark.parametrize("sender", ["loop", "thread", "asgi/x", "wsgi/x"])
def test_each_sender_over_each_carrier(carrier, folder, sender):
    server, words, copies = carrier
    before = state(server)["copied"]
    url = f"{server.url}/{sender}"
    assert server.curl(*words, f"{url}?name=big") == (folder / "big").read_bytes()
    assert state(server)["copied"] - before == (SIZE if copies else 0)
    assert server.curl(*words, f"{url}?name=small") == b"small file"
    assert server.curl(*words, f"{url}?name=empty") == b""
    assert b"content-length: 12345678" in server.curl(*words, "-I", f"{url}?name=big").lower()
    assert server.curl(*words, "-o", "/dev/null", "-w", "%{http_code}", f"{url}?name=none") == b"500"
    nothing_is_open(server)


@pytest.mark.parametrize("sender", ["loop", "thread"])
def test_content_and_files_alternate(carrier, folder, sender):
    server, words, _ = carrier
    data = (folder / "big").read_bytes()
    expected = b"--a" + data[10:1_000_010] + b"--b" + data[20:1020] + data[30:100_030]
    assert server.curl(*words, f"{server.url}/{sender}/parts?name=big") == expected
    nothing_is_open(server)


def test_a_client_that_reads_slowly_gets_all_of_it_and_holds_no_thread(plain, folder):
    clients = [plain.raw(receive_buffer=4096).get("/thread?name=big") for _ in range(4)]  # more than there are threads
    eventually(lambda: len(state(plain)["open"]) == 4, "four files open")
    assert plain.curl(f"{plain.url}/thread?name=small") == b"small file"
    data = (folder / "big").read_bytes()
    for client in clients:
        with client:
            head = client.receive(b"\r\n\r\n", 1)
            while b"\r\n\r\n" not in head:
                head += client.receive(size=1)
            assert client.receive(size=SIZE) == data
    nothing_is_open(plain)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_leaves_leaves_no_descriptor(plain, how):
    before = state(plain)["all"]  # perhaps with the connection of who asked last
    clients = [plain.raw(receive_buffer=4096).get("/loop?name=big") for _ in range(3)]
    eventually(lambda: len(state(plain)["open"]) == 3, "three files open")
    for client in clients:
        client.receive(size=10000)
        client.reset() if how == "reset" else client.socket.close()
    nothing_is_open(plain)
    eventually(lambda: state(plain)["all"] <= before, "no descriptor more than before")


def test_a_file_that_shrinks_closes_the_connection_and_is_named(plain, folder):
    (folder / "shrinking").write_bytes(bytes(SIZE))
    with plain.raw(receive_buffer=4096).get("/loop?name=shrinking") as client:
        eventually(lambda: state(plain)["open"], "the file is open")
        os.truncate(folder / "shrinking", 1_000_000)
        got = client.receive()
        assert got.startswith(b"HTTP/1.1 200")
        assert len(got) < SIZE
    assert "shrinking became shorter" in plain.wait_for_log("shrinking became shorter")
    nothing_is_open(plain)


def test_pipelined_files_come_in_order(plain, folder):
    data = (folder / "big").read_bytes()
    with plain.raw() as client:
        paths = ["/loop?name=big", "/thread?name=small", "/loop?name=empty", "/thread?name=big"]
        client.send(*(GET.format(path).encode() for path in paths))
        bodies = []
        for _ in paths:
            head = b""
            while b"\r\n\r\n" not in head:
                head += client.receive(size=1)
            size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            bodies.append(client.receive(size=size))
        assert bodies == [data, b"small file", b"", data]


@pytest.mark.parametrize("name", ["uvloop", "asyncio"])
def test_a_worker_that_stops_finishes_its_files(serve, folder, name):
    arguments, _, _ = CARRIERS[name]
    server = serve(*arguments, app="file_consumers:routes", env={"FILES": str(folder)})
    with server.raw(receive_buffer=4096).get("/loop?name=big") as client:
        eventually(lambda: state(server)["open"], "the file is open")
        server.signal(15)
        got = client.receive()
    assert got.endswith((folder / "big").read_bytes())
    assert server.wait() == 0
    assert "Traceback" not in server.log()
