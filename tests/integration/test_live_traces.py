"""Spans of OpenTelemetry's SDK in a real worker: consumers of both sides, WSGI and ASGI."""

import pytest
from processes import eventually

pytest.importorskip("opentelemetry.sdk")


@pytest.fixture(scope="module")
def traced(serve_module):
    words = ("--otel", "--log-format", "json", "--access-log", "--threads", "2")
    return serve_module(*words, app="live_traces:routes")


@pytest.mark.parametrize(
    ("number", "path", "mounted", "inside"),
    [
        (1, "/thread", "/thread", ["thread", "loop below a thread"]),
        (2, "/loop", "/loop", ["loop", "task", "pool", "asyncio", "asgiref"]),
        (3, "/wsgi", "/wsgi", ["wsgi"]),
        (4, "/fastapi/sync", "/fastapi", ["fastapi, thread"]),
        (5, "/fastapi/async", "/fastapi", ["fastapi, loop"]),
    ],
)
def test_spans_of_the_application_are_below_that_of_the_request(traced, number, path, mounted, inside):
    trace = f"{number:032x}"
    assert traced.get(path, headers={"traceparent": f"00-{trace}-{number:016x}-01"}).status_code == 200

    def complete():
        found = {span["id"]: span for span in traced.get("/spans").json() if span["trace"] == trace}
        return found if any(span["parent"] == f"{number:016x}" for span in found.values()) else None

    found = eventually(complete, "the spans")
    [server] = [span for span in found.values() if span["parent"] == f"{number:016x}"]
    assert (server["name"], server["kind"]) == (f"GET {mounted}", "SERVER")
    assert server["attributes"]["http.response.status_code"] == 200
    assert server["attributes"]["url.path"] == path
    assert [span["name"] for span in found.values() if span["name"] in inside] == inside
    for span in found.values():  # FastAPI may make spans of its own between ours and those of its endpoint
        while span is not server:
            span = found[span["parent"]]
    traced.wait_for_log(f'"trace_id": "{trace}", "span_id": "{server["id"]}"')


def test_without_a_provider_of_spans_the_log_says_so(serve):
    server = serve("--otel")
    assert "no provider of spans is set" in server.log()
