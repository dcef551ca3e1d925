"""What is checked in a head beyond its grammar: sizes, the special fields, targets, versions."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from uvicorn.errors import ClientError
from uvicorn.wire.head import (
    PLAIN,
    HeaderPolicy,
    Special,
    check_sizes,
    line_error,
    target_of,
)
from uvicorn.wire.limits import Limits


def policy(header_map="drop", is_trusted=False, forwarder=(b"script_name",)):
    return HeaderPolicy({b"x-forwarded-proto": b"https", b"x-ssl": b"on"}, frozenset(forwarder), header_map, is_trusted)


def status_of(function, *args):
    with pytest.raises(ClientError) as caught:
        function(*args)
    return caught.value.status


HOST = [b"host", b"a"]


@pytest.mark.parametrize(
    ("fields", "version", "special"),
    [
        ([HOST], "1.1", PLAIN),
        ([], "1.0", PLAIN),
        ([HOST, [b"content-length", b"12"]], "1.1", Special(content_length=12)),
        ([HOST, [b"content-length", b"0"]], "1.1", Special()),
        ([HOST, [b"transfer-encoding", b" Chunked\t"]], "1.1", Special(content_length=-1)),
        ([HOST, [b"expect", b"100-Continue"]], "1.1", Special(expects_continue=True)),
        ([HOST, [b"expect", b"100-continue"]], "1.0", Special()),
        ([HOST, [b"connection", b"close"]], "1.1", Special(closes=True)),
        ([HOST, [b"connection", b"Keep-Alive, Close"]], "1.1", Special(closes=True, keeps=True)),
        ([HOST, [b"connection", b"upgrade"], [b"connection", b" close "]], "1.1", Special(closes=True)),
        ([HOST, [b"connection", b"disclose"]], "1.1", Special()),
    ],
)
def test_the_special_fields_say(fields, version, special):
    assert policy().apply(fields, version) == special


@pytest.mark.parametrize(
    ("fields", "version", "status"),
    [
        ([], "1.1", 400),
        ([[b"connection", b"close"]], "1.1", 400),
        ([HOST, HOST], "1.1", 400),
        ([HOST, HOST], "1.0", 400),
        ([HOST, [b"content-length", b"x"]], "1.1", 400),
        ([HOST, [b"content-length", b""]], "1.1", 400),
        ([HOST, [b"content-length", b"-1"]], "1.1", 400),
        ([HOST, [b"transfer-encoding", b"chunked"]], "1.0", 400),
        ([HOST, [b"transfer-encoding", b"gzip, chunked"]], "1.1", 501),
        ([HOST, [b"transfer-encoding", b"xchunked"]], "1.1", 501),
        ([HOST, [b"transfer-encoding", b""]], "1.1", 501),
        ([HOST, [b"expect", b"x"]], "1.1", 417),
        ([HOST, [b"expect", b""]], "1.1", 417),
    ],
)
def test_special_fields_are_refused(fields, version, status):
    assert status_of(policy().apply, fields, version) == status


@pytest.mark.parametrize(
    ("fields", "scheme"),
    [
        ([HOST], None),
        ([HOST, [b"x-forwarded-proto", b"https"]], "https"),
        ([HOST, [b"x-forwarded-proto", b"http"]], "http"),
        ([HOST, [b"x-forwarded-proto", b"HTTPS"]], "http"),
        ([HOST, [b"x-forwarded-proto", b"https"], [b"x-ssl", b"on"]], "https"),
        ([HOST, [b"x-forwarded-proto", b"wss"]], "https"),
        ([HOST, [b"x-forwarded-proto", b"wss"], [b"x-ssl", b"on"]], "https"),
        ([HOST, [b"x-forwarded-proto", b"ws"]], "http"),
        ([HOST, [b"x-ssl", b"wss"]], "http"),
    ],
)
def test_a_trusted_peer_says_the_scheme(fields, scheme):
    assert policy(is_trusted=True).apply(fields, "1.1").scheme == scheme


def test_contradictory_schemes_are_refused():
    fields = [HOST, [b"x-forwarded-proto", b"https"], [b"x-ssl", b"off"]]
    assert status_of(policy(is_trusted=True).apply, fields, "1.1") == 400


def test_fields_of_proxies_are_special_from_trusted_peers_only():
    assert b"x-ssl" in policy(is_trusted=True).special
    assert b"x-ssl" not in policy().special


NAMES = [[b"host", b"a"], [b"a_b", b"1"], [b"script_name", b"/app"]]


@pytest.mark.parametrize(
    ("options", "names", "root_path"),
    [
        ({}, [b"host"], None),
        ({"header_map": "dangerous"}, [b"host", b"a_b", b"script_name"], None),
        ({"is_trusted": True}, [b"host", b"script_name"], "/app"),
        ({"is_trusted": True, "header_map": "dangerous"}, [b"host", b"a_b", b"script_name"], "/app"),
        ({"is_trusted": True, "forwarder": ()}, [b"host"], None),
        ({"is_trusted": True, "forwarder": (b"*",)}, [b"host", b"a_b", b"script_name"], None),
        ({"forwarder": (b"*",)}, [b"host"], None),
    ],
)
def test_names_with_an_underscore_are_mapped(options, names, root_path):
    kept, special = policy(**options).map_names([list(field) for field in NAMES], PLAIN)
    assert [name for name, _ in kept] == names
    assert special.root_path == root_path


def test_names_with_an_underscore_can_be_refused():
    assert status_of(policy("refuse").map_names, NAMES, PLAIN) == 400
    assert policy("refuse").map_names([HOST], PLAIN) == ([HOST], PLAIN)


def test_a_policy_is_read_from_gunicorns_settings():
    cfg = SimpleNamespace(
        secure_scheme_headers={"X-FORWARDED-SSL": "on"}, forwarder_headers=["SCRIPT_NAME"], header_map="drop"
    )
    trusted = HeaderPolicy.from_config(cfg, is_trusted=True)
    assert trusted.apply([HOST, [b"x-forwarded-ssl", b"on"]], "1.1").scheme == "https"
    assert trusted.map_names(NAMES, PLAIN)[1].root_path == "/app"
    assert HeaderPolicy.from_config(cfg, is_trusted=False).map_names(NAMES, PLAIN)[1].root_path is None


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/0.9\r\n\r\n", 505),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\n", 505),
        (b"GET  / HTTP/1.1\r\n\r\n", 400),
        (b"GET / RTSP/1.0\r\n\r\n", 400),
        (b"GET / HTTP/10\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"", 400),
    ],
)
def test_a_wrong_line_is_400_unless_its_version_is_not_served(head, status):
    assert line_error(head).status == status


@pytest.mark.parametrize(
    ("head", "limits", "status"),
    [
        (b"GET /234567 HTTP/1.1\r\n\r\n", {"request_line": 20}, None),
        (b"GET /2345678 HTTP/1.1\r\n\r\n", {"request_line": 20}, 414),
        (b"GET /2345678 HTTP/1.1\r\n\r\n", {"request_line": 0}, None),
        (b"GET / HTTP/1.1\r\nX: 4567\r\nY:\r\n\r\n", {"request_field_size": 9}, None),
        (b"GET / HTTP/1.1\r\nX: 45678\r\nY:\r\n\r\n", {"request_field_size": 9}, 431),
        (b"GET / HTTP/1.1\r\nY:\r\nX: 45678\r\n\r\n", {"request_field_size": 9}, 431),
        (b"GET / HTTP/1.1\r\nX: 45678\r\n\r\n", {"request_field_size": 0}, None),
    ],
)
def test_sizes_are_refused_exactly_above_the_limit(head, limits, status):
    if status is None:
        assert check_sizes(head, Limits(**limits)) is None
    else:
        assert status_of(check_sizes, head, Limits(**limits)) == status


@pytest.mark.parametrize(
    ("target", "method", "origin", "host"),
    [
        (b"*", "OPTIONS", b"*", b"a"),
        (b"http://b/c?d", "GET", b"/c?d", b"b"),
        (b"https://b:1", "OPTIONS", b"/", b"b:1"),
    ],
)
def test_a_target_is_brought_into_origin_form(target, method, origin, host):
    headers = [[b"x", b"1"], [b"host", b"a"]]
    assert target_of(target, method, headers) == origin
    assert headers == [[b"x", b"1"], [b"host", host]]


@pytest.mark.parametrize(("target", "method"), [(b"*", "GET"), (b"a", "GET"), (b"http://", "GET"), (b"a:1", "OPTIONS")])
def test_other_targets_are_refused(target, method):
    assert status_of(target_of, target, method, [HOST]) == 400
