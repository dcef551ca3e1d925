"""OpenTelemetry: a span for each request and each socket, and the standard metrics of an HTTP server.

Only this module knows the API of OpenTelemetry; it is imported where `otel` is on.

The span begins when the head was read, before the application is called, and is current wherever code runs for the
request, on the loop and in threads. It ends with the response; that of a socket ends with the socket.

A trace of a trusted peer goes on here. One of any other client is linked to, no more: whoever sends requests from
outside must not choose which of them are recorded, nor what goes on to other services as baggage. The application finds
our span in the fields of its request, as behind a proxy that traces: a framework that reads them goes on below it.

Spec: OpenTelemetry semantic conventions, HTTP spans and HTTP metrics (both stable since 1.23); W3C Trace Context.
"""

from __future__ import annotations

import re
from typing import Any, Final

from opentelemetry import context as current
from opentelemetry import metrics, propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter, Setter
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from uvicorn import __version__
from uvicorn.messages import Headers

__all__ = ["Tracing", "is_configured", "span_id", "trace_id"]

_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"))
_SCHEMA: Final = "https://opentelemetry.io/schemas/1.27.0"
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)  # by the convention
# Values in a query that the convention asks to be left out: they are signatures and keys.
_SECRET: Final = re.compile(r"(?:^|(?<=&))(AWSAccessKeyId|Signature|sig|X-Goog-Signature)=[^&]*")
_HOST: Final = re.compile(r"(\[[^\]]*\]|[^:]*)(?::([0-9]+))?")
_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_SPAN: Final = "span"  # in the notes of a request
_NAME: Final = "span name"
_COUNTED: Final = "counted as active"

Attributes = dict[str, AttributeValue]


class Tracing:
    """An attendant that makes spans and metrics.

    Args:
        tracers, meters: providers; None for the global ones, which the application has set, or sets later.
    """

    def __init__(
        self, tracers: trace.TracerProvider | None = None, meters: metrics.MeterProvider | None = None
    ) -> None:
        self._tracer: Final = trace.get_tracer("uvicorn", __version__, tracers, _SCHEMA)
        meter = metrics.get_meter("uvicorn", __version__, meters, _SCHEMA)
        self._durations: Final = meter.create_histogram(
            "http.server.request.duration",
            "s",
            "Duration of HTTP server requests.",
            explicit_bucket_boundaries_advisory=_BUCKETS,
        )
        self._active: Final = meter.create_up_down_counter(
            "http.server.active_requests", "{request}", "Number of active HTTP server requests."
        )
        self._sizes: Final = meter.create_histogram(
            "http.server.response.body.size", "By", "Size of HTTP server response bodies."
        )

    def begin(self, exchange: Any, message: dict[str, Any], is_believed: bool) -> None:
        """Begin a span, and make it the current one."""
        sent = propagate.extract(exchange.headers, Context(), _FIELDS)
        links: list[Link] = []
        if not is_believed:
            theirs = trace.get_current_span(sent).get_span_context()
            if theirs.is_valid:
                links.append(Link(theirs))
            sent = Context()
        method = exchange.request_line.method
        name = method if method in _METHODS else "HTTP"
        span = self._tracer.start_span(name, sent, SpanKind.SERVER, _attributes_of(exchange, message), links)
        counted: Attributes = {"http.request.method": _known(method), "url.scheme": message["scheme"]}
        self._active.add(1, counted)
        attended = exchange.attended
        attended.notes.update({_SPAN: span, _NAME: name, _COUNTED: counted})
        attended.on_error = span.record_exception
        ours = trace.set_span_in_context(span, sent)
        current.attach(ours)  # in the request's own context: never detached
        if span.get_span_context().is_valid:
            _pass_on(message["headers"], ours)

    def end(self, exchange: Any) -> None:
        """Measure the request; end its span, if it is not that of a socket that goes on."""
        notes = exchange.attended.notes
        span: Span | None = notes.get(_SPAN)
        if span is None:  # `begin` has failed
            return
        service = exchange.carrier.service
        outcome = _outcome_of(exchange)
        route = _route_of(span, exchange)
        if route:
            outcome["http.route"] = route
            if getattr(span, "name", "") == notes[_NAME]:  # nobody has given it a better one
                span.update_name(f"{notes[_NAME]} {route}")
        counted: Attributes = notes[_COUNTED]
        measured = {**counted, **outcome, "network.protocol.version": exchange.request_line.http_version}
        self._active.add(-1, counted)
        self._durations.record(max(0.0, service.clock() - exchange.started_at), measured)
        if exchange.status and not exchange.is_lost:
            self._sizes.record(exchange.sent_bytes, measured)
        span.set_attributes(outcome)
        if getattr(exchange, "is_accepted", False):
            return
        _end(span, str(outcome.get("error.type", "")))

    def end_socket(self, socket: Any) -> None:
        """End the span of a socket."""
        span: Span | None = socket.attended.notes.get(_SPAN)
        if span is None:
            return
        if socket.attended.error:
            span.set_attribute("error.type", socket.attended.error)
        _end(span, socket.attended.error)

    def figures(self) -> dict[str, Any]:
        """Return none: OpenTelemetry has its own."""
        return {}


