"""A folder of static files, over HTTP/1.1 and HTTP/2: what is sent, from where, and with which fields."""

import gzip
import os
import re
import sys
from types import SimpleNamespace

import pytest
from clients import Kept, Site
from h2_clients import connect

from uvicorn import mount, route, static
from uvicorn.applications import folder as folder_module
from uvicorn.applications import static_entries
from uvicorn.applications.contents import served
from uvicorn.applications.routing import as_application
from uvicorn.applications.static_entries import SMALL, Entries
from uvicorn.errors import RouteError

OLD = 784111777 * 10**9 + 5  # Sun, 06 Nov 1994 08:49:37 GMT
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
PAGE = b"<p>page</p>" * 50
LARGE = bytes(range(256)) * 2048


@pytest.fixture
def build(tmp_path):
    """A folder as a build leaves it, and a secret beside it."""
    folder = tmp_path / "build"
    write(tmp_path / "secret.txt", b"secret")
    write(folder / "index.html", PAGE)
    write(folder / "app.js", b"let a = 1;" * 300)
    write(folder / "app.3f2a9c1b.js", b"let b = 2;" * 100)
    write(folder / "docs" / "index.html", b"docs")
    write(folder / "docs" / "plain.txt", b"0123456789")
    write(folder / "empty" / "x.txt", b"")
    write(folder / "large.bin", LARGE)
    write(folder / ".env", b"secret")
    write(folder / ".git" / "config", b"secret")
    return folder


def write(path, content, at=OLD):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, ns=(at, at))


def squeeze(path, end=".gz", content=None, at=OLD):
    write(path.with_name(path.name + end), gzip.compress(path.read_bytes()) if content is None else content, at)


class Served:
    """A folder that is served below /static."""

    def __init__(self, make_site, folder, prefix="/static", **options):
        consumer = static(folder, **options)
        self.files = consumer.target
        self.site = make_site([mount(prefix, consumer)])

    def ask(self, path, method="GET", **fields):
        client = self.site.connect()
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
        head = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: example.org", *lines])
        client.send(head.encode("latin-1") + b"\r\n\r\n")
        [response] = client.responses(method)
        self.wait()
        return response

    def wait(self):
        """Let a moment pass, in which what was found is not looked at again."""
        self.site.pass_time(0.02)


@pytest.fixture
def site(make_site, build):
    return Served(make_site, build)


@pytest.fixture
def remembers(monkeypatch):
    """Remember files at once, however young they are."""
    monkeypatch.setattr(static_entries, "_SETTLED", -(10**18))


# ---- what is sent ----


def test_a_file_is_sent_with_all_that_is_known_of_it(site):
    response = site.ask("/static/docs/plain.txt")
    assert (response.status, response.body) == (200, b"0123456789")
    tag = f'"{OLD:x}-a"'
    assert response.headers == {
        "server": "uvicorn",
        "date": response.headers["date"],
        "cache-control": "no-cache",
        "etag": tag,
        "last-modified": DATE,
        "accept-ranges": "bytes",
        "content-type": "text/plain; charset=utf-8",
        "content-length": "10",
    }


