"""What trusted proxies say of where a request came from, and what their clients may try to say."""

import random

import pytest

from uvicorn.wire.forwarded import Allowed, Forwarding, read_address

PROXIES = ["127.0.0.1", "10.0.0.0/8", "2001:db8:ff::/48"]


def read(*fields, allowed=PROXIES, which="auto"):
    return Forwarding(Allowed(allowed), which).read([[name, value] for name, value in fields])


def hosts(*values):
    return [(b"x-forwarded-for", value) for value in values]


def proto(*values):
    return [(b"x-forwarded-proto", value) for value in values]


def forwarded(*values):
    return [(b"forwarded", value) for value in values]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (b"192.0.2.1", ["192.0.2.1", 0]),
        (b"192.0.2.1:8080", ["192.0.2.1", 8080]),
        (b"2001:db8::1", ["2001:db8::1", 0]),
        (b"[2001:db8::1]", ["2001:db8::1", 0]),
        (b"[2001:DB8:0::1]:443", ["2001:db8::1", 443]),
        (b"::ffff:192.0.2.1", ["192.0.2.1", 0]),
        (b"[::ffff:c000:201]:9", ["192.0.2.1", 9]),
        (b"192.0.2.1:", None),
        (b"192.0.2.1:65536", None),
        (b"[::1]:65536", None),
        (b"192.0.2.256", None),
        (b"192.0.2.01", None),
        (b"192.0.2", None),
        (b"3221225985", None),
        (b"2001:db8::1::2", None),
        (b"fe80::1%eth0", None),
        (b"[fe80::1%25<script>]", None),
        (b"unknown", None),
        (b"_hidden", None),
        (b"localhost", None),
        (b"example.org:80", None),
        (b"", None),
        (b"192.0.2.1 ", None),
        (b"192.0.2.1\n", None),
        (b"\xff", None),
    ],
)
def test_an_address_is_read_as_proxies_write_it(text, address):
    assert read_address(text) == address


@pytest.mark.parametrize(
    ("fields", "client"),
    [
        # one proxy
        (hosts(b"192.0.2.1"), "192.0.2.1"),
        (hosts(b" 192.0.2.1\t"), "192.0.2.1"),
        # a client that has written something itself
        (hosts(b"1.1.1.1, 192.0.2.1"), "192.0.2.1"),
        (hosts(b"127.0.0.1, 192.0.2.1"), "192.0.2.1"),
        (hosts(b"10.0.0.1,192.0.2.1"), "192.0.2.1"),
        (hosts(b"nonsense, 192.0.2.1"), "192.0.2.1"),
        (hosts(b'"', b"192.0.2.1"), "192.0.2.1"),
        # several proxies
        (hosts(b"192.0.2.1, 10.0.0.1"), "192.0.2.1"),
        (hosts(b"1.1.1.1, 192.0.2.1, 10.0.0.1, 10.0.0.2"), "192.0.2.1"),
        (hosts(b"192.0.2.1, 2001:db8:ff::7"), "192.0.2.1"),
        (hosts(b"192.0.2.1, ::ffff:10.0.0.1"), "192.0.2.1"),
        # a line for each proxy
        (hosts(b"1.1.1.1, 192.0.2.1", b"10.0.0.1"), "192.0.2.1"),
        (hosts(b"1.1.1.1", b"192.0.2.1"), "192.0.2.1"),
        # all of them are proxies
        (hosts(b"10.0.0.2, 10.0.0.1"), "10.0.0.2"),
        # what is no address ends the chain
        (hosts(b"192.0.2.1, unknown"), None),
        (hosts(b"192.0.2.1, unknown, 10.0.0.1"), "10.0.0.1"),
        # nothing
        (hosts(b""), None),
        (hosts(b" , ,"), None),
        (hosts(b"192.0.2.1,,"), "192.0.2.1"),
        ([], None),
    ],
)
def test_the_client_is_the_first_from_the_right_that_is_no_proxy(fields, client):
    found, scheme = read(*fields)
    assert (found and found[0], scheme) == (client, None)


