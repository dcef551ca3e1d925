"""The same pages in Starlette: an `async def` endpoint runs on the loop, a `def` endpoint in one of 40 threads."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from work import CHUNK, CHUNKS, LOADS, PAGE, view, wait


def _page(content=PAGE):
    return Response(content, media_type="text/plain")


def _application(endpoint, methods=("GET",)):
    return Starlette(routes=[Route("/{path:path}", endpoint, methods=list(methods))])


async def _hello(request):
    return _page()


def _hello_sync(request):
    return _page()


def _wait_10(request):
    wait(0.010)
    return _page()


def _wait_100(request):
    wait(0.100)
    return _page()


def _typical(request):
    view()
    return _page()


def _stream(request):
    return StreamingResponse((CHUNK for _ in range(CHUNKS)), media_type="application/octet-stream")


def _loaded(work):
    def endpoint(request):
        work()
        return _page()

    return endpoint


hello, wait_10, wait_100, typical, stream = map(_application, (_hello_sync, _wait_10, _wait_100, _typical, _stream))
mixed = Starlette(routes=[Route("/", _hello), *(Route(path, _loaded(work)) for path, work in LOADS.items())])
