"""The same pages as WSGI applications."""

from __future__ import annotations

import json

from work import CHUNK, CHUNKS, PAGE, reply, view, wait


def _answer(start_response, content):
    start_response("200 OK", [("content-type", "text/plain"), ("content-length", str(len(content)))])
    return [content]


def hello(environ, start_response):
    start_response("200 OK", [("content-type", "text/plain"), ("content-length", "13")])
    return [PAGE]


def json_post(environ, start_response):
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    content = json.dumps({"id": json.loads(body)["id"]}).encode()
    start_response("200 OK", [("content-type", "application/json"), ("content-length", str(len(content)))])
    return [content]


def replies(environ, start_response):
    status, headers, content = reply(environ["PATH_INFO"])
    headers.append(("Content-Length", str(len(content))))
    start_response(f"{status} {'OK' if status == 200 else 'Created'}", headers)
    return [content]


def echo(environ, start_response):
    return _answer(start_response, environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))


def wait_10(environ, start_response):
    wait(0.010)
    return _answer(start_response, PAGE)


def wait_100(environ, start_response):
    wait(0.100)
    return _answer(start_response, PAGE)


def typical(environ, start_response):
    view()
    return _answer(start_response, PAGE)


def stream(environ, start_response):
    start_response("200 OK", [("content-type", "application/octet-stream")])
    return (CHUNK for _ in range(CHUNKS))


def upload(environ, start_response):
    left = int(environ["CONTENT_LENGTH"])
    size = 0
    while left > size:
        chunk = environ["wsgi.input"].read(min(65536, left - size))
        if not chunk:
            break
        size += len(chunk)
    return _answer(start_response, b"%d" % size)


_SEVERAL = {"/": hello, "/upload": upload, "/stream": stream}


def several(environ, start_response):
    return _SEVERAL[environ["PATH_INFO"]](environ, start_response)
