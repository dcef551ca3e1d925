"""A folder of static files, over HTTP/1.1 and HTTP/2: what is sent, from where, and with which fields."""

import gzip
import os
import re

import pytest
from h2_clients import connect
from static_sites import DATE, LARGE, OLD, PAGE, Served, squeeze, write

from uvicorn import mount, static
from uvicorn.applications.static_entries import SMALL

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