@pytest.mark.parametrize(
    ("fields", "scheme"),
    [
        (proto(b"https"), "https"),
        (proto(b"HTTPS"), "https"),
        (proto(b"wss"), "https"),
        (proto(b"ws"), "http"),
        (proto(b"http"), "http"),
        (proto(b"ftp"), None),
        (proto(b""), None),
        ([*hosts(b"192.0.2.1"), *proto(b"https")], "https"),
        # the client has written something itself
        ([*hosts(b"192.0.2.1"), *proto(b"https, http")], "http"),
        ([*hosts(b"1.1.1.1, 192.0.2.1"), *proto(b"https", b"http")], "http"),
        # each proxy has added its own
        ([*hosts(b"192.0.2.1, 10.0.0.1"), *proto(b"https, http")], "https"),
        ([*hosts(b"1.1.1.1, 192.0.2.1, 10.0.0.1"), *proto(b"http, https, http")], "https"),
        # one of them has set it
        ([*hosts(b"192.0.2.1, 10.0.0.1"), *proto(b"https")], "https"),
        ([*hosts(b"192.0.2.1, 10.0.0.1"), *proto(b"ftp, https")], "https"),
        ([*hosts(b"unknown"), *proto(b"http, https")], "https"),
    ],
)
def test_the_scheme_is_that_of_the_clients_proxy(fields, scheme):
    assert read(*fields)[1] == scheme


@pytest.mark.parametrize(
    ("fields", "client", "scheme"),
    [
        (forwarded(b"for=192.0.2.1"), ["192.0.2.1", 0], None),
        (forwarded(b'For="192.0.2.1:8080";Proto=HTTPS;by=203.0.113.43;host=a'), ["192.0.2.1", 8080], "https"),
        (forwarded(b'for="[2001:db8:cafe::17]:4711"'), ["2001:db8:cafe::17", 4711], None),
        (forwarded(b"for=1.1.1.1, for=192.0.2.1;proto=https"), ["192.0.2.1", 0], "https"),
        (forwarded(b"for=1.1.1.1;proto=https", b"for=192.0.2.1;proto=http"), ["192.0.2.1", 0], "http"),
        (forwarded(b"for=192.0.2.1;proto=https, for=10.0.0.1;proto=http"), ["192.0.2.1", 0], "https"),
        (forwarded(b"for=192.0.2.1;proto=https, for=10.0.0.1"), ["192.0.2.1", 0], "https"),
        # what the client has written cannot swallow what a proxy adds
        (forwarded(b'for="1.1.1.1, for=192.0.2.1'), ["192.0.2.1", 0], None),
        (forwarded(b'for="', b"for=192.0.2.1"), ["192.0.2.1", 0], None),
        (forwarded(b'for="\\', b"for=192.0.2.1"), ["192.0.2.1", 0], None),
        # nor can what a proxy quotes be taken for an element
        (forwarded(b'for=192.0.2.1;host="a, for=1.1.1.1"'), ["192.0.2.1", 0], None),
        (forwarded(b'for=192.0.2.1;host="a, for=1.1.1.1;host=";by="b"'), ["192.0.2.1", 0], None),
        (forwarded(b'for=192.0.2.1;host="a\\", for=1.1.1.1"'), ["192.0.2.1", 0], None),
        # hidden, malformed, nothing
        (forwarded(b"for=unknown;proto=https"), None, "https"),
        (forwarded(b"for=1.1.1.1, for=_hidden, for=10.0.0.1"), ["10.0.0.1", 0], None),
        (forwarded(b"for=192.0.2.1:80"), None, None),
        (forwarded(b"for=1.1.1.1;for=192.0.2.1"), None, None),
        (forwarded(b"for = 192.0.2.1"), None, None),
        (forwarded(b"for=192.0.2.1;"), None, None),
        (forwarded(b"192.0.2.1"), None, None),
        (forwarded(b"proto=https"), None, "https"),
        (forwarded(b"for=192.0.2.1;proto=gopher"), ["192.0.2.1", 0], None),
        (forwarded(b""), None, None),
        (forwarded(b" , "), None, None),
    ],
)
def test_the_field_of_rfc_7239_is_read_in_the_same_way(fields, client, scheme):
    assert read(*fields, which="forwarded") == read(*fields) == (client, scheme)


