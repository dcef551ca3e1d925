"""What Gunicorn's access log, statsd and request hooks see of an exchange."""

import logging
import threading
import types

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.instrument.statsd import Statsd
from kept_logging import logging_as_before

from uvicorn.bridge.consumer import Consumer
from uvicorn.command.reporting import GunicornHooks, Reporter, RequestView, ResponseView, environ_of
from uvicorn.connections.carrier import Carrier
from uvicorn.connections.exchange import Exchange
from uvicorn.connections.service import Service
from uvicorn.wire.limits import Limits
from uvicorn.wire.reply import encode_fields
from uvicorn.wire.request_line import RequestLine


class FakeLine(Carrier):
    """A connection that has its addresses, and a loop whose time stands still."""

    def __init__(self, client=("192.0.2.7", 5000), server=("192.0.2.1", 80), now=101.25):
        loop = types.SimpleNamespace(time=lambda: now)
        service = Service.__new__(Service)  # of its type, and with no more than is looked at
        service.limits, service.loop, service.clock, service.scheme = Limits(), loop, loop.time, "https"
        super().__init__(service)
        self._addresses = (list(client) if client else None, list(server) if server else None)

    def addresses(self):
        return self._addresses


class NotingLog:
    """A logger of somebody's own, which keeps what it is told."""

    loglevel = logging.INFO

    def __init__(self, error=None):
        self.accesses = []
        self.errors = []
        self._error = error

    def access(self, response, request, environ, duration):
        self.accesses.append((response, request, environ, duration))
        if self._error is not None:
            raise self._error

    def error(self, text, *args, **kwargs):
        self.errors.append((text, kwargs.get("exc_info")))


def consumer(message):
    pass


HEADERS = [[b"host", b"example.org"], [b"user-agent", b"curl \xe9"], [b"referer", b"/from"]]


def make(
    method="GET", target=b"/caf%C3%A9?q=1&r=%20", path="/caf\xe9", headers=HEADERS, version="1.1", line=None, status=200
):
    request = RequestLine(method, target, version, path)
    exchange = Exchange(line or FakeLine(), request, headers, True, 100.0)
    exchange.consumer = Consumer(consumer)
    exchange.consumer.mount = "/shop"
    exchange.status = status
    exchange.fields = encode_fields([(b"Content-Type", b"text/plain"), (b"x-two", b"a: b")])
    exchange.sent_bytes = 1234
    return exchange


@pytest.fixture
def gunicorn_log():
    """Return a maker of Gunicorn's own logger; what it set up is taken down."""

    def make_log(**values):
        cfg = Config()
        for name, value in values.items():
            cfg.set(name, value)
        return Logger(cfg)

    with logging_as_before():
        yield make_log


# ---- the views ----


def test_a_request_is_shown_in_gunicorns_shape():
    view = RequestView(make())
    assert (view.method, view.uri, view.path, view.query) == ("GET", "/caf%C3%A9?q=1&r=%20", "/caf%C3%A9", "q=1&r=%20")
    assert view.headers == [("HOST", "example.org"), ("USER-AGENT", "curl \xe9"), ("REFERER", "/from")]
    assert (view.version, view.scheme) == ((1, 1), "https")


def test_a_request_behind_a_proxy_is_shown_with_its_client_and_its_scheme():
    exchange = make()
    exchange.request_line.client, exchange.request_line.scheme = ["192.0.2.66", 0], "http"
    environ = environ_of(exchange, RequestView(exchange))
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("192.0.2.66", "0")
    assert environ["wsgi.url_scheme"] == "http"

    exchange.request_line.client = exchange.request_line.scheme = None
    environ = environ_of(exchange, RequestView(exchange))
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == ("192.0.2.7", "https")


def test_the_version_of_an_old_request_is_shown():
    assert RequestView(make(version="1.0")).version == (1, 0)


def test_bytes_of_a_target_that_are_not_ascii_are_shown_escaped():
    assert RequestView(make(target=b"/\xff")).uri == "/\\xff"


def test_a_response_is_shown_in_gunicorns_shape():
    view = ResponseView(make())
    assert (view.status, view.status_code, view.sent) == ("200 OK", 200, 1234)
    assert view.headers == [("Content-Type", "text/plain"), ("x-two", "a: b")]
    assert view.response_length is None


def test_a_promised_length_is_shown():
    exchange = make()
    exchange.fields = encode_fields([(b"content-length", b"99")])
    assert ResponseView(exchange).response_length == 99


@pytest.mark.parametrize(
    ("status", "shown"), [(404, "404 Not Found"), (599, "599 "), (299, "299 "), (0, "499 Client Left")]
)
def test_the_status_line_is_shown(status, shown):
    assert ResponseView(make(status=status)).status == shown


# ---- the environ ----


