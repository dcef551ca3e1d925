"""The presets of the log: what a line looks like, and where they are put on."""

from __future__ import annotations

import contextvars
import io
import json
import logging
import logging.handlers
import pickle
import queue

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.instrument.statsd import Statsd
from kept_logging import logging_as_before

from uvicorn.command import log_records
from uvicorn.command.console import ACCESS_FORMAT
from uvicorn.command.formatters import AccessFormatter, DefaultFormatter
from uvicorn.command.log_formats import Coloured, JSONFormatter, WithId, dress
from uvicorn.command.log_presets import dress_standard, dressed, keep_dressed, prepare_log, wants_paint
from uvicorn.command.log_records import CarryingRecord, carry, carry_request_ids
from uvicorn.command.log_setup import LOGGING_CONFIG, configure
from uvicorn.command.settings import Settings
from uvicorn.watching.request_ids import current_request_id


@pytest.fixture(autouse=True)
def _logging_as_before(monkeypatch):
    """Leave nothing of what a test does to `logging`."""
    factory, last = logging.getLogRecordFactory(), logging.lastResort.formatter
    monkeypatch.setattr(log_records, "_sources", {})
    with logging_as_before():
        yield
    logging.setLogRecordFactory(factory)
    logging.lastResort.setFormatter(last)


@pytest.fixture
def in_request():
    """Have records made as if for a request: the function that it returns calls another one so."""
    carry_request_ids()
    context = contextvars.copy_context()
    context.run(current_request_id.set, "abc")
    return context.run


def record_of(text="hello %s", *args, level=logging.INFO, name="app", **more):
    made = logging.getLogRecordFactory()(name, level, "/app.py", 7, text, args or ("you",), None)
    made.__dict__.update(more)
    return made


def shown(record, formatter=None):
    return json.loads((formatter or JSONFormatter()).format(record))


# ---- records ----


def test_a_record_carries_the_id_of_its_request(in_request):
    formatter = logging.Formatter("%(request_id)s %(message)s")
    assert formatter.format(in_request(record_of)) == "abc hello you"
    assert formatter.format(record_of()) == "- hello you"
    assert in_request(record_of).request_id == "abc"  # for filters, which come before formatters


def test_an_extra_of_the_same_name_is_allowed_and_stays(in_request):
    logger = logging.getLogger("app")
    made = in_request(logger.makeRecord, "app", 20, "/a", 1, "x", (), None, extra={"request_id": "mine"})
    assert logging.Formatter("%(request_id)s").format(made) == "mine"


def test_a_record_says_what_it_does_not_have(in_request):
    with pytest.raises(AttributeError, match="no 'colour'"):
        _ = record_of().colour


def test_a_record_goes_through_a_queue_and_through_pickle(in_request):
    handler = logging.handlers.QueueHandler(queue.SimpleQueue())
    handler.handle(in_request(record_of))
    taken = pickle.loads(pickle.dumps(handler.queue.get()))
    assert isinstance(taken, CarryingRecord)
    assert logging.Formatter("%(request_id)s").format(taken) == "abc"


def test_a_factory_of_the_application_is_kept(in_request):
    class Own(logging.LogRecord):
        pass

    logging.setLogRecordFactory(Own)
    carry_request_ids()
    carry_request_ids()
    made = in_request(record_of)
    assert type(made) is Own
    assert logging.Formatter("%(request_id)s").format(made) == "abc"
    assert shown(made)["request_id"] == "abc"


def test_a_factory_of_the_application_around_ours_is_kept(in_request):
    ours = logging.getLogRecordFactory()
    logging.setLogRecordFactory(lambda *args, **kwargs: ours(*args, **kwargs))
    carry_request_ids()
    assert shown(in_request(record_of))["request_id"] == "abc"


# ---- JSON ----


def test_a_line_of_json(in_request):
    made = in_request(record_of, level=logging.WARNING)
    made.created = 1700000000.1234
    line = shown(made)
    assert line == {
        "time": "2023-11-14T22:13:20.123Z",
        "level": "warning",
        "logger": "app",
        "pid": made.process,
        "message": "hello you",
        "request_id": "abc",
    }


def test_a_record_of_no_request_has_no_id_in_json(in_request):
    assert "request_id" not in shown(record_of())


def test_json_is_one_line_whatever_is_logged():
    try:
        raise ValueError("a\nb")
    except ValueError as error:
        made = record_of("x\n%s\u2028\ud800", "y", exc_info=(ValueError, error, error.__traceback__), stack_info="a\nb")
    text = JSONFormatter().format(made)
    assert text.isascii()
    assert "\n" not in text
    line = json.loads(text)
    assert line["message"] == "x\ny\u2028\ud800"
    assert line["exception"].endswith("ValueError: a\nb")
    assert line["stack"] == "a\nb"


def test_json_has_what_was_given_as_extra_and_does_not_let_it_replace_ours():
    circle = []
    circle.append(circle)
    line = shown(record_of(order=7, thing=object, level_=None, logger="theirs", circle=circle))
    assert line["order"] == 7
    assert line["thing"] == "<class 'object'>"
    assert line["logger"] == "app"
    assert line["circle"] == "[[...]]"


