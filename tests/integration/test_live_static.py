"""Folders of static files through the running server: what is sent, and what is never reached by raw requests."""

import hashlib
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from clients import read_responses
from processes import PATIENCE, Server

SECRET = b"what nobody may read"
LARGE = os.urandom(1 << 20) * 5
SITE = """
from uvicorn import mount, route, static

async def home(message):
    message["reply_channel"].send({"status": 200, "content": b"home"})

spa = static("build", index="index.html", fallback="index.html")
routes = [mount("/spa", spa), route("http.request", home)]
"""
#: request targets, as they go over the wire
CORPUS = [
    "/static/../secret.txt",
    "/static/../../secret.txt",
    "/static/docs/../../secret.txt",
    "/static/./app.js",
    "/static/docs/./x.txt",
    "/static//app.js",
    "/static//etc/passwd",
    "/static/docs//x.txt",
    "/static///",
    "/static/..",
    "/static/../",
    "/static/...",
    "/static/..;/secret.txt",
    "/static/.%2e/secret.txt",
    "/static/%2e%2e/secret.txt",
    "/static/%2E%2E/secret.txt",
    "/static/%2e%2e%2fsecret.txt",
    "/static/..%2fsecret.txt",
    "/static/..%2Fsecret.txt",
    "/static%2f..%2fsecret.txt",
    "/static/docs%2fx.txt",
    "/static/docs%2F..%2F..%2Fsecret.txt",
    "/static/..%5csecret.txt",
    "/static/..\\secret.txt",
    "/static/docs\\x.txt",
    "/static/docs%5cx.txt",
    "/static/%5c%5cserver%5cshare",
    "/static/%252e%252e/secret.txt",
    "/static/..%252fsecret.txt",
    "/static/%c0%ae%c0%ae/secret.txt",  # overlong UTF-8
    "/static/%c0%ae%c0%ae%c0%afsecret.txt",
    "/static/..%c0%afsecret.txt",
    "/static/%e0%80%ae%e0%80%ae/secret.txt",
    "/static/%uff0e%uff0e/secret.txt",
    "/static/\uff0e\uff0e/secret.txt",
    "/static/%ef%bc%8e%ef%bc%8e/secret.txt",
    "/static/..%00/secret.txt",
    "/static/app.js%00",
    "/static/app.js%00.html",
    "/static/%00",
    "/static/app.js%0a",
    "/static/app.js%0d%0aX-Injected:%20yes",
    "/static/app.js%20",
    "/static/app.js/",
    "/static/app.js/.",
    "/static/app.js/..",
    "/static/app.js/x",
    "/static/.env",
    "/static/%2eenv",
    "/static/.git/config",
    "/static/docs/.hidden",
    "/static/docs/..hidden",
    "/static/.",
    "/static/docs",
    "/static/docs/",
    "/static",
    "/static/",
    "/static/etc-passwd",
    "/static/absolute.txt",
    "/static/parent/secret.txt",
    "/static/parent/build/app.js",
    "/static/loop",
    "/static/loop/x",
    "/static/fifo",
    "/static/" + "a" * 300,
    "/static/" + "a/" * 2000,
    "/static/" + "../" * 100 + "etc/passwd",
    "/static/C:/secret.txt",
    "/static/file:///etc/passwd",
    "/static/~root/.profile",
    "/static/secret.txt",
    "http://test/static/../secret.txt",
    "http://test/static/%2e%2e/secret.txt",
    "http://test//static/app.js",
    "/%73tatic/%2e%2e/secret.txt",
    "/x/../static/../secret.txt",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("static")
    build = folder / "build"
    (build / "docs").mkdir(parents=True)
    (build / ".git").mkdir()
    (folder / "secret.txt").write_bytes(SECRET)
    (folder / "site_of_files.py").write_text(SITE)
    (build / "index.html").write_bytes(b"<p>index")
    (build / "app.js").write_bytes(b"let a = 1;")
    (build / "docs" / "x.txt").write_bytes(b"in a folder")
    (build / "large.bin").write_bytes(LARGE)
    for name in (".env", ".git/config", "docs/.hidden", "docs/..hidden"):
        (build / name).write_bytes(SECRET)
    (build / "etc-passwd").symlink_to("/etc/passwd")
    (build / "absolute.txt").symlink_to(folder / "secret.txt")
    (build / "parent").symlink_to("..")
    (build / "loop").symlink_to("loop")
    os.mkfifo(build / "fifo")
    for number in range(200):
        (build / f"{number}.txt").write_bytes(b"%d" % number)
    return folder


@pytest.fixture(scope="module")
def server(folder):
    app = "/=site_of_files:routes /static=./build/"
    with Server(folder, "--threads", "2", "--queue-size", "1", app=app) as server:
        yield server


def ask(server, target, *fields, method="GET"):
    """Send a request whose target is as it is written here."""
    with server.raw() as raw:
        lines = [f"{method} {target} HTTP/1.1", "Host: test", "Connection: close", *fields]
        raw.send("\r\n".join(lines).encode() + b"\r\n\r\n")
        [response] = read_responses(raw.receive(), [method], is_closed=True)
        return response


def test_the_start_says_what_is_served(server):
    assert "/static  files of ./build, on the event loop" in server.log()


def test_files_are_served_beside_an_application(server):
    assert ask(server, "/static/app.js").body == b"let a = 1;"
    assert ask(server, "/%73tatic/docs/x.txt").body == b"in a folder"
    assert ask(server, "http://test/static/app.js").body == b"let a = 1;"
    assert ask(server, "/staticx").body == b"home"
    assert ask(server, "/spa").headers["location"] == "./spa/"
    assert ask(server, "/spa/").body == b"<p>index"
    assert ask(server, "/spa/users/7", "Accept: text/html").body == b"<p>index"


@pytest.mark.parametrize("target", CORPUS)
def test_nothing_else_is_reached(server, target):
    response = ask(server, target)
    assert response.status in (400, 404) or response.body == b"home"
    assert SECRET not in response.body
    assert b"root:" not in response.body
    assert "x-injected" not in response.headers


@pytest.mark.parametrize("target", [target.replace("/static", "/spa") for target in CORPUS])
def test_a_fallback_gives_nothing_away(server, target):
    response = ask(server, target, "Accept: text/html")
    if response.status == 200:
        assert response.body in (b"<p>index", b"home")
    else:
        assert response.status in (307, 400, 404)


def test_a_link_that_is_swapped_all_the_time_never_leads_out(server, folder):
    """Another process could do the same: a folder is swapped for a link to the outside, and back."""
    build = folder / "build"
    (build / "swapped").mkdir()
    (build / "swapped" / "secret.txt").write_bytes(b"inside")
    (build / "spare").symlink_to("..")
    ended = threading.Event()

    def swap():
        swapped, aside, spare = (build / name for name in ("swapped", "aside", "spare"))
        while not ended.is_set():
            swapped.rename(aside)
            spare.rename(swapped)
            swapped.rename(spare)
            aside.rename(swapped)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        with server.client() as client:
            found = [client.get("/static/swapped/secret.txt") for _ in range(1000)]
    finally:
        ended.set()
        thread.join()
    assert {(each.status_code, each.content) for each in found} <= {(200, b"inside"), (404, b"404 Not Found\n")}


def test_a_file_of_megabytes_is_sent_by_ranges_and_whole(server):
    with server.client() as client:
        whole = client.get("/static/large.bin")
        assert hashlib.sha256(whole.content).digest() == hashlib.sha256(LARGE).digest()
        part = client.get("/static/large.bin", headers={"range": "bytes=1000000-1999999"})
        assert (part.status_code, part.content) == (206, LARGE[1000000:2000000])
        several = client.get("/static/large.bin", headers={"range": "bytes=0-9,1000000-1000009,-10"})
        assert several.status_code == 206
        assert several.content.count(b"content-range: bytes ") == 3
        unchanged = client.get("/static/large.bin", headers={"if-none-match": whole.headers["etag"]})
        assert unchanged.status_code == 304


def test_a_cold_start_refuses_nobody_however_few_threads_there_are(server):
    """Two threads and a queue of one: files that are asked for at once wait for each other."""

    def get(number):
        return server.get(f"/static/{number % 200}.txt")

    with ThreadPoolExecutor(32) as pool:
        found = list(pool.map(get, range(400)))
    assert {each.status_code for each in found} == {200}
    assert [each.text for each in found] == [str(number % 200) for number in range(400)]


def test_a_change_is_served_by_the_next_request(server, folder):
    path = folder / "build" / "changing.txt"
    with server.client() as client:
        for number in range(50):
            path.write_text(str(number % 10))  # of the same size
            assert client.get("/static/changing.txt").text == str(number % 10)


# ---- Django ----

SETTINGS = """
SECRET_KEY = "x"
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "django_urls"
INSTALLED_APPS = ["django.contrib.staticfiles"]
STATIC_URL = "/static/"
STATIC_ROOT = "collected"
STATICFILES_DIRS = ["assets"]
STORAGES = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"}}
"""
URLS = """
from django.http import HttpResponse
from django.templatetags.static import static
from django.urls import path

urlpatterns = [path("", lambda request: HttpResponse(static("base.css")))]
"""
WSGI = """
import os
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "django_settings")
from django.core.wsgi import get_wsgi_application
application = get_wsgi_application()
"""


@pytest.fixture(scope="module")
def django_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("django")
    for name, text in (("django_settings", SETTINGS), ("django_urls", URLS), ("django_wsgi", WSGI)):
        (folder / f"{name}.py").write_text(text)
    (folder / "assets").mkdir()
    (folder / "assets" / "base.css").write_text("body { color: black }")
    return folder


def collect(folder):
    words = [sys.executable, "-m", "django", "collectstatic", "--noinput", "-v0"]
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "django_settings", "PYTHONPATH": str(folder)}
    subprocess.run(words, cwd=folder, env=env, check=True, capture_output=True, timeout=PATIENCE)


