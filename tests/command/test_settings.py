"""Our settings: where a value comes from, and what is allowed."""

import sys
import types

import pytest
from gunicorn.config import Config
from gunicorn.errors import ConfigError

from uvicorn.command.known_settings import KnownSetting
from uvicorn.command.settings import OURS, Limits, Settings, apply_environment, environment_name, read
from uvicorn.wire.limits import Http2Limits

DEFAULTS = {
    "forwarded_fields": "auto",
    "interface": "auto",
    "queue_size": -1,
    "queue_timeout": 30.0,
    "reply_timeout": 300.0,
    "stuck_after": 0.0,
    "header_timeout": 10.0,
    "body_timeout": 30.0,
    "write_timeout": 60.0,
    "request_timeout": 0.0,
    "min_body_rate": 240,
    "min_write_rate": 240,
    "min_rate_grace": 20.0,
    "limit_connections_per_address": 0,
    "body_buffer": 65536,
    "write_buffer": 65536,
    "limit_request_body": 0,
    "server_header": "uvicorn",
    "governor": "on",
    "switch_interval": 0.0007,
    "framework_threads": "pool",
    "background_threads": 0,
    "http2_engine": "auto",
    "loop_block_warning": 0.25,
    "pool_wait_warning": 1.0,
    "slow_consumer_warning": 10.0,
    "status_dir": "auto",
    "metrics_bind": "",
    "health_path": "",
    "ready_max_wait": 1.0,
    "ready_grace": 5.0,
    "drain_delay": 0.0,
    "max_rss": 0,
    "max_rss_hard": 0,
    "max_age": 0.0,
    "log_format": "text",
    "request_id": False,
    "otel": False,
    "request_start": False,
    "websocket_deflate": True,
    "websocket_max_fragments": 100000,
    "websocket_queue_size": 32,
    "websocket_queue_bytes": 262144,
    "websocket_backlog_timeout": 60.0,
    "websocket_ping_interval": 20.0,
    "websocket_ping_timeout": 20.0,
    "websocket_handshake_timeout": 10.0,
    "websocket_close_timeout": 10.0,
    "wsgi_sockets": 20,
    "channel_layer": "local://",
    "group_backlog": 1048576,
    "group_backlog_messages": 1000,
    "group_backlog_policy": "close",
    "message_expiry": 60.0,
    "group_expiry": 86400.0,
    "channels1": False,
    "channel_capacity": "100",
    "channel_expiry": 86400.0,
    "channel_deliveries": 5,
    "only_channels": "",
    "exclude_channels": "",
    "proxy_headers": False,
    "date_header": True,
    "use_colors": None,
    "headers": [],
    "limit_concurrency": 0,
    "loop_factory": "",
    "reload_dirs": [],
    "reload_includes": [],
    "reload_excludes": [],
    "reload_delay": 0.25,
    "keyfile_password": None,
}
#: those that have the options of the other package
OTHER_OPTIONS = {
    "date_header": "--date-header",
    "headers": "--header",
    "loop_factory": "--loop",
    "reload_dirs": "--reload-dir",
    "reload_includes": "--reload-include",
    "reload_excludes": "--reload-exclude",
    "keyfile_password": "--ssl-keyfile-password",
}


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    """No environment variables of ours, and no config file of an earlier test."""
    for setting in OURS:
        monkeypatch.delenv(environment_name(setting.name), raising=False)
    monkeypatch.delitem(sys.modules, "__config__", raising=False)


def known(**values):
    """Return a configuration that knows our settings, as under `uvicorn`."""
    cfg = Config()
    for name, value in values.items():
        cfg.set(name, value)
    return cfg


def unknown(monkeypatch, conf_file=None, raw_env=(), **values):
    """Return a configuration that does not know our settings, as under plain `gunicorn`."""
    cfg = known(**values)
    cfg.set("raw_env", list(raw_env))
    for setting in OURS:
        del cfg.settings[setting.name]
    if conf_file is not None:
        module = types.ModuleType("__config__")
        vars(module).update(conf_file)
        monkeypatch.setitem(sys.modules, "__config__", module)
        cfg.set("config", "./gunicorn.conf.py")
    return cfg


def test_all_our_settings_are_registered_with_gunicorn_and_their_base_is_not():
    names = set(Config().settings)
    assert set(DEFAULTS) <= names
    assert KnownSetting.name not in names
    assert {setting.name for setting in OURS} == set(DEFAULTS)


def test_defaults_hold_when_nothing_is_given():
    assert read(known()) == DEFAULTS


def test_defaults_hold_when_gunicorn_does_not_know_our_settings(monkeypatch):
    assert read(unknown(monkeypatch)) == DEFAULTS


