"""Files that applications have the server send: `wsgi.file_wrapper`, `http.response.pathsend` and `zerocopysend`."""

from __future__ import annotations

import gzip
import os
import tempfile
from contextlib import suppress
from functools import partial
from io import BytesIO

import pytest
from starlette.responses import FileResponse

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = GET.replace(b"GET", b"HEAD", 1)
CONTENT = bytes(range(256)) * 1024
opened = partial(open, mode="rb")
PLAIN = [("Content-Type", "text/plain")]
OSTYPE = "/proc/sys/kernel/ostype"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "data.bin"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture(autouse=True)
def _descriptors():
    """Fail a test that leaves a file open."""

    def files():
        found = []
        for name in os.listdir("/proc/self/fd"):
            with suppress(FileNotFoundError):  # closed meanwhile: that of the list, or one of another thread
                found.append(os.readlink(f"/proc/self/fd/{name}"))
        return [path for path in found if "data.bin" in path]

    assert files() == []
    yield
    assert files() == []


# ---- ASGI ----


class App:
    """Send these events."""

    def __init__(self, *events):
        self.events = events

    async def __call__(self, scope, receive, send):
        self.extensions = scope["extensions"]
        for event in self.events:
            await send(event)


def start(*headers, **more):
    return {"type": "http.response.start", "status": 200, "headers": headers, **more}


def pathsend(path):
    return {"type": "http.response.pathsend", "path": str(path)}


def zerocopysend(file, **more):
    return {"type": "http.response.zerocopysend", "file": file, **more}


def serve(make_site, app, request=GET):
    client = make_site(app).connect()
    client.send(request)
    return client


def test_both_extensions_are_in_the_scope(make_site, path):
    app = App(start(), pathsend(path))
    serve(make_site, app)
    assert app.extensions["http.response.pathsend"] == app.extensions["http.response.zerocopysend"] == {}


@pytest.mark.parametrize("headers", [(), ((b"content-length", b"262144"),)])
def test_pathsend_sends_the_whole_file(make_site, path, headers):
    (response,) = serve(make_site, App(start(*headers), pathsend(path))).responses()
    assert response.body == CONTENT
    assert response.headers["content-length"] == "262144"


@pytest.mark.parametrize("size", [10, 200_000])
def test_of_a_file_that_has_grown_since_its_size_was_asked_for_is_sent_what_was_promised(make_site, path, size):
    app = App(start((b"content-length", str(size).encode())), pathsend(path))
    os.truncate(path, size + 7)
    (response,) = serve(make_site, app).responses()
    assert response.body == (CONTENT + bytes(7))[:size]


def test_a_response_is_complete_behind_pathsend(make_site, path):
    received = []

    async def app(scope, receive, send):
        await send(start())
        await send(pathsend(path))
        received.extend([await receive(), await receive()])

    serve(make_site, app)
    assert [event["type"] for event in received] == ["http.request", "http.disconnect"]


def test_a_path_that_is_not_there_raises_in_the_application_and_is_500(make_site, path):
    client = serve(make_site, App(start(), pathsend(f"{path}.no")))
    assert client.statuses() == [500]
    assert "Error in" in client.site.log.take("error")[0]


@pytest.mark.parametrize("size", [10, len(CONTENT)])
def test_the_loop_does_not_wait_for_a_path(make_site, path, size):
    os.truncate(path, size)
    site = make_site(App(start(), pathsend(path)))
    site.files.is_held = True
    client = site.connect()
    client.send(GET)
    assert client.transport.received == b""
    site.files.is_held = False
    site.loop.call_soon(site.files.work)
    site.settle()
    assert client.responses()[0].body == CONTENT[:size]


def test_a_client_that_leaves_while_a_path_is_opened_leaves_no_file_open(make_site, path):
    site = make_site(App(start(), pathsend(path)))
    site.files.is_held = True
    client = site.connect()
    client.send(GET)
    client.leave()
    site.loop.call_soon(site.files.work)
    site.settle()