def test_django_is_served_with_its_static_files_in_one_line(django_folder):
    app = "/static=django: /=django_wsgi:application"
    with Server(django_folder, app=app, is_ready=False) as server:
        assert server.wait()
        assert "run manage.py collectstatic" in server.log()
    collect(django_folder)
    with Server(django_folder, app=app) as server, server.client() as client:
        path = client.get("/").text
        hashed = client.get(path)
        assert (hashed.status_code, hashed.text) == (200, "body { color: black }")
        assert hashed.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert client.get("/static/base.css").headers["cache-control"] == "no-cache"
        assert client.get("/static/none.css").status_code == 404


def test_a_folder_that_is_not_there_is_told_at_the_start(tmp_path):
    (tmp_path / "site_of_files.py").write_text(SITE)
    with Server(tmp_path, app="/static=./none/", is_ready=False) as server:
        assert server.wait()
        assert "Cannot serve './none/': static: " in server.log()
        assert "Traceback" not in server.log()


def test_a_package_is_no_folder_of_files(tmp_path):
    package = Path(tmp_path / "shop")
    package.mkdir()
    (package / "__init__.py").write_text(SITE.replace("spa = static", "# ").replace('mount("/spa", spa), ', ""))
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a.txt").write_text("a file")
    with Server(tmp_path, app="/api=shop:home /files=files") as server:
        assert ask(server, "/api").body == b"home"
        assert ask(server, "/files/a.txt").body == b"a file"
