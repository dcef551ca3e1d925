"""Which peers are trusted."""

import ipaddress

import pytest
from gunicorn.config import Config

from uvicorn.command.peers import GunicornPeers, is_listed

V4, V6, NET4, NET6 = "192.0.2.7", "2001:db8::7", "10.1.0.0/16", "2001:db8:1::/48"


def networks(*allowed):
    return [ipaddress.ip_network(item) for item in allowed if item != "*"]


@pytest.mark.parametrize(
    ("address", "allowed", "listed"),
    [
        # one address
        ("192.0.2.7", [V4], True),
        ("192.0.2.8", [V4], False),
        ("2001:db8::7", [V6], True),
        ("2001:0DB8:0:0::7", [V6], True),
        ("2001:db8::8", [V6], False),
        # networks
        ("10.1.2.3", [NET4], True),
        ("10.2.2.3", [NET4], False),
        ("2001:db8:1:2::3", [NET6], True),
        ("2001:db8:2::3", [NET6], False),
        # IPv4 addresses as an IPv6 socket shows them
        ("::ffff:192.0.2.7", [V4], True),
        ("::ffff:10.1.2.3", [NET4], True),
        ("::ffff:10.2.2.3", [NET4], False),
        ("::ffff:192.0.2.7", ["::ffff:192.0.2.7"], True),
        ("::192.0.2.7", [V4], False),
        # zones
        ("fe80::1%eth0", ["fe80::/10"], True),
        ("fe80::1%eth0", ["fe80::1"], True),
        ("fe80::1%eth0", ["fe80::2"], False),
        # the other family
        ("192.0.2.7", [V6], False),
        ("2001:db8::7", [V4], False),
        # several, none, all
        ("192.0.2.7", [V6, NET4, V4], True),
        ("192.0.2.7", [], False),
        ("192.0.2.7", ["*"], True),
        ("2001:db8::7", ["*"], True),
        ("2001:db8::7", [V4, "*"], True),
        # unix sockets
        (None, [], True),
        (None, [V4], True),
        # what is no address
        ("", [V4], False),
        ("localhost", [V4], False),
        ("unknown", ["*"], True),
    ],
)
def test_an_address_is_listed(address, allowed, listed):
    assert is_listed(address, allowed, networks(*allowed)) is listed


def peers(forwarded_fields="", **values):
    cfg = Config()
    for name, value in values.items():
        cfg.set(name, value)
    return GunicornPeers(cfg, forwarded_fields)


def test_by_default_the_own_machine_alone_is_trusted():
    ours = peers()
    trusted = ours.header_policy("127.0.0.1")
    assert ours.header_policy("::1") is trusted
    assert ours.header_policy("::ffff:127.0.0.1") is trusted
    assert ours.header_policy(None) is trusted
    assert ours.header_policy(V4) is not trusted


def test_forwarded_allow_ips_tells_whose_header_fields_are_trusted():
    ours = peers(forwarded_allow_ips=f"{V4},{NET6}")
    trusted = ours.header_policy(V4)
    assert ours.header_policy("2001:db8:1::9") is trusted
    assert ours.header_policy("127.0.0.1") is not trusted


def test_a_trusted_peer_may_say_https_and_another_may_not():
    ours = peers(forwarded_allow_ips=V4)
    assert ours.header_policy(V4).scheme(b"x-forwarded-proto", b"https", None) == "https"
    assert b"x-forwarded-proto" in ours.header_policy(V4).special
    assert b"x-forwarded-proto" not in ours.header_policy(V6).special


def test_proxy_allow_ips_tells_whose_proxy_header_is_believed():
    ours = peers(proxy_allow_ips=f"{V4},{NET4}", forwarded_allow_ips=V6)
    assert [ours.may_send_proxy_header(address) for address in (V4, "10.1.0.1", V6, None)] == [True, True, False, True]


def test_a_star_trusts_everybody():
    ours = peers(proxy_allow_ips="*", forwarded_allow_ips="*")
    assert ours.may_send_proxy_header(V6) is True
    assert ours.header_policy(V6) is ours.header_policy(V4)


@pytest.mark.parametrize(("given", "mode"), [(False, "off"), (True, "auto"), ("v1", "v1"), ("v2", "v2")])
def test_the_proxy_mode_is_gunicorns(given, mode):
    assert peers(proxy_protocol=given).proxy_mode == mode


# ---- what a peer says of its client ----


def test_nothing_is_read_of_clients_unless_it_is_asked_for():
    assert peers().header_policy("127.0.0.1").forwarding is None
    assert b"x-forwarded-for" not in peers().header_policy("127.0.0.1").special


def test_trusted_peers_tell_of_their_clients_and_others_do_not():
    ours = peers("auto", forwarded_allow_ips=f"{V4},{NET4}")
    assert ours.header_policy(V6).forwarding is None
    for peer in (V4, "10.1.0.1", None):
        forwarding = ours.header_policy(peer).forwarding
        assert forwarding.read([[b"x-forwarded-for", b"2001:db8::9, 10.1.9.9, 192.0.2.7"]])[0] == ["2001:db8::9", 0]


def test_the_fields_that_tell_of_clients_are_not_read_as_gunicorn_reads_them():
    trusted = peers("auto").header_policy("127.0.0.1")
    assert trusted.special >= {b"x-forwarded-for", b"x-forwarded-proto", b"forwarded", b"x-forwarded-ssl"}
    assert trusted.scheme(b"x-forwarded-proto", b"https", None) is None
    assert trusted.scheme(b"x-forwarded-ssl", b"on", None) == "https"


def test_a_field_that_has_a_meaning_of_its_own_keeps_it():
    trusted = peers("auto", secure_scheme_headers={"X-FORWARDED-PROTO": "ssl"}).header_policy("127.0.0.1")
    assert trusted.scheme(b"x-forwarded-proto", b"ssl", None) == "https"


def test_behind_a_proxy_header_the_client_is_asked_whether_it_is_trusted():
    ours = peers("auto", forwarded_allow_ips=f"{V4},{NET4}")
    assert ours.policy_behind(V4, "10.1.0.1") is ours.header_policy(V4)
    stranger = ours.policy_behind(V4, V6)
    assert stranger.forwarding is None
    assert stranger.scheme(b"x-forwarded-proto", b"https", None) == "https"  # the peer's word
    assert ours.policy_behind(V6, V6) is ours.header_policy(V6)