def test_pathsend_before_the_start_is_refused(make_site, path):
    client = serve(make_site, App(pathsend(path)))
    assert client.statuses() == [500]
    assert client.site.log.take("error")


@pytest.mark.parametrize("is_number", [True, False])
@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({}, CONTENT[5:]),
        ({"count": 100}, CONTENT[5:105]),
        ({"offset": 7}, CONTENT[7:]),
        ({"offset": 0, "count": 200000}, CONTENT[:200000]),
    ],
)
def test_zerocopysend_sends_the_part_and_leaves_the_file_open(make_site, path, bounds, expected, is_number):
    with open(path, "rb") as file:
        file.seek(5)
        (response,) = serve(
            make_site, App(start(), zerocopysend(file.fileno() if is_number else file, **bounds))
        ).responses()
        assert response.body == expected
        assert not file.closed
        assert os.fstat(file.fileno())


def test_parts_without_an_offset_follow_one_another(make_site, path):
    with open(path, "rb") as file:
        part = zerocopysend(file, count=100000, more_body=True)
        (response,) = serve(make_site, App(start(), part, part, zerocopysend(file))).responses()
    assert response.body == CONTENT


def test_the_file_may_be_closed_as_soon_as_it_was_sent(make_site, path):
    async def app(scope, receive, send):
        await send(start())
        with opened(path) as file:
            await send(zerocopysend(file))

    assert serve(make_site, app).responses()[0].body == CONTENT


def test_content_and_files_alternate(make_site, path):
    first = {"type": "http.response.body", "body": b"--a", "more_body": True}
    second = {"type": "http.response.body", "body": b"--b", "more_body": True}
    (response,) = serve(make_site, App(start(), first, second, pathsend(path))).responses()
    assert response.body == b"--a--b" + CONTENT


def test_trailers_follow_a_file(make_site, path):
    trailers = {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]}
    client = serve(make_site, App(start(trailers=True), pathsend(path), trailers))
    assert client.transport.received.endswith(b"\r\n0\r\nx-sum: 1\r\n\r\n")


@pytest.mark.parametrize("file", [None, "path", BytesIO()])
def test_zerocopysend_without_a_descriptor_is_refused(make_site, file):
    client = serve(make_site, App(start(), zerocopysend(file)))
    assert client.statuses() == [500]
    assert client.site.log.take("error")


def test_a_task_that_is_left_behind_leaves_no_file_open(make_site, path):
    kept = []

    async def app(scope, receive, send):
        kept.append(send)
        await send(start())
        await send({"type": "http.response.body", "body": b""})

    client = serve(make_site, app)
    with open(path, "rb") as file:
        task = client.site.loop.create_task(kept[0](zerocopysend(file)))
        client.site.settle()
    assert "ChannelClosed" in repr(task.exception())


@pytest.mark.parametrize("request_bytes", [GET, HEAD])
def test_the_file_response_of_starlette_uses_pathsend(make_site, path, request_bytes, monkeypatch):
    monkeypatch.setattr("starlette.responses.anyio.open_file", None)
    stat = os.stat(path)
    app = FileResponse(path, stat_result=stat)
    client = serve(make_site, app, request_bytes)
    (response,) = client.responses(request_bytes[:4].decode().strip())
    assert response.headers["content-length"] == str(len(CONTENT))
    assert response.body == (CONTENT if request_bytes is GET else b"")


# ---- WSGI ----


def wrapping(make_file, headers=PLAIN, made=None, **more):
    def app(environ, start_response):
        start_response("200 OK", headers)
        wrapper = environ["wsgi.file_wrapper"](make_file(), **more)
        if made is not None:
            made.append(wrapper)
        return wrapper

    return app


def serve_wsgi(make_site, app, request=GET):
    site = make_site(app)
    client = site.connect()
    client.send(request)
    site.run_job(in_thread=True)
    return client.responses(request[:4].decode().strip())[0]


