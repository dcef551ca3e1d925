"""The same small page for each kind of server."""

PAGE = b"Hello, world!"


async def asynchronous(message):
    message["reply_channel"].send({"status": 200, "headers": [(b"content-type", b"text/plain")], "content": PAGE})


def synchronous(message):
    message["reply_channel"].send({"status": 200, "headers": [(b"content-type", b"text/plain")], "content": PAGE})


async def asgi(scope, receive, send):
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"13")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": PAGE})


def wsgi(environ, start_response):
    start_response("200 OK", [("content-type", "text/plain"), ("content-length", "13")])
    return [PAGE]