def test_a_number_that_json_does_not_have_is_told_as_text():
    text = JSONFormatter().format(record_of(loss=float("nan"), most=float("inf"), each=[float("nan")], share=0.5))
    line = json.loads(text, parse_constant=pytest.fail)
    assert (line["loss"], line["most"], line["each"], line["share"]) == ("nan", "inf", "[nan]", 0.5)


ATOMS = {
    "h": "192.0.2.7", "m": "GET", "U": "/a", "q": "b=1", "H": "HTTP/1.1", "s": "200", "B": 12, "f": "-",
    "a": 'say \\"x\\" \\\\"', "D": 1234, "r": "GET /a?b=1 HTTP/1.1", "{consumer.mode}e": "pool",
    "{consumer.name}e": "app.view", "{consumer.mount}e": "", "{consumer.wait}e": 500, "{consumer.run}e": 700,
}  # fmt: skip


def test_a_line_of_gunicorns_access_log_in_parts():
    made = logging.getLogRecordFactory()("gunicorn.access", 20, "/a", 1, "%(h)s %(s)s", (ATOMS,), None)
    line = shown(made)
    assert line.pop("message") == "192.0.2.7 200"
    for name in ("time", "pid", "level", "logger"):
        del line[name]
    assert line == {
        "client": "192.0.2.7", "method": "GET", "path": "/a", "query": "b=1", "protocol": "HTTP/1.1", "status": 200,
        "bytes": 12, "user_agent": 'say "x" \\"', "consumer": "app.view", "side": "pool", "duration_ms": 1.234,
        "wait_ms": 0.5, "run_ms": 0.7,
    }  # fmt: skip


def test_a_line_of_the_other_access_log_in_parts():
    made = record_of(
        '%s - "%s %s HTTP/%s" %d', "192.0.2.7:5", "GET", "/a?b=1", "1.1", 200, name="uvicorn.access", side="loop"
    )
    line = shown(made)
    assert line["message"] == '192.0.2.7:5 - "GET /a?b=1 HTTP/1.1" 200'
    assert {name: line[name] for name in ("client", "method", "path", "query", "protocol", "status", "side")} == {
        "client": "192.0.2.7:5", "method": "GET", "path": "/a", "query": "b=1", "protocol": "HTTP/1.1", "status": 200,
        "side": "loop",
    }  # fmt: skip


# ---- text ----


def test_text_with_an_id(in_request):
    plain = logging.Formatter("[%(levelname)s] %(message)s")
    made = in_request(record_of, "100%% %s")
    assert WithId(plain).format(made) == "[INFO] [abc] 100% you"
    assert WithId(plain, is_last=True).format(made) == "[INFO] 100% you abc"
    assert WithId(plain).format(record_of()) == "[INFO] hello you"
    assert plain.format(made) == "[INFO] 100% you"


def test_colours():
    plain = logging.Formatter("[%(levelname)s] %(message)s")
    made = record_of(level=logging.ERROR)
    assert Coloured(plain).format(made) == "[\033[31mERROR\033[0m] hello you"
    assert plain.format(made) == "[ERROR] hello you"


# ---- where they are put on ----


def gunicorn_log(log_class=None, **values):
    cfg = Config()
    for name, value in {"accesslog": "-", **values}.items():
        cfg.set(name, value)
    return cfg, (log_class or dressed(cfg))(cfg)


def handler_of(logger):
    """Return the handler that Gunicorn has made; pytest may have added others."""
    [handler] = [handler for handler in logger.handlers if getattr(handler, "_gunicorn", False)]
    return handler


def formatters(log):
    return [type(handler_of(logger).formatter) for logger in (log.error_log, log.access_log)]


def test_the_logger_class_of_the_command_writes_json_from_its_first_line_on():
    cfg, log = gunicorn_log(log_format="json")
    assert formatters(log) == [JSONFormatter, JSONFormatter]
    log.setup(cfg)  # HUP
    assert formatters(log) == [JSONFormatter, JSONFormatter]
    assert isinstance(log, Logger)


def test_statsd_goes_on_counting_beside_json():
    _, log = gunicorn_log(log_format="json", statsd_host="127.0.0.1:8125")
    assert isinstance(log, Statsd)
    assert formatters(log) == [JSONFormatter, JSONFormatter]
    log.sock.close()


def test_plain_gunicorn_is_dressed_when_its_worker_class_is_asked():
    cfg, log = gunicorn_log(Logger, log_format="json")
    assert formatters(log) == [logging.Formatter, logging.Formatter]
    for _ in range(2):
        prepare_log(log, cfg, Settings.from_config(cfg))
    assert formatters(log) == [JSONFormatter, JSONFormatter]


def test_plain_gunicorn_stays_dressed_when_its_master_sets_the_log_up_anew():
    cfg, log = gunicorn_log(Logger, log_format="json")
    keep_dressed(log)
    keep_dressed(log)
    log.setup(cfg)  # HUP
    assert formatters(log) == [JSONFormatter, JSONFormatter]
    cfg.set("log_format", "text")
    log.setup(cfg)
    assert formatters(log) == [logging.Formatter, logging.Formatter]


