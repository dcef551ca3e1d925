"""HTTP/2 as Gunicorn's settings ask for it: whether, with which engine, and what is offered to whom."""

from __future__ import annotations

import pytest
from gunicorn.config import Config

from uvicorn.command import http2
from uvicorn.command.http2 import DefaultProtocols, alpn_protocols, check_http2, http2_limits, make_http2
from uvicorn.command.peers import GunicornPeers
from uvicorn.wire.h2_engines import find_engine
from uvicorn.wire.limits import Http2Limits, Limits

TLS = {"certfile": "cert.pem", "keyfile": "key.pem"}
CLEAR = {"http2_cleartext": "prior-knowledge"}


def configured(is_default=False, **values):
    cfg = Config()
    for name, value in values.items():
        cfg.set(name, value)
    if is_default:
        cfg.settings["http_protocols"].value = DefaultProtocols(["h1"])
    return cfg


@pytest.mark.parametrize(
    ("values", "offered"),
    [
        ({}, ["http/1.1"]),
        (TLS, ["http/1.1"]),
        ({**TLS, "is_default": True}, ["h2", "http/1.1"]),
        ({**TLS, "http_protocols": "h2,h1"}, ["h2", "http/1.1"]),
        ({**TLS, "http_protocols": "h1,h2"}, ["http/1.1", "h2"]),
        ({**TLS, "http_protocols": "h2"}, ["h2"]),
    ],
)
def test_what_is_offered_in_a_tls_handshake(values, offered):
    assert alpn_protocols(configured(**values), "auto") == offered


@pytest.mark.parametrize(
    ("values", "is_served", "is_cleartext", "is_strict"),
    [
        ({}, False, False, False),
        ({"is_default": True}, False, False, False),
        (CLEAR, False, False, False),
        ({**TLS, "is_default": True}, True, False, False),
        ({"http_protocols": "h2"}, False, False, False),
        ({**CLEAR, "http_protocols": "h2,h1"}, True, True, True),
        ({"http2_cleartext": "both", "http_protocols": "h2,h1"}, True, True, False),
        ({**TLS, **CLEAR, "http_protocols": "h2"}, True, False, False),
    ],
)
def test_where_http2_is_served(values, is_served, is_cleartext, is_strict):
    found, name = make_http2(configured(**values), "auto", Limits())
    assert (found is not None) == is_served == bool(name)
    if found is not None:
        assert (found.is_cleartext, found.is_strict) == (is_cleartext, is_strict)


@pytest.mark.parametrize(("engine", "name"), [("auto", "ngh2 "), ("ngh2", "ngh2 "), ("h2", "h2 ")])
def test_the_engine_is_the_one_that_was_asked_for(engine, name):
    assert make_http2(configured(http_protocols="h2", **CLEAR), engine, Limits())[1].startswith(name)


def test_by_default_the_engine_in_pure_python_serves_where_ngh2_is_not_installed(monkeypatch):
    monkeypatch.setattr("uvicorn.wire.h2_engines.find_spec", lambda name: None if name == "ngh2" else object())
    assert (find_engine("auto"), find_engine("ngh2")) == ("h2", "")


def test_without_an_engine_http2_is_not_offered_by_default_and_refused_by_name(monkeypatch):
    monkeypatch.setattr("uvicorn.wire.h2_engines.find_spec", lambda name: None)
    assert alpn_protocols(configured(is_default=True, **TLS), "auto") == ["http/1.1"]
    assert make_http2(configured(is_default=True, **TLS), "auto", Limits()) == (None, "")
    assert http2.described_engine() == "none (uvicorn[http2] installs one)"
    with pytest.raises(RuntimeError, match=r"uvicorn\[http2\]"):
        check_http2(configured(http_protocols="h2,h1", **TLS), "auto")


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"http_protocols": "h2,h1", "http2_cleartext": "both"}, "a request to upgrade is answered over HTTP/1.1"),
        (CLEAR, "http2_cleartext has no effect"),
    ],
)
def test_what_has_no_effect_is_said(values, line):
    assert line in check_http2(configured(**values), "auto")[0]


def test_gunicorns_numbers_are_the_limits():
    cfg = configured(
        http2_max_concurrent_streams=7,
        http2_initial_window_size=70_000,
        http2_max_frame_size=20_000,
        http2_max_header_list_size=5000,
    )
    assert http2_limits(cfg, 10) == Http2Limits(7, 70_000, 20_000, 5000, 120)


@pytest.mark.parametrize(("allowed", "is_trusted"), [("127.0.0.1", False), ("192.0.2.7", True), ("*", True)])
def test_who_may_speak_http2_without_tls_is_who_is_trusted(allowed, is_trusted):
    assert GunicornPeers(configured(forwarded_allow_ips=allowed)).may_begin_http2("192.0.2.7") is is_trusted
