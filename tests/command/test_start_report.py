"""What a server says when it has started, and how it colours what it says."""

import io
import logging
from types import SimpleNamespace

import pytest
from gunicorn.config import Config
from gunicorn.glogging import SafeAtoms

from uvicorn.applications.contents import Served
from uvicorn.command.console import ACCESS_FORMAT, DefaultAccessLog, colour_access, settle_access, wants_colours
from uvicorn.command.settings import Settings
from uvicorn.command.start_report import Start, quiet_about_no_address, start_lines, start_of
from uvicorn.command.unusual import unusual

CONTENTS = [
    Served("/", "WSGI application mysite.wsgi", "in threads"),
    Served("/api", "ASGI application service.app", "on the event loop"),
]


def test_a_few_lines_tell_what_is_served_where_and_with_what():
    first, *rest = start_lines(Start(["http://127.0.0.1:8000", "unix:/run/app.sock"], 2, 9, 72, "compiled"), CONTENTS)
    assert first.startswith("Serving with uvicorn ")
    assert ", compiled, " in first
    assert first.endswith(", at http://127.0.0.1:8000, unix:/run/app.sock")
    assert rest == [
        "  /     WSGI application mysite.wsgi, in threads",
        "  /api  ASGI application service.app, on the event loop",
        "2 workers, each with 9 threads, for which 72 requests may wait",
    ]


def test_a_background_worker_does_not_say_that_it_serves_at_an_empty_address():
    first, *rest = start_lines(Start([], 2, 9, 72, "compiled", is_background=True), CONTENTS)
    assert first.startswith("Consuming channels with uvicorn ")
    assert first.endswith(", at no address")
    assert rest == ["2 workers, each with 9 threads"]


@pytest.mark.parametrize("only", ["", "mail"])
def test_who_only_consumes_channels_is_a_background_worker(only):
    cfg = Config()
    cfg.set("only_channels", only)
    assert start_of([], cfg, Settings.from_config(cfg), 1, 1, "").is_background is bool(only)


def test_a_master_that_listens_nowhere_does_not_say_where(caplog):
    log = SimpleNamespace(error_log=logging.getLogger("test.master"))
    caplog.set_level("INFO", "test.master")
    with quiet_about_no_address(log):
        for address in ("", "http://127.0.0.1:8000"):
            log.error_log.info("Listening at: %s (%s)", address, 7)
        log.error_log.info("")
    log.error_log.info("Listening at: %s (%s)", "", 7)
    assert caplog.messages == ["Listening at: http://127.0.0.1:8000 (7)", "", "Listening at:  (7)"]


def test_a_log_of_another_class_is_left_as_it_is():
    with quiet_about_no_address(object()):
        pass


def test_one_of_each_is_told_as_one():
    assert (
        start_lines(Start([], 1, 1, 1, "compiled"), [])[-1] == "1 worker, with 1 thread, for which 1 request may wait"
    )


def test_what_is_unusual_is_told_last():
    assert (
        start_lines(Start([], 1, 2, 16, "compiled", ["reload", "no governor"]), [])[-1]
        == "Unusual: reload; no governor"
    )


def test_of_many_mounts_some_are_told():
    contents = [Served(f"/{number}", "consumer", "in threads") for number in range(30)]
    lines = start_lines(Start([], 1, 2, 16, "compiled"), contents)
    assert len(lines) == 14
    assert lines[-2] == "  and 19 more mounts"


def test_there_are_colours_on_a_terminal_only():
    start = Start(["http://127.0.0.1:8000"], 1, 2, 16, "compiled", ["reload"])
    assert "\033[" not in "".join(start_lines(start, CONTENTS))
    lines = start_lines(start, CONTENTS, paint=True)
    assert lines[0].endswith("\033[1mhttp://127.0.0.1:8000\033[0m")
    assert "\033[36m/   \033[0m" in lines[1]
    assert lines[-1] == "\033[33mUnusual: reload\033[0m"


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"reload": True}, "reload"),
        ({"preload_app": True}, "preload_app"),
        ({"timeout": 0}, "timeout 0"),
        ({"header_map": "dangerous"}, "header_map"),
        ({"governor": "off"}, "governor"),
        ({"reply_timeout": 0}, "reply_timeout 0"),
        ({"framework_threads": "own"}, "framework_threads"),
        ({"proxy_headers": True, "forwarded_allow_ips": "*"}, "forwarded_allow_ips"),
        ({"loglevel": "debug"}, "debug"),
    ],
)
def test_settings_that_make_it_another_server_are_unusual(values, word):
    cfg = Config()
    for name, value in values.items():
        cfg.set(name, value)
    [words] = unusual(cfg, Settings.from_config(cfg))
    assert word in words


def test_nothing_is_unusual_by_default():
    cfg = Config()
    assert unusual(cfg, Settings.from_config(cfg)) == []


# ---- colours ----


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "said", "no_color", "wanted"),
    [
        (Terminal(), None, "", True),
        (Terminal(), None, "1", False),
        (Terminal(), False, "", False),
        (Terminal(), True, "1", True),
        (io.StringIO(), None, "", False),
        (io.StringIO(), True, "", True),
        (None, None, "", False),
    ],
)
def test_colours_are_for_terminals_unless_it_is_said(monkeypatch, stream, said, no_color, wanted):
    monkeypatch.setenv("NO_COLOR", no_color)
    assert wants_colours(stream, said) is wanted


def test_a_closed_stream_wants_no_colours(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    stream = io.StringIO()
    stream.close()
    assert wants_colours(stream, None) is False


ATOMS = {"h": "192.0.2.1", "r": "GET / HTTP/1.1", "s": "404", "M": 12, "{consumer.mode}e": "pool"}


@pytest.fixture
def access():
    """Gunicorn's access log as far as it is used here: a logger with one handler."""
    logger = logging.Logger("access")
    logger.addHandler(logging.StreamHandler(Terminal()))
    return SimpleNamespace(access_log=logger)


def written(access):
    access.access_log.info(ACCESS_FORMAT, SafeAtoms(ATOMS))
    return access.access_log.handlers[0].stream.getvalue()


def test_the_line_of_a_request_has_status_duration_and_side(access, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    colour_access(access, ACCESS_FORMAT, None)
    assert written(access) == '192.0.2.1 - "GET / HTTP/1.1" 404 12 ms, pool\n'


def test_on_a_terminal_its_status_has_a_colour(access, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    colour_access(access, ACCESS_FORMAT, None)
    assert written(access) == '192.0.2.1 - "\033[1mGET / HTTP/1.1\033[0m" \033[31m404\033[0m 12 ms, pool\n'


def test_a_format_of_somebody_else_is_left_alone(access):
    colour_access(access, "%(s)s", True)
    assert "\033[" not in written(access)


@pytest.mark.parametrize(
    ("values", "written"),
    [
        ({}, "-"),
        ({"loglevel": "debug"}, "-"),
        ({"loglevel": "warning"}, None),
        ({"loglevel": "critical"}, None),
        ({"syslog": True}, None),
        ({"logconfig_dict": {"version": 1}}, None),
        ({"loglevel": "warning", "accesslog": "-"}, "-"),
    ],
)
def test_a_line_that_nobody_has_asked_for_is_not_written_where_the_log_is_to_say_little(values, written):
    cfg = Config()
    cfg.settings["accesslog"].value = DefaultAccessLog("-")
    for name, value in values.items():
        cfg.set(name, value)
    settle_access(cfg)
    assert cfg.accesslog == written