def test_the_environ_has_what_log_formats_refer_to():
    exchange = make()
    assert environ_of(exchange, RequestView(exchange)) == {
        "REQUEST_METHOD": "GET",
        "RAW_URI": "/caf%C3%A9?q=1&r=%20",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "PATH_INFO": "/caf\xe9",
        "QUERY_STRING": "q=1&r=%20",
        "REMOTE_ADDR": "192.0.2.7",
        "REMOTE_PORT": "5000",
        "SERVER_NAME": "192.0.2.1",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "https",
        "consumer.name": f"{__name__}.consumer",
        "consumer.mode": "loop",
        "consumer.side": "loop",
        "consumer.mount": "/shop",
        "consumer.thread": "",
        "consumer.wait": 0,
        "consumer.run": 1_250_000,
        "consumer.wait_ms": 0,
        "consumer.hops": 0,
        "consumer.run_ms": 0,
        "HTTP_HOST": "example.org",
        "HTTP_USER_AGENT": "curl \xe9",
        "HTTP_REFERER": "/from",
    }


def test_a_unix_socket_has_no_addresses():
    exchange = make(line=FakeLine(client=None, server=None))
    environ = environ_of(exchange, RequestView(exchange))
    assert [environ[name] for name in ("REMOTE_ADDR", "REMOTE_PORT", "SERVER_NAME", "SERVER_PORT")] == [""] * 4


