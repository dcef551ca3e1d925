"""The parameters of the other package: each comes to a setting, is used by `Config`, or says what takes its place."""

import inspect
import ssl
from typing import Any

import pytest
from gunicorn.config import Config as GunicornConfig

import uvicorn
import uvicorn.command.settings  # Gunicorn's configuration has our settings then
from uvicorn.command.equivalents import DEFAULTS, equivalents

# What release 0.54 of the other package takes, from its documentation.
NAMES = (
    "app host port uds fd loop http http2 ws ws_max_size ws_max_queue ws_ping_interval ws_ping_timeout "
    "ws_per_message_deflate lifespan env_file log_config log_level access_log use_colors interface reload reload_dirs "
    "reload_delay reload_includes reload_excludes workers proxy_headers server_header date_header forwarded_allow_ips "
    "root_path limit_concurrency limit_max_requests limit_max_requests_jitter backlog timeout_keep_alive "
    "timeout_notify timeout_graceful_shutdown timeout_worker_healthcheck callback_notify ssl_keyfile ssl_certfile "
    "ssl_keyfile_password ssl_version ssl_cert_reqs ssl_ca_certs ssl_ciphers ssl_context_factory headers factory "
    "h11_max_incomplete_event_size reset_contextvars"
)
RELEASE_054 = set(NAMES.split())

SETTINGS: list[tuple[dict[str, Any], str, Any]] = [
    ({"host": "::1", "port": 1}, "bind", ["[::1]:1"]),
    ({"host": "", "port": 1}, "bind", ["0.0.0.0:1"]),
    ({"port": 1}, "bind", ["127.0.0.1:1"]),
    ({"host": "h", "port": 1, "uds": "/run/a"}, "bind", ["unix:/run/a"]),
    ({"host": "h", "port": 1, "fd": 3}, "bind", ["fd://3"]),
    ({"loop": "asyncio"}, "loop_factory", "asyncio"),
    ({"ws_max_size": 1}, "websocket_max_message_size", 1),
    ({"ws_max_queue": 0}, "websocket_queue_size", 1),
    ({"ws_ping_interval": None}, "websocket_ping_interval", 0),
    ({"ws_ping_timeout": 3.0}, "websocket_ping_timeout", 3.0),
    ({"ws_per_message_deflate": False}, "websocket_deflate", False),
    ({"lifespan": "off"}, "asgi_lifespan", "off"),
    ({"log_level": "trace"}, "loglevel", "debug"),
    ({"log_level": 30}, "loglevel", "warning"),
    ({"access_log": False}, "accesslog", None),
    ({"use_colors": True}, "use_colors", True),
    ({"interface": "wsgi"}, "interface", "wsgi"),
    ({"reload": True}, "reload", True),
    ({"reload_dirs": "a"}, "reload_dirs", ["a"]),
    ({"reload_includes": ["*.html"]}, "reload_includes", ["*.html"]),
    ({"reload_excludes": ["a"]}, "reload_excludes", ["a"]),
    ({"reload_delay": 1.0}, "reload_delay", 1.0),
    ({"proxy_headers": True}, "proxy_headers", True),
    ({"server_header": False}, "server_header", ""),
    ({"date_header": False}, "date_header", False),
    ({"forwarded_allow_ips": ["10.0.0.1", "10.1.0.0/16"]}, "forwarded_allow_ips", "10.0.0.1,10.1.0.0/16"),
    ({"root_path": "/a"}, "root_path", "/a"),
    ({"limit_concurrency": 5}, "limit_concurrency", 5),
    ({"limit_max_requests": 5}, "max_requests", 5),
    ({"limit_max_requests_jitter": 5}, "max_requests_jitter", 5),
    ({"backlog": 5}, "backlog", 5),
    ({"timeout_keep_alive": 5}, "keepalive", 5),
    ({"timeout_graceful_shutdown": None}, "graceful_timeout", 30),
    ({"timeout_graceful_shutdown": 5}, "graceful_timeout", 5),
    ({"timeout_worker_healthcheck": 9}, "timeout", 9),
    ({"ssl_keyfile": "a"}, "keyfile", "a"),
    ({"ssl_certfile": "a"}, "certfile", "a"),
    ({"ssl_keyfile_password": "a"}, "keyfile_password", "a"),
    ({"ssl_cert_reqs": ssl.CERT_REQUIRED}, "cert_reqs", 2),
    ({"ssl_ca_certs": "a"}, "ca_certs", "a"),
    ({"ssl_ciphers": "a"}, "ciphers", "a"),
    ({"headers": [("X-A", "b")]}, "headers", ["X-A:b"]),
    ({"app_dir": "src"}, "pythonpath", "src"),
]

WARNINGS: list[tuple[dict[str, Any], str]] = [
    ({"http": "h11"}, "httptools"),
    ({"http": type("Protocol", (), {"__module__": "m"})}, "http=m.Protocol"),
    ({"http2": True}, "HTTP/2"),
    ({"ws": "wsproto"}, "websockets"),
    ({"ws": "none"}, "403"),
    ({"h11_max_incomplete_event_size": 1}, "limit_request_line"),
    ({"ssl_version": 16}, "minimum_version"),
    ({"forwarded_allow_ips": "proxy.internal,/run/x,10.0.0.1"}, "proxy.internal has no effect"),
]

#: used by `Config` and `Server` themselves
OWN = {
    "app", "log_config", "env_file", "workers", "timeout_notify", "callback_notify", "ssl_context_factory", "factory",
    "reset_contextvars",
}  # fmt: skip


@pytest.mark.parametrize(("given", "setting", "value"), SETTINGS)
def test_a_parameter_comes_to_a_setting(given, setting, value):
    found = equivalents(given)
    assert found.settings == {setting: value}
    assert setting in GunicornConfig().settings
    assert found.warnings == []


def test_without_proxy_headers_gunicorns_own_are_not_believed_either():
    assert equivalents({"proxy_headers": False}).settings == {"proxy_headers": False, "secure_scheme_headers": {}}


@pytest.mark.parametrize(("given", "words"), WARNINGS)
def test_what_cannot_be_had_is_told_with_what_takes_its_place(given, words):
    [warning] = equivalents(given).warnings
    assert words in warning
    assert "has no effect" in warning


@pytest.mark.parametrize(
    "given",
    [{"http": "auto"}, {"http": "httptools"}, {"ws": "websockets"}, {"ws": "websockets-sansio"}, {"http2": False}],
)
def test_what_is_so_anyhow_is_not_told(given):
    assert equivalents(given).warnings == []


def test_every_parameter_of_release_054_is_taken():
    parameters = inspect.signature(uvicorn.Config).parameters
    assert [name for name in RELEASE_054 if name not in parameters] == []
    told = {name for row in SETTINGS for name in row[0]} | {name for given, _ in WARNINGS for name in given}
    assert RELEASE_054 - told - OWN == set()
    assert RELEASE_054 - {"app"} == {*DEFAULTS} - {"app_dir"}


def test_defaults_are_those_of_the_signature():
    parameters = inspect.signature(uvicorn.Config).parameters
    for name, default in DEFAULTS.items():
        if name not in ("app_dir", "log_config"):
            assert parameters[name].default == default


def test_an_unknown_parameter_is_refused():
    with pytest.raises(TypeError, match="'prot'"):
        equivalents({"prot": 1})