@pytest.mark.parametrize(
    ("which", "client", "scheme"),
    [("auto", "192.0.2.1", None), ("x-forwarded", "192.0.2.1", None), ("forwarded", "1.1.1.1", "https")],
)
def test_one_kind_of_fields_is_read(which, client, scheme):
    found, said = read(*hosts(b"192.0.2.1"), *forwarded(b"for=1.1.1.1;proto=https"), which=which)
    assert (found[0], said) == (client, scheme)


def test_a_proxy_that_says_the_scheme_alone_is_not_asked_in_the_other_kind():
    assert read(*proto(b"https"), *forwarded(b"for=1.1.1.1;proto=http")) == (None, "https")


def test_the_names_are_those_that_are_read():
    assert Forwarding(Allowed([]), "forwarded").names == {b"forwarded"}
    assert Forwarding(Allowed([]), "x-forwarded").names == {b"x-forwarded-for", b"x-forwarded-proto"}
    assert len(Forwarding(Allowed([])).names) == 3


def test_where_everybody_is_trusted_the_first_address_is_the_client():
    assert read(*hosts(b"1.1.1.1, 192.0.2.1, 10.0.0.1"), allowed=["*"])[0] == ["1.1.1.1", 0]
    assert read(*hosts(b"nonsense, 192.0.2.1"), allowed=["*"])[0] == ["192.0.2.1", 0]


def test_no_more_proxies_are_followed_than_anybody_has():
    chain = b", ".join(b"10.0.0.%d" % number for number in range(200))
    assert read(*hosts(chain))[0] == ["10.0.0.136", 0]
    elements = b", ".join(b"for=10.0.0.%d" % number for number in range(200))
    assert read(*forwarded(elements))[0] == ["10.0.0.136", 0]


def test_nothing_that_a_client_writes_changes_what_its_proxy_adds():
    source = random.Random(7)
    pieces = [b'"', b"\\", b",", b";", b"=", b" ", b"for=", b"10.0.0.1", b"1.1.1.1", b"proto=https", b"a", b"\xff"]
    for _ in range(3000):
        written = b"".join(source.choices(pieces, k=source.randrange(9))).strip(b" \t")
        assert read(*hosts(written, b"192.0.2.1"))[0] == ["192.0.2.1", 0], written
        assert read(*hosts(written + b", 192.0.2.1"))[0] == ["192.0.2.1", 0], written
        for added in (b"for=192.0.2.1;proto=http", b'host="a,b";for="192.0.2.1:7";proto=http'):
            for fields in (forwarded(written, added), forwarded(written + b", " + added)):
                client, scheme = read(*fields)
                assert (client[0], scheme) == ("192.0.2.1", "http"), written


@pytest.mark.parametrize("written", [b'"' * 8000, b"," * 8000, b'",' * 4000, b'a="\\' * 2000, b"for=10.0.0.1," * 600])
def test_a_long_field_is_read_at_once(written):
    """It ends: what is read twice is read a few times, and not as often as it is long."""
    read(*forwarded(written), which="forwarded")
    read(*hosts(written))


@pytest.mark.parametrize("is_compiled", [True, False])
@pytest.mark.parametrize(
    "text",
    [
        b"192.0.2.1", b"0.0.0.0", b"255.255.255.255", b"256.0.2.1", b"192.0.2.01", b"192.0.2", b"192.0.2.", b".192.0.2",
        b"192.0.2.1.5", b"192..2.1", b"192.0.2.1\n", b"192.0.2.1 ", b" 192.0.2.1", b"192.0.2.x", b"192.0.2.\xb2",
        b"00.0.0.0", b"", b"unknown", b"2001:db8::1", b"192.0.2.1:8", b"1921.0.2.1",
    ],
)  # fmt: skip
def test_the_address_of_one_proxy_is_read_like_any_other(monkeypatch, is_compiled, text):
    # It chooses the way in Python alone; a compiled module has its own.
    monkeypatch.setattr("uvicorn.wire.forwarded._IS_COMPILED", is_compiled, raising=False)
    assert read(*hosts(text))[0] == read_address(text.strip(b" \t"))