@pytest.fixture
def reads(monkeypatch):
    """Count what is read in Python."""
    read = []
    monkeypatch.setattr("uvicorn.applications.files.BlockWrapper.__next__", lambda wrapper: read.append(1) or b"")
    return read


@pytest.mark.parametrize("headers", [PLAIN, [*PLAIN, ("Content-Length", "262144")]])
@pytest.mark.parametrize("buffering", [0, -1])
def test_a_real_file_is_sent_by_the_server_and_closed_by_the_application(make_site, path, reads, headers, buffering):
    made = []
    app = wrapping(lambda: opened(path, buffering=buffering), headers, made)
    response = serve_wsgi(make_site, app)
    assert response.body == CONTENT
    assert response.headers["content-length"] == "262144"
    assert [wrapper.filelike.closed for wrapper in made] == [True]
    assert reads == []


def test_a_file_is_sent_from_where_it_stands_and_no_further_than_promised(make_site, path, reads):
    def make_file():
        file = opened(path)
        file.read(7)
        return file

    response = serve_wsgi(make_site, wrapping(make_file, [("Content-Length", "100000")]))
    assert response.body == CONTENT[7:100007]


def test_a_file_may_follow_what_was_written(make_site, path):
    def app(environ, start_response):
        start_response("200 OK", PLAIN)(b"first ")
        return environ["wsgi.file_wrapper"](opened(path))

    assert serve_wsgi(make_site, app).body == b"first " + CONTENT


def test_a_temporary_file_is_sent_though_it_is_gone_when_the_application_returns(make_site, reads):
    def make_file():
        file = tempfile.NamedTemporaryFile()  # noqa: SIM115
        file.write(CONTENT)
        file.seek(0)
        return file

    assert serve_wsgi(make_site, wrapping(make_file)).body == CONTENT


def test_the_content_of_a_gzip_file_is_sent_and_not_its_bytes(make_site, tmp_path):
    with gzip.open(tmp_path / "a.gz", "wb") as file:
        file.write(b"abc")
    assert serve_wsgi(make_site, wrapping(partial(gzip.open, tmp_path / "a.gz"))).body == b"abc"


def test_a_pipe_is_read_in_the_thread(make_site):
    def make_file():
        reading, writing = os.pipe()
        os.write(writing, b"abc")
        os.close(writing)
        return opened(reading, buffering=0)

    assert serve_wsgi(make_site, wrapping(make_file)).body == b"abc"


@pytest.mark.skipif(not os.path.exists(OSTYPE), reason="this system has no /proc")
@pytest.mark.parametrize("length", [[], [("Content-Length", "6")]])
def test_a_file_of_proc_whose_size_is_0_is_read(make_site, length):
    app = wrapping(lambda: opened(OSTYPE), [*PLAIN, *length])
    assert serve_wsgi(make_site, app).body == b"Linux\n"


def test_an_empty_file_is_an_empty_response(make_site, tmp_path):
    (tmp_path / "empty").touch()
    response = serve_wsgi(make_site, wrapping(lambda: opened(tmp_path / "empty")))
    assert (response.status, response.body) == (200, b"")


def test_head_of_a_file_has_its_length(make_site, path, reads):
    response = serve_wsgi(make_site, wrapping(lambda: opened(path)), HEAD)
    assert response.headers["content-length"] == "262144"


def test_a_file_that_is_shorter_than_promised_is_500(make_site, path):
    site = make_site(wrapping(lambda: opened(path), [("Content-Length", "262145")]))
    client = site.connect()
    client.send(GET)
    site.run_job(in_thread=True)
    assert client.statuses() == [500]
    assert "Error in" in site.log.take("error")[0]


def test_a_wrapper_without_start_response_is_500(make_site, path):
    site = make_site(lambda environ, start_response: environ["wsgi.file_wrapper"](opened(path)))
    client = site.connect()
    client.send(GET)
    site.run_job(in_thread=True)
    assert client.statuses() == [500]
    assert site.log.take("error")
