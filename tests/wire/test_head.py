"""What is checked in a head beyond its grammar: the special fields, and what proxies may say."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from uvicorn.errors import ClientError
from uvicorn.wire.head import HeaderPolicy, Special, is_authority


def policy(header_map="drop", is_trusted=False, forwarder=(b"script_name",)):
    return HeaderPolicy({b"x-forwarded-proto": b"https", b"x-ssl": b"on"}, frozenset(forwarder), header_map, is_trusted)


def status_of(function, *args):
    with pytest.raises(ClientError) as caught:
        function(*args)
    return caught.value.status


HOST = [b"host", b"a"]
NOTHING = {
    "content_length": 0, "is_chunked": False, "expects_continue": False, "persists": True, "asks_for_socket": False,
    "scheme": None,
}  # fmt: skip
KEY = [b"sec-websocket-key", b"x"]
UPGRADE = [b"upgrade", b"websocket"]
CONNECTION = [b"connection", b"Upgrade"]


def read(fields, version="1.1", **options):
    special = Special()
    special.read(fields, policy(**options), version == "1.0")
    return {name: getattr(special, name) for name in NOTHING}


@pytest.mark.parametrize(
    ("fields", "version", "said"),
    [
        ([HOST], "1.1", {}),
        ([], "1.0", {"persists": False}),
        ([[b"host", b""]], "1.1", {}),
        ([[b"host", b"[::1]:80"]], "1.1", {}),
        ([[b"host", b"a%20b.example:"]], "1.1", {}),
        ([HOST, [b"content-length", b"12"]], "1.1", {"content_length": 12}),
        ([HOST, [b"content-length", b"0"]], "1.1", {}),
        ([HOST, [b"content-length", b"0" * 40 + b"7"]], "1.1", {"content_length": 7}),
        ([HOST, [b"content-length", b"9" * 18]], "1.1", {"content_length": 10**18 - 1}),
        ([HOST, [b"transfer-encoding", b"Chunked"]], "1.1", {"is_chunked": True}),
        ([HOST, [b"expect", b"100-Continue"]], "1.1", {"expects_continue": True}),
        ([HOST, [b"expect", b"100-continue"]], "1.0", {"persists": False}),
        ([HOST, [b"connection", b"close"]], "1.1", {"persists": False}),
        ([HOST, [b"connection", b"keep-alive"]], "1.0", {}),
        ([HOST, [b"connection", b"Keep-Alive"]], "1.1", {}),
        ([HOST, [b"connection", b"KEEP-alive, CLOSE"]], "1.1", {"persists": False}),
        ([HOST, [b"connection", b"Keep-Alive,\tClose"]], "1.0", {"persists": False}),
        ([HOST, [b"connection", b"upgrade"], [b"connection", b"close"]], "1.1", {"persists": False}),
        ([HOST, [b"connection", b"disclose"]], "1.1", {}),
        ([HOST, KEY, UPGRADE, CONNECTION], "1.1", {"asks_for_socket": True}),
        ([HOST, KEY, [b"upgrade", b"a, WebSocket"], [b"connection", b"a, UPGRADE"]], "1.1", {"asks_for_socket": True}),
        ([HOST, KEY, UPGRADE, CONNECTION, [b"content-length", b"0"]], "1.1", {"asks_for_socket": True}),
        ([HOST, KEY, UPGRADE, CONNECTION, [b"content-length", b"1"]], "1.1", {"content_length": 1}),
        ([HOST, KEY, UPGRADE, CONNECTION, [b"transfer-encoding", b"chunked"]], "1.1", {"is_chunked": True}),
        ([HOST, KEY, UPGRADE, CONNECTION], "1.0", {"persists": False}),
        ([HOST, KEY, UPGRADE], "1.1", {}),
        ([HOST, KEY, CONNECTION], "1.1", {}),
        ([HOST, UPGRADE, CONNECTION], "1.1", {}),
        ([HOST, KEY, [b"upgrade", b"nowebsocket"], CONNECTION], "1.1", {}),
    ],
)
def test_the_special_fields_say(fields, version, said):
    assert read(fields, version) == {**NOTHING, **said}


def test_each_host_is_checked_also_behind_a_valid_one():
    special = Special()
    for host, is_valid in ((b"a.b", True), (b"a b", False), (b"a.b", True), (b"a b", False), (b"[::1]:80", True)):
        with nullcontext() if is_valid else pytest.raises(ClientError, match="invalid Host"):
            special.read([[b"host", host]], policy(), False)


def test_what_one_head_says_is_forgotten_with_the_next():
    special = Special()
    everything = [
        HOST,
        KEY,
        UPGRADE,
        CONNECTION,
        [b"content-length", b"1"],
        [b"expect", b"100-continue"],
        [b"x-ssl", b"on"],
        [b"connection", b"close"],
    ]
    special.read(everything, policy(is_trusted=True), False)
    special.read([HOST], policy(is_trusted=True), False)
    assert {name: getattr(special, name) for name in NOTHING} == NOTHING


@pytest.mark.parametrize(
    ("fields", "version", "status"),
    [
        ([], "1.1", 400),
        ([[b"connection", b"close"]], "1.1", 400),
        ([HOST, HOST], "1.1", 400),
        ([HOST, HOST], "1.0", 400),
        ([[b"host", b"a b"]], "1.1", 400),
        ([[b"host", b"a@b"]], "1.1", 400),
        ([[b"host", b"a:b"]], "1.1", 400),
        ([[b"host", b"a:1:2"]], "1.1", 400),
        ([[b"host", b"a%2"]], "1.1", 400),
        ([[b"host", b"[::1"]], "1.1", 400),
        ([[b"host", b"a[]"]], "1.1", 400),
        ([[b"host", b"a/b"]], "1.1", 400),
        ([[b"host", b"a, b"]], "1.1", 400),
        ([HOST, [b"content-length", b"1"], [b"content-length", b"1"]], "1.1", 400),
        ([HOST, [b"content-length", b"1"], [b"transfer-encoding", b"chunked"]], "1.1", 400),
        ([HOST, [b"content-length", b"9" * 19]], "1.1", 400),
        ([HOST, [b"content-length", b"1_0"]], "1.1", 400),
        ([HOST, [b"content-length", b"x"]], "1.1", 400),
        ([HOST, [b"content-length", b""]], "1.1", 400),
        ([HOST, [b"content-length", b"-1"]], "1.1", 400),
        ([HOST, [b"transfer-encoding", b"chunked"]], "1.0", 400),
        ([HOST, [b"transfer-encoding", b"gzip, chunked"]], "1.1", 501),
        ([HOST, [b"transfer-encoding", b"gzip"], [b"transfer-encoding", b"chunked"]], "1.1", 501),
        ([HOST, [b"transfer-encoding", b"chunked, gzip"]], "1.1", 400),
        ([HOST, [b"transfer-encoding", b"chunked, chunked"]], "1.1", 400),
        ([HOST, [b"transfer-encoding", b"chunked"], [b"transfer-encoding", b"chunked"]], "1.1", 400),
        ([HOST, [b"transfer-encoding", b"xchunked"]], "1.1", 400),
        ([HOST, [b"transfer-encoding", b""]], "1.1", 400),
        ([HOST, [b"expect", b"x"]], "1.1", 417),
        ([HOST, [b"expect", b""]], "1.1", 417),
    ],
)
def test_special_fields_are_refused(fields, version, status):
    assert status_of(read, fields, version) == status


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
    assert read(fields, is_trusted=True)["scheme"] == scheme


def test_contradictory_schemes_are_refused():
    fields = [HOST, [b"x-forwarded-proto", b"https"], [b"x-ssl", b"off"]]
    with pytest.raises(ClientError, match="contradictory"):
        read(fields, is_trusted=True)


def test_fields_of_proxies_are_special_from_trusted_peers_only():
    trusted, other = policy(is_trusted=True), policy()
    assert b"x-ssl" in trusted.special
    assert b"x-ssl" not in other.special
    assert b"X-Forwarded-Proto" not in trusted.names
    assert trusted.special_names[b"X-Ssl"] == trusted.special_names[b"x-ssl"] == b"x-ssl"
    assert set(trusted.special_names.values()) == trusted.special
    assert other.names[b"X-Forwarded-Proto"] == b"x-forwarded-proto"


def test_well_known_names_are_none_that_is_looked_at():
    names = policy().names
    assert names[b"X-Request-ID"] == names[b"X-Request-Id"] == names[b"x-request-id"] == b"x-request-id"
    assert all(sent.lower() == name for sent, name in names.items())
    assert not any(b"_" in name or name in policy().special for name in names.values())


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
    kept, found = policy(**options).map_names([list(field) for field in NAMES])
    assert [name for name, _ in kept] == names
    assert found == root_path


def test_names_with_an_underscore_can_be_refused():
    assert status_of(policy("refuse").map_names, NAMES) == 400
    assert policy("refuse").map_names([HOST]) == ([HOST], None)


def test_a_policy_is_read_from_gunicorns_settings():
    cfg = SimpleNamespace(
        secure_scheme_headers={"X-FORWARDED-SSL": "on"}, forwarder_headers=["SCRIPT_NAME"], header_map="drop"
    )
    trusted = HeaderPolicy.from_config(cfg, is_trusted=True)
    special = Special()
    special.read([HOST, [b"x-forwarded-ssl", b"on"]], trusted, False)
    assert special.scheme == "https"
    assert trusted.map_names(NAMES)[1] == "/app"
    assert HeaderPolicy.from_config(cfg, is_trusted=False).map_names(NAMES)[1] is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"a", True), (b"a.b:1", True), (b"a:", True), (b"[::1]", True), (b"[::1]:80", True), (b"[v1.a:b]", True),
        (b"a%41", True), (b"", False), (b":80", False), (b"u@a", False), (b"u:p@a", False), (b"a@b@c", False),
        (b"a:1:2", False), (b"[]", False), (b"a b", False), (b"a%4", False), (b"a:b", False), (b"a\\b", False),
    ],
)  # fmt: skip
def test_an_authority_names_a_host(value, expected):
    assert is_authority(value) is expected
