"""Gunicorn's settings that are refused, or have no effect: each is said by its name."""

import ssl

import pytest
from gunicorn.config import Config

from uvicorn.command import compatibility
from uvicorn.command.worker import ASGIWorker


class Log:
    def __init__(self):
        self.warnings = []

    def warning(self, text, *args):
        self.warnings.append(text % args if args else text)


def configured(**values):
    cfg = Config()
    for name, value in values.items():
        cfg.set(name, value)
    return cfg


def test_defaults_are_served_without_a_word():
    assert compatibility.check(configured()) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("suppress_ragged_eofs", False),
        ("do_handshake_on_connect", True),
        ("http_parser", "python"),
        ("permit_obsolete_folding", True),
        ("strip_header_spaces", True),
        ("permit_unconventional_http_method", True),
        ("permit_unconventional_http_version", True),
        ("casefold_http_method", True),
        ("ssl_version", ssl.PROTOCOL_TLS_SERVER),
        ("spew", True),
    ],
)
def test_a_setting_without_effect_is_warned_about_by_name_and_with_the_reason(name, value):
    (line,) = compatibility.check(configured(**{name: value}))
    assert line.startswith(f"Setting {name} has no effect with uvicorn.ASGIWorker: ")
    assert compatibility._NO_EFFECT[name] in line


def test_every_name_in_the_table_is_a_setting_of_gunicorn():
    assert set(compatibility._NO_EFFECT) <= set(Config().settings)


def test_a_setting_at_its_default_is_not_warned_about_though_it_was_given():
    assert compatibility.check(configured(spew=False, asgi_lifespan="auto")) == []


def test_each_of_several_settings_is_warned_about():
    lines = compatibility.check(configured(spew=True, casefold_http_method=True))
    assert sorted(line.split()[1] for line in lines) == ["casefold_http_method", "spew"]


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"protocol": "uwsgi"}, "protocol = 'uwsgi'"),
        ({"http_protocols": "h2,h1", "http2_cleartext": "upgrade"}, "http2_cleartext = 'upgrade'"),
    ],
)
def test_what_cannot_be_served_is_refused_by_name(values, named):
    with pytest.raises(RuntimeError, match=r"uvicorn\.ASGIWorker") as caught:
        compatibility.check(configured(**values))
    assert named in str(caught.value)


def test_a_pool_without_threads_is_refused():
    with pytest.raises(RuntimeError, match="threads must be 1 or more"):
        compatibility.check(configured(threads=0))


def test_the_worker_warns_in_the_master():
    log = Log()
    ASGIWorker.check_config(configured(spew=True), log)
    assert [line.split()[1] for line in log.warnings] == ["spew"]


def test_the_worker_refuses_in_the_master_what_cannot_be_served():
    with pytest.raises(RuntimeError, match="http2_cleartext"):
        ASGIWorker.check_config(configured(http2_cleartext="upgrade"), Log())


def test_the_worker_refuses_a_wrong_value_of_ours_in_the_master(monkeypatch):
    monkeypatch.setenv("UVICORN_QUEUE_SIZE", "many")
    with pytest.raises(RuntimeError, match=r"queue_size .* UVICORN_QUEUE_SIZE"):
        ASGIWorker.check_config(configured(), Log())


@pytest.mark.parametrize("is_known", [True, False])  # a plain `gunicorn` does not know it as a setting
def test_a_page_of_metrics_without_its_library_is_refused_at_the_start(monkeypatch, is_known):
    monkeypatch.setattr(compatibility, "is_available", lambda: False)
    cfg = configured()
    if not is_known:
        del cfg.settings["metrics_bind"]
    assert compatibility.check(cfg) == []
    monkeypatch.setenv("UVICORN_METRICS_BIND", "127.0.0.1:9100")
    with pytest.raises(RuntimeError, match=r"metrics_bind needs prometheus_client: pip install uvicorn\[metrics\]"):
        compatibility.check(cfg)
