"""How many connections one client may have."""

from __future__ import annotations

import pytest
from doubles import FakePeers

from uvicorn.connections.addresses import NO_PLACE, AddressLimit, network_of


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("no:address", "no:address"),
    ],
)
def test_what_counts_as_one_client(address, network):
    assert network_of(address) == network


def test_a_client_has_as_many_places_as_the_limit_says_and_gets_them_back():
    limit = AddressLimit(2, FakePeers())
    first, second = limit.enter("192.0.2.7"), limit.enter("192.0.2.7")
    assert limit.enter("192.0.2.7") is None
    assert limit.enter("192.0.2.8") is not None
    limit.leave(first)
    assert limit.enter("192.0.2.7") == second
    assert limit.enter("192.0.2.7") is None


def test_no_count_is_left_of_clients_that_have_gone():
    limit = AddressLimit(2, FakePeers())
    for number in range(100):
        limit.leave(limit.enter(f"192.0.2.{number}"))
    assert limit._counts == {}


def test_addresses_of_one_ipv6_site_count_together():
    limit = AddressLimit(1, FakePeers())
    assert limit.enter("2001:db8::1") is not None
    assert limit.enter("2001:db8::2") is None


@pytest.mark.parametrize(("limit", "address"), [(0, "192.0.2.7"), (1, None)])
def test_without_a_limit_or_an_address_nothing_is_counted(limit, address):
    limited = AddressLimit(limit, FakePeers())
    assert [limited.enter(address) for _ in range(5)] == [NO_PLACE] * 5
    limited.leave(NO_PLACE)
    assert limited.enter_proxied("192.0.2.7") == ("192.0.2.7" if limit else NO_PLACE)


@pytest.mark.parametrize(("may_proxy", "counted"), [(True, False), (False, True)])
def test_a_proxy_that_names_its_clients_is_not_counted_itself(may_proxy, counted):
    limit = AddressLimit(1, FakePeers(proxy_mode="auto", may_proxy=may_proxy))
    limit.enter("192.0.2.1")
    assert (limit.enter("192.0.2.1") is None) is counted


def test_refusals_are_told_once():
    limit = AddressLimit(1, FakePeers())
    assert limit.take_refused() == ""
    for address in ("a", "a", "a", "b", "b", "c", "c", "d", "d"):
        limit.enter(address)
    assert limit.take_refused() == "2 from a, 1 from b, 1 from c; 5 in all"
    assert limit.take_refused() == ""
    limit.enter("a")
    assert limit.take_refused() == "1 from a"
