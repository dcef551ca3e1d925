"""ASGI applications of tests, the events that they send, and a client that asks them."""

GET = b"GET /a%20b/caf%C3%A9?x=1 HTTP/1.1\r\nHost: a\r\nAccept: b\r\naccept: c\r\n\r\n"
TEXT = [(b"content-type", b"text/plain")]


def start(status=200, headers=TEXT):
    return {"type": "http.response.start", "status": status, "headers": headers}


def body(content=b"", more=False):
    return {"type": "http.response.body", "body": content, "more_body": more}


class App:
    """Send `events`, and remember scope and what was received."""

    def __init__(self, *events, receives=0):
        self.events, self.receives, self.received = events, receives, []

    async def __call__(self, scope, receive, send):
        self.scope = scope
        for _ in range(self.receives):
            self.received.append(await receive())
        for event in self.events:
            await send(event)


def serve(make_site, app, request=GET, **options):
    client = make_site(app, **options).connect()
    client.send(request)
    return client
