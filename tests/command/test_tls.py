"""The TLS context of a worker, by handshakes in memory."""

import ssl

import pytest
import trustme
from gunicorn.config import Config

from uvicorn.command.tls import make_ssl_context


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def config(authority, tmp_path):
    """Return settings with a certificate."""
    authority.issue_cert("example.org").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "all.pem"))
    made = Config()
    made.set("certfile", str(tmp_path / "all.pem"))
    made.set("keyfile", str(tmp_path / "all.pem"))
    return made


def agreed(authority, context, offered):
    """Return the protocol that client and server agree on."""
    theirs = ssl.create_default_context()
    authority.configure_trust(theirs)
    if offered:
        theirs.set_alpn_protocols(offered)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = theirs.wrap_bio(back, there, server_hostname="example.org")
    server = context.wrap_bio(there, back, server_side=True)
    for _ in range(3):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
    assert client.version()
    assert client.selected_alpn_protocol() == server.selected_alpn_protocol()
    return client.selected_alpn_protocol()


@pytest.mark.parametrize(
    ("offered", "protocol"),
    [(["h2", "http/1.1"], "http/1.1"), (["http/1.1"], "http/1.1"), (["h2"], None), ([], None)],
)
def test_http_1_1_is_offered_by_alpn(authority, config, offered, protocol):
    assert agreed(authority, make_ssl_context(config), offered) == protocol


def test_the_hook_gets_the_settings_and_may_offer_something_else(authority, config):
    given = []

    def ssl_context(cfg, make_default):
        given.append(cfg)
        context = make_default()
        context.set_alpn_protocols(["x"])
        return context

    config.set("ssl_context", ssl_context)
    assert agreed(authority, make_ssl_context(config), ["http/1.1", "x"]) == "x"
    assert given == [config]


def test_there_is_no_context_without_a_certificate():
    assert make_ssl_context(Config()) is None
