"""The log of `uvicorn.run`: configured as the other package's, and written so."""

import io
import json
import logging
import logging.config

import pytest

from uvicorn.command.formatters import AccessFormatter, DefaultFormatter
from uvicorn.command.log_setup import LOGGING_CONFIG, configure, level_of
from uvicorn.command.standard_log import StandardLog, write_line

NAMES = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")


@pytest.fixture(autouse=True)
def restored():
    """Leave the loggers as they were."""
    loggers = [logging.getLogger(name) for name in NAMES]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def record_of(logger, *args, **kwargs):
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    write_line(logger, *args, **kwargs)
    return records[0]


ACCESS = LOGGING_CONFIG["formatters"]["access"]["fmt"]


def test_a_request_is_a_line_with_its_time_and_its_side():
    record = record_of(
        logging.getLogger("uvicorn.access"), "1.2.3.4:5", "GET", "/a?b", "1.1", 404, duration_ms=12.4, side="thread"
    )
    assert record.args == ("1.2.3.4:5", "GET", "/a?b", "1.1", 404)  # what formatters of others expect
    line = AccessFormatter(ACCESS, use_colors=False).format(record)
    assert line == 'INFO:     1.2.3.4:5 - "GET /a?b HTTP/1.1" 404 Not Found 12 ms, thread'
    coloured = AccessFormatter(ACCESS, use_colors=True).format(record)
    assert "\033[31m404 Not Found\033[0m" in coloured
    assert record.getMessage() == '1.2.3.4:5 - "GET /a?b HTTP/1.1" 404'


def test_a_line_of_others_has_no_time():
    record = logging.makeLogRecord(
        {"args": ("1.2.3.4:5", "GET", "/", "1.1", 499), "levelname": "INFO", "levelno": 20, "msg": "%s%s%s%s%s"}
    )
    line = AccessFormatter(ACCESS, use_colors=False).format(record)
    assert line.endswith('"GET / HTTP/1.1" 499 Client Left')


def test_levels_are_equally_wide_and_terminals_get_colours():
    record = logging.makeLogRecord(
        {"msg": "on %s", "args": ("x",), "levelname": "INFO", "levelno": 20, "color_message": "on <%s>"}
    )
    fmt = "%(levelprefix)s %(message)s"
    assert DefaultFormatter(fmt, use_colors=False).format(record) == "INFO:     on x"
    assert DefaultFormatter(fmt, use_colors=True).format(record) == "\033[32mINFO\033[0m:     on <x>"
    assert record.getMessage() == "on x"


def test_the_default_configuration_writes_to_both_outputs(capsys):
    configure(LOGGING_CONFIG)
    logging.getLogger("uvicorn.error").info("hello")
    write_line(logging.getLogger("uvicorn.access"), "c", "GET", "/", "1.1", 200, 1.0, "loop")
    out, err = capsys.readouterr()
    assert err == "INFO:     hello\n"
    assert out == 'INFO:     c - "GET / HTTP/1.1" 200 OK 1 ms, loop\n'


def test_there_may_be_no_access_log_and_another_level(capsys):
    configure(LOGGING_CONFIG, log_level="error", access_log=False)
    logging.getLogger("uvicorn.error").info("hello")
    write_line(logging.getLogger("uvicorn.access"), "c", "GET", "/", "1.1", 200, 1.0, "loop")
    assert capsys.readouterr() == ("", "")


def test_colours_are_told_to_the_formatters():
    configure(LOGGING_CONFIG, use_colors=True)
    assert logging.getLogger("uvicorn").handlers[0].formatter.use_colors is True
    assert LOGGING_CONFIG["formatters"]["default"]["use_colors"] is None


@pytest.mark.parametrize("ending", ["json", "yaml", "yml", "ini"])
def test_a_configuration_may_be_a_file(tmp_path, ending):
    path = tmp_path / f"log.{ending}"
    if ending == "ini":
        path.write_text(
            "[loggers]\nkeys=root,own\n[handlers]\nkeys=\n[formatters]\nkeys=\n"
            "[logger_root]\nhandlers=\n[logger_own]\nqualname=uvicorn.error\nlevel=ERROR\nhandlers=\n"
        )
    else:
        text = {"version": 1, "disable_existing_loggers": False, "loggers": {"uvicorn.error": {"level": "ERROR"}}}
        path.write_text(json.dumps(text))  # which is YAML, too
    configure(str(path))
    assert logging.getLogger("uvicorn.error").level == logging.ERROR


def test_an_unknown_level_is_refused():
    assert (level_of("TRACE"), level_of(7)) == (5, 7)
    with pytest.raises(ValueError, match="'loud'"):
        level_of("loud")


def test_gunicorns_master_can_write_to_it(tmp_path):
    path = tmp_path / "log.txt"
    config = {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"file": {"class": "logging.FileHandler", "filename": str(path)}},
        "loggers": {"uvicorn.error": {"handlers": ["file"], "level": "INFO", "propagate": False}},
    }
    log = StandardLog.with_options(log_config=config)(None)
    for say in (log.info, log.warning, log.error, log.critical, log.exception, log.debug):
        say("said %s", say.__name__)
    log.log("info", "and more")
    path.rename(tmp_path / "old.txt")
    log.reopen_files()
    log.info("anew")
    log.close_on_exec()
    assert "said info\nsaid warning\nsaid error\nsaid critical\nsaid exception" in (tmp_path / "old.txt").read_text()
    assert path.read_text() == "anew\n"
    assert (log.loglevel, log.access_log_enabled) == (logging.INFO, True)
    logging.getLogger("uvicorn.error").handlers[0].close()


def test_gunicorns_way_of_reporting_gives_the_same_line(caplog):
    import datetime
    import types

    log = StandardLog.with_options(log_config=None)(None)
    log.access_log = logger = logging.getLogger("uvicorn.access")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(AccessFormatter(ACCESS, use_colors=False))
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    environ = {
        "REMOTE_ADDR": "1.2.3.4",
        "REMOTE_PORT": "5",
        "REQUEST_METHOD": "GET",
        "RAW_URI": "/a?b",
        "SERVER_PROTOCOL": "HTTP/1.0",
        "consumer.mode": "pool",
    }
    log.access(types.SimpleNamespace(status="200 OK"), None, environ, datetime.timedelta(milliseconds=3))
    assert stream.getvalue() == 'INFO:     1.2.3.4:5 - "GET /a?b HTTP/1.0" 200 OK 3 ms, thread\n'