def test_fields_of_one_name_are_joined_and_those_of_the_content_have_no_prefix():
    exchange = make(headers=[[b"x-a", b"1"], [b"content-type", b"text/x"], [b"x-a", b"2"], [b"content-length", b"3"]])
    environ = environ_of(exchange, RequestView(exchange))
    assert (environ["HTTP_X_A"], environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("1,2", "text/x", "3")
    assert not {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"} & environ.keys()


def test_a_path_that_is_not_utf8_can_be_written_to_a_log():
    exchange = make(target=b"/%FF", path="/\udcff")
    environ = environ_of(exchange, RequestView(exchange))
    assert "ff" in environ["PATH_INFO"].encode("utf-8").decode().lower()


@pytest.mark.parametrize(("submitted", "started", "wait"), [(10.0, 10.25, 250), (10.0, 10.0004, 0)])
def test_the_wait_of_a_job_in_the_queue_is_told(submitted, started, wait):
    exchange = make()
    exchange.job = types.SimpleNamespace(submitted_at=submitted, started_at=started, thread_id=threading.get_ident())
    environ = environ_of(exchange, RequestView(exchange))
    assert (environ["consumer.mode"], environ["consumer.wait_ms"]) == ("pool", wait)
    assert (environ["consumer.side"], environ["consumer.wait"]) == ("pool", int((started - submitted) * 1_000_000))
    assert environ["consumer.thread"] == threading.current_thread().name
    assert environ["consumer.run"] > 0


def test_the_wait_of_a_job_that_never_ran_lasts_until_now(monkeypatch):
    monkeypatch.setattr("uvicorn.command.reporting.monotonic", lambda: 12.5)
    exchange = make()
    exchange.job = types.SimpleNamespace(submitted_at=10.0, started_at=0.0, thread_id=0)
    assert environ_of(exchange, RequestView(exchange))["consumer.wait_ms"] == 2500


def test_what_a_framework_did_in_threads_is_told():
    exchange = make()
    exchange.work = types.SimpleNamespace(hops=2, wait_seconds=0.25, run_seconds=0.0301)
    environ = environ_of(exchange, RequestView(exchange))
    found = [environ[f"consumer.{name}"] for name in ("mode", "hops", "wait_ms", "run_ms")]
    assert found == ["loop", 2, 250, 30]


# ---- the access log ----


def atoms_of(log, exchange):
    noting = NotingLog()
    Reporter(noting)(exchange)
    return log.atoms(*noting.accesses[0])


def test_the_atoms_of_gunicorn_are_right(gunicorn_log):
    atoms = atoms_of(gunicorn_log(), make())
    assert {name: atoms[name] for name in "hlursmUqHbBfaTDML"} == {
        "h": "192.0.2.7",
        "l": "-",
        "u": "-",
        "r": "GET /caf%C3%A9?q=1&r=%20 HTTP/1.1",
        "s": "200",
        "m": "GET",
        "U": "/caf\xe9",
        "q": "q=1&r=%20",
        "H": "HTTP/1.1",
        "b": "1234",
        "B": 1234,
        "f": "/from",
        "a": "curl \xe9",
        "T": 1,
        "D": 1250000,
        "M": 1250,
        "L": "1.250000",
    }


def test_header_and_environ_atoms_are_right(gunicorn_log):
    atoms = atoms_of(gunicorn_log(), make())
    assert atoms["{host}i"] == "example.org"
    assert atoms["{content-type}o"] == "text/plain"
    assert atoms["{consumer.name}e"] == f"{__name__}.consumer"
    assert atoms["{consumer.mode}e"] == "loop"
    assert atoms["{consumer.wait_ms}e"] == 0


def test_the_user_of_basic_authentication_is_an_atom(gunicorn_log):
    exchange = make(headers=[[b"authorization", b"Basic bWU6c2VjcmV0"]])
    assert atoms_of(gunicorn_log(), exchange)["u"] == "me"


def test_a_client_that_left_is_logged_with_499(gunicorn_log):
    assert atoms_of(gunicorn_log(), make(status=0))["s"] == "499"


def test_the_access_log_has_a_line_for_each_exchange(gunicorn_log, tmp_path):
    path = tmp_path / "access.log"
    log = gunicorn_log(accesslog=str(path), access_log_format='%(h)s "%(r)s" %(s)s %(b)s %({consumer.mode}e)s')
    reporter = Reporter(log)
    reporter(make())
    reporter(make(status=404, method="POST"))
    assert path.read_text().splitlines() == [
        '192.0.2.7 "GET /caf%C3%A9?q=1&r=%20 HTTP/1.1" 200 1234 loop',
        '192.0.2.7 "POST /caf%C3%A9?q=1&r=%20 HTTP/1.1" 404 1234 loop',
    ]


def test_a_clock_that_went_back_gives_no_negative_duration():
    log = NotingLog()
    Reporter(log)(make(line=FakeLine(now=99.0)))
    assert log.accesses[0][3].total_seconds() == 0


def test_a_logger_that_raises_is_reported_and_does_no_harm():
    log = NotingLog(error=ValueError("x"))
    report = Reporter(log)
    for _ in range(100):
        report(make())
    assert log.errors == [("Error in the access log: told once, until it can be written again", True)]
    log._error = None
    report(make())
    report(make())
    assert log.errors[1:] == [("The access log can be written again; %d lines were lost", None)]


def test_nothing_is_reported_if_no_access_log_is_written(gunicorn_log):
    assert Reporter.wanted(gunicorn_log()) is False


@pytest.mark.parametrize("accesslog", ["-", "file"])
def test_exchanges_are_reported_if_an_access_log_is_written(gunicorn_log, tmp_path, accesslog):
    target = str(tmp_path / "access.log") if accesslog == "file" else accesslog
    assert Reporter.wanted(gunicorn_log(accesslog=target)) is True


def test_exchanges_are_reported_to_statsd_though_no_access_log_is_written():
    log = Statsd.__new__(Statsd)  # without its socket
    log.cfg = Config()
    assert log.access_log_enabled is False
    assert Reporter.wanted(log) is True


def test_exchanges_are_reported_to_a_logger_of_somebodys_own():
    assert Reporter.wanted(NotingLog()) is True


# ---- the hooks ----


def hooks(log=None, **values):
    cfg = Config()
    for name, value in values.items():
        cfg.set(name, value)
    return GunicornHooks(cfg, "the worker", log or NotingLog())


def test_pre_request_gets_the_worker_and_the_request():
    calls = []

    def pre_request(worker, request):
        calls.append((worker, request.method, request.path))

    hooks(pre_request=pre_request).before(make())
    assert calls == [("the worker", "GET", "/caf%C3%A9")]


def test_what_pre_request_raises_is_raised():
    def pre_request(worker, request):
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        hooks(pre_request=pre_request).before(make())


def test_post_request_gets_worker_request_environ_and_response():
    calls = []

    def post_request(worker, request, environ, response):
        calls.append((worker, request.method, environ["consumer.mode"], response.status))

    hooks(post_request=post_request).after(make())
    assert calls == [("the worker", "GET", "loop", "200 OK")]


def test_post_request_may_take_fewer_arguments():
    calls = []

    def post_request(worker, request):
        calls.append((worker, request.method))

    hooks(post_request=post_request).after(make())
    assert calls == [("the worker", "GET")]


def test_what_post_request_raises_is_logged():
    def post_request(worker, request, environ, response):
        raise ValueError("x")

    log = NotingLog()
    hooks(log, post_request=post_request).after(make())
    assert log.errors == [("Exception in post_request hook", True)]


@pytest.mark.parametrize(
    ("names", "level", "wanted"),
    [
        ([], logging.INFO, False),
        ([], logging.DEBUG, True),  # Gunicorn's own pre_request logs there
        (["pre_request"], logging.INFO, True),
        (["post_request"], logging.INFO, True),
        (["pre_request", "post_request"], logging.ERROR, True),
    ],
)
def test_hooks_are_wanted_if_one_is_set(names, level, wanted):
    cfg = Config()
    for name in names:
        cfg.set(name, lambda worker, request: None)
    log = NotingLog()
    log.loglevel = level
    assert GunicornHooks.wanted(cfg, log) is wanted
