"""WSGI and ASGI applications for servers under test."""

import os
import threading
import time
from wsgiref.validate import validator

from uvicorn import mount, wsgi

PLAIN = [("Content-Type", "text/plain")]


def application(environ, start_response):
    """Tell where it runs, and what it was called with."""
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH", 0)))
    start_response("200 OK", PLAIN)
    name = threading.current_thread().name
    return [f"wsgi {environ['SCRIPT_NAME']}|{environ['PATH_INFO']} {len(body)} {name}".encode()]


validated = wsgi(validator(application))


async def service(scope, receive, send):
    """Tell where it runs, and what it was called with; has no lifespan."""
    assert scope["type"] == "http"
    size, more = 0, True
    while more:
        event = await receive()
        size, more = size + len(event["body"]), event["more_body"]
    name = threading.current_thread().name
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    text = f"asgi {scope['root_path']}|{scope['path']} {size} {name}"
    await send({"type": "http.response.body", "body": text.encode()})


class Rows:
    """A response of many parts, which notes in a file that it was closed."""

    def __init__(self, path, count):
        self.path, self.count = path, count

    def __iter__(self):
        for number in range(self.count):
            yield b"%09d " % number * 1000

    def close(self):
        with open(self.path, "a") as file:
            file.write(f"closed in {threading.current_thread().name}\n")


def rows(environ, start_response):
    start_response("200 OK", PLAIN)
    return Rows("closed.txt", 100_000 if environ["PATH_INFO"] == "/endless" else 50)


# ---- before the first and after the last message ----


def note(text):
    with open("life.txt", "a") as file:
        file.write(f"{text} {threading.current_thread().name.rstrip('0123456789')}\n")


class Living:
    """An ASGI application with a lifespan."""

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            assert (await receive())["type"] == "lifespan.startup"
            note("lifespan starts")
            if os.environ.get("FAILS") == "lifespan":
                await send({"type": "lifespan.startup.failed", "message": "no database"})
                return
            scope["state"]["name"] = "from the lifespan"
            await send({"type": "lifespan.startup.complete"})
            assert (await receive())["type"] == "lifespan.shutdown"
            note("lifespan stops")
            await send({"type": "lifespan.shutdown.complete"})
            return
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": scope["state"]["name"].encode()})


living = Living()
living_routes = [mount("/", living)]


def on_startup_sync():
    note("sync starts")
    if os.environ.get("FAILS") == "sync":
        raise LookupError("no configuration")
    if os.environ.get("BLOCKS"):
        time.sleep(3600)


async def on_startup_async():
    note("async starts")


def on_shutdown_sync():
    note("sync stops")


async def on_shutdown_async():
    note("async stops")


if os.environ.get("HAS_HOOKS"):
    on_startup = [on_startup_sync, on_startup_async]
    on_shutdown = (on_shutdown_sync, on_shutdown_async)