@pytest.mark.parametrize("setting", OURS, ids=lambda setting: setting.name)
def test_each_setting_has_a_flag_and_words_for_help(setting):
    switch = "no-" if setting.default is True else ""
    option = OTHER_OPTIONS.get(setting.name, f"--{switch}{setting.name.replace('_', '-')}")
    assert setting.cli == [option]
    assert setting.section == "Consumers"
    assert Config().settings[setting.name].short.strip()


@pytest.mark.parametrize(("name", "value"), DEFAULTS.items())
def test_the_default_is_what_gunicorn_shows(name, value):
    assert known().settings[name].get() == value


# ---- precedence ----


def test_a_value_that_was_given_goes_before_all_environments(monkeypatch):
    monkeypatch.setenv("UVICORN_QUEUE_SIZE", "3")
    cfg = known(queue_size=1, raw_env=["UVICORN_QUEUE_SIZE=2"])
    assert read(cfg)["queue_size"] == 1


def test_a_value_that_was_given_goes_before_the_environment_though_it_is_the_default(monkeypatch):
    monkeypatch.setenv("UVICORN_QUEUE_TIMEOUT", "3")
    assert read(known(queue_timeout=30.0))["queue_timeout"] == 30.0


def test_raw_env_goes_before_the_environment(monkeypatch):
    monkeypatch.setenv("UVICORN_QUEUE_SIZE", "3")
    assert read(known(raw_env=["UVICORN_QUEUE_SIZE=2"]))["queue_size"] == 2


def test_the_environment_goes_before_the_default(monkeypatch):
    monkeypatch.setenv("UVICORN_QUEUE_SIZE", "3")
    assert read(known())["queue_size"] == 3


def test_the_config_file_goes_before_all_environments_when_gunicorn_does_not_know_our_settings(monkeypatch):
    monkeypatch.setenv("UVICORN_QUEUE_SIZE", "3")
    cfg = unknown(monkeypatch, {"queue_size": 1}, ["UVICORN_QUEUE_SIZE=2"])
    assert read(cfg)["queue_size"] == 1


def test_environments_work_when_gunicorn_does_not_know_our_settings(monkeypatch):
    monkeypatch.setenv("UVICORN_QUEUE_SIZE", "3")
    monkeypatch.setenv("UVICORN_QUEUE_TIMEOUT", "4.5")
    values = read(unknown(monkeypatch, {"bind": "x"}, ["UVICORN_QUEUE_SIZE=2"]))
    assert (values["queue_size"], values["queue_timeout"]) == (2, 4.5)


def test_a_config_module_is_read_when_gunicorn_does_not_know_our_settings(monkeypatch):
    module = types.ModuleType("site_config")
    module.queue_size = 7  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "site_config", module)
    assert read(unknown(monkeypatch, config="python:site_config"))["queue_size"] == 7


def test_a_config_module_that_was_not_imported_is_no_source(monkeypatch):
    assert read(unknown(monkeypatch, config="python:never.imported"))["queue_size"] == -1


def test_a_name_in_the_config_file_is_converted(monkeypatch):
    values = read(unknown(monkeypatch, {"body_timeout": 5, "queue_size": "12"}))
    assert (values["body_timeout"], values["queue_size"]) == (5.0, 12)


@pytest.mark.parametrize("name", DEFAULTS)
def test_each_setting_has_its_environment_variable(monkeypatch, name):
    special = {
        "server_header": ("text", "text"), "governor": ("off", "off"), "websocket_deflate": ("false", False),
        "interface": ("wsgi", "wsgi"), "framework_threads": ("own", "own"), "channels1": ("true", True),
        "channel_layer": ("local:///run/site", "local:///run/site"), "group_backlog_policy": ("drop-oldest",) * 2,
        "channel_capacity": ("17", "17"), "only_channels": ("a,b.*",) * 2, "exclude_channels": ("*",) * 2,
        "status_dir": ("/run/x", "/run/x"), "metrics_bind": ("127.0.0.1:9100", "127.0.0.1:9100"),
        "health_path": ("/-/health/", "/-/health"),
        "proxy_headers": ("true", True), "date_header": ("false", False), "use_colors": ("false", False),
        "headers": ("x-a:b c", ["x-a:b c"]), "loop_factory": ("asyncio", "asyncio"), "reload_dirs": ("a b", ["a", "b"]),
        "reload_includes": ("*.html", ["*.html"]), "reload_excludes": ("a", ["a"]), "keyfile_password": ("a", "a"),
        "forwarded_fields": ("forwarded", "forwarded"),
            "http2_engine": ("h2", "h2"), "log_format": ("color", "colour"), "request_id": ("true", True),
            "otel": ("true", True), "request_start": ("true", True),
        }  # fmt: skip
    value, taken = special.get(name, ("17", 17))
    monkeypatch.setenv(f"UVICORN_{name.upper()}", value)
    assert read(known())[name] == taken
    assert DEFAULTS[name] is None or type(read(known())[name]) is type(DEFAULTS[name])


