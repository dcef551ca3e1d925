"""Applications of each kind, with the SDK of OpenTelemetry and an exporter that keeps what it gets."""

import asyncio
import json

from asgiref.sync import sync_to_async
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from uvicorn import bridge, mount, route

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("app")


def work(name):
    with tracer.start_as_current_span(name):
        pass


async def work_on_loop(name):
    work(name)


def in_thread(message):
    work("thread")
    bridge.run_on_loop(work_on_loop("loop below a thread"))
    message["reply_channel"].send({"status": 200})


async def on_loop(message):
    work("loop")
    await asyncio.create_task(work_on_loop("task"))
    await bridge.run_in_pool(work, "pool")
    await asyncio.to_thread(work, "asyncio")
    await sync_to_async(work)("asgiref")
    message["reply_channel"].send({"status": 200})


def view(environ, start_response):
    work("wsgi")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]


service = FastAPI()


@service.get("/sync")
def endpoint():
    work("fastapi, thread")


@service.get("/async")
async def endpoint_on_loop():
    work("fastapi, loop")


def shown(span):
    return {
        "name": span.name,
        "kind": span.kind.name,
        "trace": trace.format_trace_id(span.context.trace_id),
        "parent": span.parent and trace.format_span_id(span.parent.span_id),
        "id": trace.format_span_id(span.context.span_id),
        "attributes": dict(span.attributes),
    }


async def spans(message):
    content = json.dumps([shown(span) for span in exporter.get_finished_spans()]).encode()
    message["reply_channel"].send({"status": 200, "content": content})


routes = [
    mount("/thread", in_thread),
    mount("/loop", on_loop),
    mount("/wsgi", view),
    mount("/fastapi", service),
    route("http.request", spans),
]
