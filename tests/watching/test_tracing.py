"""Spans and metrics of OpenTelemetry, with its own SDK."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("opentelemetry.sdk")

from clients import CLIENT, SERVER
from doubles import FakePeers
from h2_clients import connect
from opentelemetry import baggage, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from sockets import SocketClient, close_frame, frame

from uvicorn import asgi, mount, route, wsgi
from uvicorn.command.attending import check_attending, make_attendants
from uvicorn.command.attending_settings import AttendingSettings
from uvicorn.watching.tracing import Tracing, span_id, trace_id

PARENT = b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = "0af7651916cd43dd8448eb211c80319c"


class Sdk:
    """The SDK, with exporters that keep what they get."""

    def __init__(self):
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)

    @property
    def spans(self):
        return self.exporter.get_finished_spans()

    def span(self):
        [span] = [span for span in self.spans if span.kind is SpanKind.SERVER]
        return span

    def points(self):
        """Return the metrics: name -> their points."""
        data = self.reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: list(metric.data.data_points)
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def end(self):
        self.tracers.shutdown()
        self.meters.shutdown()


@pytest.fixture
def sdk():
    made = Sdk()
    yield made
    made.end()


@pytest.fixture
def make_traced(make_site, sdk):
    """Make sites whose requests are traced."""

    def make(application, is_trusted=False, **options):
        tracing = Tracing(sdk.tracers, sdk.meters)
        return make_site(application, peers=FakePeers(is_trusted=is_trusted), attendants=[tracing], **options)

    return make


def ask(site, *fields, path=b"/", method=b"GET", version=b"1.1", host=b"Host: example.org:8080"):
    client = site.connect()
    first = b"%b %b HTTP/%b" % (method, path, version)
    client.send(b"".join(b"%b\r\n" % field for field in (first, host, *fields)) + b"\r\n")
    site.settle()
    while site.pool.queue:
        site.run_job(in_thread=True)
    return client


def current():
    return trace.get_current_span().get_span_context()


class Noting:
    """What notes the current span; a consumer of each side, and applications of each kind."""

    def __init__(self, sdk):
        self.seen = []
        self.tracer = sdk.tracers.get_tracer("app")

    def note(self):
        self.seen.append((current(), trace_id(), span_id()))
        with self.tracer.start_as_current_span("inside"):
            pass

    def thread(self, message):
        self.note()
        message["reply_channel"].send({"status": 200, "content": b"hello"})

    async def loop(self, message):
        await asyncio.sleep(0)
        self.note()
        message["reply_channel"].send({"status": 200, "content": b"hello"})

    def wsgi(self, environ, start_response):
        self.note()
        start_response("200 OK", [("Content-Length", "5")])
        return [b"hello"]

    async def asgi(self, scope, receive, send):
        await asyncio.sleep(0)
        self.note()
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"hello"})


@pytest.mark.parametrize("kind", ["thread", "loop", "wsgi", "asgi"])
def test_a_span_is_current_where_the_application_runs_and_ends_with_the_response(make_traced, sdk, kind):
    noting = Noting(sdk)
    application = getattr(noting, kind)
    made = wsgi(application) if kind == "wsgi" else asgi(application) if kind == "asgi" else application
    site = make_traced([mount("/shop", made)])
    assert ask(site, b"User-Agent: test/1", path=b"/shop/caf%C3%A9?a=1&sig=secret&b=2").statuses() == [200]
    span = sdk.span()
    assert span.name == "GET /shop"
    assert span.parent is None
    [(seen, trace_hex, span_hex)] = noting.seen
    assert seen == span.context
    assert (int(trace_hex, 16), int(span_hex, 16)) == (seen.trace_id, seen.span_id)
    [inside] = [each for each in sdk.spans if each.name == "inside"]
    assert inside.parent == span.context
    assert dict(span.attributes) == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "url.path": "/shop/caf%C3%A9",
        "url.query": "a=1&sig=REDACTED&b=2",
        "network.protocol.version": "1.1",
        "server.address": "example.org",
        "server.port": 8080,
        "client.address": CLIENT[0],
        "network.peer.address": CLIENT[0],
        "network.peer.port": CLIENT[1],
        "user_agent.original": "test/1",
        "http.response.status_code": 200,
        "http.route": "/shop",
    }
    assert span.status.status_code is StatusCode.UNSET
    assert span.instrumentation_scope.name == "uvicorn"
    assert not current().is_valid


def test_metrics_of_a_request(make_traced, sdk):
    site = make_traced([mount("/shop", Noting(sdk).loop)])
    for _ in range(3):
        ask(site, path=b"/shop")
    points = sdk.points()
    common = {"http.request.method": "GET", "url.scheme": "http"}
    outcome = {"http.response.status_code": 200, "http.route": "/shop", "network.protocol.version": "1.1"}
    [active] = points["http.server.active_requests"]
    assert (active.value, dict(active.attributes)) == (0, common)
    [duration] = points["http.server.request.duration"]
    assert (duration.count, dict(duration.attributes)) == (3, common | outcome)
    assert duration.explicit_bounds[0] == 0.005
    [size] = points["http.server.response.body.size"]
    assert (size.count, size.sum, dict(size.attributes)) == (3, 15, common | outcome)


def test_a_request_that_is_not_answered_is_active(make_traced, sdk):
    kept = []

    async def consumer(message):
        kept.append(message)

    site = make_traced(consumer)
    ask(site)
    [active] = sdk.points()["http.server.active_requests"]
    assert active.value == 1
    assert sdk.spans == ()
    kept.pop()["reply_channel"].send({"status": 204})
    [active] = sdk.points()["http.server.active_requests"]
    assert active.value == 0


def test_the_trace_of_a_trusted_peer_goes_on(make_traced, sdk):
    seen = []

    async def consumer(message):
        seen.append(baggage.get_baggage("who"))
        message["reply_channel"].send({"status": 200})

    ask(make_traced(consumer, is_trusted=True), PARENT, b"tracestate: a=1", b"baggage: who=proxy")
    span = sdk.span()
    assert trace.format_trace_id(span.context.trace_id) == TRACE
    assert trace.format_span_id(span.parent.span_id) == "b7ad6b7169203331"
    assert span.parent.is_remote
    assert span.context.trace_state.get("a") == "1"
    assert span.links == ()
    assert seen == ["proxy"]


def test_the_trace_of_any_other_client_is_linked_to(make_traced, sdk):
    seen = []

    async def consumer(message):
        seen.append(baggage.get_baggage("who"))
        message["reply_channel"].send({"status": 200})

    ask(make_traced(consumer), PARENT, b"baggage: who=client")
    span = sdk.span()
    assert span.parent is None
    assert trace.format_trace_id(span.context.trace_id) != TRACE
    [link] = span.links
    assert trace.format_trace_id(link.context.trace_id) == TRACE
    assert seen == [None]


@pytest.mark.parametrize("value", [b"", b"00-x-y-01", b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01", b"\xff" * 40])
def test_what_is_no_trace_is_none(make_traced, sdk, value):
    ask(make_traced(Noting(sdk).loop, is_trusted=True), b"traceparent: " + value)
    assert sdk.span().parent is None


@pytest.mark.parametrize("is_trusted", [True, False])
def test_the_application_finds_our_span_in_the_fields_of_its_request(make_traced, sdk, is_trusted):
    seen = []

    async def consumer(message):
        seen.extend(message["headers"])
        message["reply_channel"].send({"status": 200})

    site = make_traced(consumer, is_trusted=is_trusted)
    ask(site, PARENT, b"tracestate: a=1", b"baggage: who=proxy")
    fields = {name.decode(): value.decode() for name, value in seen}
    context = sdk.span().context
    expected = f"00-{trace.format_trace_id(context.trace_id)}-{trace.format_span_id(context.span_id)}-01"
    assert fields.pop("traceparent").startswith(expected[:-2])
    more = {"tracestate": "a=1", "baggage": "who=proxy"} if is_trusted else {}
    assert fields == {"host": "example.org:8080", **more}
    assert [b"traceparent", PARENT.partition(b": ")[2]] in site.reports[0].headers  # the access log has what came


def test_without_a_provider_the_fields_of_a_request_stay_as_they_are(make_site):
    seen = []

    async def consumer(message):
        seen.extend(message["headers"])
        message["reply_channel"].send({"status": 200})

    ask(make_site(consumer, attendants=[Tracing(trace.NoOpTracerProvider())]), PARENT)
    assert [b"traceparent", PARENT.partition(b": ")[2]] in seen


def test_no_span_goes_from_one_request_to_the_next(make_traced, sdk):
    site = make_traced(Noting(sdk).loop)
    client = site.connect()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 3)
    site.settle()
    servers = [span for span in sdk.spans if span.kind is SpanKind.SERVER]
    assert len({span.context.trace_id for span in servers}) == 3
    assert [span.parent for span in servers] == [None] * 3


def fails_in_thread(message):
    raise KeyError("x")


async def fails_on_loop(message):
    raise KeyError("x")


@pytest.mark.parametrize("consumer", [fails_in_thread, fails_on_loop])
def test_what_a_consumer_raises_is_the_error_of_the_span(make_traced, sdk, consumer):
    site = make_traced(consumer)
    assert ask(site).statuses() == [500]
    site.log.take("error")
    span = sdk.span()
    assert span.attributes["error.type"] == "KeyError"
    assert span.attributes["http.response.status_code"] == 500
    assert span.status.status_code is StatusCode.ERROR
    [event] = span.events
    assert (event.name, event.attributes["exception.type"]) == ("exception", "KeyError")
    [point] = sdk.points()["http.server.request.duration"]
    assert point.attributes["error.type"] == "KeyError"


@pytest.mark.parametrize(("status", "error"), [(200, None), (404, None), (499, None), (500, "500"), (503, "503")])
def test_a_status_is_an_error_from_500_on(make_traced, sdk, status, error):
    async def consumer(message):
        message["reply_channel"].send({"status": status})

    ask(make_traced(consumer))
    span = sdk.span()
    assert span.attributes.get("error.type") == error
    assert span.status.status_code is (StatusCode.ERROR if error else StatusCode.UNSET)


def test_a_path_that_nobody_serves(make_traced, sdk):
    ask(make_traced([route("http.request", fails_on_loop, path="^/a$")]), path=b"/b")
    assert (sdk.span().name, sdk.span().attributes["http.response.status_code"]) == ("GET", 404)


def test_a_client_that_left(make_traced, sdk):
    kept = []

    async def consumer(message):
        kept.append(message)

    site = make_traced(consumer)
    client = ask(site)
    client.leave()
    site.settle()
    span = sdk.span()
    assert span.attributes["error.type"] == "client_left"
    assert "http.response.status_code" not in span.attributes
    assert span.status.status_code is StatusCode.ERROR
    assert "http.server.response.body.size" not in sdk.points()


def test_a_response_that_was_broken_off(make_traced, sdk):
    async def consumer(message):
        message["reply_channel"].send({"status": 200, "content": b"a", "more_content": True})
        raise ValueError

    site = make_traced(consumer)
    ask(site)
    site.log.take("error")
    span = sdk.span()
    assert (span.attributes["error.type"], span.attributes["http.response.status_code"]) == ("ValueError", 200)
    assert span.status.status_code is StatusCode.ERROR


def test_a_method_of_nobodys(make_traced, sdk):
    ask(make_traced(Noting(sdk).loop), method=b"PROPFIND")
    span = sdk.span()
    assert span.name == "HTTP"
    assert span.attributes["http.request.method"] == "_OTHER"
    assert span.attributes["http.request.method_original"] == "PROPFIND"


@pytest.mark.parametrize(
    ("host", "address", "port"),
    [
        (b"Host: example.org", "example.org", 80),
        (b"Host: [2001:db8::1]:8000", "2001:db8::1", 8000),
        (b"Host:", SERVER[0], SERVER[1]),
        (b"X: y", SERVER[0], SERVER[1]),
    ],
)
def test_the_address_of_the_server(make_traced, sdk, host, address, port):
    ask(make_traced(Noting(sdk).loop), host=host, version=b"1.0")
    span = sdk.span()
    assert (span.attributes["server.address"], span.attributes["server.port"]) == (address, port)
    assert span.attributes["network.protocol.version"] == "1.0"


def test_a_framework_may_name_the_span_and_its_route(make_traced, sdk):
    async def consumer(message):
        span = trace.get_current_span()
        span.update_name("GET /shop/{id}")
        span.set_attribute("http.route", "/shop/{id}")
        message["reply_channel"].send({"status": 200})

    ask(make_traced([mount("/shop", consumer)]), path=b"/shop/7")
    assert sdk.span().name == "GET /shop/{id}"
    [point] = sdk.points()["http.server.request.duration"]
    assert point.attributes["http.route"] == "/shop/{id}"


def test_http2(make_http2, sdk):
    noting = Noting(sdk)
    client = connect(make_http2(noting.loop, attendants=[Tracing(sdk.tracers, sdk.meters)]))
    assert client.get("/a").status == 200
    span = sdk.span()
    assert span.attributes["network.protocol.version"] == "2"
    assert noting.seen[0][0] == span.context


# ---- sockets ----


def open_socket(make_traced, consumer):
    site = make_traced([route(f"websocket.{name}", consumer) for name in ("connect", "receive", "disconnect")])
    return site, SocketClient(site)


def test_a_socket_has_one_span_that_ends_with_it(make_traced, sdk):
    seen = []

    async def consumer(message):
        seen.append(current())
        if message["channel"] == "websocket.connect":
            message["reply_channel"].send({"accept": True})

    site, client = open_socket(make_traced, consumer)
    client.send(frame(1, b"a"))
    site.settle()
    client.send(frame(1, b"b"))
    site.settle()
    assert sdk.spans == ()
    [point] = sdk.points()["http.server.request.duration"]
    assert point.attributes["http.response.status_code"] == 101
    client.send(close_frame())
    site.settle()
    span = sdk.span()
    assert seen == [span.context] * 4
    assert span.attributes["http.response.status_code"] == 101
    assert span.attributes["url.scheme"] == "http"
    assert span.status.status_code is StatusCode.UNSET
    [active] = sdk.points()["http.server.active_requests"]
    assert active.value == 0


def test_a_socket_whose_consumer_raises(make_traced, sdk):
    async def consumer(message):
        if message["channel"] == "websocket.connect":
            message["reply_channel"].send({"accept": True})
        elif message["channel"] == "websocket.receive":
            raise ValueError

    site, client = open_socket(make_traced, consumer)
    client.send(frame(1, b"a"))
    site.settle()
    site.log.take("error")
    client.leave()
    site.settle()
    span = sdk.span()
    assert span.attributes["error.type"] == "ValueError"
    assert span.status.status_code is StatusCode.ERROR


def test_a_socket_that_is_refused(make_traced, sdk):
    async def consumer(message):
        message["reply_channel"].send({"close": True})

    open_socket(make_traced, consumer)
    span = sdk.span()
    assert span.attributes["http.response.status_code"] == 403
    assert span.status.status_code is StatusCode.UNSET


# ---- the setting ----


def test_without_the_library_the_start_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match=r"pip install uvicorn\[otel\]"):
        check_attending(AttendingSettings(otel=True))
    check_attending(AttendingSettings(request_id=True))


def test_without_the_settings_nothing_goes_with_a_request(make_site):
    service = make_site(fails_on_loop).service
    assert make_attendants(AttendingSettings(), service.dispatcher.context, None, service.log) is None
    assert service.attendants is None