def test_the_environment_is_put_into_a_configuration_that_knows_our_settings(monkeypatch):
    monkeypatch.setenv("UVICORN_QUEUE_SIZE", "3")
    cfg = known(queue_timeout=1)
    apply_environment(cfg)
    assert (cfg.queue_size, cfg.queue_timeout, cfg.body_buffer) == (3, 1.0, 65536)


def test_what_is_put_into_a_configuration_is_still_read_from_it(monkeypatch):
    monkeypatch.setenv("UVICORN_QUEUE_SIZE", "3")
    cfg = known()
    apply_environment(cfg)
    monkeypatch.delenv("UVICORN_QUEUE_SIZE")
    assert read(cfg)["queue_size"] == 3


# ---- wrong values ----

WRONG = [
    ("interface", "cgi"),
    ("channel_layer", "rabbit://host"),
    ("channel_layer", "local"),
    ("group_backlog", "0"),
    ("channel_capacity", "0"),
    ("channel_capacity", "many"),
    ("channel_capacity", "=3"),
    ("channel_deliveries", "0"),
    ("only_channels", "a b"),
    ("exclude_channels", "a/b"),
    ("group_backlog_policy", "drop"),
    ("proxy_headers", "sometimes"),
    ("forwarded_fields", "x-real-ip"),
    ("queue_size", "many"),
    ("queue_size", "-2"),
    ("queue_size", "1.5"),
    ("queue_timeout", "soon"),
    ("governor", "yes"),
    ("framework_threads", "ours"),
    ("background_threads", "-1"),
    ("switch_interval", "-0.001"),
    ("switch_interval", "short"),
    ("queue_timeout", "-1"),
    ("queue_timeout", "nan"),
    ("queue_timeout", "inf"),
    ("header_timeout", "10s"),
    ("body_timeout", "-0.1"),
    ("write_timeout", "None"),
    ("body_buffer", "0"),
    ("body_buffer", "64k"),
    ("write_buffer", "-1"),
    ("limit_request_body", "-1"),
    ("request_timeout", "-1"),
    ("min_body_rate", "-1"),
    ("min_write_rate", "240.5"),
    ("min_rate_grace", "soon"),
    ("limit_connections_per_address", "few"),
    ("server_header", "a\r\nb: c"),
    ("server_header", "caf\xe9"),
    ("websocket_deflate", "perhaps"),
    ("websocket_max_fragments", "0"),
    ("websocket_queue_size", "0"),
    ("websocket_queue_bytes", "64k"),
    ("websocket_ping_interval", "-1"),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_value_in_the_environment_names_setting_and_source(monkeypatch, name, value):
    monkeypatch.setenv(environment_name(name), value)
    with pytest.raises(ConfigError) as caught:
        read(known())
    assert name in str(caught.value)
    assert repr(value) in str(caught.value)
    assert f"the environment variable {environment_name(name)}" in str(caught.value)


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_value_in_raw_env_names_setting_and_source(name, value):
    with pytest.raises(ConfigError, match=f"{name} must be .* \\(from {environment_name(name)} in raw_env\\)"):
        read(known(raw_env=[f"{environment_name(name)}={value}"]))


@pytest.mark.parametrize(
    ("name", "value"), [*WRONG, ("queue_size", True), ("queue_timeout", None), ("body_buffer", 1.5)]
)
def test_a_wrong_value_in_the_config_file_names_setting_and_source(monkeypatch, name, value):
    with pytest.raises(ConfigError, match=f"{name} must be .* \\(from the config file\\)"):
        read(unknown(monkeypatch, {name: value}))


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_value_is_refused_by_a_configuration_that_knows_our_settings(name, value):
    with pytest.raises(ValueError, match=f"{name} must be "):
        known(**{name: value})


@pytest.mark.parametrize(
    ("name", "value", "taken"),
    [
        ("queue_size", -1, -1),
        ("queue_size", "0", 0),
        ("queue_timeout", "0.25", 0.25),
        ("queue_timeout", 0, 0.0),
        ("body_buffer", 1, 1),
        ("limit_request_body", "0", 0),
        ("server_header", "", ""),
        ("governor", "off", "off"),
        ("switch_interval", "0", 0.0),
    ],
)
def test_values_at_the_edge_are_taken(name, value, taken):
    result = read(known(**{name: value}))[name]
    assert (result, type(result)) == (taken, type(taken))


# ---- what a worker reads ----


def test_a_worker_reads_ours_and_gunicorns():
    cfg = known(
        queue_timeout=1,
        reply_timeout=2,
        header_timeout=3,
        body_timeout=4,
        write_timeout=5,
        body_buffer=6,
        write_buffer=7,
        limit_request_body=8,
        server_header="me",
        limit_request_line=9,
        limit_request_fields=10,
        limit_request_field_size=11,
        keepalive=12,
        asgi_disconnect_grace_period=13,
        threads=3,
        governor="off",
        switch_interval=0.25,
        request_timeout=14,
        min_body_rate=15,
        min_write_rate=16,
        min_rate_grace=17,
        limit_connections_per_address=18,
    )
    assert Settings.from_config(cfg) == Settings(
        limits=Limits(
            request_line=9,
            request_fields=10,
            request_field_size=11,
            request_body=8,
            body_buffer=6,
            write_buffer=7,
            header_timeout=3.0,
            body_timeout=4.0,
            write_timeout=5.0,
            reply_timeout=2.0,
            keepalive=12,
            disconnect_grace=13,
            request_timeout=14.0,
            min_body_rate=15,
            min_write_rate=16,
            min_rate_grace=17.0,
            connections_per_address=18,
            http2=Http2Limits(most_fields=120),
        ),
        queue_size=24,
        queue_timeout=1.0,
        stuck_after=2.0,
        server_header="me",
        governor=False,
        switch_interval=0.25,
    )


@pytest.mark.parametrize(("stuck", "reply", "seconds"), [(0, 300, 300), (5, 300, 5), (0, 0, 0), (5, 0, 5)])
def test_a_call_is_stuck_after_reply_timeout_unless_it_is_given(stuck, reply, seconds):
    assert Settings.from_config(known(stuck_after=stuck, reply_timeout=reply)).stuck_after == seconds


@pytest.mark.parametrize(("given", "threads", "size"), [(-1, 1, 8), (-1, 40, 320), (0, 40, 0), (5, 40, 5)])
def test_the_queue_is_eight_times_the_threads_unless_it_is_given(given, threads, size):
    assert Settings.from_config(known(queue_size=given, threads=threads)).queue_size == size


def test_unlimited_fields_are_as_many_as_gunicorn_allows():
    assert Settings.from_config(known(limit_request_fields=0)).limits.request_fields == 32768


def test_the_defaults_of_limits_are_those_of_the_settings():
    assert Settings.from_config(known()).limits == Limits()


@pytest.mark.parametrize(
    ("line", "size", "shortest"), [(4094, 8190, 4094), (0, 8190, 8190), (100, 0, 100), (0, 0, 1048576)]
)
def test_the_shortest_head_that_can_be_refused_is_the_smaller_limit(line, size, shortest):
    assert Limits(request_line=line, request_field_size=size).shortest_refused == shortest


@pytest.mark.parametrize(
    ("line", "fields", "size", "longest"), [(100, 10, 50, 604), (0, 10, 50, 1048576), (100, 10, 0, 1048576)]
)
def test_the_longest_head_is_bounded_even_if_single_limits_are_off(line, fields, size, longest):
    assert Limits(request_line=line, request_fields=fields, request_field_size=size).longest_head == longest


# ---- addresses and directories ----


@pytest.mark.parametrize(
    "value", ["9100", ":9100", "localhost:", "::1:9100", "localhost:70000", "localhost:x", 9100, True]
)
def test_an_address_is_host_and_port(value):
    with pytest.raises(ValueError, match="metrics_bind must be HOST:PORT"):
        known(metrics_bind=value)


@pytest.mark.parametrize("value", ["", None, "localhost:0", "[::1]:9100", "0.0.0.0:9100"])
def test_an_address_may_be_left_out_and_may_be_of_either_kind(value):
    assert read(known(metrics_bind=value))["metrics_bind"] == (value or "")


@pytest.mark.parametrize("value", ["run", "", None, 3])
def test_a_directory_is_absolute(value):
    with pytest.raises(ValueError, match="status_dir must be 'auto', 'off' or an absolute path"):
        known(status_dir=value)


@pytest.mark.parametrize("value", ["health", "/", "//", "/a?b", 3])
def test_a_health_path_names_something(value):
    with pytest.raises(ValueError, match="health_path must begin with '/' and name something"):
        known(health_path=value)


# ---- proxies ----


@pytest.mark.parametrize(
    ("values", "fields"),
    [
        ({}, ""),
        ({"forwarded_fields": "forwarded"}, ""),
        ({"proxy_headers": True}, "auto"),
        ({"proxy_headers": "true", "forwarded_fields": "x-forwarded"}, "x-forwarded"),
    ],
)
def test_proxies_are_believed_if_it_is_asked_for(values, fields):
    assert Settings.from_config(known(**values)).forwarded_fields == fields
