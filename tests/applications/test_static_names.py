"""Which paths mean a file, and which names say that a content never changes."""

import pytest

from uvicorn.applications.static_names import has_hash, immutable_by, is_plain, path_below, slashed
from uvicorn.messages import Message


def message(path, raw=None, root="", query=b""):
    return Message(
        path=path,
        raw_path=path.encode("utf-8", "surrogateescape") if raw is None else raw,
        root_path=root,
        query_string=query,
    )


@pytest.mark.parametrize(
    "path",
    [
        "app.js",
        "a/b/c.css",
        "a/",
        "",
        "a b",
        "ümlaut.txt",
        "a..b",
        "a.",
        "a...",
        "...a"[3:],
        "-",
        "~user",
        "a:b",
        "\udcff.bin",
    ],
)
def test_plain_paths(path):
    assert is_plain(path)


@pytest.mark.parametrize(
    "path",
    [
        ".", "..", "...", ".env", ".git/config", "a/.env", "a/..", "a/../b", "../a", "./a", "a/./b", "/a", "//a",
        "a//b",
        "a//", "/", "a\\b", "..\\a", "\\\\server\\share", "a\0", "a\0.js", "a\nb", "a\x7f", "\t", "a/.../b",
    ],
)  # fmt: skip
def test_paths_that_are_refused(path):
    assert not is_plain(path)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (message("/app.js"), "/app.js"),
        (message("/static/app.js", root="/static"), "/app.js"),
        (message("/static/", root="/static"), "/"),
        (message("/static", root="/static"), ""),
        (message("/staticx", root="/static"), "/staticx"),  # a proxy has taken the root off
        (message("/a b", b"/a%20b"), "/a b"),
        (message("/%2f", b"/%252f"), "/%2f"),
        (message("/a/b", b"/a%2fb"), None),
        (message("/a/b", b"/a%2Fb"), None),
        (message("/../b", b"/..%2Fb"), None),
        (message("*", b"*"), None),
    ],
)
def test_the_path_below_a_mount(given, expected):
    assert path_below(given) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (message("/static", root="/static"), b"./static/"),
        (message("/static/a", root="/static"), b"./a/"),
        (message("/a", query=b"x=1"), b"./a/?x=1"),
        (message("/a:b"), b"./a:b/"),
        (message("/\xfc", b"/%C3%BC"), b"./%C3%BC/"),
    ],
)
def test_the_way_to_a_folder_is_relative(given, expected):
    assert slashed(given) == expected


@pytest.mark.parametrize(
    "name",
    [
        "app.3f2a9c1b.js", "main-5f3a1b2c.chunk.css", "css/base.55e7cbb9ba48.css", "a/b/main.0a1b2c3d4e5f60718293.js",
        "app.3f2a9c1b.js.map", "app_3f2a9c1b.js", "font.d41d8cd98f00b204e9800998ecf8427e.woff2", "app.min.3f2a9c1b.js",
        "1234-3f2a9c1b.js",
    ],
)  # fmt: skip
def test_names_with_a_hash(name):
    assert has_hash(name)


@pytest.mark.parametrize(
    "name",
    [
        "app.js", "report-20240131.pdf", "jquery-3.7.1.min.js", "a.deadbeef.js", "club-face2face.png",
        "photo-iPhone12.jpg",
        "index-DiwrgTda.js", "app.3F2A9C1B.js", "3f2a9c1b.js", "app.3f2a9c1b", "app.3f2a9c.js", "3f2a9c1b/app.js",
        "u-1b4e28ba-2fa1-11d2-883f-0016d3cca427.png", "app." + "0a" * 40 + ".js", "",
    ],
)  # fmt: skip
def test_names_without_a_hash(name):
    assert not has_hash(name)


def test_what_is_immutable_can_be_said():
    assert immutable_by(True)("a.3f2a9c1b.js")
    assert not immutable_by(False)("a.3f2a9c1b.js")
    by_folder = immutable_by(r"^assets/")
    assert [by_folder(path) for path in ("assets/index-DiwrgTda.js", "a.3f2a9c1b.js")] == [True, False]
    assert immutable_by(False, frozenset({"known.js"}))("known.js")
