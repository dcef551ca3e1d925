"""What a client prefers, by RFC 9110 section 12, and what files are called."""

import pytest

from uvicorn.wire.media_types import MediaTypes
from uvicorn.wire.negotiation import accepts_html, coding_for

ALL = (b"br", b"zstd", b"gzip")

TABLE = [
    (None, b""),
    (b"", b""),
    (b"gzip", b"gzip"),
    (b"gzip, deflate, br, zstd", b"br"),
    (b"gzip, deflate, zstd", b"zstd"),
    (b"br;q=0.5, gzip", b"gzip"),
    (b"br;q=0, gzip;q=0", b""),
    (b"br;q=0.0, *", b"zstd"),
    (b"*", b"br"),
    (b"*;q=0", b""),
    (b"compress, gzip", b"gzip"),  # the examples of section 12.5.3
    (b"compress;q=0.5, gzip;q=1.0", b"gzip"),
    (b"gzip;q=1.0, identity; q=0.5, *;q=0", b"gzip"),
    (b"identity", b""),
    (b"identity, gzip;q=0.9", b""),
    (b"identity;q=0.5, gzip;q=0.5", b"gzip"),
    (b"identity;q=1, *;q=0.5", b""),
    (b"identity;q=0", b""),  # nothing that it takes is there: RFC 9110 lets us send it all the same
    (b"GZIP", b"gzip"),
    (b"x-gzip", b"gzip"),
    (b"gzip ; q=0.8 , br\t;\tq=0.9", b"br"),
    (b"gzip;q=2, br;q=nonsense", b""),
    (b"gzip;q=0.1234", b""),
    (b"gzip;q=-1", b""),
    (b"gzip;q=1.000", b"gzip"),
    (b",,gzip,", b"gzip"),
    (b"gzip;level=9;q=0.5", b"gzip"),
    (b"deflate", b""),
]  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), TABLE)
def test_content_codings(value, expected):
    assert coding_for(value, ALL) == expected


def test_only_what_is_there_is_chosen():
    assert coding_for(b"br, gzip;q=0.1", (b"gzip",)) == b"gzip"
    assert coding_for(b"br", ()) == b""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        (b"TEXT/HTML", True),
        (b"text/html;q=0", False),
        (b"*/*", False),
        (b"text/*", False),
        (b"application/json", False),
        (b"", False),
        (None, False),
    ],
)
def test_a_navigation_asks_for_html_by_name(value, expected):
    assert accepts_html(value) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("app.js", b"text/javascript; charset=utf-8"),
        ("APP.MJS", b"text/javascript; charset=utf-8"),
        ("app.css", b"text/css; charset=utf-8"),
        ("index.html", b"text/html; charset=utf-8"),
        ("app.js.map", b"application/json"),
        ("app.js.gz", b"application/gzip"),
        ("app.js.br", b"application/octet-stream"),
        ("a.tar.gz", b"application/gzip"),
        ("font.woff2", b"font/woff2"),
        ("x.wasm", b"application/wasm"),
        ("picture.avif", b"image/avif"),
        ("logo.svg", b"image/svg+xml"),
        ("favicon.ico", b"image/vnd.microsoft.icon"),
        ("notes.txt", b"text/plain; charset=utf-8"),
        ("README", b"application/octet-stream"),
        ("strange.qqq", b"application/octet-stream"),
        ("dot.", b"application/octet-stream"),
    ],
)
def test_media_types(name, expected):
    assert MediaTypes().of(name) == expected


def test_media_types_of_the_application_come_first():
    types = MediaTypes({".js": "application/javascript", ".qqq": "text/x-q;charset=latin-1"})
    assert types.of("app.js") == b"application/javascript"
    assert types.of("strange.QQQ") == b"text/x-q;charset=latin-1"


def test_the_system_has_no_say(monkeypatch):
    import mimetypes

    monkeypatch.setitem(mimetypes.types_map, ".js", "application/x-of-the-system")
    assert MediaTypes().of("app.js").startswith(b"text/javascript")
