"""What an application asks of the released package's logger `uvicorn.access` is done to Gunicorn's access log."""

from __future__ import annotations

import io
import logging
from datetime import timedelta
from types import SimpleNamespace

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger
from kept_logging import logging_as_before

from uvicorn.command.console import DefaultAccessLog
from uvicorn.command.formatters import AccessFormatter
from uvicorn.command.log_presets import prepare_log
from uvicorn.command.settings import Settings


@pytest.fixture(autouse=True)
def theirs():
    """The logger of the released package; nothing of what a test does to it, or to Gunicorn's, is left."""
    with logging_as_before():
        yield logging.getLogger("uvicorn.access")


class Log:
    """Gunicorn's logger, as the command makes it; `lines` are those of its access log."""

    def __init__(self, accesslog="-"):
        cfg = Config()
        cfg.settings["accesslog"].value = accesslog  # as the command does: `set` would make a plain str of it
        cfg.set("access_log_format", '%(h)s "%(r)s" %(s)s')
        self._log = Logger(cfg)
        self._out = io.StringIO()
        self._log.access_log.handlers = [logging.StreamHandler(self._out)]
        for _ in range(2):
            prepare_log(self._log, cfg, Settings.from_config(cfg))

    def request(self, target, status="200 OK"):
        environ = {
            "REQUEST_METHOD": "GET",
            "RAW_URI": target,
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "192.0.2.1",
            "REMOTE_PORT": "5000",
            "consumer.mode": "pool",
        }
        response = SimpleNamespace(status=status, headers=[], sent=5)
        self._log.access(response, SimpleNamespace(headers=[]), environ, timedelta(milliseconds=7))

    @property
    def lines(self):
        return self._out.getvalue().splitlines()


def test_nothing_asked_changes_nothing():
    log = Log()
    log.request("/a")
    assert log.lines == ['192.0.2.1 "GET /a HTTP/1.1" 200']


def test_a_filter_hides_the_lines_that_it_knows(theirs):
    log = Log()
    theirs.addFilter(lambda record: record.args[2] != "/health")
    theirs.addFilter(lambda record: "ready" not in record.getMessage())
    for target in ("/health", "/ready", "/page"):
        log.request(target)
    assert log.lines == ['192.0.2.1 "GET /page HTTP/1.1" 200']


def test_a_filter_sees_what_the_released_package_writes(theirs):
    seen = []
    theirs.addFilter(seen.append)
    Log().request('/a"b?c=d', "499 Client Left")
    [record] = seen
    assert record.args == ("192.0.2.1:5000", "GET", '/a"b?c=d', "1.1", 499)
    assert record.getMessage() == '192.0.2.1:5000 - "GET /a"b?c=d HTTP/1.1" 499'
    assert (record.name, record.levelname, record.duration_ms, record.side) == ("uvicorn.access", "INFO", 7.0, "thread")


@pytest.mark.parametrize("silence", ["level", "disabled"])
def test_it_can_be_silenced(theirs, silence):
    log = Log()
    if silence == "level":
        theirs.setLevel(logging.WARNING)
    else:
        theirs.disabled = True
    log.request("/a")
    assert log.lines == []
    theirs.setLevel(logging.NOTSET)
    theirs.disabled = False
    log.request("/b")
    assert log.lines == ['192.0.2.1 "GET /b HTTP/1.1" 200']


@pytest.mark.parametrize(("accesslog", "count"), [(DefaultAccessLog("-"), 0), ("-", 1)])
def test_handlers_of_the_application_get_the_line_instead_of_one_that_nobody_asked_for(theirs, accesslog, count):
    log, out = Log(accesslog), io.StringIO()
    handler, deaf = logging.StreamHandler(out), logging.StreamHandler(out)
    handler.setFormatter(AccessFormatter("%(client_addr)s %(request_line)s %(status_code)s", use_colors=False))
    deaf.setLevel(logging.ERROR)
    theirs.handlers = [handler, deaf]
    log.request("/a")
    assert out.getvalue() == "192.0.2.1:5000 GET /a HTTP/1.1 200 OK\n"
    assert len(log.lines) == count


def test_other_records_of_the_access_log_pass(theirs):
    log = Log()
    theirs.addFilter(lambda record: False)
    logging.getLogger("gunicorn.access").info("by somebody else")
    assert log.lines == ["by somebody else"]