@pytest.mark.parametrize("name", ["docs/plain.txt", "large.bin", "app.js"])
def test_head_has_the_fields_of_get(site, name):
    whole, head = site.ask(f"/static/{name}"), site.ask(f"/static/{name}", "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers == whole.headers
    assert head.headers["content-length"] == str(len(whole.body))


def test_a_large_file_is_sent(site):
    assert site.ask("/static/large.bin").body == LARGE
    assert len(LARGE) > SMALL


def test_an_empty_file_is_sent(site):
    response = site.ask("/static/empty/x.txt")
    assert (response.status, response.body, response.headers["content-length"]) == (200, b"", "0")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_are_refused(site, method):
    response = site.ask("/static/app.js", method)
    assert (response.status, response.headers["allow"]) == (405, "GET, HEAD")


def test_a_body_is_not_waited_for(site):
    client = site.site.connect()
    client.send(b"POST /static/app.js HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
    assert client.statuses() == [405]


@pytest.mark.parametrize(
    "path", ["/static/none", "/static/docs", "/static/docs/", "/static", "/static/", "/static/app.js/", "/static/.env"]
)
def test_what_is_no_file_is_not_found(site, path):
    response = site.ask(path)
    assert (response.status, response.body) == (404, b"404 Not Found\n")


def test_a_folder_alone_is_an_application(make_site, build):
    consumer = static(build, index="index.html")
    client = make_site(consumer).connect()
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /docs/plain.txt HTTP/1.1\r\nHost: x\r\n\r\n")
    assert [response.body for response in client.responses()] == [PAGE, b"0123456789"]


def test_a_socket_is_refused(site):
    client = site.site.connect()
    client.send(
        b"GET /static/app.js HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    assert client.statuses() == [403]


def test_names_are_bytes(make_site, build):
    site = Served(make_site, build)
    write(build / "\xfcber uns.txt", b"utf-8")
    (build / os.fsdecode(b"\xff.txt")).write_bytes(b"no utf-8")
    assert site.ask("/static/%C3%BCber%20uns.txt").body == b"utf-8"
    assert site.ask("/static/%FF.txt").body == b"no utf-8"


def test_further_fields_and_types(make_site, build):
    site = Served(
        make_site, build, headers=[("Access-Control-Allow-Origin", "*")], types={".JS": "text/x-js"}, cache_control=None
    )
    response = site.ask("/static/app.js")
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["content-type"] == "text/x-js; charset=utf-8"
    assert "cache-control" not in response.headers


def test_names_with_a_hash_are_immutable(make_site, build):
    site = Served(make_site, build, cache_control="max-age=60")
    assert site.ask("/static/app.3f2a9c1b.js").headers["cache-control"] == "public, max-age=31536000, immutable"
    assert site.ask("/static/app.js").headers["cache-control"] == "max-age=60"
    by_folder = Served(make_site, build, immutable="^docs/")
    assert "immutable" in by_folder.ask("/static/docs/plain.txt").headers["cache-control"]
    assert by_folder.ask("/static/app.3f2a9c1b.js").headers["cache-control"] == "no-cache"


# ---- conditions and ranges ----


def test_conditions_are_answered(site):
    tag = site.ask("/static/app.js").headers["etag"]
    for condition in ({"If_None_Match": tag}, {"If_Modified_Since": DATE}, {"If_None_Match": f'"x", W/{tag}'}):
        response = site.ask("/static/app.js", **condition)
        assert (response.status, response.body) == (304, b"")
        assert response.headers.keys() == {"server", "date", "cache-control", "etag", "last-modified"}
    assert site.ask("/static/app.js", "HEAD", If_None_Match=tag).status == 304
    assert site.ask("/static/app.js", If_Match='"other"').status == 412
    assert site.ask("/static/app.js", If_Unmodified_Since="Sun, 06 Nov 1994 08:49:36 GMT").status == 412
    assert site.ask("/static/app.js", If_Match=tag).status == 200


@pytest.mark.parametrize(("name", "content"), [("docs/plain.txt", b"0123456789"), ("large.bin", LARGE)])
def test_one_range_is_sent_as_it_is(site, name, content):
    size = len(content)
    for value, first, last in (("bytes=2-5", 2, 5), ("bytes=-3", size - 3, size - 1), ("bytes=7-", 7, size - 1)):
        response = site.ask(f"/static/{name}", Range=value)
        assert (response.status, response.body) == (206, content[first : last + 1])
        assert response.headers["content-range"] == f"bytes {first}-{last}/{size}"
        assert response.headers["content-length"] == str(last - first + 1)
        assert "etag" in response.headers


@pytest.mark.parametrize("name", ["app.js", "large.bin"])
def test_several_ranges_are_sent_in_parts(site, build, name):
    content = (build / name).read_bytes()
    whole = site.ask(f"/static/{name}")
    response = site.ask(f"/static/{name}", Range="bytes=1000-1009, 0-3, -5")
    assert response.status == 206
    assert "content-range" not in response.headers
    boundary = re.fullmatch("multipart/byteranges; boundary=(.*)", response.headers["content-type"])[1].encode()
    parts = response.body.split(b"--" + boundary)
    assert parts[0] == b""
    assert parts[-1] == b"--\r\n"
    size = len(content)
    for part, (first, last) in zip(parts[1:-1], [(1000, 1009), (0, 3), (size - 5, size - 1)], strict=True):
        head, _, body = part.partition(b"\r\n\r\n")
        assert b"content-range: bytes %d-%d/%d" % (first, last, size) in head
        assert b"content-type: " + whole.headers["content-type"].encode() in head
        assert body == content[first : last + 1] + b"\r\n"


def test_a_range_that_is_not_there(site):
    response = site.ask("/static/docs/plain.txt", Range="bytes=10-")
    assert (response.status, response.headers["content-range"]) == (416, "bytes */10")
    assert site.ask("/static/empty/x.txt", Range="bytes=0-").status == 416


@pytest.mark.parametrize(
    "value", ["bytes=5-2", "lines=1-2", "bytes=" + ",".join(f"{at * 99}-{at * 99}" for at in range(40))]
)
def test_a_range_that_is_none_is_ignored(site, value):
    assert site.ask("/static/large.bin", Range=value).body == LARGE


def test_head_has_no_ranges(site):
    assert site.ask("/static/docs/plain.txt", "HEAD", Range="bytes=0-1").status == 200


def test_if_range(site):
    tag = site.ask("/static/docs/plain.txt").headers["etag"]
    for value, status in ((tag, 206), (DATE, 206), ('"other"', 200), (f"W/{tag}", 200)):
        assert site.ask("/static/docs/plain.txt", Range="bytes=0-1", If_Range=value).status == status


def test_a_condition_comes_before_a_range(site):
    tag = site.ask("/static/docs/plain.txt").headers["etag"]
    assert site.ask("/static/docs/plain.txt", Range="bytes=99-", If_None_Match=tag).status == 304
    assert site.ask("/static/docs/plain.txt", Range="bytes=99-", If_Match='"x"').status == 412


def test_a_file_that_has_just_changed_has_a_weak_tag(site, build):
    (build / "young.txt").write_bytes(b"young")
    os.utime(build / "young.txt", (2**33, 2**33))  # in the future: not a second old either
    response = site.ask("/static/young.txt")
    assert response.headers["etag"].startswith('W/"')
    assert site.ask("/static/young.txt", Range="bytes=0-1", If_Range=response.headers["etag"]).status == 200


# ---- codings ----


def test_a_compressed_sibling_is_sent_to_who_accepts_it(site, build):
    squeeze(build / "app.js")
    squeeze(build / "app.js", ".br", b"pretended brotli")
    squeeze(build / "app.js", ".zst", b"pretended zstandard")
    plain = site.ask("/static/app.js")
    assert plain.headers["vary"] == "accept-encoding"
    assert "content-encoding" not in plain.headers
    tags = {plain.headers["etag"]}
    for accepted, coding, body in (
        ("gzip, br, zstd", "br", b"pretended brotli"),
        ("gzip, zstd", "zstd", b"pretended zstandard"),
        ("gzip", "gzip", gzip.compress(plain.body)),
        ("br;q=0.5, gzip;q=0.9", "gzip", None),
    ):
        response = site.ask("/static/app.js", Accept_Encoding=accepted)
        assert response.headers["content-encoding"] == coding
        assert response.headers["vary"] == "accept-encoding"
        assert response.headers["content-type"] == plain.headers["content-type"]
        if coding != "gzip":
            assert response.body == body
        else:
            assert gzip.decompress(response.body) == plain.body
        tags.add(response.headers["etag"])
        condition = {"If_None_Match": response.headers["etag"], "Accept_Encoding": accepted}
        unchanged = site.ask("/static/app.js", **condition)
        assert (unchanged.status, unchanged.headers["vary"]) == (304, "accept-encoding")
    assert len(tags) == 4
    assert site.ask("/static/app.js", Accept_Encoding="deflate").body == plain.body


def test_ranges_are_of_the_encoded_bytes(site, build):
    squeeze(build / "app.js")
    encoded = (build / "app.js.gz").read_bytes()
    response = site.ask("/static/app.js", Accept_Encoding="gzip", Range="bytes=3-8")
    assert (response.status, response.body) == (206, encoded[3:9])
    assert response.headers["content-range"] == f"bytes 3-8/{len(encoded)}"
    assert response.headers["content-encoding"] == "gzip"


def test_a_sibling_that_is_older_or_larger_than_the_file_is_not_sent(site, build):
    squeeze(build / "app.js", at=OLD - 2 * 10**9)
    squeeze(build / "docs" / "plain.txt")
    for name in ("app.js", "docs/plain.txt"):
        response = site.ask(f"/static/{name}", Accept_Encoding="gzip")
        assert "content-encoding" not in response.headers
        assert "vary" not in response.headers


def test_the_age_of_a_sibling_says_nothing_where_the_name_has_a_hash(site, build):
    squeeze(build / "app.3f2a9c1b.js", at=OLD - 2 * 10**9)
    assert site.ask("/static/app.3f2a9c1b.js", Accept_Encoding="gzip").headers["content-encoding"] == "gzip"


def test_a_compressed_file_is_a_file_like_others(site, build):
    squeeze(build / "app.js")
    response = site.ask("/static/app.js.gz", Accept_Encoding="gzip")
    assert response.headers["content-type"] == "application/gzip"
    assert "content-encoding" not in response.headers


def test_a_sibling_that_leads_out_is_not_sent(site, build):
    (build / "app.js.gz").symlink_to("../secret.txt")
    assert "content-encoding" not in site.ask("/static/app.js", Accept_Encoding="gzip").headers


# ---- index and fallback ----


def test_an_index_is_sent_for_a_folder(make_site, build):
    site = Served(make_site, build, index="index.html")
    assert site.ask("/static/").body == PAGE
    assert site.ask("/static/docs/").body == b"docs"
    assert site.ask("/static/docs/index.html").body == b"docs"
    for path, location in (("/static", "./static/"), ("/static/docs", "./docs/"), ("/static/docs?a=1", "./docs/?a=1")):
        response = site.ask(path)
        assert (response.status, response.headers["location"]) == (307, location)
    for path in ("/static/empty", "/static/empty/", "/static/none/", "/static/docs//", "/static//docs/"):
        assert site.ask(path).status == 404


def test_a_fallback_is_sent_for_navigations(make_site, build):
    site = Served(make_site, build, fallback="index.html")
    html = "text/html,application/xhtml+xml,*/*;q=0.8"
    for path in ("/static/", "/static/users/7", "/static/none.js", "/static/a%2Fb", "/static/docs"):
        response = site.ask(path, Accept=html)
        assert (response.status, response.body) == (200, PAGE)
        assert (response.headers["vary"], response.headers["cache-control"]) == ("accept", "no-cache")
    assert site.ask("/static/users/7", "HEAD", Accept=html).status == 200
    tag = site.ask("/static/users/7", Accept=html).headers["etag"]
    assert site.ask("/static/users/8", Accept=html, If_None_Match=tag).status == 304
    assert site.ask("/static/docs/plain.txt", Accept=html).body == b"0123456789"
    for path, accept in (("/static/none.js", "*/*"), ("/static/none", "application/json")):
        response = site.ask(path, Accept=accept)
        assert (response.status, response.headers["vary"]) == (404, "accept")
    for path in ("/static/.env", "/static/../secret.txt", "/static/.git/config", "/static/%2e%2e%2fsecret.txt"):
        assert site.ask(path, Accept=html).status == 404


def test_a_fallback_that_is_gone_is_404(make_site, build):
    site = Served(make_site, build, fallback="index.html")
    (build / "index.html").unlink()
    assert site.ask("/static/x", Accept="text/html").status == 404


def test_a_fallback_varies_by_coding_too(make_site, build):
    squeeze(build / "index.html")
    site = Served(make_site, build, fallback="index.html", index="index.html")
    response = site.ask("/static/x", Accept="text/html", Accept_Encoding="gzip")
    assert (response.headers["content-encoding"], response.headers["vary"]) == ("gzip", "accept, accept-encoding")


# ---- what is remembered ----


def test_a_file_is_read_once_and_found_to_be_right(site, remembers, monkeypatch):
    first = site.ask("/static/app.js")
    monkeypatch.setattr(static_entries, "_TRUSTED_SECONDS", 1e9)
    monkeypatch.setattr(static_entries, "read", None)  # what would read fails
    assert site.ask("/static/app.js").body == first.body


def test_requests_of_one_moment_look_once_and_later_ones_again(site, build, remembers, monkeypatch):
    first = site.ask("/static/app.js")
    looks = []
    look = folder_module.Folder.is_same
    monkeypatch.setattr(folder_module.Folder, "is_same", lambda *args: looks.append(1) or look(*args))
    clients = [site.site.connect() for _ in range(5)]
    for number in (1, 2):
        for client in clients:
            client.send(b"GET /static/app.js HTTP/1.1\r\nHost: x\r\n\r\n")
        assert len(looks) == number
        site.wait()
    write(build / "app.js", first.body[::-1])
    clients[0].send(b"GET /static/app.js HTTP/1.1\r\nHost: x\r\n\r\n")
    assert clients[0].responses()[-1].body == first.body[::-1]
    assert {len(client.responses()) for client in clients[1:]} == {2}


@pytest.mark.parametrize("name", ["app.js", "large.bin"])
def test_a_change_is_seen(site, build, remembers, monkeypatch, name):
    monkeypatch.setattr(static_entries, "_TRUSTED_SECONDS", 1e9)
    old = site.ask(f"/static/{name}")
    content = old.body[::-1]
    write(build / name, content)  # of the same size, and the same time of modification
    new = site.ask(f"/static/{name}")
    assert new.body == content
    (build / "other").write_bytes(b"replaced")
    (build / "other").replace(build / name)
    assert site.ask(f"/static/{name}").body == b"replaced"
    (build / name).unlink()
    assert site.ask(f"/static/{name}").status == 404
    write(build / name, b"back")
    assert site.ask(f"/static/{name}").body == b"back"


def test_a_file_that_is_younger_than_its_clock_is_not_remembered(site):
    assert site.ask("/static/app.js").status == 200
    assert len(site.files._last_side.entries) == 0


def test_a_link_that_is_turned_to_the_outside_is_not_served_from_memory(site, build, remembers, monkeypatch):
    monkeypatch.setattr(static_entries, "_TRUSTED_SECONDS", 1e9)
    assert site.ask("/static/docs/plain.txt").status == 200
    outside = build.parent / "outside"
    write(outside / "plain.txt", b"0123456789")
    (build / "docs").rename(build / "aside")
    (build / "docs").symlink_to("../outside")
    assert site.ask("/static/docs/plain.txt").status == 404


def test_siblings_that_come_and_go_are_noticed(site, build, remembers, monkeypatch):
    monkeypatch.setattr(static_entries, "_TRUSTED_SECONDS", -1.0)  # a second is over
    assert "content-encoding" not in site.ask("/static/app.js", Accept_Encoding="gzip").headers
    squeeze(build / "app.js")
    assert site.ask("/static/app.js", Accept_Encoding="gzip").headers["content-encoding"] == "gzip"
    (build / "app.js.gz").unlink()
    assert "content-encoding" not in site.ask("/static/app.js", Accept_Encoding="gzip").headers


def test_a_folder_that_was_replaced_is_noticed(site, build, remembers, monkeypatch):
    monkeypatch.setattr(static_entries, "_TRUSTED_SECONDS", -1.0)
    monkeypatch.setattr(folder_module, "_RENEWED_SECONDS", -1.0)
    assert site.ask("/static/docs/plain.txt").status == 200
    build.rename(build.with_name("old"))
    assert site.ask("/static/docs/plain.txt").status == 404
    write(build / "docs" / "plain.txt", b"new")
    assert site.ask("/static/docs/plain.txt").body == b"new"


def test_what_is_remembered_is_bounded():
    class Sized:
        def __init__(self, size):
            self.size = size

    entries = Entries(100)
    for number in range(1000):
        entries.put(str(number), Sized(10))
        assert entries.size <= 100
    assert len(entries) == 10
    assert entries.get("990") is not None
    entries.put("new", Sized(10))
    assert entries.get("990") is not None  # it was used
    assert entries.get("991") is None
    entries.put("990", Sized(20))
    assert entries.size <= 100
    entries.put("too large", Sized(101))
    assert entries.get("too large") is None
    for name in ("990", "990", "none"):
        entries.drop(name)
    assert entries.get("990") is None


def test_without_memory_all_is_read_anew(make_site, build, remembers):
    site = Served(make_site, build, memory=0)
    for _ in range(2):
        assert site.ask("/static/app.js").status == 200
    assert len(site.files._last_side.entries) == 0


def test_a_folder_on_a_network_is_for_threads_alone(site, remembers, monkeypatch):
    monkeypatch.setattr(folder_module, "is_local", lambda path: False)
    threads = site.site.files
    bodies = {site.ask("/static/app.js").body for _ in range(3)}
    assert len(bodies) == 1
    assert threads.works == 3
    site.ask("/static/large.bin")
    assert threads.works >= 5  # the look, and the opening


def test_what_is_in_memory_needs_no_thread(site, remembers):
    if not folder_module._has_cached():
        pytest.skip("the system cannot tell")
    for _ in range(2):
        for name in ("app.js", "large.bin", "docs/plain.txt", "none"):
            site.ask(f"/static/{name}")
    before = site.site.files.works
    if site.files.reader.folder.is_local:
        for name in ("app.js", "docs/plain.txt", "none"):
            site.ask(f"/static/{name}")
        assert site.site.files.works == before


def test_a_client_that_leaves_while_its_file_is_opened_leaves_no_file_open(site, build):
    threads = site.site.files
    site.ask("/static/large.bin")
    site.files.reader.folder.is_local = False
    threads.is_held = True
    client = site.site.connect()
    client.send(b"GET /static/large.bin HTTP/1.1\r\nHost: x\r\n\r\n")
    threads.work()  # the look
    site.site.settle()
    client.leave()
    site.site.pass_time(60)
    threads.work()  # the opening
    site.site.settle()
    assert open_files(build / "large.bin") == 0


def test_clients_that_come_and_leave_while_a_disk_hangs_are_not_all_remembered(site):
    threads = site.site.files
    site.files.reader.folder.is_local = False
    threads.is_held, threads.most = True, 3
    for _ in range(5):
        client = site.site.connect()
        client.send(b"GET /static/app.js HTTP/1.1\r\nHost: x\r\n\r\n")
        client.leave()
        site.site.pass_time(60)
    assert len(threads.waiting) == 3
    response = site.ask("/static/app.js")
    assert (response.status, response.headers["retry-after"]) == (503, "1")
    while threads.waiting:
        threads.work()
    threads.is_held = False
    assert site.ask("/static/app.js").status == 200


@pytest.mark.parametrize("ranges", ["bytes=0-99999", "bytes=0-99999,200000-299999"])
def test_a_large_file_is_refused_while_few_descriptors_are_left(site, build, monkeypatch, ranges):
    monkeypatch.setattr("uvicorn.bridge.files.resource.getrlimit", lambda _: (4, 4))
    assert site.ask("/static/large.bin", range=ranges).status == 503
    assert open_files(build / "large.bin") == 0
    assert site.ask("/static/app.js").status == 200


def open_files(path):
    """Return how often this process has a file open, where that can be told."""
    if not os.path.exists("/proc/self/fd"):
        return 0
    found = []
    for each in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{each}"))
        except OSError:
            pass  # the one that lists them
    return found.count(str(path))


@pytest.mark.parametrize("value", [None, "bytes=5-9", "bytes=0-9,1000-1009,100000-100009"])
def test_no_file_stays_open(site, build, value):
    for _ in range(3):
        site.ask("/static/large.bin", **({"Range": value} if value else {}))
        site.ask("/static/large.bin", "HEAD")
    assert open_files(build / "large.bin") == 0


def test_a_file_that_is_replaced_between_look_and_opening_is_sent_as_it_is_then(site, build, monkeypatch):
    """What is opened is another file than the one whose fields were made."""
    opened = folder_module.Folder.open
    new = b"n" * (SMALL + 7)

    def swap(folder, name, only_cached=False):
        found = opened(folder, name, only_cached)
        if name == b"large.bin" and not swapped:
            swapped.append(name)
            write(build / "large.bin", new, OLD + 10**10)
        return found

    swapped = []
    monkeypatch.setattr(folder_module.Folder, "open", swap)
    response = site.ask("/static/large.bin")
    assert response.body == new
    assert response.headers["content-length"] == str(len(new))


def test_a_file_that_is_gone_between_look_and_opening_is_404(site, build, monkeypatch):
    monkeypatch.setattr(site.files.reader, "open", lambda *_, **__: (build / "large.bin").unlink(missing_ok=True))
    assert site.ask("/static/large.bin").status == 404


def test_a_file_that_is_replaced_all_the_time_is_an_error(site, monkeypatch):
    tries = []
    monkeypatch.setattr(site.files.reader, "open", lambda *_, **__: tries.append(1))
    assert site.ask("/static/large.bin").status == 500
    assert len(tries) == 3
    assert len(site.site.log.take("error")) == 1


def test_a_file_that_is_written_to_while_it_is_read_is_sent_as_it_was_read(site, build, monkeypatch):
    def read(fd, size, only_cached=False):
        sizes.append(size)
        with (build / "docs" / "plain.txt").open("ab") as file:
            file.write(b"x")
        return os.pread(fd, size, 0)

    sizes = []
    monkeypatch.setattr(static_entries, "read", read)
    response = site.ask("/static/docs/plain.txt")
    assert sizes == [10, 11, 12]
    assert response.body == b"0123456789xx"
    assert response.headers["content-length"] == "12"
    assert len(site.files._last_side.entries) == 0


def test_a_file_system_that_is_mounted_inside_is_for_threads(site, remembers, monkeypatch):
    monkeypatch.setattr(static_entries, "_TRUSTED_SECONDS", 1e9)
    site.ask("/static/app.js")
    before = site.site.files.works
    site.files.reader.folder._root.device += 1
    assert site.ask("/static/app.js").status == 200
    assert site.site.files.works == before + 1


def test_several_servers_in_one_process_remember_for_themselves(make_site, build, remembers):
    consumer = static(build)
    sites = [Site(consumer) for _ in range(2)]
    for site in sites * 2:
        client = site.connect()
        client.send(b"GET /app.js HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.statuses() == [200]
    assert len(consumer.target._sides) == 2
    for site in sites:
        site.end()
    third = make_site(consumer)
    third.connect().send(b"GET /app.js HTTP/1.1\r\nHost: x\r\n\r\n")
    assert len(consumer.target._sides) == 1  # of loops that are closed nothing is kept


# ---- mistakes ----


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"folder": None}, "say which folder"),
        ({"folder": "none/such"}, "is not there"),
        ({"folder": 7}, "must be a path"),
        ({"index": "a/b"}, "without '/'"),
        ({"index": ""}, "index must be"),
        ({"index": ".htaccess"}, "index must be"),
        ({"fallback": "../x"}, "fallback must be"),
        ({"fallback": "x/"}, "fallback must be"),
        ({"memory": -1}, "memory must be"),
        ({"memory": True}, "memory must be"),
        ({"immutable": "("}, "regular expression"),
        ({"immutable": 7}, "regular expression"),
        ({"cache_control": "a\r\nb"}, "CR, LF or NUL"),
        ({"headers": [("bad name", "x")]}, "not a header name"),
        ({"headers": [("content-length", "1")]}, "the server's"),
        ({"headers": 7}, "static:"),
        ({"types": {"js": "text/javascript"}}, "types must be"),
        ({"types": {".js": "a\nb"}}, "CR, LF or NUL"),
        ({"django": True}, "say which folder it is"),
    ],
)
def test_mistakes_are_told_when_it_is_served(build, options, text):
    given = {"folder": build, **options}
    made = mount("/static", static(given.pop("folder"), **given))
    with pytest.raises(RouteError) as caught:
        as_application([made])
    assert text in str(caught.value)
    assert "test_static.py:" in str(caught.value)


