"""Whose page opens a socket."""

import pytest

from uvicorn import is_allowed_origin, origin_of


def message(origin, host="example.org", scheme="wss"):
    headers = [[b"host", host.encode()]]
    if origin is not None:
        headers.append([b"origin", origin.encode()])
    return {"scheme": scheme, "headers": headers}


@pytest.mark.parametrize(
    ("origin", "host", "scheme", "allowed"),
    [
        ("https://example.org", "example.org", "wss", True),
        ("https://EXAMPLE.org", "example.org:443", "wss", True),
        ("https://example.org:443", "example.org", "wss", True),
        ("http://example.org:8000", "example.org:8000", "ws", True),
        ("http://[::1]:8000", "[::1]:8000", "ws", True),
        ("https://example.org", "example.org", "https", True),
        (None, "example.org", "wss", True),
        ("http://example.org", "example.org", "wss", False),
        ("https://example.org:444", "example.org", "wss", False),
        ("https://evil.example", "example.org", "wss", False),
        ("https://example.org.evil.example", "example.org", "wss", False),
        ("https://example.org@evil.example", "example.org", "wss", False),
        ("https://example.org/path", "example.org", "wss", False),
        ("null", "example.org", "wss", False),
        ("", "example.org", "wss", False),
        ("https://example.org:x", "example.org", "wss", False),
        ("https://", "", "wss", False),
    ],
)
def test_a_page_of_the_same_site_is_allowed(origin, host, scheme, allowed):
    assert is_allowed_origin(message(origin, host, scheme)) is allowed


def test_pages_of_other_sites_are_allowed_by_name():
    others = ["https://app.example.org", "http://localhost:3000"]
    assert is_allowed_origin(message("https://app.example.org"), others)
    assert is_allowed_origin(message("http://localhost:3000"), others)
    assert not is_allowed_origin(message("http://app.example.org"), others)


def test_the_origin_is_told_as_it_came():
    assert origin_of(message("https://example.org")) == "https://example.org"
    assert origin_of(message("null")) == "null"
    assert origin_of(message(None)) is None