def is_configured() -> bool:
    """Whether spans go anywhere: the application, or what started us, has set a provider."""
    return not isinstance(trace.get_tracer_provider(), (trace.ProxyTracerProvider, trace.NoOpTracerProvider))


def trace_id() -> str | None:
    """Return the id of the current trace, in hexadecimal, or None. Runs on: any thread."""
    found = trace.get_current_span().get_span_context()
    return trace.format_trace_id(found.trace_id) if found.is_valid else None


def span_id() -> str | None:
    """Return the id of the current span, in hexadecimal, or None. Runs on: any thread."""
    found = trace.get_current_span().get_span_context()
    return trace.format_span_id(found.span_id) if found.is_valid else None


def _end(span: Span, error: str) -> None:
    if error:
        span.set_status(Status(StatusCode.ERROR))
    span.end()


def _attributes_of(exchange: Any, message: dict[str, Any]) -> Attributes:
    """Return what is known at the begin, by which samplers may choose."""
    line, scheme = exchange.request_line, message["scheme"]
    attributes: Attributes = {
        "http.request.method": _known(line.method),
        "url.scheme": scheme,
        "url.path": _text(message["raw_path"]),
        "network.protocol.version": line.http_version,
    }
    if line.method not in _METHODS:
        attributes["http.request.method_original"] = line.method
    if message["query_string"]:
        attributes["url.query"] = _SECRET.sub(r"\1=REDACTED", _text(message["query_string"]))
    peer, own = exchange.carrier.addresses()
    if message["client"] is not None:
        attributes["client.address"] = str(message["client"][0])
    if peer is not None:
        attributes["network.peer.address"] = str(peer[0])
        attributes["network.peer.port"] = int(peer[1])
    host = agent = b""
    for name, value in exchange.headers:
        if name == b"host":
            host = value
        elif name == b"user-agent":
            agent = value
    if agent:
        attributes["user_agent.original"] = _text(agent)
    found = _HOST.fullmatch(_text(host))
    if found is not None and found[1]:
        attributes["server.address"] = found[1].strip("[]")
        attributes["server.port"] = int(found[2][:6]) if found[2] else _PORTS[scheme]
    elif own is not None:
        attributes["server.address"], attributes["server.port"] = str(own[0]), int(own[1])
    return attributes


def _outcome_of(exchange: Any) -> Attributes:
    """Return how a request has ended."""
    outcome: Attributes = {}
    if exchange.status:
        outcome["http.response.status_code"] = exchange.status
    error = exchange.attended.error
    if not error and exchange.is_lost:
        error = (
            "server_stopping" if exchange.is_stopping else "client_left" if exchange.carrier.is_lost() else "broken_off"
        )
    if not error and exchange.status >= 500:
        error = str(exchange.status)
    if error and (exchange.is_lost or exchange.status >= 500 or not exchange.status):
        outcome["error.type"] = error
    return outcome


def _route_of(span: Span, exchange: Any) -> str:
    """Return the route: what the application's framework has said, or else where it is mounted."""
    said: Any = (getattr(span, "attributes", None) or {}).get("http.route")
    if said:
        return str(said)
    return exchange.consumer.mount if exchange.consumer is not None else ""


def _known(method: str) -> str:
    return method if method in _METHODS else "_OTHER"


def _text(value: bytes) -> str:
    return value.decode("ascii", "backslashreplace")


def _pass_on(headers: Headers, context: Context) -> None:
    """Set the fields of a request that tell of traces, in place of what was there."""
    told = {name.encode("latin-1") for name in propagate.get_global_textmap().fields}
    headers[:] = [field for field in headers if field[0] not in told]
    propagate.inject(headers, context, _FIELDS)


class _Fields(Getter[Headers], Setter[Headers]):
    """How propagators read and write the fields of a request."""

    def get(self, carrier: Headers, key: str) -> list[str] | None:
        """Return the values of a field, or None."""
        wanted = key.lower().encode("latin-1")
        return [value.decode("latin-1") for name, value in carrier if name == wanted] or None

    def keys(self, carrier: Headers) -> list[str]:
        """Return the names of all fields."""
        return [name.decode("latin-1") for name, _ in carrier]

    def set(self, carrier: Headers, key: str, value: str) -> None:
        """Add a field."""
        carrier.append([key.lower().encode("latin-1"), value.encode("latin-1")])


_FIELDS: Final = _Fields()