@pytest.mark.parametrize(("log_format", "painted"), [("text", False), ("colour", True), ("json", False)])
def test_the_lines_of_the_start_are_painted_where_colours_are_wanted(log_format, painted):
    cfg = Config()
    cfg.set("log_format", log_format)
    assert wants_paint(io.StringIO(), Settings.from_config(cfg)) is painted
    cfg.set("use_colors", True)
    assert wants_paint(io.StringIO(), Settings.from_config(cfg)) is (log_format != "json")


def test_text_with_ids_leaves_a_format_of_somebodys_own_alone():
    cfg, log = gunicorn_log(Logger, request_id=True)
    for _ in range(2):
        prepare_log(log, cfg, Settings.from_config(cfg))
    assert formatters(log) == [WithId, logging.Formatter]
    assert type(handler_of(log.error_log).formatter._inner) is logging.Formatter
    cfg.set("access_log_format", ACCESS_FORMAT)
    prepare_log(log, cfg, Settings.from_config(cfg))
    assert formatters(log) == [WithId, WithId]


def test_a_log_that_is_configured_otherwise_is_left_alone():
    own = {"version": 1, "loggers": {"gunicorn.error": {"level": "INFO"}}, "root": {"level": "INFO", "handlers": []}}
    cfg, log = gunicorn_log(Logger, log_format="json", logconfig_dict=own)
    before = [handler.formatter for handler in log.error_log.handlers]
    prepare_log(log, cfg, Settings.from_config(cfg))
    assert [handler.formatter for handler in log.error_log.handlers] == before


@pytest.fixture
def unconfigured():
    """Have nobody log for the other package's loggers; `_logging_as_before` gives them back."""
    for name in ("uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True


@pytest.mark.usefixtures("unconfigured")
def test_what_applications_log_goes_to_the_root_logger_if_gunicorns_lines_do(caplog):
    cfg, log = gunicorn_log(Logger)
    log.error_log.handlers = []
    prepare_log(log, cfg, Settings.from_config(cfg))
    logging.getLogger("uvicorn.error").warning("here")
    assert "here" in caplog.messages


@pytest.mark.usefixtures("unconfigured")
def test_what_applications_log_follows_an_error_log_that_is_set_up_anew(tmp_path):
    cfg, log = gunicorn_log(Logger)
    prepare_log(log, cfg, Settings.from_config(cfg))
    cfg.set("errorlog", str(tmp_path / "other"))
    log.setup(cfg)  # HUP
    prepare_log(log, cfg, Settings.from_config(cfg))
    logging.getLogger("uvicorn.error").warning("here")
    assert "here" in (tmp_path / "other").read_text()


def test_nothing_is_changed_by_default():
    cfg, log = gunicorn_log(Logger)
    prepare_log(log, cfg, Settings.from_config(cfg))
    assert formatters(log) == [logging.Formatter, logging.Formatter]
    assert logging.getLogRecordFactory() is not CarryingRecord
    assert logging.lastResort.formatter is None


def test_loggers_that_nobody_has_configured_are_written_likewise():
    dress([], [], "json", has_ids=False)
    assert type(logging.lastResort.formatter) is JSONFormatter


def stream_of(name):
    """Return the handler of a logger of `uvicorn.run`; pytest may have added others."""
    return next(handler for handler in logging.getLogger(name).handlers if type(handler) is logging.StreamHandler)


def test_the_log_of_run():
    cfg = Config()
    cfg.set("log_format", "json")
    configure(LOGGING_CONFIG)
    dress_standard(Settings.from_config(cfg), LOGGING_CONFIG)
    assert [type(stream_of(name).formatter) for name in ("uvicorn", "uvicorn.access")] == [JSONFormatter] * 2


def test_the_log_of_run_in_colours_with_ids(in_request):
    cfg = Config()
    cfg.set("log_format", "color")
    cfg.set("request_id", True)
    configure(LOGGING_CONFIG)
    dress_standard(Settings.from_config(cfg), LOGGING_CONFIG)
    error, access = (stream_of(name).formatter for name in ("uvicorn", "uvicorn.access"))
    assert isinstance(error._inner, DefaultFormatter)
    assert isinstance(access._inner, AccessFormatter)
    assert "\033[32mINFO" in error.format(in_request(record_of))
    line = in_request(record_of, "%s %s %s %s %d", "c", "GET", "/", "1.1", 200, name="uvicorn.access")
    assert access.format(line).endswith("abc")


def test_a_log_of_run_that_is_configured_otherwise_is_left_alone():
    own = {**LOGGING_CONFIG, "disable_existing_loggers": True}
    cfg = Config()
    cfg.set("log_format", "json")
    configure(LOGGING_CONFIG)
    dress_standard(Settings.from_config(cfg), own)
    assert type(stream_of("uvicorn").formatter) is DefaultFormatter


def test_what_is_carried_is_asked_for_in_the_thread_that_logs():
    carry("colour", lambda: "red")
    assert logging.Formatter("%(colour)s").format(record_of()) == "red"
