"""The configuration of a server in process: it says what Gunicorn's would say, without Gunicorn."""

from typing import Any

import pytest
from gunicorn.config import Config as GunicornConfig

import uvicorn
from uvicorn.command.peers import GunicornPeers
from uvicorn.command.plain_config import DEFAULTS, PlainConfig
from uvicorn.command.settings import Settings, are_threads_given

GIVEN = [
    {},
    {"threads": 3, "queue_size": 7, "reply_timeout": 5.0},
    {"timeout_keep_alive": 1, "limit_max_requests": 9, "limit_max_requests_jitter": 2, "timeout_graceful_shutdown": 3},
    {"proxy_headers": False, "server_header": False, "date_header": False, "headers": [("x-a", "b")]},
    {"forwarded_allow_ips": ["10.0.0.0/8", "::1"], "root_path": "/x", "log_level": "debug", "lifespan": "off"},
    {"forwarded_allow_ips": "*", "ws_max_size": 5, "ws_max_queue": 6, "ws_per_message_deflate": False},
    {"access_log": False, "limit_concurrency": 4, "loop": "asyncio", "backlog": 6, "use_colors": True},
]


async def app(scope, receive, send): ...


def made(given):
    return uvicorn.Config(app, log_config=None, **given)


def test_each_default_is_gunicorns():
    gunicorn = GunicornConfig()
    assert {name: getattr(gunicorn, name) for name in DEFAULTS} == DEFAULTS


@pytest.mark.parametrize("given", GIVEN)
def test_it_says_what_gunicorns_configuration_says(given, monkeypatch):
    monkeypatch.setenv("UVICORN_QUEUE_TIMEOUT", "4")
    config = made(given)
    plain: Any = config.settings_in_process()
    gunicorn = config.settings()
    assert issubclass(type(plain), PlainConfig)
    assert Settings.from_config(plain) == Settings.from_config(gunicorn)
    assert are_threads_given(plain.threads) == are_threads_given(gunicorn.threads) == ("threads" in given)
    names = [*DEFAULTS, "threads", "forwarded_allow_ips", "env", "root_path"]
    for name in names:
        assert getattr(plain, name, "") == getattr(gunicorn, name), name
    assert bool(plain.is_ssl) == bool(gunicorn.is_ssl)
    assert plain.forwarded_allow_networks() == gunicorn.forwarded_allow_networks()
    assert plain.proxy_allow_networks() == gunicorn.proxy_allow_networks()
    for address in (None, "127.0.0.1", "10.1.2.3", "192.0.2.1"):
        peers = [GunicornPeers(each, "auto") for each in (plain, gunicorn)]
        assert peers[0].is_trusted(address) == peers[1].is_trusted(address)


@pytest.mark.parametrize(
    "given",
    [
        {"limit_request_line": 100},  # Gunicorn's, and nothing that most set
        {"timeout_keep_alive": "7"},  # as Gunicorn reads it
        {"ssl_certfile": __file__, "ssl_keyfile": __file__},
    ],
)
def test_what_gunicorn_has_to_check_is_left_to_it(given):
    assert isinstance(made(given).settings_in_process(), GunicornConfig)


def test_sendfile_of_the_environment_is_left_to_gunicorn(monkeypatch):
    monkeypatch.setenv("SENDFILE", "no")
    assert made({}).settings_in_process().sendfile is False


@pytest.mark.parametrize(
    ("name", "value"), [("queue_size", "x"), ("limit_request_line", -5), ("timeout_keep_alive", -1)]
)
def test_a_value_that_is_not_allowed_is_refused(name, value):
    with pytest.raises(ValueError, match=r"queue_size must be|limit_request_line|must be positive"):
        made({name: value}).settings_in_process()


def test_a_name_that_nobody_knows_is_refused():
    with pytest.raises(TypeError, match="no parameter and no setting 'limit_request_lines'"):
        made({"limit_request_lines": 1})