def test_a_file_is_no_folder(build):
    with pytest.raises(RouteError, match="is no folder"):
        as_application(static(build / "app.js"))


def test_a_start_says_which_files_are_served(build, monkeypatch):
    monkeypatch.chdir(build.parent)
    routes = [mount("/static", static("build/")), mount("/docs", static(build / "docs")), route("http.request", Kept())]
    assert served(as_application(routes))[:2] == [
        ("/static", "files of ./build", "on the event loop"),
        ("/docs", "files of ./build/docs", "on the event loop"),
    ]


# ---- Django ----


@pytest.fixture
def django(monkeypatch, build):
    """Django's settings and storage, as far as they are asked."""
    conf = pytest.importorskip("django.conf")
    storage = pytest.importorskip("django.contrib.staticfiles.storage")
    settings = SimpleNamespace(STATIC_ROOT=build)
    monkeypatch.setattr(conf, "settings", settings)
    monkeypatch.setattr(storage, "staticfiles_storage", SimpleNamespace(hashed_files={"x": "docs/plain.txt"}))
    return settings


def test_the_names_of_djangos_manifest_are_immutable(make_site, django):
    site = Served(make_site, None, django=True)
    assert "immutable" in site.ask("/static/docs/plain.txt").headers["cache-control"]
    assert "immutable" in site.ask("/static/app.3f2a9c1b.js").headers["cache-control"]
    assert site.ask("/static/app.js").headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    ("root", "text"),
    [(None, "STATIC_ROOT is not set"), ("", "is not set"), ("/none/such", "run manage.py collectstatic")],
)
def test_a_django_without_static_files_says_what_to_do(django, root, text):
    django.STATIC_ROOT = root
    with pytest.raises(RouteError, match=text):
        as_application(static(django=True))


