"""Consumers that send the files of one folder, and tell what is open and how often the system copied."""

import json
import os
from urllib.parse import parse_qs

from uvicorn import mount, route, wsgi
from uvicorn.connections import file_transfer

FILES = os.environ["FILES"]
copied = []
sendfile = os.sendfile


class CountingOS:
    """The module, with a count."""

    def __getattr__(self, name):
        return getattr(os, name)

    @staticmethod
    def sendfile(*given):
        copied.append(sendfile(*given))
        return copied[-1]


file_transfer.os = CountingOS()


def path_of(message):
    return os.path.join(FILES, parse_qs(message["query_string"].decode())["name"][0])


def in_thread(message):
    message["reply_channel"].send({"status": 200, "file": path_of(message)})


async def on_loop(message):
    message["reply_channel"].send({"status": 200, "file": path_of(message)})


def parts(path):
    yield {"status": 206, "content": b"--a", "more_content": True}
    yield {"file": (path, 10, 1_000_000), "more_content": True}
    yield {"content": b"--b", "more_content": True}
    yield {"file": (path, 20, 1000), "more_content": True}
    yield {"file": (path, 30, 100_000)}


def parts_in_thread(message):
    for reply in parts(path_of(message)):
        message["reply_channel"].send(reply)


async def parts_on_loop(message):
    for reply in parts(path_of(message)):
        await message["reply_channel"].send(reply)


def read_links():
    for name in os.listdir("/proc/self/fd"):
        try:
            yield os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # the loop has closed it meanwhile
            pass


def state(message):
    files = [*read_links()]
    told = {"open": [name for name in files if name.startswith(FILES)], "all": len(files), "copied": sum(copied)}
    message["reply_channel"].send({"status": 200, "content": json.dumps(told).encode()})


async def asgi_application(scope, receive, send):
    path = os.path.join(FILES, parse_qs(scope["query_string"].decode())["name"][0])
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.pathsend", "path": path})


def wsgi_application(environ, start_response):
    path = os.path.join(FILES, parse_qs(environ["QUERY_STRING"])["name"][0])
    start_response("200 OK", [])
    return environ["wsgi.file_wrapper"](open(path, "rb"))


routes = [
    route("http.request", in_thread, path="^/thread$"),
    route("http.request", on_loop, path="^/loop$"),
    route("http.request", parts_in_thread, path="^/thread/parts$"),
    route("http.request", parts_on_loop, path="^/loop/parts$"),
    mount("/asgi", asgi_application),
    mount("/wsgi", wsgi(wsgi_application)),
    route("http.request", state, path="^/(state|ready)$"),
]
