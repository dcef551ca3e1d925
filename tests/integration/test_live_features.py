"""Django, Flask and Starlette: downloads, cookies, redirects, conditions, ranges and errors through the server."""

import hashlib
import os

import pytest

MEGABYTES = 50
ALL = ["/django", "/asgi", "/flask", "/star"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    (folder / "big.bin").write_bytes(os.urandom(1 << 20) * MEGABYTES)
    (folder / "page.txt").write_text("the page")
    return folder


@pytest.fixture(scope="module")
def server(serve_module, files):
    return serve_module("--threads", "4", app="live_features:routes", env={"FILES": str(files)})


@pytest.mark.parametrize(
    "path", [f"{prefix}/{name}" for prefix in ALL for name in ("big", "stream") if (prefix, name) != ("/asgi", "big")]
)  # Django reads it all first, and warns
def test_a_download_of_50_megabytes_takes_no_memory(server, files, path):
    server.reset_peak()
    before = server.memory()
    digest = hashlib.sha256()
    with server.client() as client, client.stream("GET", path) as response:
        for chunk in response.iter_raw():
            digest.update(chunk)
    assert response.status_code == 200
    assert digest.digest() == hashlib.sha256((files / "big.bin").read_bytes()).digest()
    if path.endswith("big"):
        assert response.headers["content-length"] == str(MEGABYTES << 20)
    else:
        assert response.headers["transfer-encoding"] == "chunked"
    assert server.memory("VmHWM") - before < 20


@pytest.mark.parametrize("prefix", ALL)
def test_a_redirect_below_the_prefix_sets_two_cookies(server, prefix):
    with server.client(follow_redirects=True) as client:
        done = client.get(f"{prefix}/go")
        [first] = done.history
        assert (first.status_code, done.url.path) == (307 if prefix == "/star" else 302, f"{prefix}/seen")
        assert len(first.headers.get_list("set-cookie")) == 2
        assert done.text == "a b x"


@pytest.mark.parametrize("path", ["/django/page", "/asgi/page", "/flask/page", "/star/static/page.txt"])
def test_conditions_by_tag_and_by_time(server, path):
    with server.client() as client:
        page = client.get(path)
        tag, time = page.headers["etag"], page.headers["last-modified"]
        assert (page.status_code, page.text) == (200, "the page")
        for condition in ({"if-none-match": tag}, {"if-none-match": f'"x", {tag}'}, {"if-modified-since": time}):
            again = client.get(path, headers=condition)
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        for condition in ({"if-none-match": '"x"'}, {"if-modified-since": "Mon, 01 Jan 2001 00:00:00 GMT"}):
            assert client.get(path, headers=condition).text == "the page"


@pytest.mark.parametrize("prefix", ["/flask", "/star"])
def test_ranges_where_the_framework_has_them(server, files, prefix):
    with server.client() as client:
        part = client.get(f"{prefix}/big", headers={"range": "bytes=1000-1999"})
        assert part.status_code == 206
        assert part.headers["content-range"] == f"bytes 1000-1999/{MEGABYTES << 20}"
        assert part.content == (files / "big.bin").read_bytes()[1000:2000]
        assert client.get(f"{prefix}/big", headers={"range": "bytes=99999999999-"}).status_code == 416


@pytest.mark.parametrize(
    ("prefix", "name"), [("/django", "Django"), ("/asgi", "Django"), ("/flask", "Flask"), ("/star", "Starlette")]
)
def test_an_error_is_in_the_log_and_not_in_the_answer(server, prefix, name):
    before = server.log().count(f"LookupError: secret of {name}")
    with server.client() as client:
        answer = client.get(f"{prefix}/broken")
        assert client.get(f"{prefix}/nowhere").status_code == 404
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    server.wait_for_log(f"LookupError: secret of {name}", count=before + 1)