@pytest.mark.parametrize("error", ["ImproperlyConfigured", "ValueError"])
def test_a_django_that_is_not_configured_is_told(django, monkeypatch, error):
    from django.core import exceptions

    kind = getattr(exceptions, error, ValueError)

    class Broken:
        @property
        def STATIC_ROOT(self):
            raise kind("set DJANGO_SETTINGS_MODULE")

    monkeypatch.setattr("django.conf.settings", Broken())
    with pytest.raises(RouteError, match="set DJANGO_SETTINGS_MODULE"):
        as_application(static(django=True))


def test_without_django_that_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "django.conf", None)
    with pytest.raises(RouteError, match="Django is not installed"):
        as_application(static(django=True))


# ---- HTTP/2 ----


def test_files_over_http2(make_http2, build):
    consumer = static(build, index="index.html")
    squeeze(build / "app.js")
    client = connect(make_http2([mount("/static", consumer)]))
    whole = client.get("/static/app.js", headers=[("accept-encoding", "gzip")])
    assert (whole.status, whole.headers["content-encoding"]) == (200, "gzip")
    assert whole.body == (build / "app.js.gz").read_bytes()
    assert client.get("/static/large.bin").body == LARGE
    head = client.get("/static/large.bin", method="HEAD")
    assert (head.body, head.headers["content-length"]) == (b"", str(len(LARGE)))
    part = client.get("/static/large.bin", headers=[("range", "bytes=5-9")])
    assert (part.status, part.body) == (206, LARGE[5:10])
    assert client.get("/static/app.js", headers=[("if-modified-since", DATE)]).status == 304
    assert client.get("/static/docs").headers["location"] == "./docs/"
    for path in ("/static/../secret.txt", "/static/%2e%2e/secret.txt", "/static/.env", "/static//app.js"):
        assert client.get(path).status == 404
