"""What tells who its clients are, for the tests behind proxies."""

import json

from uvicorn import mount, route, wsgi


def told(message):
    return json.dumps({"client": message["client"], "scheme": message["scheme"], "path": message["path"]})


def describe(message):
    message["reply_channel"].send({"status": 200, "content": told(message).encode()})


def connected(message):
    message["reply_channel"].send({"text": told(message)})


def application(environ, start_response):
    start_response("200 OK", [("content-type", "text/plain")])
    return [f"{environ['REMOTE_ADDR']} {environ['wsgi.url_scheme']}".encode()]


async def asgi(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"{scope['client'][0]} {scope['scheme']}".encode()})


routes = [
    mount("/wsgi", wsgi(application)),
    mount("/asgi", asgi),
    route("websocket.connect", connected),
    route("http.request", describe),
]
